//! Runs of the pretend GitHub: how they are started, go through their concurrency group, wait for a review, put a commit out and end.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use snapback::case::id::{Duration, Timestamp};

use super::{Run, State, WORKFLOW, commit, number};

pub(super) fn link(run: u64) -> String {
    format!("https://github.com/acme/checkout/actions/runs/{run}")
}

impl State {
    /// A run that somebody's push begins.
    pub(super) fn begins(
        &mut self,
        workflow: &'static str,
        event: &'static str,
        number: u32,
        at: Timestamp,
    ) -> u64 {
        let id = self.id();
        self.branches.get_mut("main").expect("main").head = number;
        self.runs.push(Run {
            id,
            attempt: 1,
            workflow,
            event,
            head: number,
            number,
            inputs: BTreeMap::new(),
            status: "queued",
            conclusion: None,
            created_at: at,
            updated_at: at,
            began_at: None,
            reviewed: false,
            deployment: None,
            cancelling: false,
            failed_step: None,
        });
        id
    }

    /// A run that somebody asks for.
    pub(super) fn dispatched(&mut self, inputs: &Value, branch: &str, at: Timestamp) -> u64 {
        let head = self.branches[branch].head;
        let inputs: BTreeMap<String, String> = inputs
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect();
        let wanted = number(&inputs["sha"]);
        let main = self.branches["main"].head;
        let id = self.begins(WORKFLOW, "workflow_dispatch", wanted, at);
        self.branches.get_mut("main").expect("main").head = main;
        let run = self.runs.last_mut().expect("it was made");
        run.head = head;
        run.inputs = inputs;
        id
    }

    /// What is due is done.
    pub(super) fn step(&mut self) {
        let now = self.now();
        for nth in 0..self.runs.len() {
            let run = &self.runs[nth];
            if run.conclusion.is_some() {
                continue;
            }
            if run.cancelling {
                self.is_cancelled(nth, now);
                continue;
            }
            match run.began_at {
                None => self.takes_its_turn(nth, now),
                Some(began) if now >= began + self.takes => self.ends(nth, now),
                Some(_) => {}
            }
        }
    }

    /// One run of the group goes on, and one waits; a newer one takes the place of the one that waits, but where the group keeps them.
    fn takes_its_turn(&mut self, nth: usize, now: Timestamp) {
        let busy = self.runs.iter().enumerate().any(|(other, run)| {
            other != nth
                && run.conclusion.is_none()
                && (run.began_at.is_some() || (run.status == "waiting" && other < nth))
        });
        if busy {
            self.runs[nth].status = "pending";
            let newer =
                self.runs[nth + 1..].iter().any(|run| run.conclusion.is_none() && run.began_at.is_none());
            if newer && !self.queue_max {
                let run = &mut self.runs[nth];
                run.status = "completed";
                run.conclusion = Some("cancelled");
                run.updated_at = now;
            }
            return;
        }
        let run = &self.runs[nth];
        if !self.reviewers.is_empty() && !run.reviewed && run.workflow == WORKFLOW {
            self.runs[nth].status = "waiting";
            return;
        }
        self.goes_out(nth, now);
    }

    pub(super) fn goes_out(&mut self, nth: usize, now: Timestamp) {
        let run = &mut self.runs[nth];
        run.status = "in_progress";
        run.began_at = Some(now);
        run.updated_at = now;
        let (id, head, workflow) = (run.id, run.head, run.workflow);
        if workflow != WORKFLOW || self.written.by_environment {
            let made = self.makes(commit(head), "deploy", json!({}), "github-actions[bot]", now);
            self.says(made, "in_progress", &link(id), now);
            self.runs[nth].deployment = Some(made);
        }
    }

    fn is_cancelled(&mut self, nth: usize, now: Timestamp) {
        let run = &mut self.runs[nth];
        run.status = "completed";
        run.conclusion = Some("cancelled");
        run.updated_at = now;
        let (id, deployment) = (run.id, run.deployment);
        if let Some(deployment) = deployment {
            self.says(deployment, "failure", &link(id), now);
        }
    }

    pub(super) fn ends(&mut self, nth: usize, now: Timestamp) {
        let (id, wanted, workflow, deployment) = {
            let run = &mut self.runs[nth];
            run.status = "completed";
            run.updated_at = now;
            (run.id, run.number, run.workflow, run.deployment)
        };
        if let Some(step) = self.fails.get(&wanted) {
            self.runs[nth].conclusion = Some("failure");
            self.runs[nth].failed_step = Some(step);
            if let Some(deployment) = deployment {
                self.says(deployment, "failure", &link(id), now);
            }
            return;
        }
        self.runs[nth].conclusion = Some("success");
        let is_back = workflow == WORKFLOW;
        let mark = self.runs[nth].inputs.get("rollback_id").cloned();
        let known = |run: &Run| run.inputs.get("rollback_id") == mark.as_ref();
        let has_seen = is_back && self.written.knows_ids && self.runs[..nth].iter().any(known);
        let does_nothing = has_seen || is_back && self.written.does_nothing;
        if !does_nothing {
            self.live = wanted;
        }
        if let Some(deployment) = deployment {
            self.says(deployment, "success", &link(id), now);
        }
        if is_back && self.written.writes_deployments {
            let made = self.makes(commit(wanted), "rollback", json!({}), "github-actions[bot]", now);
            self.says(made, "success", &link(id), now);
        }
    }

    /// The name that the workflow gives a run.
    pub(super) fn title(&self, run: &Run) -> String {
        match run.inputs.get("rollback_id") {
            Some(mark) if self.written.names_runs => {
                format!("rollback {} to {} ({mark})", run.inputs["environment"], run.inputs["sha"])
            }
            Some(_) => "rollback".to_owned(),
            None => format!("commit {}", run.number),
        }
    }

    /// Whether it shows.
    pub(super) fn shows(&self, run: &Run) -> bool {
        run.created_at + self.shown_after <= self.now() || self.shown_after == Duration::ZERO
    }
}
