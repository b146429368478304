//! A step: one part of a plan with nothing left to choose, and the order in which it travels to whoever does it.
//! The acts are the provider's, opaque and pinned; the core orders, guards and digests them.

use std::collections::BTreeMap;

use super::id::{Attempt, CaseId, Duration, Mark, ReleaseId, ServiceId, StepNo, Timestamp};

/// What a late copy of a request does; it decides how often a step may be tried (failure model §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A late copy is refused by the provider.
    A,
    /// A late copy leads to the same pinned target.
    B,
    /// Each copy starts new work.
    C,
}

impl Class {
    /// The most wire requests that one step may ever send.
    pub fn attempts_max(self) -> Attempt {
        match self {
            Class::A => 3,
            Class::B => 2,
            Class::C => 1,
        }
    }

    /// The letter.
    pub fn letter(self) -> &'static str {
        match self {
            Class::A => "A",
            Class::B => "B",
            Class::C => "C",
        }
    }
}

/// One thing that a provider is asked to do, pinned in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// The provider's own word for it, such as `switch` or `restart`; the core does not read it.
    pub kind: String,
    /// Everything the provider needs to do it, pinned.
    pub arguments: BTreeMap<String, String>,
    /// What a late copy does.
    pub class: Class,
    /// What it does, in a sentence for people.
    pub says: String,
}

/// Who does a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doer {
    /// The provider of this service.
    Provider(ServiceId),
    /// Snapback itself, in its own ledger: the lock on the bad release. Nothing leaves the process.
    Ledger(ReleaseId),
    /// A request or a program of the user's own.
    User,
}

impl Doer {
    /// The service whose provider does it.
    pub fn provider(&self) -> Option<&ServiceId> {
        match self {
            Doer::Provider(service) => Some(service),
            Doer::Ledger(_) | Doer::User => None,
        }
    }
}

/// One part of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who does it.
    pub doer: Doer,
    /// What is done.
    pub act: Act,
    /// How long it may take from its beginning to its end.
    pub deadline: Duration,
    /// What a definite failure means for the plan.
    pub on_failure: OnFailure,
}

/// What a definite failure of a step means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The case fails; nothing after it is done.
    Stop,
    /// Told, and the next step goes on.
    Continue,
}

/// A step on its way to whoever does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The case.
    pub case: CaseId,
    /// The step's number in the plan.
    pub step: StepNo,
    /// The attempt, from 1.
    pub attempt: Attempt,
    /// Our sign at the provider; the same for every attempt of one step.
    pub mark: Mark,
    /// Who does it.
    pub doer: Doer,
    /// The step itself.
    pub act: Act,
    /// The service that it changes.
    pub service: ServiceId,
    /// What must serve for the step to be right.
    pub expected: ReleaseId,
    /// Where it leads.
    pub to: ReleaseId,
    /// When the intent became durable: a search need not look before it.
    pub intended_at: Timestamp,
}
