//! The fault matrix, filled for Spinnaker: the rollback by a pipeline with the end of an execution that goes out, and the rollback by a
//! rollout that is undone.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the table names what is special; what is not is as for any read"
)]

mod matrix;
mod pretend;
mod spinnaker_bed;
mod spinnaker_gate;

use hyper::Method;
use matrix::{Bed, Cell, Fault, Operation, Outcome, answered, found, told};
use pretend::Fault as Wire;
use serde_json::json;
use snapback::case::command::Progress;
use snapback::case::id::{Duration, Handle};
use snapback::case::step::Order;
use spinnaker_bed::{Bed as World, SURELY};
use spinnaker_gate::{Becomes, DEPLOY};

/// By the rollback pipeline, or by undoing the rollout.
struct Spinnaker<const MANIFEST: bool> {
    world: World,
    /// For what begins, looks for or follows work.
    order: Option<Order>,
    handle: Option<Handle>,
    /// Requests and effects by which the world was led to its moment.
    before: (usize, usize),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_operation_under_every_fault() {
    matrix::hold::<Spinnaker<false>>(expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_operation_of_a_rollout_that_is_undone_under_every_fault() {
    matrix::hold::<Spinnaker<true>>(expected).await;
}

/// The table. Columns: what follows, requests that reached Gate, effects.
fn expected(operation: Operation, fault: Fault) -> Option<Cell> {
    let cell = |outcome, requests, effects| Some(Cell { outcome, requests, effects });
    match operation {
        Operation::Describe | Operation::Propose | Operation::Evidence => {
            cell(reading(operation, fault), 0, 0)
        }
        Operation::Find => cell(looking(fault), 0, 0),
        Operation::Watch => cell(watching(fault), 0, 0),
        Operation::Create | Operation::Stop => {
            let stops = operation == Operation::Stop;
            let (outcome, requests, effects) = match fault {
                // Its answer says nothing, whatever it holds.
                Fault::F11OtherObject if stops => (Outcome::Answered, 1, 1),
                // Only what serves tells whether it was true.
                Fault::F17FalseSuccess if !stops => (Outcome::NotServing, 1, 1),
                fault => changing(fault, stops),
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
        // A token is renewed by nobody here.
        Fault::F9Refused | Fault::F19CredentialExpires => Outcome::Refused,
        // What the plan would go back from does not serve any more.
        Fault::F15SupersededByHuman if operation == Operation::Propose => Outcome::PlanAgain,
        // That somebody else was quicker does not tell whether ours comes as well.
        Fault::F15SupersededByHuman if operation == Operation::Find => Outcome::TooEarly,
        Fault::F13Twice
        | Fault::F14AcceptedThenFails
        | Fault::F15SupersededByHuman
        | Fault::F16StaleReads
        | Fault::F17FalseSuccess => Outcome::Answered,
    }
}

fn looking(fault: Fault) -> Outcome {
    match fault {
        Fault::F13Twice | Fault::F14AcceptedThenFails | Fault::F17FalseSuccess => Outcome::Found,
        // Echo has it, and Orca has not.
        Fault::F16StaleReads => Outcome::TooEarly,
        other => reading(Operation::Find, other),
    }
}

fn watching(fault: Fault) -> Outcome {
    match fault {
        Fault::F14AcceptedThenFails => Outcome::Failed,
        Fault::F15SupersededByHuman => Outcome::Superseded,
        Fault::F17FalseSuccess => Outcome::NotServing,
        other => reading(Operation::Watch, other),
    }
}

/// `stops`: what is ended cannot fail later, and its request goes again.
fn changing(fault: Fault, stops: bool) -> (Outcome, usize, usize) {
    match fault {
        Fault::F1ConnectRefused | Fault::F2Tls => (Outcome::NotNow, 0, 0),
        Fault::F3TimeoutBefore | Fault::F7FailsBefore | Fault::F18Redirect => (Outcome::Unknown, 1, 0),
        Fault::F4TimeoutAfter
        | Fault::F5Reset
        | Fault::F8FailsAfter
        | Fault::F10Malformed
        | Fault::F12Trickle
        | Fault::F11OtherObject => (Outcome::Unknown, 1, 1),
        Fault::F6TooMany => (Outcome::NotNow, 1, 0),
        Fault::F9Refused | Fault::F19CredentialExpires => (Outcome::Refused, 1, 0),
        Fault::F14AcceptedThenFails if !stops => (Outcome::Failed, 1, 1),
        Fault::F15SupersededByHuman => (Outcome::PlanAgain, 0, 0),
        // Orca knows the first while it runs.
        Fault::F13Twice | Fault::F14AcceptedThenFails | Fault::F16StaleReads | Fault::F17FalseSuccess => {
            (Outcome::Answered, 1, 1)
        }
    }
}

impl<const MANIFEST: bool> Bed for Spinnaker<MANIFEST> {
    async fn before(operation: Operation, fault: Fault) -> Spinnaker<MANIFEST> {
        let world = if MANIFEST { World::by_manifest() } else { World::new() };
        let world = if operation == Operation::Stop { world.going_out() } else { world };
        if operation == Operation::Stop {
            // It does not end by itself.
            world.gate.state().takes = Duration::from_hours(1);
        }
        let mut bed = Spinnaker { world, order: None, handle: None, before: (0, 0) };
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
        self.world.gate.pass(SURELY);
        found(self.world.find(self.order.as_ref().expect("an order")).await)
    }

    fn counted(&self) -> (usize, usize) {
        let (requests, effects) = self.world_counted();
        (requests - self.before.0, effects - self.before.1)
    }
}

impl<const MANIFEST: bool> Spinnaker<MANIFEST> {
    fn world_counted(&self) -> (usize, usize) {
        (self.world.gate.writes(), self.world.gate.effects().len())
    }

    /// Leads the world to the moment before the operation.
    async fn lead_to(&mut self, operation: Operation, fault: Fault) {
        let (from, to) = if operation == Operation::Stop { ("v3", "v2") } else { ("v2", "v1") };
        let mut orders = self.world.way_back(from, to).await;
        // The first is what this matrix is about: the cancel, or the rollback.
        let order = orders.swap_remove(0);
        if matches!(operation, Operation::Find | Operation::Watch | Operation::Evidence) {
            if fault == Fault::F14AcceptedThenFails {
                self.breaks();
            }
            if fault == Fault::F17FalseSuccess {
                self.world.gate.state().undoes_nothing = true;
            }
            if fault == Fault::F16StaleReads && operation == Operation::Find {
                self.world.gate.state().appears_after = Duration::from_secs(60);
            }
            let not_begun = operation == Operation::Find && fault == Fault::F15SupersededByHuman;
            if !not_begun {
                self.handle = Some(self.world.begin(&order).await.expect("taken"));
                self.world.gate.pass(3);
            }
        }
        self.order = Some(order);
    }

    fn breaks(&self) {
        let fails = Becomes::Fails(json!({ "failureMessage": "denied" }));
        self.world.gate.state().becomes.insert(self.world.release("v1").to_string(), fails);
    }

    fn inject(&mut self, operation: Operation, fault: Fault) {
        let mutates = matches!(operation, Operation::Create | Operation::Stop);
        let (method, part) = match operation {
            Operation::Create if MANIFEST => (Method::POST, "/tasks"),
            Operation::Create => (Method::POST, "/pipelines/v2/"),
            Operation::Stop => (Method::PUT, "/cancel"),
            _ => (Method::GET, "/"),
        };
        let wire = match fault {
            // With the last look that an act begins with.
            Fault::F1ConnectRefused if mutates => {
                let last = match operation {
                    Operation::Create if MANIFEST => "/replicaSet",
                    Operation::Create => "/pipelineConfigs/",
                    _ => "/pipelines/",
                };
                return self.world.gate.fault(Method::GET, last, Wire::Close);
            }
            Fault::F1ConnectRefused => {
                self.world.provider = self.world.provider_at("http://127.0.0.1:1");
                return;
            }
            Fault::F2Tls => {
                let url = self.world.gate.url().replace("http://", "https://");
                self.world.provider = self.world.provider_at(&url);
                return;
            }
            Fault::F3TimeoutBefore => Wire::Hang,
            Fault::F4TimeoutAfter => Wire::HangAfter,
            Fault::F5Reset => Wire::LoseReply,
            Fault::F6TooMany => Wire::Refuse(429, "slowly"),
            Fault::F7FailsBefore => Wire::Refuse(500, "no"),
            Fault::F8FailsAfter => Wire::FailAfter(503),
            Fault::F9Refused => Wire::Refuse(403, "Access denied"),
            Fault::F10Malformed => Wire::Garble,
            Fault::F11OtherObject => Wire::Other,
            Fault::F12Trickle => Wire::Trickle,
            Fault::F13Twice => Wire::Twice,
            Fault::F18Redirect => Wire::Redirect,
            Fault::F19CredentialExpires => Wire::Refuse(401, "token is expired"),
            Fault::F14AcceptedThenFails => return self.breaks(),
            Fault::F15SupersededByHuman => {
                self.world.gate.state().takes = Duration::from_secs(5);
                self.world.gate.pass(30);
                self.world.gate.runs(DEPLOY, "v5");
                return self.world.gate.pass(30);
            }
            Fault::F16StaleReads if mutates => {
                self.world.gate.state().appears_after = Duration::from_secs(60);
                return;
            }
            Fault::F17FalseSuccess => {
                self.world.gate.state().undoes_nothing = true;
                return;
            }
            Fault::F16StaleReads => return,
        };
        // The call that an operation is about.
        self.world.gate.fault(method, part, wire);
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
