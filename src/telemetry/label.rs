//! Labels: every value that may stand beside a number. Each set is an enum that is closed here or in `case`, so that no text
//! of an alert can become a series; names of sources and services are those of the configuration, and are added by
//! `metrics`.

use crate::case::command::{Command, Ending};
use crate::case::decide::Verdict;
use crate::case::event::Origin;
use crate::case::phase::{Outcome, Phase};
use crate::case::turn::Disposition;

/// A closed set of labels.
pub trait Labels: Copy + PartialEq + 'static {
    /// Every one of the set; each is a series from the start, at 0.
    const ALL: &'static [Self];
    /// Its keys and values.
    fn pairs(self) -> Vec<(&'static str, &'static str)>;
}

/// A set of one key. The match holds the list to be whole.
macro_rules! closed {
    ($name:ty, $key:literal, { $($variant:ident => $word:literal,)* }) => {
        impl Labels for $name {
            const ALL: &'static [$name] = &[$(<$name>::$variant),*];

            fn pairs(self) -> Vec<(&'static str, &'static str)> {
                let word = match self {
                    $(<$name>::$variant => $word,)*
                };
                vec![($key, word)]
            }
        }
    };
}

mod act;

pub use act::{ActEnd, Answered, Provider};

/// What became of an authentic delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Stored and synced.
    Stored,
    /// Stored and synced, and nobody can read it.
    DeadLetter,
    /// The same body was stored a short while ago.
    Seen,
}

closed!(Received, "result", {
    Stored => "stored",
    DeadLetter => "dead_letter",
    Seen => "seen",
});

/// Why a source was refused a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No credential, or not the right one.
    Unauthorized,
    /// The source's secret is not loaded.
    SecretMissing,
    /// The certificate that proves it cannot be had.
    CertificateAway,
    /// Its head says something that this sender never says: type, encoding, or no length.
    Head,
    /// Larger than this sender's may be.
    BodyTooLarge,
    /// It ended before its declared length.
    BodyCut,
    /// More work waits than can be borne.
    Overloaded,
    /// The disk said no.
    NotStored,
    /// The server is going down.
    Closing,
}

closed!(Refusal, "reason", {
    Unauthorized => "unauthorized",
    SecretMissing => "secret_missing",
    CertificateAway => "certificate_away",
    Head => "head",
    BodyTooLarge => "body_too_large",
    BodyCut => "body_cut",
    Overloaded => "overloaded",
    NotStored => "not_stored",
    Closing => "closing",
});

/// What became of a signal or a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposed {
    /// Taken by a service.
    Taken,
    /// Nothing new.
    Repeated,
    /// A clear of something that was not firing.
    Idle,
    /// No service is known for it.
    Unmapped,
    /// Its source may not speak about the service.
    OutOfScope,
    /// Nothing that is judged, such as a ping.
    Aside,
    /// Nobody can read it.
    Dead,
    /// Beyond a limit.
    TooMany,
    /// A request was carried out.
    Done,
    /// Whoever asked may not.
    Forbidden,
    /// It cannot be done as things stand.
    Conflict,
}

closed!(Disposed, "disposition", {
    Taken => "taken",
    Repeated => "repeated",
    Idle => "idle",
    Unmapped => "unmapped",
    OutOfScope => "out_of_scope",
    Aside => "aside",
    Dead => "dead",
    TooMany => "too_many",
    Done => "done",
    Forbidden => "forbidden",
    Conflict => "conflict",
});

impl From<&Disposition> for Disposed {
    fn from(disposition: &Disposition) -> Disposed {
        match disposition {
            Disposition::Taken(_) => Disposed::Taken,
            Disposition::Repeated(_) => Disposed::Repeated,
            Disposition::Idle(_) => Disposed::Idle,
            Disposition::Unmapped(_) => Disposed::Unmapped,
            Disposition::OutOfScope(_) => Disposed::OutOfScope,
            Disposition::Aside(_) => Disposed::Aside,
            Disposition::Dead(_) => Disposed::Dead,
            Disposition::TooMany(_) => Disposed::TooMany,
            Disposition::Done(_) => Disposed::Done,
            Disposition::Forbidden(_) => Disposed::Forbidden,
            Disposition::Conflict(_) => Disposed::Conflict,
        }
    }
}

closed!(Verdict, "verdict", {
    Ignore => "ignore",
    Notify => "notify",
    Approve => "approve",
    Rollback => "rollback",
});

/// Who began a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Began {
    /// A signal.
    Signal,
    /// A person.
    Person,
    /// A drill.
    Drill,
}

closed!(Began, "origin", {
    Signal => "signal",
    Person => "person",
    Drill => "drill",
});

impl From<&Origin> for Began {
    fn from(origin: &Origin) -> Began {
        match origin {
            Origin::Signal => Began::Signal,
            Origin::Person { .. } => Began::Person,
            Origin::Drill => Began::Drill,
        }
    }
}

closed!(Outcome, "outcome", {
    Recovered => "recovered",
    NotRecovered => "not_recovered",
    Unverified => "unverified",
    Failed => "failed",
    Superseded => "superseded",
    Adopted => "adopted",
    Cancelled => "cancelled",
    Denied => "denied",
    Expired => "expired",
    Cleared => "cleared",
    LeftAlone => "left_alone",
});

/// The phases of an open case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// The provider is read.
    Gathering,
    /// No act yet.
    Weighing,
    /// The provider proposes its acts.
    Planning,
    /// People are asked.
    AwaitingApproval,
    /// An automatic act waits.
    Countdown,
    /// The step may begin as soon as the gate lets it.
    Ready,
    /// The intent is on disk.
    Intended,
    /// The provider works.
    Running,
    /// Does it help?
    Verifying,
    /// Nobody can tell what an act did.
    NeedsHuman,
}

closed!(Open, "phase", {
    Gathering => "gathering",
    Weighing => "weighing",
    Planning => "planning",
    AwaitingApproval => "awaiting_approval",
    Countdown => "countdown",
    Ready => "ready",
    Intended => "intended",
    Running => "running",
    Verifying => "verifying",
    NeedsHuman => "needs_human",
});

impl Open {
    /// The phase, if it is one of an open case.
    pub fn of(phase: &Phase) -> Option<Open> {
        match phase {
            Phase::Gathering { .. } => Some(Open::Gathering),
            Phase::Weighing { .. } => Some(Open::Weighing),
            Phase::Planning { .. } => Some(Open::Planning),
            Phase::AwaitingApproval { .. } => Some(Open::AwaitingApproval),
            Phase::Countdown { .. } => Some(Open::Countdown),
            Phase::Ready { .. } => Some(Open::Ready),
            Phase::Intended { .. } => Some(Open::Intended),
            Phase::Running { .. } => Some(Open::Running),
            Phase::Verifying(_) => Some(Open::Verifying),
            Phase::NeedsHuman { .. } => Some(Open::NeedsHuman),
            Phase::Closed(_) => None,
        }
    }
}

/// How a page to one pager ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageEnd {
    /// The pager took it.
    Taken,
    /// It said no, and is not asked again.
    Refused,
    /// Nobody can tell: it is sent again under the same key.
    Unclear,
}

closed!(PageEnd, "ending", {
    Taken => "taken",
    Refused => "refused",
    Unclear => "unclear",
});

impl PageEnd {
    /// How a command ended, if it was one that tells a pager.
    #[expect(clippy::wildcard_enum_match_arm, reason = "a page ends in no other way that says more")]
    pub fn of(command: &Command, ending: &Ending) -> Option<PageEnd> {
        let Command::Page(..) = command else { return None };
        Some(match ending {
            Ending::Paged => PageEnd::Taken,
            Ending::Refused(_) => PageEnd::Refused,
            _ => PageEnd::Unclear,
        })
    }
}

/// The commands that errands carry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Read a service's provider.
    Describe,
    /// Ask it for acts.
    Propose,
    /// Let the provider show what is there.
    Collect,
    /// Read who belongs to groups.
    RollCall,
    /// Send the one request of an act.
    Begin,
    /// Look for it.
    Find,
    /// Follow it.
    Watch,
    /// Say a note.
    Say,
    /// Let the first message of a thread show how its case stands.
    Show,
    /// Tell a pager that somebody is needed, or that nobody is any more.
    Page,
    /// A source is asked when an alert's trouble began.
    Onset,
    /// One run of a probe.
    Probe,
}

closed!(Errand, "command", {
    Describe => "describe",
    Propose => "propose",
    Collect => "collect",
    RollCall => "roll_call",
    Begin => "begin",
    Find => "find",
    Watch => "watch",
    Say => "say",
    Show => "show",
    Page => "page",
    Onset => "onset",
    Probe => "probe",
});

impl From<&Command> for Errand {
    fn from(command: &Command) -> Errand {
        match command {
            Command::Describe(_) => Errand::Describe,
            Command::Propose(_) => Errand::Propose,
            Command::Collect(_) => Errand::Collect,
            Command::RollCall(..) => Errand::RollCall,
            Command::Begin(..) => Errand::Begin,
            Command::Find(..) => Errand::Find,
            Command::Watch(..) => Errand::Watch,
            Command::Say(..) => Errand::Say,
            Command::Show(_) => Errand::Show,
            Command::Page(..) => Errand::Page,
            Command::Onset(..) => Errand::Onset,
            Command::Probe(..) => Errand::Probe,
        }
    }
}

/// What a pause stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stops {
    /// What nobody is asked about.
    Automatic,
    /// People's acts as well.
    Everything,
}

closed!(Stops, "stops", {
    Automatic => "automatic",
    Everything => "everything",
});

/// A way between two stages of a case's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// From the first signal to the first judgement.
    ReceivedToJudged,
    /// From there to the question, where people are asked.
    JudgedToAsked,
    /// From the question to enough votes.
    AskedToApproved,
    /// From the first judgement to the end of the countdown, where nobody is asked.
    JudgedToCountedDown,
    /// From enough votes, or the end of the countdown, to the first intent on disk.
    ReadyToStarted,
    /// From there to the moment when the target serves.
    StartedToDone,
    /// From there to the end of the verification.
    DoneToVerified,
}

closed!(Stage, "stage", {
    ReceivedToJudged => "received_to_judged",
    JudgedToAsked => "judged_to_asked",
    AskedToApproved => "asked_to_approved",
    JudgedToCountedDown => "judged_to_counted_down",
    ReadyToStarted => "ready_to_started",
    StartedToDone => "started_to_done",
    DoneToVerified => "done_to_verified",
});

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of metrics are those of the API: who reads both need not translate.
    #[test]
    fn words_are_those_of_the_rest() {
        let word = |pairs: Vec<(&str, &'static str)>| pairs[0].1;
        assert!(<Outcome as Labels>::ALL.iter().all(|outcome| word(outcome.pairs()) == outcome.word()));
        assert_eq!(<Outcome as Labels>::ALL, Outcome::ALL);
        assert!(Verdict::ALL.iter().all(|verdict| word(verdict.pairs()) == verdict.word()));
        let errands: Vec<&str> = Errand::ALL.iter().map(|errand| word(errand.pairs())).collect();
        assert_eq!(errands, Command::CRASH_POINTS);
    }

    #[test]
    fn every_pair_of_a_set_of_two_keys_is_there_once() {
        let pairs: std::collections::BTreeSet<_> = ActEnd::ALL.iter().map(|end| end.pairs()).collect();
        assert_eq!(pairs.len(), Provider::ALL.len() * Answered::ALL.len());
    }
}
