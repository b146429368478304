//! The fault matrix, filled for Helm. What goes over the wire is Helm's own: a fault meets the first thing that it writes, its record. Where
//! an operation is *stopped* in other providers, here one that nobody finishes is taken over.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the table names what is special; what is not is as for any read"
)]

mod helm_bed;
mod kube;
mod matrix;

use std::sync::OnceLock;

use helm_bed::{Bed as World, LONGEST, Made, QUARANTINE, WIRE, a_moment, rewrite, rollbacks};
use kube::{Broken, Cluster, Fault as Wire};
use matrix::{Bed, Cell, Fault, Operation, Outcome, answered, found, told};
use snapback::case::command::Progress;
use snapback::case::id::Handle;
use snapback::case::step::Order;

struct Helm {
    world: World,
    /// For what begins, looks for or follows work.
    order: Option<Order>,
    handle: Option<Handle>,
    /// Requests and effects by which the world was led to its moment.
    before: (usize, usize),
}

static MADE: OnceLock<Made> = OnceLock::new();

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_operation_under_every_fault() {
    let Some(world) = World::new("SNAPBACK_TEST_HELM4") else { return };
    assert!(MADE.set(Made::by(&world)).is_ok());
    matrix::hold::<Helm>(expected).await;
}

/// The table. Columns: what follows, records that were asked for, rollbacks that came to an end.
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

fn watching(fault: Fault) -> Outcome {
    match fault {
        Fault::F14AcceptedThenFails => Outcome::Failed,
        Fault::F15SupersededByHuman => Outcome::Superseded,
        other => reading(Operation::Watch, other),
    }
}

fn changing(fault: Fault) -> (Outcome, usize, usize) {
    match fault {
        Fault::F1ConnectRefused | Fault::F2Tls => (Outcome::NotNow, 0, 0),
        // Helm is ended at our deadline, and wrote nothing.
        Fault::F3TimeoutBefore => (Outcome::Failed, 1, 0),
        // The record is there and nothing came of it: it is looked for, and taken over.
        Fault::F4TimeoutAfter
        | Fault::F5Reset
        | Fault::F8FailsAfter
        | Fault::F10Malformed
        | Fault::F12Trickle => (Outcome::Unknown, 1, 0),
        // Its own client asks again what was turned away; nothing was done then.
        Fault::F6TooMany => (Outcome::Answered, 2, 1),
        Fault::F7FailsBefore | Fault::F18Redirect | Fault::F19CredentialExpires => (Outcome::NotNow, 1, 0),
        Fault::F9Refused => (Outcome::Refused, 1, 0),
        Fault::F14AcceptedThenFails => (Outcome::Failed, 1, 0),
        Fault::F15SupersededByHuman => (Outcome::PlanAgain, 0, 0),
        // The other one was first; nothing of ours was written.
        Fault::F16StaleReads => (Outcome::NotNow, 1, 0),
        Fault::F11OtherObject | Fault::F13Twice | Fault::F17FalseSuccess => (Outcome::Answered, 1, 1),
    }
}

impl Bed for Helm {
    async fn before(operation: Operation, fault: Fault) -> Helm {
        let world = World::of(MADE.get().expect("it was made")).expect("Helm was there");
        if operation == Operation::Stop {
            // Somebody's Helm died over it, long ago.
            rewrite(&world.cluster, 2, |record| record["info"]["status"] = "pending-upgrade".into());
            world.pass(LONGEST);
        }
        let mut bed = Helm { world, order: None, handle: None, before: (0, 0) };
        bed.lead_to(operation, fault).await;
        bed.inject(operation, fault).await;
        bed.before = bed.world_counted();
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
        self.world.pass(WIRE + QUARANTINE + 1);
        found(self.world.find(self.order.as_ref().expect("an order")).await)
    }

    fn counted(&self) -> (usize, usize) {
        let (requests, effects) = self.world_counted();
        (requests - self.before.0, effects - self.before.1)
    }
}

impl Helm {
    /// Records that Snapback's Helm asked for, and rollbacks that came to an end.
    fn world_counted(&self) -> (usize, usize) {
        let writes = self.world.cluster.writes();
        let asked = writes.iter().filter(|call| call.method == "POST" && call.path.contains("/secrets"));
        (asked.count(), ended(&self.world.cluster))
    }

    /// Leads the world to the moment before the operation.
    async fn lead_to(&mut self, operation: Operation, fault: Fault) {
        let order = self.world.way_back(2, 1).await;
        if matches!(operation, Operation::Find | Operation::Watch | Operation::Evidence) {
            if fault == Fault::F14AcceptedThenFails {
                self.breaks();
            }
            let not_begun = operation == Operation::Find && fault == Fault::F15SupersededByHuman;
            if !not_begun {
                self.handle = Some(self.world.begin(&order).await.expect("taken"));
                // On a busy machine Helm is still at it when it counts as begun: a fault on the wire is for us, not for Helm.
                // What never gets ready ends as the provider says, which is what is watched there.
                if fault != Fault::F14AcceptedThenFails {
                    self.comes_to_an_end().await;
                }
            }
        }
        self.order = Some(order);
    }

    /// Waits for the rollback's end in the cluster.
    async fn comes_to_an_end(&self) {
        for _ in 0..600 {
            if ended(&self.world.cluster) > 0 {
                return;
            }
            a_moment().await;
        }
        panic!("the rollback does not end within a minute: {:?}", self.world.helm.history());
    }

    fn breaks(&self) {
        self.world.cluster.break_image("shop:1", Broken::ImagePullBackOff);
    }

    async fn inject(&mut self, operation: Operation, fault: Fault) {
        let mutates = matches!(operation, Operation::Create | Operation::Stop);
        let (program, folder) =
            (self.world.helm.program.to_str().expect("text").to_owned(), self.world.helm.home.path());
        let elsewhere = |url: &str| {
            let path = folder.join("elsewhere");
            let own = self.world.cluster.https_url();
            let config = self.world.cluster.kubeconfig_in(kube::ADMIN, "shop").replace(&own, url);
            std::fs::write(&path, config).expect("written");
            self.world.provider_by(&program, &path)
        };
        let wire = match fault {
            Fault::F1ConnectRefused => {
                self.world.provider = elsewhere("https://127.0.0.1:1");
                return;
            }
            Fault::F2Tls => {
                let name = self.world.cluster.https_url().replace("127.0.0.1", "127.0.0.2");
                self.world.provider = elsewhere(&name);
                return;
            }
            Fault::F3TimeoutBefore => Wire::Hang,
            Fault::F4TimeoutAfter => Wire::HangAfter,
            Fault::F5Reset => Wire::LoseReply,
            Fault::F6TooMany => Wire::Refuse(429),
            Fault::F7FailsBefore => Wire::Refuse(500),
            Fault::F8FailsAfter => Wire::FailAfter(503),
            Fault::F9Refused => Wire::Say(403, "Forbidden", "secrets is forbidden"),
            Fault::F10Malformed => Wire::Garble,
            Fault::F11OtherObject => Wire::Other,
            Fault::F12Trickle => Wire::Trickle,
            Fault::F13Twice => Wire::Twice,
            Fault::F18Redirect => Wire::Redirect,
            Fault::F19CredentialExpires => Wire::Say(401, "Unauthorized", "Unauthorized"),
            Fault::F14AcceptedThenFails => return self.breaks(),
            Fault::F15SupersededByHuman => {
                rewrite(&self.world.cluster, 2, |record| record["info"]["status"] = "deployed".into());
                return tokio::task::block_in_place(|| self.world.helm.upgrades(&["image=shop:4"]));
            }
            // Between what we read and what Helm writes somebody takes its number.
            Fault::F16StaleReads if mutates => {
                return self.world.cluster.before("POST", "secrets", |cluster| {
                    let mut taken = cluster.object("secrets", "shop", "sh.helm.release.v1.web.v2");
                    taken["metadata"]["name"] = "sh.helm.release.v1.web.v3".into();
                    let metadata = taken["metadata"].as_object_mut().expect("a map");
                    metadata.remove("resourceVersion");
                    metadata.remove("uid");
                    metadata["labels"]["version"] = "3".into();
                    cluster.apply(taken);
                });
            }
            Fault::F16StaleReads | Fault::F17FalseSuccess => return,
        };
        let method = if mutates { "POST" } else { "GET" };
        self.world.cluster.fault(method, "secrets", wire);
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
            // Helm ended over it: a person says that it is looked for, and then it is taken over.
            Ok(Progress::NeedsHuman { .. }) => Outcome::Unknown,
            Ok(other) => panic!("an end: {other:?}"),
            Err(trouble) => told(&trouble),
        }
    }
}

/// Rollbacks that came to an end. A record that stays pending changed nothing that serves.
fn ended(cluster: &Cluster) -> usize {
    let open = cluster.objects("secrets", "shop");
    let pending = open.iter().filter(|secret| secret["metadata"]["labels"]["status"] == "pending-rollback");
    rollbacks(cluster) - pending.count()
}
