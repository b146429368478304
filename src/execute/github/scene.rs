//! What an environment's deployments tell when they are read together: what was put out last, what is going out, and who did it. Leaves to
//! `history` the picture for the core.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};

use super::deployment::{
    Made, ROLLBACK, Stands, Status, began_at, deployments, is_commit, short, stands, statuses,
};
use super::run::{Run, mark_in, run_of, runs};
use super::{GitHub, Site};
use crate::case::deployment::DeploymentOrigin;
use crate::case::id::{Duration, Mark, ReleaseId, Timestamp};
use crate::outbound::Trouble;

/// Deployments that are read with what was said of them, the newest: what was asked of each is asked once, and a first look must be over
/// before it is old. What lies further back is beyond any `max_back` that makes sense.
const DEPLOYMENTS_MAX: usize = 40;
/// One page, the largest.
const PAGE: usize = 100;
/// So many are read at once; GitHub bears a hundred of everybody.
const AT_ONCE: usize = 8;
/// What was said last so long ago is the end of it.
const SETTLED: Duration = Duration::from_mins(30);
/// GitHub says how a deployment ended this long after its run.
const SAID_WITHIN: Duration = Duration::from_secs(20);
/// Deployments whose end is remembered.
const OVER_MAX: usize = 5000;

/// An environment at one moment.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    /// What went out, or is going out, oldest first.
    pub(super) went: Vec<Went>,
    /// What was put out last, whole or not. `None`: nothing, or nobody can say what.
    pub(super) current: Option<ReleaseId>,
    /// The newest deployment that there is, begun or not.
    pub(super) newest: u64,
}

/// A deployment that began.
#[derive(Clone, Debug)]
pub(super) struct Went {
    pub(super) made: Made,
    /// What it put out. `None`: nobody can say.
    pub(super) release: Option<ReleaseId>,
    pub(super) stands: Stands,
    pub(super) began_at: Timestamp,
    pub(super) origin: DeploymentOrigin,
    /// The run that did it.
    pub(super) run: Option<u64>,
    /// Where its output is.
    pub(super) link: Option<String>,
    /// What was said last.
    pub(super) says: String,
    /// Its run was ended by somebody.
    pub(super) was_cancelled: bool,
}

impl Went {
    pub(super) fn is_going_out(&self) -> bool {
        self.stands == Stands::GoingOut
    }

    pub(super) fn called(&self) -> String {
        match &self.release {
            Some(release) => format!("{} (deployment {})", short(release.as_str()), self.made.id),
            None => format!("deployment {}, of which nobody can say what it put out", self.made.id),
        }
    }

    /// When it was over.
    fn ended_at(&self) -> Option<Timestamp> {
        match self.stands {
            Stands::Succeeded(at) | Stands::Failed(at) => Some(at),
            Stands::GoingOut | Stands::NotBegun => None,
        }
    }

    fn is_ordinary(&self) -> bool {
        self.origin == DeploymentOrigin::Ordinary
    }
}

impl Scene {
    /// What is going out, the newest.
    pub(super) fn going_out(&self) -> Option<&Went> {
        self.went.iter().rev().find(|went| went.is_going_out())
    }

    /// What was put out last, whole or not.
    pub(super) fn last(&self) -> Option<&Went> {
        last(&self.went)
    }

    /// For people.
    pub(super) fn called(&self) -> String {
        self.last().map_or_else(|| "nothing".to_owned(), Went::called)
    }
}

/// What ended last and left something there. A rollback that failed left what it was for, as far as anybody knows.
fn last(went: &[Went]) -> Option<&Went> {
    let left = |went: &&Went| match went.stands {
        Stands::Succeeded(_) => true,
        Stands::Failed(_) => went.is_ordinary(),
        Stands::GoingOut | Stands::NotBegun => false,
    };
    went.iter().filter(left).max_by_key(|went| (went.ended_at(), went.made.id))
}

impl GitHub {
    /// Reads an environment.
    pub(super) async fn scene(&self, site: &Site) -> Result<Scene, Trouble> {
        let now = self.now();
        let mut made = self.made(site).await?;
        made.sort_by_key(|made| std::cmp::Reverse((made.at, made.id)));
        made.truncate(DEPLOYMENTS_MAX);
        let newest = made.iter().map(|made| made.id).max().unwrap_or(0);
        let runs = self.dispatched(site).await?;
        // What the rollback workflow did before its oldest run that is known here is told apart from nothing else.
        if runs.len() >= PAGE
            && let Some(oldest) = runs.iter().map(|run| run.created_at).min()
        {
            made.retain(|made| made.at >= oldest);
        }
        let said = iter(made.into_iter().map(async |made| {
            let said = self.said_of(site, &made, made.id == newest, now).await?;
            Ok::<_, Trouble>((made, said))
        }));
        let told: Vec<(Made, Vec<Status>)> = said.buffered(AT_ONCE).try_collect().await?;
        let mut went = arranged(site, told, &runs);
        for went in &mut went {
            self.ended_with_its_run(site, went, now).await?;
        }
        let current = last(&went).and_then(|last| last.release.clone());
        Ok(Scene { went, current, newest })
    }

    /// A run that is over puts nothing out any more, whatever its deployment says; and who ended it found nothing bad in it.
    async fn ended_with_its_run(&self, site: &Site, went: &mut Went, now: Timestamp) -> Result<(), Trouble> {
        let Some(run) = went.run.filter(|_| !matches!(went.stands, Stands::Succeeded(_))) else {
            return Ok(());
        };
        let Some(run) = self.ended(site, run, now).await? else { return Ok(()) };
        went.was_cancelled = run.conclusion.as_deref() == Some("cancelled");
        let failed = run.conclusion.as_deref() != Some("success");
        if went.is_going_out() && failed && run.updated_at + SAID_WITHIN < now {
            went.stands = Stands::Failed(run.updated_at);
        }
        Ok(())
    }

    /// A run, where it is over.
    async fn ended(&self, site: &Site, id: u64, now: Timestamp) -> Result<Option<Run>, Trouble> {
        let key = format!("{} {id}", site.repository);
        let known = || self.lists.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = known().get(&key).cloned() {
            return Ok(Some(run));
        }
        let run = self.run(site, id).await?.filter(Run::is_over);
        if let Some(run) = run.as_ref().filter(|run| run.updated_at + SETTLED < now) {
            let mut known = known();
            while known.len() >= OVER_MAX {
                known.pop_first();
            }
            known.insert(key, run.clone());
        }
        Ok(run)
    }

    /// The deployments of an environment.
    pub(super) async fn made(&self, site: &Site) -> Result<Vec<Made>, Trouble> {
        let doing = format!("read the deployments to {site}");
        let environment: String = form_urlencoded::byte_serialize(site.environment.as_bytes()).collect();
        let path = site.path(&format!("/deployments?environment={environment}&per_page={PAGE}"));
        self.reread(&doing, &path, &self.lists.deployments, deployments).await
    }

    /// The newest runs of the rollback workflow that somebody asked for.
    pub(super) async fn dispatched(&self, site: &Site) -> Result<Vec<Run>, Trouble> {
        let doing = format!("read the runs of {} in {}", site.workflow, site.repository);
        let path = site.of_workflow(&format!("/runs?event=workflow_dispatch&per_page={PAGE}"));
        self.reread(&doing, &path, &self.lists.runs, runs).await
    }

    async fn said_of(
        &self,
        site: &Site,
        made: &Made,
        is_newest: bool,
        now: Timestamp,
    ) -> Result<Vec<Status>, Trouble> {
        let path = site.path(&format!("/deployments/{}/statuses?per_page={PAGE}", made.id));
        let over = || self.lists.over.lock().unwrap_or_else(PoisonError::into_inner);
        let known = over().get(&path).cloned().filter(|_| !is_newest);
        if let Some(known) = known {
            return Ok(known);
        }
        let doing = format!("read what is said of deployment {} to {site}", made.id);
        let said = self.reread(&doing, &path, &self.lists.statuses, statuses).await?;
        let is_settled = said.last().is_some_and(|last| last.at + SETTLED < now);
        if is_settled && matches!(stands(made, &said), Stands::Succeeded(_) | Stands::Failed(_)) {
            let mut over = over();
            while over.len() >= OVER_MAX {
                over.pop_first();
            }
            over.insert(path, said.clone());
        }
        Ok(said)
    }
}

fn arranged(site: &Site, told: Vec<(Made, Vec<Status>)>, runs: &[Run]) -> Vec<Went> {
    let runs: BTreeMap<u64, &Run> = runs.iter().map(|run| (run.id, run)).collect();
    let mut went: Vec<Went> =
        told.into_iter().filter_map(|(made, said)| went_out(site, made, &said, &runs)).collect();
    went.sort_by_key(|went| (went.began_at, went.made.id));
    let others: Vec<DeploymentOrigin> = (0..went.len()).map(|nth| origin(&went[..nth], &went[nth])).collect();
    for (went, origin) in went.iter_mut().zip(others) {
        went.origin = origin;
    }
    // Whoever was overtaken is not going out any more, whether or not anybody said so.
    let overtaken_at = last(&went).map(|last| (last.began_at, last.ended_at()));
    for went in &mut went {
        if let Some((began_at, Some(ended_at))) = overtaken_at
            && went.is_going_out()
            && went.began_at < began_at
        {
            went.stands = Stands::Failed(ended_at.min(began_at));
        }
    }
    went
}

fn went_out(site: &Site, made: Made, said: &[Status], runs: &BTreeMap<u64, &Run>) -> Option<Went> {
    let stands = stands(&made, said);
    if stands == Stands::NotBegun {
        return None;
    }
    let link = said.iter().rev().find_map(|status| status.url.clone());
    let run = said.iter().rev().find_map(|status| run_of(site, status.url.as_deref()?));
    let ours = made.told("rollback_id").and_then(|id| mark_in(&id));
    let by_workflow = run.and_then(|run| runs.get(&run)).copied();
    // Who wrote a commit of its own into it knows what it put out. What a job's `environment` makes has the commit of its branch.
    let names_branch = by_workflow.filter(|run| ours.is_none() && run.head == made.sha);
    let sha = match names_branch {
        Some(run) => run.puts_out(),
        None => Some(made.sha.to_lowercase()),
    };
    let mark: Option<Mark> = ours.or_else(|| by_workflow.and_then(Run::mark));
    let is_back = made.task == ROLLBACK || by_workflow.is_some_and(|run| run.puts_out().is_some());
    Some(Went {
        release: sha.filter(|sha| is_commit(sha)).map(ReleaseId::new),
        began_at: began_at(&made, said),
        origin: match mark {
            Some(mark) => DeploymentOrigin::Ours(mark),
            None if is_back => DeploymentOrigin::Rollback,
            None => DeploymentOrigin::Ordinary,
        },
        says: said.last().map(|last| last.says.clone()).unwrap_or_default(),
        was_cancelled: false,
        made,
        stands,
        run,
        link,
    })
}

/// What was there before and is put out again is a rollback, whoever began it.
fn origin(before: &[Went], went: &Went) -> DeploymentOrigin {
    let was_there =
        |other: &Went| other.release == went.release && matches!(other.stands, Stands::Succeeded(_));
    let is_last = before.last().is_some_and(|last| last.release == went.release);
    if went.is_ordinary() && !is_last && before.iter().any(was_there) {
        return DeploymentOrigin::Rollback;
    }
    went.origin.clone()
}
