//! A Rollout of Argo Rollouts: which of its ReplicaSets is wanted and which is verified, whether what goes out was aborted, what keeps it
//! waiting, and which way back skips its steps. Leaves to `begin` what is written, and to `abort` how an abort goes on.
//!
//! A Rollout's own template lacks the defaults that the API fills in, so that its releases are those of its ReplicaSets. Facts: the
//! API `argoproj.io/v1alpha1` and the controller of Argo Rollouts 1.8, argoproj/argo-rollouts `docs/features/rollback.md`.

use serde_json::Value;

use super::template::{self, text};
use super::workload::{Revision, Workload, moment};
use super::{Kubernetes, Site};
use crate::case::id::{Duration, ReleaseId, Timestamp};
use crate::outbound::Trouble;

/// The label by which the controller tells its ReplicaSets and their pods apart.
pub(super) const HASH: &str = "rollouts-pod-template-hash";
/// Where the controller notes of an analysis that it belongs to what goes out.
const ANALYSES: [&str; 4] = [
    "/status/canary/currentStepAnalysisRunStatus",
    "/status/canary/currentBackgroundAnalysisRunStatus",
    "/status/blueGreen/prePromotionAnalysisRunStatus",
    "/status/blueGreen/postPromotionAnalysisRunStatus",
];
/// The pauses of all steps count up to here: beyond that a person is asked anyway.
const PAUSES_MAX: Duration = Duration::from_hours(12);

/// What the controller notes of a Rollout.
pub(super) struct Argo {
    /// The pod hash of what is wanted.
    pub(super) wanted: String,
    /// The release of that.
    pub(super) wanted_release: ReleaseId,
    /// The pod hash of what went through its steps and analyses; empty before the first did.
    pub(super) verified: String,
    /// What goes out was aborted: the verified one serves.
    pub(super) is_aborted: bool,
    /// When, once the controller has seen it.
    pub(super) aborted_at: Option<Timestamp>,
}

impl Argo {
    /// What is wanted is not verified yet, and nobody aborted it.
    pub(super) fn is_going_out(&self) -> bool {
        self.wanted != self.verified && !self.is_aborted
    }
}

impl Kubernetes {
    /// A Rollout as its controller sees it: the template is that of the ReplicaSet that shall serve. Nothing: the controller has not taken
    /// up what is wanted yet.
    pub(super) async fn taken_up(&self, site: &Site, mut object: Value) -> Result<Option<Workload>, Trouble> {
        let status = |name: &str| text(&object, &format!("/status/{name}")).unwrap_or_default();
        // The observed generation is a text here.
        let observed: i64 = status("observedGeneration").parse().unwrap_or_default();
        let (wanted, verified) = (status("currentPodHash"), status("stableRS"));
        if observed < object["metadata"]["generation"].as_i64().unwrap_or_default() || wanted.is_empty() {
            return Ok(None);
        }
        let both = [wanted.as_str(), verified.as_str()].into_iter().filter(|hash| !hash.is_empty());
        let by = format!("{HASH} in ({})", both.collect::<Vec<_>>().join(","));
        let sets = self.cluster.list(&site.list("/apis/apps/v1", "replicasets"), &by).await?;
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        let of = |hash: &str| {
            let mut own = sets.iter().filter(|set| super::workload::is_controlled_by(set, uid));
            own.find(|set| pod_hash(set).as_deref() == Some(hash))
        };
        let Some(set) = of(&wanted) else { return Ok(None) };
        let wanted_release = template::release_id(&set["spec"]["template"]);
        let is_aborted = object["status"]["abort"] == true && !verified.is_empty() && wanted != verified;
        let aborted_at = moment(&object["status"]["abortedAt"]).filter(|_| is_aborted);
        let serves = if is_aborted { of(&verified) } else { Some(set) };
        let Some(serves) = serves else {
            return Err(Trouble::Refused(format!("{site}: its verified ReplicaSet {verified} is gone")));
        };
        let shown = template::bare(&serves["spec"]["template"]);
        if object["spec"]["selector"].is_null() {
            // With `workloadRef` the selector stands elsewhere.
            let mut selector = serves["spec"]["selector"].clone();
            if let Some(labels) = selector["matchLabels"].as_object_mut() {
                labels.remove(HASH);
            }
            object["spec"]["selector"] = selector;
        }
        object["spec"]["template"] = shown;
        let argo = Argo { wanted, wanted_release, verified, is_aborted, aborted_at };
        Ok(Some(Workload { kind: site.kind, object, argo: Some(argo), canary: None }))
    }
}

/// The pod hash on a ReplicaSet or a pod.
pub(super) fn pod_hash(object: &Value) -> Option<String> {
    text(object, &format!("/metadata/labels/{HASH}"))
}

impl Revision {
    /// Whether this is the ReplicaSet of that pod hash.
    pub(super) fn has_pod_hash(&self, hash: &str) -> bool {
        pod_hash(&self.object).as_deref() == Some(hash)
    }

    /// Its pods that are available.
    pub(super) fn available(&self) -> i64 {
        self.object["status"]["availableReplicas"].as_i64().unwrap_or_default()
    }

    /// Pods of it are still there.
    pub(super) fn is_alive(&self) -> bool {
        self.object["status"]["replicas"].as_i64().unwrap_or_default() > 0
    }
}

impl Workload {
    /// What goes out can be aborted, and what serves then is this release: that of the verified ReplicaSet. Whatever is promoted in full is
    /// never aborted: old controllers scaled what served to nothing by it (argoproj/argo-rollouts#1292).
    pub(super) fn abort_leads_to(&self, revisions: &[Revision], to: &ReleaseId) -> bool {
        let verified =
            |argo: &Argo| revisions.iter().any(|one| one.has_pod_hash(&argo.verified) && one.release == *to);
        self.argo.as_ref().is_some_and(|argo| argo.is_going_out() && verified(argo))
    }

    /// The template stands in another object, which the Rollout refers to.
    pub(super) fn is_written_elsewhere(&self) -> bool {
        self.object["spec"]["workloadRef"].is_object()
    }

    /// An analysis of what goes out that failed; its words.
    pub(super) fn failed_analysis(&self) -> Option<String> {
        self.argo.as_ref()?;
        ANALYSES.iter().find_map(|at| {
            let run = self.object.pointer(at)?;
            let failed = ["Failed", "Error"].contains(&run["status"].as_str().unwrap_or_default());
            let name = run["name"].as_str().unwrap_or("an analysis");
            let says =
                run["message"].as_str().filter(|says| !says.is_empty()).unwrap_or("no reason is given");
            failed.then(|| format!("analysis {name} failed: {says}"))
        })
    }

    /// The controller judges what goes out by analyses, or goes back by itself when it makes no progress.
    pub(super) fn is_judged(&self) -> bool {
        let spec = &self.object["spec"];
        let strategy = &spec["strategy"];
        let judges = self.steps().iter().any(|step| step["analysis"].is_object())
            || strategy["canary"]["analysis"].is_object()
            || strategy["blueGreen"]["prePromotionAnalysis"].is_object()
            || strategy["blueGreen"]["postPromotionAnalysis"].is_object()
            || spec["progressDeadlineAbort"] == true;
        judges && self.argo.as_ref().is_some_and(Argo::is_going_out)
    }

    /// Its canary's steps.
    pub(super) fn steps(&self) -> &[Value] {
        self.object
            .pointer("/spec/strategy/canary/steps")
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// How long the pauses of all its steps last.
    pub(super) fn pauses(&self) -> Duration {
        let lasts = |step: &Value| pause(&step["pause"]["duration"]).unwrap_or_default();
        let sum = self.steps().iter().map(lasts).try_fold(Duration::ZERO, Duration::checked_add);
        sum.unwrap_or(PAUSES_MAX).min(PAUSES_MAX)
    }

    /// What of its steps the way to a revision takes.
    pub(super) fn way_to(&self, to: &Revision, revisions: &[Revision]) -> Steps {
        let Some(argo) = &self.argo else { return Steps::None };
        if self.object["spec"]["strategy"]["blueGreen"].is_object() {
            // Still up within `scaleDownDelaySeconds`: a switch.
            return if to.is_alive() { Steps::Skipped("its pods are still up") } else { Steps::None };
        }
        if self.steps().is_empty() {
            return Steps::None;
        }
        let verified = revisions.iter().find(|one| one.has_pod_hash(&argo.verified));
        if verified.is_some_and(|verified| self.is_in_window(to, verified, revisions)) {
            return Steps::Skipped("it is within the rollback window");
        }
        Steps::Again(self.steps().len())
    }

    /// `rollbackWindow`: fewer revisions than that were made between the target and the verified one (the controller's `isRollbackWithinWindow`).
    fn is_in_window(&self, to: &Revision, verified: &Revision, revisions: &[Revision]) -> bool {
        let window =
            self.object.pointer("/spec/rollbackWindow/revisions").and_then(Value::as_u64).unwrap_or(0);
        let between = revisions
            .iter()
            .filter(|one| to.created_at < one.created_at && one.created_at < verified.created_at)
            .count();
        to.created_at < verified.created_at && u64::try_from(between).is_ok_and(|between| between < window)
    }

    /// What it waits for that never comes by itself.
    pub(super) fn waits_for_a_person(&self) -> Option<String> {
        let (spec, status) = (&self.object["spec"], &self.object["status"]);
        let reason = status.pointer("/pauseConditions/0/reason").and_then(Value::as_str).unwrap_or_default();
        let at = status["currentStepIndex"].as_u64().and_then(|at| usize::try_from(at).ok());
        let step = at.and_then(|at| self.steps().get(at));
        let endless = match reason {
            "CanaryPauseStep" => step.is_some_and(|step| step["pause"]["duration"].is_null()),
            "BlueGreenPause" => spec["strategy"]["blueGreen"]["autoPromotionSeconds"].is_null(),
            "InconclusiveAnalysisRun" | "InconclusiveExperiment" => true,
            _ => spec["paused"] == true,
        };
        let reason = if reason.is_empty() { "spec.paused" } else { reason };
        endless.then(|| {
            format!(
                "it pauses without an end ({reason}): `kubectl argo rollouts promote --full` lets it go on"
            )
        })
    }
}

/// What of a Rollout's steps a way back takes.
pub(super) enum Steps {
    /// There are none to take.
    None,
    /// They are skipped; why.
    Skipped(&'static str),
    /// So many are taken again, with their analyses.
    Again(usize),
}

/// A pause as a step says it: seconds, or a number with its unit; nothing where it has no end.
fn pause(of: &Value) -> Option<Duration> {
    if let Some(seconds) = of.as_i64() {
        return Some(Duration::from_secs(seconds));
    }
    let text = of.as_str()?;
    text.parse().map(Duration::from_secs).or_else(|_| text.parse::<Duration>()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pauses_are_read_as_the_controller_reads_them() {
        for (written, expected) in [
            (json!(30), Some(30)),
            (json!("30"), Some(30)),
            (json!("10m"), Some(600)),
            (json!("1h30m"), Some(5400)),
            (json!(null), None),
            (json!("soon"), None),
        ] {
            assert_eq!(pause(&written), expected.map(Duration::from_secs), "{written}");
        }
    }
}
