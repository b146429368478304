//! New Relic's workflow webhooks (docs.newrelic.com, "Webhook integrations"; signals §7): a template that its user owns. The
//! default one is read, and ours, `deploy/newrelic-webhook.json`, which tells service and environment too. What is told is an
//! *issue*, which may gather incidents of several services: two values of one thing name nothing.

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;

use super::alert::{Alert, Told, Unreadable, cut};
use super::json::{Listed, Object, Scalar, sound};
use super::moment::Spelled;
use super::proof::Proven;
use super::sender::Protocol;
use crate::case::signal::{Labels, Signal, SignalState};
use crate::journal::inbox::Content;

/// How New Relic takes a refusal is not public; what is proven is taken.
pub(super) const PROTOCOL: Protocol = Protocol {
    media: &["application/json"],
    body_max: 1 << 20,
    stored: StatusCode::OK,
    unreadable: StatusCode::OK,
};

/// So many values of one list can lead to a service.
const LISTED_MAX: usize = 10;

/// Reads what one notification says.
///
/// # Errors
/// What is no issue, such as the bodies of the retired notification channels.
pub(super) fn read(body: &Proven<Bytes>, told: Told<'_>) -> Result<Content, Unreadable> {
    let text = sound(body.get()).map_err(Unreadable::new)?;
    let Object(issue): Object<Issue> = serde_json::from_str(text).map_err(Unreadable::new)?;
    issue.signals(told).map(Content::Signals)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Issue {
    id: Option<Scalar>,
    issue_url: Option<String>,
    title: Option<String>,
    priority: Option<String>,
    impacted_entities: Option<Listed>,
    state: Option<String>,
    created_at: Option<Spelled>,
    updated_at: Option<Spelled>,
    closed_at: Option<Spelled>,
    alert_policy_names: Option<Listed>,
    alert_condition_names: Option<Listed>,
    workflow_name: Option<String>,
    service: Option<Listed>,
    #[serde(alias = "environment")]
    env: Option<Listed>,
    /// Of the notification channels that were retired.
    #[serde(rename = "current_state")]
    legacy: Option<serde::de::IgnoredAny>,
}

impl Issue {
    fn signals(self, told: Told<'_>) -> Result<Vec<Signal>, Unreadable> {
        let (Some(Scalar(id)), Some(state)) = (self.id, self.state.as_deref()) else {
            return Err(Unreadable::new(match self.legacy {
                Some(_) => "a body of the retired notification channels: send issues by a workflow",
                None => {
                    "the body has no id and state of an issue: use the payload of deploy/newrelic-webhook.json"
                }
            }));
        };
        let moment = |at: Option<Spelled>| at.and_then(|at| at.0);
        let updated_at = moment(self.updated_at).unwrap_or(told.received_at);
        let state = match state {
            "CREATED" | "ACTIVATED" => SignalState::Firing,
            "CLOSED" | "DEACTIVATED" => SignalState::Cleared(moment(self.closed_at).unwrap_or(updated_at)),
            other => return Err(Unreadable::new(format_args!("the issue's state is {:?}", cut(other, 50)))),
        };
        let priority = self.priority.unwrap_or_default();
        let severity = match &*priority {
            "CRITICAL" => "critical",
            "HIGH" => "warning",
            _ => "info",
        };
        let conditions = self.alert_condition_names.unwrap_or_default().0;
        let name = match &conditions[..] {
            [one] => Some(one.clone()),
            _ => self.title.clone().filter(|title| !title.is_empty()),
        };
        let mut labels: Labels = [("priority".to_owned(), priority)].into();
        labels.extend(self.workflow_name.map(|workflow| ("workflow".to_owned(), workflow)));
        for (name, values) in [
            ("service", self.service),
            ("environment", self.env),
            ("entity", self.impacted_entities),
            ("policy", self.alert_policy_names),
        ] {
            list(&mut labels, name, values.unwrap_or_default().0);
        }
        list(&mut labels, "condition", conditions);
        let summary = self.title.map(|title| ("summary".to_owned(), title));
        let (created_at, link) = (moment(self.created_at), self.issue_url);
        let annotations: Labels = summary.into_iter().collect();
        let alert = |severity: &str| Alert {
            name: name.clone().unwrap_or_else(|| "New Relic issue".into()),
            // An issue that gets worse is another episode (product §7), and New Relic keeps its id.
            episode: if severity == "critical" { id.clone() } else { format!("{id}-{severity}") },
            state,
            labels: {
                let mut labels = labels.clone();
                labels.insert("severity".into(), severity.into());
                labels
            },
            annotations: annotations.clone(),
            started_at: created_at.unwrap_or(updated_at),
            lag: None,
            link: link.clone(),
        };
        // What is closed is closed whatever it was before.
        let severities: &[&str] = match state {
            SignalState::Cleared(_) => &SEVERITIES,
            SignalState::Firing | SignalState::NoData => &[severity],
        };
        Ok(severities.iter().map(|severity| alert(severity).signal(told)).collect())
    }
}

/// How grave an issue can be.
const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];

/// One value is a label of this name; several are `NAME_0`, `NAME_1`, …, which a `map` can know, and which lead nowhere where
/// they lead to two services.
fn list(labels: &mut Labels, name: &str, mut values: Vec<String>) {
    values.dedup();
    match &mut values[..] {
        [] => {}
        [one] => drop(labels.insert(name.to_owned(), std::mem::take(one))),
        _ => {
            let numbered = values.into_iter().take(LISTED_MAX).enumerate();
            labels.extend(numbered.map(|(nth, value)| (format!("{name}_{nth}"), value)));
        }
    }
}
