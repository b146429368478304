//! The methods of the Web API over the state, with Slack's own words for refusals: here those that post and change; those
//! that only read are in `reading`. Leaves the wire and its faults to `wire`. Sources: Slack's reference of methods; where it is silent, the stricter reading, said beside it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use snapback::case::id::Timestamp;

use super::blocks::{self, Wrong};
use super::hooks;
use super::reading;
use super::state::{
    BOT, BOT_USER, Channel, DOMAIN, Message, Person, Reach, RootGone, State, TEAM, Version, Whisper,
};

/// Characters of a message's text: above, Slack cuts or refuses; a client must never come there.
const TEXT: usize = 40_000;
/// Characters of a changed message's text.
const CHANGED_TEXT: usize = 4_000;
/// Bytes of metadata.
const METADATA: usize = 16 * 1024;

/// An answer of a method.
pub(super) type Answer = Result<Value, Refusal>;

/// Why a method says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// `ok: false` with this code.
    Error(&'static str),
    Blocks(Vec<String>),
    Scope(&'static str),
    /// 429, and after how many seconds.
    Busy(u64),
}

use Refusal::Error;

/// What a call was given.
pub(super) struct Arguments(pub(super) Map<String, Value>);

impl Arguments {
    /// A text; a number is none, so that nobody sends a `ts` as one.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| {
            value == &json!(true) || value == &json!(1) || value == "true" || value == "1"
        })
    }

    /// A list or an object: as it is in JSON, as text in a form.
    fn json(&self, name: &str) -> Result<Option<Value>, ()> {
        match self.0.get(name) {
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => serde_json::from_str(text).map(Some).map_err(|_| ()),
            Some(Value::Null) | None => Ok(None),
            Some(value) => Ok(Some(value.clone())),
        }
    }

    pub(super) fn limit(&self, most: usize) -> Result<usize, Refusal> {
        let Some(limit) = self.0.get("limit") else { return Ok(100) };
        let number = limit.as_u64().or_else(|| limit.as_str()?.parse().ok()).ok_or(Error("invalid_limit"))?;
        usize::try_from(number).ok().filter(|limit| (1..=most).contains(limit)).ok_or(Error("invalid_limit"))
    }

    /// Where the page begins.
    pub(super) fn cursor(&self) -> Result<usize, Refusal> {
        let Some(cursor) = self.text("cursor") else { return Ok(0) };
        let read =
            || String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?.strip_prefix("next:")?.parse().ok();
        read().ok_or(Error("invalid_cursor"))
    }
}

/// Does what a method says.
pub(super) fn perform(state: &mut State, method: &str, asked: &Arguments, now: Timestamp) -> Answer {
    match method {
        "auth.test" => Ok(json!({
            "url": format!("https://{DOMAIN}.slack.com/"), "team": "Acme", "team_id": TEAM, "user": "snapback",
            "user_id": BOT_USER, "bot_id": BOT, "is_enterprise_install": false,
        })),
        "chat.postMessage" => with_scope(state, &["chat:write"]).and_then(|()| post(state, asked, now)),
        "chat.update" => with_scope(state, &["chat:write"]).and_then(|()| update(state, asked, now)),
        "chat.delete" => with_scope(state, &["chat:write"]).and_then(|()| delete(state, asked)),
        "chat.postEphemeral" => with_scope(state, &["chat:write"]).and_then(|()| whisper(state, asked, now)),
        "chat.getPermalink" => reading::permalink(state, asked),
        "conversations.history" => reading::history(state, asked),
        "conversations.replies" => reading::replies(state, asked),
        "conversations.list" => with_scope(state, &["channels:read", "groups:read"]).and_then(|()| reading::channels(state, asked)),
        "conversations.info" => with_scope(state, &["channels:read", "groups:read"]).and_then(|()| {
            let (id, channel) = by_id(state, asked.text("channel"))?;
            Ok(json!({ "channel": channel.json(id) }))
        }),
        "usergroups.list" => with_scope(state, &["usergroups:read"]).map(|()| reading::groups(state, asked)),
        "usergroups.users.list" => with_scope(state, &["usergroups:read"]).and_then(|()| reading::members(state, asked)),
        "users.info" => with_scope(state, &["users:read"]).and_then(|()| {
            let asked = asked.text("user").and_then(|id| state.people.get(id));
            Ok(json!({ "user": asked.map(Person::json).ok_or(Error("user_not_found"))? }))
        }),
        "users.list" => with_scope(state, &["users:read"]).and_then(|()| {
            let people = state.people.values().map(Person::json).collect();
            let (people, next) = reading::page(people, asked, 1000)?;
            Ok(json!({ "members": people, "cache_ts": 1_700_000_000, "response_metadata": { "next_cursor": next } }))
        }),
        _ => Err(Error("unknown_method")),
    }
}

/// One of these is granted.
pub(super) fn with_scope(state: &State, any: &[&'static str]) -> Result<(), Refusal> {
    let granted = any.iter().any(|scope| state.scopes.contains(*scope));
    if granted { Ok(()) } else { Err(Refusal::Scope(any.first().copied().unwrap_or_default())) }
}

/// The channel of this id that the bot can see.
pub(super) fn by_id<'a>(state: &'a State, id: Option<&'a str>) -> Result<(&'a str, &'a Channel), Refusal> {
    let id = id.ok_or(Error("channel_not_found"))?;
    let channel = state.channels.get(id).ok_or(Error("channel_not_found"))?;
    if channel.reach == Reach::Private && channel.absent.contains(BOT_USER) {
        return Err(Error("channel_not_found"));
    }
    Ok((id, channel))
}

/// A channel that one may post to, by id or by name.
fn to_post(state: &State, asked: &Arguments) -> Result<String, Refusal> {
    let asked = asked.text("channel").ok_or(Error("channel_not_found"))?;
    let name = asked.strip_prefix('#').unwrap_or(asked);
    let named = state.channels.iter().find(|(_, channel)| channel.name == name).map(|(id, _)| id.as_str());
    let (id, channel) = by_id(state, Some(named.unwrap_or(asked)))?;
    if channel.archived {
        return Err(Error("is_archived"));
    }
    if channel.absent.contains(BOT_USER) && !state.scopes.contains("chat:write.public") {
        return Err(Error("not_in_channel"));
    }
    Ok(id.to_owned())
}

/// The text and the blocks of a call; `None` where the argument is not there.
struct Content {
    text: Option<String>,
    blocks: Option<Vec<Value>>,
    metadata: Option<Value>,
}

fn content(state: &mut State, asked: &Arguments, most: usize) -> Result<Content, Refusal> {
    let text = asked.text("text").map(str::to_owned);
    if text.as_ref().is_some_and(|text| text.chars().count() > most) {
        return Err(Error("msg_too_long"));
    }
    let blocks = match asked.json("blocks").map_err(|()| Error("invalid_blocks_format"))? {
        Some(blocks) => Some(taken(state, &blocks)?),
        None => None,
    };
    let metadata = asked.json("metadata").map_err(|()| Error("invalid_metadata_format"))?;
    if let Some(metadata) = metadata.as_ref().filter(|metadata| *metadata != &json!({})) {
        if !metadata["event_type"].is_string() || !metadata["event_payload"].is_object() {
            return Err(Error("invalid_metadata_schema"));
        }
        if metadata.to_string().len() > METADATA {
            return Err(Error("metadata_too_large"));
        }
    }
    if text.is_none() && blocks.as_ref().is_none_or(Vec::is_empty) {
        return Err(Error("no_text"));
    }
    Ok(Content { text, blocks, metadata })
}

/// Blocks as the workspace keeps them.
pub(super) fn taken(state: &mut State, blocks: &Value) -> Result<Vec<Value>, Refusal> {
    blocks::taken(blocks, || format!("b{:04}", state.count())).map_err(|wrong| match wrong {
        Wrong::Format => Error("invalid_blocks_format"),
        Wrong::TooLong => Error("msg_blocks_too_long"),
        Wrong::Blocks(faults) => Refusal::Blocks(faults),
    })
}

fn post(state: &mut State, asked: &Arguments, now: Timestamp) -> Answer {
    let channel = to_post(state, asked)?;
    if let Some(pace) = &mut state.pace {
        pace.post(&channel, now).map_err(Refusal::Busy)?;
    }
    let content = content(state, asked, TEXT)?;
    let thread_ts = root(state, asked, &channel)?;
    let broadcast = thread_ts.is_some() && asked.flag("reply_broadcast");
    let posted = say(state, &channel, BOT_USER, content, now);
    posted.thread_ts = thread_ts;
    posted.broadcast = broadcast;
    let posted = posted.clone();
    let json = state.json(&posted);
    let mut line =
        json!({ "channel": channel, "text": posted.text, "ts": posted.ts, "blocks": posted.blocks });
    line["thread_ts"] = posted.thread_ts.into();
    line["metadata"] = posted.metadata.unwrap_or_default();
    state.write_down(now, "chat.postMessage", line);
    Ok(json!({ "channel": channel, "ts": posted.ts, "message": json }))
}

/// The root that a reply names.
fn root(state: &State, asked: &Arguments, channel: &str) -> Result<Option<String>, Refusal> {
    let Some(named) = asked.0.get("thread_ts").filter(|ts| !ts.is_null()) else { return Ok(None) };
    let ts = named.as_str().filter(|ts| is_ts(ts)).ok_or(Error("invalid_thread_ts"))?;
    match (state.message(channel, ts), state.root_gone) {
        // Slack advises against a reply's ts and does not say what becomes of it.
        (Some(message), _) if message.thread_ts.is_some() => Err(Error("cannot_reply_to_message")),
        (Some(_), _) => Ok(Some(ts.to_owned())),
        (None, RootGone::Refuses) => Err(Error("thread_not_found")),
        (None, RootGone::Strays) => Ok(None),
    }
}

/// Seconds and six digits.
fn is_ts(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').is_some_and(|(seconds, rest)| digits(seconds) && digits(rest) && rest.len() == 6)
}

/// A new message at the end of a channel.
fn say<'a>(
    state: &'a mut State,
    channel: &str,
    user: &str,
    content: Content,
    now: Timestamp,
) -> &'a mut Message {
    let ts = state.next_ts(now);
    let text = content.text.unwrap_or_default();
    let blocks = content.blocks.unwrap_or_default();
    state.messages.push(Message {
        channel: channel.to_owned(),
        ts,
        thread_ts: None,
        user: user.to_owned(),
        versions: vec![Version { at: now, text: text.clone(), blocks: blocks.clone() }],
        text,
        blocks,
        metadata: content.metadata.filter(|metadata| metadata != &json!({})),
        broadcast: false,
        deleted: false,
    });
    let last = state.messages.len() - 1;
    &mut state.messages[last]
}

/// A message that a person writes, or the bot through a `response_url`.
pub(super) fn say_as(
    state: &mut State,
    (channel, user): (&str, &str),
    (text, blocks): (&str, Vec<Value>),
    root: Option<&str>,
    now: Timestamp,
) -> Message {
    let content = Content { text: Some(text.to_owned()), blocks: Some(blocks), metadata: None };
    let said = say(state, channel, user, content, now);
    said.thread_ts = root.map(str::to_owned);
    said.clone()
}

fn update(state: &mut State, asked: &Arguments, now: Timestamp) -> Answer {
    let (channel, found) = by_id(state, asked.text("channel"))?;
    let channel = channel.to_owned();
    if found.archived {
        return Err(Error("is_inactive"));
    }
    if let Some(pace) = &mut state.pace {
        pace.update(now).map_err(Refusal::Busy)?;
    }
    let ts = asked.text("ts").filter(|ts| is_ts(ts)).ok_or(Error("message_not_found"))?.to_owned();
    let content = content(state, asked, CHANGED_TEXT)?;
    let message = state.message_mut(&channel, &ts).ok_or(Error("message_not_found"))?;
    if message.user != BOT_USER || message.deleted {
        return Err(Error("cant_update_message"));
    }
    if let Some(metadata) = content.metadata {
        message.metadata = Some(metadata).filter(|metadata| metadata != &json!({}));
    }
    change(message, content.text, content.blocks, now);
    let message = message.clone();
    write_down_change(state, "chat.update", &message, now);
    let json = state.json(&message);
    Ok(json!({ "channel": channel, "ts": ts, "text": message.text, "message": json }))
}

/// A message of the bot's own.
fn delete(state: &mut State, asked: &Arguments) -> Answer {
    let (channel, _) = by_id(state, asked.text("channel"))?;
    let channel = channel.to_owned();
    let ts = asked.text("ts").filter(|ts| is_ts(ts)).ok_or(Error("message_not_found"))?.to_owned();
    let message = state.message(&channel, &ts).ok_or(Error("message_not_found"))?;
    if message.user != BOT_USER || message.deleted {
        return Err(Error("cant_delete_message"));
    }
    hooks::delete(state, &channel, &ts);
    Ok(json!({ "channel": channel, "ts": ts }))
}

/// Text without blocks takes the blocks away; blocks without text leave the old text.
pub(super) fn change(
    message: &mut Message,
    text: Option<String>,
    blocks: Option<Vec<Value>>,
    now: Timestamp,
) {
    message.text = text.unwrap_or_else(|| std::mem::take(&mut message.text));
    message.blocks = blocks.unwrap_or_default();
    let version = Version { at: now, text: message.text.clone(), blocks: message.blocks.clone() };
    message.versions.push(version);
}

pub(super) fn write_down_change(state: &mut State, what: &str, message: &Message, now: Timestamp) {
    let line = json!({
        "channel": message.channel, "ts": message.ts, "thread_ts": message.thread_ts, "text": message.text,
        "blocks": message.blocks, "metadata": message.metadata,
    });
    state.write_down(now, what, line);
}

fn whisper(state: &mut State, asked: &Arguments, now: Timestamp) -> Answer {
    let channel = to_post(state, asked)?;
    let user = asked.text("user").ok_or(Error("user_not_in_channel"))?.to_owned();
    let away = state.channels.get(&channel).is_some_and(|channel| channel.absent.contains(&user));
    if away || !state.people.contains_key(&user) {
        return Err(Error("user_not_in_channel"));
    }
    let content = content(state, asked, TEXT)?;
    let text = content.text.unwrap_or_default();
    let whispered = whispered(state, "chat.postEphemeral", (&channel, &user), (&text, content.blocks), now);
    Ok(json!({ "message_ts": whispered.ts }))
}

/// A message that only this person sees.
pub(super) fn whispered(
    state: &mut State,
    what: &str,
    (channel, user): (&str, &str),
    (text, blocks): (&str, Option<Vec<Value>>),
    now: Timestamp,
) -> Whisper {
    let whisper = Whisper {
        user: user.to_owned(),
        channel: channel.to_owned(),
        ts: state.next_ts(now),
        text: text.to_owned(),
        blocks: blocks.unwrap_or_default(),
        replaced: 0,
    };
    let line = json!({
        "channel": channel, "user": user, "ts": whisper.ts, "text": whisper.text, "blocks": whisper.blocks,
    });
    state.write_down(now, what, line);
    state.whispers.push(whisper.clone());
    whisper
}
