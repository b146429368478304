//! Commands: everything a case can ask the rim for, and how it can end. A command is its own errand key: the same
//! command is never under way twice.

use std::collections::BTreeSet;

use super::approval::{PersonVote, Roster};
use super::deployment::Picture;
use super::event::Settlement;
use super::exhibit::Collected;
use super::id::{
    AnswerUrl, CaseId, DeliveryId, Digest, Duration, GroupName, Handle, NoteNo, PagerName, PersonId, Place,
    ProbeName, ReleaseId, ServiceId, StepNo, Timestamp,
};
use super::notice::Notice;
use super::pager::{About, Cause};
use super::plan::{Choice, Proposal};
use super::probe::Health;
use super::signal::{EpisodeKey, Signal};

/// What the rim is asked to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Command {
    /// Ask the provider what serves.
    Describe(ServiceId),
    /// Ask the provider for the acts that lead from one release to another; reads only.
    Propose(Choice),
    /// Let the provider of the case's service show what is there, before anything is done.
    Collect(CaseId),
    /// Read who belongs to these groups.
    RollCall(CaseId, Vec<GroupName>),
    /// Ask the gate, and with its permit the provider. Never cut once the permit is out.
    Begin(CaseId, StepNo),
    /// Look for work begun under the step's mark.
    Find(CaseId, StepNo),
    /// Follow the step's work.
    Watch(CaseId, StepNo),
    /// Say a note in the case's thread.
    Say(CaseId, NoteNo),
    /// Let the first message of the case's thread show how it stands.
    Show(CaseId),
    /// Tell this pager why somebody is needed; `None`: that nobody is any more.
    Page(About, PagerName, Option<Cause>),
    /// Ask the source of this episode when its trouble began.
    Onset(ServiceId, EpisodeKey),
    /// Run a probe of this service, once.
    Probe(ServiceId, ProbeName),
}

impl Command {
    /// The name of the crash point on both sides of this command; `tests/crash.rs` stops the process at each.
    pub fn crash_point(&self) -> &'static str {
        match self {
            Command::Describe(_) => "describe",
            Command::Propose(_) => "propose",
            Command::Collect(_) => "collect",
            Command::RollCall(..) => "roll_call",
            Command::Begin(..) => "begin",
            Command::Find(..) => "find",
            Command::Watch(..) => "watch",
            Command::Say(..) => "say",
            Command::Show(_) => "show",
            Command::Page(..) => "page",
            Command::Onset(..) => "onset",
            Command::Probe(..) => "probe",
        }
    }

    /// Whether it speaks to people, or asks who they are; nothing is lost when it is cut.
    pub fn is_to_people(&self) -> bool {
        match self {
            Command::Say(..) | Command::Show(_) | Command::RollCall(..) | Command::Page(..) => true,
            Command::Describe(_)
            | Command::Propose(_)
            | Command::Collect(_)
            | Command::Onset(..)
            | Command::Probe(..)
            | Command::Begin(..)
            | Command::Find(..)
            | Command::Watch(..) => false,
        }
    }

    /// Every crash point's name.
    pub const CRASH_POINTS: [&'static str; 12] = [
        "describe",
        "propose",
        "collect",
        "roll_call",
        "begin",
        "find",
        "watch",
        "say",
        "show",
        "page",
        "onset",
        "probe",
    ];
}

/// What reaches a service.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Signals of one delivery that speak about this service, in the sender's order.
    Signals(Vec<Signal>),
    /// What a feed tells of a deployment.
    Noticed(Box<Notice>),
    /// A person asks for something.
    Asked(Ask),
    /// A command ended.
    Ended(Command, Ending),
    /// The process began again: nothing that lapsed meanwhile acts.
    Restarted,
    /// Time passed.
    Tick,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// Describe: the picture.
    Described(Box<Picture>),
    /// Propose: the acts.
    Proposed(Proposal),
    /// Propose, begin or page: the other side will not; why.
    Refused(String),
    /// Collect: what the provider shows.
    Collected(Collected),
    /// Roll call: who is there.
    Roster(Roster),
    /// Begin: taken.
    Accepted(Handle),
    /// Find: it was taken.
    Found(Handle),
    /// Find: it surely was not.
    Absent,
    /// Begin, find, watch: something else serves; what.
    Moved(String),
    /// Begin: the request surely never left.
    NotSent,
    /// Watch: what the provider says.
    Progress(Progress),
    /// It may or may not have happened, or could not be read: no fact follows.
    Unclear(String),
    /// Say: said there.
    Said {
        /// Where.
        place: Place,
        /// The face that it shows, where it opened a thread.
        face: Option<Digest>,
    },
    /// Show: this face is shown.
    Shown(Digest),
    /// Page: the pager took it.
    Paged,
    /// Probe: what the run found.
    Probed {
        /// When it began.
        began_at: Timestamp,
        /// What it found.
        found: Health,
    },
    /// Onset: when the trouble began, by the source's own data.
    Began(Timestamp),
    /// Say, show: the first message of the thread is gone, and another one was posted, below which it goes on.
    Elsewhere {
        /// Where.
        place: Place,
        /// The face that it shows, where that is known.
        face: Option<Digest>,
    },
    /// Say, show: the chat refuses it for good, and nobody mended that in time; why.
    Unsayable(String),
}

/// What a provider says about work under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Still at it.
    Running(String),
    /// Done; this release serves.
    Serving(ReleaseId),
    /// Done, and what serves is for a later step to change; what was done.
    Done(String),
    /// Failed, definitely; why.
    Failed(String),
    /// A person has to do something there.
    NeedsHuman {
        /// What.
        why: String,
        /// Where.
        url: Option<String>,
    },
    /// Somebody else's work replaced ours; what.
    Superseded(String),
}

/// What a person asks for, through whichever door.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Who.
    pub by: PersonId,
    /// When it reached us.
    pub at: Timestamp,
    /// The groups that they belong to, as the door found at that moment. Votes are counted by a roster all the same.
    pub groups: BTreeSet<GroupName>,
    /// What lets them act at all.
    pub authority: Authority,
    /// What.
    pub what: Wish,
}

/// What lets somebody act on services at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authority {
    /// The role of an operator, proved at the door: what takes nothing from others needs no group.
    #[default]
    Operator,
    /// Nothing but their groups: everything needs one that decides here.
    Groups,
}

/// What can be asked of one service.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// Vote on a plan.
    Vote {
        /// The case.
        case: CaseId,
        /// Yes or no, on which plan.
        vote: PersonVote,
    },
    /// Call a case off before the act.
    Cancel(CaseId),
    /// Not now: judge again in 15 minutes.
    Snooze(CaseId),
    /// This deployment is not to blame.
    Exonerate(CaseId),
    /// Settle what nobody can tell.
    Settle(CaseId, Settlement),
    /// A rollback by hand.
    Rollback {
        /// To which release; none: the ledger's own choice.
        to: Option<ReleaseId>,
        /// Why.
        reason: String,
        /// What they say to the plan that they were shown; none: they were shown none, and mean whatever is planned.
        shown: Option<PersonVote>,
    },
    /// Nothing automatic for so long.
    Freeze {
        /// How long.
        length: Duration,
        /// Why.
        reason: String,
    },
    /// Lift the freeze.
    Unfreeze,
    /// The release that was rolled back goes out again.
    Rollforward {
        /// Why.
        reason: String,
    },
    /// A release is good, or bad.
    Mark {
        /// Which.
        release: ReleaseId,
        /// Good.
        good: bool,
        /// Why.
        reason: String,
    },
    /// A release may go out again.
    Unlock {
        /// Which.
        release: ReleaseId,
        /// Why.
        reason: String,
    },
}

impl Wish {
    /// The case that it is about, where it is about one.
    pub fn case(&self) -> Option<&CaseId> {
        match self {
            Wish::Vote { case, .. }
            | Wish::Cancel(case)
            | Wish::Snooze(case)
            | Wish::Exonerate(case)
            | Wish::Settle(case, _) => Some(case),
            Wish::Rollback { .. }
            | Wish::Rollforward { .. }
            | Wish::Freeze { .. }
            | Wish::Unfreeze
            | Wish::Mark { .. }
            | Wish::Unlock { .. } => None,
        }
    }
}

/// What a person asks for, as it comes through a door: of one service, or of everything. Whether its door may be used for it
/// was checked there.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Of one service.
    Of(ServiceId, Ask),
    /// Nothing automatic, anywhere; with `everything`, no act of people either.
    Pause {
        /// Who.
        by: PersonId,
        /// When it reached us.
        at: Timestamp,
        /// Why.
        reason: String,
        /// People's acts too.
        everything: bool,
    },
    /// The pause ends.
    Resume {
        /// Who.
        by: PersonId,
        /// When it reached us.
        at: Timestamp,
        /// They may lift a pause of everything too.
        everything: bool,
    },
    /// The hold ends: whoever says so has seen the marks that nobody knows.
    Release {
        /// Who.
        by: PersonId,
        /// When it reached us.
        at: Timestamp,
    },
    /// A dead letter is read again, and taken as what it says.
    Replay {
        /// Who.
        by: PersonId,
        /// When it reached us.
        at: Timestamp,
        /// Which.
        letter: DeliveryId,
    },
    /// As somebody said it in the chat, which proves who they are and nothing more: their groups are found when it is
    /// decided, and whoever said it is answered there.
    Spoken {
        /// What was said, its groups empty.
        request: Box<Request>,
        /// The message whose button was pressed; nothing when it was typed.
        place: Option<Place>,
        /// What served when it was shown, where that matters: nothing else is rolled back by it.
        serving: Option<ReleaseId>,
        /// Where they are answered.
        answer: Option<AnswerUrl>,
    },
}

impl Request {
    /// Who makes it.
    pub fn by(&self) -> &PersonId {
        match self {
            Request::Of(_, Ask { by, .. })
            | Request::Pause { by, .. }
            | Request::Resume { by, .. }
            | Request::Release { by, .. }
            | Request::Replay { by, .. } => by,
            Request::Spoken { request, .. } => request.by(),
        }
    }
}
