//! Kubernetes in the configuration: by which kubeconfig a cluster is reached, and which workload a service is.

use std::path::PathBuf;

use kube::config::Kubeconfig;

use super::fault::quoted;
use super::providers::is_loopback;
use super::read::{At, Table};
use crate::case::id::Duration;

/// How long after a lost reply "not there" is no proof (failure model §4). Shorter only where nobody else's workloads are at stake.
const QUARANTINE: Duration = Duration::from_secs(75);
/// The kinds of workloads that are built, each a key of `target`.
const KINDS: [(&str, WorkloadKind); 4] = [
    ("deployment", WorkloadKind::Deployment),
    ("statefulset", WorkloadKind::StatefulSet),
    ("daemonset", WorkloadKind::DaemonSet),
    ("rollout", WorkloadKind::Rollout),
];

/// What has pods and a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkloadKind {
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
    /// A Rollout of Argo Rollouts.
    Rollout,
}

/// `[providers.NAME]` of kind `kubernetes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesSettings {
    /// Who we are and where the API is. `None`: as kubectl finds it, and in a pod the pod's own account.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; `None`: its current one.
    pub context: Option<String>,
    /// How long after a lost reply "not there" is no proof.
    pub quarantine: Duration,
    /// The address of its API, as far as the file tells.
    pub server: Option<String>,
}

/// Where a service of kind `kubernetes` lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesSite {
    /// Its namespace.
    pub namespace: String,
    /// What it is.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
}

/// The API that a provider reaches, and as whom.
pub(super) struct Api {
    pub(super) kubeconfig: Option<PathBuf>,
    pub(super) context: Option<String>,
    /// Its address, as far as the file tells.
    pub(super) server: Option<String>,
}

/// Reads `[providers.NAME]`.
pub(super) fn kubernetes(table: &Table<'_>) -> Option<KubernetesSettings> {
    let Api { kubeconfig, context, server } = api(table)?;
    let quarantine = quarantine(table, server.as_deref(), "might write a pod template twice")?;
    Some(KubernetesSettings { kubeconfig, context, quarantine, server })
}

/// `kubeconfig` and `context`.
pub(super) fn api(table: &Table<'_>) -> Option<Api> {
    let context = table.text("context");
    let kubeconfig = table.text("kubeconfig");
    let path = kubeconfig.as_ref().map(|path| table.page().path(path.value));
    let server = match (&kubeconfig, &path) {
        (Some(written), Some(path)) => Some(server(table, written, path, context.as_ref())?),
        _ => None,
    };
    Some(Api { kubeconfig: path, context: context.map(|context| context.value.to_owned()), server })
}

/// `quarantine`; and what a shorter one might do where somebody else's workloads are at stake.
pub(super) fn quarantine(table: &Table<'_>, server: Option<&str>, might: &str) -> Option<Duration> {
    match table.some_length("quarantine") {
        Some(length) if length.value < QUARANTINE && !server.is_some_and(is_loopback) => {
            table.page().fault(
                length.span,
                format!("a `quarantine` below {QUARANTINE:#} {might}"),
                "leave it out; it may be shorter only with a `kubeconfig` whose API is on this machine",
            );
            None
        }
        Some(length) => Some(length.value),
        None => Some(QUARANTINE),
    }
}

/// The address that a kubeconfig's context leads to.
fn server(
    table: &Table<'_>,
    written: &At<&str>,
    path: &PathBuf,
    context: Option<&At<&str>>,
) -> Option<String> {
    let fault = |span, says: String, remedy: &str| {
        table.page().fault(span, says, remedy);
        None
    };
    let file = match Kubeconfig::read_from(path) {
        Ok(file) => file,
        Err(error) => {
            let says = format!("the kubeconfig {} cannot be read: {error}", quoted(written.value));
            return fault(written.span.clone(), says, "name the file, or leave it out in a pod");
        }
    };
    let named = context.map(|context| context.value.to_owned()).or_else(|| file.current_context.clone());
    let Some(named) = named.filter(|name| !name.is_empty()) else {
        return fault(
            written.span.clone(),
            "the kubeconfig has no current context".into(),
            "write context = \"NAME\"",
        );
    };
    let cluster = file.contexts.iter().find(|of| of.name == named).and_then(|of| of.context.as_ref());
    let Some(cluster) = cluster else {
        let span = context.map_or_else(|| written.span.clone(), |context| context.span.clone());
        let known: Vec<&str> = file.contexts.iter().map(|of| of.name.as_str()).collect();
        let remedy = format!("name one of {}", known.join(", "));
        return fault(span, format!("the kubeconfig has no context {}", quoted(&named)), &remedy);
    };
    let of = file.clusters.iter().find(|of| of.name == cluster.cluster).and_then(|of| of.cluster.as_ref());
    if of.is_some_and(|of| of.proxy_url.is_some()) {
        let says = format!("the kubeconfig reaches its context {} through a proxy", quoted(&named));
        return fault(
            written.span.clone(),
            says,
            "name an API that is reached directly: proxies are not built",
        );
    }
    match of.and_then(|of| of.server.clone()) {
        Some(server) => Some(server),
        None => {
            let says = format!("the kubeconfig names no server for its context {}", quoted(&named));
            fault(written.span.clone(), says, "see `kubectl config view`")
        }
    }
}

/// `{ namespace, deployment | statefulset | daemonset | rollout }`.
pub(super) fn workload(target: &Table<'_>) -> Option<KubernetesSite> {
    let namespace = target.text("namespace");
    if !target.has("namespace") {
        target.missing("namespace", "write namespace = \"shop\"");
    }
    let named: Vec<(&str, WorkloadKind, At<&str>)> =
        KINDS.into_iter().filter_map(|(word, kind)| Some((word, kind, target.text(word)?))).collect();
    let (kind, name) = match &named[..] {
        [] => {
            if !KINDS.iter().any(|(word, _)| target.has(word)) {
                target.missing(
                    "deployment",
                    "write deployment = \"NAME\", or statefulset, daemonset or rollout",
                );
            }
            return None;
        }
        [(_, kind, name)] => (*kind, name),
        [_, (word, _, second), ..] => {
            let says = format!("`{word}` beside `{}`: a service is one workload", named[0].0);
            target.page().fault(second.span.clone(), says, "keep one of them");
            return None;
        }
    };
    let namespace = sound(target, &namespace?, 63)?;
    let name = sound(target, name, 253)?;
    Some(KubernetesSite { namespace, kind, name })
}

/// A name as the API takes it (RFC 1123 subdomain): it stands in a path.
pub(super) fn sound(target: &Table<'_>, name: &At<&str>, most: usize) -> Option<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let text = name.value;
    let is_sound = text.len() <= most
        && text.chars().all(plain)
        && !text.contains("..")
        && ends(text.chars().next())
        && ends(text.chars().last());
    if !is_sound {
        let remedy = "write it as `kubectl get` shows it: small letters, digits, dots and dashes";
        target.page().fault(name.span.clone(), format!("{} is no name in Kubernetes", quoted(text)), remedy);
        return None;
    }
    Some(text.to_owned())
}
