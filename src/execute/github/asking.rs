//! How GitHub is asked: in one version of its API, by whoever we are at that moment, without reading twice what has not changed. What a
//! refusal means. Facts: docs.github.com, "Rate limits for the REST API" and "Best practices for using the REST API".

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use reqwest::Method;
use serde_json::Value;

use super::GitHub;
use crate::case::id::{Duration, Timestamp};
use crate::case::permit::Permit;
use crate::execute::unsent;
use crate::outbound::api::{Ask, Denial, Told};
use crate::outbound::{CallError, Trouble};

/// GitHub's own media type.
pub(super) const ACCEPT: &str = "application/vnd.github+json";
/// The version of the API that this was written to.
pub(super) const VERSION: (&str, &str) = ("x-github-api-version", "2022-11-28");
/// Where GitHub says no more than that it is too much: at least a minute.
const TOO_MUCH: Duration = Duration::from_mins(1);
/// Nobody waits for nothing.
const LEAST: Duration = Duration::from_secs(1);
/// Lists that are remembered: some hundred services, each with what is going out.
const REMEMBERED_MAX: usize = 500;

/// Lists as they were read last, by their paths, with what GitHub knows them by. What has not changed counts for no allowance.
pub(super) struct Memory<T>(Mutex<BTreeMap<String, (String, T)>>);

impl<T> Default for Memory<T> {
    fn default() -> Memory<T> {
        Memory(Mutex::default())
    }
}

impl<T: Clone> Memory<T> {
    fn get(&self, path: &str) -> Option<(String, T)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    fn keep(&self, path: &str, etag: String, of: T) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED_MAX && !all.contains_key(path) {
            all.pop_first();
        }
        all.insert(path.to_owned(), (etag, of));
    }
}

impl GitHub {
    /// Reads.
    pub(super) async fn read(&self, doing: &str, path: &str) -> Result<Result<Value, Denial>, Trouble> {
        Ok(match self.read_if_changed(doing, path, None).await? {
            Ok(Told::Anew { value, .. }) => Ok(value),
            Ok(Told::AsKnown) => Ok(Value::Null),
            Err(denial) => Err(denial),
        })
    }

    /// Reads what must be there.
    pub(super) async fn must_read(&self, doing: &str, path: &str) -> Result<Value, Trouble> {
        self.read(doing, path).await?.map_err(|denial| denied(doing, denial, self.now()))
    }

    /// Reads a list again, or what it was when it has not changed.
    pub(super) async fn reread<T: Clone>(
        &self,
        doing: &str,
        path: &str,
        memory: &Memory<T>,
        understood: impl Fn(&Value) -> Option<T>,
    ) -> Result<T, Trouble> {
        let known = memory.get(path);
        let etag = known.as_ref().map(|(etag, _)| etag.as_str());
        let told = self.read_if_changed(doing, path, etag).await?;
        match (told.map_err(|denial| denied(doing, denial, self.now()))?, known) {
            (Told::AsKnown, Some((_, known))) => Ok(known),
            (Told::Anew { value, etag }, _) => {
                let of = understood(&value).ok_or_else(|| no_such(doing))?;
                if let Some(etag) = etag {
                    memory.keep(path, etag, of.clone());
                }
                Ok(of)
            }
            (Told::AsKnown, None) => Err(no_such(doing).into()),
        }
    }

    async fn read_if_changed(
        &self,
        doing: &str,
        path: &str,
        known: Option<&str>,
    ) -> Result<Result<Told, Denial>, Trouble> {
        let mut was_refused = false;
        loop {
            let token = self.access.token(&self.api, self.now()).await?;
            let ask = Ask {
                doing,
                method: Method::GET,
                path,
                bearer: Some(&token),
                accept: ACCEPT,
                heads: &[VERSION],
                known,
                body: None,
            };
            match self.api.ask(ask).await? {
                Err(denial) if denial.status == 401 && !was_refused => {
                    if !self.access.forget(&token, self.now()).await {
                        return Ok(Err(denial));
                    }
                    was_refused = true;
                }
                other => return Ok(other),
            }
        }
    }

    /// Sends the one request of a permit. What is refused because a token had ended was surely not done: the same goes again, with
    /// another one.
    pub(super) async fn send(
        &self,
        doing: &str,
        path: &str,
        body: Option<&Value>,
        permit: &Permit,
    ) -> Result<Result<Value, Denial>, Trouble> {
        let token = unsent(self.access.token(&self.api, self.now()).await)?;
        if self.now() >= permit.wire_deadline() {
            return Err(Trouble::Busy {
                why: "its permit ran out before it could leave".into(),
                after: None,
            });
        }
        let ask = Ask {
            doing,
            method: Method::POST,
            path,
            bearer: Some(&token),
            accept: ACCEPT,
            heads: &[VERSION],
            known: None,
            body,
        };
        match self.api.ask(ask).await? {
            Ok(Told::Anew { value, .. }) => Ok(Ok(value)),
            Ok(Told::AsKnown) => Err(no_such(doing).into()),
            Err(denial) if denial.status == 401 && self.access.forget(&token, self.now()).await => {
                Err(Trouble::Busy { why: format!("{doing}: its token had ended"), after: None })
            }
            Err(denial) => Ok(Err(denial)),
        }
    }
}

/// An answer that is something else.
pub(super) fn no_such(doing: &str) -> CallError {
    CallError::Answer { doing: doing.to_owned(), said: "the answer is not what GitHub describes".to_owned() }
}

/// What an answer that is a no means.
pub(super) fn denied(doing: &str, denial: Denial, now: Timestamp) -> Trouble {
    let until = |at: Timestamp| at.duration_since(now).max(LEAST);
    let says_so = denial.said.to_lowercase().contains("rate limit");
    let wait = denial.after.or(denial.spent_until.map(until)).or(says_so.then_some(TOO_MUCH));
    match (denial.status, wait) {
        (403 | 429, Some(wait)) => {
            Trouble::Busy { why: format!("{doing}: {}", denial.said), after: Some(wait) }
        }
        // GitHub hides what may not be seen as if it were not there.
        (404, _) => Trouble::Refused(format!(
            "{doing}: it is not there, or the rights of deploy/github-app-permissions.json are not given ({})",
            denial.said
        )),
        (401, _) => Trouble::Refused(format!("{doing}: GitHub does not know who we are ({})", denial.said)),
        _ => denial.trouble(doing),
    }
}
