//! What comes to a `response_url`: five uses within thirty minutes, of which each whispers, replaces or deletes what the
//! person sees, or speaks in the channel. Leaves the making of the URLs to `people`.

use serde_json::{Value, json};
use snapback::case::id::Timestamp;

use super::methods::{self, Refusal};
use super::state::{BOT_USER, State};

/// Uses of one URL, and how long it lives. Source: Slack's page on handling interactions.
const USES: usize = 5;
const SECONDS: i64 = 30 * 60;

/// What a `response_url` belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    pub(super) user: String,
    pub(super) channel: String,
    pub(super) original: Original,
    pub(super) made: Timestamp,
    pub(super) used: usize,
}

/// What a click was on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Original {
    /// A command has none.
    None,
    /// A message that everybody sees, by its `ts`.
    Message(String),
    /// A message that only the person sees, by its `ts`.
    Whisper(String),
}

/// Why a `response_url` does not take it: the status and the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotTaken(pub(super) u16, pub(super) &'static str);

/// Takes what was posted to a `response_url`.
pub(super) fn takes(state: &mut State, id: &str, body: &[u8], now: Timestamp) -> Result<(), NotTaken> {
    let hook = state.hooks.get_mut(id).ok_or(NotTaken(404, "no_service"))?;
    if now.as_second() - hook.made.as_second() > SECONDS {
        return Err(NotTaken(404, "expired_url"));
    }
    if hook.used >= USES {
        return Err(NotTaken(404, "used_url"));
    }
    hook.used += 1;
    let hook = hook.clone();
    let said: Value = serde_json::from_slice(body).map_err(|_| NotTaken(400, "invalid_payload"))?;
    answered(state, &hook, &said, now)
}

/// Does what an answer says, come by a `response_url` or as the answer to a command itself.
pub(super) fn answered(state: &mut State, hook: &Hook, said: &Value, now: Timestamp) -> Result<(), NotTaken> {
    let is = |name: &str| said[name] == json!(true) || said[name] == "true";
    if is("delete_original") {
        return deletes(state, hook, now);
    }
    let text = said["text"].as_str().map(str::to_owned);
    let blocks = match said.get("blocks").filter(|blocks| !blocks.is_null()) {
        Some(blocks) => Some(methods::taken(state, blocks).map_err(not_taken)?),
        None => None,
    };
    if text.is_none() && blocks.is_none() {
        return Err(NotTaken(400, "no_text"));
    }
    match &hook.original {
        Original::Message(ts) if is("replace_original") => {
            let gone = NotTaken(404, "message_not_found");
            let message = state.message_mut(&hook.channel, ts).ok_or(gone)?;
            methods::change(message, text, blocks, now);
            let message = message.clone();
            methods::write_down_change(state, "response_url", &message, now);
        }
        Original::Whisper(ts) if is("replace_original") => {
            let seen = state.whispers.iter_mut().find(|whisper| whisper.ts == *ts);
            let seen = seen.ok_or(NotTaken(404, "message_not_found"))?;
            seen.text = text.unwrap_or_default();
            seen.blocks = blocks.unwrap_or_default();
            seen.replaced += 1;
            let line = json!({
                "channel": seen.channel, "user": seen.user, "ts": seen.ts, "text": seen.text, "blocks": seen.blocks,
            });
            state.write_down(now, "response_url", line);
        }
        Original::Message(_) | Original::Whisper(_) | Original::None => {
            let text = text.unwrap_or_default();
            if said["response_type"] == "in_channel" {
                let said = (text.as_str(), blocks.unwrap_or_default());
                let message = methods::say_as(state, (&hook.channel, BOT_USER), said, None, now);
                methods::write_down_change(state, "response_url", &message, now);
            } else {
                let to = (hook.channel.as_str(), hook.user.as_str());
                methods::whispered(state, "response_url", to, (&text, blocks), now);
            }
        }
    }
    Ok(())
}

fn deletes(state: &mut State, hook: &Hook, now: Timestamp) -> Result<(), NotTaken> {
    match &hook.original {
        Original::Message(ts) => delete(state, &hook.channel, ts),
        Original::Whisper(ts) => state.whispers.retain(|whisper| whisper.ts != *ts),
        Original::None => return Err(NotTaken(404, "message_not_found")),
    }
    state.write_down(now, "response_url", json!({ "channel": hook.channel, "delete_original": true }));
    Ok(())
}

/// A message is gone; above replies its tombstone stays.
pub(super) fn delete(state: &mut State, channel: &str, ts: &str) {
    if state.replies(channel, ts).is_empty() {
        state.messages.retain(|message| message.channel != channel || message.ts != ts);
    } else if let Some(message) = state.message_mut(channel, ts) {
        message.deleted = true;
        message.blocks.clear();
    }
}

fn not_taken(refusal: Refusal) -> NotTaken {
    match refusal {
        Refusal::Error(code) => NotTaken(400, code),
        Refusal::Blocks(_) => NotTaken(400, "invalid_blocks"),
        Refusal::Scope(_) => NotTaken(400, "missing_scope"),
        Refusal::Busy(_) => NotTaken(429, "ratelimited"),
    }
}
