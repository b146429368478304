//! The fault matrix, filled for deployers of the user's own: over HTTP, and by a program that hands each question on. There is one act:
//! what is still going out is rolled back like what is finished.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the table names what is special; what is not is as for any read"
)]

mod matrix;
mod own_bed;
mod own_pretend;
mod pretend;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use hyper::Method;
use matrix::{Bed, Cell, Fault, Operation, Outcome, answered, found, told};
use own_bed::{MARK, service};
use own_pretend::Pretend;
use pretend::Fault as Wire;
use snapback::case::command::Progress;
use snapback::case::id::{CaseId, Duration, Handle, Mark, StepNo, Timestamp};
use snapback::case::permit::Permit;
use snapback::case::step::{Doer, Order};
use snapback::execute::own::{Own, Settings, Site, Way};
use snapback::execute::{Provider, Target};

/// A permit's deadline, the longest call and the quarantine.
const SURELY: i64 = 10 + 6 + 60 + 1;
/// Hands each question on, and ends as the contract says of a program.
const HANDS_ON: &str = r#"
out=$(mktemp) && trap 'rm -f "$out"' EXIT
status=$(curl --silent --noproxy '*' --max-time 12 --output "$out" --write-out '%{http_code}' --data-binary @- "$0") || exit 1
case $status in
  2??) cat "$out" ;;
  429) exit 75 ;;
  401 | 403) exit 77 ;;
  *) exit 1 ;;
esac
"#;

struct Deployer<const PROGRAM: bool> {
    deployer: Arc<Pretend>,
    site: Site,
    ahead: Arc<AtomicI64>,
    /// For what begins, looks for or follows work.
    order: Option<Order>,
    handle: Option<Handle>,
    /// Requests and effects by which the world was led to its moment.
    before: (usize, usize),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_operation_under_every_fault() {
    matrix::hold::<Deployer<false>>(|operation, fault| expected(operation, fault, false)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_operation_of_a_program_under_every_fault() {
    if std::process::Command::new("curl").arg("--version").output().is_err() {
        #[expect(clippy::disallowed_methods, reason = "scripts/test does not allow a tool to be missing")]
        let strict = std::env::var_os("SNAPBACK_TEST_STRICT").is_some();
        assert!(!strict, "curl is not there");
        eprintln!("left out: curl is not there, so the matrix of a program is not played");
        return;
    }
    matrix::hold::<Deployer<true>>(|operation, fault| expected(operation, fault, true)).await;
}

/// The table. Columns: what follows, rollbacks that were asked for, rollbacks that were taken.
fn expected(operation: Operation, fault: Fault, program: bool) -> Option<Cell> {
    let cell = |outcome, requests, effects| Some(Cell { outcome, requests, effects });
    match operation {
        // It shows nothing beside its answers.
        Operation::Evidence => cell(Outcome::Answered, 0, 0),
        Operation::Describe | Operation::Propose => cell(reading(operation, fault), 0, 0),
        Operation::Find => cell(looking(fault), 0, 0),
        Operation::Watch => cell(watching(fault), 0, 0),
        Operation::Create | Operation::Stop => {
            let (outcome, requests, effects) = changing(operation, fault, program);
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
        | Fault::F12Trickle
        | Fault::F18Redirect
        | Fault::F11OtherObject => Outcome::Unknown,
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

fn watching(fault: Fault) -> Outcome {
    match fault {
        Fault::F14AcceptedThenFails => Outcome::Failed,
        Fault::F15SupersededByHuman => Outcome::Superseded,
        Fault::F17FalseSuccess => Outcome::NotServing,
        other => reading(Operation::Watch, other),
    }
}

fn changing(operation: Operation, fault: Fault, program: bool) -> (Outcome, usize, usize) {
    match fault {
        Fault::F1ConnectRefused | Fault::F2Tls => (Outcome::NotNow, 0, 0),
        // A program that does not end is left to itself, and asked for by its key.
        Fault::F4TimeoutAfter | Fault::F12Trickle if program => (Outcome::Answered, 1, 1),
        Fault::F3TimeoutBefore | Fault::F7FailsBefore | Fault::F18Redirect => (Outcome::Unknown, 1, 0),
        Fault::F4TimeoutAfter
        | Fault::F5Reset
        | Fault::F8FailsAfter
        | Fault::F10Malformed
        | Fault::F11OtherObject
        | Fault::F12Trickle => (Outcome::Unknown, 1, 1),
        Fault::F6TooMany => (Outcome::NotNow, 1, 0),
        Fault::F9Refused | Fault::F19CredentialExpires => (Outcome::Refused, 1, 0),
        Fault::F14AcceptedThenFails => (Outcome::Failed, 1, 1),
        Fault::F15SupersededByHuman => (Outcome::PlanAgain, 0, 0),
        // The deployer looks itself: what serves was read a moment before.
        Fault::F16StaleReads if operation == Operation::Create => (Outcome::PlanAgain, 1, 0),
        // What was going out still is, whatever it says.
        Fault::F17FalseSuccess if operation == Operation::Stop => (Outcome::Unknown, 1, 1),
        Fault::F17FalseSuccess => (Outcome::NotServing, 1, 1),
        Fault::F13Twice | Fault::F16StaleReads => (Outcome::Answered, 1, 1),
    }
}

impl<const PROGRAM: bool> Bed for Deployer<PROGRAM> {
    async fn before(operation: Operation, fault: Fault) -> Deployer<PROGRAM> {
        let deployer = Pretend::start();
        let site = place::<PROGRAM>(&deployer.wire.url());
        let mut bed =
            Deployer { deployer, site, ahead: Arc::default(), order: None, handle: None, before: (0, 0) };
        bed.lead_to(operation, fault).await;
        bed.before = bed.deployer.counted();
        bed.inject(operation, fault);
        bed
    }

    async fn carry_out(&mut self, operation: Operation) -> Outcome {
        let provider = self.provider();
        match operation {
            Operation::Describe => answered(provider.describe(&self.target(), start()).await.map(drop)),
            Operation::Propose => {
                let order = self.order.as_ref().expect("an order");
                answered(provider.propose(&self.target(), &order.expected, &order.to).await.map(drop))
            }
            Operation::Create | Operation::Stop => {
                let order = self.order.clone().expect("an order");
                let permit = Permit::committed(order, self.now() + Duration::from_secs(10));
                match provider.begin(permit).await {
                    Ok(handle) => self.follow(&handle).await,
                    Err(trouble) => told(&trouble),
                }
            }
            Operation::Find => found(provider.find(self.order.as_ref().expect("an order")).await),
            Operation::Watch => self.follow(&self.handle.clone().expect("a handle")).await,
            Operation::Evidence => {
                answered(provider.evidence(&self.target(), self.handle.as_ref()).await.map(drop))
            }
        }
    }

    async fn look_after(&mut self, _: Operation) -> Outcome {
        self.ahead.fetch_add(SURELY, Ordering::SeqCst);
        found(self.provider().find(self.order.as_ref().expect("an order")).await)
    }

    fn counted(&self) -> (usize, usize) {
        let (requests, effects) = self.deployer.counted();
        (requests - self.before.0, effects - self.before.1)
    }
}

impl<const PROGRAM: bool> Deployer<PROGRAM> {
    fn now(&self) -> Timestamp {
        start() + Duration::from_secs(self.ahead.load(Ordering::SeqCst))
    }

    fn provider(&self) -> Provider {
        let way = if PROGRAM {
            Way::Command { environment: Vec::new(), timeout: Duration::from_secs(3) }
        } else {
            Way::Http { secret: None }
        };
        let settings =
            Settings { way, deadline: Duration::from_mins(30), quarantine: Duration::from_secs(60) };
        let ahead = self.ahead.clone();
        let clock = Arc::new(move || start() + Duration::from_secs(ahead.load(Ordering::SeqCst)));
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Provider::Own(Box::new(Own::new(settings, clock)))
    }

    fn target(&self) -> Target {
        Target { service: service(), site: snapback::execute::Site::Own(self.site.clone()) }
    }

    /// Leads the world to the moment before the operation.
    async fn lead_to(&mut self, operation: Operation, fault: Fault) {
        let (from, to) = if operation == Operation::Stop {
            self.deployer.state().goes_out = true;
            ("v3", "v2")
        } else {
            ("v2", "v1")
        };
        let provider = self.provider();
        let proposal = provider.propose(&self.target(), &from.into(), &to.into()).await.expect("a way back");
        let order = Order {
            case: CaseId::of(&service(), 1),
            step: StepNo(0),
            attempt: 1,
            mark: Mark::new(MARK),
            doer: Doer::Provider(service()),
            act: proposal.acts.into_iter().next().expect("one"),
            service: service(),
            expected: from.into(),
            to: to.into(),
            intended_at: start(),
        };
        if matches!(operation, Operation::Find | Operation::Watch | Operation::Evidence) {
            self.deployer.state().fails = fault == Fault::F14AcceptedThenFails;
            self.deployer.state().lies = fault == Fault::F17FalseSuccess;
            let not_begun = operation == Operation::Find && fault == Fault::F15SupersededByHuman;
            if !not_begun {
                let permit = Permit::committed(order.clone(), start() + Duration::from_secs(10));
                self.handle = Some(provider.begin(permit).await.expect("taken"));
            }
        }
        self.order = Some(order);
    }

    fn inject(&mut self, operation: Operation, fault: Fault) {
        let mutates = matches!(operation, Operation::Create | Operation::Stop);
        let wire = match fault {
            // The program, or whoever listens, is not there.
            Fault::F1ConnectRefused => {
                return self.goes_to(if PROGRAM { "nowhere" } else { "http://127.0.0.1:1" });
            }
            Fault::F2Tls => {
                let url = self.deployer.wire.url().replace("http://", "https://");
                return self.goes_to(if PROGRAM { "nowhere" } else { &url });
            }
            Fault::F14AcceptedThenFails => {
                self.deployer.state().fails = true;
                return;
            }
            Fault::F17FalseSuccess => {
                self.deployer.state().lies = true;
                return;
            }
            Fault::F15SupersededByHuman => {
                let mut state = self.deployer.state();
                (state.current, state.goes_out) = ("v5".into(), false);
                return;
            }
            Fault::F16StaleReads if operation == Operation::Create => {
                // Between what we read, by two questions, and what we ask for.
                let (first, second) = (self.deployer.clone(), self.deployer.clone());
                let third = self.deployer.clone();
                self.deployer.wire.before(Method::POST, "/", move || {
                    first.wire.before(Method::POST, "/", move || {
                        second.wire.before(Method::POST, "/", move || third.state().current = "v5".into());
                    });
                });
                return;
            }
            Fault::F16StaleReads => return,
            Fault::F3TimeoutBefore => Wire::Hang,
            Fault::F4TimeoutAfter => Wire::HangAfter,
            Fault::F5Reset => Wire::LoseReply,
            Fault::F6TooMany => Wire::Refuse(429, "slowly"),
            Fault::F7FailsBefore => Wire::Refuse(500, "no"),
            Fault::F8FailsAfter => Wire::FailAfter(503),
            Fault::F9Refused => Wire::Refuse(403, "no"),
            Fault::F10Malformed => Wire::Garble,
            Fault::F11OtherObject => Wire::Other,
            Fault::F12Trickle => Wire::Trickle,
            Fault::F13Twice => Wire::Twice,
            Fault::F18Redirect => Wire::Redirect,
            Fault::F19CredentialExpires => Wire::Refuse(401, "no"),
        };
        // What serves and what went out is asked before a rollback.
        self.deployer.wire.fault_after(Method::POST, "/", if mutates { 2 } else { 0 }, wire);
    }

    /// Whoever is asked lives elsewhere from now on: the orders too.
    fn goes_to(&mut self, place: &str) {
        let folder = std::path::PathBuf::from("/");
        self.site = if PROGRAM {
            Site::Program { argv: vec![format!("/{place}/deployer")], folder }
        } else {
            Site::Url(place.to_owned())
        };
        let named = |value: &mut String, site: &Site| match site {
            Site::Program { argv, .. } => *value = serde_json::to_string(argv).expect("JSON"),
            Site::Url(url) => value.clone_from(url),
        };
        if let Some(order) = &mut self.order {
            let key = if PROGRAM { "argv" } else { "url" };
            named(order.act.arguments.get_mut(key).expect("where"), &self.site);
        }
        if let Some(handle) = &self.handle {
            let mut receipt: serde_json::Value = serde_json::from_str(handle.as_str()).expect("JSON");
            let mut place = String::new();
            named(&mut place, &self.site);
            receipt["arguments"][if PROGRAM { "argv" } else { "url" }] = place.into();
            self.handle = Some(Handle::new(receipt.to_string()));
        }
    }

    async fn follow(&self, handle: &Handle) -> Outcome {
        let to = &self.order.as_ref().expect("an order").to;
        for _ in 0..60 {
            match self.provider().watch(handle).await {
                Ok(Progress::Running(_)) => {
                    self.ahead.fetch_add(10, Ordering::SeqCst);
                }
                Ok(Progress::Serving(release)) if release == *to => return Outcome::Answered,
                Ok(Progress::Serving(_)) => return Outcome::NotServing,
                Ok(Progress::Failed(_)) => return Outcome::Failed,
                Ok(Progress::Superseded(_)) => return Outcome::Superseded,
                // It knows nothing of the key: a person says that it is looked for.
                Ok(Progress::NeedsHuman { .. }) => return Outcome::Unknown,
                Ok(other) => panic!("an end: {other:?}"),
                Err(trouble) => return told(&trouble),
            }
        }
        panic!("it never ends")
    }
}

fn place<const PROGRAM: bool>(url: &str) -> Site {
    if PROGRAM {
        let argv = ["sh", "-c", HANDS_ON, url].map(str::to_owned).to_vec();
        return Site::Program { argv, folder: std::path::PathBuf::from("/") };
    }
    Site::Url(url.to_owned())
}

fn start() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().expect("a moment")
}
