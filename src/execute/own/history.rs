//! The picture that a deployer of the user's own gives: what serves, and what went out.

use std::collections::BTreeMap;

use super::contract::{Action, Described, Line, Question, Told};
use super::{Own, Site};
use crate::case::deployment::{
    ChangeKind, Deployment, DeploymentOrigin, DeploymentStatus, Owner, Picture, Report,
};
use crate::case::id::{ChangeId, DeploymentId, Mark, ReleaseId, ServiceId, Timestamp};
use crate::case::plan::Plan;
use crate::case::release::{MigrationMarks, Release};
use crate::case::signal::Labels;
use crate::outbound::{CallError, Trouble};

/// The newest deployments that are taken of a history.
const LINES_MAX: usize = 200;

impl Own {
    pub(super) async fn described(&self, service: &ServiceId, site: &Site) -> Result<Described, Trouble> {
        self.carrier.read(site, &Question::of(service, Action::Describe), self.now()).await
    }

    pub(super) async fn picture(
        &self,
        service: &ServiceId,
        site: &Site,
        since: Timestamp,
    ) -> Result<Picture, Trouble> {
        self.seen(service, site, since).await.map(|(picture, _)| picture)
    }

    /// The picture, and whether keys are remembered there.
    pub(super) async fn seen(
        &self,
        service: &ServiceId,
        site: &Site,
        since: Timestamp,
    ) -> Result<(Picture, bool), Trouble> {
        // A picture is as old as its first look: what was written since is not in it.
        let at = self.now();
        let described = self.described(service, site).await?;
        let question = Question::of(service, Action::History { since });
        let Told { deployments: mut lines } = self.carrier.read(site, &question, self.now()).await?;
        lines.sort_by_key(|line| line.started_at);
        let beyond = lines.len().saturating_sub(LINES_MAX);
        lines.drain(..beyond);
        let mut releases: BTreeMap<ReleaseId, Release> = BTreeMap::new();
        for line in &lines {
            let told = release(line);
            releases.entry(told.id.clone()).and_modify(|known| known.learn(&told)).or_insert(told);
        }
        let deployments: Vec<Deployment> = lines.iter().map(|line| deployment(service, line)).collect();
        let in_flight = described.in_flight.map(DeploymentId::new);
        if let Some(named) = &in_flight
            && !deployments.iter().any(|deployment| deployment.id == *named)
        {
            let said = format!("{named} is on its way, and not in the history");
            return Err(CallError::Answer { doing: format!("ask {site} what serves"), said }.into());
        }
        let picture = Picture {
            at,
            current: described.current.map(ReleaseId::new),
            in_flight,
            owner: described.owner.map_or(Owner::Nobody, Owner::Other),
            reports: reports(&deployments, at),
            deployments,
            releases: releases.into_values().collect(),
            figures: BTreeMap::new(),
            provider_judges: false,
        };
        Ok((picture, described.remembers))
    }
}

fn release(line: &Line) -> Release {
    Release {
        id: ReleaseId::new(&line.release),
        version: line.version.clone(),
        commit: line.commit.clone(),
        author: line.author.clone(),
        change: line.change.as_ref().map(ChangeId::new),
        links: line.links.clone(),
        marks: MigrationMarks {
            rollback: line.rollback.map(Into::into),
            schema_version: line.schema_version,
            min_compatible_schema: line.min_compatible_schema,
        },
        artifact_exists: line.exists,
    }
}

fn deployment(service: &ServiceId, line: &Line) -> Deployment {
    let name = line.deployment.clone();
    let status = match (line.status, line.finished_at) {
        (Some(status), _) => status.into(),
        (None, Some(_)) => DeploymentStatus::Finished,
        (None, None) => DeploymentStatus::GoingOut,
    };
    Deployment {
        id: DeploymentId::new(name.unwrap_or_else(|| format!("{}@{}", line.release, line.started_at))),
        service: service.clone(),
        release: ReleaseId::new(&line.release),
        started_at: line.started_at,
        traffic_at: None,
        finished_at: line.finished_at.map(|end| end.max(line.started_at)),
        status,
        by: line.by.clone(),
        origin: match &line.key {
            Some(key) if Plan::is_mark(key) => DeploymentOrigin::Ours(Mark::new(key)),
            // A person asked for it, under a key that is not ours.
            Some(_) => DeploymentOrigin::Rollback,
            None if line.is_rollback => DeploymentOrigin::Rollback,
            None => DeploymentOrigin::Ordinary,
        },
        change: ChangeKind::Code,
        labels: Labels::new(),
        our_clock: false,
    }
}

/// The newest, where it failed and is nobody's rollback.
fn reports(deployments: &[Deployment], at: Timestamp) -> Vec<Report> {
    let newest = deployments.last().filter(|newest| newest.origin == DeploymentOrigin::Ordinary);
    let failed = newest.filter(|newest| newest.status == DeploymentStatus::Failed);
    let report = |of: &Deployment| Report {
        deployment: of.id.clone(),
        since: of.finished_at.unwrap_or(at),
        says: "the deployer says that it failed".to_owned(),
    };
    failed.map(report).into_iter().collect()
}
