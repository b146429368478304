//! A JSON API of somebody else's, at one address of the configuration, with one bearer token, one that each request brings, or one client certificate. Every call has a deadline and a largest
//! answer; nothing is repeated, no redirect is followed, and no proxy counts that happens to stand in the environment. Leaves to whoever
//! asks what a refusal means.

use std::time::Duration as StdDuration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Identity, Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::http::{NO_AUTHORITIES, body, client};
use super::{CallError, Trouble, causes};
use crate::case::id::{Duration, Timestamp};

/// A connection is there within this, or the API is not.
const CONNECT: StdDuration = StdDuration::from_secs(2);
/// One call from its beginning to its last byte: shorter than a permit's wire deadline, so that what left late is over when a quarantine
/// begins to count.
pub const CALL_MAX: Duration = Duration::from_secs(6);
/// A stream on which nothing comes for so long is dead.
const SILENCE: StdDuration = StdDuration::from_mins(5);
/// The largest answer, and the largest line of a stream.
const ANSWER_MAX: usize = 16 << 20;
/// Of a refusal so much is told.
const SAID_MAX: usize = 500;

/// The API.
pub struct Api {
    base: String,
    token: Option<SecretString>,
    /// `None`: no certificate authorities are installed here.
    calls: Option<Client>,
    /// For streams, on which nothing may come for minutes.
    streams: Option<Client>,
}

/// A client certificate and its key.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The chain, as PEM, our own certificate first.
    pub chain: String,
    /// Its key, as PEM; `None`: the secret is not there.
    pub key: Option<SecretString>,
}

/// A status that says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The status of HTTP.
    pub status: u16,
    /// What the API says, in its own words.
    pub said: String,
    /// Not before so long, where it says.
    pub after: Option<Duration>,
    /// The allowance is used up until then, where it says so: `x-ratelimit-remaining: 0` and `x-ratelimit-reset`.
    pub spent_until: Option<Timestamp>,
}

/// A request whose heads its sender chooses.
pub struct Ask<'a> {
    /// What is done, for people.
    pub doing: &'a str,
    /// How.
    pub method: Method,
    /// Where, below the API's address.
    pub path: &'a str,
    /// Who asks.
    pub bearer: Option<&'a SecretString>,
    /// What is taken for an answer.
    pub accept: &'static str,
    /// More heads.
    pub heads: &'a [(&'static str, &'static str)],
    /// What is known already: the `ETag` of an answer.
    pub known: Option<&'a str>,
    /// What is sent.
    pub body: Option<&'a Value>,
}

/// An answer that is no refusal.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// What is known already still holds.
    AsKnown,
    /// An answer.
    Anew {
        /// Its body; null where there is none.
        value: Value,
        /// By which it is known from then on.
        etag: Option<String>,
    },
}

impl Denial {
    /// What follows from it where nothing is known of the API's own words: most that are below 500 say that nothing was done.
    pub fn trouble(self, doing: &str) -> Trouble {
        let Denial { status, said, after, spent_until: _ } = self;
        match status {
            // The connection was cut on its way, by whoever stands between: what became of it nobody says.
            408 | 499 => {
                CallError::Answer { doing: doing.to_owned(), said: format!("{status} {said}") }.into()
            }
            429 => Trouble::Busy { why: format!("{doing}: {said}"), after },
            400..=499 => Trouble::Refused(format!("{doing}: {said} ({status})")),
            _ => CallError::Answer { doing: doing.to_owned(), said: format!("{status} {said}") }.into(),
        }
    }
}

impl Api {
    /// The API at this address, without a slash at its end.
    pub fn new(base: String, token: Option<SecretString>) -> Api {
        Api::with(base, token, |client| client)
    }

    /// The API at this address, to which a certificate is shown. Without its key, or where the two cannot be read, nobody is anybody there.
    pub fn shown(base: String, pair: Pair) -> Api {
        let key = pair.key.as_ref().map_or("", |key| key.expose_secret());
        let identity = Identity::from_pem(format!("{}\n{key}\n", pair.chain).as_bytes()).ok();
        Api::with(base, None, |client| match &identity {
            Some(identity) => client.identity(identity.clone()),
            None => client,
        })
    }

    fn with(
        base: String,
        token: Option<SecretString>,
        known: impl Fn(ClientBuilder) -> ClientBuilder,
    ) -> Api {
        let limited = |client: ClientBuilder| known(client.connect_timeout(CONNECT));
        let calls = client(&base, |client| limited(client).timeout(CALL_MAX.unsigned_abs()));
        let streams = client(&base, |client| limited(client).read_timeout(SILENCE));
        Api { base, token, calls, streams }
    }

    /// Reads.
    ///
    /// # Errors
    /// `Busy` when nothing left; `Unclear` when no answer came, or none that is JSON.
    pub async fn get(&self, doing: &str, path: &str) -> Result<Result<Value, Denial>, Trouble> {
        self.answer(doing, self.request(&self.calls, Method::GET, path)?).await
    }

    /// Sends, once.
    ///
    /// # Errors
    /// As [`Api::get`]; what is `Unclear` may have been done.
    pub async fn send(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Result<Value, Denial>, Trouble> {
        let request = self.request(&self.calls, method, path)?;
        self.answer(
            doing,
            match body {
                Some(body) => request.json(body),
                None => request,
            },
        )
        .await
    }

    /// Posts these bytes, which are JSON, with heads beside them.
    ///
    /// # Errors
    /// As [`Api::get`]; what is `Unclear` may have been done.
    pub async fn post(
        &self,
        doing: &str,
        heads: Vec<(&'static str, String)>,
        body: Vec<u8>,
    ) -> Result<Result<Value, Denial>, Trouble> {
        let mut request =
            self.request(&self.calls, Method::POST, "")?.header(CONTENT_TYPE, "application/json");
        for (name, value) in heads {
            request = request.header(name, value);
        }
        self.answer(doing, request.body(body)).await
    }

    /// Asks, once, in the sender's own way.
    ///
    /// # Errors
    /// As [`Api::get`]; what changes something and is `Unclear` may have been done.
    pub async fn ask(&self, ask: Ask<'_>) -> Result<Result<Told, Denial>, Trouble> {
        let Ask { doing, method, path, bearer, accept, heads, known, body } = ask;
        let mut request = self.request(&self.calls, method, path)?.header(ACCEPT, accept);
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer.expose_secret());
        }
        for (name, value) in heads {
            request = request.header(*name, *value);
        }
        if let Some(known) = known {
            request = request.header(IF_NONE_MATCH, known);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(|error| unanswered(doing, error))?;
        if known.is_some() && answer.status() == StatusCode::NOT_MODIFIED {
            return Ok(Ok(Told::AsKnown));
        }
        let etag = answer.headers().get(ETAG).and_then(|etag| Some(etag.to_str().ok()?.to_owned()));
        Ok(read(doing, answer).await?.map(|value| Told::Anew { value, etag }))
    }

    /// Opens a stream of lines, each a JSON value.
    ///
    /// # Errors
    /// Whatever keeps it from opening.
    pub async fn stream(&self, doing: &str, path: &str) -> Result<Lines, Trouble> {
        let sent = self.request(&self.streams, Method::GET, path)?.send().await;
        let answer = sent.map_err(|error| unanswered(doing, error))?;
        if answer.status().is_success() {
            return Ok(Lines { doing: doing.to_owned(), answer, rest: Vec::new() });
        }
        Err(denial(doing, answer).await?.trouble(doing))
    }

    fn request(&self, by: &Option<Client>, method: Method, path: &str) -> Result<RequestBuilder, Trouble> {
        let none = || Trouble::Refused(NO_AUTHORITIES.into());
        let request = by.as_ref().ok_or_else(none)?.request(method, format!("{}{path}", self.base));
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        })
    }

    async fn answer(&self, doing: &str, request: RequestBuilder) -> Result<Result<Value, Denial>, Trouble> {
        let answer = request.send().await.map_err(|error| unanswered(doing, error))?;
        read(doing, answer).await
    }
}

async fn read(doing: &str, answer: Response) -> Result<Result<Value, Denial>, Trouble> {
    if !answer.status().is_success() {
        return denial(doing, answer).await.map(Err);
    }
    let body = whole(doing, answer).await?;
    if body.is_empty() {
        return Ok(Ok(Value::Null));
    }
    let read = serde_json::from_slice(&body);
    let no_json = |error: serde_json::Error| CallError::Answer {
        doing: doing.to_owned(),
        said: format!("the answer is no JSON: {error}"),
    };
    Ok(Ok(read.map_err(no_json)?))
}

async fn denial(doing: &str, answer: Response) -> Result<Denial, Trouble> {
    let status = answer.status();
    if status.is_redirection() {
        let said = format!("it leads elsewhere ({status}), and nobody goes there");
        return Err(CallError::Answer { doing: doing.to_owned(), said }.into());
    }
    let heads = answer.headers();
    let after = number(heads, RETRY_AFTER.as_str()).map(Duration::from_secs);
    let is_spent = number(heads, "x-ratelimit-remaining") == Some(0);
    let spent_until = number(heads, "x-ratelimit-reset").filter(|_| is_spent);
    let spent_until = spent_until.and_then(|at| Timestamp::from_second(at).ok());
    // That a refusal cannot be read to its end changes nothing about it.
    let body = whole(doing, answer).await.unwrap_or_default();
    Ok(Denial { status: status.as_u16(), said: said(status, &body), after, spent_until })
}

fn number(heads: &HeaderMap, name: &str) -> Option<i64> {
    heads.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// What a refusal says: its `message`, its `error`, or the beginning of its text.
fn said(status: StatusCode, body: &[u8]) -> String {
    let of_json = |body: Value| {
        let text = |name: &str| body[name].as_str().map(str::to_owned).filter(|text| !text.is_empty());
        text("message").or_else(|| text("error"))
    };
    let said = serde_json::from_slice(body).ok().and_then(of_json);
    let said = said.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
    if said.is_empty() {
        return status.canonical_reason().unwrap_or("no reason is given").to_owned();
    }
    said.chars().take(SAID_MAX).collect()
}

async fn whole(doing: &str, answer: Response) -> Result<Vec<u8>, Trouble> {
    let body = body(answer, ANSWER_MAX).await.map_err(|error| unanswered(doing, error))?;
    let too_long = || CallError::Answer {
        doing: doing.to_owned(),
        said: format!("the answer is longer than {} MiB", ANSWER_MAX >> 20),
    };
    Ok(body.ok_or_else(too_long)?)
}

/// A call without an answer. Where no connection came about nothing left.
fn unanswered(doing: &str, error: reqwest::Error) -> Trouble {
    let error = error.without_url();
    if error.is_builder() {
        return Trouble::Refused(format!("{doing}: {}", causes(&error)));
    }
    if error.is_connect() {
        return Trouble::Busy { why: format!("{doing}: {}", causes(&error)), after: None };
    }
    let doing = doing.to_owned();
    if error.is_timeout() {
        return CallError::Deadline { doing, within: CALL_MAX }.into();
    }
    CallError::Answer { doing, said: causes(&error) }.into()
}

/// A stream of JSON values, one a line.
pub struct Lines {
    doing: String,
    answer: Response,
    rest: Vec<u8>,
}

impl Lines {
    /// The next value. `None`: the stream ended.
    ///
    /// # Errors
    /// When it broke, or a line is no JSON or too long.
    pub async fn next(&mut self) -> Result<Option<Value>, Trouble> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                if line.trim_ascii().is_empty() {
                    continue;
                }
                let said = |error: serde_json::Error| CallError::Answer {
                    doing: self.doing.clone(),
                    said: format!("a line is no JSON: {error}"),
                };
                return Ok(Some(serde_json::from_slice(&line).map_err(said)?));
            }
            if self.rest.len() > ANSWER_MAX {
                let said = format!("a line is longer than {} MiB", ANSWER_MAX >> 20);
                return Err(CallError::Answer { doing: self.doing.clone(), said }.into());
            }
            let piece = self.answer.chunk().await.map_err(|error| unanswered(&self.doing, error))?;
            match piece {
                Some(piece) => self.rest.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_apis_own_words() {
        let told = |body: &str| said(StatusCode::BAD_REQUEST, body.as_bytes());
        assert_eq!(told(r#"{"error":"e","message":"m","code":9}"#), "m");
        assert_eq!(told(r#"{"error":"e"}"#), "e");
        assert_eq!(told("<html>bad</html>"), "<html>bad</html>");
        assert_eq!(told(""), "Bad Request");
        assert_eq!(told(&"x".repeat(9000)).len(), SAID_MAX);
    }

    #[test]
    fn a_status_below_500_says_that_nothing_was_done() {
        let after = Some(Duration::from_secs(7));
        let denial = |status| Denial { status, said: "no".into(), after, spent_until: None };
        assert!(matches!(denial(403).trouble("ask"), Trouble::Refused(why) if why == "ask: no (403)"));
        assert!(matches!(denial(429).trouble("ask"), Trouble::Busy { after: told, .. } if told == after));
        for status in [408, 499, 500, 503] {
            assert!(matches!(denial(status).trouble("ask"), Trouble::Unclear(_)), "{status}");
        }
    }
}
