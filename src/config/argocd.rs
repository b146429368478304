//! Argo CD in the configuration: where its API is and who we are there, and which Application a service is.

use super::fault::quoted;
use super::kubernetes::sound;
use super::providers::{endpoint, quarantine, some_text};
use super::read::Table;
use super::secret::{Secret, secret};
use crate::case::id::Duration;

/// As for Kubernetes, whose API Argo CD writes to: how long after a lost reply "not there" is no proof (failure model §4).
const QUARANTINE: Duration = Duration::from_secs(75);

/// `[providers.NAME]` of kind `argocd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgoCdSettings {
    /// Where its API is, without a slash at the end.
    pub url: String,
    /// Who we are there.
    pub token: Secret,
    /// How long after a lost reply "not there" is no proof.
    pub quarantine: Duration,
}

/// Where a service of kind `argocd` lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgoCdSite {
    /// The Application.
    pub application: String,
    /// Its namespace, where that is not Argo CD's own.
    pub namespace: Option<String>,
    /// Its project.
    pub project: Option<String>,
    /// Whether a rollback deletes what the bad release added.
    pub prune: bool,
}

/// Reads `[providers.NAME]`.
pub(super) fn argocd(table: &Table<'_>) -> Option<ArgoCdSettings> {
    let url = table.text("url");
    if !table.has("url") {
        table.missing("url", "write url = \"https://argocd.example.com\"");
    }
    let token = secret(table, "token");
    if !table.has("token") {
        table.missing(
            "token",
            "write token = { env = \"ARGOCD_TOKEN\" }: a token of a project's role or an account",
        );
    }
    let url = url.as_ref().and_then(|url| endpoint(table, "url", url));
    let quarantine = quarantine(table, QUARANTINE, ("url", url.as_deref()), "might roll back twice")?;
    Some(ArgoCdSettings { url: url?, token: token?.value, quarantine })
}

/// `{ application, namespace, project, prune }`.
pub(super) fn application(target: &Table<'_>) -> Option<ArgoCdSite> {
    let application = some_text(target, "application");
    let namespace = match target.text("namespace") {
        Some(namespace) => Some(sound(target, &namespace, 63)?),
        None => None,
    };
    let project = target.text("project");
    let prune = target.flag("prune");
    if let Some(project) = project.as_ref().filter(|project| project.value.is_empty()) {
        target.page().fault(
            project.span.clone(),
            format!("{} is no project", quoted(project.value)),
            "name one, or leave it out",
        );
        return None;
    }
    Some(ArgoCdSite {
        application: sound(target, &application?, 253)?,
        namespace,
        project: project.map(|project| project.value.to_owned()),
        prune: prune.is_some_and(|prune| prune.value),
    })
}
