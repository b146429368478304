//! The chat as the doctor tries it: a message is posted, edited and taken away, and where somebody is asked to press its button, the
//! press comes back through Slack and our own door. Leaves how a message looks to `report`.

use std::time::Duration;

use tokio::sync::watch;

use super::{Patient, WITHIN, in_time, too_slow};
use crate::admin::shapes::CheckShape;
use crate::case::rehearsal::Rehearsal;
use crate::clock::Clock;
use crate::outbound::Trouble;
use crate::report::slack::Slack;
use crate::server::chat::Press;

/// Whether somebody is asked to press a button.
pub(super) enum Clicks {
    /// So long it is waited for, and there it arrives.
    Asked(Duration, watch::Receiver<Press>),
    NotAsked,
    /// Only a running server hears them.
    Unheard,
}

/// Tries the chat.
pub(super) async fn chat(patient: &Patient, clicks: Clicks) -> Vec<CheckShape> {
    let Some(slack) = &patient.rim.voice.slack else {
        let next = "configure [slack], or read the log and the API";
        return vec![CheckShape::note("slack", "chat", "cases are told in the log and the API alone", next)];
    };
    let left_out = |why| {
        let next =
            "run `snapback doctor --click` beside the running server, and press the button in the channel";
        CheckShape::left_out("slack", "clicks", why, next)
    };
    match clicks {
        Clicks::Asked(within, presses) => clicked(slack, within, presses).await,
        Clicks::NotAsked => vec![
            messages(in_time(slack.rehearse(None, async {})).await),
            left_out("nobody was asked to press a button"),
        ],
        Clicks::Unheard => vec![
            messages(in_time(slack.rehearse(None, async {})).await),
            left_out("only the running server hears who presses a button"),
        ],
    }
}

/// What became of a message that was posted, edited and taken away.
fn messages(done: Option<Result<(), Trouble>>) -> CheckShape {
    match done {
        None => too_slow("slack", "messages"),
        Some(Ok(())) => CheckShape::well("slack", "messages", "one was posted, edited and taken away again"),
        Some(Err(trouble)) => CheckShape::ill(
            "slack",
            "messages",
            trouble.to_string(),
            "see the token, its scopes and the channel: docs/slack.md",
        ),
    }
}

/// The same, and somebody is asked to press a button meanwhile: from the channel through Slack to our own door and back.
async fn clicked(slack: &Slack, within: Duration, mut presses: watch::Receiver<Press>) -> Vec<CheckShape> {
    let asked = Rehearsal(Clock.now());
    let pressed = async {
        let ours = |press: &Press| press.as_ref().is_some_and(|(of, _)| *of == asked);
        let press = tokio::time::timeout(within, presses.wait_for(ours)).await.ok()?.ok()?;
        press.as_ref().map(|(_, by)| by.clone())
    };
    match tokio::time::timeout(within + WITHIN, slack.rehearse(Some(asked), pressed)).await {
        Err(_) => vec![messages(None)],
        Ok(Err(trouble)) => vec![messages(Some(Err(trouble)))],
        Ok(Ok(by)) => {
            let clicks = match by {
                Some(by) => {
                    CheckShape::well("slack", "clicks", format!("{by} pressed the button, and it was heard"))
                }
                None => CheckShape::ill(
                    "slack",
                    "clicks",
                    format!("nobody was heard pressing the button within {} s", within.as_secs()),
                    "if somebody pressed it: see the app's Interactivity request URL, its way to this server, and signing_secret: docs/slack.md",
                ),
            };
            vec![messages(Some(Ok(()))), clicks]
        }
    }
}
