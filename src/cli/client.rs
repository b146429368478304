//! Asking a running server over its admin routes. One request at a time, to one host: no redirects, no ambient proxy,
//! a deadline, and a limit on what is read.

use std::time::Duration;

use clap::Args;
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Output;
use super::failure::Failure;
use super::table::plain;

/// An answer takes at most this long, connecting included.
const DEADLINE: Duration = Duration::from_secs(10);
/// What asks others in its turn takes at most this long: each of them is given 15 s.
const PATIENT_DEADLINE: Duration = Duration::from_mins(5);
/// The largest answer: a page of cases is smaller.
const BODY_MAX: usize = 8 << 20;
/// Pages that one command follows: a thousand cases are more than anybody reads on a terminal.
const PAGES_MAX: usize = 20;

/// Which server, and as whom.
#[derive(Debug, Args)]
pub(super) struct ServerFlags {
    /// The admin address of the server
    #[arg(long, env = "SNAPBACK_URL", default_value = "http://127.0.0.1:8081", global = true)]
    url: String,
    /// The token; better in the variable, because other users of this machine can see flags
    #[arg(long, env = "SNAPBACK_TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
    /// How it is shown
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    pub(super) output: Output,
}

/// A server to ask.
pub(super) struct Client {
    base: Url,
    token: Option<String>,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

/// What a server answered.
pub(super) struct Told {
    pub(super) status: StatusCode,
    /// `None`: no JSON.
    pub(super) value: Option<Value>,
}

/// Whose word a server's certificate needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nobody's, because none is shown: a machine without any authority can still ask.
    NothingEncrypted,
    /// That of the system's authorities, and the right name in it.
    Authorities,
    /// Nobody's, because nobody stands between: see `healthcheck`, which alone may say so.
    ThisMachine,
}

/// The URL that a flag names.
pub(super) fn address(flag: &str, remedy: &str) -> Result<Url, Failure> {
    let url = Url::parse(flag).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| Failure::wrong(format!("--url {flag:?}: not an http or https URL"), remedy))
}

/// What speaks to one host: without redirects, without an ambient proxy, and never longer than this for one answer.
pub(super) fn http(base: &Url, trust: Trust, deadline: Duration) -> Result<reqwest::Client, Failure> {
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(deadline)
        .user_agent(concat!("snapback/", env!("CARGO_PKG_VERSION")));
    let builder = match trust {
        Trust::NothingEncrypted => builder.tls_certs_only([]),
        Trust::Authorities => builder,
        Trust::ThisMachine => builder.tls_certs_only([]).tls_danger_accept_invalid_certs(true),
    };
    builder.build().map_err(|error| {
        Failure::failed(
            format!("{base}: no secure connection can be prepared: {}", causes(&error)),
            "install the certificate authorities of this system (ca-certificates)",
        )
    })
}

/// What waits for the answers of one command.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("no runtime: {error}"), "see the limits of this process"))
}

impl Client {
    /// A client for these flags.
    pub(super) fn new(flags: &ServerFlags) -> Result<Client, Failure> {
        Client::within(flags, DEADLINE)
    }

    /// A client for what takes longer: it asks others in its turn.
    pub(super) fn patient(flags: &ServerFlags) -> Result<Client, Failure> {
        Client::within(flags, PATIENT_DEADLINE)
    }

    fn within(flags: &ServerFlags, deadline: Duration) -> Result<Client, Failure> {
        let base = address(&flags.url, "write it like http://127.0.0.1:8081")?;
        let trust = if base.scheme() == "http" { Trust::NothingEncrypted } else { Trust::Authorities };
        let http = http(&base, trust, deadline)?;
        let runtime = runtime()?;
        Ok(Client { base, token: flags.token.clone().filter(|token| !token.is_empty()), http, runtime })
    }

    /// Reads a path, each part of which is escaped.
    pub(super) fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, Failure> {
        let mut url = self.at(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.runtime.block_on(self.exchange(Method::GET, &url, None))
    }

    /// Asks for something at a path. Never sent a second time: whether the first arrived cannot be known here.
    pub(super) fn post(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        let url = self.at(path);
        self.runtime.block_on(self.exchange(Method::POST, &url, Some(body)))
    }

    fn at(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(path);
        }
        url
    }

    /// Reads every page of a list, up to a limit; gives the whole list under its name, and where the next page would
    /// begin.
    pub(super) fn list(&self, path: &[&str], query: &[(&str, &str)], name: &str) -> Result<Value, Failure> {
        let mut whole: Vec<Value> = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut asked = query.to_vec();
            asked.extend(next.as_deref().map(|next| ("next", next)));
            let mut page = self.get(path, &asked)?;
            if let Some(Value::Array(items)) = page.get_mut(name).map(Value::take) {
                whole.extend(items);
            }
            next = page.get("next").and_then(Value::as_str).map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        Ok(serde_json::json!({ name: whole, "next": next }))
    }

    /// Reads a path, whatever the answer is.
    pub(super) fn ask(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Told, Failure> {
        let mut url = self.at(path);
        url.query_pairs_mut().extend_pairs(query);
        self.runtime.block_on(self.told(Method::GET, &url, None))
    }

    async fn exchange(&self, method: Method, url: &Url, body: Option<&Value>) -> Result<Value, Failure> {
        let Told { status, value } = self.told(method, url, body).await?;
        match value {
            Some(value) if matches!(status, StatusCode::OK | StatusCode::ACCEPTED) => Ok(value),
            other => Err(refused(url, status, other.as_ref())),
        }
    }

    async fn told(&self, method: Method, url: &Url, body: Option<&Value>) -> Result<Told, Failure> {
        let asks = method == Method::POST;
        let mut request = self.http.request(method, url.clone());
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let unreachable = |error: reqwest::Error| {
            if asks && !error.is_connect() {
                return Failure::failed(
                    format!("{}: sent, and no answer came: it may still be done", url.path()),
                    "look at `snapback cases` and `snapback services` before you ask again",
                );
            }
            Failure::unreachable(
                format!("{}: the server cannot be reached: {}", self.base, causes(&error.without_url())),
                "start it with `snapback serve`, or name its admin address with --url or SNAPBACK_URL",
            )
        };
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut body: Vec<u8> = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(unreachable)? {
            if body.len() + piece.len() > BODY_MAX {
                return Err(Failure::failed(
                    format!("{url}: the answer is larger than 8 MiB"),
                    "is this a snapback server?",
                ));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Told { status, value: serde_json::from_slice(&body).ok() })
    }
}

/// What a server that said no means, and what to do about it.
fn refused(url: &Url, status: StatusCode, problem: Option<&Value>) -> Failure {
    let text = |key: &str| problem.and_then(|problem| problem.get(key)).and_then(Value::as_str);
    let Some(name) = text("type").and_then(|kind| kind.strip_prefix("urn:snapback:problem:")) else {
        return Failure::failed(
            format!("{url}: answered {status}, and not as a snapback server does"),
            "name the admin address of the server with --url or SNAPBACK_URL",
        );
    };
    let title = plain(text("title").unwrap_or(name));
    match name {
        "forbidden" => return Failure::refused(title, "ask whoever may, or see [tokens] and [approval]"),
        "conflict" => {
            return Failure::refused(
                title,
                "see how it stands with `snapback cases` and `snapback services`",
            );
        }
        "body" | "body-too-large" | "query" => return Failure::wrong(title, "see --help"),
        _ => {}
    }
    let next = match name {
        "unauthorized" => "give a token of the configuration's [tokens] with SNAPBACK_TOKEN",
        "loopback-only" => "ask from the server's own machine, or configure [tokens]",
        "no-such-case" => "list them with `snapback cases`",
        "no-such-service" => "list them with `snapback services`",
        "not-judged" => "ask again in a moment",
        "not-found" => "the admin address answers, the public one does not: see --url",
        _ => "see the log of the server",
    };
    Failure::failed(format!("{}: {title}", url.path()), next)
}

/// Reads an answer as the shape that it should have.
pub(super) fn shaped<T: DeserializeOwned>(value: &Value) -> Result<T, Failure> {
    T::deserialize(value).map_err(|error| {
        Failure::failed(
            format!("the answer of the server is not understood: {error}"),
            "use a server and a command line of the same version, or --output json",
        )
    })
}

/// An error and everything below it, in one line.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        let says = cause.to_string();
        if !text.ends_with(&says) {
            text = format!("{text}: {says}");
        }
        below = cause.source();
    }
    text
}
