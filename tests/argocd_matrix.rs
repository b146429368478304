//! The fault matrix, filled for Argo CD: its rollback, and the end of a sync that is under way. What stands before them, the patch that
//! switches auto-sync off, has a matrix of its own beside.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the table names what is special; what is not is as for any read"
)]

mod argo;
mod argocd_bed;
mod matrix;
mod pretend;

use argo::Becomes;
use argocd_bed::{Bed as World, SURELY};
use hyper::Method;
use matrix::{Bed, Cell, Fault, Operation, Outcome, answered, found, told};
use pretend::Fault as Wire;
use serde_json::json;
use snapback::case::command::Progress;
use snapback::case::id::{Duration, Handle};
use snapback::case::step::Order;

/// The rollback and the termination, or the patch before them.
struct ArgoCd<const PATCH: bool> {
    world: World,
    /// For what begins, looks for or follows work.
    order: Option<Order>,
    handle: Option<Handle>,
    /// Requests and effects by which the world was led to its moment.
    before: (usize, usize),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_operation_under_every_fault() {
    matrix::hold::<ArgoCd<false>>(|operation, fault| expected(operation, fault, false)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn switching_auto_sync_off_under_every_fault() {
    matrix::hold::<ArgoCd<true>>(|operation, fault| expected(operation, fault, true)).await;
}

/// The table. Columns: what follows, requests that reached the API, effects.
fn expected(operation: Operation, fault: Fault, patch: bool) -> Option<Cell> {
    let cell = |outcome, requests, effects| Some(Cell { outcome, requests, effects });
    match operation {
        Operation::Describe | Operation::Propose | Operation::Evidence => {
            cell(reading(operation, fault), 0, 0)
        }
        Operation::Find => cell(looking(fault), 0, 0),
        Operation::Watch => cell(watching(fault, patch), 0, 0),
        Operation::Create | Operation::Stop => {
            let stops = operation == Operation::Stop && !patch;
            let (outcome, requests, effects) = match fault {
                // Its answer says nothing, whatever it holds.
                Fault::F11OtherObject if stops => (Outcome::Answered, 1, 1),
                fault => changing(fault, patch || stops),
            };
            cell(outcome, requests, effects)
        }
    }
}

/// A read that could not be made is no fact: "busy" and "unclear" are both asked again.
fn reading(operation: Operation, fault: Fault) -> Outcome {
    match fault {
        Fault::F1ConnectRefused | Fault::F2Tls | Fault::F6TooMany => Outcome::NotNow,
        Fault::F3TimeoutBefore
        | Fault::F4TimeoutAfter
        | Fault::F5Reset
        | Fault::F7FailsBefore
        | Fault::F8FailsAfter
        | Fault::F10Malformed
        | Fault::F11OtherObject
        | Fault::F12Trickle
        | Fault::F18Redirect => Outcome::Unknown,
        // A token of Argo CD's is renewed by nobody here.
        Fault::F9Refused | Fault::F19CredentialExpires => Outcome::Refused,
        // What the plan would go back from does not serve any more.
        Fault::F15SupersededByHuman if matches!(operation, Operation::Find | Operation::Propose) => {
            Outcome::PlanAgain
        }
        Fault::F13Twice
        | Fault::F14AcceptedThenFails
        | Fault::F15SupersededByHuman
        | Fault::F16StaleReads
        | Fault::F17FalseSuccess => Outcome::Answered,
    }
}

fn looking(fault: Fault) -> Outcome {
    match fault {
        Fault::F13Twice | Fault::F14AcceptedThenFails | Fault::F16StaleReads | Fault::F17FalseSuccess => {
            Outcome::Found
        }
        other => reading(Operation::Find, other),
    }
}

fn watching(fault: Fault, patch: bool) -> Outcome {
    match fault {
        // The patch itself cannot fail once it is there.
        Fault::F14AcceptedThenFails | Fault::F15SupersededByHuman if patch => Outcome::Answered,
        Fault::F14AcceptedThenFails => Outcome::Failed,
        Fault::F15SupersededByHuman => Outcome::Superseded,
        other => reading(Operation::Watch, other),
    }
}

/// `at_once`: what is done is done when it is answered, and cannot fail later.
fn changing(fault: Fault, at_once: bool) -> (Outcome, usize, usize) {
    match fault {
        Fault::F1ConnectRefused | Fault::F2Tls => (Outcome::NotNow, 0, 0),
        Fault::F3TimeoutBefore | Fault::F7FailsBefore | Fault::F18Redirect => (Outcome::Unknown, 1, 0),
        Fault::F4TimeoutAfter
        | Fault::F5Reset
        | Fault::F8FailsAfter
        | Fault::F10Malformed
        | Fault::F12Trickle => (Outcome::Unknown, 1, 1),
        Fault::F11OtherObject => (Outcome::Unknown, 1, 1),
        Fault::F6TooMany => (Outcome::NotNow, 1, 0),
        Fault::F9Refused | Fault::F19CredentialExpires => (Outcome::Refused, 1, 0),
        Fault::F14AcceptedThenFails if !at_once => (Outcome::Failed, 1, 1),
        Fault::F15SupersededByHuman => (Outcome::PlanAgain, 0, 0),
        Fault::F13Twice | Fault::F14AcceptedThenFails | Fault::F16StaleReads | Fault::F17FalseSuccess => {
            (Outcome::Answered, 1, 1)
        }
    }
}

impl<const PATCH: bool> Bed for ArgoCd<PATCH> {
    async fn before(operation: Operation, fault: Fault) -> ArgoCd<PATCH> {
        let world = if operation == Operation::Stop { World::going_out() } else { World::new() };
        if operation == Operation::Stop {
            // It does not end by itself.
            world.argo.state().takes = Duration::from_hours(1);
        }
        let mut bed = ArgoCd { world, order: None, handle: None, before: (0, 0) };
        bed.lead_to(operation, fault).await;
        bed.before = bed.world_counted();
        bed.inject(operation, fault);
        bed
    }

    async fn carry_out(&mut self, operation: Operation) -> Outcome {
        match operation {
            Operation::Describe => answered(self.world.describe().await.map(drop)),
            Operation::Propose => {
                let order = self.order.as_ref().expect("an order");
                let target = self.world.target();
                answered(self.world.provider.propose(&target, &order.expected, &order.to).await.map(drop))
            }
            Operation::Create | Operation::Stop => self.begin().await,
            Operation::Find => found(self.world.find(self.order.as_ref().expect("an order")).await),
            Operation::Watch => self.follow().await,
            Operation::Evidence => answered(
                self.world.provider.evidence(&self.world.target(), self.handle.as_ref()).await.map(drop),
            ),
        }
    }

    async fn look_after(&mut self, _: Operation) -> Outcome {
        self.world.argo.pass(SURELY);
        found(self.world.find(self.order.as_ref().expect("an order")).await)
    }

    fn counted(&self) -> (usize, usize) {
        let (requests, effects) = self.world_counted();
        (requests - self.before.0, effects - self.before.1)
    }
}

impl<const PATCH: bool> ArgoCd<PATCH> {
    fn world_counted(&self) -> (usize, usize) {
        (self.world.argo.writes(), self.world.argo.effects().len())
    }

    /// Leads the world to the moment before the operation.
    async fn lead_to(&mut self, operation: Operation, fault: Fault) {
        let (from, to) = if operation == Operation::Stop { (3, 2) } else { (2, 1) };
        let mut orders = self.world.way_back(from, to).await;
        if !PATCH && operation != Operation::Propose {
            self.world.goes(&orders[..1]).await;
        }
        // The second is what this matrix is about: the rollback, or the termination.
        let order = orders.swap_remove(usize::from(!PATCH));
        if matches!(operation, Operation::Find | Operation::Watch | Operation::Evidence) {
            if fault == Fault::F14AcceptedThenFails {
                self.breaks();
            }
            let not_begun = operation == Operation::Find && fault == Fault::F15SupersededByHuman;
            if !not_begun {
                self.handle = Some(self.world.begin(&order).await.expect("taken"));
                self.world.argo.pass(3);
            }
        }
        self.order = Some(order);
    }

    fn breaks(&self) {
        self.world.argo.state().becomes.insert(1, Becomes::Fails("denied"));
    }

    fn inject(&mut self, operation: Operation, fault: Fault) {
        let mutates = matches!(operation, Operation::Create | Operation::Stop);
        let method = match operation {
            Operation::Create | Operation::Stop if PATCH => Method::PATCH,
            Operation::Create => Method::POST,
            Operation::Stop => Method::DELETE,
            _ => Method::GET,
        };
        let wire = match fault {
            // After the reading that an act begins with.
            Fault::F1ConnectRefused if mutates => {
                return self.world.argo.fault(Method::GET, "/applications/checkout", Wire::Close);
            }
            Fault::F1ConnectRefused => {
                self.world.provider = self.world.provider_at("http://127.0.0.1:1");
                return;
            }
            Fault::F2Tls => {
                let url = self.world.argo.url().replace("http://", "https://");
                self.world.provider = self.world.provider_at(&url);
                return;
            }
            Fault::F3TimeoutBefore => Wire::Hang,
            Fault::F4TimeoutAfter => Wire::HangAfter,
            Fault::F5Reset => Wire::LoseReply,
            Fault::F6TooMany => Wire::Refuse(429, "slowly"),
            Fault::F7FailsBefore => Wire::Refuse(500, "no"),
            Fault::F8FailsAfter => Wire::FailAfter(503),
            Fault::F9Refused => Wire::Refuse(403, "permission denied"),
            Fault::F10Malformed => Wire::Garble,
            Fault::F11OtherObject => Wire::Other,
            Fault::F12Trickle => Wire::Trickle,
            Fault::F13Twice => Wire::Twice,
            Fault::F18Redirect => Wire::Redirect,
            Fault::F19CredentialExpires => Wire::Refuse(401, "token is expired"),
            Fault::F14AcceptedThenFails => return self.breaks(),
            Fault::F15SupersededByHuman => {
                let mut state = self.world.argo.state();
                state.app["spec"]["syncPolicy"]["automated"] = json!({ "enabled": false });
                state.takes = Duration::from_secs(5);
                drop(state);
                self.world.argo.pass(30);
                self.world.argo.syncs(5, &json!([]));
                return self.world.argo.pass(30);
            }
            Fault::F16StaleReads | Fault::F17FalseSuccess => return,
        };
        // The call that an operation is about.
        self.world.argo.fault(method, "/applications/checkout", wire);
    }

    async fn begin(&mut self) -> Outcome {
        let order = self.order.clone().expect("an order");
        match self.world.begin(&order).await {
            Ok(handle) => {
                self.handle = Some(handle);
                self.follow().await
            }
            Err(trouble) => told(&trouble),
        }
    }

    async fn follow(&self) -> Outcome {
        let to = &self.order.as_ref().expect("an order").to;
        match self.world.end_of(self.handle.as_ref().expect("a handle")).await {
            Ok(Progress::Serving(release)) if release == *to => Outcome::Answered,
            Ok(Progress::Done(_)) => Outcome::Answered,
            Ok(Progress::Serving(_)) => Outcome::NotServing,
            Ok(Progress::Failed(_)) => Outcome::Failed,
            Ok(Progress::Superseded(_)) => Outcome::Superseded,
            Ok(other) => panic!("an end: {other:?}"),
            Err(trouble) => told(&trouble),
        }
    }
}
