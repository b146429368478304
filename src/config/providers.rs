//! `[providers.NAME]` and a service's `target`: through whom it is deployed, and where it lives there.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use super::argocd::{ArgoCdSettings, ArgoCdSite, application, argocd};
use super::fault::quoted;
use super::github::{GitHubSettings, GitHubSite, environment, github};
use super::helm::{HelmSettings, HelmSite, helm, release};
use super::kubernetes::{KubernetesSettings, KubernetesSite, kubernetes, workload};
use super::later;
use super::own::{OwnSettings, OwnSite, address, command, http, program, quarantine_fits};
use super::read::{At, Table};
use super::server::public_url;
use super::services::unknown_name;
use super::spinnaker::{SpinnakerSettings, SpinnakerSite, spinnaker, way_back};
use crate::case::id::Duration;

/// CodeDeploy: how long after a lost reply "not there" is no proof (failure model §4). Shorter only where nobody else's
/// deployments are at stake.
const QUARANTINE: Duration = Duration::from_secs(60);

/// A configured provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderSettings {
    /// Releases side by side in a directory.
    Directory,
    /// AWS CodeDeploy.
    CodeDeploy(CodeDeploySettings),
    /// Workloads of a Kubernetes cluster.
    Kubernetes(KubernetesSettings),
    /// Releases of Helm.
    Helm(HelmSettings),
    /// Applications of Argo CD.
    ArgoCd(ArgoCdSettings),
    /// Applications of Spinnaker.
    Spinnaker(SpinnakerSettings),
    /// Environments of GitHub.
    GitHub(GitHubSettings),
    /// A deployer of the user's own.
    Own(OwnSettings),
}

/// `[providers.NAME]` of kind `codedeploy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeDeploySettings {
    /// The region of its groups.
    pub region: String,
    /// Another address than AWS's own.
    pub endpoint_url: Option<String>,
    /// How long after a lost reply "not there" is no proof.
    pub quarantine: Duration,
}

/// Where a service lives at its provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteSettings {
    /// In a directory.
    Directory(DirectorySite),
    /// In a deployment group.
    CodeDeploy(CodeDeploySite),
    /// A workload.
    Kubernetes(KubernetesSite),
    /// A release of Helm.
    Helm(HelmSite),
    /// An Application.
    ArgoCd(ArgoCdSite),
    /// In an application of Spinnaker.
    Spinnaker(SpinnakerSite),
    /// An environment of a repository.
    GitHub(GitHubSite),
    /// At a deployer of the user's own.
    Own(OwnSite),
}

/// Where a service of kind `directory` lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectorySite {
    /// The folder that holds `releases/` and `current`.
    pub root: PathBuf,
    /// The command that makes the switched release serve, where the link alone does not.
    pub restart: Option<Vec<String>>,
}

/// Where a service of kind `codedeploy` lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeDeploySite {
    /// The application.
    pub application: String,
    /// The deployment group.
    pub group: String,
    /// The deployment configuration of a rollback, where the group's own would be too slow.
    pub rollback_config: Option<String>,
}

/// The kinds of providers that the contract names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProviderKind {
    Directory,
    CodeDeploy,
    Kubernetes,
    ArgoCd,
    Helm,
    GithubActions,
    Spinnaker,
    Command,
    Http,
}

const KINDS: [(&str, ProviderKind); 9] = [
    ("directory", ProviderKind::Directory),
    ("codedeploy", ProviderKind::CodeDeploy),
    ("kubernetes", ProviderKind::Kubernetes),
    ("argocd", ProviderKind::ArgoCd),
    ("helm", ProviderKind::Helm),
    ("github-actions", ProviderKind::GithubActions),
    ("spinnaker", ProviderKind::Spinnaker),
    ("command", ProviderKind::Command),
    ("http", ProviderKind::Http),
];

/// The providers by name: their kind, where it is one, and their settings, where they are sound.
pub(super) type Providers = BTreeMap<String, (Option<ProviderKind>, Option<ProviderSettings>)>;

/// Reads `[providers.NAME]`.
pub(super) fn providers(root: &Table<'_>) -> Providers {
    let mut providers = Providers::new();
    for (name, table) in root.named_tables("providers") {
        let kind = table.word("kind", &KINDS).map(|kind| kind.value);
        if !table.has("kind") {
            table.missing(
                "kind",
                "write kind = \"directory\", \"codedeploy\", \"kubernetes\", \"helm\", \"argocd\", \"github-actions\", \"spinnaker\", \"command\" or \"http\"",
            );
        }
        let settings = match kind {
            Some(ProviderKind::Directory) => Some(ProviderSettings::Directory),
            Some(ProviderKind::CodeDeploy) => codedeploy(&table).map(ProviderSettings::CodeDeploy),
            Some(ProviderKind::Kubernetes) => kubernetes(&table).map(ProviderSettings::Kubernetes),
            Some(ProviderKind::Helm) => helm(&table).map(ProviderSettings::Helm),
            Some(ProviderKind::ArgoCd) => argocd(&table).map(ProviderSettings::ArgoCd),
            Some(ProviderKind::Spinnaker) => spinnaker(&table).map(ProviderSettings::Spinnaker),
            Some(ProviderKind::GithubActions) => github(&table).map(ProviderSettings::GitHub),
            Some(ProviderKind::Command) => command(&table).map(ProviderSettings::Own),
            Some(ProviderKind::Http) => http(&table).map(ProviderSettings::Own),
            None => {
                table.leave_unchecked();
                None
            }
        };
        providers.insert(name.value.to_owned(), (kind, settings));
    }
    providers
}

fn codedeploy(table: &Table<'_>) -> Option<CodeDeploySettings> {
    let region = table.text("region");
    if !table.has("region") {
        table.missing("region", "write region = \"eu-west-1\", the one that its deployment groups are in");
    }
    let written = table.text("endpoint_url");
    let endpoint_url = written.as_ref().and_then(|url| endpoint(table, "endpoint_url", url));
    let (key, might) = ("endpoint_url", "might begin a deployment twice");
    let quarantine = quarantine(table, QUARANTINE, (key, endpoint_url.as_deref()), might)?;
    let region = region?;
    let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.value.is_empty() || !region.value.chars().all(sound) {
        let message = format!("{} is no region", quoted(region.value));
        table.page().fault(region.span, message, "write it like \"eu-west-1\"");
        return None;
    }
    Some(CodeDeploySettings { region: region.value.to_owned(), endpoint_url, quarantine })
}

/// How long after a lost reply "not there" is no proof: at least so long, but where the address of this key leads to this machine.
pub(super) fn quarantine(
    table: &Table<'_>,
    least: Duration,
    (key, url): (&str, Option<&str>),
    might: &str,
) -> Option<Duration> {
    match table.some_length("quarantine") {
        Some(length) if length.value < least && !url.is_some_and(is_loopback) => {
            table.page().fault(
                length.span,
                format!("a `quarantine` below {least:#} {might}"),
                format!("leave it out; it may be shorter only with {} `{key}` on this machine", article(key)),
            );
            None
        }
        Some(length) => Some(length.value),
        None => Some(least),
    }
}

fn article(key: &str) -> &'static str {
    if key.starts_with('e') { "an" } else { "a" }
}

/// An address to which credentials go, so that it must be safe on its way.
pub(super) fn endpoint(table: &Table<'_>, key: &str, url: &At<&str>) -> Option<String> {
    let sound = public_url(table.page(), url)?;
    if sound.starts_with("http://") && !is_loopback(&sound) {
        table.page().fault(
            url.span.clone(),
            format!("`{key}` leaves this machine without TLS"),
            "write https://, or an address of this machine",
        );
        return None;
    }
    Some(sound)
}

/// Whether a URL leads to this machine.
pub(super) fn is_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<hyper::Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A service's provider, by name, and its kind.
pub(super) fn provider(table: &Table<'_>, providers: &Providers) -> Option<(String, Option<ProviderKind>)> {
    let Some(name) = table.text("provider") else {
        if !table.has("provider") {
            table.missing("provider", "name one of [providers.NAME]");
        }
        return None;
    };
    if let Some((kind, _)) = providers.get(name.value) {
        return Some((name.value.to_owned(), *kind));
    }
    let known = providers.keys().map(String::as_str);
    unknown_name(table.page(), &name, "provider", "providers", known);
    None
}

/// `target`, in the shape of the provider's kind; `of_service` is the service's environment.
pub(super) fn target(
    table: &Table<'_>,
    kind: Option<ProviderKind>,
    settings: Option<&ProviderSettings>,
    of_service: &str,
) -> Option<SiteSettings> {
    let Some(target) = table.table("target") else {
        if !table.has("target") {
            table.missing("target", "write target = { root = \"/srv/NAME\" }");
        }
        return None;
    };
    match kind {
        None => {
            target.leave_unchecked();
            None
        }
        Some(ProviderKind::Directory) => directory(&target).map(SiteSettings::Directory),
        Some(ProviderKind::CodeDeploy) => group(&target).map(SiteSettings::CodeDeploy),
        Some(ProviderKind::Kubernetes) => workload(&target).map(SiteSettings::Kubernetes),
        Some(ProviderKind::Helm) => release(&target).map(SiteSettings::Helm),
        Some(ProviderKind::ArgoCd) => application(&target).map(SiteSettings::ArgoCd),
        Some(ProviderKind::GithubActions) => environment(&target, of_service).map(SiteSettings::GitHub),
        Some(ProviderKind::Spinnaker) => way_back(&target).map(SiteSettings::Spinnaker),
        Some(ProviderKind::Command) => program(&target).map(SiteSettings::Own),
        Some(ProviderKind::Http) => {
            let site = address(&target)?;
            if let Some(ProviderSettings::Own(settings)) = settings {
                quarantine_fits(&target, settings, &site);
            }
            Some(SiteSettings::Own(site))
        }
    }
}

/// A text that must be there.
pub(super) fn some_text<'a>(target: &Table<'a>, key: &'static str) -> Option<At<&'a str>> {
    let text = target.text(key);
    if !target.has(key) {
        target.missing(key, format!("write {key} = \"…\""));
    }
    let text = text?;
    if text.value.is_empty() {
        target.page().fault(text.span, format!("`{key}` is empty"), format!("write {key} = \"…\""));
        return None;
    }
    Some(text)
}

/// `{ root, restart }`.
fn directory(target: &Table<'_>) -> Option<DirectorySite> {
    let root = target.text("root");
    let restart = target.item("restart").and_then(|item| later::words(target, "restart", item));
    if !target.has("root") {
        target.missing("root", "write root = \"/srv/NAME\", the folder of releases/ and current");
    }
    let root = root?;
    if root.value.is_empty() {
        target.page().fault(root.span, "`root` is empty", "write the folder of releases/ and current");
        return None;
    }
    Some(DirectorySite { root: target.page().path(root.value), restart })
}

/// `{ application, deployment_group, rollback_config }`.
fn group(target: &Table<'_>) -> Option<CodeDeploySite> {
    let application = some_text(target, "application");
    let group = some_text(target, "deployment_group");
    let rollback_config = target.text("rollback_config").map(|config| config.value.to_owned());
    Some(CodeDeploySite {
        application: application?.value.to_owned(),
        group: group?.value.to_owned(),
        rollback_config,
    })
}
