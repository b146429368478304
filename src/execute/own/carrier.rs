//! How a question travels: to a program, on its standard input, its answer the last line that it writes; or over HTTP, signed. What a
//! program's exit or a status means is said here, once for every question.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration as StdDuration;

use aws_lc_rs::hmac;
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::contract::{Action, Question};
use super::{Settings, Site, Way};
use crate::case::id::{Duration, Timestamp};
use crate::outbound::api::{Api, Denial};
use crate::outbound::process::{self, How, Last};
use crate::outbound::{CallError, Trouble};

/// Of what a program says the last part is kept: a long history, and no more.
const OUTPUT_MAX: usize = 4 << 20;
/// Nothing was done, and it may be asked again later (`EX_TEMPFAIL` of sysexits.h).
const TEMPORARY: i32 = 75;
/// The question is wrong (`EX_USAGE`), or whoever asks may not (`EX_NOPERM`): nothing was done.
const NEVER: [i32; 2] = [64, 77];
/// A program that begins a rollback is waited for so long, and then left to itself: how it stands is asked.
const BEGUN_WITHIN: StdDuration = StdDuration::from_secs(8);

/// The carrier.
pub(super) struct Carrier {
    way: Way,
    deadline: Duration,
    /// A client for each address, made once: it reads this system's certificate authorities.
    doors: Mutex<BTreeMap<String, Arc<Api>>>,
}

/// What came back.
pub(super) enum Answer<T> {
    /// An answer.
    Told(T),
    /// A program that has not ended yet, and goes on.
    GoesOn,
}

impl Carrier {
    pub(super) fn new(settings: &Settings) -> Carrier {
        Carrier { way: settings.way.clone(), deadline: settings.deadline, doors: Mutex::default() }
    }

    fn door(&self, url: &str) -> Arc<Api> {
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        doors.entry(url.to_owned()).or_insert_with(|| Arc::new(Api::new(url.to_owned(), None))).clone()
    }

    /// Asks something that changes nothing.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        site: &Site,
        question: &Question<'_>,
        at: Timestamp,
    ) -> Result<T, Trouble> {
        let within = match &self.way {
            Way::Command { timeout, .. } => timeout.unsigned_abs(),
            Way::Http { .. } => BEGUN_WITHIN,
        };
        match self.ask(site, question, at, within, within).await? {
            Answer::Told(told) => Ok(told),
            Answer::GoesOn => Err(CallError::Deadline {
                doing: doing(site, question),
                within: Duration::try_from(within).unwrap_or(Duration::MAX),
            }
            .into()),
        }
    }

    /// Asks for a rollback, once.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        site: &Site,
        question: &Question<'_>,
        at: Timestamp,
    ) -> Result<Answer<T>, Trouble> {
        self.ask(site, question, at, BEGUN_WITHIN, self.deadline.unsigned_abs()).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        site: &Site,
        question: &Question<'_>,
        at: Timestamp,
        within: StdDuration,
        longest: StdDuration,
    ) -> Result<Answer<T>, Trouble> {
        let doing = doing(site, question);
        let body = serde_json::to_vec(question)
            .map_err(|error| CallError::Io { doing: doing.clone(), source: error.into() })?;
        match (site, &self.way) {
            (Site::Program { argv, folder }, Way::Command { environment, .. }) => {
                let mut known = Vec::new();
                for (name, value) in environment {
                    let missing = || Trouble::Refused(format!("{doing}: the secret of {name} is missing"));
                    let value = value.as_ref().ok_or_else(missing)?.expose_secret().to_owned();
                    known.push((name.as_str(), value));
                }
                let lasting = process::spawn_lasting(argv, folder, &known, body)
                    .map_err(|error| Trouble::Busy { why: format!("{doing}: {error}"), after: None })?;
                // Whoever stops to wait leaves it to itself: it is ended at its own deadline.
                let mut ending = tokio::spawn(process::follow_lasting(lasting, longest, OUTPUT_MAX));
                match tokio::time::timeout(within, &mut ending).await {
                    Ok(Ok(ended)) => ended_so(&doing, &ended).map(Answer::Told),
                    Ok(Err(_)) => Err(CallError::Lost { doing }.into()),
                    Err(_) => Ok(Answer::GoesOn),
                }
            }
            (Site::Url(url), Way::Http { secret }) => {
                let heads = heads(secret.as_ref().map(ExposeSecret::expose_secret), question, at, &body);
                match self.door(url).post(&doing, heads, body).await? {
                    Ok(value) => shaped(&doing, value).map(Answer::Told),
                    // Who stands between and knows the key says so while the first request is at work: it is looked for.
                    Err(denial)
                        if denial.status == 409 && matches!(question.action, Action::Rollback { .. }) =>
                    {
                        Err(CallError::Answer { doing, said: format!("409 {}", denial.said) }.into())
                    }
                    Err(denial) => Err(denied(&doing, denial)),
                }
            }
            (Site::Program { .. } | Site::Url(_), _) => {
                Err(Trouble::Refused(format!("{doing}: it lives at a provider of another kind")))
            }
        }
    }
}

fn doing(site: &Site, question: &Question<'_>) -> String {
    let what = match question.action {
        Action::Describe => "what serves",
        Action::History { .. } => "what went out",
        Action::Rollback { .. } => "for a rollback",
        Action::Status { .. } => "how a rollback stands",
    };
    format!("ask {site} {what}")
}

/// The key, so that who stands between sees a repetition as one; when it was asked, and the signature over that and the body.
fn heads(
    secret: Option<&str>,
    question: &Question<'_>,
    at: Timestamp,
    body: &[u8],
) -> Vec<(&'static str, String)> {
    let mut heads = Vec::new();
    if let Action::Rollback { key, .. } = question.action {
        heads.push(("idempotency-key", format!("{key}:rollback")));
    }
    if let Some(secret) = secret {
        let at = at.as_second().to_string();
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
        for part in [b"v1:".as_slice(), at.as_bytes(), b":", body] {
            context.update(part);
        }
        let tag: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        heads.extend([("x-snapback-timestamp", at), ("x-snapback-signature", format!("v1={tag}"))]);
    }
    heads
}

/// What the end of a program means.
fn ended_so<T: DeserializeOwned>(doing: &str, ended: &Last) -> Result<T, Trouble> {
    let last = ended.stdout.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let said = [ended.stdout.as_str(), &ended.stderr].concat();
    let said = said.trim();
    let (from, _) = said.char_indices().rev().take(300).last().unwrap_or_default();
    let said = &said[from..];
    let code = match &ended.how {
        How::Exited(status) => status.code(),
        How::Killed(_) | How::Unknown(_) => None,
    };
    match code {
        Some(0) => {
            let value = serde_json::from_str(last);
            let no_json = |_| CallError::Answer {
                doing: doing.to_owned(),
                said: format!("the last line that it wrote is no JSON: {said}"),
            };
            shaped(doing, value.map_err(no_json)?)
        }
        Some(TEMPORARY) => Err(Trouble::Busy { why: format!("{doing}: {said}"), after: None }),
        Some(code) if NEVER.contains(&code) => {
            Err(Trouble::Refused(format!("{doing}: status {code}: {said}")))
        }
        _ => {
            Err(CallError::Answer { doing: doing.to_owned(), said: format!("it {}: {said}", ended.how) }
                .into())
        }
    }
}

fn denied(doing: &str, denial: Denial) -> Trouble {
    // Who says when to come again has done nothing.
    if denial.status == 503 && denial.after.is_some() {
        return Trouble::Busy { why: format!("{doing}: {}", denial.said), after: denial.after };
    }
    denial.trouble(doing)
}

fn shaped<T: DeserializeOwned>(doing: &str, value: Value) -> Result<T, Trouble> {
    serde_json::from_value(value).map_err(|error| {
        CallError::Answer {
            doing: doing.to_owned(),
            said: format!("the answer is not as the contract has it: {error}"),
        }
        .into()
    })
}
