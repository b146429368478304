//! The pods of a workload: which revision each belongs to, and what keeps it from being ready. Leaves to `diagnosis` what is shown of it
//! to people, and to `history` what of it is reported.

use serde_json::Value;

use super::argo::pod_hash;
use super::template::text;
use super::workload::{Kind, Revision, Workload, moment};
use super::{Kubernetes, Site};
use crate::case::id::Timestamp;
use crate::outbound::Trouble;

/// Reasons for which the kubelet holds a container back that are no matter of time (kubelet's `images/types.go`, `container/sync_result.go`,
/// `kuberuntime/kuberuntime_container.go`).
const FAILING: [&str; 9] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// One pod.
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) object: Value,
}

/// A container that fails.
pub(super) struct Failing {
    pub(super) container: String,
    /// The kubelet's word.
    pub(super) reason: String,
    pub(super) message: String,
    /// It ran before: its last log is that of the run that ended.
    pub(super) ran_before: bool,
}

impl Pod {
    pub(super) fn of(object: Value) -> Option<Pod> {
        Some(Pod { name: text(&object, "/metadata/name")?, object })
    }

    /// Whether it runs this revision's template.
    pub(super) fn is_of(&self, kind: Kind, revision: &Revision) -> bool {
        let label = |name: &str| text(&self.object, &format!("/metadata/labels/{name}"));
        match kind {
            Kind::Deployment => {
                let own = text(&revision.object, "/metadata/labels/pod-template-hash");
                own.is_some() && label("pod-template-hash") == own
            }
            Kind::Rollout => pod_hash(&self.object).is_some_and(|hash| revision.has_pod_hash(&hash)),
            // A StatefulSet's pods carry the revision's name, a DaemonSet's its last part.
            Kind::StatefulSet | Kind::DaemonSet => label("controller-revision-hash")
                .is_some_and(|hash| revision.name == hash || revision.name.ends_with(&format!("-{hash}"))),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready_condition().is_some_and(|condition| condition["status"] == "True")
    }

    /// Since when it is ready.
    pub(super) fn ready_since(&self) -> Option<Timestamp> {
        let condition = self.ready_condition().filter(|condition| condition["status"] == "True")?;
        moment(&condition["lastTransitionTime"])
    }

    /// Since when it is not ready.
    pub(super) fn unready_since(&self) -> Option<Timestamp> {
        let condition = self.ready_condition().filter(|condition| condition["status"] != "True");
        let since = condition.and_then(|condition| moment(&condition["lastTransitionTime"]));
        since.or_else(|| moment(&self.object["metadata"]["creationTimestamp"]))
    }

    fn ready_condition(&self) -> Option<&Value> {
        let conditions = self.object.pointer("/status/conditions")?.as_array()?;
        conditions.iter().find(|condition| condition["type"] == "Ready")
    }

    /// The first of its containers that fails.
    pub(super) fn failing(&self) -> Option<Failing> {
        let of = |kind: &str| self.object["status"][kind].as_array().into_iter().flatten();
        of("initContainerStatuses").chain(of("containerStatuses")).find_map(|status| {
            let waiting = &status["state"]["waiting"];
            let reason = waiting["reason"].as_str().filter(|reason| FAILING.contains(reason))?;
            let last = &status["lastState"]["terminated"];
            let mut message = waiting["message"].as_str().unwrap_or_default().to_owned();
            if let Some(code) = last["exitCode"].as_i64() {
                let why = last["reason"].as_str().unwrap_or("Error");
                message = format!("its last run ended with {code} ({why}). {message}");
            }
            Some(Failing {
                container: status["name"].as_str().unwrap_or_default().to_owned(),
                reason: reason.to_owned(),
                message: message.trim().chars().take(300).collect(),
                ran_before: last.is_object(),
            })
        })
    }
}

impl Kubernetes {
    /// The pods that the workload's selector finds.
    pub(super) async fn pods(&self, site: &Site, of: &Workload) -> Result<Vec<Pod>, Trouble> {
        let listed = self.cluster.list(&site.list("/api/v1", "pods"), &of.selector()).await?;
        Ok(listed.into_iter().filter_map(Pod::of).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_that_is_only_slow_does_not_fail() {
        let pod = |status: Value| {
            Pod::of(json!({ "metadata": { "name": "web-1" }, "status": { "containerStatuses": [status] } }))
                .expect("a pod")
        };
        assert!(
            pod(json!({ "name": "web", "state": { "waiting": { "reason": "ContainerCreating" } } }))
                .failing()
                .is_none()
        );
        assert!(pod(json!({ "name": "web", "state": { "running": {} } })).failing().is_none());
        let looping = pod(json!({
            "name": "web", "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 40s" } },
            "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled" } },
        }));
        let failing = looping.failing().expect("it fails");
        assert_eq!((failing.reason.as_str(), failing.ran_before), ("CrashLoopBackOff", true));
        assert_eq!(failing.message, "its last run ended with 137 (OOMKilled). back-off 40s");
    }
}
