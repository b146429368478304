//! The fault matrix of the failure model (§3.5): every operation of a provider under each of F1 to F19, with the result
//! that must follow, the requests that may reach the service and the effects that its own log may show. A provider plugs in
//! by a bed and a table; a cell that the table does not have is a failed test.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;

use snapback::execute::Sighting;
use snapback::outbound::Trouble;

/// What a provider is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Describe,
    Propose,
    /// Begin new work.
    Create,
    /// End work that is still going on.
    Stop,
    Find,
    Watch,
    Evidence,
}

pub(crate) const OPERATIONS: [Operation; 7] = [
    Operation::Describe,
    Operation::Propose,
    Operation::Create,
    Operation::Stop,
    Operation::Find,
    Operation::Watch,
    Operation::Evidence,
];

/// The faults of the failure model, by its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    F1ConnectRefused,
    F2Tls,
    F3TimeoutBefore,
    F4TimeoutAfter,
    F5Reset,
    F6TooMany,
    F7FailsBefore,
    F8FailsAfter,
    F9Refused,
    F10Malformed,
    F11OtherObject,
    F12Trickle,
    F13Twice,
    F14AcceptedThenFails,
    F15SupersededByHuman,
    F16StaleReads,
    F17FalseSuccess,
    F18Redirect,
    F19CredentialExpires,
}

pub(crate) const FAULTS: [Fault; 19] = [
    Fault::F1ConnectRefused,
    Fault::F2Tls,
    Fault::F3TimeoutBefore,
    Fault::F4TimeoutAfter,
    Fault::F5Reset,
    Fault::F6TooMany,
    Fault::F7FailsBefore,
    Fault::F8FailsAfter,
    Fault::F9Refused,
    Fault::F10Malformed,
    Fault::F11OtherObject,
    Fault::F12Trickle,
    Fault::F13Twice,
    Fault::F14AcceptedThenFails,
    Fault::F15SupersededByHuman,
    Fault::F16StaleReads,
    Fault::F17FalseSuccess,
    Fault::F18Redirect,
    Fault::F19CredentialExpires,
];

/// What a fault leads to. The first four are the kinds of `Trouble`; the others are answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Surely not done; the same attempt may go again.
    NotNow,
    /// Surely not done, and for good.
    Refused,
    /// Surely not done: something else serves, and the case plans again.
    PlanAgain,
    /// Nobody can tell: it is looked for.
    Unknown,
    /// A whole answer.
    Answered,
    /// Taken, and followed to an end that is no success.
    Failed,
    /// Taken, and somebody else's act replaced it.
    Superseded,
    /// Taken, called done, and seen not to serve.
    NotServing,
    /// Looked for, and no conclusion yet.
    TooEarly,
    /// Looked for, and found.
    Found,
    /// Looked for, and surely not there.
    Absent,
}

/// What one cell of the matrix must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) outcome: Outcome,
    /// Requests that change something and reached the service.
    pub(crate) requests: usize,
    /// Effects in the service's own log.
    pub(crate) effects: usize,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}/{}", self.outcome, self.requests, self.effects)
    }
}

/// A provider with its pretend service.
pub(crate) trait Bed: Send + Sized + 'static {
    /// A world at the moment before the operation, in which this fault waits for it.
    fn before(operation: Operation, fault: Fault) -> impl Future<Output = Self> + Send;

    /// Carries the operation out, and says what followed. Work that was taken is followed to its end.
    fn carry_out(&mut self, operation: Operation) -> impl Future<Output = Outcome> + Send;

    /// Looks for the work of an operation whose outcome is unknown, when every quarantine is over.
    fn look_after(&mut self, operation: Operation) -> impl Future<Output = Outcome> + Send;

    /// Requests that reached the service and change something, and the effects in its own log.
    fn counted(&self) -> (usize, usize);
}

/// So many cells are played at once: each has a service of its own, and a call's deadline is the real one.
const AT_ONCE: usize = 16;

/// Plays every cell, and compares it with the table. `expected` has a cell for each, or the test fails.
pub(crate) async fn hold<B: Bed>(expected: impl Fn(Operation, Fault) -> Option<Cell>) {
    let mut playing = tokio::task::JoinSet::new();
    let turns = std::sync::Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    for operation in OPERATIONS {
        for fault in FAULTS {
            let turns = turns.clone();
            playing.spawn(async move {
                let _turn = turns.acquire().await.expect("nobody closes it");
                ((operation, fault), play::<B>(operation, fault).await)
            });
        }
    }
    let mut seen: BTreeMap<(Operation, Fault), (Cell, Option<Outcome>)> = BTreeMap::new();
    while let Some(played) = playing.join_next().await {
        let (place, cell) = played.expect("a cell was played to its end");
        seen.insert(place, cell);
    }
    let mut wrong = Vec::new();
    for (place, (cell, found)) in &seen {
        let (operation, fault) = *place;
        match expected(operation, fault) {
            None => wrong.push(format!("{operation:?} × {fault:?}: the cell is empty; seen {cell}")),
            Some(expected) if expected != *cell => {
                wrong.push(format!("{operation:?} × {fault:?}: expected {expected}, seen {cell}"));
            }
            Some(_) => {}
        }
        // What is unknown is found where it took effect; where it did not, it is surely absent, or overtaken by others.
        let right = |found: &Outcome| match cell.effects {
            0 => matches!(found, Outcome::Absent | Outcome::PlanAgain),
            _ => *found == Outcome::Found,
        };
        if found.as_ref().is_some_and(|found| !right(found)) {
            wrong.push(format!("{operation:?} × {fault:?}: looked for after {cell}, and {found:?}"));
        }
    }
    assert_eq!(seen.len(), OPERATIONS.len() * FAULTS.len());
    assert!(wrong.is_empty(), "{} of {} cells:\n{}", wrong.len(), seen.len(), wrong.join("\n"));
}

async fn play<B: Bed>(operation: Operation, fault: Fault) -> (Cell, Option<Outcome>) {
    let mut bed = B::before(operation, fault).await;
    let outcome = bed.carry_out(operation).await;
    let (requests, effects) = bed.counted();
    let mutates = matches!(operation, Operation::Create | Operation::Stop);
    let found =
        if mutates && outcome == Outcome::Unknown { Some(bed.look_after(operation).await) } else { None };
    assert_eq!(bed.counted(), (requests, effects), "{operation:?} × {fault:?}: looking did something");
    (Cell { outcome, requests, effects }, found)
}

/// What a read that was asked for leads to.
pub(crate) fn answered(answer: Result<(), Trouble>) -> Outcome {
    answer.map_or_else(|trouble| told(&trouble), |()| Outcome::Answered)
}

/// What a search leads to.
pub(crate) fn found(sighting: Result<Sighting, Trouble>) -> Outcome {
    match sighting {
        Ok(Sighting::Found(_)) => Outcome::Found,
        Ok(Sighting::Absent) => Outcome::Absent,
        Ok(Sighting::TooEarly(_)) => Outcome::TooEarly,
        Err(trouble) => told(&trouble),
    }
}

/// What follows from trouble.
pub(crate) fn told(trouble: &Trouble) -> Outcome {
    match trouble {
        Trouble::Busy { .. } => Outcome::NotNow,
        Trouble::Refused(_) => Outcome::Refused,
        Trouble::Moved(_) => Outcome::PlanAgain,
        Trouble::Unclear(_) => Outcome::Unknown,
    }
}
