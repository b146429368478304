//! What the pretend workspace keeps: channels, messages with every version of them, people, user groups, whispers, and
//! the record of everything that was ever posted. Leaves what a call may do to `methods`, and who waits to `mod`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use snapback::case::id::Timestamp;

use super::hooks::Hook;
use super::methods::Arguments;
use super::pace::Pace;

/// The workspace, its app and the bot of the app.
pub(crate) const TEAM: &str = "T0001ACME";
pub(crate) const DOMAIN: &str = "acme";
pub(crate) const APP: &str = "A0123SNAP";
pub(crate) const BOT: &str = "B0123SNAP";
pub(crate) const BOT_USER: &str = "U0123SNAP";
/// The channel that is there from the beginning, `#deploys`; the bot is in it.
pub(crate) const DEPLOYS: &str = "C0001DEPL";

/// What somebody is in the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Member,
    /// Of several channels: `is_restricted`.
    Guest,
    /// Of one channel: `is_restricted` and `is_ultra_restricted`.
    SingleChannelGuest,
    Bot,
    Deactivated,
    /// Of another workspace, seen through a shared channel: `is_stranger`, and another `team_id`.
    Stranger,
}

/// Somebody, by id; the name is the id's own word in small letters unless given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// A user group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) handle: String,
    pub(crate) members: Vec<String>,
    pub(crate) disabled: bool,
}

/// Who sees a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Public,
    Private,
}

/// A channel. Everybody is in it but those who are absent.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) name: String,
    pub(crate) reach: Reach,
    pub(crate) archived: bool,
    pub(crate) absent: BTreeSet<String>,
}

/// What a message said from some moment on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Version {
    pub(crate) at: Timestamp,
    pub(crate) text: String,
    pub(crate) blocks: Vec<Value>,
}

/// A message as it is now. A copy remembers what it was then, as a client does that was not told of the change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    /// The channel's id.
    pub(crate) channel: String,
    pub(crate) ts: String,
    /// The root's `ts`, for a reply.
    pub(crate) thread_ts: Option<String>,
    /// Who wrote it.
    pub(crate) user: String,
    pub(crate) text: String,
    pub(crate) blocks: Vec<Value>,
    pub(crate) metadata: Option<Value>,
    /// Every version, the first one first, the present one last.
    pub(crate) versions: Vec<Version>,
    /// A reply that shows in the channel too.
    pub(crate) broadcast: bool,
    /// Somebody deleted it; what remains is a tombstone above its replies.
    pub(crate) deleted: bool,
}

impl Message {
    /// How often it was changed.
    pub(crate) fn edits(&self) -> usize {
        self.versions.len() - 1
    }

    /// Every button: in actions and beside sections.
    pub(crate) fn buttons(&self) -> Vec<&Value> {
        buttons(&self.blocks).map(|(_, button)| button).collect()
    }

    /// The `action_id`s of its buttons, in order.
    pub(crate) fn actions(&self) -> Vec<&str> {
        self.buttons().into_iter().filter_map(|button| button["action_id"].as_str()).collect()
    }

    /// The labels of its buttons, in order.
    pub(crate) fn labels(&self) -> Vec<&str> {
        self.buttons().into_iter().filter_map(|button| button["text"]["text"].as_str()).collect()
    }

    /// A field of the metadata's payload.
    pub(crate) fn mark(&self, name: &str) -> Option<&str> {
        self.metadata.as_ref()?["event_payload"][name].as_str()
    }
}

/// Every button with the `block_id` of its block.
pub(super) fn buttons(blocks: &[Value]) -> impl Iterator<Item = (&str, &Value)> {
    blocks.iter().flat_map(|block| {
        let elements = block["elements"].as_array().map_or(&[][..], Vec::as_slice);
        let all = elements.iter().chain(block.get("accessory"));
        let id = block["block_id"].as_str().unwrap_or_default();
        all.filter(|element| element["type"] == "button").map(move |button| (id, button))
    })
}

/// A message that only one person sees: an ephemeral message, or an answer to a command or a click.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Whisper {
    pub(crate) user: String,
    pub(crate) channel: String,
    pub(crate) ts: String,
    pub(crate) text: String,
    pub(crate) blocks: Vec<Value>,
    /// How often it was replaced.
    pub(crate) replaced: usize,
}

/// What becomes of a reply whose root is not there: facts differ, so that a client must bear both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RootGone {
    /// `thread_not_found`.
    Refuses,
    /// The reply stands in the channel by itself.
    Strays,
}

/// Everything the workspace keeps.
pub(crate) struct State {
    pub(crate) token: String,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) people: BTreeMap<String, Person>,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) channels: BTreeMap<String, Channel>,
    pub(crate) messages: Vec<Message>,
    pub(crate) whispers: Vec<Whisper>,
    pub(crate) root_gone: RootGone,
    pub(super) hooks: BTreeMap<String, Hook>,
    pub(super) pace: Option<Pace>,
    /// Every message that was posted or changed, in order, whoever sees it.
    pub(super) record: Vec<Value>,
    /// Every call that reached it, in order.
    pub(super) calls: Vec<String>,
    /// Microseconds since 1970 of the newest `ts`.
    last_ts: i64,
    counted: u64,
}

impl Default for State {
    fn default() -> State {
        let scopes = [
            "chat:write",
            "commands",
            "channels:read",
            "channels:history",
            "groups:read",
            "groups:history",
            "usergroups:read",
            "users:read",
        ];
        let mut state = State {
            token: "xoxb-the-token-of-the-bot".into(),
            scopes: scopes.map(str::to_owned).into(),
            people: BTreeMap::new(),
            groups: BTreeMap::new(),
            channels: BTreeMap::new(),
            messages: Vec::new(),
            whispers: Vec::new(),
            root_gone: RootGone::Refuses,
            hooks: BTreeMap::new(),
            pace: None,
            record: Vec::new(),
            calls: Vec::new(),
            last_ts: 0,
            counted: 0,
        };
        let bot = Person { id: BOT_USER.into(), name: "snapback".into(), kind: Kind::Bot };
        state.people.insert(bot.id.clone(), bot);
        state.channels.insert(DEPLOYS.into(), Channel::new("deploys", Reach::Public));
        state
    }
}

impl Channel {
    pub(crate) fn new(name: &str, reach: Reach) -> Channel {
        Channel { name: name.to_owned(), reach, archived: false, absent: BTreeSet::new() }
    }

    /// The name that commands and clicks carry: a private channel does not tell its own.
    pub(super) fn told_name(&self) -> &str {
        match self.reach {
            Reach::Public => &self.name,
            Reach::Private => "privategroup",
        }
    }

    pub(super) fn json(&self, id: &str) -> Value {
        let private = self.reach == Reach::Private;
        json!({
            "id": id, "name": self.name, "name_normalized": self.name, "is_channel": !private, "is_group": private,
            "is_im": false, "is_mpim": false, "is_private": private, "is_archived": self.archived,
            "is_general": false, "is_shared": false, "is_ext_shared": false, "is_org_shared": false,
            "is_member": !self.absent.contains(BOT_USER), "created": 1_700_000_000, "creator": "U0000FIRST",
            "context_team_id": TEAM, "num_members": 1, "topic": { "value": "", "creator": "", "last_set": 0 },
            "purpose": { "value": "", "creator": "", "last_set": 0 }, "previous_names": [],
        })
    }
}

impl Person {
    /// The workspace that this person belongs to.
    pub(super) fn team(&self) -> &str {
        if self.kind == Kind::Stranger { "T0002OTHER" } else { TEAM }
    }

    pub(super) fn json(&self) -> Value {
        let guest = matches!(self.kind, Kind::Guest | Kind::SingleChannelGuest);
        let mut json = json!({
            "id": self.id, "team_id": self.team(), "name": self.name, "deleted": self.kind == Kind::Deactivated,
            "is_bot": self.kind == Kind::Bot, "is_app_user": false, "updated": 1_700_000_000,
            "profile": {
                "real_name": self.name, "display_name": self.name, "real_name_normalized": self.name,
                "display_name_normalized": self.name, "team": self.team(), "title": "", "status_text": "",
            },
        });
        // Whoever is deactivated keeps only what names them.
        if self.kind != Kind::Deactivated {
            json["real_name"] = self.name.as_str().into();
            json["tz"] = "Europe/Berlin".into();
            for name in ["is_admin", "is_owner", "is_primary_owner", "has_2fa"] {
                json[name] = false.into();
            }
            json["is_restricted"] = guest.into();
            json["is_ultra_restricted"] = (self.kind == Kind::SingleChannelGuest).into();
        }
        if self.kind == Kind::Stranger {
            json["is_stranger"] = true.into();
        }
        json
    }
}

impl State {
    /// A `ts` later than every one before: seconds and six digits, the last two of them zeros, so that whoever takes it
    /// for a number loses them.
    pub(super) fn next_ts(&mut self, now: Timestamp) -> String {
        let now = now.as_microsecond() / 100 * 100;
        self.last_ts = now.max(self.last_ts + 100);
        format!("{}.{:06}", self.last_ts / 1_000_000, self.last_ts % 1_000_000)
    }

    /// A number that was not given before.
    pub(super) fn count(&mut self) -> u64 {
        self.counted += 1;
        self.counted
    }

    pub(super) fn message(&self, channel: &str, ts: &str) -> Option<&Message> {
        self.messages.iter().find(|message| message.channel == channel && message.ts == ts)
    }

    pub(super) fn message_mut(&mut self, channel: &str, ts: &str) -> Option<&mut Message> {
        self.messages.iter_mut().find(|message| message.channel == channel && message.ts == ts)
    }

    /// The replies below a root, the oldest first.
    pub(super) fn replies(&self, channel: &str, root: &str) -> Vec<&Message> {
        let below =
            |message: &&Message| message.channel == channel && message.thread_ts.as_deref() == Some(root);
        self.messages.iter().filter(below).collect()
    }

    /// Writes down a message that was posted or changed.
    pub(super) fn write_down(&mut self, now: Timestamp, what: &str, posted: Value) {
        let mut line = json!({ "at": now.to_string(), "what": what });
        if let (Some(line), Value::Object(posted)) = (line.as_object_mut(), posted) {
            line.extend(posted);
        }
        self.record.push(line);
    }

    /// A message in the form of the Web API.
    pub(super) fn json(&self, message: &Message) -> Value {
        let mut json = json!({ "type": "message", "user": message.user, "ts": message.ts, "team": TEAM });
        if message.deleted {
            json["subtype"] = "tombstone".into();
            json["hidden"] = true.into();
            json["text"] = "This message was deleted.".into();
            json["user"] = "USLACKBOT".into();
        } else {
            json["text"] = message.text.as_str().into();
            if !message.blocks.is_empty() {
                json["blocks"] = message.blocks.clone().into();
            }
        }
        if message.user == BOT_USER && !message.deleted {
            json["bot_id"] = BOT.into();
            json["app_id"] = APP.into();
            json["bot_profile"] = json!({
                "id": BOT, "app_id": APP, "user_id": BOT_USER, "name": "snapback", "deleted": false, "team_id": TEAM,
                "updated": 1_700_000_000, "icons": {},
            });
        }
        if message.edits() > 0
            && let Some(last) = message.versions.last()
        {
            let micros = last.at.as_microsecond();
            let ts = format!("{}.{:06}", micros / 1_000_000, 0);
            json["edited"] = json!({ "user": message.user, "ts": ts });
        }
        self.thread_json(message, &mut json);
        json
    }

    /// What a message tells of its thread.
    fn thread_json(&self, message: &Message, json: &mut Value) {
        if let Some(root) = &message.thread_ts {
            json["thread_ts"] = root.as_str().into();
            if let Some(root) = self.message(&message.channel, root) {
                json["parent_user_id"] = root.user.as_str().into();
            }
            if message.broadcast {
                json["subtype"] = "thread_broadcast".into();
            }
            return;
        }
        let replies = self.replies(&message.channel, &message.ts);
        if let Some(last) = replies.last() {
            let users: BTreeSet<&str> = replies.iter().map(|reply| reply.user.as_str()).collect();
            let about = json!({
                "thread_ts": message.ts, "reply_count": replies.len(), "reply_users_count": users.len(),
                "latest_reply": last.ts, "reply_users": users, "is_locked": false, "subscribed": false,
            });
            if let (Some(json), Value::Object(about)) = (json.as_object_mut(), about) {
                json.extend(about);
            }
        }
    }
}

/// The JSON of a group, in the form of `usergroups.list`.
pub(super) fn group_json(id: &str, group: &Group, asked: &Arguments) -> Value {
    let mut json = json!({
        "id": id, "team_id": TEAM, "is_usergroup": true, "is_subteam": true, "name": group.handle,
        "handle": group.handle, "description": "", "is_external": false, "date_create": 1_700_000_000,
        "date_update": 1_700_000_000, "date_delete": if group.disabled { 1_700_000_000 } else { 0 },
        "auto_type": null, "created_by": "U0000FIRST", "updated_by": "U0000FIRST", "deleted_by": null,
        "prefs": { "channels": [], "groups": [] },
    });
    if asked.flag("include_users") {
        json["users"] = group.members.clone().into();
    }
    if asked.flag("include_count") {
        json["user_count"] = group.members.len().into();
    }
    json
}
