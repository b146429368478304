//! The fault matrix, filled for Kubernetes. A workload has one act: what is stopped on its way is written over like what is finished. A
//! Rollout's is aborted.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the table names what is special; what is not is as for any read"
)]

mod kube;
mod kubernetes_bed;
mod matrix;

use kube::{Broken, Fault as Wire};
use kubernetes_bed::{Bed as World, SURELY, alter, resource};
use matrix::{Bed, Cell, Fault, Operation, Outcome, answered, found, told};
use snapback::case::command::Progress;
use snapback::case::id::Handle;
use snapback::case::step::Order;
use snapback::execute::kubernetes::Kind;

/// A Deployment, or a Rollout, of which what is on its way is aborted.
struct Kubernetes<const ARGO: bool> {
    world: World,
    /// For what begins, looks for or follows work.
    order: Option<Order>,
    handle: Option<Handle>,
    /// Requests and effects by which the world was led to its moment.
    before: (usize, usize),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_operation_under_every_fault() {
    matrix::hold::<Kubernetes<false>>(expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_operation_of_a_rollout_under_every_fault() {
    matrix::hold::<Kubernetes<true>>(expected).await;
}

/// The table. Columns: what follows, requests that reached the API, effects.
fn expected(operation: Operation, fault: Fault) -> Option<Cell> {
    let cell = |outcome, requests, effects| Some(Cell { outcome, requests, effects });
    match operation {
        Operation::Describe | Operation::Propose | Operation::Evidence => {
            cell(reading(operation, fault), 0, 0)
        }
        Operation::Find => cell(looking(fault), 0, 0),
        Operation::Watch => cell(watching(fault), 0, 0),
        Operation::Create | Operation::Stop => {
            let (outcome, requests, effects) = changing(fault);
            cell(outcome, requests, effects)
        }
    }
}

/// A read that could not be made is no fact: "busy" and "unclear" are both asked again.
fn reading(operation: Operation, fault: Fault) -> Outcome {
    match fault {
        Fault::F1ConnectRefused | Fault::F2Tls | Fault::F6TooMany | Fault::F19CredentialExpires => {
            Outcome::NotNow
        }
        Fault::F3TimeoutBefore
        | Fault::F4TimeoutAfter
        | Fault::F5Reset
        | Fault::F7FailsBefore
        | Fault::F8FailsAfter
        | Fault::F10Malformed
        | Fault::F11OtherObject
        | Fault::F12Trickle
        | Fault::F18Redirect => Outcome::Unknown,
        Fault::F9Refused => Outcome::Refused,
        // What the plan would go back from does not run any more.
        Fault::F15SupersededByHuman if operation == Operation::Find => Outcome::PlanAgain,
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

fn watching(fault: Fault) -> Outcome {
    match fault {
        Fault::F14AcceptedThenFails => Outcome::Failed,
        Fault::F15SupersededByHuman => Outcome::Superseded,
        // The status of the rollout before is no success of this one: it is followed to its own end.
        other => reading(Operation::Watch, other),
    }
}

fn changing(fault: Fault) -> (Outcome, usize, usize) {
    match fault {
        Fault::F1ConnectRefused | Fault::F2Tls => (Outcome::NotNow, 0, 0),
        Fault::F3TimeoutBefore | Fault::F7FailsBefore | Fault::F18Redirect => (Outcome::Unknown, 1, 0),
        Fault::F4TimeoutAfter
        | Fault::F5Reset
        | Fault::F8FailsAfter
        | Fault::F10Malformed
        | Fault::F12Trickle => (Outcome::Unknown, 1, 1),
        // Whatever the answer holds, it is a success: what became of it is watched.
        Fault::F11OtherObject => (Outcome::Answered, 1, 1),
        Fault::F6TooMany | Fault::F19CredentialExpires => (Outcome::NotNow, 1, 0),
        Fault::F9Refused => (Outcome::Refused, 1, 0),
        // The second copy meets another generation.
        Fault::F13Twice => (Outcome::Answered, 1, 1),
        Fault::F14AcceptedThenFails => (Outcome::Failed, 1, 1),
        Fault::F15SupersededByHuman => (Outcome::PlanAgain, 0, 0),
        Fault::F16StaleReads => (Outcome::NotNow, 1, 0),
        Fault::F17FalseSuccess => (Outcome::Answered, 1, 1),
    }
}

impl<const ARGO: bool> Bed for Kubernetes<ARGO> {
    async fn before(operation: Operation, fault: Fault) -> Kubernetes<ARGO> {
        let world = match operation {
            Operation::Stop => World::going_out(Self::KIND),
            _ => World::new(Self::KIND),
        };
        if ARGO && operation == Operation::Stop {
            // Its canary is up, and as many of before are gone.
            world.pass(3);
        }
        let mut bed = Kubernetes { world, order: None, handle: None, before: (0, 0) };
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
        self.world.pass(SURELY.unsigned_abs());
        found(self.world.find(self.order.as_ref().expect("an order")).await)
    }

    fn counted(&self) -> (usize, usize) {
        let (requests, effects) = self.world_counted();
        (requests - self.before.0, effects - self.before.1)
    }
}

impl<const ARGO: bool> Kubernetes<ARGO> {
    const KIND: Kind = if ARGO { Kind::Rollout } else { Kind::Deployment };

    fn world_counted(&self) -> (usize, usize) {
        (self.world.mutations(), self.world.effects().len())
    }

    /// Leads the world to the moment before the operation.
    async fn lead_to(&mut self, operation: Operation, fault: Fault) {
        let (from, to) = if operation == Operation::Stop { (3, 2) } else { (2, 1) };
        let order = self.world.way_back(from, to).await;
        if matches!(operation, Operation::Find | Operation::Watch | Operation::Evidence) {
            if fault == Fault::F14AcceptedThenFails {
                self.breaks("shop:1");
            }
            let not_begun = operation == Operation::Find && fault == Fault::F15SupersededByHuman;
            if !not_begun {
                self.handle = Some(self.world.begin(&order).await.expect("taken"));
                self.world.pass(3);
            }
        }
        self.order = Some(order);
    }

    fn breaks(&self, image: &str) {
        self.world.cluster.break_image(image, Broken::ImagePullBackOff);
    }

    fn inject(&mut self, operation: Operation, fault: Fault) {
        let mutates = matches!(operation, Operation::Create | Operation::Stop);
        let wire = match fault {
            Fault::F1ConnectRefused if mutates => {
                return self.world.cluster.fault("GET", "replicasets", Wire::Close);
            }
            Fault::F1ConnectRefused => {
                self.world.provider = self.world.provider_at("http://127.0.0.1:1");
                return;
            }
            Fault::F2Tls => {
                let url = self.world.cluster.url().replace("http://", "https://");
                self.world.provider = self.world.provider_at(&url);
                return;
            }
            Fault::F3TimeoutBefore => Wire::Hang,
            Fault::F4TimeoutAfter => Wire::HangAfter,
            Fault::F5Reset => Wire::LoseReply,
            Fault::F6TooMany => Wire::Refuse(429),
            Fault::F7FailsBefore => Wire::Refuse(500),
            Fault::F8FailsAfter => Wire::FailAfter(503),
            Fault::F9Refused => Wire::Say(400, "BadRequest", "no"),
            Fault::F10Malformed => Wire::Garble,
            Fault::F11OtherObject => Wire::Other,
            Fault::F12Trickle => Wire::Trickle,
            Fault::F13Twice => Wire::Twice,
            Fault::F18Redirect => Wire::Redirect,
            Fault::F19CredentialExpires => Wire::Say(401, "Unauthorized", "Unauthorized"),
            Fault::F14AcceptedThenFails => {
                self.breaks(if operation == Operation::Stop { "shop:2" } else { "shop:1" });
                return;
            }
            Fault::F15SupersededByHuman => return self.world.puts_out(4),
            // Between what we read and what we write somebody changes it.
            Fault::F16StaleReads if mutates => {
                return self.world.cluster.before("PATCH", resource(Self::KIND), |cluster| {
                    alter(cluster, Self::KIND, |object| object["spec"]["replicas"] = 5.into());
                });
            }
            Fault::F16StaleReads | Fault::F17FalseSuccess => return,
        };
        // The call that an operation is about.
        let method = if mutates { "PATCH" } else { "GET" };
        self.world.cluster.fault(method, &format!("/{}/checkout", resource(Self::KIND)), wire);
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
            Ok(Progress::Serving(_)) => Outcome::NotServing,
            Ok(Progress::Failed(_)) => Outcome::Failed,
            Ok(Progress::Superseded(_)) => Outcome::Superseded,
            Ok(other) => panic!("an end: {other:?}"),
            Err(trouble) => told(&trouble),
        }
    }
}
