//! The people's side: who clicks and who gives a command, and what Slack then says of them to the product. Leaves the bytes,
//! the signature and the sending to `knock`. Sources: Slack's pages on `block_actions` and on commands.

use std::sync::Arc;

use serde_json::{Value, json};
use snapback::case::id::Timestamp;

use super::Workspace;
use super::hooks::{Hook, Original};
use super::knock::{Answered, Form, Knock};
use super::state::{APP, DOMAIN, Message, Person, State, TEAM, Whisper, buttons};

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
        if let Form::Click(payload) = knock.form() {
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
        Knock::new(Arc::clone(self), form, hook, at)
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
