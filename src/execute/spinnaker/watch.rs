//! Follows an act to its end, stage by stage. What Spinnaker calls a success is read again.

use serde_json::Value;

use super::run::{Kind, Run, Status, reasons};
use super::work::{Doing, Receipt};
use super::{Site, Spinnaker, Way};
use crate::case::command::Progress;
use crate::case::gate::WIRE_DEADLINE;
use crate::case::id::Timestamp;
use crate::outbound::Trouble;
use crate::outbound::api::CALL_MAX;

impl Spinnaker {
    pub(super) async fn follow(&self, receipt: &Receipt) -> Result<Progress, Trouble> {
        let looked_at = self.now();
        let work = &receipt.work;
        if let Doing::Cancel { execution } = &work.doing {
            let told = self.whole(&work.site, Kind::Deploy, execution).await?;
            return Ok(match told {
                Some((run, _)) if run.status.is_open() => {
                    Progress::Running(format!("execution {execution} is being cancelled"))
                }
                Some((run, _)) if run.status == Status::Succeeded => Progress::Done(format!(
                    "execution {execution} went out whole before it could be cancelled"
                )),
                Some(_) | None => Progress::Done(format!("execution {execution} is over")),
            });
        }
        let until = receipt.intended_at + WIRE_DEADLINE + CALL_MAX + self.settings.quarantine;
        let Some((run, told)) = self.ours(receipt).await? else {
            return self.without_a_run(receipt, looked_at < until).await;
        };
        Ok(match run.status {
            Status::Waiting => Progress::Running(waits(&work.site)),
            Status::Running | Status::Paused => self.goes_on(&work.site, &run, &told),
            Status::Succeeded => return self.ended_well(receipt, &run, looked_at).await,
            Status::Failed => Progress::Failed(reasons(&told)),
            Status::Canceled => Progress::Failed(canceled(&run, &told)),
            Status::Skipped => Progress::Failed("Spinnaker skipped it".to_owned()),
        })
    }

    /// Our run: by its id, else by our mark. Where Orca knew one under our mark it began none under the id that Gate told.
    async fn ours(&self, receipt: &Receipt) -> Result<Option<(Run, Value)>, Trouble> {
        let site = &receipt.work.site;
        if let Some(id) = &receipt.run
            && let Some(found) = self.whole(site, Kind::Rollback, id).await?
            && found.0.mark.as_ref() == Some(&receipt.mark)
        {
            return Ok(Some(found));
        }
        let listed = self.rollbacks(site).await?;
        let mut ours: Vec<&Run> =
            listed.iter().filter(|run| run.mark.as_ref() == Some(&receipt.mark)).collect();
        ours.sort_by_key(|run| run.began);
        let Some(first) = ours.first() else { return Ok(None) };
        self.whole(site, Kind::Rollback, &first.id).await
    }

    /// Nothing of ours is there: it was there already, or is not shown yet, or never began.
    async fn without_a_run(&self, receipt: &Receipt, is_early: bool) -> Result<Progress, Trouble> {
        let work = &receipt.work;
        let scene = self.scene(&work.site).await?;
        let serves = scene.current().as_ref() == Some(&work.to);
        Ok(match &receipt.run {
            None if serves => Progress::Serving(work.to.clone()),
            None => Progress::Superseded(scene.called()),
            Some(_) if is_early => Progress::Running("asked for, and not shown yet".to_owned()),
            Some(id) => Progress::NeedsHuman {
                why: format!(
                    "Gate took execution {id}, and it never began: the pipeline may have been disabled, or Echo may not reach Orca"
                ),
                url: self.link(&work.site.application, id),
            },
        })
    }

    fn goes_on(&self, site: &Site, run: &Run, told: &Value) -> Progress {
        let url = match &site.way {
            Way::Pipeline { .. } => self.link(&site.application, &run.id),
            Way::Manifest { .. } => self.tasks_link(&site.application),
        };
        let execution = told.get("execution").unwrap_or(told);
        let stages: Vec<&Value> = execution["stages"].as_array().into_iter().flatten().collect();
        let name = |stage: &Value| {
            let called = stage["name"].as_str().filter(|name| !name.is_empty());
            called.or_else(|| stage["type"].as_str()).unwrap_or_default().to_owned()
        };
        let runs =
            |stage: &&&Value| matches!(stage["status"].as_str(), Some("RUNNING" | "PAUSED" | "SUSPENDED"));
        let at_it: Vec<&Value> = stages.iter().filter(runs).copied().collect();
        if let Some(judged) = at_it.iter().find(|stage| stage["type"] == "manualJudgment") {
            return Progress::NeedsHuman {
                why: format!("the stage {} waits for somebody's judgment", name(judged)),
                url,
            };
        }
        if run.status == Status::Paused {
            return Progress::NeedsHuman { why: format!("execution {} is paused", run.id), url };
        }
        let over = |stage: &&&Value| {
            stage["status"].as_str().and_then(Status::parse).is_some_and(|status| !status.is_open())
        };
        let done = stages.iter().filter(over).count();
        let what = at_it.first().map_or_else(|| "between stages".to_owned(), |stage| name(stage));
        Progress::Running(format!("{what} ({done} of {} stages are over)", stages.len()))
    }

    /// Every stage ended well: whether it serves.
    async fn ended_well(
        &self,
        receipt: &Receipt,
        run: &Run,
        looked_at: Timestamp,
    ) -> Result<Progress, Trouble> {
        let work = &receipt.work;
        let scene = self.scene(&work.site).await?;
        let current = scene.current();
        if let Some(live) = &scene.live {
            // What Clouddriver shows it has read before.
            let ended = run.ended.unwrap_or(looked_at);
            let is_early = looked_at < ended + self.settings.quarantine;
            let serves = current.as_ref() == Some(&work.to);
            if is_early && !(serves && live.is_stable) && scene.runs.iter().all(|other| other.began <= ended)
            {
                return Ok(Progress::Running(format!(
                    "undone; the Deployment is not shown so yet: {}",
                    live.says
                )));
            }
            if serves && !live.is_stable {
                let why = format!("the rollout is undone, and does not get well: {}", live.says);
                return Ok(Progress::NeedsHuman { why, url: self.tasks_link(&work.site.application) });
            }
        }
        let replaces = |other: &Run| {
            other.status.is_open() || (other.is_there() && other.put_out_at() > run.put_out_at())
        };
        let later = scene.runs.iter().any(|other| other.id != run.id && replaces(other));
        Ok(match current {
            Some(current) if current == work.to => Progress::Serving(current),
            Some(current) if !later => Progress::Serving(current),
            _ => Progress::Superseded(scene.called()),
        })
    }
}

fn waits(site: &Site) -> String {
    match &site.way {
        Way::Pipeline { pipeline, .. } => {
            format!(
                "waits: another execution of {pipeline} runs, and it runs one at a time (limitConcurrent)"
            )
        }
        Way::Manifest { .. } => "waits to be begun".to_owned(),
    }
}

/// Who ended it, and why.
fn canceled(run: &Run, told: &Value) -> String {
    let execution = told.get("execution").unwrap_or(told);
    let by = execution["canceledBy"].as_str().filter(|by| !by.is_empty()).unwrap_or("nobody who is named");
    let why = execution["cancellationReason"].as_str().filter(|why| !why.is_empty());
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    if run.has_begun {
        return format!("it was cancelled by {by}{why}");
    }
    format!(
        "it was cancelled by {by} before it began{why}; a pipeline without `keepWaitingPipelines` cancels what waits when another one comes"
    )
}
