//! What was put out, written into GitHub's deployments: a deployment of that commit with our mark, and that it succeeded. Who reads them
//! sees what serves, and not the commit of the branch that a rollback ran on. Where the workflow says so itself nothing is written.
//!
//! `auto_merge` is off: GitHub would merge the default branch into the commit, and with it what is gone back from. No contexts are
//! required: the commit was put out before. Facts: docs.github.com, "Create a deployment".

use serde_json::json;

use super::asking::{denied, no_such};
use super::deployment::{Made, ROLLBACK, Stands, State, short, statuses};
use super::run::mark_in;
use super::scene::Scene;
use super::work::{Known, Work};
use super::{GitHub, Site};
use crate::case::id::{Handle, Mark, ReleaseId};
use crate::case::permit::Permit;
use crate::execute::unsent;
use crate::outbound::Trouble;
use crate::outbound::api::Denial;

impl GitHub {
    pub(super) async fn record(&self, work: &Work, permit: &Permit) -> Result<Handle, Trouble> {
        let (site, order) = (&work.site, permit.order());
        let scene = unsent(self.scene(site).await)?;
        if unsent(self.written(site, &order.mark).await)?.is_some() || is_told(work, &scene) {
            return work.handle(order, Known::default());
        }
        overtaken(work, &scene, &order.expected)?;
        let doing = format!("write a deployment to {site}");
        let body = json!({
            "ref": work.to.as_str(),
            "task": ROLLBACK,
            "auto_merge": false,
            "required_contexts": [],
            "environment": site.environment,
            "payload": { "rollback_id": order.mark.as_str(), "from": order.expected.as_str() },
            "description": format!("Snapback took back {}, case {}", short(order.expected.as_str()), order.case).chars().take(DESCRIPTION_MAX).collect::<String>(),
        });
        match self.send(&doing, &site.path("/deployments"), Some(&body), permit).await? {
            Ok(told) => {
                let made = Made::read(&told).filter(|made| made.sha.eq_ignore_ascii_case(work.to.as_str()));
                made.ok_or_else(|| no_such(&doing))?;
                work.handle(order, Known::default())
            }
            Err(denial) => self.unwritten(work, permit, &doing, denial),
        }
    }

    pub(super) async fn confirm(&self, work: &Work, permit: &Permit) -> Result<Handle, Trouble> {
        let (site, order) = (&work.site, permit.order());
        let scene = unsent(self.scene(site).await)?;
        if is_told(work, &scene) {
            return work.handle(order, Known::default());
        }
        overtaken(work, &scene, &order.expected)?;
        let Some(made) = unsent(self.ours(work).await)? else {
            let why = "the deployment that was written is gone".to_owned();
            return work.handle(order, Known { unwritten: Some(why), ..Known::default() });
        };
        let doing = format!("say of deployment {} to {site} that it succeeded", made.id);
        let path = site.path(&format!("/deployments/{}/statuses", made.id));
        let body =
            json!({ "state": "success", "description": format!("{} is there again", short(&made.sha)) });
        match self.send(&doing, &path, Some(&body), permit).await? {
            Ok(told) if told["state"] == "success" => work.handle(order, Known::default()),
            Ok(_) => Err(no_such(&doing).into()),
            Err(denial) => self.unwritten(work, permit, &doing, denial),
        }
    }

    /// The service is back, whatever GitHub lets us write: a person settles it, and nobody is told that the rollback failed.
    fn unwritten(
        &self,
        work: &Work,
        permit: &Permit,
        doing: &str,
        denial: Denial,
    ) -> Result<Handle, Trouble> {
        match denied(doing, denial, self.now()) {
            Trouble::Refused(why) => {
                work.handle(permit.order(), Known { unwritten: Some(why), ..Known::default() })
            }
            other @ (Trouble::Busy { .. } | Trouble::Moved(_) | Trouble::Unclear(_)) => Err(other),
        }
    }

    /// The deployment that bears this mark.
    pub(super) async fn written(&self, site: &Site, mark: &Mark) -> Result<Option<Made>, Trouble> {
        let bears = |made: &Made| made.told("rollback_id").and_then(|id| mark_in(&id)).as_ref() == Some(mark);
        Ok(self.made(site).await?.into_iter().find(bears))
    }

    /// The deployment that the step before wrote: newer than the plan, of this commit, and with a mark of ours.
    pub(super) async fn ours(&self, work: &Work) -> Result<Option<Made>, Trouble> {
        let is_it = |made: &Made| {
            made.id > work.after
                && made.task == ROLLBACK
                && made.sha.eq_ignore_ascii_case(work.to.as_str())
                && made.told("rollback_id").and_then(|id| mark_in(&id)).is_some()
        };
        Ok(self.made(&work.site).await?.into_iter().filter(is_it).max_by_key(|made| made.id))
    }

    /// Whether that deployment is said to have succeeded.
    pub(super) async fn is_confirmed(&self, work: &Work) -> Result<bool, Trouble> {
        let Some(made) = self.ours(work).await? else { return Ok(false) };
        let doing = format!("read what is said of deployment {} to {}", made.id, work.site);
        let path = work.site.path(&format!("/deployments/{}/statuses?per_page=100", made.id));
        let said = statuses(&self.must_read(&doing, &path).await?).ok_or_else(|| no_such(&doing))?;
        Ok(said.iter().any(|status| status.state == State::Success))
    }
}

/// GitHub takes no longer description (docs.github.com, "Create a deployment").
const DESCRIPTION_MAX: usize = 140;

/// Whether GitHub's deployments say already that the target is there: by its own commit, since the plan.
pub(super) fn is_told(work: &Work, scene: &Scene) -> bool {
    let says = |last: &super::scene::Went| {
        last.made.id > work.after
            && last.made.sha.eq_ignore_ascii_case(work.to.as_str())
            && matches!(last.stands, Stands::Succeeded(_))
    };
    scene.last().is_some_and(says)
}

/// Somebody who put something else out meanwhile is not written over.
pub(super) fn overtaken(work: &Work, scene: &Scene, from: &ReleaseId) -> Result<(), Trouble> {
    if let Some(going_out) = scene.going_out().filter(|went| went.release.as_ref() != Some(&work.to)) {
        return Err(Trouble::Moved(format!("{} is on its way to {}", going_out.called(), work.site)));
    }
    match &scene.current {
        Some(current) if *current != work.to && current != from => Err(Trouble::Moved(scene.called())),
        Some(_) | None => Ok(()),
    }
}
