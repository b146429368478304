//! CodeDeploy's own notices (awsdocs/aws-codedeploy-user-guide; signals §5), as its triggers publish them through SNS and as
//! EventBridge sends them. They tell no revision: what they are good for is that the provider is read at once, which knows
//! what was put out and by whom.

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::alert::{Told, Unreadable, cut};
use super::json::{Object, sound};
use super::moment::Spelled;
use super::proof::Proven;
use super::sender::Protocol;
use super::sns::{self, Envelope};
use super::told::{Facts, Said, told_text};
use crate::case::deployment::DeploymentStatus;
use crate::case::notice::Notice;
use crate::journal::inbox::Content;

/// By EventBridge; by SNS its own door is taken.
pub(super) const PROTOCOL: Protocol = Protocol {
    media: &["application/json"],
    body_max: 512 << 10,
    stored: StatusCode::OK,
    unreadable: StatusCode::OK,
};

/// What EventBridge calls it.
const CHANGE: &str = "CodeDeploy Deployment State-change Notification";

/// Reads what EventBridge sends.
///
/// # Errors
/// What is no event.
pub(super) fn event(body: &Proven<Bytes>, told: Told<'_>) -> Result<Content, Unreadable> {
    let text = sound(body.get()).map_err(Unreadable::new)?;
    let Object(event): Object<Event<'_>> = serde_json::from_str(text).map_err(Unreadable::new)?;
    if event.detail_type != CHANGE {
        return Ok(Content::Aside(format!("EventBridge's event {:?}", cut(&event.detail_type, 100))));
    }
    let Object(detail): Object<Detail> = serde_json::from_str(event.detail.get()).map_err(Unreadable::new)?;
    let at = event.time.unwrap_or_default().0.unwrap_or(told.received_at);
    let said = said(detail.deployment, &detail.state, at, detail.application, detail.group, event.region);
    Ok(content(said, told))
}

/// Reads what SNS carries.
///
/// # Errors
/// A trigger's message that cannot be understood.
pub(super) fn message(body: &Proven<Bytes>, told: Told<'_>) -> Result<Content, Unreadable> {
    let envelope = Envelope::read(body.get())?;
    if let Some(aside) = sns::aside(&envelope, told) {
        return Ok(aside);
    }
    let text = &envelope.message;
    let trigger = serde_json::from_str::<Object<Trigger>>(text);
    let Ok(Object(trigger)) = trigger else {
        return Ok(Content::Aside("a notification that is none of CodeDeploy's triggers".into()));
    };
    let (Some(application), Some(group), Some(status)) = (trigger.application, trigger.group, trigger.status)
    else {
        return Ok(Content::Aside("a trigger of CodeDeploy's for an instance".into()));
    };
    let at = trigger.completed_at.unwrap_or_default().0.or(trigger.created_at.unwrap_or_default().0);
    let at = at.unwrap_or(told.received_at);
    Ok(content(said(trigger.deployment, &status, at, application, group, trigger.region), told))
}

fn content(said: Option<Said>, told: Told<'_>) -> Content {
    let notice: Option<Notice> = said.and_then(|said| Facts::default().notice(said, told).ok());
    notice.map_or_else(
        || Content::Aside("a state of CodeDeploy's that is none of ours".into()),
        |notice| Content::Notices(vec![notice]),
    )
}

/// What both forms say. `None`: a state of tomorrow, which the next reading of the provider shows too.
fn said(
    deployment: String,
    state: &str,
    at: crate::case::id::Timestamp,
    application: String,
    group: String,
    region: Option<String>,
) -> Option<Said> {
    let status = match &*state.to_ascii_uppercase() {
        "START" | "CREATED" | "QUEUED" | "IN_PROGRESS" | "INPROGRESS" | "READY" => DeploymentStatus::GoingOut,
        "SUCCESS" | "SUCCEEDED" => DeploymentStatus::Finished,
        "FAILURE" | "FAILED" => DeploymentStatus::Failed,
        "STOP" | "STOPPED" => DeploymentStatus::Stopped,
        _ => return None,
    };
    let whole = format!("{application}/{group}");
    let region = region.and_then(|region| told_text(Some(region)));
    // Two regions may have groups of one name.
    let place = region.as_ref().map(|region| format!("{region}/{whole}"));
    Some(Said {
        id: deployment,
        status,
        at,
        started_at: None,
        by: None,
        rolled_back: false,
        labels: vec![
            ("deployment_group", Some(whole)),
            ("application", Some(application)),
            ("group", Some(group)),
            ("region", region),
            ("place", place),
        ],
        version: None,
        commit: None,
        links: Vec::new(),
    })
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "detail-type")]
    detail_type: String,
    time: Option<Spelled>,
    region: Option<String>,
    #[serde(borrow)]
    detail: &'a RawValue,
}

#[derive(Deserialize)]
struct Detail {
    application: String,
    #[serde(rename = "deploymentGroup")]
    group: String,
    #[serde(rename = "deploymentId")]
    deployment: String,
    state: String,
}

#[derive(Deserialize)]
struct Trigger {
    region: Option<String>,
    #[serde(rename = "applicationName")]
    application: Option<String>,
    #[serde(rename = "deploymentGroupName")]
    group: Option<String>,
    #[serde(rename = "deploymentId")]
    deployment: String,
    status: Option<String>,
    #[serde(rename = "createTime")]
    created_at: Option<Spelled>,
    #[serde(rename = "completeTime")]
    completed_at: Option<Spelled>,
}
