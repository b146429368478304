//! The phases of a case. Each carries what exists only in it, so that nothing invalid can be written down.

use super::gate::Why;
use super::id::{Attempt, Handle, StepNo, Timestamp};
use super::plan::Choice;
use super::settings::VerifyPolicy;

/// Where a case stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// The provider is asked what serves; judged when it answered, or at `until` without it.
    Gathering {
        /// Then it is judged with what is known.
        until: Timestamp,
    },
    /// No act yet: judged again at each new fact, and at `recheck`.
    Weighing {
        /// When to judge again if nothing changes.
        recheck: Option<Timestamp>,
    },
    /// The provider proposes its acts.
    Planning {
        /// What for.
        choice: Choice,
        /// Then the case weighs again and says that the provider could not be reached.
        until: Timestamp,
    },
    /// People are asked.
    AwaitingApproval {
        /// When the question expires.
        until: Timestamp,
    },
    /// An automatic act waits, in sight of people.
    Countdown {
        /// How its clock stands.
        clock: CountdownClock,
    },
    /// The step may begin as soon as the gate lets it.
    Ready {
        /// The step.
        step: StepNo,
        /// The attempt that comes next.
        attempt: Attempt,
        /// Attempts at this step whose requests may have left.
        sent: Attempt,
        /// Why the gate did not let it, and when it is asked again.
        barred: Option<Barred>,
    },
    /// The intent is on disk; whether the provider heard it is not known. Without an errand under way this is
    /// the crash state: look before anything else.
    Intended {
        /// The step.
        step: StepNo,
        /// The attempt.
        attempt: Attempt,
        /// Attempts before it whose requests may have left.
        sent: Attempt,
        /// When the intent became durable.
        since: Timestamp,
        /// How many searches found nothing; two are needed before absence counts.
        looks: u8,
    },
    /// The provider took it and works on it.
    Running {
        /// The step.
        step: StepNo,
        /// The attempt.
        attempt: Attempt,
        /// The provider's receipt.
        handle: Handle,
        /// When the intent became durable: the step's deadline counts from here.
        since: Timestamp,
    },
    /// The target serves; does it help?
    Verifying(Verifying),
    /// Nobody can tell what an act did. Keeps the service until a person settles it.
    NeedsHuman {
        /// The step.
        step: StepNo,
        /// The attempt.
        attempt: Attempt,
        /// What is not known, and where to look.
        why: String,
        /// Since when.
        since: Timestamp,
    },
    /// Over.
    Closed(Outcome),
}

/// How a countdown stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountdownClock {
    /// Not told yet: it starts when the thread took the message, or at `latest`, told by the second voice.
    Untold {
        /// The latest moment at which it starts.
        latest: Timestamp,
    },
    /// Counting.
    Counting {
        /// When the act begins.
        until: Timestamp,
    },
    /// All signals cleared: it starts anew if one fires again.
    Suspended,
}

/// Why a step waits before the gate.
#[derive(Clone, Debug, PartialEq)]
pub struct Barred {
    /// Why.
    pub why: Why,
    /// When the gate is asked again.
    pub again_at: Timestamp,
}

/// How recovery stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Verifying {
    /// When the target was reported serving.
    pub done_at: Timestamp,
    /// The policy, its `within` already stretched to the longest lag of the signals.
    pub policy: VerifyPolicy,
    /// All signals are clear since then.
    pub clear_since: Option<Timestamp>,
    /// The provider reverted by itself: a recovery is then called adopted.
    pub adopted: bool,
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It helped.
    Recovered,
    /// Positive evidence that it did not.
    NotRecovered,
    /// Neither.
    Unverified,
    /// The provider refused or failed definitely, or a person gave up.
    Failed,
    /// Something else serves than the plan expected.
    Superseded,
    /// The provider reverted first, and it helped.
    Adopted,
    /// A person, or a resolve, cancelled it before the act.
    Cancelled,
    /// A person said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// The signals cleared before the act.
    Cleared,
    /// No act was called for.
    LeftAlone,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 11] = [
        Outcome::Recovered,
        Outcome::NotRecovered,
        Outcome::Unverified,
        Outcome::Failed,
        Outcome::Superseded,
        Outcome::Adopted,
        Outcome::Cancelled,
        Outcome::Denied,
        Outcome::Expired,
        Outcome::Cleared,
        Outcome::LeftAlone,
    ];

    /// The word in the API and tables.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Recovered => "recovered",
            Outcome::NotRecovered => "not_recovered",
            Outcome::Unverified => "unverified",
            Outcome::Failed => "failed",
            Outcome::Superseded => "superseded",
            Outcome::Adopted => "adopted",
            Outcome::Cancelled => "cancelled",
            Outcome::Denied => "denied",
            Outcome::Expired => "expired",
            Outcome::Cleared => "cleared",
            Outcome::LeftAlone => "left_alone",
        }
    }

    /// In a few words, for people.
    pub fn says(self) -> &'static str {
        match self {
            Outcome::Recovered => "recovered",
            Outcome::NotRecovered => "did not recover",
            Outcome::Unverified => "not known whether it helped",
            Outcome::Failed => "the rollback failed",
            Outcome::Superseded => "superseded",
            Outcome::Adopted => "recovered without Snapback",
            Outcome::Cancelled => "cancelled",
            Outcome::Denied => "denied",
            Outcome::Expired => "nobody answered in time",
            Outcome::Cleared => "cleared",
            Outcome::LeftAlone => "left alone",
        }
    }
}

impl Phase {
    /// The word in the API and tables.
    pub fn word(&self) -> &'static str {
        match self {
            Phase::Gathering { .. } => "gathering",
            Phase::Weighing { .. } => "weighing",
            Phase::Planning { .. } => "planning",
            Phase::AwaitingApproval { .. } => "awaiting_approval",
            Phase::Countdown { .. } => "countdown",
            Phase::Ready { .. } => "ready",
            Phase::Intended { .. } => "intended",
            Phase::Running { .. } => "running",
            Phase::Verifying(_) => "verifying",
            Phase::NeedsHuman { .. } => "needs_human",
            Phase::Closed(_) => "closed",
        }
    }

    /// Whether no request of the plan can have left: everything may still be called off.
    pub fn is_before_the_act(&self) -> bool {
        match self {
            Phase::Gathering { .. }
            | Phase::Weighing { .. }
            | Phase::Planning { .. }
            | Phase::AwaitingApproval { .. }
            | Phase::Countdown { .. } => true,
            Phase::Ready { step, sent, .. } => *step == StepNo(0) && *sent == 0,
            Phase::Intended { .. }
            | Phase::Running { .. }
            | Phase::Verifying(_)
            | Phase::NeedsHuman { .. }
            | Phase::Closed(_) => false,
        }
    }
}
