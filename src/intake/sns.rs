//! Amazon SNS over HTTP(S) (awsdocs/amazon-sns-developer-guide, "Parsing message formats"; signals §3): the envelope, and what
//! each kind of it becomes. The kind is the body's own word, because no header is signed. What a notification holds is read
//! by the file of whoever sent it; what proves the envelope is in `proof/sns.rs`.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;

use super::alert::{Told, Unreadable, cut};
use super::cloudwatch;
use super::json::{Object, sound};
use super::moment::Spelled;
use super::proof::{Proven, region};
use super::sender::Protocol;
use crate::case::id::{Duration, Timestamp};
use crate::journal::inbox::Content;

/// SNS sends `text/plain`, or what the subscription's request policy says. A message is at most 256 KiB, and longer as JSON.
/// A 4xx ends the delivery for ever, so that what is proven is always taken.
pub(super) const PROTOCOL: Protocol =
    Protocol { media: &[], body_max: 512 << 10, stored: StatusCode::OK, unreadable: StatusCode::OK };

/// SNS tries for an hour at most (its delivery policy's limit); what is older is a repetition by somebody (T04).
const OLDEST: Duration = Duration::from_mins(75);
/// A clock may go ahead by so much.
const NEWEST: Duration = Duration::from_mins(15);

/// What SNS posts. Values are as JSON decodes them: those are signed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Envelope<'a> {
    #[serde(rename = "Type")]
    pub(super) kind: Kind,
    #[serde(borrow)]
    pub(super) message_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) topic_arn: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) message: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) timestamp: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) signature_version: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) signature: Cow<'a, str>,
    #[serde(borrow, rename = "SigningCertURL")]
    pub(super) signing_cert_url: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) subject: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) token: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "SubscribeURL")]
    pub(super) subscribe_url: Option<Cow<'a, str>>,
}

/// The three kinds of messages.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) enum Kind {
    Notification,
    SubscriptionConfirmation,
    UnsubscribeConfirmation,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Notification => "Notification",
            Kind::SubscriptionConfirmation => "SubscriptionConfirmation",
            Kind::UnsubscribeConfirmation => "UnsubscribeConfirmation",
        }
    }
}

impl Envelope<'_> {
    /// Reads an envelope.
    ///
    /// # Errors
    /// What is none, a message delivered raw among it.
    pub(super) fn read(body: &[u8]) -> Result<Envelope<'_>, Unreadable> {
        let text = sound(body).map_err(Unreadable::new)?;
        serde_json::from_str(text).map(|Object(envelope)| envelope).map_err(Unreadable::new)
    }
}

/// Reads what a message says.
///
/// # Errors
/// A notification of CloudWatch's that has not the shape of one.
pub(super) fn read(body: &Proven<Bytes>, told: Told<'_>) -> Result<Content, Unreadable> {
    let envelope = Envelope::read(body.get())?;
    if let Some(aside) = aside(&envelope, told) {
        return Ok(aside);
    }
    let topic = cut(&envelope.topic_arn, 300);
    match cloudwatch::message(&envelope.message, region(&envelope.topic_arn), told)? {
        Some(signal) => Ok(Content::Signals(vec![signal])),
        None => Ok(Content::Aside(format!("a notification of {topic} that is no alarm of CloudWatch's"))),
    }
}

/// Why nothing follows from an envelope, whatever it holds: it confirms, or is not of now.
pub(super) fn aside(envelope: &Envelope<'_>, told: Told<'_>) -> Option<Content> {
    let topic = cut(&envelope.topic_arn, 300);
    let why = match envelope.kind {
        Kind::SubscriptionConfirmation if !is_of_now(&envelope.timestamp, told.received_at) => format!(
            "SNS asked at {} to confirm the subscription to {topic}, too far from now: nothing follows",
            cut(&envelope.timestamp, 64)
        ),
        Kind::SubscriptionConfirmation => format!("SNS asks to confirm the subscription to {topic}"),
        Kind::UnsubscribeConfirmation => format!("the subscription to {topic} was ended"),
        Kind::Notification if is_of_now(&envelope.timestamp, told.received_at) => return None,
        Kind::Notification => format!(
            "message {} of {topic} was published at {}, too far from now: it is recorded, and nothing follows",
            cut(&envelope.message_id, 64),
            cut(&envelope.timestamp, 64)
        ),
    };
    Some(Content::Aside(why))
}

/// Whether a message was published near enough to when it came: SNS's own tries end after an hour.
pub(super) fn is_of_now(published: &str, now: Timestamp) -> bool {
    let published: Option<Spelled> = serde_json::from_value(published.into()).ok();
    let age = published.and_then(|at| at.0).map(|at| now.duration_since(at));
    age.is_some_and(|age| age <= OLDEST && age >= -NEWEST)
}
