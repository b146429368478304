//! An Application as Argo CD tells it: its history, what is under way, what Git asks for, and our note on it. Facts: the types of
//! `pkg/apis/application/v1alpha1` and `controller/state.go` of Argo CD 3.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::case::digest::Canon;
use crate::case::id::{Mark, ReleaseId, Timestamp};

/// The annotation that we keep on an Application.
pub(super) const NOTE: &str = "snapback.dev/rollbacks";
/// Marks that are kept: Argo CD's own default of `revisionHistoryLimit`.
const MARKS_MAX: usize = 10;
/// Of a revision so many characters are shown.
const SHORT: usize = 8;

/// An Application, read.
#[derive(Clone, Debug)]
pub(super) struct Application {
    object: Value,
}

/// What was put out: the revision of every source with all that was said about that source but the branch that it was found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) revisions: Vec<String>,
    pub(super) sources: Vec<Value>,
}

/// One entry of the history: a sync of everything that succeeded.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its number, which grows by one and outlives a truncated history.
    pub(super) id: i64,
    pub(super) content: Content,
    pub(super) release: ReleaseId,
    pub(super) started_at: Timestamp,
    pub(super) finished_at: Timestamp,
    pub(super) by: Option<String>,
}

/// The last operation that the controller took up.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) phase: Phase,
    pub(super) message: String,
    pub(super) started_at: Timestamp,
    pub(super) finished_at: Option<Timestamp>,
    /// What it puts out; unknown before the controller has resolved it.
    pub(super) release: Option<ReleaseId>,
    pub(super) content: Option<Content>,
    pub(super) by: Option<String>,
    /// Only some resources: it never enters the history.
    pub(super) is_partial: bool,
    /// Somebody has told it to end.
    pub(super) is_ending: bool,
    /// At least one resource was applied.
    pub(super) has_applied: bool,
    /// What went wrong with single resources.
    pub(super) complaints: Vec<String>,
}

/// How an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// `Running`, `Terminating`, and whatever a newer Argo CD may call what is not over.
    UnderWay,
    Succeeded,
    /// `Failed`, `Error`.
    Failed,
}

/// What we keep on an Application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// The newest last.
    #[serde(default)]
    pub(super) marks: Vec<Marked>,
    /// The `automated` of before, where we switched it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) auto_sync: Option<Value>,
}

/// A rollback of ours: the first entry after this one that holds this release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marked {
    pub(super) mark: String,
    pub(super) after: i64,
    pub(super) to: String,
}

impl Note {
    /// The same with one more.
    pub(super) fn with(mut self, marked: Marked) -> Note {
        self.marks.push(marked);
        let beyond = self.marks.len().saturating_sub(MARKS_MAX);
        self.marks.drain(..beyond);
        self
    }

    /// Whether a rollback with this mark was begun.
    pub(super) fn has(&self, mark: &Mark) -> bool {
        self.marks.iter().any(|marked| marked.mark == mark.as_str())
    }

    /// As the annotation holds it.
    pub(super) fn text(&self) -> String {
        json!(self).to_string()
    }
}

impl Content {
    pub(super) fn release(&self) -> ReleaseId {
        let mut canon = Canon::new("argocd");
        for revision in &self.revisions {
            canon.text("revision", revision);
        }
        for source in &self.sources {
            let mut source = source.clone();
            // Where a branch leads is the revision.
            if let Some(fields) = source.as_object_mut() {
                fields.remove("targetRevision");
            }
            source.sort_all_objects();
            canon.text("source", &source.to_string());
        }
        ReleaseId::new(format!("argocd:{}", &canon.digest().as_str()[..24]))
    }

    /// What people call it.
    pub(super) fn called(&self) -> String {
        let each = self.revisions.iter().zip(self.sources.iter().map(Some).chain(std::iter::repeat(None)));
        let each = each.map(|(revision, source)| {
            let chart = source.and_then(|source| source["chart"].as_str()).filter(|chart| !chart.is_empty());
            match chart {
                Some(chart) => format!("{chart} {revision}"),
                None => short(revision),
            }
        });
        each.collect::<Vec<_>>().join(" + ")
    }

    /// The one commit, where there is one.
    pub(super) fn commit(&self) -> Option<&str> {
        self.revisions.iter().map(String::as_str).find(|revision| is_commit(revision))
    }
}

/// A commit, and no version of a chart.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn short(revision: &str) -> String {
    if is_commit(revision) { revision.chars().take(SHORT).collect() } else { revision.to_owned() }
}

impl Application {
    /// Reads one; refuses what is none.
    pub(super) fn of(object: Value) -> Option<Application> {
        let named = object.pointer("/metadata/name").and_then(Value::as_str).is_some();
        (named && object["spec"].is_object()).then_some(Application { object })
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    pub(super) fn is_called(&self, name: &str) -> bool {
        self.text("/metadata/name") == Some(name)
    }

    pub(super) fn uid(&self) -> &str {
        self.text("/metadata/uid").unwrap_or_default()
    }

    pub(super) fn is_going_away(&self) -> bool {
        self.text("/metadata/deletionTimestamp").is_some()
    }

    pub(super) fn project(&self) -> &str {
        self.text("/spec/project").unwrap_or("default")
    }

    /// Who makes it anew, and may switch auto-sync on again.
    pub(super) fn maker(&self) -> Option<String> {
        let owners = self.object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let set = owners.into_iter().flatten().find(|owner| owner["kind"] == "ApplicationSet");
        if let Some(name) = set.and_then(|set| set["name"].as_str()) {
            return Some(format!("ApplicationSet {name}"));
        }
        let tracked = self.text("/metadata/annotations/argocd.argoproj.io~1tracking-id")?;
        Some(format!("Argo CD application {}", tracked.split(':').next().unwrap_or(tracked)))
    }

    /// `spec.syncPolicy.automated`, on or off.
    pub(super) fn automated(&self) -> Option<&Value> {
        self.object.pointer("/spec/syncPolicy/automated").filter(|automated| automated.is_object())
    }

    /// Whether Argo CD syncs by itself. Left out, `enabled` means that it does.
    pub(super) fn syncs_by_itself(&self) -> bool {
        self.automated().is_some_and(|automated| automated["enabled"] != Value::Bool(false))
    }

    /// The history, oldest first.
    pub(super) fn history(&self) -> Vec<Entry> {
        let entries = self.object.pointer("/status/history").and_then(Value::as_array);
        entries.into_iter().flatten().filter_map(Entry::of).collect()
    }

    /// An operation was asked for that the controller has not finished: the slot is taken.
    pub(super) fn is_asked(&self) -> bool {
        self.object["operation"].is_object()
    }

    /// What an operation that was asked for is to put out whole, where it says.
    pub(super) fn asked_for(&self) -> Option<ReleaseId> {
        let asked = &self.object["operation"]["sync"];
        let whole = asked["dryRun"] != Value::Bool(true) && !is_partial(asked);
        content(asked).filter(|_| whole).map(|content| content.release())
    }

    /// The last operation that the controller took up. A dry run puts nothing out.
    pub(super) fn operation(&self) -> Option<Operation> {
        let state = self.object.pointer("/status/operationState")?;
        let asked = &state["operation"]["sync"];
        if !asked.is_object() || asked["dryRun"] == Value::Bool(true) {
            return None;
        }
        let moment = |name: &str| state[name].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        let content = content(&state["syncResult"]).or_else(|| content(asked));
        let resources = state.pointer("/syncResult/resources").and_then(Value::as_array);
        let resources: Vec<&Value> = resources.into_iter().flatten().collect();
        Some(Operation {
            phase: match state["phase"].as_str() {
                Some("Succeeded") => Phase::Succeeded,
                Some("Failed" | "Error") => Phase::Failed,
                _ => Phase::UnderWay,
            },
            message: state["message"].as_str().unwrap_or_default().to_owned(),
            started_at: moment("startedAt")?,
            finished_at: moment("finishedAt"),
            release: content.as_ref().map(Content::release),
            content,
            by: by(&state["operation"]["initiatedBy"]),
            is_ending: state["phase"] == "Terminating",
            is_partial: is_partial(asked),
            has_applied: resources
                .iter()
                .any(|one| matches!(one["status"].as_str(), Some("Synced" | "Pruned"))),
            complaints: resources.iter().filter_map(|one| complaint(one)).collect(),
        })
    }

    /// What Git asks for now: its revisions, with the sources that they were compared by.
    pub(super) fn wanted(&self) -> Option<Content> {
        let sync = &self.object["status"]["sync"];
        let sources = content(&json!({
            "revisions": revisions(sync),
            "source": sync["comparedTo"]["source"],
            "sources": sync["comparedTo"]["sources"],
        }));
        sources.filter(|content| content.revisions.len() == content.sources.len())
    }

    pub(super) fn health(&self) -> &str {
        self.text("/status/health/status").unwrap_or("Unknown")
    }

    /// What its health says, and since when, where it tells.
    pub(super) fn health_told(&self) -> (Option<&str>, Option<Timestamp>) {
        let since = self.text("/status/health/lastTransitionTime").and_then(|at| at.parse().ok());
        (self.text("/status/health/message"), since)
    }

    /// When what it tells of its resources was compared last.
    pub(super) fn compared_at(&self) -> Option<Timestamp> {
        self.text("/status/reconciledAt").and_then(|at| at.parse().ok())
    }

    /// What it consists of now: `kind namespace/name`.
    pub(super) fn resources(&self) -> Vec<String> {
        let resources = self.object.pointer("/status/resources").and_then(Value::as_array);
        resources.into_iter().flatten().filter_map(|one| called(one, one["namespace"].as_str())).collect()
    }

    /// Conditions that it shows: errors and warnings.
    pub(super) fn conditions(&self) -> Vec<String> {
        let conditions = self.object.pointer("/status/conditions").and_then(Value::as_array);
        let line = |one: &Value| {
            Some(format!("{}: {}", one["type"].as_str()?, one["message"].as_str().unwrap_or_default()))
        };
        conditions.into_iter().flatten().filter_map(line).collect()
    }

    /// What we keep on it. What cannot be read is none of ours.
    pub(super) fn note(&self) -> Note {
        let text = self.text("/metadata/annotations/snapback.dev~1rollbacks");
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// Which entries of the history are ours.
    pub(super) fn marked(&self, history: &[Entry]) -> Vec<(i64, Mark)> {
        let note = self.note();
        let found = note.marks.iter().filter_map(|marked| {
            let is_it = |entry: &&Entry| entry.id > marked.after && entry.release.as_str() == marked.to;
            let entry = history.iter().find(is_it)?;
            Some((entry.id, Mark::new(&marked.mark)))
        });
        found.collect()
    }

    /// The mark of a rollback of ours that is not in the history, to this release.
    pub(super) fn mark_of(&self, release: &ReleaseId, last: i64) -> Option<Mark> {
        let note = self.note();
        let newest = note.marks.iter().rev().find(|marked| marked.to == release.as_str());
        newest.filter(|marked| marked.after >= last).map(|marked| Mark::new(&marked.mark))
    }
}

/// `kind namespace/name` of a resource or a manifest.
pub(super) fn called(one: &Value, namespace: Option<&str>) -> Option<String> {
    let (kind, name) = (one["kind"].as_str()?, one["name"].as_str()?);
    Some(match namespace.filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    })
}

impl Entry {
    fn of(entry: &Value) -> Option<Entry> {
        let content = content(entry)?;
        let moment = |name: &str| entry[name].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        let finished_at = moment("deployedAt")?;
        Some(Entry {
            id: entry["id"].as_i64().unwrap_or(0),
            release: content.release(),
            content,
            started_at: moment("deployStartedAt").unwrap_or(finished_at),
            finished_at,
            by: by(&entry["initiatedBy"]),
        })
    }
}

/// The content of a history entry, a sync's result or an operation: one source, or several.
fn content(of: &Value) -> Option<Content> {
    let revisions = revisions(of);
    let many: Vec<Value> = of["sources"].as_array().cloned().unwrap_or_default();
    let sources = if many.is_empty() {
        let one = of.get("source").filter(|one| one.get("repoURL").is_some_and(|url| url != ""));
        one.cloned().into_iter().collect()
    } else {
        many
    };
    (!revisions.is_empty() && !sources.is_empty()).then_some(Content { revisions, sources })
}

/// A sync of some resources only.
fn is_partial(sync: &Value) -> bool {
    sync["resources"].as_array().is_some_and(|only| !only.is_empty())
}

/// `revisions`, or the one `revision`.
fn revisions(of: &Value) -> Vec<String> {
    let text = |one: &Value| one.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let many: Vec<String> = of["revisions"].as_array().into_iter().flatten().filter_map(text).collect();
    if many.is_empty() { text(&of["revision"]).into_iter().collect() } else { many }
}

fn by(of: &Value) -> Option<String> {
    if of["automated"] == Value::Bool(true) {
        return Some("auto-sync".to_owned());
    }
    of["username"].as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

fn complaint(resource: &Value) -> Option<String> {
    let hook = resource["hookPhase"].as_str();
    let failed = resource["status"] == "SyncFailed" || matches!(hook, Some("Failed" | "Error"));
    let named = called(resource, resource["namespace"].as_str())?;
    failed.then(|| format!("{named}: {}", resource["message"].as_str().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn a_release_is_what_was_rendered_and_not_the_branch_it_came_from() {
        let source = |branch: &str, level: &str| {
            json!({ "repoURL": "https://git", "path": "web", "targetRevision": branch,
                    "helm": { "parameters": [{ "name": "level", "value": level }] } })
        };
        let of = |revision: &str, source: Value| {
            Content { revisions: vec![revision.into()], sources: vec![source] }.release()
        };
        assert_eq!(of(BAD, source("main", "1")), of(BAD, source("HEAD", "1")));
        assert_ne!(of(BAD, source("main", "1")), of(BAD, source("main", "2")), "values make a release");
        assert_ne!(of(BAD, source("main", "1")), of("1.2.3", source("main", "1")));
    }

    #[test]
    fn what_people_call_it_is_short() {
        let of = |revisions: &[&str], sources: Value| Content {
            revisions: revisions.iter().map(|&one| one.to_owned()).collect(),
            sources: sources.as_array().cloned().expect("a list"),
        };
        let two = of(&["7.1.0", BAD], json!([{ "chart": "web", "repoURL": "r" }, { "repoURL": "g" }]));
        assert_eq!(two.called(), "web 7.1.0 + bbbbbbbb");
        assert_eq!(two.commit(), Some(BAD));
    }

    #[test]
    fn a_note_keeps_the_newest_marks() {
        let marked = |nth: i64| Marked { mark: format!("snapback/{nth}"), after: nth, to: "r".into() };
        let note = (0..25).map(marked).fold(Note::default(), Note::with);
        assert_eq!(note.marks.len(), MARKS_MAX);
        assert_eq!(note.marks.last(), Some(&marked(24)));
        assert_eq!(serde_json::from_str::<Note>(&note.text()).expect("a note"), note);
    }

    #[test]
    fn left_out_enabled_means_on() {
        let on = |automated: Value| {
            let object = json!({ "metadata": { "name": "web" }, "spec": { "syncPolicy": { "automated": automated } } });
            Application::of(object).expect("one").syncs_by_itself()
        };
        assert!(on(json!({})) && on(json!({ "enabled": true })) && on(json!({ "enabled": null })));
        assert!(!on(json!({ "enabled": false, "prune": true })) && !on(Value::Null));
    }
}
