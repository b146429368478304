//! The scene of a service, every run that Gate shows of it, and the picture that follows: what serves, what is on its way, and what went out
//! before.

use std::collections::BTreeMap;

use super::manifest::Live;
use super::run::{Kind, Run, Status, called};
use super::{Site, Spinnaker, Way};
use crate::case::deployment::{
    ChangeKind, Deployment, DeploymentOrigin, DeploymentStatus, Owner, Picture, Report,
};
use crate::case::id::{DeploymentId, Mark, ReleaseId, ServiceId, Timestamp};
use crate::case::release::Release;
use crate::case::signal::Labels;
use crate::outbound::Trouble;

/// What Gate shows of a service at one moment.
pub(super) struct Scene {
    /// When it was looked at first: what was written since is not in it.
    pub(super) at: Timestamp,
    /// Every run, the oldest first.
    pub(super) runs: Vec<Run>,
    /// The Deployment, where it goes back by its revisions.
    pub(super) live: Option<Live>,
}

impl Spinnaker {
    pub(super) async fn scene(&self, site: &Site) -> Result<Scene, Trouble> {
        let at = self.now();
        let mut runs = self.executions(site, &site.deploy_pipeline, Kind::Deploy).await?;
        match &site.way {
            // One pipeline puts out whatever it is told, forwards and back.
            Way::Pipeline { pipeline, .. } if *pipeline == site.deploy_pipeline => {}
            Way::Pipeline { .. } | Way::Manifest { .. } => runs.extend(self.rollbacks(site).await?),
        }
        runs.sort_by(|one, other| (one.began, &one.id).cmp(&(other.began, &other.id)));
        Ok(Scene { at, runs, live: self.live(site).await? })
    }
}

impl Scene {
    /// What serves: of a Deployment what its live manifest runs; else what ended last of all that went out whole or half way.
    pub(super) fn current(&self) -> Option<ReleaseId> {
        match &self.live {
            Some(live) => live.release.clone(),
            None => self.last_there().and_then(|run| run.release.clone()),
        }
    }

    fn last_there(&self) -> Option<&Run> {
        self.runs.iter().filter(|run| run.is_there()).max_by_key(|run| (run.put_out_at(), run.began))
    }

    /// What people call what serves.
    pub(super) fn called(&self) -> String {
        self.current().map_or_else(|| "nothing that is told".to_owned(), |release| called(release.as_str()))
    }

    /// What goes on or waits, the oldest first.
    pub(super) fn open(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.status.is_open())
    }

    /// The run under this mark: the first one, where somebody ran it once more.
    pub(super) fn under(&self, mark: &Mark) -> Option<&Run> {
        self.runs.iter().find(|run| run.mark.as_ref() == Some(mark))
    }

    /// Whether this release went out whole, ever since Spinnaker tells.
    pub(super) fn went_out(&self, release: &ReleaseId) -> Option<&Run> {
        let whole = |run: &&Run| run.is_whole() && run.release.as_ref() == Some(release);
        self.runs.iter().rfind(whole)
    }

    pub(super) fn picture(&self, service: &ServiceId, site: &Site) -> Picture {
        let mut releases: BTreeMap<ReleaseId, Release> = BTreeMap::new();
        for run in &self.runs {
            let Some(id) = &run.release else { continue };
            let told = release(run, id);
            releases.entry(id.clone()).and_modify(|known| known.learn(&told)).or_insert(told);
        }
        if let Some(id) = self.current() {
            releases
                .entry(id.clone())
                .or_insert_with(|| Release { version: Some(called(id.as_str())), ..Release::bare(id) });
        }
        let shown = |(nth, run): (usize, &Run)| {
            // One that waited and never began, or of which every stage was skipped, put nothing out.
            let is_one = match run.status {
                Status::Waiting | Status::Running | Status::Paused => true,
                Status::Succeeded => run.is_whole(),
                Status::Failed | Status::Canceled => run.has_begun,
                Status::Skipped => false,
            };
            let release = run.release.clone().filter(|_| is_one)?;
            Some(deployment(service, site, run, release, &self.runs[..nth]))
        };
        let deployments: Vec<Deployment> = self.runs.iter().enumerate().filter_map(shown).collect();
        let in_flight = deployments.iter().rfind(|one| one.is_going_out()).map(|one| one.id.clone());
        Picture {
            at: self.at,
            current: self.current(),
            in_flight,
            owner: Owner::Nobody,
            reports: self.reports(&deployments),
            deployments,
            releases: releases.into_values().collect(),
            figures: BTreeMap::new(),
            provider_judges: false,
        }
    }

    /// The newest of which something is there, where it failed and is nobody's rollback: what failed after it before it changed anything took
    /// nothing away.
    fn reports(&self, deployments: &[Deployment]) -> Vec<Report> {
        let there = |of: &&Deployment| self.runs.iter().any(|run| run.id == of.id.as_str() && run.is_there());
        let newest = deployments.iter().rfind(there);
        let newest = newest.filter(|newest| newest.origin == DeploymentOrigin::Ordinary);
        let failed = newest.filter(|newest| newest.status == DeploymentStatus::Failed);
        let report = |of: &Deployment| Report {
            deployment: of.id.clone(),
            since: of.finished_at.unwrap_or(self.at),
            says: format!("execution {} of the pipeline failed", of.id),
        };
        failed.map(report).into_iter().collect()
    }
}

fn release(run: &Run, id: &ReleaseId) -> Release {
    let mut release = Release::bare(id.clone());
    release.version = Some(called(id.as_str()));
    // A rollback tells of itself and not of the release.
    if run.kind == Kind::Deploy && run.mark.is_none() {
        release.commit.clone_from(&run.commit);
        release.links = run.link.clone().into_iter().collect();
        release.marks = run.marks;
    }
    release
}

fn deployment(service: &ServiceId, site: &Site, run: &Run, release: ReleaseId, before: &[Run]) -> Deployment {
    Deployment {
        id: DeploymentId::new(&run.id),
        service: service.clone(),
        origin: origin(run, &release, before),
        release,
        started_at: run.began,
        traffic_at: None,
        finished_at: run.ended,
        status: match run.status {
            Status::Waiting | Status::Running | Status::Paused => DeploymentStatus::GoingOut,
            Status::Succeeded => DeploymentStatus::Finished,
            Status::Failed => DeploymentStatus::Failed,
            Status::Canceled | Status::Skipped => DeploymentStatus::Stopped,
        },
        by: run.by.clone(),
        change: ChangeKind::Code,
        labels: Labels::from([("application".to_owned(), site.application.clone())]),
        our_clock: false,
    }
}

/// What the rollback pipeline puts out is a rollback, and so is what was there before and is put out again.
fn origin(run: &Run, release: &ReleaseId, before: &[Run]) -> DeploymentOrigin {
    if let Some(mark) = &run.mark {
        return DeploymentOrigin::Ours(mark.clone());
    }
    let whole = |run: &&Run| run.is_whole() && run.release.is_some();
    let last = before.iter().rfind(whole).and_then(|run| run.release.as_ref());
    let was_there = || before.iter().filter(whole).any(|run| run.release.as_ref() == Some(release));
    if run.kind == Kind::Rollback || (last != Some(release) && was_there()) {
        return DeploymentOrigin::Rollback;
    }
    DeploymentOrigin::Ordinary
}
