//! The shapes of the API (product §20), made from the core's nouns. Fields may be added, never renamed. Times are
//! RFC 3339 in UTC, durations seconds as numbers, ids opaque text.

mod case;
mod doctor;
mod explanation;
mod gate;
mod letter;
mod rules;
mod service;
mod state;

pub use case::{
    CaseEventShape, CasePlanShape, CaseShape, CaseSignalShape, CasesShape, ClockShape, CompanionShape,
    PreviewShape, ReleaseShape, StepShape, SuspectShape, VoteShape,
};
pub use doctor::{CheckOutcome, CheckShape, DoctorShape};
pub use explanation::{
    CandidateShape, DigestsShape, ExplanationShape, GuardShape, PartShape, PassedOverShape, RowShape,
    ShadowShape,
};
pub use gate::GateShape;
pub use letter::{DeadLetterShape, DeadLettersShape};
pub use rules::{AlertsShape, RuleShape, RulesShape};
pub use service::{
    DeploymentShape, DeploymentsShape, FreezeShape, ReadyShape, ServiceReleaseShape, ServiceShape,
    ServicesShape,
};
pub use state::{HoldShape, PauseShape, QueuesShape, StateShape};
