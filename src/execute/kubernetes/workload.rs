//! A workload as the API shows it: its kinds, where its parts stand, and the revisions that its history holds. Leaves to `rollout`
//! how it goes on, and to `template` what a pod template is.

use serde_json::Value;

use super::argo::Argo;
use super::flagger::Canary;
use super::template::{self, PREFIX, escaped, text};
use super::{Kubernetes, Site};
use crate::case::id::{Mark, ReleaseId, Timestamp};
use crate::outbound::{CallError, Trouble};

/// What has pods and a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
    /// A Rollout of Argo Rollouts.
    Rollout,
}

/// Every kind.
const KINDS: [Kind; 4] = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::Rollout];

impl Kind {
    /// The word in the configuration, and kubectl's.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Deployment => "deployment",
            Kind::StatefulSet => "statefulset",
            Kind::DaemonSet => "daemonset",
            Kind::Rollout => "rollout",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Kind> {
        KINDS.into_iter().find(|kind| kind.word() == word)
    }

    /// The kind of an object of a manifest, if it is one of Kubernetes' own.
    pub(in crate::execute) fn of_object(object: &Value) -> Option<Kind> {
        let version = object["apiVersion"].as_str()?;
        let kind = object["kind"].as_str()?;
        let of_apps = version == "apps/v1";
        [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet]
            .into_iter()
            .find(|one| of_apps && kind.to_ascii_lowercase() == one.word())
    }

    /// The resource in a path and in rights.
    pub(super) fn resource(self) -> &'static str {
        match self {
            Kind::Deployment => "deployments",
            Kind::StatefulSet => "statefulsets",
            Kind::DaemonSet => "daemonsets",
            Kind::Rollout => "rollouts",
        }
    }

    /// The group of the API that it belongs to.
    pub(super) fn group(self) -> &'static str {
        match self {
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => "apps",
            Kind::Rollout => "argoproj.io",
        }
    }

    /// The root of its paths.
    pub(super) fn root(self) -> &'static str {
        match self {
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => "/apis/apps/v1",
            Kind::Rollout => "/apis/argoproj.io/v1alpha1",
        }
    }

    /// What its history consists of.
    pub(super) fn history(self) -> &'static str {
        match self {
            Kind::Deployment | Kind::Rollout => "replicasets",
            Kind::StatefulSet | Kind::DaemonSet => "controllerrevisions",
        }
    }
}

impl Site {
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.list(self.kind.root(), self.kind.resource()), self.name)
    }

    pub(super) fn list(&self, group: &str, resource: &str) -> String {
        format!("{group}/namespaces/{}/{resource}", self.namespace)
    }
}

/// The annotations that a rollback of ours leaves on the object. The controllers copy them to revisions of others too: they count
/// for the release that they name.
pub(super) const MARK: &str = "rollback-mark";
pub(super) const TO: &str = "rolled-back-to";
pub(super) const FROM: &str = "rolled-back-from";
pub(super) const AT: &str = "rolled-back-at";

/// A workload that is there.
pub(super) struct Workload {
    pub(super) kind: Kind,
    pub(super) object: Value,
    /// What Argo's controller notes, of a Rollout.
    pub(super) argo: Option<Argo>,
    /// The canary whose candidate it is.
    pub(super) canary: Option<Canary>,
}

impl Workload {
    pub(super) fn uid(&self) -> &str {
        self.object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default()
    }

    /// Rises with every change of the specification, and never by what the controllers report.
    pub(super) fn generation(&self) -> i64 {
        self.object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default()
    }

    /// Rises with whatever is written.
    pub(super) fn version(&self) -> &str {
        self.object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn template(&self) -> &Value {
        &self.object["spec"]["template"]
    }

    /// What shall run there: it serves, or is going out.
    pub(super) fn release(&self) -> ReleaseId {
        template::release_id(self.template())
    }

    /// A paused Deployment takes up no template until somebody resumes it.
    pub(super) fn is_paused(&self) -> bool {
        self.object["spec"]["paused"].as_bool().unwrap_or(false)
    }

    /// Somebody deletes it.
    pub(super) fn is_leaving(&self) -> bool {
        !self.object["metadata"]["deletionTimestamp"].is_null()
    }

    /// What keeps a template from reaching the pods, whatever is written.
    pub(super) fn bar(&self) -> Option<String> {
        if self.is_leaving() {
            return Some("it is being deleted".into());
        }
        self.is_paused().then(|| "it is paused: resume it first".into())
    }

    /// The labels of its pods, as a selector.
    pub(super) fn selector(&self) -> String {
        selector(&self.object["spec"]["selector"])
    }

    /// When somebody last wrote the template, and under which name, as the API notes it for each writer (`managedFields`); of those who
    /// only restart or annotate it too.
    pub(super) fn template_written(&self) -> Option<(Timestamp, &str)> {
        let fields = self.object.pointer("/metadata/managedFields")?.as_array()?;
        let of_template =
            fields.iter().filter(|entry| entry.pointer("/fieldsV1/f:spec/f:template").is_some());
        let written =
            of_template.filter_map(|entry| Some((moment(&entry["time"])?, entry["manager"].as_str()?)));
        written.max()
    }
}

/// The mark on an object, where it counts for this release.
pub(super) fn mark(object: &Value, release: &ReleaseId) -> Option<Mark> {
    let to = annotation(object, &format!("{PREFIX}{TO}"))?;
    let mark = annotation(object, &format!("{PREFIX}{MARK}"))?;
    (to == release.as_str()).then(|| Mark::new(mark))
}

/// Whether the object of this uid controls that one.
pub(super) fn is_controlled_by(object: &Value, owner: &str) -> bool {
    let mut owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.any(|one| one["controller"].as_bool() == Some(true) && one["uid"] == owner)
}

pub(super) fn annotation(object: &Value, name: &str) -> Option<String> {
    text(object, &format!("/metadata/annotations/{}", escaped(name)))
}

pub(super) fn moment(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// A `LabelSelector` as a query writes it.
fn selector(of: &Value) -> String {
    let equal = of["matchLabels"].as_object().into_iter().flatten();
    let mut parts: Vec<String> =
        equal.filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?))).collect();
    for rule in of["matchExpressions"].as_array().into_iter().flatten() {
        let name = rule["key"].as_str().unwrap_or_default();
        let values: Vec<&str> =
            rule["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let values = values.join(",");
        parts.push(match rule["operator"].as_str() {
            Some("In") => format!("{name} in ({values})"),
            Some("NotIn") => format!("{name} notin ({values})"),
            Some("DoesNotExist") => format!("!{name}"),
            _ => name.to_owned(),
        });
    }
    parts.join(",")
}

/// One revision of its history: a ReplicaSet or a ControllerRevision.
pub(super) struct Revision {
    /// The object's name: it stays when the number is given anew.
    pub(super) name: String,
    /// The number, as `kubectl rollout history` shows it.
    pub(super) number: i64,
    /// The numbers that it had before it was taken up again.
    pub(super) before: Vec<i64>,
    pub(super) created_at: Timestamp,
    pub(super) template: Value,
    pub(super) release: ReleaseId,
    pub(super) object: Value,
}

impl Revision {
    /// Reads a revision that this object controls.
    fn of(object: Value, owner: &str, kind: Kind) -> Option<Revision> {
        if !is_controlled_by(&object, owner) {
            return None;
        }
        let whose = if kind == Kind::Rollout { "rollout.argoproj.io" } else { "deployment.kubernetes.io" };
        let numbered = |name: &str| annotation(&object, &format!("{whose}/{name}"));
        let (number, before, template) = match kind {
            // The number is a text there, and moves on when an old ReplicaSet is taken up again
            // (kubernetes/kubernetes#51315).
            Kind::Deployment | Kind::Rollout => {
                let before = numbered("revision-history").unwrap_or_default();
                let before = before.split(',').filter_map(|number| number.trim().parse().ok()).collect();
                (numbered("revision")?.parse().ok()?, before, &object["spec"]["template"])
            }
            Kind::StatefulSet | Kind::DaemonSet => {
                (object["revision"].as_i64()?, Vec::new(), object.pointer("/data/spec/template")?)
            }
        };
        let template = template::bare(template);
        Some(Revision {
            name: text(&object, "/metadata/name")?,
            number,
            before,
            created_at: moment(&object["metadata"]["creationTimestamp"])?,
            release: template::release_id(&template),
            template,
            object,
        })
    }
}

impl Kubernetes {
    /// The workload, if it is there.
    pub(super) async fn workload(&self, site: &Site) -> Result<Option<Workload>, Trouble> {
        let Some(object) = self.object(site).await? else { return Ok(None) };
        let Some(workload) = self.workload_of(site, object).await? else {
            let why = format!("{site}: its controller has not taken up what is wanted yet");
            return Err(Trouble::Busy { why, after: None });
        };
        Ok(Some(workload))
    }

    /// Its object, if it is there.
    pub(super) async fn object(&self, site: &Site) -> Result<Option<Value>, Trouble> {
        let Some(object) = self.cluster.read(&site.path()).await? else { return Ok(None) };
        let spec = &object["spec"];
        let has_template = spec["template"].is_object() || spec["workloadRef"].is_object();
        if has_template && object["metadata"]["uid"].is_string() {
            return Ok(Some(object));
        }
        let said = "the answer holds no pod template".to_owned();
        Err(CallError::Answer { doing: format!("read {site}"), said }.into())
    }

    /// The workload that an object is; nothing while Argo's controller has not taken it up.
    pub(super) async fn workload_of(&self, site: &Site, object: Value) -> Result<Option<Workload>, Trouble> {
        match site.kind {
            Kind::Rollout => self.taken_up(site, object).await,
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => {
                self.under_canary(site, object).await.map(Some)
            }
        }
    }

    /// The workload, which must be there.
    pub(super) async fn workload_there(&self, site: &Site) -> Result<Workload, Trouble> {
        self.workload(site).await?.ok_or_else(|| Trouble::Refused(format!("there is no {site}")))
    }

    /// What its history holds, oldest first.
    pub(super) async fn revisions(&self, site: &Site, of: &Workload) -> Result<Vec<Revision>, Trouble> {
        let path = site.list("/apis/apps/v1", site.kind.history());
        let listed = self.cluster.list(&path, &of.selector()).await?;
        let mut revisions: Vec<Revision> =
            listed.into_iter().filter_map(|object| Revision::of(object, of.uid(), site.kind)).collect();
        revisions.sort_by_key(|revision| revision.number);
        Ok(revisions)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_is_written_as_a_query_takes_it() {
        let of = json!({
            "matchLabels": { "app": "checkout" },
            "matchExpressions": [
                { "key": "tier", "operator": "In", "values": ["a", "b"] },
                { "key": "old", "operator": "DoesNotExist" },
                { "key": "team", "operator": "Exists" },
                { "key": "zone", "operator": "NotIn", "values": ["x"] },
            ],
        });
        assert_eq!(selector(&of), "app=checkout,tier in (a,b),!old,team,zone notin (x)");
    }

    #[test]
    fn a_mark_counts_for_the_release_that_it_names() {
        let object = json!({ "metadata": { "annotations": {
            "snapback.dev/rollback-mark": "snapback/abc", "snapback.dev/rolled-back-to": "template:1",
        } } });
        assert_eq!(mark(&object, &ReleaseId::new("template:1")), Some(Mark::new("snapback/abc")));
        assert_eq!(mark(&object, &ReleaseId::new("template:2")), None, "copied to another's revision");
    }
}
