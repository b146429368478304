//! CDEvents over CloudEvents (cdevents/spec `cloudevents-binding.md`, CloudEvents' HTTP binding; signals §11.3): alone, in an
//! envelope, or several in a list. Which of the three it is, the body tells: headers are signed by nobody and are not kept. Of
//! the services' events those that put something out are notices; the others, and incidents, are put aside.

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::alert::{Told, Unreadable, cut};
use super::json::{Object, sound};
use super::moment::Spelled;
use super::proof::Proven;
use super::sender::Protocol;
use super::told::{Facts, Said, told_text};
use crate::case::deployment::DeploymentStatus;
use crate::case::notice::Notice;
use crate::journal::inbox::Content;

/// What its sender makes of an answer is the sender's choice.
pub(super) const PROTOCOL: Protocol = Protocol {
    media: &["application/json", "application/cloudevents+json", "application/cloudevents-batch+json"],
    body_max: 1 << 20,
    stored: StatusCode::OK,
    unreadable: StatusCode::UNPROCESSABLE_ENTITY,
};

/// Events of one list.
const EVENTS_MAX: usize = 200;

/// Reads what one message says.
///
/// # Errors
/// What holds no CDEvent.
pub(super) fn read(body: &Proven<Bytes>, told: Told<'_>) -> Result<Content, Unreadable> {
    let text = sound(body.get()).map_err(Unreadable::new)?;
    let events: Vec<&RawValue> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(Unreadable::new)?
    } else {
        vec![serde_json::from_str(text).map_err(Unreadable::new)?]
    };
    if events.len() > EVENTS_MAX {
        return Err(Unreadable::new("more than 200 events in one list"));
    }
    let mut notices = Vec::new();
    let mut aside = "an empty list of events".to_owned();
    for event in events {
        match one(event.get(), told)? {
            Ok(notice) => notices.push(notice),
            Err(kind) => aside = format!("the event {}", cut(&kind, 100)),
        }
    }
    Ok(if notices.is_empty() { Content::Aside(aside) } else { Content::Notices(notices) })
}

/// One event; `Ok(Err)` is its type, where nothing follows from it.
fn one(text: &str, told: Told<'_>) -> Result<Result<Notice, String>, Unreadable> {
    let Object(envelope): Object<Envelope<'_>> = serde_json::from_str(text).map_err(Unreadable::new)?;
    let event: Event = match (envelope.data, envelope.context) {
        (Some(data), _) => serde_json::from_str(data.get()).map_err(Unreadable::new)?,
        (None, Some(_)) => serde_json::from_str(text).map_err(Unreadable::new)?,
        (None, None) => return Err(Unreadable::new("the body is JSON, and holds no CDEvent")),
    };
    // dev.cdevents.SUBJECT.PREDICATE.VERSION; any version is read.
    let mut words = event.context.kind.split('.').skip(2);
    let rolled_back = match (words.next(), words.next()) {
        (Some("service"), Some("deployed" | "upgraded")) => false,
        (Some("service"), Some("rolledback")) => true,
        _ => return Ok(Err(event.context.kind)),
    };
    let content = event.subject.content.unwrap_or_default();
    let artifact = content.artifact.as_deref().map(Artifact::of).unwrap_or_default();
    let at = event.context.timestamp.unwrap_or_default().0.unwrap_or(told.received_at);
    // Whatever a sender has there that is no map of ours says nothing about the event itself.
    let mut facts = Facts::within(event.custom_data, "customData")?;
    facts.release = facts.release.or(artifact.digest.map(super::json::Scalar));
    let said = Said {
        // Both together are an event's name (CloudEvents, "source").
        id: format!("{}#{}", event.context.source.as_deref().unwrap_or_default(), event.context.id),
        status: DeploymentStatus::Finished,
        at,
        started_at: None,
        by: None,
        rolled_back,
        labels: vec![
            ("service", told_text(Some(event.subject.id))),
            ("environment", content.environment.and_then(|environment| told_text(environment.id))),
            ("artifact", artifact.name),
            ("source", told_text(event.context.source)),
        ],
        version: artifact.version,
        commit: None,
        links: Vec::new(),
    };
    facts.notice(said, told).map(Ok)
}

/// What a package URL names (package-url/purl-spec): `pkg:oci/NAME@DIGEST?tag=TAG`.
#[derive(Default)]
struct Artifact {
    name: Option<String>,
    digest: Option<String>,
    version: Option<String>,
}

impl Artifact {
    fn of(purl: &str) -> Artifact {
        let (path, query) = purl.split_once('?').unwrap_or((purl, ""));
        let (name, version) = path.rsplit_once('@').unwrap_or((path, ""));
        let plain = |text: &str| -> Option<String> {
            // One round of percent-decoding, as in a form without its plus signs.
            let text = text.replace('+', "%2B");
            let (decoded, _) = form_urlencoded::parse(text.as_bytes()).next()?;
            told_text(Some(decoded.into_owned()))
        };
        let tag = form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == "tag")
            .map(|(_, tag)| tag.into_owned());
        let version = plain(version);
        let is_digest = version.as_deref().is_some_and(|version| version.contains(':'));
        Artifact {
            name: name.rsplit('/').next().and_then(plain),
            digest: version.clone().filter(|_| is_digest),
            version: tag.or(version.filter(|_| !is_digest)),
        }
    }
}

/// An envelope of CloudEvents, or a CDEvent itself.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    context: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Event {
    context: Context,
    subject: Subject,
    #[serde(rename = "customData")]
    custom_data: Option<Value>,
}

#[derive(Deserialize)]
struct Context {
    id: String,
    source: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    timestamp: Option<Spelled>,
}

#[derive(Deserialize)]
struct Subject {
    id: String,
    content: Option<Subjects>,
}

#[derive(Default, Deserialize)]
struct Subjects {
    environment: Option<Named>,
    #[serde(rename = "artifactId")]
    artifact: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    id: Option<String>,
}
