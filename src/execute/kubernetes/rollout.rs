//! How a rollout stands: the whole rule of `kubectl rollout status` (kubectl's `polymorphichelpers/rollout_status.go`), read off one
//! object. Right after a template is written its status is still that of the rollout before: without the observed generation it
//! would say done.

use serde_json::Value;

use super::flagger::Stage;
use super::workload::{Kind, Workload, moment};
use crate::case::id::Timestamp;

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rollout {
    /// Every pod that shall be there runs the template and is available.
    Done,
    /// Under way; how far.
    GoingOn(String),
    /// It made no progress for as long as its specification allows; what the controller says.
    Stuck(String),
    /// It never ends by itself.
    ByHand(String),
}

impl Workload {
    /// How the rollout of its template stands.
    pub(super) fn rollout(&self) -> Rollout {
        if self.kind != Kind::Rollout && self.count("observedGeneration") < self.generation() {
            return Rollout::GoingOn("its controller has not taken up the template yet".into());
        }
        match self.kind {
            Kind::Deployment => self.of_deployment(),
            Kind::StatefulSet => self.of_stateful_set(),
            Kind::DaemonSet => self.of_daemon_set(),
            Kind::Rollout => self.of_argo(),
        }
    }

    /// The phase that its controller tells; that it has taken up what is wanted was seen when it was read.
    fn of_argo(&self) -> Rollout {
        let phase = self.revision("phase");
        let says = self.object["status"]["message"].as_str().unwrap_or(phase).to_owned();
        match (phase, self.waits_for_a_person()) {
            ("Healthy", _) if self.is_verified() => Rollout::Done,
            ("Degraded", _) => Rollout::Stuck(says),
            ("Paused", Some(why)) => Rollout::ByHand(why),
            _ => Rollout::GoingOn(says),
        }
    }

    /// Of a Rollout: what is wanted went through its steps.
    pub(super) fn is_verified(&self) -> bool {
        self.argo.as_ref().is_some_and(|argo| argo.wanted == argo.verified)
    }

    fn of_deployment(&self) -> Rollout {
        if let Some(condition) = self.condition("Progressing")
            && condition["reason"] == "ProgressDeadlineExceeded"
        {
            let says = condition["message"].as_str().unwrap_or("it exceeded its progress deadline");
            return Rollout::Stuck(says.to_owned());
        }
        let (wanted, updated) = (self.replicas(), self.count("updatedReplicas"));
        let (all, available) = (self.count("replicas"), self.count("availableReplicas"));
        if updated < wanted {
            return Rollout::GoingOn(format!("{updated} of {wanted} pods have the template"));
        }
        if all > updated {
            return Rollout::GoingOn(format!("{} pods of before are still there", all - updated));
        }
        if available < updated {
            return Rollout::GoingOn(format!("{available} of {updated} pods are available"));
        }
        Rollout::Done
    }

    fn of_stateful_set(&self) -> Rollout {
        if self.strategy() == "OnDelete" {
            return by_hand();
        }
        let (wanted, ready) = (self.replicas(), self.count("readyReplicas"));
        if ready < wanted {
            return Rollout::GoingOn(format!("{ready} of {wanted} pods are ready"));
        }
        let partition = self.object.pointer("/spec/updateStrategy/rollingUpdate/partition");
        let partition = partition.and_then(Value::as_i64).unwrap_or_default();
        if partition > 0 {
            let (updated, of) = (self.count("updatedReplicas"), (wanted - partition).max(0));
            if updated < of {
                return Rollout::GoingOn(format!(
                    "{updated} of {of} pods beyond the partition have the template"
                ));
            }
            return Rollout::Done;
        }
        if self.revision("updateRevision") != self.revision("currentRevision") {
            let updated = self.count("updatedReplicas");
            return Rollout::GoingOn(format!("{updated} of {wanted} pods have the template"));
        }
        Rollout::Done
    }

    fn of_daemon_set(&self) -> Rollout {
        if self.strategy() == "OnDelete" {
            return by_hand();
        }
        let wanted = self.count("desiredNumberScheduled");
        let updated = self.count("updatedNumberScheduled");
        if updated < wanted {
            return Rollout::GoingOn(format!("{updated} of {wanted} pods have the template"));
        }
        let available = self.count("numberAvailable");
        if available < wanted {
            return Rollout::GoingOn(format!("{available} of {wanted} pods are available"));
        }
        Rollout::Done
    }

    /// When it went out whole; nothing while it has not. What becomes of its pods later is no matter of the rollout. Only a Deployment notes
    /// the moment: of the others it is when the last of their pods became ready.
    pub(super) fn went_out_at(&self, last_ready: Timestamp) -> Option<Timestamp> {
        if self.kind == Kind::Rollout {
            return self.is_verified().then_some(last_ready);
        }
        if let Some(canary) = &self.canary {
            return (canary.stage() == Stage::Serves).then(|| canary.since().unwrap_or(last_ready));
        }
        if self.count("observedGeneration") < self.generation() {
            return None;
        }
        if self.kind != Kind::Deployment {
            return (self.rollout() == Rollout::Done).then_some(last_ready);
        }
        let condition = self.condition("Progressing")?;
        let (updated, all) = (self.count("updatedReplicas"), self.count("replicas"));
        let whole = condition["reason"] == "NewReplicaSetAvailable" && all <= updated;
        whole.then(|| moment(&condition["lastUpdateTime"]).unwrap_or(last_ready))
    }

    /// So many pods shall be there.
    pub(super) fn replicas(&self) -> i64 {
        match self.kind {
            Kind::DaemonSet => self.count("desiredNumberScheduled"),
            Kind::Deployment | Kind::StatefulSet | Kind::Rollout => {
                self.object["spec"]["replicas"].as_i64().unwrap_or(1)
            }
        }
    }

    /// So many are ready.
    pub(super) fn ready(&self) -> i64 {
        self.count(match self.kind {
            Kind::DaemonSet => "numberReady",
            Kind::Deployment | Kind::StatefulSet | Kind::Rollout => "readyReplicas",
        })
    }

    pub(super) fn condition(&self, of: &str) -> Option<&Value> {
        let conditions = self.object.pointer("/status/conditions")?.as_array()?;
        conditions.iter().find(|condition| condition["type"] == of)
    }

    fn count(&self, of: &str) -> i64 {
        self.object["status"][of].as_i64().unwrap_or_default()
    }

    /// The revision that its status names.
    pub(super) fn revision(&self, of: &str) -> &str {
        self.object["status"][of].as_str().unwrap_or_default()
    }

    fn strategy(&self) -> &str {
        self.object.pointer("/spec/updateStrategy/type").and_then(Value::as_str).unwrap_or_default()
    }
}

fn by_hand() -> Rollout {
    Rollout::ByHand(
        "its update strategy is OnDelete: each pod takes up the template when somebody deletes it".into(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(kind: Kind, spec: Value, status: Value) -> Workload {
        Workload {
            kind,
            object: json!({ "metadata": { "generation": 5 }, "spec": spec, "status": status }),
            argo: None,
            canary: None,
        }
    }

    fn word(rollout: &Rollout) -> &'static str {
        match rollout {
            Rollout::Done => "done",
            Rollout::GoingOn(_) => "goes on",
            Rollout::Stuck(_) => "stuck",
            Rollout::ByHand(_) => "by hand",
        }
    }

    #[test]
    fn every_line_of_the_rule_counts() {
        let whole = json!({ "observedGeneration": 5, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3,
            "conditions": [{ "type": "Progressing", "reason": "NewReplicaSetAvailable" }] });
        let with = |change: Value| {
            let mut status = whole.clone();
            let changes = change.as_object().expect("a map").clone();
            status.as_object_mut().expect("a map").extend(changes);
            status
        };
        let late = json!({ "conditions": [{ "type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "late" }] });
        for (what, change, expected) in [
            ("nothing", json!({}), "done"),
            ("the status of before", json!({ "observedGeneration": 4 }), "goes on"),
            ("too few new", json!({ "updatedReplicas": 2 }), "goes on"),
            ("old ones left", json!({ "replicas": 4 }), "goes on"),
            ("not available", json!({ "availableReplicas": 2 }), "goes on"),
            ("its deadline", late.clone(), "stuck"),
            (
                "its deadline, of before",
                json!({ "observedGeneration": 4, "conditions": late["conditions"] }),
                "goes on",
            ),
        ] {
            let rollout = of(Kind::Deployment, json!({ "replicas": 3 }), with(change)).rollout();
            assert_eq!(word(&rollout), expected, "{what}: {rollout:?}");
        }
        let set = |spec: Value, status: Value| word(&of(Kind::StatefulSet, spec, status).rollout());
        let rolling = json!({ "replicas": 3, "updateStrategy": { "type": "RollingUpdate" } });
        let status = |ready: i64, updated: i64, current: &str| {
            json!({ "observedGeneration": 5, "readyReplicas": ready,
            "updatedReplicas": updated, "currentRevision": current, "updateRevision": "web-2" })
        };
        assert_eq!(set(rolling.clone(), status(3, 3, "web-2")), "done");
        assert_eq!(set(rolling.clone(), status(2, 3, "web-2")), "goes on");
        assert_eq!(set(rolling, status(3, 2, "web-1")), "goes on");
        let parted = json!({ "replicas": 3, "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 2 } } });
        assert_eq!(set(parted.clone(), status(3, 1, "web-1")), "done");
        assert_eq!(set(parted, status(3, 0, "web-1")), "goes on");
        assert_eq!(
            set(json!({ "replicas": 3, "updateStrategy": { "type": "OnDelete" } }), status(3, 3, "web-2")),
            "by hand"
        );
        let daemon = |updated: i64, available: i64| {
            word(&of(Kind::DaemonSet, json!({ "updateStrategy": { "type": "RollingUpdate" } }),
            json!({ "observedGeneration": 5, "desiredNumberScheduled": 2, "updatedNumberScheduled": updated, "numberAvailable": available })).rollout())
        };
        assert_eq!((daemon(2, 2), daemon(1, 2), daemon(2, 1)), ("done", "goes on", "goes on"));
    }
}
