//! The abort of a Rollout that is going out: one patch of its status, and how it goes on from there. Leaves to `argo` when that is the
//! way, and to `begin` the way of what is finished.
//!
//! No mark of ours can stand there, since whoever writes the status writes nothing else: an abort is found again by what it led to. The
//! template still says the aborted release, as everybody's abort leaves it.

use serde_json::{Value, json};

use super::Kubernetes;
use super::argo::Argo;
use super::begin::progress_deadline;
use super::cluster::{Dry, Refusal};
use super::work::{Receipt, Work};
use super::workload::Workload;
use crate::case::command::Progress;
use crate::case::id::Handle;
use crate::case::permit::Permit;
use crate::execute::unsent;
use crate::outbound::Trouble;

impl Kubernetes {
    /// Aborts, once, what the plan was about.
    pub(super) async fn abort(
        &self,
        work: &Work,
        over: &str,
        workload: &Workload,
        permit: &Permit,
    ) -> Result<Handle, Trouble> {
        let site = &work.way.site;
        let revisions = unsent(self.revisions(site, workload).await)?;
        let is_wanted = workload.argo.as_ref().is_some_and(|argo| argo.wanted == over);
        if !is_wanted || !workload.abort_leads_to(&revisions, &work.to) {
            return Err(Trouble::Moved(format!("what {site} put out has been promoted or replaced")));
        }
        if self.now() > permit.wire_deadline() {
            return Err(Trouble::Busy { why: "the permit is over".into(), after: None });
        }
        // Whatever else is written meanwhile makes another version of it: a copy that comes late aborts nobody's second try.
        let patch = json!([
            { "op": "test", "path": "/metadata/uid", "value": workload.uid() },
            { "op": "test", "path": "/metadata/resourceVersion", "value": workload.version() },
            { "op": "add", "path": "/status/abort", "value": true },
        ]);
        match self.cluster.patch(&format!("{}/status", site.path()), &patch, Dry::No).await {
            Ok(_) => work.handle(),
            Err(Refusal::NotFound | Refusal::Gone) => Err(Trouble::Refused(format!(
                "abort {site}: it is gone, or this API has no door for a Rollout's status (an old definition): abort it by hand"
            ))),
            Err(Refusal::Conflict(says)) => {
                match unsent(self.still_as_planned(work, permit.order()).await)? {
                    None => work.handle(),
                    Some(now) if now.version() != workload.version() => {
                        Err(Trouble::Busy { why: format!("{site} was written meanwhile"), after: None })
                    }
                    Some(_) => Err(Trouble::Refused(format!("abort {site}: {says}"))),
                }
            }
            Err(Refusal::Trouble(trouble)) => Err(trouble),
        }
    }

    /// How an abort goes on: until the verified ReplicaSet takes all of the traffic by all of its pods.
    pub(super) async fn follow_abort(
        &self,
        receipt: &Receipt,
        over: &str,
        workload: &Workload,
    ) -> Result<Progress, Trouble> {
        let site = &receipt.site;
        let Some(argo) = &workload.argo else {
            return Err(Trouble::Refused(format!("{site} is no Rollout")));
        };
        let revisions = self.revisions(site, workload).await?;
        let back = revisions.iter().find(|one| one.has_pod_hash(&argo.verified));
        let Some(back) = back.filter(|back| back.release == receipt.to && argo.wanted == over) else {
            return Ok(Progress::Superseded(format!("{site} was promoted, or puts out something else now")));
        };
        if !argo.is_aborted {
            let why = format!(
                "the abort of {site} is gone and its rollout goes on: somebody retried it, or its controller lost it. Abort it again by hand"
            );
            return Ok(Progress::NeedsHuman { why, url: None });
        }
        let (available, wanted) = (back.available(), workload.replicas());
        if available >= wanted && takes_all_traffic(&workload.object, argo) {
            return Ok(Progress::Serving(receipt.to.clone()));
        }
        let how = format!("{available} of {wanted} pods of revision {} are available", back.number);
        let over_at = argo.aborted_at.map(|at| at + progress_deadline(workload));
        if over_at.is_some_and(|over_at| self.now() > over_at) {
            return Ok(Progress::Failed(format!("{how} so long after the abort (progressDeadlineSeconds)")));
        }
        Ok(Progress::Running(how))
    }

    /// How a Rollout's undo stands beside its phase: its own analysis may take it back again.
    pub(super) fn undone_again(receipt: &Receipt, workload: &Workload) -> Option<Progress> {
        let argo = workload.argo.as_ref()?;
        (argo.is_aborted && argo.wanted_release == receipt.to).then(|| {
            let says = text_of(&workload.object);
            Progress::Failed(workload.failed_analysis().unwrap_or(says))
        })
    }
}

fn text_of(object: &Value) -> String {
    object["status"]["message"].as_str().unwrap_or("it was aborted").to_owned()
}

/// Neither a mesh nor a Service leads anybody to the aborted one.
fn takes_all_traffic(object: &Value, argo: &Argo) -> bool {
    let weight = object.pointer("/status/canary/weights/canary/weight").and_then(Value::as_i64);
    let active = object.pointer("/status/blueGreen/activeSelector").and_then(Value::as_str);
    weight.unwrap_or_default() == 0
        && active.is_none_or(|active| active.is_empty() || active == argo.verified)
}
