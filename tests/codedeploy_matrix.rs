//! The fault matrix, filled for CodeDeploy.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the table names what is special; what is not is as for any read"
)]

mod aws;
mod codedeploy_bed;
mod matrix;

use aws::Wire;
use aws::codedeploy::Ends;
use codedeploy_bed::{Bed as World, Platform, SURELY, provider};
use matrix::{Bed, Cell, Fault, Operation, Outcome, answered, found, told};
use snapback::case::command::Progress;
use snapback::case::id::{Duration, Handle};
use snapback::case::step::Order;

/// ECS: what serves there can be read apart from what CodeDeploy says.
const PLATFORM: Platform = Platform::Ecs;

struct CodeDeploy {
    world: World,
    /// For what begins, looks for or follows work.
    order: Option<Order>,
    handle: Option<Handle>,
    /// Requests and effects by which the world was led to its moment.
    before: (usize, usize),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_operation_under_every_fault() {
    matrix::hold::<CodeDeploy>(expected).await;
}

/// The table. Columns: what follows, requests that reached the service, effects.
fn expected(operation: Operation, fault: Fault) -> Option<Cell> {
    let cell = |outcome, requests, effects| Some(Cell { outcome, requests, effects });
    match operation {
        Operation::Describe | Operation::Propose | Operation::Evidence => {
            cell(reading(operation, fault), 0, 0)
        }
        Operation::Find => cell(looking(fault), 0, 0),
        Operation::Watch => cell(watching(fault), 0, 0),
        Operation::Create | Operation::Stop => {
            let (outcome, requests, effects) = changing(operation, fault);
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
        | Fault::F12Trickle
        | Fault::F18Redirect => Outcome::Unknown,
        Fault::F9Refused => Outcome::Refused,
        // Targets of another shape are none to show.
        Fault::F11OtherObject if operation == Operation::Evidence => Outcome::Answered,
        Fault::F11OtherObject => Outcome::Unknown,
        // Somebody's deployment under way is waited for.
        Fault::F15SupersededByHuman if operation == Operation::Propose => Outcome::NotNow,
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
        Fault::F15SupersededByHuman => Outcome::PlanAgain,
        Fault::F16StaleReads => Outcome::TooEarly,
        other => reading(Operation::Find, other),
    }
}

fn watching(fault: Fault) -> Outcome {
    match fault {
        Fault::F11OtherObject => Outcome::Unknown,
        Fault::F14AcceptedThenFails => Outcome::Failed,
        Fault::F15SupersededByHuman => Outcome::Superseded,
        Fault::F17FalseSuccess => Outcome::NotServing,
        other => reading(Operation::Watch, other),
    }
}

fn changing(operation: Operation, fault: Fault) -> (Outcome, usize, usize) {
    let stop = operation == Operation::Stop;
    match fault {
        Fault::F1ConnectRefused | Fault::F2Tls => (Outcome::NotNow, 0, 0),
        Fault::F3TimeoutBefore | Fault::F7FailsBefore | Fault::F18Redirect => (Outcome::Unknown, 1, 0),
        Fault::F4TimeoutAfter
        | Fault::F5Reset
        | Fault::F8FailsAfter
        | Fault::F10Malformed
        | Fault::F11OtherObject
        | Fault::F12Trickle => (Outcome::Unknown, 1, 1),
        Fault::F6TooMany | Fault::F19CredentialExpires => (Outcome::NotNow, 1, 0),
        Fault::F9Refused => (Outcome::Refused, 1, 0),
        // The group takes one at a time, and a second stop changes nothing.
        Fault::F13Twice => (Outcome::Answered, 1, 1),
        // A stop in time leaves the target serving, whatever becomes of CodeDeploy's own deployment.
        Fault::F14AcceptedThenFails if stop => (Outcome::Answered, 1, 1),
        Fault::F14AcceptedThenFails => (Outcome::Failed, 1, 1),
        Fault::F15SupersededByHuman => (Outcome::PlanAgain, 0, 0),
        // What our reading does not show yet, the service refuses by its own lock.
        Fault::F16StaleReads if !stop => (Outcome::NotNow, 1, 0),
        Fault::F16StaleReads => (Outcome::Answered, 1, 1),
        Fault::F17FalseSuccess => (Outcome::NotServing, 1, 1),
    }
}

impl Bed for CodeDeploy {
    async fn before(operation: Operation, fault: Fault) -> CodeDeploy {
        let world = match operation {
            Operation::Stop => World::going_out(PLATFORM),
            _ => World::new(PLATFORM),
        };
        let mut bed = CodeDeploy { world, order: None, handle: None, before: (0, 0) };
        bed.lead_to(operation, fault).await;
        bed.before = bed.world_counted();
        bed.inject(operation, fault);
        bed
    }

    async fn carry_out(&mut self, operation: Operation) -> Outcome {
        match operation {
            Operation::Describe => answered(self.world.describe().await.map(drop)),
            Operation::Propose => answered(self.world.propose(2, 1).await.map(drop)),
            Operation::Create | Operation::Stop => self.begin().await,
            Operation::Find => found(self.world.find(self.order.as_ref().expect("an order")).await),
            Operation::Watch => self.follow().await,
            Operation::Evidence => answered(
                self.world.provider.evidence(&self.world.target(), self.handle.as_ref()).await.map(drop),
            ),
        }
    }

    async fn look_after(&mut self, _: Operation) -> Outcome {
        self.world.aws.pass(SURELY);
        found(self.world.find(self.order.as_ref().expect("an order")).await)
    }

    fn counted(&self) -> (usize, usize) {
        let (requests, effects) = self.world_counted();
        (requests - self.before.0, effects - self.before.1)
    }
}

impl CodeDeploy {
    /// Requests that change something, and effects; CodeDeploy's own way back after a stop is the stop's.
    fn world_counted(&self) -> (usize, usize) {
        let effects = self.world.effects();
        (self.world.aws.mutations(), effects.iter().filter(|effect| !effect.starts_with("rollback")).count())
    }

    /// Leads the world to the moment before the operation.
    async fn lead_to(&mut self, operation: Operation, fault: Fault) {
        match operation {
            Operation::Describe | Operation::Propose => {}
            Operation::Create => self.order = Some(self.world.way_back(2, 1).await),
            Operation::Stop => self.order = Some(self.world.way_back(3, 2).await),
            Operation::Find | Operation::Watch | Operation::Evidence => {
                let order = self.world.way_back(2, 1).await;
                if fault == Fault::F14AcceptedThenFails {
                    self.end_next(Ends::Fails("HEALTH_CONSTRAINTS", "Install"));
                }
                if fault == Fault::F17FalseSuccess {
                    self.end_next(Ends::OnlySaysSo);
                }
                let not_begun = operation == Operation::Find && fault == Fault::F15SupersededByHuman;
                if !not_begun {
                    self.handle = Some(self.world.begin(&order).await.expect("taken"));
                    self.world.aws.pass(3);
                }
                self.order = Some(order);
            }
        }
    }

    fn end_next(&self, ends: Ends) {
        self.world.group(|group| group.next_ends = vec![ends]);
    }

    fn inject(&mut self, operation: Operation, fault: Fault) {
        let wire = match fault {
            Fault::F1ConnectRefused => return self.close_before(operation),
            Fault::F2Tls => {
                let url = self.world.aws.url().replace("http://", "https://");
                self.world.provider = provider(&self.world.aws, &url);
                return;
            }
            Fault::F3TimeoutBefore => Wire::HangsBefore,
            Fault::F4TimeoutAfter => Wire::HangsAfter,
            Fault::F5Reset => Wire::ResetAfter,
            Fault::F6TooMany => Wire::TooMany,
            Fault::F7FailsBefore => Wire::FailsBefore,
            Fault::F8FailsAfter => Wire::FailsAfter,
            Fault::F9Refused => Wire::Refuses("InvalidParameterException"),
            Fault::F10Malformed => Wire::Garbled,
            Fault::F11OtherObject => Wire::OtherObject,
            Fault::F12Trickle => Wire::Trickles,
            Fault::F13Twice => Wire::Twice,
            Fault::F18Redirect => Wire::Redirects,
            Fault::F19CredentialExpires => Wire::Expired,
            Fault::F14AcceptedThenFails
            | Fault::F15SupersededByHuman
            | Fault::F16StaleReads
            | Fault::F17FalseSuccess => return self.change_the_world(operation, fault),
        };
        self.world.aws.fault(asks(operation), wire);
    }

    /// Nobody listens when the request is to leave.
    fn close_before(&mut self, operation: Operation) {
        match operation {
            Operation::Create => self.world.aws.fault("DescribeServices", Wire::ClosesAfter),
            Operation::Stop => self.world.aws.fault("GetDeployment", Wire::ClosesAfter),
            _ => self.world.provider = provider(&self.world.aws, "http://127.0.0.1:1"),
        }
    }

    fn change_the_world(&mut self, operation: Operation, fault: Fault) {
        match (fault, operation) {
            (Fault::F14AcceptedThenFails, Operation::Create) => {
                self.end_next(Ends::Fails("HEALTH_CONSTRAINTS", "Install"));
            }
            // The stop is taken, and CodeDeploy's own way back fails.
            (Fault::F14AcceptedThenFails, Operation::Stop) => {
                self.end_next(Ends::Fails("HEALTH_CONSTRAINTS", "Install"));
            }
            (Fault::F17FalseSuccess, Operation::Create) => self.end_next(Ends::OnlySaysSo),
            // CodeDeploy's own way back says that it is done, and something else serves.
            (Fault::F17FalseSuccess, Operation::Stop) => {
                self.end_next(Ends::OnlySaysSo);
                self.world.aws.state().behind.services.insert("checkout".into(), "checkout:9".into());
            }
            (Fault::F15SupersededByHuman, Operation::Watch) => self.somebody_stops_ours(),
            // It finished before anybody could stop it.
            (Fault::F15SupersededByHuman, Operation::Stop) => self.world.aws.pass(120),
            (Fault::F15SupersededByHuman, Operation::Find) => {
                self.world.puts_out(4, 100);
                self.world.aws.pass(SURELY);
            }
            (Fault::F15SupersededByHuman, _) => _ = self.world.puts_out(4, 1),
            (Fault::F16StaleReads, Operation::Create) => {
                let mut state = self.world.aws.state();
                state.list_delay = Duration::from_secs(50);
                state.stale_group = true;
                drop(state);
                self.world.puts_out(4, 1);
            }
            (Fault::F16StaleReads, _) => {
                let mut state = self.world.aws.state();
                state.list_delay = Duration::from_secs(50);
                state.stale_group = operation == Operation::Find;
            }
            _ => {}
        }
    }

    fn somebody_stops_ours(&self) {
        let mut state = self.world.aws.state();
        let id = state.marked()[0].id.clone();
        let soon = self.world.aws.now() + Duration::from_secs(1);
        state.deployments.get_mut(&id).expect("ours").stop_at = Some((soon, false));
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

/// The call that an operation is about.
fn asks(operation: Operation) -> &'static str {
    match operation {
        Operation::Describe => "GetDeploymentGroup",
        Operation::Propose | Operation::Find => "ListDeployments",
        Operation::Create => "CreateDeployment",
        Operation::Stop => "StopDeployment",
        Operation::Watch => "GetDeployment",
        Operation::Evidence => "BatchGetDeploymentTargets",
    }
}
