//! Follows an act to its end. That Argo CD's operation succeeded says that everything was applied; whether it is well its health tells,
//! compared after that.

use super::ArgoCd;
use super::application::Application;
use super::begin::{Standing, on_again, serving, under_way};
use super::history::told;
use super::work::{Doing, Receipt};
use crate::case::command::Progress;
use crate::case::gate::WIRE_DEADLINE;
use crate::case::id::Timestamp;
use crate::outbound::Trouble;
use crate::outbound::api::CALL_MAX;

/// What an operation says that a window holds back (`controller/sync.go`).
const BLOCKED: &str = "blocked by sync window";

impl ArgoCd {
    pub(super) async fn follow(&self, receipt: &Receipt) -> Result<Progress, Trouble> {
        let (site, work) = (&receipt.work.site, &receipt.work);
        let looked_at = self.now();
        let application = self.application(site).await?;
        if application.uid() != work.uid {
            return Ok(Progress::Superseded(format!("another {site}")));
        }
        Ok(match &work.doing {
            Doing::Prepare { .. } if application.syncs_by_itself() => {
                Progress::Failed(on_again(site, &application))
            }
            // Whether our note is still there: an ApplicationSet takes it off, and nothing that serves depends on it.
            Doing::Prepare { .. } => Progress::Done(format!("auto-sync of {site} is off")),
            Doing::Terminate { started_at } if under_way(&application, *started_at).is_some() => {
                Progress::Running("the sync is being terminated".to_owned())
            }
            Doing::Terminate { .. } => Progress::Done("the sync is over".to_owned()),
            Doing::Resume { .. } if application.syncs_by_itself() => Progress::Serving(work.to.clone()),
            Doing::Resume { .. } => {
                Progress::Superseded(format!("auto-sync of {site} was switched off again"))
            }
            Doing::Rollback { after, before, .. } => {
                self.rolls_back(receipt, &application, (*after, *before), looked_at)
            }
        })
    }

    fn rolls_back(
        &self,
        receipt: &Receipt,
        application: &Application,
        (after, before): (i64, Option<Timestamp>),
        looked_at: Timestamp,
    ) -> Progress {
        let work = &receipt.work;
        match Standing::of(application, (&receipt.from, &work.to), after, before) {
            Standing::Asked => Progress::Running("asked for, and not begun yet".to_owned()),
            Standing::UnderWay(operation) if operation.message.contains(BLOCKED) => Progress::NeedsHuman {
                why: format!("a sync window holds the rollback of {} back: {}", work.site, operation.message),
                url: Some(self.link(&work.site)),
            },
            Standing::UnderWay(operation) => Progress::Running(operation.message),
            Standing::Ended(operation) => Progress::Failed(told(&operation)),
            Standing::Other(what) => Progress::Superseded(format!("{what} of {}", work.site)),
            Standing::Another => Progress::Running("another sync is under way".to_owned()),
            Standing::Done => self.synced(receipt, application),
            Standing::Open if serving(application).as_ref() == Some(&work.to) => {
                self.synced(receipt, application)
            }
            Standing::Open => {
                let until = receipt.intended_at + WIRE_DEADLINE + CALL_MAX + self.settings.quarantine;
                if looked_at <= until {
                    return Progress::Running("asked for, and not shown yet".to_owned());
                }
                Progress::Superseded(format!(
                    "the rollback of {} is gone: somebody ended it before it began",
                    work.site
                ))
            }
        }
    }

    /// Everything is applied: whether it is well.
    fn synced(&self, receipt: &Receipt, application: &Application) -> Progress {
        let work = &receipt.work;
        let ended = application.operation().and_then(|operation| operation.finished_at);
        if ended.zip(application.compared_at()).is_some_and(|(ended, compared)| compared < ended) {
            return Progress::Running("synced; its health was not read since".to_owned());
        }
        let health = application.health();
        if health != "Healthy" {
            let (message, _) = application.health_told();
            let message = message.map_or_else(String::new, |message| format!(": {message}"));
            return Progress::Running(format!("synced; its health is {health}{message}"));
        }
        if serving(application).as_ref() != Some(&work.to) {
            return Progress::Superseded(format!("somebody put something else on {}", work.site));
        }
        let stays = application.wanted().is_some_and(|wanted| wanted.release() == work.to);
        if application.syncs_by_itself() && !stays {
            return Progress::NeedsHuman {
                why: format!(
                    "the target serves, and Git will put something else out: {}",
                    on_again(&work.site, application)
                ),
                url: Some(self.link(&work.site)),
            };
        }
        Progress::Serving(work.to.clone())
    }
}
