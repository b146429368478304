//! A pretend GitHub with one repository, `acme/checkout`: branches and their protection, commits, deployments with their statuses, and
//! workflows whose runs go through a concurrency group, wait for reviews, put commits out and fail. Written after GitHub's published
//! description and documents; `tests/github_contract.rs` holds its answers to that description by a third party's program. The commits
//! are numbered 1 to 9.

#![allow(dead_code, reason = "shared by tests that each use a part")]

mod routes;
mod runs;
mod shapes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration as StdDuration;

use hyper::Method;
use serde_json::{Value, json};
use snapback::case::id::{Duration, Timestamp};

use crate::pretend::{self, Answer, Asked, Fault, Service, Wire};

pub(crate) const REPOSITORY: &str = "acme/checkout";
pub(crate) const WORKFLOW: &str = "rollback.yml";
pub(crate) const ENVIRONMENT: &str = "production";
pub(crate) const TOKEN: &str = "token-of-snapback";
pub(crate) const INSTALLATION: u64 = 77;
pub(crate) const APP: &str = "123456";

/// The commit of this number.
pub(crate) fn commit(number: u32) -> String {
    number.to_string().repeat(40)
}

/// The number of a commit.
pub(crate) fn number(sha: &str) -> u32 {
    sha.get(..1).and_then(|digit| digit.parse().ok()).expect("a commit of one digit")
}

/// How the repository's rollback workflow is written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// `run-name` shows `inputs.sha` and `inputs.rollback_id`.
    pub(crate) names_runs: bool,
    /// A job's name shows `inputs.rollback_id`.
    pub(crate) names_jobs: bool,
    /// Its job has `environment: production`, so that GitHub makes a deployment of the branch's commit.
    pub(crate) by_environment: bool,
    /// It writes a deployment of what it put out.
    pub(crate) writes_deployments: bool,
    /// It does nothing under a `rollback_id` that it has seen.
    pub(crate) knows_ids: bool,
    /// The inputs that it takes.
    pub(crate) inputs: Vec<&'static str>,
    /// All its jobs are skipped, and the run is a success.
    pub(crate) does_nothing: bool,
}

pub(crate) struct Branch {
    pub(crate) head: u32,
    pub(crate) protected: bool,
    /// A ruleset of these rules.
    pub(crate) rules: Vec<&'static str>,
}

pub(crate) struct Deployment {
    pub(crate) id: u64,
    pub(crate) sha: String,
    pub(crate) reference: String,
    pub(crate) task: String,
    pub(crate) payload: Value,
    pub(crate) environment: String,
    pub(crate) creator: &'static str,
    pub(crate) at: Timestamp,
    pub(crate) statuses: Vec<Status>,
}

#[derive(Clone)]
pub(crate) struct Status {
    pub(crate) id: u64,
    pub(crate) state: String,
    pub(crate) at: Timestamp,
    pub(crate) log_url: String,
    pub(crate) description: String,
}

#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) id: u64,
    pub(crate) attempt: u64,
    pub(crate) workflow: &'static str,
    pub(crate) event: &'static str,
    pub(crate) head: u32,
    /// What it puts out.
    pub(crate) number: u32,
    pub(crate) inputs: BTreeMap<String, String>,
    pub(crate) status: &'static str,
    pub(crate) conclusion: Option<&'static str>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) began_at: Option<Timestamp>,
    pub(crate) reviewed: bool,
    /// The deployment that its job's `environment` made.
    pub(crate) deployment: Option<u64>,
    pub(crate) cancelling: bool,
    pub(crate) failed_step: Option<&'static str>,
}

pub(crate) struct State {
    /// The moment; `None`: the real one.
    standing: Option<Timestamp>,
    pub(crate) branches: BTreeMap<&'static str, Branch>,
    pub(crate) messages: BTreeMap<u32, &'static str>,
    /// Commits that the repository has no more.
    pub(crate) gone: BTreeSet<u32>,
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) runs: Vec<Run>,
    pub(crate) written: Written,
    /// The workflow's file, where it is not as `written` says.
    pub(crate) file: Option<String>,
    /// `active`, or how it is disabled.
    pub(crate) workflow_state: &'static str,
    /// A run takes so long.
    pub(crate) takes: Duration,
    /// The step at which a run for this commit fails.
    pub(crate) fails: BTreeMap<u32, &'static str>,
    /// A server from before `return_run_details`.
    pub(crate) is_older: bool,
    /// Who must let a run of the environment begin.
    pub(crate) reviewers: Vec<&'static str>,
    /// A run that waits in the group is not put out of it by the next.
    pub(crate) queue_max: bool,
    /// What the token may write, and read.
    pub(crate) may: BTreeSet<&'static str>,
    /// Tokens of the installation, and their ends.
    pub(crate) tokens: BTreeMap<String, Timestamp>,
    /// The App's public key, by which what it signs is proved.
    pub(crate) app_key: Vec<u8>,
    /// Requests that are left, and when they are given anew.
    pub(crate) allowance: Option<(u32, Timestamp)>,
    /// Runs are shown so long after they were asked for.
    pub(crate) shown_after: Duration,
    /// What really runs there.
    pub(crate) live: u32,
    /// What was done by requests of Snapback's.
    pub(crate) effects: Vec<String>,
    next: u64,
}

pub(crate) struct Hub {
    state: Mutex<State>,
    wire: Wire,
}

impl Hub {
    /// A repository whose clock stands at this time, or is the real one.
    pub(crate) fn start(standing: Option<Timestamp>) -> Arc<Hub> {
        let main = Branch { head: 1, protected: true, rules: Vec::new() };
        let state = State {
            standing,
            branches: BTreeMap::from([("main", main)]),
            messages: BTreeMap::new(),
            gone: BTreeSet::new(),
            deployments: Vec::new(),
            runs: Vec::new(),
            written: Written {
                names_runs: true,
                names_jobs: false,
                by_environment: true,
                writes_deployments: false,
                knows_ids: false,
                inputs: vec!["sha", "environment", "rollback_id", "reason"],
                does_nothing: false,
            },
            file: None,
            workflow_state: "active",
            takes: Duration::from_secs(10),
            fails: BTreeMap::new(),
            is_older: false,
            reviewers: Vec::new(),
            queue_max: false,
            may: BTreeSet::from(["read", "actions", "deployments"]),
            tokens: BTreeMap::new(),
            app_key: Vec::new(),
            allowance: None,
            shown_after: Duration::ZERO,
            live: 0,
            effects: Vec::new(),
            next: 1000,
        };
        let hub = Arc::new(Hub { state: Mutex::new(state), wire: Wire::default() });
        pretend::listen(&hub);
        hub
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the state")
    }

    pub(crate) fn url(&self) -> String {
        self.wire.url()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.state().now()
    }

    /// Time passes, and runs go on.
    pub(crate) fn pass(&self, seconds: i64) {
        for _ in 0..seconds {
            let mut state = self.state();
            state.standing = state.standing.map(|now| now + Duration::from_secs(1));
            state.step();
        }
    }

    /// Runs go on by themselves, in real time.
    pub(crate) fn goes_on(self: &Arc<Hub>, pace: StdDuration) {
        let hub = Arc::downgrade(self);
        std::thread::spawn(move || {
            while let Some(hub) = hub.upgrade() {
                hub.state().step();
                drop(hub);
                let (_keep, waits) = std::sync::mpsc::channel::<()>();
                let _ = waits.recv_timeout(pace);
            }
        });
    }

    /// This commit was pushed and deployed then, within ten seconds.
    pub(crate) fn has_deployed(&self, number: u32, at: Timestamp) {
        let mut state = self.state();
        state.begins("deploy.yml", "push", number, at - Duration::from_secs(10));
        let run = state.runs.len() - 1;
        state.goes_out(run, at - Duration::from_secs(10));
        state.ends(run, at);
    }

    /// Somebody pushes this commit, and its deployment begins.
    pub(crate) fn deploys(&self, number: u32) {
        let mut state = self.state();
        let now = state.now();
        state.begins("deploy.yml", "push", number, now);
        state.step();
    }

    /// Somebody starts the rollback workflow by hand.
    pub(crate) fn rolls_back_by_hand(&self, number: u32) {
        let inputs = json!({ "sha": commit(number), "environment": ENVIRONMENT, "rollback_id": "by-hand-1", "reason": "x" });
        let mut state = self.state();
        let now = state.now();
        state.dispatched(&inputs, "main", now);
        state.step();
    }

    /// Somebody lets what waits begin.
    pub(crate) fn approves(&self) {
        let mut state = self.state();
        for run in &mut state.runs {
            run.reviewed = true;
        }
        state.step();
    }

    /// What really runs there.
    pub(crate) fn live(&self) -> u32 {
        self.state().live
    }

    pub(crate) fn effects(&self) -> Vec<String> {
        self.state().effects.clone()
    }

    /// Requests that would change something; one for a token changes nothing.
    pub(crate) fn writes(&self) -> usize {
        self.wire.writes().iter().filter(|asked| !asked.path.ends_with("/access_tokens")).count()
    }

    pub(crate) fn calls(&self) -> Vec<Asked> {
        self.wire.calls()
    }

    pub(crate) fn fault(&self, method: Method, part: &str, fault: Fault) {
        self.wire.fault(method, part, fault);
    }

    pub(crate) fn hear(&self, method: Method, part: &str) -> std::sync::mpsc::Receiver<()> {
        self.wire.hear(method, part)
    }

    pub(crate) fn before(&self, method: Method, part: &str, first: impl FnOnce() + Send + 'static) {
        self.wire.before(method, part, first);
    }

    /// What GitHub sends of what was said last of the newest deployment.
    pub(crate) fn event(&self) -> Value {
        let state = self.state();
        let of = state.deployments.last().expect("a deployment");
        let said = of.statuses.last().expect("something that was said of it");
        json!({
            "action": "created", "deployment": shapes::deployment(of), "deployment_status": shapes::status(said, of.id),
            "repository": { "name": "checkout", "full_name": REPOSITORY },
        })
    }

    /// The deployments of the environment as whoever reads them in GitHub understands them: commit, task and last state, newest first.
    pub(crate) fn told(&self) -> Vec<(u32, String, String)> {
        let state = self.state();
        let told = state.deployments.iter().rev().map(|of| {
            let last = of.statuses.last().map_or_else(String::new, |status| status.state.clone());
            (number(&of.sha), of.task.clone(), last)
        });
        told.collect()
    }
}

impl State {
    pub(crate) fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "a pretend service in real time")]
        let now = self.standing.unwrap_or_else(Timestamp::now);
        // GitHub tells whole seconds.
        Timestamp::from_second(now.as_second()).expect("a moment")
    }

    pub(crate) fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Somebody makes a deployment.
    pub(crate) fn makes(
        &mut self,
        sha: String,
        task: &str,
        payload: Value,
        creator: &'static str,
        at: Timestamp,
    ) -> u64 {
        let id = self.id();
        self.deployments.push(Deployment {
            id,
            reference: if task == "deploy" { "main".to_owned() } else { sha.clone() },
            sha,
            task: task.to_owned(),
            payload,
            environment: ENVIRONMENT.to_owned(),
            creator,
            at,
            statuses: Vec::new(),
        });
        id
    }

    /// Something is said of a deployment.
    pub(crate) fn says(&mut self, deployment: u64, state: &str, log_url: &str, at: Timestamp) -> Status {
        let id = self.id();
        let status = Status {
            id,
            state: state.to_owned(),
            at,
            log_url: log_url.to_owned(),
            description: String::new(),
        };
        let of = self.deployments.iter_mut().find(|of| of.id == deployment).expect("a deployment");
        of.statuses.push(status.clone());
        status
    }
}

impl Service for Hub {
    fn wire(&self) -> &Wire {
        &self.wire
    }

    fn answer(self: &Arc<Hub>, asked: &Asked) -> Answer {
        self.routed(asked)
    }
}
