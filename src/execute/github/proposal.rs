//! The way back, proposed: the suspect's own run is ended where it is still at it, one run of the rollback workflow puts the target out, and
//! what it put out is written into the deployments. Reads only.

use super::deployment::{Stands, short};
use super::run::Run;
use super::scene::{Scene, Went};
use super::work::{Doing, Work};
use super::{GitHub, Site};
use crate::case::id::{Duration, ReleaseId};
use crate::case::plan::Proposal;
use crate::outbound::Trouble;

/// What goes out and nobody can end is asked about so often.
pub(super) const AGAIN: Duration = Duration::from_secs(10);

impl GitHub {
    pub(super) async fn proposal(
        &self,
        site: &Site,
        from: &ReleaseId,
        to: &ReleaseId,
    ) -> Result<Proposal, Trouble> {
        let scene = self.scene(site).await?;
        let going_out = going_out_of(site, &scene, from)?;
        if going_out.is_none() && scene.current.as_ref() != Some(from) {
            return Err(Trouble::Moved(scene.called()));
        }
        let back =
            scene.went.iter().rev().find(|went| {
                went.release.as_ref() == Some(to) && matches!(went.stands, Stands::Succeeded(_))
            });
        let Some(back) = back else {
            return Err(Trouble::Refused(format!(
                "the newest deployments to {site} tell of none that put {to} out"
            )));
        };
        if self.said(site, to.as_str()).await?.is_gone {
            return Err(Trouble::Refused(format!("{} has commit {to} no more", site.repository)));
        }
        if let Some(why) = self.unprotected(site).await? {
            return Err(Trouble::Refused(why));
        }
        if let Some(why) = self.not_started(site).await? {
            return Err(Trouble::Refused(why));
        }
        let cancelled = match going_out {
            Some(going_out) => Some(self.run_that_ends(site, going_out).await?),
            None => None,
        };
        let work = |doing| Work { site: site.clone(), doing, after: scene.newest, to: to.clone() };
        let mut acts = Vec::new();
        acts.extend(cancelled.map(|run| {
            let says =
                format!("cancel run {} of {} ({}), with all its jobs", run.id, site.repository, run.title);
            work(Doing::Cancel { run: run.id, attempt: run.attempt }).act(says)
        }));
        let target = format!("{} (deployment {})", short(to.as_str()), back.made.id);
        acts.push(work(Doing::Dispatch).act(format!(
            "run {} on {} of {} for {target} on {}",
            site.workflow, site.branch, site.repository, site.environment
        )));
        if site.record {
            acts.push(work(Doing::Record).act(format!(
                "write into GitHub's deployments that {target} is on {} again",
                site.environment
            )));
            acts.push(work(Doing::Confirm).act("and that it succeeded".to_owned()));
        }
        let took = match back.stands {
            Stands::Succeeded(at) => at.duration_since(back.began_at),
            Stands::Failed(_) | Stands::GoingOut | Stands::NotBegun => Duration::ZERO,
        };
        let expected_time = took.is_positive().then_some(took);
        // That they cannot be read is no reason not to go back; people are told that nobody knows.
        let commits = self.range(site, to, from).await.ok();
        Ok(Proposal { expected_time, commits, ..Proposal::of(acts) })
    }

    /// Why the workflow cannot be started; `None`: it can.
    pub(super) async fn not_started(&self, site: &Site) -> Result<Option<String>, Trouble> {
        let doing = format!("read the workflow {} of {}", site.workflow, site.repository);
        let told = self.must_read(&doing, &site.of_workflow("")).await?;
        let state = told["state"].as_str().unwrap_or("of no state");
        Ok((state != "active").then(|| {
            format!(
                "the workflow {} of {} is {state}: let somebody enable it",
                site.workflow, site.repository
            )
        }))
    }

    /// The run that puts the suspect out, while it is at it.
    async fn run_that_ends(&self, site: &Site, suspect: &Went) -> Result<Run, Trouble> {
        let goes_on = |why: String| Trouble::Busy { why, after: Some(AGAIN) };
        let Some(run) = suspect.run else {
            return Err(goes_on(format!(
                "{} is still going out, and nothing tells which run of GitHub Actions does it: it is gone back from when it has ended",
                suspect.called()
            )));
        };
        let run = self.run(site, run).await?.filter(|run| !run.is_over());
        run.ok_or_else(|| goes_on(format!("{} has just ended", suspect.called())))
    }
}

/// The suspect, where it is still going out. Somebody else's deployment comes first.
pub(super) fn going_out_of<'s>(
    site: &Site,
    scene: &'s Scene,
    from: &ReleaseId,
) -> Result<Option<&'s Went>, Trouble> {
    match scene.going_out() {
        Some(going_out) if going_out.release.as_ref() == Some(from) => Ok(Some(going_out)),
        Some(other) => Err(Trouble::Moved(format!("{} is on its way to {site}", other.called()))),
        None => Ok(None),
    }
}
