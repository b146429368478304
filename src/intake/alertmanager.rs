//! Alertmanager's webhook, version 4 (prometheus/alertmanager `notify/webhook/webhook.go`, `template/template.go`).
//! One signal for each alert, read on its own: the group's status and common labels are true of the listed alerts
//! only, and are not used. Fields that we do not know, and those that we do not need, are skipped.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

use super::json::{Object, Pairs, Text, sound};
use super::moment::{Spelled, length};
use super::proof::Proven;
use crate::case::id::{Duration, Fingerprint, SignalName, SourceName, Timestamp};
use crate::case::signal::{Labels, Lag, Signal, SignalState};

/// A body is at most this long: a group has no limit unless its sender sets `max_alerts`, and 10,000 alerts of
/// 1.4 kB fit.
pub(super) const BODY_MAX: usize = 16 << 20;

/// Alerts of one group. More would be more memory than one message may take.
const ALERTS_MAX: usize = 20_000;

/// The longest value of a label or annotation; what is beyond is cut and shown as cut.
const VALUE_MAX: usize = 8 << 10;

/// The longest name of a label, an annotation or an alert.
const NAME_MAX: usize = 256;

/// The longest link; browsers and chats take no more either.
const LINK_MAX: usize = 2 << 10;

/// The longest reason that is stored: it may quote the sender.
const REASON_MAX: usize = 300;

/// Stands before a fingerprint of our own. No sender's fingerprint holds a colon.
const OWN_FINGERPRINT: &str = "labels:";

/// What an alert without `alertname` is called.
const UNNAMED: &str = "unnamed";

/// How much earlier than its start an alert's trouble may have begun, by the alert's own word.
const LAG_ANNOTATION: &str = "snapback_lag";

/// An authentic message that cannot be read; why, for the dead letters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(String);

impl Unreadable {
    fn new(why: impl fmt::Display) -> Unreadable {
        Unreadable(cut(&why.to_string(), REASON_MAX))
    }
}

/// Reads the signals of one message, in its order.
///
/// `lag` is the source's own, for alerts that do not say better.
///
/// # Errors
/// The whole message, when any of it is not what Alertmanager writes: an alert that is half understood could be
/// mapped to the wrong service.
pub(super) fn read(
    body: &Proven<Bytes>,
    source: &SourceName,
    lag: Duration,
    received_at: Timestamp,
) -> Result<Vec<Signal>, Unreadable> {
    let text = sound(body.get()).map_err(Unreadable::new)?;
    let Object(message): Object<Message<'_>> = serde_json::from_str(text).map_err(Unreadable::new)?;
    if !message.is_alertmanagers() {
        return Err(Unreadable::new(
            "the body is JSON, and not a message of Alertmanager's: it lists no alerts",
        ));
    }
    let incomplete = message.truncated.unwrap_or(0) > 0;
    let told = Told { source, lag, received_at, incomplete };
    let alerts = message.alerts.map(|alerts| alerts.0).unwrap_or_default();
    let numbered = (1..).zip(alerts);
    numbered
        .map(|(number, alert)| {
            told.signal(alert).map_err(|why| Unreadable::new(format_args!("alert {number}: {why}")))
        })
        .collect()
}

/// What all signals of one message share.
struct Told<'a> {
    source: &'a SourceName,
    lag: Duration,
    received_at: Timestamp,
    /// `max_alerts` cut some off, in the order of their labels: an absence means nothing.
    incomplete: bool,
}

impl Told<'_> {
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
            ("resolved", ended) => SignalState::Cleared(ended.unwrap_or(self.received_at)),
            ("", Some(ended)) if ended <= self.received_at => SignalState::Cleared(ended),
            ("", _) => SignalState::Firing,
            _ => return Err("its status is neither firing nor resolved"),
        };
        // As Alertmanager itself does for an alert without a start; a clear without one began before its end.
        let started_at = alert.starts_at.unwrap_or_default().0.unwrap_or(match state {
            SignalState::Cleared(ended) => ended.min(self.received_at),
            SignalState::Firing | SignalState::NoData => self.received_at,
        });
        let annotations = annotations(alert.annotations.unwrap_or_default());
        let lag = annotations.get(LAG_ANNOTATION).and_then(|text| length(text));
        Ok(Signal {
            source: self.source.clone(),
            name: SignalName::new(name(&labels)),
            fingerprint: fingerprint(alert.fingerprint, &labels),
            state,
            labels: labels
                .kept
                .into_iter()
                .map(|(name, value)| (name.0.into_owned(), value_of(value)))
                .collect::<Labels>()
                .into(),
            annotations: annotations.into(),
            started_at,
            received_at: self.received_at,
            lag: lag.map_or(Lag::Assumed(self.lag), Lag::Bound),
            incomplete: self.incomplete,
            link: alert.generator_url.and_then(link),
        })
    }
}

/// The alert's name.
fn name(labels: &Pairs<'_>) -> String {
    let named = labels.kept.iter().find(|(name, _)| name.0 == "alertname");
    named.map_or_else(|| UNNAMED.to_owned(), |(_, value)| cut(&value.0, NAME_MAX))
}

/// The sender's fingerprint, or one of our own over the sorted labels where it gives none (before 0.19) or none
/// that could be one.
fn fingerprint(told: Option<Text<'_>>, labels: &Pairs<'_>) -> Fingerprint {
    let sound = |text: &str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if let Some(text) = told.filter(|text| sound(&text.0)) {
        return Fingerprint::new(text.0);
    }
    let mut context = Context::new(&SHA256);
    for part in labels.kept.iter().flat_map(|(name, value)| [name, value]) {
        context.update(&(part.0.len() as u64).to_le_bytes());
        context.update(part.0.as_bytes());
    }
    let digest = context.finish();
    let mut text = OWN_FINGERPRINT.to_owned();
    for byte in &digest.as_ref()[..8] {
        use fmt::Write;
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Fingerprint::new(text)
}

/// Annotations are for people and never identity, so what is too much of them is left out.
fn annotations(pairs: Pairs<'_>) -> Labels {
    let short = pairs.kept.into_iter().filter(|(name, _)| name.0.len() <= NAME_MAX);
    short.map(|(name, value)| (name.0.into_owned(), value_of(value))).collect()
}

fn value_of(text: Text<'_>) -> String {
    if text.0.len() <= VALUE_MAX { text.0.into_owned() } else { cut(&text.0, VALUE_MAX) }
}

/// At most so many bytes of a text, with a sign where it was cut.
fn cut(text: &str, most: usize) -> String {
    const SIGN: &str = "…";
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most - SIGN.len());
    format!("{}{SIGN}", &text[..end])
}

/// A link that a person may follow: the web, and nothing that a browser would do something else with.
fn link(url: Text<'_>) -> Option<String> {
    let web = ["http://", "https://"]
        .iter()
        .any(|scheme| url.0.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let plain = !url.0.chars().any(|c| c.is_control() || c.is_whitespace());
    (web && plain && url.0.len() <= LINK_MAX).then(|| url.0.into_owned())
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
