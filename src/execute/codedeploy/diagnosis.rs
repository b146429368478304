//! What CodeDeploy shows of a deployment that failed: the lifecycle event at which each target stood, and the end of the
//! script's log that the agent sent.

use aws_sdk_codedeploy::types::{DeploymentInfo, DeploymentTarget, LifecycleEvent, LifecycleEventStatus};

use super::account::code;
use super::work::{Receipt, ReceiptAct};
use super::{CodeDeploy, Site};
use crate::case::exhibit::Exhibit;
use crate::outbound::Trouble;

/// Targets that are shown: they mostly fail alike.
const TARGETS_MAX: usize = 5;
/// `BatchGetDeploymentTargets` takes so many (the service model).
const BATCH: usize = 25;
/// The agent sends at most 4 KB of a log; more is not taken.
const LOG_MAX: usize = 4096;

impl CodeDeploy {
    pub(super) async fn diagnosis(&self, receipt: &Receipt) -> Result<Vec<Exhibit>, Trouble> {
        let mut id = receipt.deployment.clone();
        if matches!(receipt.act, ReceiptAct::StopAndBack) {
            let stopped = self.deployment(&id).await?;
            if let Some(back) = stopped.rollback_info().and_then(|info| info.rollback_deployment_id()) {
                id = back.to_owned();
            }
        }
        self.failed_targets(&id).await
    }

    /// Of the newest deployment, whoever began it.
    pub(super) async fn shown_lately(&self, site: &Site) -> Result<Vec<Exhibit>, Trouble> {
        let group = self.group(site, self.now()).await?;
        match group.releases().filter_map(DeploymentInfo::deployment_id).next_back() {
            Some(newest) => self.failed_targets(newest).await,
            None => Ok(Vec::new()),
        }
    }

    async fn failed_targets(&self, id: &str) -> Result<Vec<Exhibit>, Trouble> {
        let targets = self.targets(id).await?;
        Ok(targets.iter().filter_map(exhibit).take(TARGETS_MAX).collect())
    }

    async fn targets(&self, id: &str) -> Result<Vec<DeploymentTarget>, Trouble> {
        let clients = self.account.clients().await;
        let doing = format!("read the targets of deployment {id}");
        let listed = match clients.codedeploy.list_deployment_targets().deployment_id(id).send().await {
            Ok(answer) => answer.target_ids.unwrap_or_default(),
            // Normal for a moment after its creation.
            Err(error) if code(&error) == Some("DeploymentNotStartedException") => return Ok(Vec::new()),
            Err(error) => return Err(self.account.sorted(&doing, error).await),
        };
        let ids: Vec<String> = listed.into_iter().take(BATCH).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let asked =
            clients.codedeploy.batch_get_deployment_targets().deployment_id(id).set_target_ids(Some(ids));
        match asked.send().await {
            Ok(answer) => Ok(answer.deployment_targets.unwrap_or_default()),
            Err(error) => Err(self.account.sorted(&doing, error).await),
        }
    }
}

/// The event at which a target failed, if it did.
fn exhibit(target: &DeploymentTarget) -> Option<Exhibit> {
    let (id, events): (Option<&str>, &[LifecycleEvent]) = if let Some(machine) = target.instance_target() {
        (machine.target_id(), machine.lifecycle_events())
    } else if let Some(ecs) = target.ecs_target() {
        (ecs.target_id(), ecs.lifecycle_events())
    } else if let Some(lambda) = target.lambda_target() {
        (lambda.target_id(), lambda.lifecycle_events())
    } else {
        return None;
    };
    let failed = events.iter().find(|event| event.status() == Some(&LifecycleEventStatus::Failed))?;
    let name =
        format!("{} on {}", failed.lifecycle_event_name().unwrap_or("an event"), id.unwrap_or("a target"));
    Some(Exhibit { name, text: told(failed) })
}

fn told(event: &LifecycleEvent) -> String {
    let Some(of) = event.diagnostics() else { return "it failed, and nothing more is told".to_owned() };
    let mut parts = Vec::new();
    parts.extend(of.error_code().map(|code| code.as_str().to_owned()));
    parts.extend(of.script_name().filter(|name| !name.is_empty()).map(|name| format!("script {name}")));
    parts.extend(of.message().filter(|message| !message.is_empty()).map(str::to_owned));
    let tail = of.log_tail().map(str::trim).filter(|tail| !tail.is_empty());
    parts.extend(tail.map(|tail| tail.chars().take(LOG_MAX).collect()));
    parts.join(": ")
}
