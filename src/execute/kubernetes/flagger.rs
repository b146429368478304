//! A Flagger canary over a workload: the workload is only the candidate, what serves is a copy, `NAME-primary`, that Flagger writes. What
//! goes out is taken back by Flagger itself, when its webhook asks us and a rollback is meant; what was promoted goes back by the candidate's
//! template, which Flagger puts out like any other. Leaves to the server the door at which Flagger asks.
//!
//! Facts: `flagger.app/v1beta1` and the controller of Flagger 1.4x (fluxcd/flagger, `pkg/controller/scheduler.go`, `webhook.go`).

use serde_json::Value;

use super::template::text;
use super::work::{How, Receipt, Way};
use super::workload::{Kind, Revision, Workload, moment};
use super::{Kubernetes, Site};
use crate::case::command::Progress;
use crate::case::id::{Duration, Handle, ReleaseId, Timestamp};
use crate::case::step::Act;
use crate::outbound::Trouble;

/// What Flagger adds to the names of what it copies.
const COPIED: &str = "-primary";
/// Where a pod's specification names ConfigMaps and Secrets, of which the copy names copies.
const NAMED: [&str; 6] =
    ["configMap", "configMapRef", "configMapKeyRef", "secret", "secretRef", "secretKeyRef"];
/// Flagger's own default between two of its turns.
const INTERVAL: Duration = Duration::from_mins(1);
/// An analysis of so many turns is none that we wait for.
const TURNS_MAX: i64 = 1000;

/// The canary.
pub(super) struct Canary {
    pub(super) namespace: String,
    pub(super) name: String,
    /// The release of the candidate's template.
    pub(super) wanted: ReleaseId,
    /// The revision of which what serves is a copy, where one is.
    pub(super) promoted: Option<Promoted>,
    object: Value,
}

/// What serves.
pub(super) struct Promoted {
    /// The ReplicaSet or ControllerRevision.
    pub(super) revision: String,
    pub(super) number: i64,
    pub(super) release: ReleaseId,
}

/// How the canary stands, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Analysed: its webhooks are asked at each turn.
    Analysed,
    /// Being written into what serves: too late to be asked.
    Promoted,
    /// What was wanted last serves.
    Serves,
    /// What was wanted last was taken back.
    TakenBack,
    /// Not set up yet, or being taken down.
    Elsewhere,
}

impl Canary {
    pub(super) fn stage(&self) -> Stage {
        match self.object.pointer("/status/phase").and_then(Value::as_str) {
            Some("Progressing" | "Waiting" | "WaitingPromotion") => Stage::Analysed,
            Some("Promoting" | "Finalising") => Stage::Promoted,
            Some("Initialized" | "Succeeded") => Stage::Serves,
            Some("Failed") => Stage::TakenBack,
            _ => Stage::Elsewhere,
        }
    }

    /// Since when it stands so.
    pub(super) fn since(&self) -> Option<Timestamp> {
        moment(&self.object["status"]["lastTransitionTime"])
    }

    /// Flagger's hash of the candidate that it works on.
    pub(super) fn applied(&self) -> &str {
        self.object.pointer("/status/lastAppliedSpec").and_then(Value::as_str).unwrap_or_default()
    }

    /// Its own checks failed, so that it was taken back by nobody's word.
    pub(super) fn failed_checks(&self) -> Option<String> {
        let failed = self.object.pointer("/status/failedChecks").and_then(Value::as_i64).unwrap_or_default();
        let most = self.analysis()["threshold"].as_i64().unwrap_or_default();
        (most > 0 && failed >= most)
            .then(|| format!("{failed} checks of {self} failed, and Flagger took the release back"))
    }

    /// A webhook asks us whether to go back: `…/flagger/NAMESPACE/CANARY/rollback`.
    pub(super) fn asks_us(&self) -> bool {
        let path = self.path();
        let hooks = self.analysis()["webhooks"].as_array().into_iter().flatten();
        hooks.filter(|hook| hook["type"] == "rollback").any(|hook| {
            let url = hook["url"].as_str().unwrap_or_default();
            url.split(['?', '#']).next().is_some_and(|url| url.ends_with(&path))
        })
    }

    /// Where it asks us.
    pub(super) fn path(&self) -> String {
        format!("/flagger/{}/{}/rollback", self.namespace, self.name)
    }

    /// Between two of Flagger's turns.
    pub(super) fn interval(&self) -> Duration {
        let said = self.analysis()["interval"].as_str().and_then(|said| said.parse::<Duration>().ok());
        said.filter(|said| *said > Duration::ZERO).unwrap_or(INTERVAL).min(Duration::from_hours(1))
    }

    /// How long an analysis lasts at least; nothing where none is made.
    pub(super) fn lasts(&self) -> Option<Duration> {
        if self.object["spec"]["skipAnalysis"] == true {
            return None;
        }
        let number = |name: &str| self.analysis()[name].as_i64().filter(|number| *number > 0);
        let by_weight = || Some(number("maxWeight").unwrap_or(100) / number("stepWeight")?);
        let steps = self.analysis()["stepWeights"].as_array().map(|steps| steps.len());
        let turns = number("iterations").or_else(by_weight);
        let turns = turns.or_else(|| i64::try_from(steps?).ok()).unwrap_or(10).min(TURNS_MAX);
        i32::try_from(turns).ok().map(|turns| self.interval() * (turns + 1))
    }

    /// `spec.analysis`, which was called otherwise before.
    fn analysis(&self) -> &Value {
        let spec = &self.object["spec"];
        if spec["analysis"].is_object() { &spec["analysis"] } else { &spec["canaryAnalysis"] }
    }
}

impl std::fmt::Display for Canary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Flagger canary {}/{}", self.namespace, self.name)
    }
}

impl Kubernetes {
    /// A workload with the canary that is over it, if there is one. Where the canary took its candidate back, the template is that of what
    /// serves.
    pub(super) async fn under_canary(&self, site: &Site, object: Value) -> Result<Workload, Trouble> {
        let mut workload = Workload { kind: site.kind, object, argo: None, canary: None };
        let Some(object) = self.canary_of(site).await? else { return Ok(workload) };
        let Some(name) = text(&object, "/metadata/name") else { return Ok(workload) };
        let wanted = workload.release();
        let copy = Site { name: format!("{}{COPIED}", site.name), ..site.clone() };
        let revisions = self.revisions(site, &workload).await?;
        let copied = self.cluster.read(&copy.path()).await?;
        let copied = copied.map(|copy| original(&copy["spec"]["template"]["spec"]));
        let serves = |one: &&Revision| copied.as_ref() == Some(&original(&one.template["spec"]));
        let promoted = revisions.iter().rev().find(serves);
        let canary = Canary {
            namespace: site.namespace.clone(),
            name,
            wanted,
            promoted: promoted.map(|one| Promoted {
                revision: one.name.clone(),
                number: one.number,
                release: one.release.clone(),
            }),
            object,
        };
        if let (Stage::TakenBack, Some(promoted)) = (canary.stage(), promoted) {
            workload.object["spec"]["template"] = promoted.template.clone();
        }
        workload.canary = Some(canary);
        Ok(workload)
    }

    /// The canary whose candidate this is.
    async fn canary_of(&self, site: &Site) -> Result<Option<Value>, Trouble> {
        if !matches!(site.kind, Kind::Deployment | Kind::DaemonSet) {
            return Ok(None);
        }
        let path = site.list("/apis/flagger.app/v1beta1", "canaries");
        let canaries = match self.cluster.list(&path, "").await {
            Ok(canaries) => canaries,
            // There is no Flagger here; or we may not look, which the doctor says.
            Err(Trouble::Refused(_)) => return Ok(None),
            Err(other) => return Err(other),
        };
        let is_its = |canary: &Value| {
            let target = &canary["spec"]["targetRef"];
            let kind = target["kind"].as_str().unwrap_or_default();
            kind.eq_ignore_ascii_case(site.kind.word()) && target["name"] == *site.name
        };
        Ok(canaries.into_iter().find(is_its))
    }

    /// Whether Flagger, which asks for this canary, shall go back: the rollback that is under way is about what it analyses now.
    pub(in crate::execute) async fn flagger_shall_go_back(&self, act: &Act) -> Result<bool, Trouble> {
        let way = Way::of(act)?;
        let How::Gate { over, .. } = &way.how else { return Ok(false) };
        let Some(workload) = self.workload(&way.site).await? else { return Ok(false) };
        let canary = workload.canary.as_ref().filter(|_| workload.uid() == way.uid);
        Ok(canary.is_some_and(|canary| canary.applied() == over && canary.stage() == Stage::Analysed))
    }

    /// The gate is open as long as its act is under way; nothing is sent to anybody.
    pub(super) fn open_gate(workload: &Workload, over: &str, handle: Handle) -> Result<Handle, Trouble> {
        let canary = workload.canary.as_ref().filter(|canary| canary.applied() == over);
        match canary.map(|canary| (canary, canary.stage())) {
            Some((canary, Stage::Analysed)) if canary.asks_us() => Ok(handle),
            Some((canary, Stage::Analysed)) => Err(Trouble::Refused(canary.wants_a_webhook())),
            Some(_) | None => Err(Trouble::Moved("what Flagger analysed is promoted or replaced".into())),
        }
    }

    /// How it goes on at the gate, until Flagger has taken its candidate back.
    pub(super) fn follow_gate(receipt: &Receipt, over: &str, workload: &Workload) -> Progress {
        let site = &receipt.site;
        let Some(canary) = workload.canary.as_ref().filter(|canary| canary.applied() == over) else {
            return Progress::Superseded(format!("Flagger has something else of {site} now"));
        };
        match canary.stage() {
            Stage::Analysed => Progress::Running(format!(
                "Flagger asks at its next turn whether to go back, every {:#}",
                canary.interval()
            )),
            Stage::TakenBack if workload.release() == receipt.to => Progress::Serving(receipt.to.clone()),
            Stage::TakenBack => Progress::NeedsHuman {
                why: format!("{canary} went back, and no revision of {site} is what serves now"),
                url: None,
            },
            Stage::Promoted | Stage::Serves | Stage::Elsewhere => {
                Progress::Superseded(format!("{canary} promoted it first"))
            }
        }
    }

    /// How a candidate's undo stands: Flagger decides when it serves. A phase from before the template was written says nothing of it.
    pub(super) fn put_out_by_flagger(receipt: &Receipt, workload: &Workload, canary: &Canary) -> Progress {
        let written_at = workload.template_written().map(|(at, _)| at);
        let is_of_before = match (canary.since(), written_at) {
            (Some(since), Some(written_at)) => since < written_at,
            (None, _) | (_, None) => true,
        };
        match canary.stage() {
            Stage::Serves if !is_of_before => Progress::Serving(receipt.to.clone()),
            Stage::TakenBack if !is_of_before => Progress::Failed(
                canary.failed_checks().unwrap_or_else(|| format!("{canary} took the way back away again")),
            ),
            Stage::Analysed | Stage::Promoted | Stage::Serves | Stage::TakenBack => {
                Progress::Running(format!("{canary} analyses it"))
            }
            Stage::Elsewhere => {
                Progress::NeedsHuman { why: format!("{canary} is being taken down"), url: None }
            }
        }
    }
}

impl Canary {
    /// What somebody has to add, that Flagger can be told to go back.
    pub(super) fn wants_a_webhook(&self) -> String {
        format!("{self} does not ask us: add a webhook of type rollback that leads to …{}", self.path())
    }
}

/// A pod's specification with the names of which Flagger names copies.
fn original(spec: &Value) -> Value {
    let mut spec = spec.clone();
    rename(&mut spec, "");
    spec
}

fn rename(value: &mut Value, under: &str) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                let names = NAMED.contains(&under) && ["name", "secretName"].contains(&key.as_str());
                if let (true, Some(short)) =
                    (names, inner.as_str().and_then(|name| name.strip_suffix(COPIED)))
                {
                    *inner = short.into();
                } else {
                    rename(inner, if under == "matchLabels" { under } else { key });
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| rename(inner, under)),
        // The label of its pods in affinities and spreads: `matchLabels` and the `values` of `matchExpressions`.
        Value::String(label) if ["matchLabels", "values"].contains(&under) => {
            if let Some(short) = label.strip_suffix(COPIED) {
                *label = short.to_owned();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_copy_is_known_by_what_it_copies() {
        let spec = |end: &str| {
            json!({
                "containers": [{ "name": "web-primary", "envFrom": [{ "configMapRef": { "name": format!("settings{end}") } }] }],
                "affinity": { "podAntiAffinity": { "labelSelector": {
                    "matchExpressions": [{ "key": "app", "operator": "In", "values": [format!("checkout{end}")] }],
                    "matchLabels": { "app": format!("checkout{end}") },
                } } },
                "volumes": [{ "name": "keys", "secret": { "secretName": format!("keys{end}") } }],
            })
        };
        assert_eq!(original(&spec("-primary")), original(&spec("")));
        assert_eq!(original(&spec(""))["containers"][0]["name"], "web-primary", "a container is no copy");
    }
}
