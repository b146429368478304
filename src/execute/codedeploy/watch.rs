//! Follows a deployment that we created, and after a stop the one by which CodeDeploy goes back: by its id, never by a
//! list of what is under way. "Succeeded" is CodeDeploy's word; what serves is read.

use aws_sdk_codedeploy::types::{DeploymentInfo, DeploymentStatus};

use super::CodeDeploy;
use super::group::{Platform, moment, succeeded};
use super::serving::has_traffic;
use super::work::{Receipt, ReceiptAct};
use crate::case::command::Progress;
use crate::case::id::{Duration, ReleaseId, Timestamp};
use crate::outbound::Trouble;

/// A deployment that was stopped names the one that goes back within this, where there is one.
const NAMED_WITHIN: Duration = Duration::from_mins(1);

impl CodeDeploy {
    pub(super) async fn follow(&self, receipt: &Receipt) -> Result<Progress, Trouble> {
        let deployment = self.deployment(&receipt.deployment).await?;
        match receipt.act {
            ReceiptAct::Create => self.created(receipt, &deployment).await,
            ReceiptAct::Stop => {
                self.stopped(&deployment, |id| Progress::Done(format!("deployment {id} is stopped")))
            }
            ReceiptAct::StopAndBack => self.goes_back(receipt, &deployment).await,
        }
    }

    async fn created(&self, receipt: &Receipt, deployment: &DeploymentInfo) -> Result<Progress, Trouble> {
        let id = deployment.deployment_id().unwrap_or_default();
        match deployment.status() {
            Some(DeploymentStatus::Succeeded) => self.serves(receipt).await,
            Some(DeploymentStatus::Failed) => Ok(Progress::Failed(reason(deployment))),
            Some(DeploymentStatus::Stopped) => {
                Ok(Progress::Superseded(format!("deployment {id} was stopped: {}", reason(deployment))))
            }
            Some(DeploymentStatus::Ready) => Ok(Progress::NeedsHuman {
                why: format!(
                    "deployment {id} has the new fleet ready, and waits for somebody to move the traffic"
                ),
                url: Some(self.link(id)),
            }),
            _ if has_traffic(deployment) => self.serves(receipt).await,
            _ => Ok(Progress::Running(counts(deployment))),
        }
    }

    /// What serves now that CodeDeploy says that it is done.
    async fn serves(&self, receipt: &Receipt) -> Result<Progress, Trouble> {
        let site = receipt.site();
        let group = self.group(&site, self.now()).await?;
        let serving = self.serving(&site, &group).await?.release;
        Ok(match serving {
            Some(release) => Progress::Serving(release),
            None => Progress::NeedsHuman {
                why: "CodeDeploy says that it is done, and nobody tells what serves".into(),
                url: Some(self.link(&receipt.deployment)),
            },
        })
    }

    /// How a deployment stands that was told to stop.
    fn stopped(
        &self,
        deployment: &DeploymentInfo,
        then: impl FnOnce(&str) -> Progress,
    ) -> Result<Progress, Trouble> {
        let id = deployment.deployment_id().unwrap_or_default();
        match deployment.status() {
            Some(DeploymentStatus::Stopped | DeploymentStatus::Failed) => Ok(then(id)),
            Some(DeploymentStatus::Succeeded) => {
                Err(Trouble::Moved(format!("deployment {id} finished before it could be stopped")))
            }
            _ => Ok(Progress::Running(format!("deployment {id} is stopping"))),
        }
    }

    async fn goes_back(&self, receipt: &Receipt, suspect: &DeploymentInfo) -> Result<Progress, Trouble> {
        let mut over = false;
        let progress = self.stopped(suspect, |id| {
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
        self.without_a_way_back(receipt, suspect, progress).await
    }

    /// On ECS and Lambda a stop before the traffic moved has nothing to take back: what served goes on serving.
    async fn without_a_way_back(
        &self,
        receipt: &Receipt,
        suspect: &DeploymentInfo,
        progress: Progress,
    ) -> Result<Progress, Trouble> {
        let ended = moment(suspect.complete_time()).unwrap_or(Timestamp::MAX);
        if self.now().duration_since(ended) < NAMED_WITHIN {
            return Ok(progress);
        }
        let site = receipt.site();
        let group = self.group(&site, self.now()).await?;
        let serving = self.serving(&site, &group).await?.release;
        let to = ReleaseId::new(&receipt.to);
        let tells = group.platform() != Platform::Server && serving.as_ref() == Some(&to);
        Ok(if tells && group.under_way().is_none() { Progress::Serving(to) } else { progress })
    }
}

/// Why a deployment failed, in CodeDeploy's own words.
fn reason(deployment: &DeploymentInfo) -> String {
    let Some(error) = deployment.error_information() else { return "CodeDeploy gives no reason".to_owned() };
    let code = error.code().map_or("no code", |code| code.as_str());
    format!("{code}: {}", error.message().unwrap_or("no message"))
}

fn counts(deployment: &DeploymentInfo) -> String {
    let status = deployment.status().map_or("unknown", |status| status.as_str());
    debug_assert!(!succeeded(deployment));
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
