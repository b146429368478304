//! Requests of people, as the doors hand them over.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::case::approval::PersonVote;
use crate::case::command::{Ask, Authority, Request, Wish};
use crate::case::event::Settlement;
use crate::case::id::{
    AnswerUrl, CaseId, DeliveryId, Digest, Duration, GroupName, PersonId, Place, ReleaseId, ServiceId,
    Timestamp,
};

stored! {
    Request => RequestV1,
    Ask => AskV1,
    Authority => AuthorityV1,
    Wish => WishV1,
    PersonVote => PersonVoteV1,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Request", rename_all = "snake_case")]
enum RequestV1 {
    Of(ServiceId, Ask),
    Pause {
        by: PersonId,
        at: Timestamp,
        reason: String,
        everything: bool,
    },
    Resume {
        by: PersonId,
        at: Timestamp,
        #[serde(default)]
        everything: bool,
    },
    Release {
        by: PersonId,
        at: Timestamp,
    },
    Replay {
        by: PersonId,
        at: Timestamp,
        letter: DeliveryId,
    },
    Spoken {
        request: Box<Request>,
        place: Option<Place>,
        serving: Option<ReleaseId>,
        answer: Option<AnswerUrl>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Ask")]
struct AskV1 {
    by: PersonId,
    at: Timestamp,
    groups: BTreeSet<GroupName>,
    #[serde(default)]
    authority: Authority,
    what: Wish,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Authority", rename_all = "snake_case")]
enum AuthorityV1 {
    Operator,
    Groups,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Wish", rename_all = "snake_case")]
enum WishV1 {
    Vote {
        case: CaseId,
        vote: PersonVote,
    },
    Cancel(CaseId),
    Snooze(CaseId),
    Exonerate(CaseId),
    Settle(CaseId, Settlement),
    Rollback {
        to: Option<ReleaseId>,
        reason: String,
        #[serde(default)]
        shown: Option<PersonVote>,
    },
    Freeze {
        length: Duration,
        reason: String,
    },
    Unfreeze,
    Rollforward {
        reason: String,
    },
    Mark {
        release: ReleaseId,
        good: bool,
        reason: String,
    },
    Unlock {
        release: ReleaseId,
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PersonVote")]
struct PersonVoteV1 {
    yes: bool,
    digest: Digest,
    break_glass: Option<String>,
    #[serde(default)]
    confirm: Option<String>,
}
