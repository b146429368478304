//! The fault matrix, filled for GitHub Actions: the dispatch of the rollback workflow, and the end of a run that is under way. What stands
//! after them, the deployment that is written and what is said of it, has matrices of its own beside.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the table names what is special; what is not is as for any read"
)]

mod github_bed;
mod hub;
mod matrix;
mod pretend;

use github_bed::{Bed as World, SURELY};
use hyper::Method;
use matrix::{Bed, Cell, Fault, Operation, Outcome, answered, found, told};
use pretend::Fault as Wire;
use snapback::case::command::Progress;
use snapback::case::id::{Duration, Handle};
use snapback::case::step::Order;

/// What is played.
const DISPATCH: u8 = 0;
const RECORD: u8 = 1;
const CONFIRM: u8 = 2;

/// One act of a plan.
struct GitHub<const ACT: u8> {
    world: World,
    /// For what begins, looks for or follows work.
    order: Option<Order>,
    handle: Option<Handle>,
    /// Requests and effects by which the world was led to its moment.
    before: (usize, usize),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_operation_under_every_fault() {
    matrix::hold::<GitHub<DISPATCH>>(|operation, fault| expected(operation, fault, DISPATCH)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writing_the_deployment_under_every_fault() {
    matrix::hold::<GitHub<RECORD>>(|operation, fault| expected(operation, fault, RECORD)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn saying_that_it_succeeded_under_every_fault() {
    matrix::hold::<GitHub<CONFIRM>>(|operation, fault| expected(operation, fault, CONFIRM)).await;
}

/// The table. Columns: what follows, requests that reached the API, effects.
fn expected(operation: Operation, fault: Fault, act: u8) -> Option<Cell> {
    let cell = |outcome, requests, effects| Some(Cell { outcome, requests, effects });
    match operation {
        Operation::Describe | Operation::Evidence => cell(reading(fault), 0, 0),
        Operation::Propose => cell(proposing(fault), 0, 0),
        Operation::Find => cell(looking(fault, act), 0, 0),
        Operation::Watch => cell(watching(fault, act), 0, 0),
        Operation::Create | Operation::Stop => {
            let (outcome, requests, effects) = changing(operation, fault, act);
            cell(outcome, requests, effects)
        }
    }
}

/// A read that could not be made is no fact: "busy" and "unclear" are both asked again.
fn reading(fault: Fault) -> Outcome {
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
        // A token that somebody made is renewed by nobody here.
        Fault::F9Refused | Fault::F19CredentialExpires => Outcome::Refused,
        Fault::F13Twice
        | Fault::F14AcceptedThenFails
        | Fault::F15SupersededByHuman
        | Fault::F16StaleReads
        | Fault::F17FalseSuccess => Outcome::Answered,
    }
}

fn proposing(fault: Fault) -> Outcome {
    match fault {
        // What the plan would go back from does not serve any more.
        Fault::F15SupersededByHuman => Outcome::PlanAgain,
        other => reading(other),
    }
}

fn looking(fault: Fault, act: u8) -> Outcome {
    match fault {
        Fault::F13Twice | Fault::F14AcceptedThenFails | Fault::F17FalseSuccess => Outcome::Found,
        // A run shows some seconds later; what was written shows at once.
        Fault::F16StaleReads if act == DISPATCH => Outcome::TooEarly,
        Fault::F16StaleReads => Outcome::Found,
        // Nothing under our mark, and what left late may still show.
        Fault::F15SupersededByHuman => Outcome::TooEarly,
        other => reading(other),
    }
}

fn watching(fault: Fault, act: u8) -> Outcome {
    match (fault, act) {
        // What is written cannot fail later.
        (Fault::F14AcceptedThenFails, DISPATCH) => Outcome::Failed,
        (Fault::F15SupersededByHuman, DISPATCH | CONFIRM) => Outcome::Superseded,
        // It calls itself a success, and did nothing: a person is asked.
        (Fault::F17FalseSuccess, DISPATCH) => Outcome::NotServing,
        (other, _) => reading(other),
    }
}

fn changing(operation: Operation, fault: Fault, act: u8) -> (Outcome, usize, usize) {
    let stops = operation == Operation::Stop && act == DISPATCH;
    let writes = act != DISPATCH;
    match fault {
        Fault::F1ConnectRefused | Fault::F2Tls => (Outcome::NotNow, 0, 0),
        Fault::F3TimeoutBefore | Fault::F7FailsBefore | Fault::F18Redirect => (Outcome::Unknown, 1, 0),
        // Its answer says nothing, whatever it holds.
        Fault::F11OtherObject if stops => (Outcome::Answered, 1, 1),
        Fault::F4TimeoutAfter
        | Fault::F5Reset
        | Fault::F8FailsAfter
        | Fault::F10Malformed
        | Fault::F11OtherObject
        | Fault::F12Trickle => (Outcome::Unknown, 1, 1),
        Fault::F6TooMany => (Outcome::NotNow, 1, 0),
        // The service is back all the same: a person settles it.
        Fault::F9Refused | Fault::F19CredentialExpires if writes => (Outcome::NotServing, 1, 0),
        Fault::F9Refused | Fault::F19CredentialExpires => (Outcome::Refused, 1, 0),
        // Each copy is a run of its own, for the same commit; each copy of a deployment or a status says the same of it.
        Fault::F13Twice if !stops => (Outcome::Answered, 1, 2),
        Fault::F14AcceptedThenFails if act == DISPATCH && !stops => (Outcome::Failed, 1, 1),
        Fault::F17FalseSuccess if act == DISPATCH && !stops => (Outcome::NotServing, 1, 1),
        Fault::F15SupersededByHuman => (Outcome::PlanAgain, 0, 0),
        // A run that is not shown is not ended.
        Fault::F16StaleReads if stops => (Outcome::NotNow, 0, 0),
        Fault::F13Twice | Fault::F14AcceptedThenFails | Fault::F16StaleReads | Fault::F17FalseSuccess => {
            (Outcome::Answered, 1, 1)
        }
    }
}

impl<const ACT: u8> Bed for GitHub<ACT> {
    async fn before(operation: Operation, fault: Fault) -> GitHub<ACT> {
        let stops = operation == Operation::Stop && ACT == DISPATCH;
        let world = if stops { World::going_out() } else { World::new() };
        world.hub.state().queue_max = true;
        if stops {
            // It does not end by itself.
            world.hub.state().takes = Duration::from_hours(1);
        }
        let mut bed = GitHub { world, order: None, handle: None, before: (0, 0) };
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
        self.world.hub.pass(SURELY);
        found(self.world.find(self.order.as_ref().expect("an order")).await)
    }

    fn counted(&self) -> (usize, usize) {
        let (requests, effects) = self.world_counted();
        (requests - self.before.0, effects - self.before.1)
    }
}

impl<const ACT: u8> GitHub<ACT> {
    fn world_counted(&self) -> (usize, usize) {
        (self.world.hub.writes(), self.world.hub.effects().len())
    }

    /// Leads the world to the moment before the operation.
    async fn lead_to(&mut self, operation: Operation, fault: Fault) {
        let stops = operation == Operation::Stop && ACT == DISPATCH;
        let mut orders =
            if stops { self.world.way_back(3, 2).await } else { self.world.way_back(2, 1).await };
        if ACT != DISPATCH && operation != Operation::Propose {
            self.world.goes(&orders[..usize::from(ACT)]).await;
        }
        let order = orders.swap_remove(usize::from(ACT));
        if matches!(operation, Operation::Find | Operation::Watch | Operation::Evidence) {
            if ACT == DISPATCH {
                self.behaves(fault);
            }
            let not_begun = operation == Operation::Find && fault == Fault::F15SupersededByHuman;
            if !not_begun {
                self.handle = Some(self.world.begin(&order).await.expect("taken"));
            }
        }
        self.order = Some(order);
    }

    /// How the workflow, or GitHub, goes wrong.
    fn behaves(&self, fault: Fault) {
        let mut state = self.world.hub.state();
        match fault {
            Fault::F14AcceptedThenFails => {
                state.fails.insert(1, "put it out");
            }
            Fault::F17FalseSuccess => state.written.does_nothing = true,
            Fault::F16StaleReads => state.shown_after = Duration::from_secs(20),
            _ => {}
        }
    }

    fn inject(&mut self, operation: Operation, fault: Fault) {
        let mutates = matches!(operation, Operation::Create | Operation::Stop);
        let method = if mutates { Method::POST } else { Method::GET };
        // The call that an operation is about.
        let part = match operation {
            Operation::Create | Operation::Stop if ACT == RECORD => "/deployments",
            Operation::Create | Operation::Stop if ACT == CONFIRM => "/statuses",
            Operation::Stop => "/cancel",
            Operation::Create => "/dispatches",
            _ => "/repos/acme/checkout",
        };
        let wire = match fault {
            // After the reading that an act begins with: for the dispatch and the end of a run after the last of it.
            Fault::F1ConnectRefused if mutates => {
                let last = match (operation, ACT) {
                    (Operation::Stop, DISPATCH) => "/actions/runs/",
                    (_, DISPATCH) => "/branches/",
                    _ => "/runs",
                };
                return self.world.hub.fault(Method::GET, last, Wire::Close);
            }
            Fault::F1ConnectRefused => {
                self.world.provider = self.world.provider_at("http://127.0.0.1:1");
                return;
            }
            Fault::F2Tls => {
                let url = self.world.hub.url().replace("http://", "https://");
                self.world.provider = self.world.provider_at(&url);
                return;
            }
            Fault::F3TimeoutBefore => Wire::Hang,
            Fault::F4TimeoutAfter => Wire::HangAfter,
            Fault::F5Reset => Wire::LoseReply,
            Fault::F6TooMany => Wire::Refuse(429, "slowly"),
            Fault::F7FailsBefore => Wire::Refuse(500, "no"),
            Fault::F8FailsAfter => Wire::FailAfter(503),
            Fault::F9Refused => Wire::Refuse(403, "Resource not accessible by integration"),
            Fault::F10Malformed => Wire::Garble,
            Fault::F11OtherObject => Wire::Other,
            Fault::F12Trickle => Wire::Trickle,
            Fault::F13Twice => Wire::Twice,
            Fault::F18Redirect => Wire::Redirect,
            Fault::F19CredentialExpires => Wire::Refuse(401, "Bad credentials"),
            Fault::F14AcceptedThenFails | Fault::F16StaleReads | Fault::F17FalseSuccess => {
                if ACT == DISPATCH {
                    self.behaves(fault);
                }
                return;
            }
            Fault::F15SupersededByHuman => {
                self.world.hub.state().takes = Duration::from_secs(10);
                self.world.hub.pass(30);
                self.world.hub.deploys(5);
                return self.world.hub.pass(30);
            }
        };
        self.world.hub.fault(method, part, wire);
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
            Ok(Progress::Serving(_) | Progress::NeedsHuman { .. }) => Outcome::NotServing,
            Ok(Progress::Failed(_)) => Outcome::Failed,
            Ok(Progress::Superseded(_)) => Outcome::Superseded,
            Ok(Progress::Running(told)) => panic!("an end: {told}"),
            Err(trouble) => told(&trouble),
        }
    }
}
