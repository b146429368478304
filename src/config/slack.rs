//! `[slack]`: where cases are told, and what proves that Slack asks.

use super::fault::quoted;
use super::providers::is_loopback;
use super::read::{At, Table};
use super::secret::{Secret, secret, secrets};
use super::server::public_url;

/// Slack's Web API.
const API_URL: &str = "https://slack.com/api";
/// The slash command where the file names none.
const COMMAND: &str = "/snapback";

/// What the file says of Slack.
#[derive(Clone, Debug, PartialEq)]
pub struct SlackSettings {
    /// The bot's token.
    pub bot_token: Secret,
    /// What proves Slack's requests; several, for rotation.
    pub signing_secrets: Vec<Secret>,
    /// Where services without a channel of their own are told: an id, or a name.
    pub channel: String,
    /// The slash command.
    pub command: String,
    /// The API's address, without a slash at its end.
    pub api_url: String,
}

/// Reads `[slack]`.
pub(super) fn slack(root: &Table<'_>) -> Option<SlackSettings> {
    let table = root.table("slack")?;
    let bot_token = secret(&table, "bot_token");
    let signing_secrets = secrets(&table, "signing_secret");
    for key in ["bot_token", "signing_secret"] {
        if !table.has(key) {
            table.missing(key, format!("write {key} = {{ env = \"NAME\" }} or {{ file = \"PATH\" }}"));
        }
    }
    mode(&table);
    let channel = table.text("channel");
    if channel.is_none() && !table.has("channel") {
        table.missing("channel", "write channel = \"C0123ABCD\": the id outlives a new name");
    }
    let channel = channel.as_ref().and_then(|channel| self::channel(&table, channel));
    let command = command(&table);
    let api_url = api_url(&table);
    Some(SlackSettings {
        bot_token: bot_token?.value,
        signing_secrets: signing_secrets.into_iter().map(|secret| secret.value).collect(),
        channel: channel?,
        command: command?,
        api_url: api_url?,
    })
}

/// Socket Mode is named by the contract and not honoured by this version.
fn mode(table: &Table<'_>) {
    secret(table, "app_token");
    let words = [("http", true), ("socket", false)];
    let socket = table.word("mode", &words).is_some_and(|word| !word.value);
    if socket {
        table.page().not_built(
            table.key_span("mode"),
            "Slack's Socket Mode",
            "leave `mode` out, and let Slack reach server.listen under /slack/",
        );
    }
}

/// A channel: an id, or a name with or without its `#`.
pub(super) fn channel(table: &Table<'_>, channel: &At<&str>) -> Option<String> {
    let name = channel.value.strip_prefix('#').unwrap_or(channel.value);
    let sound = !name.is_empty()
        && name.len() <= 80
        && !name.chars().any(|c| c.is_whitespace() || "#@,<>&".contains(c));
    if !sound {
        table.page().fault(
            channel.span.clone(),
            format!("{} is no channel", quoted(channel.value)),
            "write its id, such as \"C0123ABCD\", or its name, such as \"#deploys\"",
        );
        return None;
    }
    Some(channel.value.to_owned())
}

fn command(table: &Table<'_>) -> Option<String> {
    let Some(command) = table.text("command") else {
        return (!table.has("command")).then(|| COMMAND.to_owned());
    };
    let name = command.value.strip_prefix('/').unwrap_or_default();
    if name.is_empty() || name.len() > 31 || name.chars().any(|c| c.is_whitespace() || c == '/') {
        table.page().fault(
            command.span,
            format!("{} is no slash command", quoted(command.value)),
            "write it as Slack knows it, such as \"/snapback\"",
        );
        return None;
    }
    Some(command.value.to_owned())
}

fn api_url(table: &Table<'_>) -> Option<String> {
    let Some(url) = table.text("api_url") else {
        return (!table.has("api_url")).then(|| API_URL.to_owned());
    };
    let sound = public_url(table.page(), &url)?;
    if sound.starts_with("http://") && !is_loopback(&sound) {
        table.page().fault(
            url.span,
            "`api_url` leaves this machine without TLS, and the bot's token with it",
            "write https://, or an address of this machine",
        );
        return None;
    }
    Some(sound)
}
