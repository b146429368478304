//! The way back, proposed: what it takes, and what people should know of it beforehand. Reads only.

use serde_json::Value;

use super::application::{Application, Entry, Operation, Phase};
use super::history::current;
use super::work::{Doing, Off, Work};
use super::{AGAIN, ArgoCd, Site};
use crate::case::id::ReleaseId;
use crate::case::plan::Proposal;
use crate::outbound::Trouble;

/// Resources that are named; of more their number is told.
const NAMED_MAX: usize = 5;
/// The first Argo CD whose `automated` knows `enabled` (its `docs/user-guide/auto_sync.md`).
const KNOWS_ENABLED: (u32, u32) = (3, 1);

impl ArgoCd {
    pub(super) async fn proposal(
        &self,
        site: &Site,
        from: &ReleaseId,
        to: &ReleaseId,
    ) -> Result<Proposal, Trouble> {
        let application = self.application(site).await?;
        if application.is_going_away() {
            return Err(Trouble::Refused(format!("{site} is being deleted")));
        }
        let history = application.history();
        let operation = application.operation();
        let going_out = operation.as_ref().filter(|operation| operation.phase == Phase::UnderWay);
        let is_the_suspect =
            |operation: &&Operation| operation.release.as_ref() == Some(from) && !operation.is_partial;
        let suspect_goes_out = going_out.filter(is_the_suspect).is_some();
        if !suspect_goes_out && (going_out.is_some() || application.is_asked()) {
            let why = format!("another operation of {site} is under way");
            return Err(Trouble::Busy { why, after: Some(AGAIN) });
        }
        let serving = current(&history, operation.as_ref());
        if !suspect_goes_out && serving.as_ref() != Some(from) {
            let what = history.last().map_or_else(|| "nothing".to_owned(), |last| last.content.called());
            return Err(Trouble::Moved(what));
        }
        let Some(back) = history.iter().rev().find(|entry| entry.release == *to) else {
            return Err(Trouble::Refused(format!(
                "the history of {site} holds {to} no more: it keeps {} entries (revisionHistoryLimit)",
                history.len()
            )));
        };
        self.windows_are_open(site).await?;
        let off = self.off(&application).await?;
        let left = self.left_behind(site, &application, back).await;
        let way = Way { site, application: &application, back, after: &history, to };
        let mut acts = vec![way.prepare(off)];
        acts.extend(going_out.map(|operation| way.terminate(operation)));
        acts.push(way.rollback(operation.as_ref(), &left));
        acts.extend(way.resume());
        let took = back.finished_at.duration_since(back.started_at);
        let expected_time = (!took.is_negative() && !took.is_zero()).then_some(took);
        Ok(Proposal { expected_time, ..Proposal::of(acts.into_iter().collect()) })
    }

    /// A window holds a rollback back: Argo CD takes it, and then does not begin (`controller/sync.go`).
    async fn windows_are_open(&self, site: &Site) -> Result<(), Trouble> {
        let told =
            self.read(&format!("read the sync windows of {site}"), &site.path("/syncwindows", &[])).await?;
        let assigned = told["assignedWindows"].as_array().is_some_and(|windows| !windows.is_empty());
        if told["canSync"] == Value::Bool(true) || !assigned {
            return Ok(());
        }
        let window = |window: &Value| {
            let text = |name: &str| window[name].as_str().unwrap_or_default().to_owned();
            format!("{} {} for {}", text("kind"), text("schedule"), text("duration"))
        };
        let active: Vec<String> =
            told["activeWindows"].as_array().into_iter().flatten().map(window).collect();
        let which = if active.is_empty() { "none is open now".to_owned() } else { active.join(", ") };
        Err(Trouble::Refused(format!("a sync window of its project holds {site} back ({which})")))
    }

    /// How auto-sync is switched off there.
    async fn off(&self, application: &Application) -> Result<Off, Trouble> {
        if !application.syncs_by_itself() {
            return Ok(Off::Already);
        }
        let told = self.read("ask Argo CD for its version", "/api/version").await?;
        let version = told["Version"].as_str().unwrap_or_default().trim_start_matches('v').to_owned();
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
        let version = numbers.next().flatten().zip(numbers.next().flatten());
        // One that does not say is taken for a new one; its answer tells whether it understood.
        Ok(if version.is_none_or(|version| version >= KNOWS_ENABLED) { Off::Switched } else { Off::TakenOut })
    }

    /// What the target does not have and would stay, or go; and what it has and is not there. `None`: nobody can tell.
    async fn left_behind(
        &self,
        site: &Site,
        application: &Application,
        back: &Entry,
    ) -> Option<(Vec<String>, Vec<String>)> {
        let [revision] = back.content.revisions.as_slice() else { return None };
        let path = site.path("/manifests", &[("revision", revision)]);
        let told = self.read(&format!("render {revision} of {site}"), &path).await;
        let told = told
            .inspect_err(|trouble| tracing::info!(%site, %trouble, "what would be left behind is not known"))
            .ok()?;
        let manifests = told["manifests"].as_array()?;
        let manifests =
            manifests.iter().filter_map(|text| serde_json::from_str::<Value>(text.as_str()?).ok());
        // What plain manifests say of their namespace Argo CD adds later: kind and name tell them apart.
        let wanted: Vec<String> = manifests.filter_map(|manifest| of_manifest(&manifest)).collect();
        let there = application.resources();
        let bare = |named: &String| {
            let (kind, name) = named.split_once(' ').unwrap_or((named, ""));
            format!("{kind} {}", name.rsplit('/').next().unwrap_or_default())
        };
        let added = there.iter().filter(|one| !wanted.contains(&bare(one))).cloned().collect();
        let there: Vec<String> = there.iter().map(bare).collect();
        let removed = wanted.into_iter().filter(|one| !there.contains(one)).collect();
        Some((added, removed))
    }
}

/// One way back.
struct Way<'a> {
    site: &'a Site,
    application: &'a Application,
    back: &'a Entry,
    /// The history, oldest first.
    after: &'a [Entry],
    to: &'a ReleaseId,
}

impl Way<'_> {
    fn work(&self, doing: Doing) -> Work {
        let uid = self.application.uid().to_owned();
        Work { site: self.site.clone(), uid, doing, to: self.to.clone() }
    }

    fn newest(&self) -> i64 {
        self.after.last().map_or(-1, |entry| entry.id)
    }

    fn prepare(&self, off: Off) -> crate::case::step::Act {
        let site = self.site;
        let mut says = match off {
            Off::Already => format!("note on {site} that it goes back; auto-sync is off"),
            Off::Switched => format!("switch auto-sync of {site} off"),
            Off::TakenOut => format!("take automated sync out of {site}"),
        };
        if let Some(maker) = self.application.maker().filter(|_| off != Off::Already) {
            says = format!(
                "{says}; {maker} makes it anew and may switch it on again: let it ignore /spec/syncPolicy/automated and preserve our annotation"
            );
        }
        self.work(Doing::Prepare { after: self.newest(), off }).act(says)
    }

    fn terminate(&self, operation: &Operation) -> crate::case::step::Act {
        let what = operation
            .content
            .as_ref()
            .map_or_else(String::new, |content| format!(" of {}", content.called()));
        let says = format!("terminate the sync{what} that is under way");
        self.work(Doing::Terminate { started_at: operation.started_at }).act(says)
    }

    fn rollback(
        &self,
        operation: Option<&Operation>,
        left: &Option<(Vec<String>, Vec<String>)>,
    ) -> crate::case::step::Act {
        let back = self.back;
        let mut says =
            format!("Argo CD rollback of {} to {} ({})", self.site, back.id, back.content.called());
        match left {
            None => says.push_str("; which resources would be left behind is not known"),
            Some((added, removed)) => {
                if !added.is_empty() {
                    let what =
                        if self.site.prune { "deletes what came since" } else { "leaves what came since" };
                    says = format!("{says}; {what}: {}", named(added));
                }
                if !removed.is_empty() {
                    says = format!("{says}; makes anew, empty: {}", named(removed));
                }
            }
        }
        says.push_str("; sync hooks do not run");
        if let Some(wanted) = self.application.wanted().filter(|wanted| wanted.release() != *self.to) {
            says = format!("{says}; Git goes on asking for {}: revert it there", wanted.called());
        }
        let before = operation.map(|operation| operation.started_at);
        self.work(Doing::Rollback { entry: back.id, after: self.newest(), before }).act(says)
    }

    /// Where Git asks for what is put out now, auto-sync goes on again that we switched off for what was put out last: what a person did
    /// with it since is theirs.
    fn resume(&self) -> Option<crate::case::step::Act> {
        let note = self.application.note();
        let automated = note.auto_sync.clone().filter(Value::is_object)?;
        let last_is_ours =
            self.application.marked(self.after).last().map(|(id, _)| *id) == Some(self.newest());
        let wanted = self.application.wanted().filter(|wanted| wanted.release() == *self.to)?;
        if self.application.syncs_by_itself() || !last_is_ours {
            return None;
        }
        let says = format!("switch auto-sync of {} on again: Git asks for {}", self.site, wanted.called());
        Some(self.work(Doing::Resume { automated, wanted: wanted.release() }).act(says))
    }
}

/// What a manifest is called; nothing for a hook, which no rollback runs.
fn of_manifest(manifest: &Value) -> Option<String> {
    let annotations = manifest.pointer("/metadata/annotations");
    let is_hook = |name: &str| annotations.is_some_and(|all| all.get(name).is_some());
    if ["argocd.argoproj.io/hook", "helm.sh/hook"].into_iter().any(is_hook) {
        return None;
    }
    Some(format!("{} {}", manifest["kind"].as_str()?, manifest.pointer("/metadata/name")?.as_str()?))
}

fn named(resources: &[String]) -> String {
    let some: Vec<&str> = resources.iter().map(String::as_str).take(NAMED_MAX).collect();
    match resources.len().saturating_sub(NAMED_MAX) {
        0 => some.join(", "),
        more => format!("{} and {more} more", some.join(", ")),
    }
}
