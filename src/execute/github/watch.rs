//! Follows an act to its end. That a run succeeded is the workflow's own word: where Snapback writes the deployments, verification tells
//! whether it helped; where the workflow does, they must say so before it counts.

use super::begin::known_of;
use super::record::{is_told, overtaken};
use super::run::{Job, Run, what_failed};
use super::work::{Doing, Receipt};
use super::{GitHub, Site};
use crate::case::command::Progress;
use crate::case::id::{Duration, Timestamp};
use crate::outbound::Trouble;

/// A workflow that says in the deployments what it put out has done so this long after its run.
const TOLD_WITHIN: Duration = Duration::from_mins(2);
/// A review is asked of so many, by name.
const REVIEWERS_MAX: usize = 6;

impl GitHub {
    pub(super) async fn follow(&self, receipt: &Receipt) -> Result<Progress, Trouble> {
        match receipt.work.doing {
            Doing::Cancel { run, attempt } => self.ends(&receipt.work.site, (run, attempt)).await,
            Doing::Dispatch => self.runs(receipt).await,
            Doing::Record => self.is_written(receipt).await,
            Doing::Confirm => self.serves(receipt).await,
        }
    }

    async fn ends(&self, site: &Site, (run, attempt): (u64, u64)) -> Result<Progress, Trouble> {
        let Some(stands) = self.run(site, run).await? else {
            return Ok(Progress::Running(format!("run {run} is not shown")));
        };
        if stands.is_over() || stands.attempt != attempt {
            return Ok(Progress::Done(format!("run {run} is over")));
        }
        Ok(Progress::Running(format!("run {run} is being cancelled; it is {}", stands.status)))
    }

    async fn runs(&self, receipt: &Receipt) -> Result<Progress, Trouble> {
        let site = &receipt.work.site;
        let looked_at = self.now();
        let mut known = receipt.known.clone();
        if known.run.is_none() {
            known = known_of(&self.marked(site, &receipt.mark, receipt.intended_at).await?);
        }
        if let Some((one, other)) = known.run.zip(known.twin) {
            let why = format!(
                "two runs of {} bear our mark, {one} and {other}: see that both end well",
                site.workflow
            );
            return Ok(Progress::NeedsHuman { why, url: Some(self.link(site)) });
        }
        let run = match known.run {
            Some(run) => self.run(site, run).await?,
            None => None,
        };
        match run {
            Some(run) => self.stands(receipt, &run, looked_at).await,
            None => self.shows_no_run(receipt, known.run, looked_at).await,
        }
    }

    async fn shows_no_run(
        &self,
        receipt: &Receipt,
        run: Option<u64>,
        looked_at: Timestamp,
    ) -> Result<Progress, Trouble> {
        let (site, to) = (&receipt.work.site, &receipt.work.to);
        let scene = self.scene(site).await?;
        if run.is_none() && scene.going_out().is_none() && scene.current.as_ref() == Some(to) {
            return Ok(self.put_out(receipt, "it is there already".to_owned()));
        }
        if looked_at <= self.surely(receipt.intended_at) {
            return Ok(Progress::Running("asked for, and not shown yet".to_owned()));
        }
        let why = match run {
            Some(run) => format!("run {run} of {} is not there any more", site.repository),
            None => format!(
                "{} was started, and no run bears our mark: let its `run-name` hold `inputs.rollback_id`, see its newest run, and say what became of it",
                site.workflow
            ),
        };
        Ok(Progress::NeedsHuman { why, url: Some(self.link(site)) })
    }

    async fn stands(&self, receipt: &Receipt, run: &Run, looked_at: Timestamp) -> Result<Progress, Trouble> {
        let site = &receipt.work.site;
        if !run.is_over() {
            let waits = if run.status == "waiting" { self.review(site, run).await? } else { None };
            let running = || Progress::Running(format!("run {} is {}: {}", run.id, run.status, run.link));
            return Ok(waits.unwrap_or_else(running));
        }
        let jobs = self.jobs(site, run.id).await?;
        match run.conclusion.as_deref() {
            Some("success") if !jobs.iter().any(Job::has_succeeded) => Ok(Progress::NeedsHuman {
                why: format!("run {} calls itself a success, and none of its jobs did anything", run.id),
                url: Some(run.link.clone()),
            }),
            Some("success") => self.succeeded(receipt, run, looked_at).await,
            Some("cancelled") => Ok(Progress::Failed(cancelled(site, run, &jobs))),
            other => {
                let how = other.unwrap_or("without a conclusion");
                let told = [
                    vec![format!("run {} ended: {how}", run.id)],
                    what_failed(&jobs),
                    vec![run.link.clone()],
                ];
                Ok(Progress::Failed(told.concat().join("; ")))
            }
        }
    }

    async fn succeeded(
        &self,
        receipt: &Receipt,
        run: &Run,
        looked_at: Timestamp,
    ) -> Result<Progress, Trouble> {
        let work = &receipt.work;
        let scene = self.scene(&work.site).await?;
        let by_itself = scene.last().is_some_and(|last| last.run == Some(run.id));
        if !by_itself && let Err(Trouble::Moved(what)) = overtaken(work, &scene, &receipt.from) {
            return Ok(Progress::Superseded(what));
        }
        if work.site.record || scene.current.as_ref() == Some(&work.to) {
            return Ok(self.put_out(receipt, format!("run {} succeeded", run.id)));
        }
        if looked_at < run.updated_at + TOLD_WITHIN {
            return Ok(Progress::Running(format!("run {} succeeded; no deployment says so yet", run.id)));
        }
        Ok(Progress::NeedsHuman {
            why: format!(
                "run {} succeeded, and no deployment to {} says that {} is there: let the workflow write one, or leave `record` on",
                run.id, work.site, work.to
            ),
            url: Some(run.link.clone()),
        })
    }

    /// Done for this step: where more is to be written, that is for the next.
    fn put_out(&self, receipt: &Receipt, says: String) -> Progress {
        if receipt.work.site.record {
            Progress::Done(says)
        } else {
            Progress::Serving(receipt.work.to.clone())
        }
    }

    /// Somebody has to let it begin. `None`: it waits for nobody.
    async fn review(&self, site: &Site, run: &Run) -> Result<Option<Progress>, Trouble> {
        let doing = format!("read what run {} of {} waits for", run.id, site.repository);
        let path = site.path(&format!("/actions/runs/{}/pending_deployments", run.id));
        let told = self.must_read(&doing, &path).await?;
        let pending = told.as_array().into_iter().flatten();
        let reviews: Vec<String> = pending
            .filter_map(|pending| {
                let asked = pending["reviewers"].as_array().into_iter().flatten();
                let names: Vec<&str> = asked
                    .filter_map(|asked| {
                        ["login", "slug", "name"].iter().find_map(|name| asked["reviewer"][name].as_str())
                    })
                    .take(REVIEWERS_MAX)
                    .collect();
                let environment = pending["environment"]["name"].as_str().unwrap_or_default();
                (!names.is_empty()).then(|| format!("{environment} by {}", names.join(" or ")))
            })
            .collect();
        Ok((!reviews.is_empty()).then(|| Progress::NeedsHuman {
            why: format!(
                "run {} waits for a review of {}; no App may give it. When it is given, look again",
                run.id,
                reviews.join(", ")
            ),
            url: Some(run.link.clone()),
        }))
    }

    async fn is_written(&self, receipt: &Receipt) -> Result<Progress, Trouble> {
        let work = &receipt.work;
        if let Some(why) = &receipt.known.unwritten {
            return Ok(unwritten(why));
        }
        let looked_at = self.now();
        if self.written(&work.site, &receipt.mark).await?.is_some() {
            return Ok(Progress::Done("it is written".to_owned()));
        }
        if is_told(work, &self.scene(&work.site).await?) {
            return Ok(Progress::Done("the workflow wrote it".to_owned()));
        }
        if looked_at <= self.surely(receipt.intended_at) {
            return Ok(Progress::Running("written, and not shown yet".to_owned()));
        }
        Ok(unwritten("the deployment that was written is gone"))
    }

    async fn serves(&self, receipt: &Receipt) -> Result<Progress, Trouble> {
        let work = &receipt.work;
        if let Some(why) = &receipt.known.unwritten {
            return Ok(unwritten(why));
        }
        let looked_at = self.now();
        let scene = self.scene(&work.site).await?;
        if let Err(Trouble::Moved(what)) = overtaken(work, &scene, &receipt.from) {
            return Ok(Progress::Superseded(what));
        }
        if is_told(work, &scene) {
            return Ok(Progress::Serving(work.to.clone()));
        }
        if looked_at <= self.surely(receipt.intended_at) {
            return Ok(Progress::Running("said, and not shown yet".to_owned()));
        }
        Ok(unwritten("what was said of the deployment is not shown"))
    }

    /// Where a person sees the workflow.
    pub(super) fn link(&self, site: &Site) -> String {
        format!("{}/{}/actions/workflows/{}", self.web(), site.repository, site.workflow)
    }

    /// Where people see GitHub: the API of github.com has a host of its own, that of an Enterprise Server a path.
    pub(super) fn web(&self) -> String {
        let url = &self.settings.url;
        let own = url.strip_suffix("/api/v3").unwrap_or(url);
        own.replacen("://api.", "://", 1)
    }
}

fn unwritten(why: &str) -> Progress {
    Progress::NeedsHuman {
        why: format!(
            "the workflow has put the target out, and GitHub's deployments do not say so: {why}. Look again when that is mended, or say that it took effect"
        ),
        url: None,
    }
}

/// A run that somebody, or its concurrency group, ended.
fn cancelled(site: &Site, run: &Run, jobs: &[Job]) -> String {
    if jobs.iter().any(|job| job.has_begun) {
        return format!(
            "run {} was cancelled on its way, and may have left half of it: {}",
            run.id, run.link
        );
    }
    format!(
        "run {} was cancelled before any job began, so that nothing was done: mostly a newer run took its place in its concurrency group. Let {} have `cancel-in-progress: false` and `queue: max` there, and roll back again: {}",
        run.id, site.workflow, run.link
    )
}
