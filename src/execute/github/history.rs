//! The picture of an environment: what serves by its deployments, what is on its way, what went out before, and what each commit says of
//! itself.

use std::collections::BTreeMap;

use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};

use super::deployment::Stands;
use super::run::what_failed;
use super::scene::{Scene, Went};
use super::{GitHub, Site};
use crate::case::deployment::{
    ChangeKind, Deployment, DeploymentOrigin, DeploymentStatus, Owner, Picture, Report,
};
use crate::case::id::{ChangeId, DeploymentId, ReleaseId, ServiceId};
use crate::case::release::Release;
use crate::case::signal::Labels;
use crate::outbound::Trouble;

/// So many commits are read at once.
const AT_ONCE: usize = 8;

impl GitHub {
    pub(super) async fn picture(&self, service: &ServiceId, site: &Site) -> Result<Picture, Trouble> {
        // A picture is as old as its first look: what was written since is not in it.
        let at = self.now();
        let scene = self.scene(site).await?;
        let deployments: Vec<Deployment> =
            scene.went.iter().filter_map(|went| deployment(service, site, went)).collect();
        let in_flight = scene.going_out().filter(|went| went.release.is_some()).map(|went| id(site, went));
        Ok(Picture {
            at,
            current: scene.current.clone(),
            in_flight,
            owner: Owner::Nobody,
            reports: self.reports(site, &scene, deployments.last()).await?,
            deployments,
            releases: self.releases(site, &scene).await?,
            figures: BTreeMap::new(),
            provider_judges: false,
        })
    }

    async fn releases(&self, site: &Site, scene: &Scene) -> Result<Vec<Release>, Trouble> {
        let mut told: BTreeMap<ReleaseId, Release> = BTreeMap::new();
        for went in &scene.went {
            let Some(release) = &went.release else { continue };
            let known = told.entry(release.clone()).or_insert_with(|| Release::bare(release.clone()));
            learn(known, went);
        }
        let read = iter(told.into_values().map(async |release| self.with_commit(site, release).await));
        read.buffered(AT_ONCE).try_collect().await
    }

    async fn with_commit(&self, site: &Site, mut release: Release) -> Result<Release, Trouble> {
        let said = self.said(site, release.id.as_str()).await?;
        release.commit = Some(release.id.to_string());
        release.author = said.author.or(release.author);
        release.change = release.change.or(said.trailers.change);
        release.marks = release.marks.stricter(said.trailers.marks);
        release.links.extend(said.link);
        release.artifact_exists = Some(!said.is_gone);
        Ok(release)
    }

    /// What GitHub itself tells as failed. Our own is followed by its case.
    async fn reports(
        &self,
        site: &Site,
        scene: &Scene,
        newest: Option<&Deployment>,
    ) -> Result<Vec<Report>, Trouble> {
        let newest = newest.filter(|newest| newest.status == DeploymentStatus::Failed);
        let Some((newest, went)) = newest.zip(scene.went.last()) else { return Ok(Vec::new()) };
        let Stands::Failed(since) = went.stands else { return Ok(Vec::new()) };
        if newest.origin != DeploymentOrigin::Ordinary || newest.id != id(site, went) {
            return Ok(Vec::new());
        }
        let failed = match went.run {
            Some(run) => match self.jobs(site, run).await {
                Ok(jobs) => what_failed(&jobs),
                // A run that somebody deleted, or may not be read, tells nothing; the deployment failed all the same.
                Err(Trouble::Refused(why)) => vec![why],
                Err(trouble) => return Err(trouble),
            },
            None => Vec::new(),
        };
        let told = Some(went.says.clone()).filter(|says| !says.is_empty());
        let told: Vec<String> = told.into_iter().chain(failed).collect();
        let says =
            if told.is_empty() { "it failed, and nobody said why".to_owned() } else { told.join("; ") };
        Ok(vec![Report { deployment: newest.id.clone(), since, says }])
    }
}

/// The name of a deployment.
fn id(site: &Site, went: &Went) -> DeploymentId {
    let name = site.repository.split('/').next_back().unwrap_or_default();
    DeploymentId::new(format!("{name}.{}", went.made.id))
}

fn deployment(service: &ServiceId, site: &Site, went: &Went) -> Option<Deployment> {
    let (status, finished_at) = match went.stands {
        Stands::GoingOut => (DeploymentStatus::GoingOut, None),
        Stands::Succeeded(at) => (DeploymentStatus::Finished, Some(at.max(went.began_at))),
        Stands::Failed(at) if went.was_cancelled => (DeploymentStatus::Stopped, Some(at.max(went.began_at))),
        Stands::Failed(at) => (DeploymentStatus::Failed, Some(at.max(went.began_at))),
        Stands::NotBegun => return None,
    };
    let labels = [
        ("repository", &site.repository),
        ("environment", &site.environment),
        ("task", &went.made.task),
        ("ref", &went.made.reference),
    ];
    Some(Deployment {
        id: id(site, went),
        service: service.clone(),
        release: went.release.clone()?,
        started_at: went.began_at,
        traffic_at: None,
        finished_at,
        status,
        by: went.made.by.clone(),
        origin: went.origin.clone(),
        change: ChangeKind::Code,
        labels: labels.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect::<Labels>(),
        our_clock: false,
    })
}

/// What one of its deployments tells of a release. What a rollback says of itself says nothing of what it puts back.
fn learn(release: &mut Release, went: &Went) {
    if release.version.is_none() || went.origin == DeploymentOrigin::Ordinary {
        let is_its_own = went.release.as_ref().is_some_and(|of| of.as_str() == went.made.sha.to_lowercase());
        let version = if is_its_own {
            went.made.version()
        } else {
            super::deployment::short(release.id.as_str()).to_owned()
        };
        release.version = Some(version);
    }
    if went.origin != DeploymentOrigin::Ordinary {
        return;
    }
    release.author = went.made.told("author").or(release.author.take());
    release.change = went.made.told("change").map(ChangeId::new).or(release.change.take());
    release.marks = release.marks.stricter(went.made.marks());
}
