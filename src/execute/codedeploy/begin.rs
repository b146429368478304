//! Sends the one request of a permit. What can be refused is refused by reading, before anything leaves.

use aws_sdk_codedeploy::types::{
    AlarmConfiguration, AutoRollbackConfiguration, DeploymentInfo, DeploymentStatus, FileExistsBehavior,
};

use super::account::code;
use super::group::{Group, is_over, moment, succeeded};
use super::work::{Create, Doing, Work};
use super::{CodeDeploy, description};
use crate::case::id::{Duration, Handle, Timestamp};
use crate::case::permit::Permit;
use crate::case::step::Order;
use crate::execute::unsent;
use crate::outbound::{CallError, Trouble};

/// Before an act the deployments of so long are read; the group's last ones always are.
const LATELY: Duration = Duration::from_hours(24);

impl CodeDeploy {
    pub(super) async fn send(&self, work: &Work, permit: Permit) -> Result<Handle, Trouble> {
        match &work.act {
            Doing::Stop { deployment, back } => self.stop(work, deployment, *back, permit).await,
            Doing::Create(create) => self.create_once(work, create, permit).await,
        }
    }

    fn still_in_time(&self, permit: &Permit) -> Result<(), Trouble> {
        if self.now() < permit.wire_deadline() {
            return Ok(());
        }
        Err(Trouble::Busy { why: "its permit ran out before it could leave".into(), after: None })
    }

    async fn stop(&self, work: &Work, id: &str, back: bool, permit: Permit) -> Result<Handle, Trouble> {
        let suspect = unsent(self.deployment(id).await)?;
        if is_over(&suspect) {
            return self.without_a_stop(work, &suspect, back);
        }
        self.still_in_time(&permit)?;
        let clients = self.account.clients().await;
        let doing = format!("stop deployment {id}");
        let asked = clients.codedeploy.stop_deployment().deployment_id(id).auto_rollback_enabled(back);
        match asked.send().await {
            // `Pending` and `Succeeded` both mean that it was taken; how it ends is watched.
            Ok(answer) if answer.status().is_some() => work.handle(id),
            Ok(_) => Err(CallError::Answer { doing, said: "the answer has no status".into() }.into()),
            Err(error) if code(&error) == Some("DeploymentAlreadyCompletedException") => {
                let suspect = unsent(self.deployment(id).await)?;
                self.without_a_stop(work, &suspect, back)
            }
            Err(error) => Err(self.account.sorted(&doing, error).await),
        }
    }

    /// The suspect was over before our stop: that is as good as a stop, if what the stop was to lead to is under way.
    fn without_a_stop(&self, work: &Work, suspect: &DeploymentInfo, back: bool) -> Result<Handle, Trouble> {
        let id = suspect.deployment_id().unwrap_or_default();
        if !is_over(suspect) {
            return Err(Trouble::Busy {
                why: format!("deployment {id} is over, and not shown so yet"),
                after: None,
            });
        }
        if succeeded(suspect) {
            return Err(finished(id));
        }
        match self.ended(suspect, back) {
            Ended::AsWished => work.handle(id),
            Ended::Soon(_) => {
                Err(Trouble::Busy { why: format!("deployment {id} has just ended"), after: None })
            }
            Ended::ByItself(how) => Err(Trouble::Moved(how)),
        }
    }

    /// What a deployment that ended without success leads to by itself.
    pub(super) fn ended(&self, suspect: &DeploymentInfo, back: bool) -> Ended {
        if !back || suspect.rollback_info().and_then(|info| info.rollback_deployment_id()).is_some() {
            return Ended::AsWished;
        }
        let until = over_since(suspect).map(|ended| ended + NAMED_WITHIN);
        match until.filter(|until| self.now() < *until) {
            Some(until) => Ended::Soon(until),
            None => {
                let id = suspect.deployment_id().unwrap_or_default();
                Ended::ByItself(format!(
                    "deployment {id}, which ended by itself, and CodeDeploy does not go back"
                ))
            }
        }
    }

    async fn create_once(&self, work: &Work, create: &Create, permit: Permit) -> Result<Handle, Trouble> {
        let before = self.may_create(work, create, permit.order()).await;
        if let Some(handle) = unsent(before)? {
            return Ok(handle);
        }
        self.still_in_time(&permit)?;
        let clients = self.account.clients().await;
        let doing =
            format!("create a deployment of {} in {}/{}", work.to, work.site.application, work.site.group);
        let machines = create.on_machines;
        let asked = clients
            .codedeploy
            .create_deployment()
            .application_name(&work.site.application)
            .deployment_group_name(&work.site.group)
            .revision(create.revision.location())
            .description(description::of(permit.order()))
            .set_deployment_config_name(create.config.clone())
            // A rollback that fails must not lead to what succeeded last: that is the bad release.
            .auto_rollback_configuration(AutoRollbackConfiguration::builder().enabled(false).build())
            .set_override_alarm_configuration(
                create.mute_alarms.then(|| AlarmConfiguration::builder().enabled(false).build()),
            )
            // These scripts are those of the release that leaves; a broken one must not bar the way.
            .set_ignore_application_stop_failures(machines.then_some(true))
            .set_update_outdated_instances_only(machines.then_some(false))
            .set_file_exists_behavior(create.file_exists.as_deref().map(FileExistsBehavior::from));
        match asked.send().await {
            Ok(answer) => match answer.deployment_id() {
                Some(id) if id.starts_with("d-") => work.handle(id),
                Some(_) | None => {
                    Err(CallError::Answer { doing, said: "the answer names no deployment".into() }.into())
                }
            },
            // Another one is under way; by its type, because its words have changed before. This one surely is not.
            Err(error) if code(&error) == Some("DeploymentLimitExceededException") => {
                unsent(self.blocked(work, create, permit.order()).await)
            }
            Err(error) => Err(self.account.sorted(&doing, error).await),
        }
    }

    /// Whether a deployment may be created now. A receipt: there is nothing left to do.
    async fn may_create(
        &self,
        work: &Work,
        create: &Create,
        order: &Order,
    ) -> Result<Option<Handle>, Trouble> {
        let group = self.lately(work).await?;
        // Whatever became of it: this step has its one deployment.
        if let Some(ours) = group.marked(&order.mark).and_then(DeploymentInfo::deployment_id) {
            return work.handle(ours).map(Some);
        }
        if let Some(other) = group.under_way() {
            let id = other.deployment_id().unwrap_or_default();
            return Err(Trouble::Moved(format!("deployment {id}, which somebody began meanwhile")));
        }
        let serving = self.serving(&work.site, &group).await?;
        let whole = serving.whole;
        let serving = serving.release;
        if serving.as_ref() == Some(&work.to) && whole {
            let done = group.last_successful().and_then(DeploymentInfo::deployment_id);
            let id = done.ok_or_else(|| Trouble::Moved(format!("{} already, by no deployment", work.to)))?;
            return work.handle(id).map(Some);
        }
        if serving.as_ref() == Some(&order.expected) || stopped_last(&group, create.after.as_deref()) {
            return Ok(None);
        }
        Err(Trouble::Moved(
            serving.map_or("nothing that CodeDeploy knows".to_owned(), |release| release.to_string()),
        ))
    }

    /// The group with its deployments of the last day.
    async fn lately(&self, work: &Work) -> Result<Group, Trouble> {
        let now = self.now();
        self.group_afresh(&work.site, now.checked_sub(LATELY).unwrap_or(now)).await
    }

    /// Another deployment is under way: somebody's release comes first, machines that join are waited for.
    async fn blocked(&self, work: &Work, create: &Create, order: &Order) -> Result<Handle, Trouble> {
        match self.may_create(work, create, order).await? {
            Some(handle) => Ok(handle),
            None => Err(Trouble::Busy { why: "another deployment is under way".into(), after: None }),
        }
    }
}

/// How long a deployment that ended may take to name the one that goes back, where there is one.
pub(super) const NAMED_WITHIN: Duration = Duration::from_mins(1);

/// What a deployment that ended without success leads to.
pub(super) enum Ended {
    /// What a stop would have led to.
    AsWished,
    /// Not known before this moment.
    Soon(Timestamp),
    /// Nothing; how it ended.
    ByItself(String),
}

/// What was to be stopped went out whole first: its plan holds no more.
pub(super) fn finished(id: &str) -> Trouble {
    Trouble::Moved(format!("deployment {id} finished before it could be stopped"))
}

/// Since when a deployment is over, as well as it tells.
pub(super) fn over_since(deployment: &DeploymentInfo) -> Option<Timestamp> {
    let told =
        deployment.complete_time().or_else(|| deployment.start_time()).or_else(|| deployment.create_time());
    moment(told)
}

/// The step before stopped this deployment, and nobody has put anything out since.
pub(super) fn stopped_last(group: &Group, after: Option<&str>) -> bool {
    let newest = group.releases().next_back();
    newest.is_some_and(|newest| {
        after.is_some()
            && newest.deployment_id() == after
            && matches!(newest.status(), Some(DeploymentStatus::Stopped | DeploymentStatus::Failed))
    })
}
