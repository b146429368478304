//! Follows a deployment that we created, and after a stop the one by which CodeDeploy goes back: by its id, never by a
//! list of what is under way. "Succeeded" is CodeDeploy's word; what serves is read.

use aws_sdk_codedeploy::types::{
    ComputePlatform, DeploymentInfo, DeploymentReadyAction, DeploymentStatus, ErrorCode,
};

use super::CodeDeploy;
use super::begin::{NAMED_WITHIN, finished, over_since};
use super::serving::has_traffic;
use super::work::{Receipt, ReceiptAct};
use crate::case::command::Progress;
use crate::case::id::{Duration, ReleaseId};
use crate::outbound::Trouble;

/// What serves may be told so much later than that a deployment is done.
const SHOWN_WITHIN: Duration = Duration::from_mins(1);

impl CodeDeploy {
    pub(super) async fn follow(&self, receipt: &Receipt) -> Result<Progress, Trouble> {
        let deployment = self.deployment(&receipt.deployment).await?;
        match receipt.act {
            ReceiptAct::Create => self.created(receipt, &deployment).await,
            ReceiptAct::Stop => {
                stopped(&deployment, |id| Progress::Done(format!("deployment {id} is stopped")))
            }
            ReceiptAct::StopAndBack => self.goes_back(receipt, &deployment).await,
        }
    }

    async fn created(&self, receipt: &Receipt, deployment: &DeploymentInfo) -> Result<Progress, Trouble> {
        let id = deployment.deployment_id().unwrap_or_default();
        match deployment.status() {
            Some(DeploymentStatus::Succeeded) => self.done(receipt, deployment).await,
            Some(DeploymentStatus::Failed) => Ok(Progress::Failed(reason(deployment))),
            Some(DeploymentStatus::Stopped) if by_somebody(deployment) => {
                Ok(Progress::Superseded(format!("somebody stopped deployment {id}: {}", reason(deployment))))
            }
            Some(DeploymentStatus::Stopped) => Ok(Progress::Failed(reason(deployment))),
            _ => self.under_way(receipt, deployment).await,
        }
    }

    async fn under_way(&self, receipt: &Receipt, deployment: &DeploymentInfo) -> Result<Progress, Trouble> {
        let to = ReleaseId::new(&receipt.to);
        let id = deployment.deployment_id().unwrap_or_default();
        // On ECS the flag of the old fleet's end is not set (aws/containers-roadmap#269): who is primary tells.
        let may_serve =
            has_traffic(deployment) || deployment.compute_platform() == Some(&ComputePlatform::Ecs);
        if may_serve && self.serves_whole(receipt, deployment).await? == Some(to.clone()) {
            return Ok(Progress::Serving(to));
        }
        if deployment.status() == Some(&DeploymentStatus::Ready) && waits_for_somebody(deployment) {
            let why = format!(
                "deployment {id} has the new fleet ready, and waits for somebody to move the traffic"
            );
            return Ok(Progress::NeedsHuman { why, url: Some(self.link(id)) });
        }
        Ok(Progress::Running(counts(deployment)))
    }

    /// What serves now that CodeDeploy says that it is done. For a moment a reading may be older than that.
    async fn done(&self, receipt: &Receipt, deployment: &DeploymentInfo) -> Result<Progress, Trouble> {
        let to = ReleaseId::new(&receipt.to);
        let serving = self.serves_whole(receipt, deployment).await?;
        let lately = over_since(deployment).is_some_and(|at| self.now() < at + SHOWN_WITHIN);
        Ok(match serving {
            Some(release) if release == to || !lately => Progress::Serving(release),
            Some(_) | None if lately => Progress::Running("done, and not yet shown as serving".to_owned()),
            Some(_) | None => Progress::NeedsHuman {
                why: "CodeDeploy says that it is done, and nobody tells what serves alone".into(),
                url: Some(self.link(&receipt.deployment)),
            },
        })
    }

    /// What serves with all of the traffic. On machines the deployment that moved it is all that anybody knows.
    async fn serves_whole(
        &self,
        receipt: &Receipt,
        deployment: &DeploymentInfo,
    ) -> Result<Option<ReleaseId>, Trouble> {
        let site = receipt.site();
        if deployment.compute_platform() == Some(&ComputePlatform::Server) {
            return match deployment.revision() {
                Some(revision) => Ok(Some(self.artifact(&site, revision).await?.release)),
                None => Ok(None),
            };
        }
        let group = self.group(&site, self.now()).await?;
        let serving = self.serving(&site, &group).await?;
        Ok(serving.release.filter(|_| serving.whole))
    }

    async fn goes_back(&self, receipt: &Receipt, suspect: &DeploymentInfo) -> Result<Progress, Trouble> {
        let mut over = false;
        let progress = stopped(suspect, |id| {
            over = true;
            Progress::Running(format!("deployment {id} is stopped; CodeDeploy goes back"))
        })?;
        if !over {
            return Ok(progress);
        }
        let info = suspect.rollback_info();
        if let Some(back) = info.and_then(|info| info.rollback_deployment_id()) {
            let back = self.deployment(back).await?;
            return self.created(receipt, &back).await;
        }
        if let Some(why) = info.and_then(|info| info.rollback_message()).filter(|why| !why.is_empty()) {
            return Ok(Progress::Failed(format!("CodeDeploy did not go back: {why}")));
        }
        if over_since(suspect).is_none_or(|at| self.now() < at + NAMED_WITHIN) {
            return Ok(progress);
        }
        // On ECS and Lambda a stop before the traffic moved has nothing to take back: what served goes on serving.
        let to = ReleaseId::new(&receipt.to);
        let on_machines = suspect.compute_platform() == Some(&ComputePlatform::Server);
        if !on_machines && self.serves_whole(receipt, suspect).await?.as_ref() == Some(&to) {
            return Ok(Progress::Serving(to));
        }
        Ok(Progress::Failed("CodeDeploy did not go back, and does not say why".to_owned()))
    }
}

/// How a deployment stands that was told to stop.
fn stopped(suspect: &DeploymentInfo, then: impl FnOnce(&str) -> Progress) -> Result<Progress, Trouble> {
    let id = suspect.deployment_id().unwrap_or_default();
    match suspect.status() {
        Some(DeploymentStatus::Stopped | DeploymentStatus::Failed) => Ok(then(id)),
        Some(DeploymentStatus::Succeeded) => Err(finished(id)),
        _ => Ok(Progress::Running(format!("deployment {id} is stopping"))),
    }
}

/// A person, and not an alarm or a deadline, stopped it.
fn by_somebody(deployment: &DeploymentInfo) -> bool {
    let code = deployment.error_information().and_then(|error| error.code());
    code.is_none_or(|code| *code == ErrorCode::ManualStop)
}

/// The group is set up so that somebody continues a deployment whose new fleet is ready.
fn waits_for_somebody(deployment: &DeploymentInfo) -> bool {
    let ready = deployment.blue_green_deployment_configuration().and_then(|of| of.deployment_ready_option());
    ready.and_then(|of| of.action_on_timeout()) == Some(&DeploymentReadyAction::StopDeployment)
}

/// Why a deployment failed, in CodeDeploy's own words.
fn reason(deployment: &DeploymentInfo) -> String {
    let Some(error) = deployment.error_information() else { return "CodeDeploy gives no reason".to_owned() };
    let code = error.code().map_or("no code", |code| code.as_str());
    format!("{code}: {}", error.message().unwrap_or("no message"))
}

fn counts(deployment: &DeploymentInfo) -> String {
    let status = deployment.status().map_or("unknown", |status| status.as_str());
    match deployment.deployment_overview() {
        Some(of) => format!(
            "{status}: {} done, {} at it, {} waiting, {} failed",
            of.succeeded(),
            of.in_progress(),
            of.pending(),
            of.failed()
        ),
        None => status.to_owned(),
    }
}
