//! PagerDuty's V3 webhooks (PagerDuty/developer-docs `docs/webhooks`; signals §2): one event of one incident. An incident
//! that is triggered, escalated, reopened or acknowledged is still there; resolved, it is over, unless it was merged into
//! another. The webhook carries no labels of the alert, so that the source's `map` by the id of PagerDuty's service is what
//! leads to a service of ours. What other events tell is put aside: the list of types grows, and a refusal would count
//! towards the subscription's end.

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;

use super::alert::{Alert, Told, Unreadable, cut};
use super::json::{Object, sound};
use super::moment::Spelled;
use super::proof::Proven;
use super::sender::Protocol;
use crate::case::id::Timestamp;
use crate::case::signal::{Labels, SignalState};
use crate::journal::inbox::Content;

/// 55 KB are promised and 256 KB possible. A 4xx is dropped, and three of them end the subscription for a day.
pub(super) const PROTOCOL: Protocol = Protocol {
    media: &["application/json"],
    body_max: 1 << 20,
    stored: StatusCode::ACCEPTED,
    unreadable: StatusCode::ACCEPTED,
};

/// The events after which the incident is as their `status` says.
const OF_THE_INCIDENT: [&str; 11] = [
    "incident.triggered",
    "incident.acknowledged",
    "incident.unacknowledged",
    "incident.resolved",
    "incident.reopened",
    "incident.escalated",
    "incident.delegated",
    "incident.reassigned",
    "incident.priority_updated",
    "incident.service_updated",
    "incident.incident_type.changed",
];

/// What the keys of our own pages begin with (`report/pager.rs`): whom we woke must not be what we roll back for.
const OUR_PAGES: &str = "snapback/";

/// Reads what one event says.
///
/// # Errors
/// What is no event of V3, such as the `messages` of V2.
pub(super) fn read(body: &Proven<Bytes>, told: Told<'_>) -> Result<Content, Unreadable> {
    let text = sound(body.get()).map_err(Unreadable::new)?;
    let Object(Envelope { event }) = serde_json::from_str(text).map_err(Unreadable::new)?;
    let Some(event) = event else {
        return Err(Unreadable::new("the body is JSON, and not an event of PagerDuty's V3 webhooks"));
    };
    if !OF_THE_INCIDENT.contains(&&*event.event_type) {
        return Ok(Content::Aside(format!("PagerDuty's event {}", cut(&event.event_type, 100))));
    }
    let incident: Incident = serde_json::from_str(event.data.get()).map_err(Unreadable::new)?;
    if incident.incident_key.as_ref().is_some_and(|key| key.starts_with(OUR_PAGES)) {
        return Ok(Content::Aside(format!("incident {} is a page of Snapback's own", incident.id)));
    }
    if let Some(merged) = incident.resolve_reason.as_ref().filter(|reason| reason.kind.contains("merge")) {
        let into = merged.incident.as_ref().map_or("another", |incident| &incident.id);
        // Merging ends the incident and not the trouble: the other incident goes on with it.
        return Ok(Content::Aside(format!("incident {} was merged into {into}", incident.id)));
    }
    let occurred_at = event.occurred_at.unwrap_or_default().0.unwrap_or(told.received_at);
    let state = match &*incident.status {
        "triggered" | "acknowledged" => SignalState::Firing,
        "resolved" => SignalState::Cleared(occurred_at),
        other => return Err(Unreadable::new(format_args!("the incident's status is {other:?}"))),
    };
    Ok(Content::Signals(vec![alert(incident, state, occurred_at).signal(told)]))
}

fn alert(incident: Incident, state: SignalState, occurred_at: Timestamp) -> Alert {
    // What was reopened began anew; its first start would make it the old run, which is over.
    let began = [incident.reopened_at, incident.created_at].into_iter().flatten().find_map(|at| at.0);
    let mut labels = Labels::new();
    let mut put =
        |name: &str, value: Option<String>| labels.extend(value.map(|value| (name.to_owned(), value)));
    put("urgency", incident.urgency);
    put("priority", incident.priority.and_then(|priority| priority.summary));
    put("incident_type", incident.incident_type.and_then(|kind| kind.name));
    if let Some(service) = incident.service {
        put("pagerduty_service", Some(service.id));
        put("pagerduty_service_name", service.summary);
    }
    let annotations = [("summary", incident.title.clone()), ("incident_key", incident.incident_key)];
    let annotations = annotations.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Alert {
        name: incident.title.filter(|title| !title.is_empty()).unwrap_or_else(|| "PagerDuty incident".into()),
        episode: incident.id,
        state,
        labels,
        annotations: annotations.collect(),
        started_at: began.unwrap_or(occurred_at),
        lag: None,
        link: incident.html_url,
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    event: Option<Event<'a>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    event_type: String,
    occurred_at: Option<Spelled>,
    /// Its shape is told by the type: of an incident only for those of [`OF_THE_INCIDENT`].
    #[serde(borrow)]
    data: &'a serde_json::value::RawValue,
}

#[derive(Deserialize)]
struct Incident {
    id: String,
    status: String,
    title: Option<String>,
    html_url: Option<String>,
    incident_key: Option<String>,
    created_at: Option<Spelled>,
    reopened_at: Option<Spelled>,
    urgency: Option<String>,
    service: Option<Reference>,
    priority: Option<Reference>,
    incident_type: Option<Named>,
    resolve_reason: Option<Reason>,
}

/// PagerDuty's reference to something else: its id stays, its summary is renamed by people.
#[derive(Deserialize)]
struct Reference {
    id: String,
    summary: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(rename = "type")]
    kind: String,
    incident: Option<Reference>,
}
