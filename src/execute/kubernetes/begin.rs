//! The way back: proposed, pinned, and written by one patch; and how it goes on from there.

use serde_json::{Value, json};

use super::argo::Steps;
use super::cluster::{Dry, Refusal};
use super::flagger::Stage;
use super::owner::owner;
use super::pods::Pod;
use super::rollout::Rollout;
use super::template::{self, PREFIX, escaped};
use super::work::{How, Over, Receipt, Way, Work};
use super::workload::{AT, FROM, Kind, MARK, Revision, TO, Workload};
use super::{Kubernetes, Site};
use crate::case::command::Progress;
use crate::case::id::{Duration, Handle, ReleaseId, Timestamp};
use crate::case::permit::Permit;
use crate::case::plan::Proposal;
use crate::case::step::Order;
use crate::execute::unsent;
use crate::outbound::Trouble;

/// What `kubectl rollout history` shows as the reason of a revision.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";
/// A rollout is given its own progress deadline and this much more, to be told by its controller and not by us.
const BEYOND_ITS_DEADLINE: Duration = Duration::from_mins(10);
/// The progress deadline where the object names none (the API's own default).
const PROGRESS_DEADLINE: i64 = 600;

impl Kubernetes {
    pub(super) async fn proposal(
        &self,
        site: &Site,
        from: &ReleaseId,
        to: &ReleaseId,
    ) -> Result<Proposal, Trouble> {
        let workload = self.workload_there(site).await?;
        let revisions = self.revisions(site, &workload).await?;
        let within = progress_deadline(&workload) + BEYOND_ITS_DEADLINE;
        if let Some(argo) = workload.argo.as_ref().filter(|_| workload.abort_leads_to(&revisions, to)) {
            // Nothing that anybody else owns changes by it.
            let how = How::Abort { over: argo.wanted.clone() };
            let way = Way { site: site.clone(), uid: workload.uid().to_owned(), how };
            let says = format!("abort what {site} puts out: its verified ReplicaSet takes all traffic again");
            return Ok(Proposal { within, fast: true, ..Proposal::of(vec![way.act(says)]) });
        }
        if let Some(gate) = way_through_gate(site, &workload, to)? {
            return Ok(gate);
        }
        if let Some(why) = workload.bar() {
            return Err(Trouble::Refused(format!("{site}: {why}")));
        }
        if let Some(owner) = owner(&workload.object) {
            return Err(Trouble::Refused(format!(
                "{site} is owned by {owner}: it goes back there, or is undone"
            )));
        }
        if workload.is_written_elsewhere() {
            return Err(Trouble::Refused(format!(
                "the template of {site} stands in the object that its workloadRef names: `kubectl argo rollouts undo` writes it there"
            )));
        }
        let Some(back) = revisions.iter().rev().find(|revision| revision.release == *to) else {
            let limit = workload.object["spec"]["revisionHistoryLimit"].as_i64().unwrap_or(10);
            return Err(Trouble::Refused(format!(
                "the history of {site} holds no {to} any more: it keeps {limit} old revisions (revisionHistoryLimit)"
            )));
        };
        let how = How::Undo { revision: back.name.clone(), number: back.number };
        let way = Way { site: site.clone(), uid: workload.uid().to_owned(), how };
        let called = template::release(&back.template);
        let mut says =
            format!("write the pod template of revision {} ({}) into {site}", back.number, called.called());
        // Pods of the target are still there while what replaces them goes out.
        let mut fast = back.is_alive() && workload.release() == *from;
        let mut within = within;
        match workload.way_to(back, &revisions) {
            Steps::None => {}
            Steps::Skipped(why) => {
                says.push_str(&format!("; its steps are skipped: {why}"));
                fast = true;
            }
            Steps::Again(steps) => {
                says.push_str(&format!("; its {steps} steps and their analyses run again"));
                fast = false;
                within += workload.pauses();
            }
        }
        if let Some(canary) = &workload.canary {
            match canary.lasts() {
                Some(lasts) => {
                    says.push_str(&format!("; {canary} analyses it first, for at least {lasts:#}"));
                    within += lasts;
                }
                None => says.push_str(&format!("; {canary} promotes it without an analysis")),
            }
            fast = false;
        }
        Ok(Proposal { within, fast, ..Proposal::of(vec![way.act(says)]) })
    }

    /// Writes the template, once. Everything that can be refused is refused before.
    pub(super) async fn send(&self, work: &Work, permit: &Permit) -> Result<Handle, Trouble> {
        let order = permit.order();
        let Some(workload) = unsent(self.still_as_planned(work, order).await)? else { return work.handle() };
        let site = &work.way.site;
        match &work.way.how {
            How::Abort { over } => return self.abort(work, over, &workload, permit).await,
            How::Gate { over, .. } => return Kubernetes::open_gate(&workload, over, work.handle()?),
            How::Undo { .. } => {}
        }
        if let Some(why) = workload.bar() {
            return Err(Trouble::Refused(format!("{site}: {why}")));
        }
        if let Some(owner) = owner(&workload.object) {
            return Err(Trouble::Refused(format!("{site} is owned by {owner}")));
        }
        let back = unsent(self.revision_to(work, &workload).await)?;
        if self.now() > permit.wire_deadline() {
            return Err(Trouble::Busy { why: "the permit is over".into(), after: None });
        }
        let patch = patch(&workload, &back.template, order, self.now());
        match self.cluster.patch(&site.path(), &patch, Dry::No).await {
            Ok(_) => work.handle(),
            Err(Refusal::NotFound | Refusal::Gone) => {
                Err(Trouble::Moved(format!("there is no {site} any more")))
            }
            // Another object, another generation, or a template that this server does not take.
            Err(Refusal::Conflict(says)) => match unsent(self.still_as_planned(work, order).await)? {
                None => work.handle(),
                Some(now) if now.generation() != workload.generation() => {
                    Err(Trouble::Busy { why: format!("{site} was changed meanwhile"), after: None })
                }
                Some(_) => Err(Trouble::Refused(format!("write into {site}: {says}"))),
            },
            Err(Refusal::Trouble(trouble)) => Err(trouble),
        }
    }

    /// The workload, as long as it is the one of the order and runs what is expected. Nothing: there is nothing left to do.
    pub(super) async fn still_as_planned(
        &self,
        work: &Work,
        order: &Order,
    ) -> Result<Option<Workload>, Trouble> {
        let site = &work.way.site;
        let Some(workload) = self.workload(site).await? else {
            return Err(Trouble::Moved(format!("there is no {site} any more")));
        };
        if workload.uid() != work.way.uid {
            return Err(Trouble::Moved(format!("another {site} than the one that was planned for")));
        }
        let release = workload.release();
        if release == work.to {
            return Ok(None);
        }
        if release != order.expected {
            return Err(Trouble::Moved(template::release(workload.template()).called().to_owned()));
        }
        Ok(Some(workload))
    }

    /// The revision that was planned, if it still holds that template; else another one that does.
    async fn revision_to(&self, work: &Work, workload: &Workload) -> Result<Revision, Trouble> {
        let site = &work.way.site;
        let mut revisions = self.revisions(site, workload).await?;
        revisions.retain(|revision| revision.release == work.to);
        let is_planned =
            |one: &Revision| matches!(&work.way.how, How::Undo { revision, .. } if one.name == *revision);
        let planned = revisions.iter().position(is_planned);
        let at = planned.or_else(|| revisions.len().checked_sub(1));
        let gone = || Trouble::Refused(format!("the history of {site} holds no {} any more", work.to));
        Ok(revisions.swap_remove(at.ok_or_else(gone)?))
    }

    /// How it goes on.
    pub(super) async fn follow(&self, receipt: &Receipt) -> Result<Progress, Trouble> {
        let site = &receipt.site;
        let Some(object) = self.object(site).await? else {
            return Ok(Progress::Superseded(format!("there is no {site} any more")));
        };
        if object["metadata"]["uid"] != *receipt.uid {
            return Ok(Progress::Superseded(format!("another {site} stands in its place")));
        }
        let Some(workload) = self.workload_of(site, object).await? else {
            return Ok(Progress::Running("its controller has not taken up the template yet".into()));
        };
        match &receipt.over {
            Some(Over::PodHash(over)) => return self.follow_abort(receipt, over, &workload).await,
            Some(Over::Candidate(over)) => return Ok(Kubernetes::follow_gate(receipt, over, &workload)),
            None => {}
        }
        if let Some(canary) = workload.canary.as_ref().filter(|canary| canary.wanted == receipt.to) {
            return Ok(Kubernetes::put_out_by_flagger(receipt, &workload, canary));
        }
        if let Some(progress) = Kubernetes::undone_again(receipt, &workload) {
            return Ok(progress);
        }
        if workload.release() != receipt.to {
            let other = template::release(workload.template());
            return Ok(Progress::Superseded(format!("{} shall run there now", other.called())));
        }
        if let Some(why) = workload.bar() {
            return Ok(Progress::NeedsHuman { why: format!("{site}: {why}"), url: None });
        }
        Ok(match workload.rollout() {
            Rollout::Done => Progress::Serving(receipt.to.clone()),
            Rollout::Stuck(says) => Progress::Failed(says),
            Rollout::ByHand(why) => Progress::NeedsHuman { why: format!("{site}: {why}"), url: None },
            Rollout::GoingOn(how) => match self.waits_for_a_broken_pod(site, &workload).await? {
                Some(why) => Progress::NeedsHuman { why, url: None },
                None => Progress::Running(how),
            },
        })
    }

    /// A StatefulSet in order replaces no pod while one of before is not ready: somebody has to delete it (Kubernetes'
    /// documentation of StatefulSets, "Forced rollback").
    async fn waits_for_a_broken_pod(
        &self,
        site: &Site,
        workload: &Workload,
    ) -> Result<Option<String>, Trouble> {
        let parallel = workload.object["spec"]["podManagementPolicy"] == "Parallel";
        if site.kind != Kind::StatefulSet || parallel {
            return Ok(None);
        }
        let update = workload.revision("updateRevision");
        let is_of_before = |pod: &&Pod| {
            pod.object.pointer("/metadata/labels/controller-revision-hash").is_some_and(|of| of != update)
        };
        let pods = self.pods(site, workload).await?;
        let broken = pods.iter().filter(is_of_before).find(|pod| !pod.is_ready() && pod.failing().is_some());
        Ok(broken.map(|pod| {
            format!("{site} waits for pod {}, which fails and is of before: delete it, and it comes back with the template", pod.name)
        }))
    }
}

/// The way back of what Flagger analyses: it is told so when it asks. Nothing: it analyses nothing.
fn way_through_gate(site: &Site, workload: &Workload, to: &ReleaseId) -> Result<Option<Proposal>, Trouble> {
    let Some(canary) = &workload.canary else { return Ok(None) };
    match canary.stage() {
        Stage::Serves | Stage::TakenBack => return Ok(None),
        Stage::Analysed => {}
        Stage::Promoted | Stage::Elsewhere => {
            let why = format!("{canary} promotes it now, or is not set up: what it ends with is waited for");
            return Err(Trouble::Busy { why, after: None });
        }
    }
    let Some(promoted) = canary.promoted.as_ref().filter(|promoted| promoted.release == *to) else {
        return Err(Trouble::Refused(format!("{canary} goes back to what serves, and that is not {to}")));
    };
    if !canary.asks_us() {
        return Err(Trouble::Refused(canary.wants_a_webhook()));
    }
    let how =
        How::Gate { canary: canary.name.clone(), over: canary.applied().to_owned(), number: promoted.number };
    let way = Way { site: site.clone(), uid: workload.uid().to_owned(), how };
    let says = format!("tell {canary} to go back, when it asks (every {:#})", canary.interval());
    let within = canary.interval() * 3 + BEYOND_ITS_DEADLINE;
    Ok(Some(Proposal { within, fast: true, ..Proposal::of(vec![way.act(says)]) }))
}

/// How long a workload may make no progress.
pub(super) fn progress_deadline(of: &Workload) -> Duration {
    let seconds = of.object["spec"]["progressDeadlineSeconds"].as_i64().unwrap_or(PROGRESS_DEADLINE);
    Duration::from_secs(seconds.clamp(60, 24 * 3600))
}

/// The one patch. The generation rises with whatever somebody writes, so that a copy of it that comes late changes nothing; the uid is
/// that of this object alone.
fn patch(workload: &Workload, template: &Value, order: &Order, now: Timestamp) -> Value {
    let mut operations = vec![
        json!({ "op": "test", "path": "/metadata/uid", "value": workload.uid() }),
        json!({ "op": "test", "path": "/metadata/generation", "value": workload.generation() }),
        json!({ "op": "replace", "path": "/spec/template", "value": template }),
    ];
    if !workload.object["metadata"]["annotations"].is_object() {
        operations.push(json!({ "op": "add", "path": "/metadata/annotations", "value": {} }));
    }
    let cause = format!("Snapback rolled back {} to {} ({})", order.expected, order.to, order.case);
    for (name, value) in [
        (format!("{PREFIX}{MARK}"), order.mark.to_string()),
        (format!("{PREFIX}{TO}"), order.to.to_string()),
        (format!("{PREFIX}{FROM}"), order.expected.to_string()),
        (format!("{PREFIX}{AT}"), now.to_string()),
        (CHANGE_CAUSE.to_owned(), cause),
    ] {
        let path = format!("/metadata/annotations/{}", escaped(&name));
        operations.push(json!({ "op": "add", "path": path, "value": value }));
    }
    Value::Array(operations)
}
