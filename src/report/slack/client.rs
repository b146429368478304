//! Calls to Slack's Web API, each under a deadline and sorted by what follows from its failure. Owns the connection; leaves
//! what is said to `slack`, and when anything is said again to the engine.

use std::fmt::Write as _;
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use slack_morphism::errors::SlackClientError;
use slack_morphism::prelude::*;
use tokio::time::timeout;

use crate::outbound::{CallError, Trouble};

/// A call may take so long. Slack answers within a second; whoever waits longer is better off asking again.
const WITHIN: Duration = Duration::from_secs(10);
/// Slack's own limit on how long anybody has to wait after a 429 is not known; a longer wish is a mistake.
const AFTER_MAX: Duration = Duration::from_secs(120);

type Connector = SlackClientHyperConnector<HttpsConnector<HttpConnector>>;

/// Slack's Web API, with our token.
pub(super) struct Client {
    client: SlackClient<Connector>,
    token: SlackApiToken,
}

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// Slack will not, by this code of its own: some are answered in another way.
    Said(String),
    /// Anything else.
    Trouble(Trouble),
}

impl From<Failed> for Trouble {
    fn from(failed: Failed) -> Trouble {
        match failed {
            Failed::Said(code) => Trouble::Refused(format!("Slack says {code}{}", remedy(&code))),
            Failed::Trouble(trouble) => trouble,
        }
    }
}

/// A message as a search finds it.
#[derive(Debug, Deserialize)]
pub(super) struct FoundMessage {
    /// Its time, which names it.
    pub(super) ts: String,
    /// What whoever posted it wrote beside it: any shape, of any app.
    #[serde(default)]
    pub(super) metadata: serde_json::Value,
}

#[derive(Debug, Deserialize)]
struct FoundMessages {
    #[serde(default)]
    messages: Vec<FoundMessage>,
    response_metadata: Option<SlackResponseMetadata>,
}

/// Where a search looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range<'a> {
    /// The channel's id.
    pub(super) channel: &'a str,
    /// The thread's first message; nothing: the channel itself.
    pub(super) thread: Option<&'a str>,
    /// Nothing before this time.
    pub(super) oldest: &'a str,
}

impl Client {
    /// A client of the API at this address, without a slash at its end.
    pub(super) fn new(api_url: &str, token: &SecretString) -> Client {
        let connector =
            SlackClientHyperConnector::with_connector(connector(api_url)).with_slack_api_url(api_url);
        let token = SlackApiToken::new(token.expose_secret().to_owned().into());
        Client { client: SlackClient::new(connector), token }
    }

    /// Whose token this is.
    pub(super) async fn auth_test(&self) -> Result<SlackApiAuthTestResponse, Failed> {
        call("ask Slack whose token this is", self.session().auth_test()).await
    }

    /// Posts a message.
    pub(super) async fn post(
        &self,
        request: &SlackApiChatPostMessageRequest,
    ) -> Result<SlackApiChatPostMessageResponse, Failed> {
        call("post to Slack", self.session().chat_post_message(request)).await
    }

    /// Edits a message.
    pub(super) async fn update(&self, request: &SlackApiChatUpdateRequest) -> Result<(), Failed> {
        call("edit a message in Slack", self.session().chat_update(request)).await.map(|_| ())
    }

    /// Deletes a message of ours.
    pub(super) async fn delete(&self, request: &SlackApiChatDeleteRequest) -> Result<(), Failed> {
        call("delete a message in Slack", self.session().chat_delete(request)).await.map(|_| ())
    }

    /// One page of what was posted there, with what was written beside it, and where the next page begins. The library's
    /// own call cannot ask for that in a thread, and would refuse a page over another app's metadata.
    pub(super) async fn posted(
        &self,
        range: Range<'_>,
        cursor: Option<&str>,
    ) -> Result<(Vec<FoundMessage>, Option<String>), Failed> {
        let method = if range.thread.is_some() { "conversations.replies" } else { "conversations.history" };
        let parameters = vec![
            ("channel", Some(range.channel)),
            ("ts", range.thread),
            ("oldest", Some(range.oldest)),
            ("inclusive", Some("true")),
            ("include_all_metadata", Some("true")),
            ("limit", Some("200")),
            ("cursor", cursor),
        ];
        let found: FoundMessages = self.get("read what was posted in Slack", method, &parameters).await?;
        let next = found.response_metadata.and_then(|metadata| metadata.next_cursor);
        Ok((found.messages, next.map(|cursor| cursor.0).filter(|cursor| !cursor.is_empty())))
    }

    /// Reads; the shape is the caller's.
    pub(super) async fn get<T: DeserializeOwned + Send>(
        &self,
        doing: &str,
        method: &str,
        parameters: &Vec<(&str, Option<&str>)>,
    ) -> Result<T, Failed> {
        call(doing, self.session().http_session_api.http_get(method, parameters, None)).await
    }

    /// Answers one person where Slack said that they are answered; whoever calls has looked at the address.
    pub(super) async fn respond<T: Serialize + Send + Sync>(
        &self,
        url: &str,
        body: &T,
    ) -> Result<(), Failed> {
        let none = || Failed::Trouble(Trouble::Refused("the address to answer at is none".into()));
        let url = url.parse().map_err(|_| none())?;
        let session = self.session();
        let sent = session.http_session_api.http_post_uri::<T, serde_json::Value>(url, body, None);
        call("answer in Slack", sent).await.map(|_| ())
    }

    fn session(&self) -> SlackClientSession<'_, Connector> {
        self.client.open_session(&self.token)
    }
}

/// Plain HTTP is for a workspace on this machine alone; the configuration refuses it elsewhere.
fn connector(api_url: &str) -> HttpsConnector<HttpConnector> {
    let builder = HttpsConnectorBuilder::new();
    let builder = match builder.with_native_roots() {
        Ok(builder) => builder,
        Err(error) => {
            if api_url.starts_with("https:") {
                tracing::error!(%error, "no certificates are installed here: Slack cannot be reached");
            }
            let nobody = rustls::RootCertStore::empty();
            let config = rustls::ClientConfig::builder().with_root_certificates(nobody).with_no_client_auth();
            HttpsConnectorBuilder::new().with_tls_config(config)
        }
    };
    builder.https_or_http().enable_http1().build()
}

/// One call, under its deadline.
async fn call<T>(doing: &str, sent: impl Future<Output = Result<T, SlackClientError>>) -> Result<T, Failed> {
    match timeout(WITHIN, sent).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(failed(doing, error)),
        Err(_) => {
            let within = crate::case::id::Duration::try_from(WITHIN).unwrap_or_default();
            Err(Failed::Trouble(CallError::Deadline { doing: doing.to_owned(), within }.into()))
        }
    }
}

/// What follows from a failure (error codes: signals §10.5). Bodies are left out: they may hold what was said.
fn failed(doing: &str, error: SlackClientError) -> Failed {
    let unclear = |said: String| CallError::Answer { doing: doing.to_owned(), said }.into();
    Failed::Trouble(match error {
        SlackClientError::RateLimitError(limit) => Trouble::Busy {
            why: "Slack asks to wait".into(),
            after: limit.retry_after.and_then(|after| after.min(AFTER_MAX).try_into().ok()),
        },
        SlackClientError::ApiError(error) => match error.code.as_str() {
            "ratelimited" | "service_unavailable" | "accesslimited" => {
                Trouble::Busy { why: format!("Slack says {}", error.code), after: None }
            }
            "internal_error" | "fatal_error" | "request_timeout" => unclear(error.code),
            _ => return Failed::Said(error.code),
        },
        SlackClientError::HttpError(error) if error.status_code.is_client_error() => {
            Trouble::Refused(format!("Slack answers {}", error.status_code))
        }
        SlackClientError::HttpError(error) => unclear(format!("Slack answers {}", error.status_code)),
        SlackClientError::HttpProtocolError(error) => {
            let cause = error.cause.as_deref();
            let sent = cause
                .and_then(|cause| cause.downcast_ref::<hyper_util::client::legacy::Error>())
                .is_none_or(|error| !error.is_connect());
            let why = cause.map_or("the connection broke".to_owned(), |cause| chain(cause));
            if sent { unclear(why) } else { Trouble::Busy { why, after: None } }
        }
        SlackClientError::ProtocolError(error) => {
            unclear(format!("an answer that is none: {}", error.json_error))
        }
        SlackClientError::EndOfStream(_)
        | SlackClientError::SystemError(_)
        | SlackClientError::SocketModeProtocolError(_) => unclear("the connection broke".into()),
    })
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

/// What to do about what Slack refuses.
fn remedy(code: &str) -> &'static str {
    match code {
        "channel_not_found" | "not_in_channel" => ": invite the app into the channel, and name it by id",
        "is_archived" => ": the channel is archived; name another one",
        "invalid_auth" | "account_inactive" | "token_revoked" | "token_expired" | "not_authed" => {
            ": install the app anew, and take its new token"
        }
        "missing_scope" => ": give the app the scopes of deploy/slack-manifest.yaml",
        _ => "",
    }
}
