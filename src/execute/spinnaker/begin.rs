//! Sends the one request of a permit. What can be refused is refused by reading, before anything leaves.

use reqwest::Method;
use serde_json::{Value, json};

use super::gate::{denied, segment};
use super::history::Scene;
use super::manifest::Revision;
use super::run::{Kind, Run, Status, UNDO, sound};
use super::work::{Doing, Work};
use super::{AGAIN, Spinnaker, Way};
use crate::case::id::{Handle, ReleaseId};
use crate::case::permit::Permit;
use crate::case::step::Order;
use crate::execute::unsent;
use crate::outbound::{CallError, Trouble};

impl Spinnaker {
    pub(super) async fn send(&self, work: &Work, permit: &Permit) -> Result<Handle, Trouble> {
        match &work.doing {
            Doing::Cancel { execution } => self.cancel(work, execution, permit).await,
            Doing::Run | Doing::Undo(_) => self.go_back(work, permit).await,
        }
    }

    fn still_in_time(&self, permit: &Permit) -> Result<(), Trouble> {
        if self.now() < permit.wire_deadline() {
            return Ok(());
        }
        Err(Trouble::Busy { why: "its permit ran out before it could leave".into(), after: None })
    }

    /// Ends an execution of what is gone back from. It ends when Orca has heard of it.
    async fn cancel(&self, work: &Work, execution: &str, permit: &Permit) -> Result<Handle, Trouble> {
        let order = permit.order();
        let Some((run, _)) = unsent(self.whole(&work.site, Kind::Deploy, execution).await)? else {
            return Err(Trouble::Moved(format!("execution {execution} is gone")));
        };
        if !run.status.is_open() {
            let scene = unsent(self.scene(&work.site).await)?;
            nobody_else(&scene, order, &work.to)?;
            return work.handle(order, None);
        }
        if run.is_canceled {
            return work.handle(order, None);
        }
        self.still_in_time(permit)?;
        let doing = format!("cancel execution {execution}");
        let reason = form_urlencoded::Serializer::new(String::new())
            .append_pair("reason", &format!("Snapback takes it back: {}", order.case))
            .append_pair("force", "false")
            .finish();
        let path = format!("/pipelines/{execution}/cancel?{reason}");
        let sent = self.api.send(&doing, Method::PUT, &path, None).await?;
        sent.map_err(|denial| denied(&doing, denial))?;
        work.handle(order, None)
    }

    /// Runs the rollback pipeline, or undoes the rollout.
    async fn go_back(&self, work: &Work, permit: &Permit) -> Result<Handle, Trouble> {
        let order = permit.order();
        let site = &work.site;
        let scene = unsent(self.scene(site).await)?;
        if let Some(ours) = scene.under(&order.mark) {
            return work.handle(order, Some(&ours.id));
        }
        if let Some(open) = scene.open().next() {
            return Err(another(open, order));
        }
        let current = scene.current();
        if current.as_ref() == Some(&work.to) {
            return work.handle(order, None);
        }
        if current.as_ref() != Some(&order.expected) {
            return Err(Trouble::Moved(scene.called()));
        }
        match &work.doing {
            Doing::Undo(revision) => self.undo(work, revision, permit).await,
            Doing::Run | Doing::Cancel { .. } => self.run(work, permit).await,
        }
    }

    async fn run(&self, work: &Work, permit: &Permit) -> Result<Handle, Trouble> {
        let (site, order) = (&work.site, permit.order());
        let Way::Pipeline { pipeline, rollback_id_parameter } = &site.way else {
            return Err(Trouble::Refused(format!("{site} goes back by no pipeline")));
        };
        unsent(self.takes(site, &work.to).await)?;
        self.still_in_time(permit)?;
        let mark = order.mark.as_str();
        let mut parameters = serde_json::Map::new();
        parameters.insert(site.version_parameter.clone(), work.to.as_str().into());
        parameters.insert(rollback_id_parameter.clone(), mark.into());
        let trigger = json!({ "type": "manual", "parameters": parameters, "correlationId": mark });
        let doing = format!("run {pipeline} of {site}");
        let path = format!("/pipelines/v2/{}/{}", segment(&site.application), segment(pipeline));
        // Through Echo: it asks for EXECUTE, and a no of Gate's is a no. The older way says 422 whatever went wrong behind it.
        let sent = self.api.send(&doing, Method::POST, &path, Some(&trigger)).await?;
        let told = sent.map_err(|denial| denied(&doing, denial))?;
        let id = reference(&told, "/pipelines/");
        let other = || CallError::Answer { doing, said: "the answer names no execution".into() };
        work.handle(order, Some(id.ok_or_else(other)?))
    }

    async fn undo(&self, work: &Work, revision: &Revision, permit: &Permit) -> Result<Handle, Trouble> {
        let (site, order) = (&work.site, permit.order());
        let Way::Manifest { account, location, deployment } = &site.way else {
            return Err(Trouble::Refused(format!("{site} goes back by no revision")));
        };
        // Kubernetes gives what is gone back to a new number.
        let number = unsent(self.number_of(site, &revision.replica_set, &work.to).await)?;
        if number != Some(revision.number) {
            let what = format!("revision {} is no more what {} is", revision.number, revision.replica_set);
            return Err(Trouble::Moved(what));
        }
        self.still_in_time(permit)?;
        let mark = order.mark.as_str();
        let task = json!({
            "application": site.application,
            "description": format!("Snapback takes {deployment} back: {}", order.case),
            "job": [{
                "type": UNDO,
                "cloudProvider": "kubernetes",
                "account": account,
                "location": location,
                "manifestName": format!("deployment {deployment}"),
                "revision": revision.number.to_string(),
                "reason": format!("Snapback: {}", order.case),
                "user": "snapback",
            }],
            "trigger": {
                "type": "manual",
                "correlationId": mark,
                "parameters": { site.version_parameter.as_str(): work.to.as_str(), site.rollback_id(): mark },
            },
        });
        let doing = format!("undo the rollout of {deployment}");
        let sent = self.api.send(&doing, Method::POST, "/tasks", Some(&task)).await?;
        let told = sent.map_err(|denial| denied(&doing, denial))?;
        let id = reference(&told, "/tasks/");
        let other = || CallError::Answer { doing, said: "the answer names no task".into() };
        work.handle(order, Some(id.ok_or_else(other)?))
    }
}

/// `ref` of an answer.
fn reference<'a>(told: &'a Value, below: &str) -> Option<&'a str> {
    told["ref"].as_str()?.strip_prefix(below).filter(|id| sound(id))
}

/// What is still on its way before ours may begin.
fn another(open: &Run, order: &Order) -> Trouble {
    if open.release.as_ref() != Some(&order.expected) {
        return Trouble::Moved(format!("{} (execution {})", open.called(), open.id));
    }
    let how = if open.status == Status::Waiting { "waits to put it out" } else { "still puts it out" };
    Trouble::Busy { why: format!("execution {} {how}", open.id), after: Some(AGAIN) }
}

/// What was to be cancelled is over: well so, unless somebody else put something out.
pub(super) fn nobody_else(scene: &Scene, order: &Order, to: &ReleaseId) -> Result<(), Trouble> {
    let current = scene.current();
    let known = [&order.expected, to].into_iter().any(|of| current.as_ref() == Some(of));
    let others = scene.open().find(|run| run.release.as_ref() != Some(&order.expected) && run.mark.is_none());
    match others {
        Some(other) => Err(Trouble::Moved(format!("{} (execution {})", other.called(), other.id))),
        None if known || current.is_none() => Ok(()),
        None => Err(Trouble::Moved(scene.called())),
    }
}
