//! The picture of a group: its deployments that put a release out, the releases that they name, what serves, and who
//! else decides.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_codedeploy::types::{DeploymentCreator, DeploymentInfo, DeploymentStatus as Status};

use super::appspec::Puts;
use super::group::{Group, is_over, moment, succeeded};
use super::revision::Artifact;
use super::serving::has_traffic;
use super::{CodeDeploy, Site, description};
use crate::case::deployment::{
    ChangeKind, Deployment, DeploymentOrigin, DeploymentStatus, Owner, Picture, Report,
};
use crate::case::id::{DeploymentId, Duration, ReleaseId, ServiceId, Timestamp};
use crate::case::release::Release;
use crate::case::signal::Labels;
use crate::outbound::Trouble;

/// So many releases that a rollback could lead to are looked for: the default of `max_back`.
const TARGETS_LOOKED_AT: usize = 5;

impl CodeDeploy {
    pub(super) async fn picture(
        &self,
        service: &ServiceId,
        site: &Site,
        since: Timestamp,
    ) -> Result<Picture, Trouble> {
        // A picture is as old as its first look: what was written since is not in it.
        let at = self.now();
        let group = self.group(site, since).await?;
        let serving = self.serving(site, &group).await?;
        let mut deployments = Vec::new();
        let mut releases: BTreeMap<ReleaseId, Release> = BTreeMap::new();
        let mut puts: BTreeMap<ReleaseId, Puts> = BTreeMap::new();
        for told in group.releases() {
            let Some(artifact) = self.artifact_of(site, told).await? else { continue };
            let release = release(&artifact, told);
            puts.extend(artifact.puts().map(|puts| (release.id.clone(), puts)));
            releases.entry(release.id.clone()).and_modify(|known| known.learn(&release)).or_insert(release);
            deployments.extend(self.deployment_of(service, &group, told, &artifact));
        }
        if let Some(current) = &serving.release {
            releases.entry(current.clone()).or_insert_with(|| Release::bare(current.clone()));
        }
        self.look_at_targets(&deployments, serving.release.as_ref(), &puts, &mut releases).await?;
        let in_flight = group.under_way();
        Ok(Picture {
            at,
            in_flight: in_flight.and_then(DeploymentInfo::deployment_id).map(DeploymentId::new),
            current: serving.release,
            owner: group.owner().map_or(Owner::Nobody, Owner::Other),
            deployments,
            releases: releases.into_values().collect(),
            figures: serving.figures,
            provider_judges: judges(&group),
            reports: report(&group, at).into_iter().collect(),
        })
    }

    async fn artifact_of(&self, site: &Site, told: &DeploymentInfo) -> Result<Option<Artifact>, Trouble> {
        match told.revision() {
            Some(revision) => self.artifact(site, revision).await.map(Some),
            None => Ok(None),
        }
    }

    fn deployment_of(
        &self,
        service: &ServiceId,
        group: &Group,
        told: &DeploymentInfo,
        artifact: &Artifact,
    ) -> Option<Deployment> {
        let started_at = moment(told.start_time().or_else(|| told.create_time()))?;
        Some(Deployment {
            id: DeploymentId::new(told.deployment_id()?),
            service: service.clone(),
            release: artifact.release.clone(),
            started_at,
            // When traffic moved is told only instance by instance; the beginning is the safe side.
            traffic_at: None,
            finished_at: moment(told.complete_time()).filter(|_| is_over(told)),
            status: status(told),
            by: None,
            origin: origin(told),
            change: ChangeKind::Code,
            labels: self.labels(group, told),
            our_clock: false,
        })
    }

    fn labels(&self, group: &Group, told: &DeploymentInfo) -> Labels {
        let config = told.deployment_config_name().unwrap_or_default();
        [
            ("region", self.settings.region.as_str()),
            ("platform", group.platform().word()),
            ("deployment_config", config),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
        .collect()
    }

    /// Looks whether what one would go back to is still there, for the newest releases that went out whole.
    async fn look_at_targets(
        &self,
        deployments: &[Deployment],
        current: Option<&ReleaseId>,
        puts: &BTreeMap<ReleaseId, Puts>,
        releases: &mut BTreeMap<ReleaseId, Release>,
    ) -> Result<(), Trouble> {
        let whole =
            deployments.iter().rev().filter(|deployment| deployment.status == DeploymentStatus::Finished);
        let mut seen = BTreeSet::new();
        for id in whole.map(|deployment| &deployment.release) {
            if Some(id) == current || !seen.insert(id) {
                continue;
            }
            if seen.len() > TARGETS_LOOKED_AT {
                break;
            }
            if let (Some(puts), Some(release)) = (puts.get(id), releases.get_mut(id)) {
                release.artifact_exists = self.exists_lately(puts).await?;
            }
        }
        Ok(())
    }
}

fn release(artifact: &Artifact, told: &DeploymentInfo) -> Release {
    let mut release = Release::bare(artifact.release.clone());
    release.version.clone_from(&artifact.called);
    release.commit.clone_from(&artifact.commit);
    // What we or CodeDeploy itself wrote there says nothing about the release.
    if origin(told) == DeploymentOrigin::Ordinary {
        description::read_into(&mut release, told.description());
    }
    release
}

fn status(told: &DeploymentInfo) -> DeploymentStatus {
    match told.status() {
        _ if succeeded(told) => DeploymentStatus::Finished,
        Some(Status::Failed) => DeploymentStatus::Failed,
        Some(Status::Stopped) => DeploymentStatus::Stopped,
        _ => DeploymentStatus::GoingOut,
    }
}

fn origin(told: &DeploymentInfo) -> DeploymentOrigin {
    let back = matches!(
        told.creator(),
        Some(DeploymentCreator::CodeDeployRollback | DeploymentCreator::CloudFormationRollback)
    );
    match description::mark(told.description()) {
        Some(mark) => DeploymentOrigin::Ours(mark),
        None if back => DeploymentOrigin::Rollback,
        None => DeploymentOrigin::Ordinary,
    }
}

/// CodeDeploy itself goes back when a deployment fails or an alarm rings; after a failure it begins that a moment later.
fn judges(group: &Group) -> bool {
    let goes_back = group.info.auto_rollback_configuration().is_some_and(|config| config.enabled());
    let listens = group.info.alarm_configuration().is_some_and(|config| config.enabled());
    let failed =
        group.releases().next_back().is_some_and(|newest| status(newest) == DeploymentStatus::Failed);
    (group.under_way().is_some() && (goes_back || listens)) || (failed && goes_back)
}

/// A deployment that moves nothing for so long is stuck. CodeDeploy gives a script an hour by default (AppSpec reference,
/// "hooks", `timeout`); waiting for somebody, or for the old fleet's end, is another status.
const STUCK_AFTER: Duration = Duration::from_mins(90);

/// What CodeDeploy reports of the newest deployment: that it failed, and with which code; that machines or targets of it failed while it
/// goes on; that it does not end. Our own is followed by its case.
fn report(group: &Group, at: Timestamp) -> Option<Report> {
    let newest =
        group.releases().next_back().filter(|newest| origin(newest) == DeploymentOrigin::Ordinary)?;
    let began = moment(newest.start_time().or_else(|| newest.create_time()))?;
    let failed = newest.deployment_overview().map_or(0, |overview| overview.failed());
    let goes_on = newest.status() == Some(&Status::InProgress) && !has_traffic(newest);
    let (since, says) = match status(newest) {
        DeploymentStatus::Failed => {
            let error = newest.error_information();
            let code = error.and_then(|error| error.code()).map_or("no code", |code| code.as_str());
            let message = error.and_then(|error| error.message()).unwrap_or("no message");
            (moment(newest.complete_time()).unwrap_or(at), format!("it failed: {code}: {message}"))
        }
        DeploymentStatus::GoingOut if failed > 0 => (at, format!("{failed} of its targets failed")),
        DeploymentStatus::GoingOut if goes_on && at >= began + STUCK_AFTER => {
            (began + STUCK_AFTER, format!("it goes on for more than {STUCK_AFTER:#}"))
        }
        DeploymentStatus::GoingOut | DeploymentStatus::Finished | DeploymentStatus::Stopped => return None,
    };
    Some(Report { deployment: DeploymentId::new(newest.deployment_id()?), since, says })
}
