//! What is sent to the product: a click or a command as bytes in Slack's form, signed over them, and the ways in which
//! somebody who is not Slack would send them; and how long the product took to answer. Leaves what they say to `people`.
//! Source: Slack's page on verifying requests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use snapback::case::id::Timestamp;
use tokio::net::TcpStream;

use super::Workspace;
use super::hooks;

/// How long Slack waits for the answer to a click or a command.
pub(crate) const IN_TIME: Duration = Duration::from_secs(3);
/// How long the workspace waits: longer than Slack, so that a slow machine shows as a figure and not as silence.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the product answered, or that it did not.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    /// The HTTP status; 0 where there was no answer.
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) took: Duration,
}

impl Answered {
    /// Whether Slack would have taken it for an answer.
    pub(crate) fn in_time(&self) -> bool {
        self.status == 200 && self.took < IN_TIME
    }
}

/// What is sent to the product, while it can still be changed.
pub(crate) struct Knock {
    workspace: Arc<Workspace>,
    form: Form,
    hook: String,
    secret: String,
    at: Timestamp,
    signed: Signed,
}

/// What the body says.
pub(super) enum Form {
    /// One field `payload`, of JSON.
    Click(Value),
    /// A command's fields, in order.
    Command(Vec<(&'static str, String)>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Signed {
    Well,
    Not,
    /// The body was changed after it was signed.
    Tampered,
}

/// What is sent to the product, byte by byte. To send it twice is a replay.
#[derive(Clone)]
pub(crate) struct Sealed {
    workspace: Arc<Workspace>,
    pub(crate) path: &'static str,
    pub(crate) body: Vec<u8>,
    pub(crate) timestamp: String,
    /// Absent where it is unsigned.
    pub(crate) signature: Option<String>,
    hook: String,
}

impl Knock {
    /// As Slack sends it: signed with the secret, now.
    pub(super) fn new(workspace: Arc<Workspace>, form: Form, hook: String, at: Timestamp) -> Knock {
        let secret = workspace.signing_secret();
        Knock { workspace, form, hook, secret, at, signed: Signed::Well }
    }

    pub(super) fn form(&mut self) -> &mut Form {
        &mut self.form
    }

    /// Signed by somebody who does not know the secret.
    pub(crate) fn forged(self) -> Knock {
        self.signed_with("8f742231b10e8888abcd99yyyzzz85a5")
    }

    /// Signed with this secret.
    pub(crate) fn signed_with(mut self, secret: &str) -> Knock {
        secret.clone_into(&mut self.secret);
        self
    }

    /// Signed well, so many seconds ago; a negative number is the future.
    pub(crate) fn aged(mut self, seconds: i64) -> Knock {
        self.at = Timestamp::from_second(self.at.as_second() - seconds).expect("a moment");
        self
    }

    /// Without a signature.
    pub(crate) fn unsigned(mut self) -> Knock {
        self.signed = Signed::Not;
        self
    }

    /// With a body that was changed after it was signed.
    pub(crate) fn tampered(mut self) -> Knock {
        self.signed = Signed::Tampered;
        self
    }

    /// From another workspace.
    pub(crate) fn of_team(mut self, id: &str, domain: &str) -> Knock {
        match &mut self.form {
            Form::Click(payload) => {
                payload["team"] = json!({ "id": id, "domain": domain });
                payload["user"]["team_id"] = id.into();
            }
            Form::Command(fields) => {
                set(fields, "team_id", id);
                set(fields, "team_domain", domain);
            }
        }
        self
    }

    /// From an installation for a whole organisation: a click then names no team.
    pub(crate) fn org_wide(mut self, enterprise: &str) -> Knock {
        match &mut self.form {
            Form::Click(payload) => {
                payload["team"] = Value::Null;
                payload["enterprise"] = json!({ "id": enterprise, "name": "Acme Holding" });
                payload["is_enterprise_install"] = true.into();
            }
            Form::Command(fields) => {
                set(fields, "is_enterprise_install", "true");
                fields.push(("enterprise_id", enterprise.to_owned()));
                fields.push(("enterprise_name", "Acme Holding".to_owned()));
            }
        }
        self
    }

    /// With another `response_url`.
    pub(crate) fn answering_to(mut self, url: &str) -> Knock {
        match &mut self.form {
            Form::Click(payload) => payload["response_url"] = url.into(),
            Form::Command(fields) => set(fields, "response_url", url),
        }
        self
    }

    /// With another body: the payload of a click, changed by hand.
    pub(crate) fn altered(mut self, change: impl FnOnce(&mut Value)) -> Knock {
        match &mut self.form {
            Form::Click(payload) => change(payload),
            Form::Command(_) => panic!("a command has no payload"),
        }
        self
    }

    /// As bytes, signed.
    pub(crate) fn seal(self) -> Sealed {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let path = match &self.form {
            Form::Click(payload) => {
                form.append_pair("payload", &as_slack_writes(payload));
                "/slack/interactions"
            }
            Form::Command(fields) => {
                form.extend_pairs(fields);
                "/slack/commands"
            }
        };
        let mut body = form.finish();
        let timestamp = self.at.as_second().to_string();
        let signature = signature(&self.secret, &timestamp, body.as_bytes());
        if self.signed == Signed::Tampered {
            body.push_str("&more=1");
        }
        Sealed {
            workspace: self.workspace,
            path,
            body: body.into_bytes(),
            timestamp,
            signature: (self.signed != Signed::Not).then_some(signature),
            hook: self.hook,
        }
    }

    /// Sends it once.
    pub(crate) async fn send(self) -> Answered {
        self.seal().send().await
    }
}

fn set(fields: &mut [(&'static str, String)], name: &str, value: &str) {
    let field = fields.iter_mut().find(|(known, _)| *known == name).expect("a field");
    value.clone_into(&mut field.1);
}

/// JSON as Slack writes it: `/` and everything beyond ASCII escaped.
fn as_slack_writes(value: &Value) -> String {
    let mut written = String::new();
    for c in value.to_string().chars() {
        match c {
            '/' => written.push_str("\\/"),
            c if c.is_ascii() => written.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    written.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    written
}

/// `v0=` and the HMAC-SHA256 over `v0:timestamp:body`. Source: Slack, verifying requests.
pub(crate) fn signature(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    let signed = [format!("v0:{timestamp}:").as_bytes(), body].concat();
    let tag = aws_lc_rs::hmac::sign(&key, &signed);
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v0={hex}")
}

impl Sealed {
    /// Sends the same bytes, as often as this is called.
    pub(crate) async fn send(&self) -> Answered {
        let address = self.workspace.product();
        let sealed = self.clone();
        // On the workspace's own threads: a test that waits meanwhile does not lengthen the figure.
        let sent = self.workspace.handle.spawn(async move {
            let begun = begins();
            let answer = tokio::time::timeout(PATIENCE, sealed.exchange(&address)).await;
            let (status, body) = answer.ok().flatten().unwrap_or_default();
            Answered { status, body, took: begun.elapsed() }
        });
        let answered = sent.await.expect("it is sent");
        self.heard(&answered);
        answered
    }

    async fn exchange(&self, address: &str) -> Option<(u16, String)> {
        let stream = TcpStream::connect(address).await.ok()?;
        let (mut client, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        let driven = tokio::spawn(connection);
        let mut request = Request::post(self.path)
            .header("host", address)
            .header("user-agent", "Slackbot 1.0 (+https://api.slack.com/robots)")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-slack-request-timestamp", &self.timestamp);
        if let Some(signature) = &self.signature {
            request = request.header("x-slack-signature", signature);
        }
        let request = request.body(Full::new(Bytes::from(self.body.clone()))).expect("a request");
        let answer = client.send_request(request).await.ok()?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        driven.abort();
        Some((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// The answer to a command is itself a message, where it is not empty.
    fn heard(&self, answered: &Answered) {
        if !answered.in_time() || answered.body.is_empty() || self.path != "/slack/commands" {
            return;
        }
        let said = serde_json::from_str(&answered.body);
        let said = said.unwrap_or_else(|_| json!({ "text": answered.body }));
        let now = self.workspace.now();
        let taken = self.workspace.changes(|state| {
            let hook = state.hooks.get(&self.hook).cloned().expect("its hook");
            hooks::answered(state, &hook, &said, now)
        });
        assert!(taken.is_ok(), "Slack would not show the answer to a command: {taken:?}\n{}", answered.body);
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures how long the product takes")]
fn begins() -> std::time::Instant {
    std::time::Instant::now()
}
