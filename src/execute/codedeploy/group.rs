//! A deployment group as CodeDeploy tells it: its settings and its deployments, oldest first. The order of its lists is
//! not documented, so everything is sorted here by the time of its creation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_codedeploy::primitives::DateTime;
use aws_sdk_codedeploy::types::{
    ComputePlatform, DeploymentCreator, DeploymentGroupInfo, DeploymentInfo, DeploymentMode,
    DeploymentStatus, TimeRange,
};

use super::{CodeDeploy, Site, description};
use crate::case::id::{Duration, Mark, Timestamp};
use crate::outbound::{CallError, Trouble};

/// `BatchGetDeployments` takes so many ids (the service model; old guides say 100).
const BATCH: usize = 25;
/// Deployments of one group that are looked at: more than a hundred a day for a month. More are not read in part.
const DEPLOYMENTS_MAX: usize = 5000;
/// Deployments that are remembered over all groups, some 2 kB each.
const KNOWN_MAX: usize = 20_000;
/// A whole list is read again after so long; until then only what is new.
const LIST_AGAIN: Duration = Duration::from_hours(1);
/// What is new is looked for from so long before the last look: a list may be late, and a clock.
const OVERLAP: Duration = Duration::from_mins(10);
/// A deployment that ended so long ago does not change any more: even its rollback has begun, or never will.
const SETTLED: Duration = Duration::from_hours(1);

/// Deployments that do not change any more.
pub(super) type Known = Mutex<BTreeMap<String, Arc<DeploymentInfo>>>;

/// What the list of a group's deployments held, by group.
pub(super) type Listed = Mutex<BTreeMap<Site, List>>;

/// A list, as of when it was read.
#[derive(Clone, Debug)]
pub(super) struct List {
    /// From when on it holds everything.
    since: Timestamp,
    /// When all of it was read.
    whole_at: Timestamp,
    /// When what is new was read last.
    read_at: Timestamp,
    ids: BTreeSet<String>,
}

/// A group with what was read of it.
pub(super) struct Group {
    pub(super) info: DeploymentGroupInfo,
    /// Oldest first.
    pub(super) deployments: Vec<Arc<DeploymentInfo>>,
}

/// What a group deploys to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    /// EC2 and machines of one's own.
    Server,
    /// ECS, blue/green by CodeDeploy.
    Ecs,
    /// Lambda.
    Lambda,
}

impl Platform {
    /// CodeDeploy's own word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Platform::Server => "Server",
            Platform::Ecs => "ECS",
            Platform::Lambda => "Lambda",
        }
    }
}

impl Group {
    pub(super) fn platform(&self) -> Platform {
        match self.info.compute_platform() {
            Some(ComputePlatform::Ecs) => Platform::Ecs,
            Some(ComputePlatform::Lambda) => Platform::Lambda,
            _ => Platform::Server,
        }
    }

    /// The release that is still on its way. Machines that join by autoscaling are not looked at: they put out what serves.
    pub(super) fn under_way(&self) -> Option<&DeploymentInfo> {
        self.releases().rev().find(|deployment| !is_over(deployment))
    }

    /// The deployment that carries this mark of ours, however it stands.
    pub(super) fn marked(&self, mark: &Mark) -> Option<&DeploymentInfo> {
        let mut deployments = self.deployments.iter().map(AsRef::as_ref);
        deployments.find(|of: &&DeploymentInfo| description::mark(of.description()).as_ref() == Some(mark))
    }

    /// The deployments that put a release out, oldest first.
    pub(super) fn releases(&self) -> impl DoubleEndedIterator<Item = &DeploymentInfo> {
        self.deployments.iter().map(AsRef::as_ref).filter(|deployment| is_release(deployment))
    }

    /// The last one that succeeded: what CodeDeploy itself would go back to.
    pub(super) fn last_successful(&self) -> Option<&DeploymentInfo> {
        let named = self.info.last_successful_deployment().and_then(|last| last.deployment_id());
        let by_name =
            |deployment: &&Arc<DeploymentInfo>| named.is_some() && deployment.deployment_id() == named;
        let found = self.deployments.iter().find(by_name);
        let newest = || self.deployments.iter().rev().find(|deployment| succeeded(deployment));
        found.or_else(newest).map(AsRef::as_ref)
    }

    /// Who manages the group from outside, if anybody: its deployments must be undone there.
    pub(super) fn owner(&self) -> Option<String> {
        let by_others = |of: &&DeploymentInfo| {
            of.creator() != Some(&DeploymentCreator::CodeDeployRollback)
                && description::mark(of.description()).is_none()
        };
        let newest = self.releases().rev().find(by_others)?;
        let by_stack = matches!(
            newest.creator(),
            Some(DeploymentCreator::CloudFormation | DeploymentCreator::CloudFormationRollback)
        );
        let id = newest.deployment_id().unwrap_or_default();
        match newest.external_id() {
            Some(external) => Some(format!("CloudFormation ({external}, which made deployment {id})")),
            None if by_stack => Some(format!("CloudFormation (which made deployment {id})")),
            None => None,
        }
    }
}

/// Whether nothing more will happen in a deployment. A status that is not known yet is taken for one under way.
pub(super) fn is_over(deployment: &DeploymentInfo) -> bool {
    matches!(
        deployment.status(),
        Some(DeploymentStatus::Succeeded | DeploymentStatus::Failed | DeploymentStatus::Stopped)
    )
}

/// Whether it went out whole.
pub(super) fn succeeded(deployment: &DeploymentInfo) -> bool {
    deployment.status() == Some(&DeploymentStatus::Succeeded)
}

/// Whether a deployment puts a release out. Autoscaling and updates of outdated instances put the same revision on new
/// machines, a restart puts nothing out: counted, they would shift what was before by one.
pub(super) fn is_release(deployment: &DeploymentInfo) -> bool {
    let by_machine = matches!(
        deployment.creator(),
        Some(
            DeploymentCreator::Autoscaling
                | DeploymentCreator::AutoscalingTermination
                | DeploymentCreator::CodeDeploy
                | DeploymentCreator::CodeDeployAutoUpdate
        )
    );
    !by_machine && deployment.deployment_mode() != Some(&DeploymentMode::Restart)
}

/// A moment of AWS's as one of ours.
pub(super) fn moment(at: Option<&DateTime>) -> Option<Timestamp> {
    Timestamp::from_nanosecond(at?.as_nanos()).ok()
}

fn date(at: Timestamp) -> DateTime {
    DateTime::from_secs(at.as_second())
}

impl CodeDeploy {
    /// A group with its deployments since that moment, its last ones in any case. What did not change lately is not listed
    /// again: good enough to look at, and no proof of absence.
    pub(super) async fn group(&self, site: &Site, since: Timestamp) -> Result<Group, Trouble> {
        let info = self.group_info(site).await?;
        let ids = self.ids(site, since).await?;
        self.with_deployments(info, ids).await
    }

    /// The same, listed anew from that moment on: what is not in it is not in CodeDeploy's list.
    pub(super) async fn group_afresh(&self, site: &Site, since: Timestamp) -> Result<Group, Trouble> {
        let info = self.group_info(site).await?;
        let ids = self.listed_since(site, since).await?;
        self.with_deployments(info, ids).await
    }

    async fn group_info(&self, site: &Site) -> Result<DeploymentGroupInfo, Trouble> {
        let clients = self.account.clients().await;
        let doing = format!("read the deployment group {} of {}", site.group, site.application);
        let answer = clients
            .codedeploy
            .get_deployment_group()
            .application_name(&site.application)
            .deployment_group_name(&site.group)
            .send()
            .await;
        let info = match answer {
            Ok(answer) => answer.deployment_group_info,
            Err(error) => return Err(self.account.sorted(&doing, error).await),
        };
        info.ok_or_else(|| empty(&doing))
    }

    async fn with_deployments(
        &self,
        info: DeploymentGroupInfo,
        mut ids: Vec<String>,
    ) -> Result<Group, Trouble> {
        let last = [info.last_successful_deployment(), info.last_attempted_deployment()];
        ids.extend(last.into_iter().flatten().filter_map(|last| last.deployment_id().map(str::to_owned)));
        ids.sort_unstable();
        ids.dedup();
        let mut deployments = self.deployments(ids).await?;
        deployments.sort_by_key(|deployment| moment(deployment.create_time()));
        Ok(Group { info, deployments })
    }

    /// The ids of a group's deployments since that moment: all of them once an hour, in between only what is new, so that
    /// a case that is looked at every ten seconds costs one short list.
    async fn ids(&self, site: &Site, since: Timestamp) -> Result<Vec<String>, Trouble> {
        let now = self.now();
        let known = self.listed.lock().unwrap_or_else(PoisonError::into_inner).get(site).cloned();
        let known = known.filter(|list| {
            list.since <= since && list.read_at <= now && now.duration_since(list.whole_at) < LIST_AGAIN
        });
        let from = known.as_ref().map_or(since, |list| since.max(list.read_at - OVERLAP));
        let new = self.listed_since(site, from).await?;
        let mut list = known.unwrap_or(List { since, whole_at: now, read_at: now, ids: BTreeSet::new() });
        list.read_at = now;
        list.ids.extend(new);
        let ids = list.ids.iter().cloned().collect();
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).insert(site.clone(), list);
        Ok(ids)
    }

    /// What CodeDeploy lists since that moment, page by page.
    async fn listed_since(&self, site: &Site, since: Timestamp) -> Result<Vec<String>, Trouble> {
        let clients = self.account.clients().await;
        let doing = format!("list the deployments of {}/{}", site.application, site.group);
        let range = TimeRange::builder().start(date(since)).build();
        let mut ids: Vec<String> = Vec::new();
        let mut next = None;
        loop {
            let asked = clients
                .codedeploy
                .list_deployments()
                .application_name(&site.application)
                .deployment_group_name(&site.group)
                .create_time_range(range.clone())
                .set_next_token(next);
            let page = match asked.send().await {
                Ok(page) => page,
                Err(error) => return Err(self.account.sorted(&doing, error).await),
            };
            // A page without a list is no empty list: somebody else answered.
            ids.extend(page.deployments.ok_or_else(|| empty(&doing))?);
            next = page.next_token.filter(|token| !token.is_empty());
            if ids.len() > DEPLOYMENTS_MAX {
                return Err(Trouble::Refused(format!("{doing}: more than {DEPLOYMENTS_MAX} of them")));
            }
            if next.is_none() {
                break;
            }
        }
        Ok(ids)
    }

    /// Reads deployments, those that do not change any more only once.
    async fn deployments(&self, ids: Vec<String>) -> Result<Vec<Arc<DeploymentInfo>>, Trouble> {
        let mut found = Vec::with_capacity(ids.len());
        let mut unknown = Vec::new();
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            for id in ids {
                match known.get(&id) {
                    Some(deployment) => found.push(deployment.clone()),
                    None => unknown.push(id),
                }
            }
        }
        for batch in unknown.chunks(BATCH) {
            found.extend(self.batch(batch).await?);
        }
        self.remember(&found);
        Ok(found)
    }

    async fn batch(&self, ids: &[String]) -> Result<Vec<Arc<DeploymentInfo>>, Trouble> {
        let clients = self.account.clients().await;
        let doing = "read deployments";
        let asked = clients.codedeploy.batch_get_deployments().set_deployment_ids(Some(ids.to_vec()));
        match asked.send().await {
            Ok(answer) => {
                let infos = answer.deployments_info.ok_or_else(|| empty(doing))?;
                // One that is left out might be the one that matters.
                let whole = infos.len() == ids.len();
                if whole { Ok(infos.into_iter().map(Arc::new).collect()) } else { Err(empty(doing)) }
            }
            Err(error) => Err(self.account.sorted(doing, error).await),
        }
    }

    fn remember(&self, found: &[Arc<DeploymentInfo>]) {
        let now = self.now();
        let settled = |deployment: &DeploymentInfo| {
            is_over(deployment)
                && moment(deployment.complete_time()).is_some_and(|ended| ended + SETTLED <= now)
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for deployment in found.iter().filter(|deployment| settled(deployment)) {
            if known.len() >= KNOWN_MAX {
                known.pop_first();
            }
            if let Some(id) = deployment.deployment_id() {
                known.insert(id.to_owned(), deployment.clone());
            }
        }
    }

    /// One deployment, as it stands now.
    pub(super) async fn deployment(&self, id: &str) -> Result<DeploymentInfo, Trouble> {
        let clients = self.account.clients().await;
        let doing = format!("read deployment {id}");
        let info = match clients.codedeploy.get_deployment().deployment_id(id).send().await {
            Ok(answer) => answer.deployment_info.ok_or_else(|| empty(&doing))?,
            Err(error) => return Err(self.account.sorted(&doing, error).await),
        };
        if info.deployment_id() == Some(id) { Ok(info) } else { Err(empty(&doing)) }
    }
}

/// An answer that speaks of something else, or of nothing.
pub(super) fn empty(doing: &str) -> Trouble {
    let said = "the answer does not hold what was asked for".to_owned();
    CallError::Answer { doing: doing.to_owned(), said }.into()
}
