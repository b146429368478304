//! Dead letters that people want to be read again: taken once, as what they say now. Leaves the looking for them to the shell.

use std::collections::BTreeSet;

use super::{Content, Desk, Draft, Replay};
use crate::case::id::DeliveryId;
use crate::case::turn::Disposition;

impl Desk {
    /// Takes a dead letter as what it says now, with the moment at which it came: an old alert is old. Once it was taken it is no dead
    /// letter any more.
    pub(super) fn replayed(
        &mut self,
        request: DeliveryId,
        replay: Replay,
        draft: &mut Draft,
    ) -> Vec<Disposition> {
        let Replay { letter, reads } = replay;
        let done_before = draft.turn.replays.iter().any(|(done, _)| *done == letter);
        let Some((source, content)) = reads.filter(|_| !done_before) else {
            let why = format!("there is no dead letter {}, or it was replayed already", letter.0);
            return vec![Disposition::Conflict(why)];
        };
        let became = match *content {
            Content::Signals(signals) => self.sort_out(&source, signals, draft),
            Content::Notices(notices) => self.told(&source, notices, draft),
            Content::Aside(what) => vec![Disposition::Aside(what)],
            Content::Dead(why) => {
                return vec![Disposition::Conflict(format!("nobody can read it yet: {why}"))];
            }
            Content::Asked(_) | Content::Replayed(_) => {
                return vec![Disposition::Conflict(
                    "what a person asked for is asked again, and not replayed".into(),
                )];
            }
        };
        draft.turn.replays.push((letter, request));
        let says = Disposition::Done(in_words(&became));
        std::iter::once(says).chain(became).collect()
    }
}

/// What became of a replayed letter, for whoever asked.
fn in_words(became: &[Disposition]) -> String {
    let word = |one: &Disposition| match one {
        Disposition::Taken(service) => format!("taken by {service}"),
        Disposition::Repeated(service) | Disposition::Idle(service) => format!("no news for {service}"),
        Disposition::Unmapped(why) | Disposition::TooMany(why) => format!("it leads nowhere: {why}"),
        Disposition::OutOfScope(service) => format!("its source may not speak about {service}"),
        Disposition::Aside(what) => format!("put aside: {what}"),
        Disposition::Dead(why)
        | Disposition::Done(why)
        | Disposition::Forbidden(why)
        | Disposition::Conflict(why) => why.clone(),
    };
    let words: BTreeSet<String> = became.iter().map(word).collect();
    if words.is_empty() {
        "it says nothing".to_owned()
    } else {
        words.into_iter().collect::<Vec<_>>().join("; ")
    }
}
