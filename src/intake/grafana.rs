//! Grafana's contact point "Webhook" (grafana/alerting `receivers/webhook/v1`, `templates/template_data.go`; signals §8):
//! Alertmanager's message with more in it. What differs: trouble with the data comes as alerts of its own, and is neither
//! trouble of the service nor its end; the button *Test* sends an alert that looks real.

use bytes::Bytes;
use hyper::StatusCode;

use super::alert::{Told, Unreadable};
use super::alertmanager;
use super::proof::Proven;
use super::sender::Protocol;
use crate::case::signal::{Signal, SignalState};
use crate::journal::inbox::Content;

/// Only a 2xx is a success; after anything else the group comes again at the next flush, for as long as it fires.
pub(super) const PROTOCOL: Protocol = Protocol {
    media: &["application/json"],
    body_max: 16 << 20,
    stored: StatusCode::OK,
    unreadable: StatusCode::OK,
};

/// The alerts that stand for a rule whose data is missing or cannot be read (grafana/grafana#90447).
const NO_DATA: [&str; 2] = ["DatasourceNoData", "DatasourceError"];

/// Reads the signals of one message, in its order.
///
/// # Errors
/// As [`alertmanager::read`]; the alerts of Grafana before 9 have another shape and are unreadable.
pub(super) fn read(body: &Proven<Bytes>, told: Told<'_>) -> Result<Content, Unreadable> {
    let signals = alertmanager::read(body, told)?;
    let all = signals.len();
    let signals: Vec<Signal> = signals.into_iter().filter(|signal| !is_test(signal)).map(of_data).collect();
    if signals.is_empty() && all > 0 {
        return Ok(Content::Aside("Grafana's test notification".into()));
    }
    Ok(Content::Signals(signals))
}

/// The button *Test* of a contact point: `TestAlert` of the instance `Grafana`, which no rule of a user's is.
fn is_test(signal: &Signal) -> bool {
    let says = |label: &str, text: &str| signal.labels.get(label).is_some_and(|value| value == text);
    says("alertname", "TestAlert") && says("instance", "Grafana")
}

/// Missing data is not broken, and its end is no recovery.
fn of_data(signal: Signal) -> Signal {
    if NO_DATA.contains(&signal.name.as_str()) {
        Signal { state: SignalState::NoData, ..signal }
    } else {
        signal
    }
}
