//! Stages: how long a case took from one point of its clock to the next, told once, when the point is reached. Compares a
//! case as it was with the case as it is, so that a new start counts nothing again that was reached before it.

use std::time::Duration;

use super::label::Stage;
use crate::case::event::Event;
use crate::case::id::Timestamp;
use crate::case::story::{Case, CaseClock};

/// The upper ends of the buckets, in seconds. What a machine does takes parts of a second (a judgement that need not wait
/// for the provider; an intent); a provider is waited for at most 10 s, and a countdown is told within 15; a switched link
/// takes seconds, a slow redeploy half an hour; people answer within their policy's 15 min or not at all; a verification
/// ends within 20 min, where nobody says otherwise. Each of these has a bucket of its own or ends at one.
pub(super) const BUCKETS: [f64; 18] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1200.0, 1800.0,
    3600.0,
];

/// The stages that a case reached between `before` and `after`, with the time that each took. `None`: it is new.
pub(super) fn reached(before: Option<&Case>, after: &Case) -> Vec<(Stage, Duration)> {
    let (was, is) = (before.map(|case| &case.clock), &after.clock);
    let ready = is.started_at.and_then(|started| ready_at(after, started));
    let counted_down = ready.filter(|_| after.automatic);
    // A start whose request never left is taken back, and may come again within one turn: the moment tells them apart.
    let newly = |at: fn(&CaseClock) -> Option<Timestamp>| at(is).filter(|now| was.and_then(at) != Some(*now));
    let begins = newly(|clock| clock.started_at);
    let ways = [
        (Stage::ReceivedToJudged, Some(is.received_at), newly(|clock| clock.judged_at)),
        (Stage::JudgedToAsked, is.judged_at, newly(|clock| clock.asked_at)),
        (Stage::AskedToApproved, is.asked_at, newly(|clock| clock.approved_at)),
        (Stage::JudgedToCountedDown, is.judged_at, counted_down.and(begins).and(ready)),
        (Stage::ReadyToStarted, ready, begins),
        (Stage::StartedToDone, is.started_at, newly(|clock| clock.done_at)),
        (Stage::DoneToVerified, is.done_at, newly(|clock| clock.verified_at)),
    ];
    let took = |(stage, from, to): (Stage, Option<Timestamp>, Option<Timestamp>)| {
        let length = to?.duration_since(from?);
        // A clock that went back makes no stage shorter than nothing.
        Some((stage, if length.is_negative() { Duration::ZERO } else { length.unsigned_abs() }))
    };
    ways.into_iter().filter_map(took).collect()
}

/// When the votes were enough, or the countdown had ended, before the act that started then.
fn ready_at(case: &Case, started: Timestamp) -> Option<Timestamp> {
    let ready = |event: &Event| matches!(event, Event::Readied { .. });
    case.events.iter().rev().find(|one| one.at <= started && ready(&one.event)).map(|one| one.at)
}
