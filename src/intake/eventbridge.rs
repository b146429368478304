//! EventBridge's API destinations (AWS, "CloudWatch events and EventBridge"; signals §4.2): one event in each request, proved
//! by a header of the connection. Alarms of CloudWatch's are read; what else a rule may send is put aside. A composite alarm
//! whose actions are suppressed is muted, and neither fires nor clears.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;

use super::alert::{Told, Unreadable, cut};
use super::cloudwatch::{Alarm, Measured};
use super::json::{Object, sound};
use super::moment::{Spelled, moment};
use super::proof::Proven;
use super::sender::Protocol;
use crate::case::id::{Duration, Timestamp};
use crate::journal::inbox::Content;

/// An event is at most 256 KB. A 4xx is not sent again, and lands in the rule's dead-letter queue where there is one.
pub(super) const PROTOCOL: Protocol = Protocol {
    media: &["application/json"],
    body_max: 512 << 10,
    stored: StatusCode::OK,
    unreadable: StatusCode::OK,
};

/// What an alarm's event is called.
const ALARM: &str = "CloudWatch Alarm State Change";

/// Reads what an event says.
///
/// # Errors
/// What is no event: an input transformer of the rule can make any JSON of it.
pub(super) fn read(body: &Proven<Bytes>, told: Told<'_>) -> Result<Content, Unreadable> {
    let text = sound(body.get()).map_err(Unreadable::new)?;
    let Object(event): Object<Event<'_>> = serde_json::from_str(text).map_err(Unreadable::new)?;
    if event.detail_type != ALARM {
        return Ok(Content::Aside(format!("EventBridge's event {:?}", cut(&event.detail_type, 100))));
    }
    let Object(detail): Object<Detail> = serde_json::from_str(event.detail.get()).map_err(Unreadable::new)?;
    if let Some(by) = detail.state.suppressed_by.as_deref().filter(|by| !by.is_empty()) {
        let name = cut(&detail.name, 255);
        return Ok(Content::Aside(format!(
            "alarm {name} changed while its actions are suppressed by {}",
            cut(by, 50)
        )));
    }
    let arn = event.resources.unwrap_or_default().into_iter().next();
    let alarm = detail.alarm(arn, event.region, event.account.unwrap_or_default(), told).checked()?;
    Ok(Content::Signals(vec![alarm.signal(told)]))
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "detail-type")]
    detail_type: String,
    account: Option<String>,
    region: Option<String>,
    resources: Option<Vec<String>>,
    #[serde(borrow)]
    detail: &'a serde_json::value::RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    #[serde(rename = "alarmName")]
    name: String,
    state: State,
    previous_state: Option<State>,
    configuration: Option<Configuration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    value: String,
    reason: Option<String>,
    reason_data: Option<String>,
    timestamp: Option<Spelled>,
    #[serde(rename = "actionsSuppressedBy")]
    suppressed_by: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    description: Option<String>,
    metrics: Option<Vec<Metric>>,
    alarm_rule: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metric {
    metric_stat: Option<MetricStat>,
}

#[derive(Deserialize)]
struct MetricStat {
    metric: MetricId,
}

#[derive(Deserialize)]
struct MetricId {
    namespace: Option<String>,
    name: Option<String>,
    dimensions: Option<BTreeMap<String, String>>,
}

/// What `reasonData` holds, a text with JSON in it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Looked {
    start_date: Option<String>,
}

impl Detail {
    fn alarm(self, arn: Option<String>, told_in: Option<String>, account: String, told: Told<'_>) -> Alarm {
        let changed_at = self.state.timestamp.unwrap_or_default().0.unwrap_or(told.received_at);
        let configuration = self.configuration;
        let composite = configuration.as_ref().is_some_and(|configured| configured.alarm_rule.is_some());
        let (description, metrics) =
            configuration.map_or((None, None), |configured| (configured.description, configured.metrics));
        Alarm {
            arn,
            told_in,
            name: self.name,
            account,
            lag: self.state.reason_data.as_deref().and_then(|data| looked_back(data, changed_at)),
            state: self.state.value,
            changed_at,
            reason: self.state.reason,
            description,
            metrics: metrics.unwrap_or_default().into_iter().filter_map(Metric::measured).collect(),
            children: Vec::new(),
            composite,
            more: self.previous_state.map(|was| ("previous_state", was.value)).into_iter().collect(),
        }
    }
}

impl Metric {
    fn measured(self) -> Option<Measured> {
        let MetricId { namespace, name, dimensions } = self.metric_stat?.metric;
        Some(Measured { namespace, name, dimensions: dimensions.unwrap_or_default().into_iter().collect() })
    }
}

/// From the first point that the alarm looked at to its change.
fn looked_back(data: &str, changed_at: Timestamp) -> Option<Duration> {
    let Looked { start_date } = serde_json::from_str(data).ok()?;
    let since = moment(&start_date?).ok().flatten()?;
    let lag = changed_at.duration_since(since);
    (lag > Duration::ZERO && lag <= Duration::from_hours(7 * 24)).then_some(lag)
}
