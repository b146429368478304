//! The API of one cluster: whoever we are there, and what an answer that is none means. Every call has a deadline and a largest
//! answer, and none is repeated by the library: when a call goes again is the engine's to say. Objects are read as they are, so
//! that what a newer server knows and we do not goes back whole.

use std::time::Duration as StdDuration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::header::{ACCEPT, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::Settings;
use crate::case::id::Duration;
use crate::outbound::{CallError, Trouble};

/// A connection is there within this, or the API is not.
const CONNECT: StdDuration = StdDuration::from_secs(2);
/// One call from its beginning to its last byte. Shorter than a permit's wire deadline, so that what left late is over when the
/// quarantine begins to count.
const CALL: StdDuration = StdDuration::from_secs(6);
/// The same: a request that left at the last moment is over so much later.
pub(super) const CALL_MAX: Duration = Duration::from_secs(6);
/// A watch on which nothing comes for so long is dead: the API ends one sooner, and sends bookmarks before.
const SILENCE: StdDuration = StdDuration::from_mins(5);
/// The largest answer: a page of pods is less than a tenth of it.
const ANSWER_MAX: usize = 32 << 20;
/// Objects of one page (client-go's own page size).
const PAGE: usize = 500;
/// Pages of one list: a workload of more pods than that is asked about by hand.
const PAGES_MAX: usize = 20;
/// How we are called where the API notes who wrote what.
pub(in crate::execute) const FIELD_MANAGER: &str = "snapback";

/// The API.
pub(in crate::execute) struct Cluster {
    settings: Settings,
    /// For calls.
    client: Mutex<Option<Client>>,
    /// For watches, on which nothing may come for minutes.
    watcher: Mutex<Option<Client>>,
}

/// Why a call did nothing.
pub(super) enum Refusal {
    /// There is no such object.
    NotFound,
    /// The API has forgotten the version that was asked for.
    Gone,
    /// The object is another one than the request says, or the request is none for it; the API's words.
    Conflict(String),
    /// Everything else.
    Trouble(Trouble),
}

impl Refusal {
    /// For calls to which the object is there, and that change nothing.
    pub(super) fn trouble(self, doing: &str) -> Trouble {
        match self {
            Refusal::NotFound => Trouble::Refused(format!("{doing}: it is not there")),
            Refusal::Gone => {
                Trouble::Busy { why: format!("{doing}: what was asked for is forgotten"), after: None }
            }
            Refusal::Conflict(says) => Trouble::Refused(format!("{doing}: {says}")),
            Refusal::Trouble(trouble) => trouble,
        }
    }
}

/// The API's answer to what it does not do (`v1.Status`).
#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    message: String,
    details: Option<Details>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    retry_after_seconds: Option<u32>,
}

impl Cluster {
    pub(super) fn new(settings: &Settings) -> Cluster {
        Cluster { settings: settings.clone(), client: Mutex::new(None), watcher: Mutex::new(None) }
    }

    /// An object, or nothing where there is none.
    pub(super) async fn read(&self, path: &str) -> Result<Option<Value>, Trouble> {
        let doing = format!("read {path}");
        match self.call(&doing, Method::GET, path, None).await {
            Ok(object) => Ok(Some(object)),
            Err(Refusal::NotFound) => Ok(None),
            Err(other) => Err(other.trouble(&doing)),
        }
    }

    /// All objects of a list, by a selector of labels.
    pub(in crate::execute) async fn list(&self, path: &str, selector: &str) -> Result<Vec<Value>, Trouble> {
        self.list_by(path, &[("labelSelector", selector)]).await
    }

    /// All objects of a list, by whichever selectors.
    pub(super) async fn list_by(&self, path: &str, by: &[(&str, &str)]) -> Result<Vec<Value>, Trouble> {
        let doing = format!("list {path}");
        let (mut found, mut more) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let page = page(path, by, &more);
            let mut page =
                self.call(&doing, Method::GET, &page, None).await.map_err(|why| why.trouble(&doing))?;
            let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) else {
                // Somebody else's answer is no empty list.
                let said = "the answer is no list".to_owned();
                return Err(CallError::Answer { doing, said }.into());
            };
            found.extend(items);
            more = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            if more.is_empty() {
                return Ok(found);
            }
        }
        Err(Trouble::Refused(format!("{doing}: more than {} objects", PAGE * PAGES_MAX)))
    }

    /// The version of a list as it is now, from which on it can be watched.
    pub(super) async fn version_of(&self, path: &str, by: &[(&str, &str)]) -> Result<String, Trouble> {
        let doing = format!("list {path}");
        let page = page(path, by, "");
        let list = self.call(&doing, Method::GET, &page, None).await.map_err(|why| why.trouble(&doing))?;
        let version = list.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        Ok(version.unwrap_or_default().to_owned())
    }

    /// Patches an object, once; with `dry` the API says what would become of it and changes nothing.
    pub(super) async fn patch(&self, path: &str, patch: &Value, dry: Dry) -> Result<Value, Refusal> {
        let dry = match dry {
            Dry::Run => "&dryRun=All",
            Dry::No => "",
        };
        let body = Some(("application/json-patch+json", patch.to_string()));
        let path = format!("{path}?fieldManager={FIELD_MANAGER}{dry}");
        self.call("write the pod template", Method::PATCH, &path, body).await
    }

    /// Adds to an object's metadata, once.
    pub(in crate::execute) async fn annotate(&self, path: &str, patch: &Value) -> Result<(), Trouble> {
        let doing = format!("annotate {path}");
        let body = Some(("application/merge-patch+json", patch.to_string()));
        let path = format!("{path}?fieldManager={FIELD_MANAGER}");
        let patched = self.call(&doing, Method::PATCH, &path, body).await;
        patched.map(|_| ()).map_err(|why| why.trouble(&doing))
    }

    /// Asks something that is answered by what is created, and creates nothing (`SelfSubjectAccessReview`).
    pub(super) async fn ask(&self, path: &str, question: &Value) -> Result<Value, Trouble> {
        let doing = format!("ask {path}");
        let body = Some(("application/json", question.to_string()));
        self.call(&doing, Method::POST, path, body).await.map_err(|why| why.trouble(&doing))
    }

    /// A text, such as a log.
    pub(super) async fn text(&self, path: &str) -> Result<String, Trouble> {
        let doing = format!("read {path}");
        let bytes =
            self.exchange(&doing, Method::GET, path, None).await.map_err(|why| why.trouble(&doing))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// An answer that goes on: the beginning comes in the time of a call, the rest whenever it does.
    pub(super) async fn stream(&self, doing: &str, path: &str) -> Result<Body, Refusal> {
        let request = Request::builder().uri(path).header(ACCEPT, "application/json").body(Body::empty());
        let request =
            request.map_err(|error| Refusal::Trouble(Trouble::Refused(format!("{doing}: {error}"))))?;
        let client = self.client(doing, &self.watcher, SILENCE).await.map_err(Refusal::Trouble)?;
        let Ok(answer) = tokio::time::timeout(CALL, client.send(request)).await else {
            let within = Duration::try_from(CALL).unwrap_or(Duration::MAX);
            return Err(Refusal::Trouble(CallError::Deadline { doing: doing.to_owned(), within }.into()));
        };
        let answer = answer.map_err(|error| sorted(doing, &error))?;
        match answer.status() {
            status if status.is_success() => Ok(answer.into_body()),
            StatusCode::GONE => Err(Refusal::Gone),
            status => Err(refused(doing, status, b"")),
        }
    }

    async fn call(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        body: Option<(&str, String)>,
    ) -> Result<Value, Refusal> {
        let bytes = self.exchange(doing, method, path, body).await?;
        serde_json::from_slice(&bytes).map_err(|error| unclear(doing, format!("no JSON: {error}")))
    }

    async fn exchange(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        body: Option<(&str, String)>,
    ) -> Result<Bytes, Refusal> {
        let mut request = Request::builder().method(method).uri(path).header(ACCEPT, "application/json");
        if let Some((kind, _)) = &body {
            request = request.header(CONTENT_TYPE, *kind);
        }
        let body = body.map(|(_, text)| text.into_bytes()).unwrap_or_default();
        let request = request
            .body(Body::from(body))
            .map_err(|error| Refusal::Trouble(Trouble::Refused(format!("{doing}: {error}"))))?;
        let client = self.client(doing, &self.client, CALL).await.map_err(Refusal::Trouble)?;
        let answered = tokio::time::timeout(CALL, async {
            let answer = client.send(request).await.map_err(|error| sorted(doing, &error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
            let body = body.map_err(|error| unclear(doing, error.to_string()))?;
            Ok((status, body.to_bytes()))
        });
        let Ok(answered) = answered.await else {
            let within = Duration::try_from(CALL).unwrap_or(Duration::MAX);
            return Err(Refusal::Trouble(CallError::Deadline { doing: doing.to_owned(), within }.into()));
        };
        let (status, body) = answered?;
        if status.is_success() {
            return Ok(body);
        }
        if status == StatusCode::UNAUTHORIZED {
            // Who we are may have been written anew; the next call reads it again.
            *self.client.lock().await = None;
        }
        Err(refused(doing, status, &body))
    }

    /// The client, made when it is first needed.
    async fn client(
        &self,
        doing: &str,
        kept: &Mutex<Option<Client>>,
        silence: StdDuration,
    ) -> Result<Client, Trouble> {
        let mut kept = kept.lock().await;
        if let Some(client) = &*kept {
            return Ok(client.clone());
        }
        let mut config = self
            .config()
            .await
            .map_err(|why| Trouble::Busy { why: format!("{doing}: {why}"), after: None })?;
        // A proxy that happens to stand in the environment is not asked; one that a kubeconfig names is a fault of the configuration.
        config.proxy_url = None;
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(silence);
        config.write_timeout = Some(CALL);
        // Tries again what was refused for a moment, changes too: that is the engine's to do.
        config.default_retry = false;
        let client =
            Client::try_from(config).map_err(|error| Trouble::Refused(format!("{doing}: {error}")))?;
        *kept = Some(client.clone());
        Ok(client)
    }

    async fn config(&self) -> Result<Config, String> {
        let options = KubeConfigOptions { context: self.settings.context.clone(), ..Default::default() };
        let Some(path) = &self.settings.kubeconfig else {
            if self.settings.context.is_some() {
                return Config::from_kubeconfig(&options).await.map_err(|error| error.to_string());
            }
            return Config::infer().await.map_err(|error| error.to_string());
        };
        let read = path.clone();
        let file = tokio::task::spawn_blocking(move || Kubeconfig::read_from(read)).await;
        let file = file.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        Config::from_custom_kubeconfig(file, &options).await.map_err(|error| error.to_string())
    }
}

/// One page of a list.
fn page(path: &str, by: &[(&str, &str)], more: &str) -> String {
    let size = PAGE.to_string();
    let all = by.iter().copied().chain([("limit", &*size), ("continue", more)]);
    let query: String = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(all.filter(|(_, value)| !value.is_empty()))
        .finish();
    format!("{path}?{query}")
}

/// Whether a change is only asked about.
#[derive(Clone, Copy)]
pub(super) enum Dry {
    Run,
    No,
}

fn unclear(doing: &str, said: String) -> Refusal {
    Refusal::Trouble(CallError::Answer { doing: doing.to_owned(), said }.into())
}

/// What an answer that is no success means. A server that failed says nothing of what it did before.
fn refused(doing: &str, status: StatusCode, body: &[u8]) -> Refusal {
    let told = serde_json::from_slice::<Status>(body).ok();
    let says = match &told {
        Some(status) if !status.message.is_empty() => status.message.clone(),
        Some(_) | None => String::from_utf8_lossy(&body[..body.len().min(300)]).trim().to_owned(),
    };
    let after = told.and_then(|status| status.details?.retry_after_seconds);
    match status {
        StatusCode::NOT_FOUND => Refusal::NotFound,
        StatusCode::UNPROCESSABLE_ENTITY => Refusal::Conflict(says),
        // Others write the same object at the same moment: nothing of ours was written.
        StatusCode::CONFLICT => {
            Refusal::Trouble(Trouble::Busy { why: format!("{doing}: {says}"), after: None })
        }
        // The API's own fairness turns a request away before anything looks at it.
        StatusCode::TOO_MANY_REQUESTS => Refusal::Trouble(Trouble::Busy {
            why: format!("{doing}: {says}"),
            after: after.map(|seconds| Duration::from_secs(i64::from(seconds))),
        }),
        // Nothing was done, and who we are is read anew.
        StatusCode::UNAUTHORIZED => {
            let why = format!("{doing}: the API does not know us: {says}");
            Refusal::Trouble(Trouble::Busy { why, after: None })
        }
        status if status.is_client_error() => {
            Refusal::Trouble(Trouble::Refused(format!("{doing}: {says} ({status})")))
        }
        status => unclear(doing, format!("{status}: {says}")),
    }
}

/// What a call that had no answer means.
fn sorted(doing: &str, error: &kube::Error) -> Refusal {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut said = error.to_string();
    while let Some(one) = cause {
        if one.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|error| error.is_connect()) {
            // It never left.
            let why = format!("{doing}: the API cannot be reached: {}", innermost(one));
            return Refusal::Trouble(Trouble::Busy { why, after: None });
        }
        said = innermost(one);
        cause = one.source();
    }
    if matches!(error, kube::Error::Auth(_)) {
        let why = format!("{doing}: our own credentials cannot be had: {said}");
        return Refusal::Trouble(Trouble::Busy { why, after: None });
    }
    unclear(doing, said)
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}
