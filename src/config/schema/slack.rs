//! The shape of `[slack]`.
#![expect(dead_code, reason = "the shapes are only described, never filled")]

use schemars::JsonSchema;

use super::shapes::{OneOrMany, Secret};

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Slack {
    /// The bot's token.
    bot_token: Secret,
    /// What proves Slack's requests; several, for rotation.
    signing_secret: OneOrMany<Secret>,
    /// For Socket Mode, which is not built yet.
    app_token: Option<Secret>,
    /// The default channel.
    channel: String,
    /// The slash command.
    command: Option<String>,
    /// How Slack reaches us.
    mode: Option<SlackMode>,
    /// A Slack-compatible server, in tests.
    api_url: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum SlackMode {
    Socket,
    Http,
}
