//! Names and numbers, as texts and numbers.

use serde::{Deserialize, Serialize};

use crate::case::id::{
    AnswerUrl, CaseId, ChangeId, DeliveryId, DeploymentId, Digest, Fingerprint, GroupName, Handle, Mark,
    NoteNo, PagerName, PersonId, Place, PolicyName, ProbeName, ReleaseId, RuleName, ServiceId, SignalName,
    SourceName, StepNo,
};

stored_texts! {
    AnswerUrl CaseId ChangeId DeploymentId Digest Fingerprint GroupName Handle Mark PagerName PersonId Place PolicyName ProbeName ReleaseId
    RuleName ServiceId SignalName SourceName
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "StepNo")]
struct StepNoV1(u16);

#[derive(Serialize, Deserialize)]
#[serde(remote = "DeliveryId")]
struct DeliveryIdV1(u64);

#[derive(Serialize, Deserialize)]
#[serde(remote = "NoteNo")]
struct NoteNoV1(u32);

stored! { StepNo => StepNoV1, NoteNo => NoteNoV1, DeliveryId => DeliveryIdV1 }
