//! GitHub's `deployment` and `deployment_status` webhooks (docs.github.com, "Webhook events and payloads"; octokit/webhooks;
//! signals §11.1). The kind of event is told from the body: its header is not signed. A deployment begins when it is in
//! progress; what waits has not begun, and `inactive` is what GitHub sets on the ones before a success.

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::alert::{Told, Unreadable, cut};
use super::json::{Object, sound};
use super::moment::Spelled;
use super::proof::Proven;
use super::sender::Protocol;
use super::told::{Facts, Said, told_text};
use crate::case::deployment::DeploymentStatus;
use crate::journal::inbox::Content;

/// GitHub sends at most 25 MB, of which a deployment is some 10 KB. It never sends again by itself: a refusal shows in the
/// webhook's *Recent deliveries*, where somebody can redeliver it.
pub(super) const PROTOCOL: Protocol = Protocol {
    media: &["application/json", "application/x-www-form-urlencoded"],
    body_max: 5 << 20,
    stored: StatusCode::OK,
    unreadable: StatusCode::UNPROCESSABLE_ENTITY,
};

/// Reads what one event says.
///
/// # Errors
/// A deployment that cannot be understood.
pub(super) fn read(body: &Proven<Bytes>, told: Told<'_>) -> Result<Content, Unreadable> {
    let text = sound(body.get()).map_err(Unreadable::new)?;
    let form = (!text.trim_start().starts_with('{')).then(|| {
        let payload = form_urlencoded::parse(text.as_bytes()).find(|(name, _)| name == "payload");
        payload.map(|(_, payload)| payload.into_owned()).unwrap_or_default()
    });
    let text = match &form {
        Some(payload) => sound(payload.as_bytes()).map_err(Unreadable::new)?,
        None => text,
    };
    let Object(event): Object<Event> = serde_json::from_str(text).map_err(Unreadable::new)?;
    let Some(deployment) = event.deployment else {
        let what = if event.zen.is_some() {
            "GitHub's ping"
        } else {
            "an event of GitHub's that is of no deployment"
        };
        return Ok(Content::Aside(what.into()));
    };
    let Some(status) = event.deployment_status else {
        return Ok(Content::Aside(format!(
            "GitHub's deployment {} is made, and has not begun",
            deployment.id
        )));
    };
    let stands = match &*status.state {
        "in_progress" => DeploymentStatus::GoingOut,
        "success" => DeploymentStatus::Finished,
        "failure" | "error" => DeploymentStatus::Failed,
        other => {
            let other = cut(other, 50);
            return Ok(Content::Aside(format!("GitHub's deployment {} is {other}", deployment.id)));
        }
    };
    notice(deployment, &status, stands, event.repository, told).map(|notice| Content::Notices(vec![notice]))
}

fn notice(
    deployment: Deployment,
    status: &Status,
    stands: DeploymentStatus,
    repository: Option<Repository>,
    told: Told<'_>,
) -> Result<crate::case::notice::Notice, Unreadable> {
    let at = status.created_at.unwrap_or_default().0.unwrap_or(told.received_at);
    let facts = Facts::within(deployment.payload, "deployment.payload")?;
    let environment = told_text(deployment.environment);
    let full = repository.as_ref().and_then(|repository| told_text(repository.full_name.clone()));
    let whole = full.as_ref().zip(environment.as_ref());
    let said = Said {
        id: deployment.id.to_string(),
        status: stands,
        at,
        started_at: None,
        // A robot began it for somebody, who is not told.
        by: deployment
            .creator
            .and_then(|creator| told_text(creator.login))
            .filter(|by| !by.ends_with("[bot]")),
        rolled_back: deployment.task.as_deref() == Some("rollback"),
        labels: vec![
            ("deployment", whole.map(|(repository, environment)| format!("{repository}@{environment}"))),
            ("repository", full.clone()),
            ("environment", environment.clone()),
            ("service", repository.as_ref().and_then(|repository| told_text(repository.name.clone()))),
        ],
        version: deployment.reference.filter(|reference| is_version(reference)),
        links: vec![
            told_text(status.log_url.clone()),
            told_text(status.target_url.clone()),
            full.as_ref()
                .zip(deployment.sha.as_ref())
                .map(|(full, sha)| format!("https://github.com/{full}/commit/{sha}")),
        ],
        commit: told_text(deployment.sha),
    };
    facts.notice(said, told)
}

/// A tag such as `v1.42.0`; a branch says nothing of what was put out.
fn is_version(reference: &str) -> bool {
    let number = reference.strip_prefix('v').unwrap_or(reference);
    number.starts_with(|c: char| c.is_ascii_digit()) && number.contains('.') && reference.len() <= 64
}

#[derive(Deserialize)]
struct Event {
    deployment: Option<Deployment>,
    deployment_status: Option<Status>,
    repository: Option<Repository>,
    zen: Option<String>,
}

#[derive(Deserialize)]
struct Deployment {
    id: u64,
    sha: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    task: Option<String>,
    payload: Option<Value>,
    environment: Option<String>,
    creator: Option<Account>,
}

#[derive(Deserialize)]
struct Status {
    state: String,
    created_at: Option<Spelled>,
    log_url: Option<String>,
    target_url: Option<String>,
}

#[derive(Deserialize)]
struct Account {
    login: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    name: Option<String>,
    full_name: Option<String>,
}
