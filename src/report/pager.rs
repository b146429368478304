//! Pagers: how people are woken, by PagerDuty's Events API v2 or by a webhook of one's own. One call each, under its
//! deadline, and sorted by what follows from its failure. Leaves to `case::pager` why and what, and to the engine when a
//! call is made again.
//!
//! The facts are PagerDuty's own (its OpenAPI of Events v2, and its page "Send an Event"): 202 is taken; 400 is an event
//! that will never be; 429 and 5xx come again later; events with one `dedup_key` are one incident, so that to say it twice
//! is harmless; a resolve of what is not open is taken and does nothing.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::case::id::{PagerName, Place, Timestamp};
use crate::case::obeyed::is_obeyed;
use crate::case::pager::{About, Cause, Severity, Summons};
use crate::outbound::{CallError, Trouble};

/// A call may take so long.
const WITHIN: Duration = Duration::from_secs(10);
/// So much of an answer is read: a sentence, and not what some proxy has to say.
const ANSWER_MAX: usize = 2048;
/// The most characters of an answer that are told.
const SAID_MAX: usize = 300;
/// Incidents share so many lanes, each by its key.
const LANES: usize = 16;
/// A path shorter than this hides nothing.
const HIDDEN_MIN: usize = 8;
/// The longest summary that PagerDuty takes.
const SUMMARY_MAX: usize = 1024;
/// The most lines of a list that are sent, each of at most so many characters: people read it on a phone.
const LINES_MAX: usize = 12;
const LINE_MAX: usize = 500;

/// What a pager speaks to.
#[derive(Clone, Debug)]
pub enum Kind {
    /// PagerDuty's Events API v2, or what speaks like it.
    PagerDuty {
        /// The integration's key; nothing when it is configured and was not there.
        routing_key: Option<SecretString>,
    },
    /// A webhook of one's own.
    Webhook {
        /// What proves us there.
        bearer_token: Option<SecretString>,
    },
}

/// One pager.
pub struct Pager {
    kind: Kind,
    url: String,
    /// `None`: no certificate authorities are installed here, and none is needed before somebody is to be woken.
    http: Option<Client>,
    /// What is on its way about one incident is waited for: a word that is taken back would else arrive after what follows it.
    lanes: [Arc<Mutex<()>>; LANES],
}

impl std::fmt::Debug for Pager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A webhook's address may hold what proves us.
        f.debug_struct("Pager").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Pager {
    /// A pager at this address.
    pub fn new(name: &PagerName, kind: Kind, url: String) -> Pager {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(WITHIN)
            .user_agent(concat!("snapback/", env!("CARGO_PKG_VERSION")));
        // An address of this machine without TLS needs nobody's certificates.
        let client = if url.starts_with("http:") { client.tls_certs_only([]) } else { client };
        let http = client
            .build()
            .inspect_err(|error| tracing::error!(pager = %name, %error, "this pager can wake nobody: install the certificate authorities of this system (ca-certificates)"))
            .ok();
        Pager { kind, url, http, lanes: Default::default() }
    }

    /// Tells it, after what is on its way about the same incident; a request that has left is heard to its end, also where
    /// whoever asked for it is gone.
    ///
    /// # Errors
    /// As [`Pager::summon`].
    pub async fn summon_in_turn(self: &Arc<Pager>, summons: &Summons) -> Result<(), Trouble> {
        let lane =
            summons.about.key().bytes().fold(0_usize, |sum, byte| sum.wrapping_add(byte.into())) % LANES;
        let turn = Arc::clone(&self.lanes[lane]).lock_owned().await;
        let (pager, summons) = (Arc::clone(self), summons.clone());
        let heard = tokio::spawn(async move {
            let _turn = turn;
            pager.summon(&summons).await
        });
        let lost = |_| Trouble::Unclear(CallError::Lost { doing: "tell a pager".into() });
        heard.await.map_err(lost)?
    }

    /// Tells it that an incident that there is not is over: whoever may not tell it anything is refused, and nobody is woken.
    ///
    /// # Errors
    /// As [`Pager::summon`].
    pub async fn rehearse(&self, name: &PagerName, now: Timestamp) -> Result<(), Trouble> {
        self.summon(&Summons::rehearsal(name, now)).await
    }

    /// Tells it that somebody is needed, or that nobody is any more.
    ///
    /// # Errors
    /// [`Trouble::Refused`] when it never will; anything else comes again.
    pub async fn summon(&self, summons: &Summons) -> Result<(), Trouble> {
        let none = || Trouble::Refused("no certificate authorities are installed here".into());
        let post = self.http.as_ref().ok_or_else(none)?.post(&self.url);
        let request = match &self.kind {
            Kind::PagerDuty { routing_key } => {
                let key = routing_key.as_ref().map(|key| key.expose_secret().to_owned()).unwrap_or_default();
                post.json(&Event::of(summons, key))
            }
            Kind::Webhook { bearer_token } => {
                let post = match bearer_token {
                    Some(token) => post.bearer_auth(token.expose_secret()),
                    None => post,
                };
                post.json(&Hook::of(summons))
            }
        };
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(self.refused(answer).await),
            Err(error) => Err(failed(error)),
        }
    }
}

impl Pager {
    /// What follows from an answer that is no yes.
    async fn refused(&self, answer: Response) -> Trouble {
        let status = answer.status();
        let after = answer.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
        let said = format!("it answers {status}{}", self.hidden(said(answer).await));
        let later = [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY];
        if later.contains(&status) || status.is_server_error() {
            return Trouble::Busy { why: said, after: after.map(crate::case::id::Duration::from_secs) };
        }
        Trouble::Refused(said)
    }

    /// A text of the other side without what proves us there: servers repeat what they were asked.
    fn hidden(&self, text: String) -> String {
        let key = match &self.kind {
            Kind::PagerDuty { routing_key } => routing_key.as_ref(),
            Kind::Webhook { bearer_token } => bearer_token.as_ref(),
        };
        let behind_the_host = self.url.splitn(4, '/').nth(3).filter(|path| path.len() >= HIDDEN_MIN);
        let secrets = key.map(ExposeSecret::expose_secret).into_iter().chain(behind_the_host);
        secrets.filter(|secret| !secret.is_empty()).fold(text, |text, secret| text.replace(secret, "…"))
    }
}

/// The first words of an answer, as far as they can be shown.
async fn said(mut answer: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= ANSWER_MAX {
            break;
        }
    }
    let text = plain(&String::from_utf8_lossy(&body), SAID_MAX);
    if text.trim().is_empty() { String::new() } else { format!(": {}", text.trim()) }
}

fn failed(error: reqwest::Error) -> Trouble {
    // A webhook's address may hold what proves us.
    let error = error.without_url();
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(because) = cause {
        said = because.to_string();
        cause = because.source();
    }
    if error.is_connect() {
        return Trouble::Busy { why: format!("it cannot be reached: {said}"), after: None };
    }
    CallError::Answer { doing: "tell a pager".into(), said }.into()
}

/// Text of others, without what a reader would obey, and no longer than this.
fn plain(text: &str, longest: usize) -> String {
    text.chars().map(|c| if is_obeyed(c) { ' ' } else { c }).take(longest).collect()
}

fn lines(lines: &[String]) -> Vec<String> {
    lines.iter().take(LINES_MAX).map(|line| plain(line, LINE_MAX)).collect()
}

fn severity(cause: Cause) -> &'static str {
    match cause.severity() {
        Severity::Critical => "critical",
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// `trigger`, or `resolve` where nobody is needed any more.
fn action(summons: &Summons) -> &'static str {
    if summons.cause.is_some() { "trigger" } else { "resolve" }
}

fn summary(summons: &Summons, cause: Cause) -> String {
    let why = format!("; {}", cause.says());
    let room = SUMMARY_MAX.saturating_sub(why.chars().count());
    plain(&summons.headline, room) + &why
}

fn case_of(summons: &Summons) -> Option<&str> {
    match &summons.about {
        About::Case(case) => Some(case.as_str()),
        About::All(_) | About::Rehearsal => None,
    }
}

/// An event as PagerDuty takes it.
#[derive(Serialize)]
struct Event {
    routing_key: String,
    event_action: &'static str,
    dedup_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Payload>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link>,
}

#[derive(Serialize)]
struct Payload {
    summary: String,
    source: String,
    severity: &'static str,
    timestamp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<String>,
    class: &'static str,
    custom_details: Details,
}

#[derive(Serialize)]
struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    case: Option<String>,
    now: String,
    why: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<String>,
}

#[derive(Serialize)]
struct Link {
    href: String,
    text: &'static str,
}

impl Event {
    fn of(summons: &Summons, routing_key: String) -> Event {
        let service = summons.service.as_ref().map(ToString::to_string);
        let payload = summons.cause.map(|cause| Payload {
            summary: summary(summons, cause),
            source: service.clone().unwrap_or_else(|| "snapback".to_owned()),
            severity: severity(cause),
            timestamp: summons.at,
            component: service,
            class: cause.word(),
            custom_details: Details {
                case: case_of(summons).map(str::to_owned),
                now: plain(&summons.now, LINE_MAX),
                why: lines(&summons.why),
                steps: lines(&summons.steps),
            },
        });
        let thread = summons.thread.as_ref().filter(|_| payload.is_some()).map(Place::as_str);
        Event {
            routing_key,
            event_action: action(summons),
            dedup_key: summons.about.key(),
            client: payload.is_some().then_some("Snapback"),
            payload,
            links: thread
                .map(|href| Link { href: href.to_owned(), text: "the thread" })
                .into_iter()
                .collect(),
        }
    }
}

/// What a webhook is sent; its shape is ours, and told in `docs/pages.md`.
#[derive(Serialize)]
struct Hook<'a> {
    action: &'static str,
    key: String,
    case: Option<&'a str>,
    service: Option<&'a str>,
    cause: Option<&'static str>,
    severity: Option<&'static str>,
    summary: String,
    now: String,
    why: Vec<String>,
    steps: Vec<String>,
    thread: Option<&'a str>,
    at: Timestamp,
}

impl<'a> Hook<'a> {
    fn of(summons: &'a Summons) -> Hook<'a> {
        let cause = summons.cause;
        Hook {
            action: action(summons),
            key: summons.about.key(),
            case: case_of(summons),
            service: summons.service.as_ref().map(crate::case::id::ServiceId::as_str),
            cause: cause.map(Cause::word),
            severity: cause.map(severity),
            summary: cause
                .map_or_else(|| plain(&summons.headline, SUMMARY_MAX), |cause| summary(summons, cause)),
            now: plain(&summons.now, LINE_MAX),
            why: lines(&summons.why),
            steps: lines(&summons.steps),
            thread: summons.thread.as_ref().map(Place::as_str),
            at: summons.at,
        }
    }
}
