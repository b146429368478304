//! The people's side: a click and a command as Slack sends them to the product, in its form, signed over the bytes; and
//! the ways in which somebody who is not Slack would send them. Sources: Slack's pages on `block_actions`, on commands and
//! on verifying requests; the payloads beside the reference.

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
use super::hooks::{self, Hook, Original};
use super::state::{APP, BOT_USER, DOMAIN, Message, Person, State, TEAM, Whisper, buttons};

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
enum Form {
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

impl Workspace {
    /// Clicks a button that the message has now, as this person.
    pub(crate) async fn click(self: &Arc<Self>, message: &Message, action: &str, user: &str) -> Answered {
        self.clicking(message, action, user).send().await
    }

    /// Clicks a button that this copy of the message has, as a client that did not hear of the change.
    pub(crate) async fn click_stale(
        self: &Arc<Self>,
        message: &Message,
        action: &str,
        user: &str,
    ) -> Answered {
        self.clicking_stale(message, action, user).send().await
    }

    /// Clicks a button of a whisper, as the person who sees it.
    pub(crate) async fn click_whisper(self: &Arc<Self>, whisper: &Whisper, action: &str) -> Answered {
        self.clicking_whisper(whisper, action).send().await
    }

    /// Gives a command in a channel (by id).
    pub(crate) async fn command(
        self: &Arc<Self>,
        user: &str,
        channel: &str,
        command: &str,
        text: &str,
    ) -> Answered {
        self.commanding(user, channel, command, text).send().await
    }

    /// A click that is not yet sent.
    pub(crate) fn clicking(self: &Arc<Self>, message: &Message, action: &str, user: &str) -> Knock {
        let now = self.state().message(&message.channel, &message.ts).cloned();
        let now = now.unwrap_or_else(|| panic!("the message {} is gone", message.ts));
        self.clicking_stale(&now, action, user)
    }

    /// A click on a copy of a message, not yet sent.
    pub(crate) fn clicking_stale(self: &Arc<Self>, message: &Message, action: &str, user: &str) -> Knock {
        let shown = self.state().json(message);
        let mut container = json!({ "type": "message", "message_ts": message.ts, "is_ephemeral": false });
        if let Some(root) = &message.thread_ts {
            container["thread_ts"] = root.as_str().into();
        }
        let original = Original::Message(message.ts.clone());
        let mut knock = self.pressing(&message.channel, &message.blocks, action, user, (container, original));
        if let Form::Click(payload) = &mut knock.form {
            payload["message"] = shown;
        }
        knock
    }

    /// A click on a whisper that is there now, not yet sent: such a payload has no message.
    pub(crate) fn clicking_whisper(self: &Arc<Self>, whisper: &Whisper, action: &str) -> Knock {
        let now = self.state().whispers.iter().find(|now| now.ts == whisper.ts).cloned();
        let now = now.unwrap_or_else(|| panic!("the whisper {} is gone", whisper.ts));
        let container = json!({ "type": "message", "message_ts": now.ts, "is_ephemeral": true });
        let original = Original::Whisper(now.ts.clone());
        self.pressing(&now.channel, &now.blocks, action, &now.user, (container, original))
    }

    fn pressing(
        self: &Arc<Self>,
        channel: &str,
        blocks: &[Value],
        action: &str,
        user: &str,
        (mut container, original): (Value, Original),
    ) -> Knock {
        let now = self.now();
        let mut state = self.state();
        let pressed = buttons(blocks).find(|(_, button)| button["action_id"] == action);
        let (block, button) = pressed.unwrap_or_else(|| {
            let there: Vec<_> = buttons(blocks).map(|(_, button)| &button["action_id"]).collect();
            panic!("the message has no button {action} now, but {there:?}")
        });
        let person = known(&state, user);
        let hook = hook(&mut state, "actions", channel, user, original, now);
        container["channel_id"] = channel.into();
        let mut pressed = button.clone();
        pressed["block_id"] = block.into();
        pressed["action_ts"] = state.next_ts(now).into();
        let channel = json!({ "id": channel, "name": state.channels[channel].told_name() });
        let payload = json!({
            "type": "block_actions",
            "user": { "id": person.id, "username": person.name, "name": person.name, "team_id": person.team() },
            "api_app_id": APP, "token": "gIkuvaNzQIHg97ATvDxqgjtO", "container": container,
            "trigger_id": trigger(&mut state), "team": { "id": TEAM, "domain": DOMAIN }, "enterprise": null,
            "is_enterprise_install": false, "channel": channel, "state": { "values": {} },
            "response_url": format!("{}/hooks/{hook}", self.url()), "actions": [pressed],
        });
        drop(state);
        self.knock(Form::Click(payload), hook, now)
    }

    /// A command that is not yet sent.
    pub(crate) fn commanding(
        self: &Arc<Self>,
        user: &str,
        channel: &str,
        command: &str,
        text: &str,
    ) -> Knock {
        let now = self.now();
        let mut state = self.state();
        let person = known(&state, user);
        let hook = hook(&mut state, "commands", channel, user, Original::None, now);
        let named = state.channels.get(channel).unwrap_or_else(|| panic!("no channel {channel} here"));
        let fields = vec![
            ("token", "gIkuvaNzQIHg97ATvDxqgjtO".into()),
            ("team_id", TEAM.into()),
            ("team_domain", DOMAIN.into()),
            ("channel_id", channel.into()),
            ("channel_name", named.told_name().into()),
            ("user_id", person.id.clone()),
            ("user_name", person.name.clone()),
            ("command", command.into()),
            ("text", text.into()),
            ("api_app_id", APP.into()),
            ("is_enterprise_install", "false".into()),
            ("response_url", format!("{}/hooks/{hook}", self.url())),
            ("trigger_id", trigger(&mut state)),
        ];
        drop(state);
        self.knock(Form::Command(fields), hook, now)
    }

    fn knock(self: &Arc<Self>, form: Form, hook: String, at: Timestamp) -> Knock {
        let secret = self.signing_secret();
        Knock { workspace: Arc::clone(self), form, hook, secret, at, signed: Signed::Well }
    }
}

/// Nobody acts who is not in the workspace.
fn known(state: &State, user: &str) -> Person {
    state.people.get(user).cloned().unwrap_or_else(|| panic!("there is nobody {user} in the workspace"))
}

fn hook(
    state: &mut State,
    sort: &str,
    channel: &str,
    user: &str,
    original: Original,
    made: Timestamp,
) -> String {
    let number = state.count();
    let id = format!("{sort}/{TEAM}/{number}/{:024x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let hook = Hook { user: user.to_owned(), channel: channel.to_owned(), original, made, used: 0 };
    state.hooks.insert(id.clone(), hook);
    id
}

fn trigger(state: &mut State) -> String {
    let number = state.count();
    format!("12466734323.{number}.{:032x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

impl Knock {
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

/// Whether somebody is the product itself.
pub(crate) fn is_the_bot(message: &Message) -> bool {
    message.user == BOT_USER
}
