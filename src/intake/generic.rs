//! Generic senders: any JSON, mapped by formulas of the configuration (`case/mapping.rs`). Leaves to them where a message says
//! what; what they give is checked like any sender's.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use cel::Value;
use cel::objects::{Key, Map};
use hyper::StatusCode;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::alert::{Alert, Told, Unreadable, cut};
use super::json::sound;
use super::moment::moment;
use super::proof::Proven;
use super::sender::Protocol;
use crate::case::mapping::{MappedAlert, Mapping};
use crate::case::signal::{Signal, SignalState};
use crate::journal::inbox::Content;

/// What its sender makes of an answer nobody knows: a refusal is seen by whoever sets it up, and the message is kept all the
/// same.
pub(super) const PROTOCOL: Protocol = Protocol {
    media: &["application/json"],
    body_max: 1 << 20,
    stored: StatusCode::OK,
    unreadable: StatusCode::UNPROCESSABLE_ENTITY,
};

/// Reads what a message says, by this mapping.
///
/// # Errors
/// What is no JSON, and which formula gives nothing that can be used.
pub(super) fn read(body: &Proven<Bytes>, mapping: &Mapping, told: Told<'_>) -> Result<Content, Unreadable> {
    let text = sound(body.get()).map_err(Unreadable::new)?;
    let Message(body) = serde_json::from_str(text).map_err(Unreadable::new)?;
    let alerts = mapping.alerts(body).map_err(Unreadable::new)?;
    let all = alerts.len();
    let about_alerts = alerts.into_iter().filter(|alert| alert.state != "aside");
    let signals: Vec<Signal> = about_alerts.map(|alert| signal(alert, told)).collect::<Result<_, _>>()?;
    if signals.is_empty() && all > 0 {
        return Ok(Content::Aside("a message that its mapping puts aside".into()));
    }
    Ok(Content::Signals(signals))
}

fn signal(alert: MappedAlert, told: Told<'_>) -> Result<Signal, Unreadable> {
    let at = |text: Option<String>, of: &str| match text.map(|text| moment(&text)).transpose() {
        Ok(at) => Ok(at.flatten()),
        Err(why) => Err(Unreadable::new(format_args!("`{of}` gives {why}"))),
    };
    let ended_at = at(alert.ended_at, "ended_at")?.unwrap_or(told.received_at);
    let state = match &*alert.state {
        "firing" => SignalState::Firing,
        "cleared" => SignalState::Cleared(ended_at),
        "no_data" => SignalState::NoData,
        other => {
            let other = cut(other, 50);
            return Err(Unreadable::new(format_args!(
                "`state` gives {other:?}, and not firing, cleared, no_data or aside"
            )));
        }
    };
    let alert = Alert {
        started_at: at(alert.started_at, "started_at")?.unwrap_or(told.received_at),
        name: alert.name,
        episode: alert.episode,
        state,
        labels: alert.labels,
        annotations: alert.annotations,
        lag: None,
        link: alert.link,
    };
    Ok(alert.signal(told))
}

/// A message as formulas see it. A name twice in one map is refused, as everywhere.
struct Message(Value);

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Message, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Message;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E: Error>(self) -> Result<Message, E> {
                Ok(Message(Value::Null))
            }
            fn visit_bool<E: Error>(self, truth: bool) -> Result<Message, E> {
                Ok(Message(Value::Bool(truth)))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Message, E> {
                Ok(Message(Value::Int(number)))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Message, E> {
                Ok(Message(i64::try_from(number).map_or(Value::UInt(number), Value::Int)))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Message, E> {
                Ok(Message(Value::Float(number)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Message, E> {
                Ok(Message(Value::String(Arc::new(text.to_owned()))))
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Message, S::Error> {
                let mut items = Vec::new();
                while let Some(Message(item)) = list.next_element()? {
                    items.push(item);
                }
                Ok(Message(Value::List(Arc::new(items))))
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Message, M::Error> {
                let mut entries = HashMap::new();
                while let Some((name, Message(value))) = map.next_entry::<String, Message>()? {
                    if entries.insert(Key::String(Arc::new(name)), value).is_some() {
                        return Err(M::Error::custom("a name stands twice in one map"));
                    }
                }
                Ok(Message(Value::Map(Map { map: Arc::new(entries) })))
            }
        }
        from.deserialize_any(Reader)
    }
}
