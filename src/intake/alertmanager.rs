//! Alertmanager's webhook, version 4 (prometheus/alertmanager `notify/webhook/webhook.go`, `template/template.go`).
//! One signal for each alert, read on its own: the group's status and common labels are true of the listed alerts
//! only, and are not used. Fields that we do not know, and those that we do not need, are skipped.

use std::fmt;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

use super::alert::{NAME_MAX, Told, Unreadable, cut, fingerprint, link, value};
use super::json::{Object, Pairs, Text, sound};
use super::moment::{Spelled, length};
use super::proof::Proven;
use super::sender::Protocol;
use crate::case::id::SignalName;
use crate::case::signal::{Labels, Lag, Signal, SignalState};

/// A group has no limit unless its sender sets `max_alerts`, and 10,000 alerts of 1.4 kB fit. A 4xx is never sent again.
pub(super) const PROTOCOL: Protocol = Protocol {
    media: &["application/json"],
    body_max: 16 << 20,
    stored: StatusCode::OK,
    unreadable: StatusCode::OK,
};

/// Alerts of one group. More would be more memory than one message may take.
const ALERTS_MAX: usize = 20_000;

/// What an alert without `alertname` is called.
const UNNAMED: &str = "unnamed";

/// How much earlier than its start an alert's trouble may have begun, by the alert's own word.
const LAG_ANNOTATION: &str = "snapback_lag";

/// Reads the signals of one message, in its order.
///
/// # Errors
/// The whole message, when any of it is not what Alertmanager writes: an alert that is half understood could be
/// mapped to the wrong service.
pub(super) fn read(body: &Proven<Bytes>, told: Told<'_>) -> Result<Vec<Signal>, Unreadable> {
    let text = sound(body.get()).map_err(Unreadable::new)?;
    let Object(message): Object<Message<'_>> = serde_json::from_str(text).map_err(Unreadable::new)?;
    if !message.is_alertmanagers() {
        return Err(Unreadable::new(
            "the body is JSON, and not a message of Alertmanager's: it lists no alerts",
        ));
    }
    let incomplete = message.truncated.unwrap_or(0) > 0;
    let group = Group { told, incomplete };
    let alerts = message.alerts.map(|alerts| alerts.0).unwrap_or_default();
    let numbered = (1..).zip(alerts);
    numbered
        .map(|(number, alert)| {
            group.signal(alert).map_err(|why| Unreadable::new(format_args!("alert {number}: {why}")))
        })
        .collect()
}

/// What all signals of one message share.
struct Group<'a> {
    told: Told<'a>,
    /// `max_alerts` cut some off, in the order of their labels: an absence means nothing.
    incomplete: bool,
}

impl Group<'_> {
    fn signal(&self, alert: Alert<'_>) -> Result<Signal, &'static str> {
        let labels = alert.labels.unwrap_or_default();
        // A label that is left out reads as empty and could make a rule hold, so nothing is left out here.
        if labels.beyond > 0 {
            return Err("more than 64 labels");
        }
        if labels.kept.iter().any(|(name, _)| name.0.len() > NAME_MAX) {
            return Err("the name of a label is longer than 256 bytes");
        }
        let ended_at = alert.ends_at.unwrap_or_default().0;
        let state = match (alert.status.as_ref().map_or("", |status| &*status.0), ended_at) {
            ("firing", _) => SignalState::Firing,
            ("resolved", ended) => SignalState::Cleared(ended.unwrap_or(self.told.received_at)),
            ("", Some(ended)) if ended <= self.told.received_at => SignalState::Cleared(ended),
            ("", _) => SignalState::Firing,
            _ => return Err("its status is neither firing nor resolved"),
        };
        // As Alertmanager itself does for an alert without a start; a clear without one began before its end.
        let started_at = alert.starts_at.unwrap_or_default().0.unwrap_or(match state {
            SignalState::Cleared(ended) => ended.min(self.told.received_at),
            SignalState::Firing | SignalState::NoData => self.told.received_at,
        });
        let annotations = annotations(alert.annotations.unwrap_or_default());
        let lag = annotations.get(LAG_ANNOTATION).and_then(|text| length(text));
        Ok(Signal {
            source: self.told.source.clone(),
            name: SignalName::new(name(&labels)),
            fingerprint: fingerprint(alert.fingerprint.as_ref().map(|text| &*text.0), labels.texts()),
            state,
            labels: labels
                .kept
                .into_iter()
                .map(|(name, text)| (name.0.into_owned(), value(text.0.into_owned())))
                .collect::<Labels>()
                .into(),
            annotations: annotations.into(),
            started_at,
            received_at: self.told.received_at,
            lag: lag.map_or(Lag::Assumed(self.told.lag), Lag::Bound),
            incomplete: self.incomplete,
            link: alert.generator_url.and_then(|url| link(url.0.into_owned())),
        })
    }
}

/// The alert's name.
fn name(labels: &Pairs<'_>) -> String {
    let named = labels.kept.iter().find(|(name, _)| name.0 == "alertname");
    named.map_or_else(|| UNNAMED.to_owned(), |(_, value)| cut(&value.0, NAME_MAX))
}

/// Annotations are for people and never identity, so what is too much of them is left out.
fn annotations(pairs: Pairs<'_>) -> Labels {
    let short = pairs.kept.into_iter().filter(|(name, _)| name.0.len() <= NAME_MAX);
    short.map(|(name, text)| (name.0.into_owned(), value(text.0.into_owned()))).collect()
}

/// One message. `version` is not read: absent means 4, and another one is read as far as it can be.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    alerts: Option<Alerts<'a>>,
    #[serde(rename = "truncatedAlerts")]
    truncated: Option<u64>,
    #[serde(rename = "groupKey")]
    group_key: Option<IgnoredAny>,
    receiver: Option<IgnoredAny>,
}

impl Message<'_> {
    /// A user may replace the whole body by a template (since 0.32), so that it may be any JSON.
    fn is_alertmanagers(&self) -> bool {
        self.alerts.is_some() || self.group_key.is_some() || self.receiver.is_some()
    }
}

#[derive(Deserialize)]
struct Alert<'a> {
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    labels: Option<Pairs<'a>>,
    #[serde(borrow)]
    annotations: Option<Pairs<'a>>,
    #[serde(rename = "startsAt")]
    starts_at: Option<Spelled>,
    #[serde(rename = "endsAt")]
    ends_at: Option<Spelled>,
    #[serde(borrow, rename = "generatorURL")]
    generator_url: Option<Text<'a>>,
    #[serde(borrow)]
    fingerprint: Option<Text<'a>>,
}

/// The alerts of one message, refused while they are read when they are too many.
struct Alerts<'a>(Vec<Alert<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Alerts<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Alerts<'a>, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Alerts<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of alerts")
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Alerts<'de>, S::Error> {
                let mut alerts = Vec::new();
                while let Some(Object(alert)) = list.next_element()? {
                    if alerts.len() == ALERTS_MAX {
                        return Err(S::Error::custom("more than 20,000 alerts in one message"));
                    }
                    alerts.push(alert);
                }
                Ok(Alerts(alerts))
            }
        }
        from.deserialize_seq(Reader)
    }
}

#[cfg(test)]
mod tests;
