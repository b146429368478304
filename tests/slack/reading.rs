//! The methods of the Web API that only read: threads, histories, channels and user groups, page by page. Leaves arguments,
//! refusals and what posts to `methods`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::methods::Refusal::Error;
use super::methods::{Answer, Arguments, Refusal, by_id, with_scope};
use super::state::{BOT_USER, Channel, DOMAIN, Group, Message, Reach, State, group_json};

pub(super) fn permalink(state: &State, asked: &Arguments) -> Answer {
    let (channel, _) = by_id(state, asked.text("channel"))?;
    let ts = asked.text("message_ts").ok_or(Error("message_not_found"))?;
    let message = state.message(channel, ts).ok_or(Error("message_not_found"))?;
    let thread = message.thread_ts.as_ref().map(|root| format!("?thread_ts={root}&cid={channel}"));
    let digits = ts.replace('.', "");
    let thread = thread.unwrap_or_default();
    let link = format!("https://{DOMAIN}.slack.com/archives/{channel}/p{digits}{thread}");
    Ok(json!({ "channel": channel, "permalink": link }))
}

/// A channel that may be read.
fn to_read<'a>(state: &'a State, asked: &'a Arguments) -> Result<&'a str, Refusal> {
    let (id, channel) = by_id(state, asked.text("channel"))?;
    match channel.reach {
        Reach::Public => with_scope(state, &["channels:history"])?,
        Reach::Private => with_scope(state, &["groups:history"])?,
    }
    if channel.absent.contains(BOT_USER) { Err(Error("not_in_channel")) } else { Ok(id) }
}

/// Whether a message is in the time that was asked for.
fn within(message: &Message, asked: &Arguments) -> Result<bool, Refusal> {
    let inclusive = asked.flag("inclusive");
    let mut is_in = true;
    for (name, wrong, after) in
        [("oldest", "invalid_ts_oldest", true), ("latest", "invalid_ts_latest", false)]
    {
        // Seconds may come without their digits, and 0 means everything.
        let Some(bound) = asked.text(name) else { continue };
        let bound = micros(bound).ok_or(Error(wrong))?;
        let at = micros(&message.ts).ok_or(Error(wrong))?;
        is_in &= if after { at > bound } else { at < bound } || (inclusive && at == bound);
    }
    Ok(is_in)
}

fn micros(ts: &str) -> Option<i64> {
    let (seconds, rest) = ts.split_once('.').unwrap_or((ts, "0"));
    let rest = format!("{rest:0<6}");
    Some(seconds.parse::<i64>().ok()? * 1_000_000 + rest.get(..6)?.parse::<i64>().ok()?)
}

/// A page of a list, and the cursor of the next.
pub(super) fn page(
    list: Vec<Value>,
    asked: &Arguments,
    most: usize,
) -> Result<(Vec<Value>, String), Refusal> {
    let (begin, limit) = (asked.cursor()?, asked.limit(most)?);
    let next = begin + limit;
    let cursor = if next < list.len() { STANDARD.encode(format!("next:{next}")) } else { String::new() };
    Ok((list.into_iter().skip(begin).take(limit).collect(), cursor))
}

/// A message as it is read: metadata comes only to whoever asks for it.
fn read(state: &State, message: &Message, asked: &Arguments) -> Value {
    let mut json = state.json(message);
    if asked.flag("include_all_metadata")
        && let Some(metadata) = &message.metadata
    {
        json["metadata"] = metadata.clone();
    }
    json
}

pub(super) fn history(state: &State, asked: &Arguments) -> Answer {
    let channel = to_read(state, asked)?;
    let mut found = Vec::new();
    for message in state.messages.iter().rev().filter(|message| message.channel == channel) {
        if (message.thread_ts.is_none() || message.broadcast) && within(message, asked)? {
            found.push(read(state, message, asked));
        }
    }
    let (messages, next) = page(found, asked, 999)?;
    let mut answer = json!({ "messages": messages, "has_more": !next.is_empty(), "pin_count": 0 });
    if !next.is_empty() {
        answer["response_metadata"] = json!({ "next_cursor": next });
    }
    Ok(answer)
}

/// The root comes first on every page.
pub(super) fn replies(state: &State, asked: &Arguments) -> Answer {
    let channel = to_read(state, asked)?;
    let ts = asked.text("ts").ok_or(Error("thread_not_found"))?;
    let named = state.message(channel, ts).ok_or(Error("thread_not_found"))?;
    let root = named.thread_ts.as_deref().unwrap_or(ts);
    let root = state.message(channel, root).ok_or(Error("thread_not_found"))?;
    let mut found = Vec::new();
    for reply in state.replies(channel, &root.ts) {
        if within(reply, asked)? {
            found.push(read(state, reply, asked));
        }
    }
    let (mut messages, next) = page(found, asked, 1000)?;
    messages.insert(0, read(state, root, asked));
    let mut answer = json!({ "messages": messages, "has_more": !next.is_empty() });
    if !next.is_empty() {
        answer["response_metadata"] = json!({ "next_cursor": next });
    }
    Ok(answer)
}

pub(super) fn channels(state: &State, asked: &Arguments) -> Answer {
    let types = asked.text("types").unwrap_or("public_channel");
    let wanted = |reach| match reach {
        Reach::Public => types.contains("public_channel"),
        Reach::Private => types.contains("private_channel"),
    };
    let seen = |channel: &Channel| channel.reach == Reach::Public || !channel.absent.contains(BOT_USER);
    let archived = !asked.flag("exclude_archived");
    let all = state.channels.iter();
    let all = all.filter(|(_, one)| wanted(one.reach) && seen(one) && (archived || !one.archived));
    let (channels, next) = page(all.map(|(id, channel)| channel.json(id)).collect(), asked, 1000)?;
    Ok(json!({ "channels": channels, "response_metadata": { "next_cursor": next } }))
}

pub(super) fn groups(state: &State, asked: &Arguments) -> Value {
    let wanted = |group: &Group| !group.disabled || asked.flag("include_disabled");
    let groups = state.groups.iter().filter(|(_, group)| wanted(group));
    let groups: Vec<Value> = groups.map(|(id, group)| group_json(id, group, asked)).collect();
    json!({ "usergroups": groups })
}

/// A disabled group has nobody, unless it is asked for.
pub(super) fn members(state: &State, asked: &Arguments) -> Answer {
    let group = asked.text("usergroup").ok_or(Error("no_such_subteam"))?;
    let group = state.groups.get(group).ok_or(Error("no_such_subteam"))?;
    let hidden = group.disabled && !asked.flag("include_disabled");
    let members = if hidden { Vec::new() } else { group.members.clone() };
    Ok(json!({ "users": members }))
}
