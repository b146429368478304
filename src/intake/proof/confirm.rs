//! The answer to SNS's question whether we want a topic. The address that a message names is never visited (T11,
//! CVE-2026-32096): the call is built here, from a topic of the configuration and the token alone, and goes to SNS in that
//! topic's region. An end of a subscription is told, and nothing is called: its address would subscribe anew.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::sns::{host, region};
use crate::case::id::Timestamp;
use crate::intake::sns::{Envelope, Kind, is_of_now};

/// So many answers are under way at once: a topic asks once.
const AT_ONCE: usize = 4;
/// One answer may take so long; SNS asks again where somebody presses *Request confirmation*.
const WITHIN: Duration = Duration::from_secs(10);
/// So many answered questions are remembered: more than anybody subscribes within the time in which a question is of now.
const ANSWERED_MAX: usize = 64;
/// A token is some 250 characters.
const TOKEN_MAX: usize = 1024;

/// How questions are answered.
#[derive(Debug)]
pub struct Confirm {
    /// Whether they are answered at all.
    answers: bool,
    /// In the place of AWS's own address: a pretend SNS on this machine.
    endpoint: Option<String>,
    room: Arc<Semaphore>,
    /// Tokens of questions that were answered, newest first: a question that comes again, perhaps spelled otherwise where nothing
    /// is signed, is answered once.
    answered: Arc<Mutex<VecDeque<String>>>,
}

impl Confirm {
    /// Answers, or tells a person how.
    pub fn new(answers: bool, endpoint: Option<String>) -> Confirm {
        Confirm { answers, endpoint, room: Arc::new(Semaphore::new(AT_ONCE)), answered: Arc::default() }
    }

    /// Takes a message that is proven and stored.
    pub(in crate::intake) fn stored(&self, body: &[u8], received_at: Timestamp) {
        let Ok(envelope) = Envelope::read(body) else { return };
        let topic = envelope.topic_arn.to_string();
        match envelope.kind {
            Kind::Notification => {}
            Kind::UnsubscribeConfirmation => {
                tracing::error!(
                    topic,
                    "somebody ended the subscription of this topic: its alarms do not arrive any more; subscribe it again"
                );
            }
            Kind::SubscriptionConfirmation if !is_of_now(&envelope.timestamp, received_at) => {
                tracing::warn!(
                    topic,
                    "a question of a subscription is too far from now: it is recorded, and not answered"
                );
            }
            Kind::SubscriptionConfirmation if self.answers => {
                self.answer(topic, envelope.token.as_deref().unwrap_or_default());
            }
            Kind::SubscriptionConfirmation => {
                tracing::warn!(
                    topic,
                    "SNS asks to confirm this subscription: set confirm_subscriptions = true and request the confirmation again, or confirm it by hand"
                );
            }
        }
    }

    fn answer(&self, topic: String, token: &str) {
        let is_token =
            (1..=TOKEN_MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
        let Some(url) = self.url(&topic, token).filter(|_| is_token) else {
            tracing::error!(
                topic,
                "this subscription cannot be confirmed: its token or its topic is none that AWS writes"
            );
            return;
        };
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            tracing::error!(
                topic,
                "this subscription is not confirmed: too many are asked for at once; request the confirmation again"
            );
            return;
        };
        if !self.is_first(token) {
            return tracing::info!(topic, "this question of a subscription was answered already");
        }
        let plain = self.endpoint.is_some();
        let (answered, token) = (Arc::clone(&self.answered), token.to_owned());
        tokio::spawn(async move {
            match confirm(&url, plain).await {
                Ok(()) => tracing::info!(topic, "the subscription is confirmed"),
                Err(why) => {
                    // It may be asked, and answered, again.
                    answered.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| *known != token);
                    tracing::error!(topic, %why, "the subscription could not be confirmed: request the confirmation again");
                }
            }
            drop(place);
        });
    }

    /// Whether this token was not answered lately; from now on it was.
    fn is_first(&self, token: &str) -> bool {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if answered.iter().any(|known| known == token) {
            return false;
        }
        answered.truncate(ANSWERED_MAX - 1);
        answered.push_front(token.to_owned());
        true
    }

    /// The call, built from the topic and the token.
    fn url(&self, topic: &str, token: &str) -> Option<String> {
        let base = match &self.endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("https://{}", host(region(topic)?)),
        };
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", "ConfirmSubscription")
            .append_pair("Version", "2010-03-31")
            .append_pair("TopicArn", topic)
            .append_pair("Token", token)
            .finish();
        Some(format!("{base}/?{query}"))
    }
}

async fn confirm(url: &str, plain: bool) -> Result<(), String> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .https_only(!plain)
        .timeout(WITHIN)
        .user_agent(concat!("snapback/", env!("CARGO_PKG_VERSION")));
    // An address of this machine without TLS needs nobody's certificates.
    let client = if plain { client.tls_certs_only([]) } else { client };
    let client = client.build().map_err(|error| error.to_string())?;
    // The token is in the address: it is not repeated in a log.
    let answer = client.get(url).send().await.map_err(|error| error.without_url().to_string())?;
    if answer.status().is_success() { Ok(()) } else { Err(format!("SNS answers {}", answer.status())) }
}
