//! The way back, pinned in full: stop what is still going out, create what went out before, or both. Never the service's
//! own "previous": after one rollback that is the bad release.

use aws_sdk_codedeploy::types::{DeploymentInfo, FileExistsBehavior, GreenFleetProvisioningAction};

use super::group::{Group, Platform, moment, succeeded};
use super::revision::{Artifact, Pinned};
use super::serving::is_blue_green;
use super::work::{Create, Doing};
use super::{CodeDeploy, Site};
use crate::case::id::{Duration, ReleaseId};
use crate::case::plan::Proposal;
use crate::outbound::Trouble;

/// The deployments of so long are looked at for the way back.
const HISTORY: Duration = Duration::from_hours(30 * 24);
/// A rollback gets at least so long from its intent to its end; then a person is asked.
const WITHIN_MIN: Duration = Duration::from_mins(30);
/// And so many times as long as the same release took before.
const WITHIN_FACTOR: i32 = 3;
/// CodeDeploy itself ends a deployment on machines after eight hours (its limits); on Lambda after fifty, but a way back
/// that long is no way back.
const WITHIN_MAX: Duration = Duration::from_hours(8);

impl CodeDeploy {
    pub(super) async fn proposal(
        &self,
        site: &Site,
        from: &ReleaseId,
        to: &ReleaseId,
    ) -> Result<Proposal, Trouble> {
        let since = self.now().checked_sub(HISTORY).unwrap_or(self.now());
        let group = self.group(site, since).await?;
        if let Some(owner) = group.owner() {
            return Err(Trouble::Refused(format!("{owner} manages the group: it must be undone there")));
        }
        let Some((before, artifact)) = self.went_out(site, &group, to).await? else {
            return Err(Trouble::Refused(format!("no deployment that put {to} out whole is known any more")));
        };
        self.can_be_put_out(&group, from, to, &artifact).await?;
        let took = lasted(before);
        let acts = match group.under_way() {
            None => vec![self.create(site, &group, before, &artifact, None).await?],
            Some(suspect) if self.puts_out(site, suspect, from).await? => {
                self.stop_and_go_back(site, &group, suspect, before, &artifact).await?
            }
            Some(other) => {
                let id = other.deployment_id().unwrap_or_default();
                return Err(Trouble::Busy { why: format!("deployment {id} is under way"), after: None });
            }
        };
        let fast = group.under_way().is_some_and(is_blue_green) && acts.len() == 1;
        let acts = acts.into_iter().map(|(doing, says)| doing.act(site, says)).collect();
        let within = took.map_or(WITHIN_MIN, |took| (took * WITHIN_FACTOR).clamp(WITHIN_MIN, WITHIN_MAX));
        Ok(Proposal { within, fast, expected_time: took.filter(|_| !fast), ..Proposal::of(acts) })
    }

    /// What stands in the way of the target whatever serves: it is refused now, and not in the middle of the night's work.
    async fn can_be_put_out(
        &self,
        group: &Group,
        from: &ReleaseId,
        to: &ReleaseId,
        artifact: &Artifact,
    ) -> Result<(), Trouble> {
        let refused = |why: String| Err(Trouble::Refused(why));
        if let Err(why) = &artifact.pinned {
            return refused(why.clone());
        }
        if group.platform() != Platform::Server && artifact.spec.is_none() {
            return refused(format!(
                "the AppSpec of {to} lies in S3 or on GitHub, where only CodeDeploy reads it"
            ));
        }
        if overwritten(from, to) {
            return refused(format!("{from} was put in the place of {to}: its bytes are not there any more"));
        }
        let fleet = group
            .info
            .blue_green_deployment_configuration()
            .and_then(|of| of.green_fleet_provisioning_option());
        if fleet.and_then(|of| of.action()) == Some(&GreenFleetProvisioningAction::DiscoverExisting) {
            return refused("the group takes machines that somebody provides for each deployment".to_owned());
        }
        let exists = match artifact.puts() {
            Some(puts) => self.exists(&puts).await?,
            None => None,
        };
        if exists == Some(false) {
            refused(format!("{to} is gone: it cannot be put out again"))
        } else {
            Ok(())
        }
    }

    /// The newest deployment that put a release out whole, and how it is put out again.
    async fn went_out<'g>(
        &self,
        site: &Site,
        group: &'g Group,
        release: &ReleaseId,
    ) -> Result<Option<(&'g DeploymentInfo, Artifact)>, Trouble> {
        for deployment in group.releases().rev().filter(|deployment| succeeded(deployment)) {
            let Some(revision) = deployment.revision() else { continue };
            let artifact = self.artifact(site, revision).await?;
            if artifact.release == *release {
                return Ok(Some((deployment, artifact)));
            }
        }
        Ok(None)
    }

    pub(super) async fn puts_out(
        &self,
        site: &Site,
        deployment: &DeploymentInfo,
        release: &ReleaseId,
    ) -> Result<bool, Trouble> {
        let Some(revision) = deployment.revision() else { return Ok(false) };
        Ok(self.artifact(site, revision).await?.release == *release)
    }

    /// CodeDeploy puts back what succeeded last; where that is not what we want, it is stopped alone, and the target is
    /// put out after it.
    async fn stop_and_go_back(
        &self,
        site: &Site,
        group: &Group,
        suspect: &DeploymentInfo,
        before: &DeploymentInfo,
        artifact: &Artifact,
    ) -> Result<Vec<(Doing, String)>, Trouble> {
        let id = suspect.deployment_id().unwrap_or_default().to_owned();
        let last = match group.last_successful() {
            Some(last) => self.puts_out(site, last, &artifact.release).await?,
            None => false,
        };
        let called = artifact.called.as_deref().unwrap_or(artifact.release.as_str());
        if last {
            let says = format!("stop deployment {id}; CodeDeploy puts {called} back");
            return Ok(vec![(Doing::Stop { deployment: id, back: true }, says)]);
        }
        let says = format!("stop deployment {id}, without CodeDeploy's own way back, which leads elsewhere");
        let stop = (Doing::Stop { deployment: id.clone(), back: false }, says);
        Ok(vec![stop, self.create(site, group, before, artifact, Some(id)).await?])
    }

    async fn create(
        &self,
        site: &Site,
        group: &Group,
        before: &DeploymentInfo,
        artifact: &Artifact,
        after: Option<String>,
    ) -> Result<(Doing, String), Trouble> {
        let on_machines = group.platform() == Platform::Server;
        let revision = match group.platform() {
            Platform::Server | Platform::Ecs => artifact.pinned.clone().map_err(Trouble::Refused)?,
            Platform::Lambda => self.leading_from_alias(site, group, artifact).await?,
        };
        let doing = Doing::Create(Create {
            revision,
            config: site.rollback_config.clone(),
            file_exists: on_machines.then(|| file_exists(before)),
            mute_alarms: group.info.alarm_configuration().is_some_and(|config| config.enabled()),
            on_machines,
            after,
        });
        let called = artifact.called.as_deref().unwrap_or(artifact.release.as_str());
        let says = format!("create a deployment of {called} in {}/{}", site.application, site.group);
        Ok((doing, says))
    }

    /// On Lambda the AppSpec of old would be refused: a new one leads from what the alias points to now.
    async fn leading_from_alias(
        &self,
        site: &Site,
        group: &Group,
        artifact: &Artifact,
    ) -> Result<Pinned, Trouble> {
        let refused = |why: &str| Trouble::Refused(why.to_owned());
        let alias = self.alias(site, group).await?;
        let alias = alias.ok_or_else(|| refused("no deployment says which alias is moved"))?;
        let spec = artifact.spec.as_ref().and_then(|spec| spec.parsed.as_ref().ok());
        let spec = spec.ok_or_else(|| refused("the target's AppSpec cannot be read"))?;
        let target = artifact.release.as_str().rsplit_once(':').map_or("", |(_, version)| version);
        if target == alias.version {
            let elsewhere =
                if alias.shifted > 0.0 { ", and sends a part of the traffic elsewhere" } else { "" };
            return Err(refused(&format!("the alias points to the target already{elsewhere}")));
        }
        let content = spec.between(&alias.version, target);
        content.map(Pinned::content).ok_or_else(|| refused("the target's AppSpec has no properties"))
    }
}

/// Two releases that lie under one key of S3, told apart by their content alone: the newer one took the older one's place.
fn overwritten(from: &ReleaseId, to: &ReleaseId) -> bool {
    let by_content =
        |release: &ReleaseId| release.as_str().split_once("?etag=").map(|(key, _)| key.to_owned());
    let to = by_content(to);
    to.is_some() && to == by_content(from)
}

/// How long a deployment took.
fn lasted(deployment: &DeploymentInfo) -> Option<Duration> {
    let began = moment(deployment.start_time().or_else(|| deployment.create_time()))?;
    Some(moment(deployment.complete_time())?.duration_since(began))
}

/// Files that are there already made a first deployment fail, if anything; the way back takes over what it did, or
/// overwrites.
fn file_exists(before: &DeploymentInfo) -> String {
    let before = before.file_exists_behavior().filter(|behavior| **behavior != FileExistsBehavior::Disallow);
    before.unwrap_or(&FileExistsBehavior::Overwrite).as_str().to_owned()
}
