//! The chat, wired: who in it is heard and how they are answered, and how it is read who belongs to which group. Owns
//! nothing but the wires.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::answers;
use super::handout::Handout;
use crate::case::approval::Roster;
use crate::case::id::PersonId;
use crate::case::rehearsal::Rehearsal;
use crate::case::turn::Whisper;
use crate::clock::{Clock, sleep};
use crate::intake::Chat;
use crate::journal::reader::Reader;
use crate::report::rollcall::Rollcall;
use crate::report::slack::Slack;

/// Who belongs where is read so often, so that a click finds it no older than a minute (product §10).
const ROSTER_EVERY: Duration = Duration::from_secs(25);
/// Until Slack said to which workspace the token belongs, it is asked so often.
const INTRODUCE_EVERY: Duration = Duration::from_secs(5);
/// Private answers that wait; beyond it somebody is not answered, and asks again.
const WHISPERS_MAX: usize = 64;

/// The last press of the doctor's button, and who pressed it.
pub(super) type Press = Option<(Rehearsal, PersonId)>;

/// How Slack is heard with these settings; nothing where it is not.
pub(super) fn chat(handout: &Handout, reader: &Reader, presses: &watch::Sender<Press>) -> Option<Arc<Chat>> {
    let (slack, settings) = handout.slack()?;
    let command: Arc<str> = settings.command.as_str().into();
    let (reader, named) = (reader.clone(), command.clone());
    let (workspace, presses) = (slack.workspace(), presses.clone());
    Some(Arc::new(Chat {
        signing_secrets: handout.signing_secrets(),
        command: settings.command.clone(),
        services: handout.service_ids(),
        workspace: Arc::new(move || workspace.borrow().clone()),
        answers: Arc::new(move |said| Box::pin(answers::answer(reader.clone(), named.clone(), said))),
        whispers: whispers(slack),
        rehearsals: Arc::new(move |asked, by| {
            presses.send_replace(Some((asked, by)));
        }),
    }))
}

/// Answers that are no decision's: given one after the other, and dropped when there are too many.
fn whispers(slack: Arc<Slack>) -> Arc<dyn Fn(Whisper) + Send + Sync> {
    let (to_whisper, mut whispers) = mpsc::channel::<Whisper>(WHISPERS_MAX);
    tokio::spawn(async move {
        while let Some(whisper) = whispers.recv().await {
            if let Err(error) = slack.whisper(&whisper).await {
                tracing::warn!(%error, "somebody could not be answered in Slack");
            }
        }
    });
    Arc::new(move |whisper| {
        if to_whisper.try_send(whisper).is_err() {
            tracing::warn!("too many wait for an answer in Slack: one of them is not answered");
        }
    })
}

/// Reads who belongs where, again and again, and learns to which workspace the token belongs.
pub(super) async fn read_rosters(
    mut people: watch::Receiver<(Arc<Rollcall>, Option<Arc<Slack>>)>,
    rosters: watch::Sender<Option<Roster>>,
) {
    loop {
        let (rollcall, slack) = people.borrow_and_update().clone();
        let again = match slack {
            Some(slack) => match slack.introduce().await {
                Ok(_) => {
                    let roster = rollcall.read_all(Clock.now()).await;
                    rosters.send_replace(Some(roster));
                    ROSTER_EVERY
                }
                Err(error) => {
                    tracing::warn!(%error, "Slack is not reached: nobody can decide anything there until it is");
                    INTRODUCE_EVERY
                }
            },
            None => ROSTER_EVERY,
        };
        tokio::select! {
            () = sleep(again) => {}
            changed = people.changed() => if changed.is_err() { return },
        }
    }
}
