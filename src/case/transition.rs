//! Which event may follow which phase, and the phase that comes of it. One function knows every legal move and
//! refuses the rest; `fixtures/phases.golden` shows it as a table, and a test holds the two together.

use super::event::{Event, Settlement, Stamped};
use super::id::{Attempt, StepNo};
use super::phase::{Barred, CountdownClock, Outcome, Phase, Verifying};

/// What an event does to the phase of the open case.
#[derive(Clone, Debug, PartialEq)]
pub enum Move {
    /// It follows, and this is the phase now.
    To(Phase),
    /// It follows, and the phase stays.
    Stay,
    /// It has nothing to do with the open case.
    Beside,
    /// It cannot follow.
    Illegal,
}

/// The first attempt at a step.
const FIRST: Attempt = 1;

/// What this event does to a case in this phase.
pub fn after(phase: &Phase, stamped: &Stamped) -> Move {
    match &stamped.event {
        Event::EpisodeOpened(_)
        | Event::EpisodeHeard { .. }
        | Event::EpisodeClearing { .. }
        | Event::EpisodeResumed { .. }
        | Event::EpisodeReopened { .. }
        | Event::EpisodeEnded { .. }
        | Event::LedgerRefreshed { .. }
        | Event::Noticed(_)
        | Event::EpisodeDated { .. }
        | Event::ProbeFailed { .. }
        | Event::ProbePassed { .. }
        | Event::Graded { .. }
        | Event::Tainted { .. }
        | Event::Locked { .. }
        | Event::Unlocked { .. }
        | Event::Frozen { .. }
        | Event::Unfrozen { .. }
        | Event::Said { .. }
        | Event::Shown { .. }
        | Event::PageDue { .. }
        | Event::Paged { .. }
        | Event::NotPaged { .. }
        | Event::Told { .. } => Move::Beside,
        Event::Opened { .. } => Move::Illegal,
        _ if matches!(phase, Phase::Closed(_)) => Move::Illegal,
        Event::Joined { .. }
        | Event::AllCleared
        | Event::FiredAgain
        | Event::VoteRefused { .. }
        | Event::Exonerated { .. } => Move::Stay,
        Event::Closed { outcome, .. } => close(phase, *outcome),
        Event::Weighed(_)
        | Event::Chosen { .. }
        | Event::Planned(_)
        | Event::NotPlanned { .. }
        | Event::Withdrawn { .. }
        | Event::Collected(_)
        | Event::WouldAct { .. }
        | Event::Asked { .. }
        | Event::CountdownAnnounced { .. }
        | Event::CountdownBegan { .. }
        | Event::CountdownSuspended
        | Event::VoteHeard(_)
        | Event::Voted(_)
        | Event::Readied { .. }
        | Event::Snoozed { .. } => before_the_act(phase, &stamped.event),
        Event::Barred { .. }
        | Event::Intended { .. }
        | Event::Looked { .. }
        | Event::Accepted { .. }
        | Event::Absent { .. }
        | Event::NotSent { .. }
        | Event::StepFailed { .. }
        | Event::StepDone { .. }
        | Event::NextStep { .. }
        | Event::NeedsHuman { .. }
        | Event::Settled { .. }
        | Event::VerifyBegan { .. }
        | Event::ClearSince { .. } => in_the_act(phase, stamped),
    }
}

/// Outcomes that say "nothing was done" cannot close a case whose act may have happened.
fn close(phase: &Phase, outcome: Outcome) -> Move {
    let harmless = matches!(
        outcome,
        Outcome::Cancelled | Outcome::Denied | Outcome::Expired | Outcome::Cleared | Outcome::LeftAlone
    );
    let judged = matches!(
        outcome,
        Outcome::Recovered | Outcome::NotRecovered | Outcome::Unverified | Outcome::Adopted
    );
    let allowed = match phase {
        Phase::Verifying(_) => judged || outcome == Outcome::Superseded,
        Phase::NeedsHuman { .. } | Phase::Intended { .. } | Phase::Running { .. } => !harmless && !judged,
        Phase::Ready { .. } => !judged && (!harmless || phase.is_before_the_act()),
        Phase::Gathering { .. }
        | Phase::Weighing { .. }
        | Phase::Planning { .. }
        | Phase::AwaitingApproval { .. }
        | Phase::Countdown { .. } => !judged,
        Phase::Closed(_) => false,
    };
    if allowed { Move::To(Phase::Closed(outcome)) } else { Move::Illegal }
}

/// Moves that are possible only while everything may still be called off.
fn before_the_act(phase: &Phase, event: &Event) -> Move {
    if !phase.is_before_the_act() {
        return Move::Illegal;
    }
    let weighing = |recheck| Move::To(Phase::Weighing { recheck });
    match (phase, event) {
        (Phase::Gathering { .. } | Phase::Weighing { .. }, Event::Weighed(decision)) => {
            weighing(decision.recheck)
        }
        (_, Event::Weighed(_)) => Move::Stay,
        (Phase::Gathering { .. } | Phase::Weighing { .. }, Event::Chosen { choice, until }) => {
            Move::To(Phase::Planning { choice: choice.clone(), until: *until })
        }
        (Phase::Planning { .. }, Event::Planned(_)) => weighing(None),
        (Phase::Planning { .. } | Phase::Gathering { .. }, Event::NotPlanned { recheck, .. }) => {
            weighing(*recheck)
        }
        (
            Phase::Weighing { .. }
            | Phase::Planning { .. }
            | Phase::AwaitingApproval { .. }
            | Phase::Countdown { .. }
            | Phase::Ready { .. },
            Event::Collected(_),
        ) => Move::Stay,
        (Phase::Weighing { .. }, Event::WouldAct { recheck }) => weighing(*recheck),
        (
            Phase::Planning { .. }
            | Phase::AwaitingApproval { .. }
            | Phase::Countdown { .. }
            | Phase::Ready { .. },
            Event::Withdrawn { recheck, .. },
        ) => weighing(*recheck),
        (
            Phase::Weighing { .. } | Phase::Countdown { .. } | Phase::Ready { .. },
            Event::Asked { until, .. },
        ) => Move::To(Phase::AwaitingApproval { until: *until }),
        (Phase::Weighing { .. } | Phase::Countdown { .. }, Event::CountdownAnnounced { latest }) => {
            Move::To(Phase::Countdown { clock: CountdownClock::Untold { latest: *latest } })
        }
        (Phase::Countdown { .. }, Event::CountdownSuspended) => {
            Move::To(Phase::Countdown { clock: CountdownClock::Suspended })
        }
        (Phase::Countdown { .. }, Event::CountdownBegan { until }) => {
            Move::To(Phase::Countdown { clock: CountdownClock::Counting { until: *until } })
        }
        (Phase::AwaitingApproval { .. }, Event::VoteHeard(_) | Event::Voted(_)) => Move::Stay,
        (Phase::AwaitingApproval { .. } | Phase::Countdown { .. }, Event::Readied { step, attempt, .. }) => {
            Move::To(Phase::Ready { step: *step, attempt: *attempt, sent: 0, barred: None })
        }
        (
            Phase::Weighing { .. }
            | Phase::AwaitingApproval { .. }
            | Phase::Countdown { .. }
            | Phase::Ready { .. },
            Event::Snoozed { until, .. },
        ) => weighing(Some(*until)),
        _ => Move::Illegal,
    }
}

/// Moves of the effect protocol, and of verification.
fn in_the_act(phase: &Phase, stamped: &Stamped) -> Move {
    let at = stamped.at;
    match (phase, &stamped.event) {
        (Phase::Ready { step, attempt, sent, .. }, Event::Barred { step: of, why, again_at })
            if step == of =>
        {
            let barred = Some(Barred { why: why.clone(), again_at: *again_at });
            Move::To(Phase::Ready { step: *step, attempt: *attempt, sent: *sent, barred })
        }
        (Phase::Ready { step, attempt, sent, .. }, Event::Intended { step: of, attempt: nth })
            if step == of && attempt == nth =>
        {
            Move::To(Phase::Intended { step: *step, attempt: *attempt, sent: *sent, since: at, looks: 0 })
        }
        (Phase::Intended { step, attempt, sent, since, looks }, Event::Looked { step: of }) if step == of => {
            let looks = looks.saturating_add(1);
            Move::To(Phase::Intended { step: *step, attempt: *attempt, sent: *sent, since: *since, looks })
        }
        (Phase::Intended { step, attempt, since, .. }, Event::Accepted { step: of, handle })
            if step == of =>
        {
            let handle = handle.clone();
            Move::To(Phase::Running { step: *step, attempt: *attempt, handle, since: *since })
        }
        (Phase::Intended { step, attempt, sent, .. }, Event::Absent { step: of }) if step == of => {
            // No trace of it was found, and a late copy may still come.
            let (attempt, sent) = (attempt.saturating_add(1), sent.saturating_add(1));
            Move::To(Phase::Ready { step: *step, attempt, sent, barred: None })
        }
        (Phase::Intended { step, attempt, sent, .. }, Event::NotSent { step: of }) if step == of => {
            let attempt = attempt.saturating_add(1);
            Move::To(Phase::Ready { step: *step, attempt, sent: *sent, barred: None })
        }
        (
            Phase::Intended { step, .. } | Phase::Running { step, .. } | Phase::Ready { step, .. },
            Event::StepFailed { step: of, .. } | Event::StepDone { step: of, .. },
        ) if step == of => Move::Stay,
        (Phase::NeedsHuman { step, .. }, Event::StepDone { step: of, .. }) if step == of => Move::Stay,
        (
            Phase::Intended { step, .. }
            | Phase::Running { step, .. }
            | Phase::Ready { step, .. }
            | Phase::NeedsHuman { step, .. },
            Event::NextStep { step: next },
        ) if next.0 == step.0 + 1 => {
            Move::To(Phase::Ready { step: *next, attempt: FIRST, sent: 0, barred: None })
        }
        (
            Phase::Intended { step, attempt, .. }
            | Phase::Running { step, attempt, .. }
            | Phase::Ready { step, attempt, .. },
            Event::NeedsHuman { step: of, why },
        ) if step == of => {
            Move::To(Phase::NeedsHuman { step: *step, attempt: *attempt, why: why.clone(), since: at })
        }
        (Phase::NeedsHuman { step, attempt, .. }, Event::Settled { how: Settlement::LookAgain, .. }) => {
            // Somebody had to be asked because a request may have left.
            Move::To(Phase::Intended { step: *step, attempt: *attempt, sent: *attempt, since: at, looks: 0 })
        }
        (Phase::NeedsHuman { .. }, Event::Settled { .. }) => Move::Stay,
        (
            Phase::Intended { .. }
            | Phase::Running { .. }
            | Phase::Ready { .. }
            | Phase::NeedsHuman { .. }
            | Phase::Weighing { .. }
            | Phase::Planning { .. }
            | Phase::AwaitingApproval { .. }
            | Phase::Countdown { .. },
            Event::VerifyBegan { policy, adopted },
        ) if *adopted == phase.is_before_the_act() => Move::To(Phase::Verifying(Verifying {
            done_at: at,
            policy: *policy,
            clear_since: None,
            adopted: *adopted,
        })),
        (Phase::Verifying(verifying), Event::ClearSince { since }) => {
            Move::To(Phase::Verifying(Verifying { clear_since: *since, ..verifying.clone() }))
        }
        _ => Move::Illegal,
    }
}

/// The number of the step that a phase is at, for phases that are at one.
pub fn step_of(phase: &Phase) -> Option<StepNo> {
    match phase {
        Phase::Ready { step, .. }
        | Phase::Intended { step, .. }
        | Phase::Running { step, .. }
        | Phase::NeedsHuman { step, .. } => Some(*step),
        Phase::Gathering { .. }
        | Phase::Weighing { .. }
        | Phase::Planning { .. }
        | Phase::AwaitingApproval { .. }
        | Phase::Countdown { .. }
        | Phase::Verifying(_)
        | Phase::Closed(_) => None,
    }
}
