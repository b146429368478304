//! Sends the one request of a permit: the dispatch of the rollback workflow, or the end of the suspect's own run. What can be refused is
//! refused by reading, before anything leaves.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::asking::{denied, no_such};
use super::deployment::short;
use super::proposal::{AGAIN, going_out_of};
use super::run::Run;
use super::scene::Scene;
use super::work::{Known, Work};
use super::{GitHub, Site};
use crate::case::id::{Duration, Handle, Mark, Timestamp};
use crate::case::permit::Permit;
use crate::case::step::Order;
use crate::execute::unsent;
use crate::outbound::Trouble;
use crate::outbound::api::Denial;

/// GitHub's clock and ours differ by less.
const SKEW: Duration = Duration::from_mins(10);
/// Pages of runs that a search reads: nobody starts so many within an hour.
const PAGES_MAX: usize = 5;
/// Runs on one page, the largest.
const PAGE: usize = 100;
/// Runs without a mark in their names whose jobs are looked at.
const UNNAMED_MAX: usize = 10;
/// The field that an older server does not know (docs.github.com, "Create a workflow dispatch event").
const DETAILS: &str = "return_run_details";

impl GitHub {
    pub(super) async fn dispatch(&self, work: &Work, permit: &Permit) -> Result<Handle, Trouble> {
        let (site, order) = (&work.site, permit.order());
        let runs = unsent(self.marked(site, &order.mark, order.intended_at).await)?;
        if !runs.is_empty() {
            return work.handle(order, known_of(&runs));
        }
        let scene = unsent(self.scene(site).await)?;
        if !may_begin(work, &scene, order)? {
            return work.handle(order, Known::default());
        }
        if let Some(why) = unsent(self.unprotected(site).await)? {
            return Err(Trouble::Refused(why));
        }
        let doing = format!("start {} of {}", site.workflow, site.repository);
        let mut body = json!({ "ref": site.branch, "inputs": inputs(work, order) });
        if !self.tells_no_run.load(Ordering::Relaxed) {
            body[DETAILS] = true.into();
        }
        match self.send(&doing, &site.of_workflow("/dispatches"), Some(&body), permit).await? {
            // It tells no run: its name will.
            Ok(Value::Null) => work.handle(order, Known::default()),
            Ok(told) => {
                let run = told["workflow_run_id"].as_u64().filter(|run| *run > 0);
                let run = run.ok_or_else(|| no_such(&doing))?;
                work.handle(order, Known { run: Some(run), ..Known::default() })
            }
            Err(denial) if knows_no_details(&denial) => {
                self.tells_no_run.store(true, Ordering::Relaxed);
                Err(Trouble::Busy { why: format!("{doing}: {}", denial.said), after: None })
            }
            Err(denial) => Err(denied(&doing, denial, self.now())),
        }
    }

    pub(super) async fn cancel(
        &self,
        work: &Work,
        (run, attempt): (u64, u64),
        permit: &Permit,
    ) -> Result<Handle, Trouble> {
        let (site, order) = (&work.site, permit.order());
        let known = || Known { run: Some(run), ..Known::default() };
        let scene = unsent(self.scene(site).await)?;
        let still = going_out_of(site, &scene, &order.expected)?;
        if still.is_none() && scene.current.as_ref() != Some(&order.expected) {
            return Err(Trouble::Moved(scene.called()));
        }
        let Some(stands) = unsent(self.run(site, run).await)? else {
            return Err(Trouble::Busy { why: format!("run {run} is not shown"), after: Some(AGAIN) });
        };
        if stands.is_over() {
            return work.handle(order, known());
        }
        if stands.attempt != attempt {
            return Err(Trouble::Moved(format!("run {run} was started again")));
        }
        let doing = format!("cancel run {run} of {}", site.repository);
        let path = site.path(&format!("/actions/runs/{run}/cancel"));
        match self.send(&doing, &path, None, permit).await? {
            Ok(_) => work.handle(order, known()),
            // It ended between our look and this, or it is ending.
            Err(denial) if denial.status == 409 => work.handle(order, known()),
            Err(denial) => Err(denied(&doing, denial, self.now())),
        }
    }

    /// The runs of the rollback workflow under this mark, the first begun first.
    pub(super) async fn marked(
        &self,
        site: &Site,
        mark: &Mark,
        since: Timestamp,
    ) -> Result<Vec<Run>, Trouble> {
        let doing = format!("look for our mark among the runs of {} in {}", site.workflow, site.repository);
        let mut all: Vec<Run> = Vec::new();
        for page in 1..=PAGES_MAX {
            let path =
                site.of_workflow(&format!("/runs?event=workflow_dispatch&per_page={PAGE}&page={page}"));
            let told = self.must_read(&doing, &path).await?;
            let runs = super::run::runs(&told).ok_or_else(|| no_such(&doing))?;
            let is_last = runs.len() < PAGE || runs.iter().any(|run| run.created_at + SKEW < since);
            all.extend(runs);
            if is_last {
                break;
            }
        }
        all.sort_by_key(|run| (run.created_at, run.id));
        all.dedup_by_key(|run| run.id);
        let named: Vec<Run> = all.iter().filter(|run| run.mark().as_ref() == Some(mark)).cloned().collect();
        if !named.is_empty() {
            return Ok(named);
        }
        let unnamed =
            all.into_iter().rev().filter(|run| run.mark().is_none() && run.created_at + SKEW >= since);
        let mut found = Vec::new();
        for run in unnamed.take(UNNAMED_MAX) {
            let jobs = self.jobs(site, run.id).await?;
            if jobs.iter().any(|job| super::run::mark_in(&job.name).as_ref() == Some(mark)) {
                found.insert(0, run);
            }
        }
        Ok(found)
    }
}

/// What is known of work that these runs do.
pub(super) fn known_of(runs: &[Run]) -> Known {
    let nth = |nth: usize| runs.get(nth).map(|run: &Run| run.id);
    Known { run: nth(0), twin: nth(1), unwritten: None }
}

/// What the workflow is told. Each value is a text, as GitHub takes inputs.
fn inputs(work: &Work, order: &Order) -> Value {
    let (from, to) = (short(order.expected.as_str()), short(work.to.as_str()));
    json!({
        "sha": work.to.as_str(),
        "environment": work.site.environment,
        "rollback_id": order.mark.as_str(),
        "reason": format!("Snapback takes {} back from {from} to {to}, case {}", order.service, order.case),
    })
}

/// A server before February 2026 says so of a field that it does not know.
fn knows_no_details(denial: &Denial) -> bool {
    matches!(denial.status, 400 | 422) && denial.said.contains(DETAILS)
}

/// Whether it is still to be done; somebody else who is at it comes first.
fn may_begin(work: &Work, scene: &Scene, order: &Order) -> Result<bool, Trouble> {
    if let Some(going_out) = scene.going_out() {
        if going_out.release.as_ref() == Some(&order.expected) {
            let why = format!("{} is still going out", going_out.called());
            return Err(Trouble::Busy { why, after: Some(AGAIN) });
        }
        return Err(Trouble::Moved(format!("{} is on its way to {}", going_out.called(), work.site)));
    }
    if scene.current.as_ref() == Some(&work.to) {
        return Ok(false);
    }
    if scene.current.as_ref() != Some(&order.expected) {
        return Err(Trouble::Moved(scene.called()));
    }
    Ok(true)
}
