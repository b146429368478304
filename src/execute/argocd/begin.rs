//! Sends the one request of a permit. What can be refused is refused by reading, before anything leaves.

use reqwest::Method;
use serde_json::{Value, json};

use super::application::{Application, Marked, NOTE, Note, Operation, Phase};
use super::history::current;
use super::work::{Doing, Off, Work};
use super::{AGAIN, ArgoCd, Site, denied};
use crate::case::id::{Handle, ReleaseId, Timestamp};
use crate::case::permit::Permit;
use crate::case::step::Order;
use crate::execute::unsent;
use crate::outbound::{CallError, Trouble};

/// What an Application shows of a rollback of ours.
pub(super) enum Standing {
    /// It is asked for, and the controller has not taken it up.
    Asked,
    /// It is under way.
    UnderWay(Operation),
    /// It ended without success.
    Ended(Operation),
    /// It ended well.
    Done,
    /// Somebody else put something out since; what.
    Other(String),
    /// Another sync is under way: of what is gone back from, once more, or of something that is not told yet. Ours tells at once.
    Another,
    /// Nothing came since it was planned.
    Open,
}

impl Standing {
    /// From one release to the other. `after`: the newest entry of the history when it was planned; `before`: when the last operation
    /// before ours began.
    pub(super) fn of(
        application: &Application,
        (from, to): (&ReleaseId, &ReleaseId),
        after: i64,
        before: Option<Timestamp>,
    ) -> Standing {
        let history = application.history();
        let since = |operation: &Operation| before.is_none_or(|before| operation.started_at > before);
        let operation = application.operation().filter(since);
        let of_from = operation.as_ref().is_some_and(|operation| operation.release.as_ref() == Some(from));
        match operation {
            // Auto-sync mends what drifted, or somebody syncs the same once more: it is what is gone back from all the same.
            Some(operation) if of_from && operation.phase == Phase::UnderWay => {
                return Standing::Another;
            }
            Some(operation) if !of_from => return Standing::of_operation(operation, to),
            Some(_) | None => {}
        }
        let newest = history.iter().rfind(|entry| entry.id > after);
        match newest {
            Some(entry) if entry.release == *to => return Standing::Done,
            // What was going out when it was planned went out whole.
            Some(entry) if entry.release == *from => {}
            Some(entry) => return Standing::Other(entry.content.called()),
            None => {}
        }
        if application.is_asked()
            && application.operation().is_none_or(|operation| operation.phase != Phase::UnderWay)
        {
            return match application.asked_for() {
                Some(asked) if asked == *to => Standing::Asked,
                Some(_) | None => Standing::Other("an operation that somebody asked for".to_owned()),
            };
        }
        Standing::Open
    }

    fn of_operation(operation: Operation, to: &ReleaseId) -> Standing {
        let called = operation.content.as_ref().map_or_else(|| "something".to_owned(), |of| of.called());
        match (operation.release.as_ref() == Some(to) && !operation.is_partial, operation.phase) {
            (true, Phase::UnderWay) => Standing::UnderWay(operation),
            (true, Phase::Failed) => Standing::Ended(operation),
            (true, Phase::Succeeded) => Standing::Done,
            // What it puts out is told a moment after it began.
            (false, Phase::UnderWay) if operation.release.is_none() => Standing::Another,
            (false, _) => Standing::Other(called),
        }
    }
}

impl ArgoCd {
    pub(super) async fn send(&self, work: &Work, permit: &Permit) -> Result<Handle, Trouble> {
        let application = unsent(self.application(&work.site).await)?;
        if application.uid() != work.uid {
            return Err(Trouble::Moved(format!("another {}", work.site)));
        }
        match &work.doing {
            Doing::Prepare { after, off } => self.prepare(work, &application, (*after, *off), permit).await,
            Doing::Terminate { started_at } => self.terminate(work, &application, *started_at, permit).await,
            Doing::Rollback { entry, after, before } => {
                self.roll_back(work, &application, (*entry, *after, *before), permit).await
            }
            Doing::Resume { automated, wanted } => {
                self.resume(work, &application, (automated, wanted), permit).await
            }
        }
    }

    fn still_in_time(&self, permit: &Permit) -> Result<(), Trouble> {
        if self.now() < permit.wire_deadline() {
            return Ok(());
        }
        Err(Trouble::Busy { why: "its permit ran out before it could leave".into(), after: None })
    }

    async fn prepare(
        &self,
        work: &Work,
        application: &Application,
        (after, off): (i64, Off),
        permit: &Permit,
    ) -> Result<Handle, Trouble> {
        let (site, order) = (&work.site, permit.order());
        let note = application.note();
        if note.has(&order.mark) {
            return work.handle(order);
        }
        serves_as_expected(application, order)?;
        nobody_else_begins(site, application, order)?;
        if application.syncs_by_itself() == (off == Off::Already) {
            let how = if off == Off::Already { "on" } else { "off" };
            return Err(Trouble::Moved(format!("the same, and auto-sync was switched {how} meanwhile")));
        }
        let mut note = note.with(Marked { mark: order.mark.to_string(), after, to: work.to.to_string() });
        let mut patch = json!({});
        if off != Off::Already {
            note.auto_sync = application.automated().cloned();
            // A merge patch: whatever else stands beside it, `syncOptions` above all, stays (argo-cd#20183).
            patch["spec"]["syncPolicy"]["automated"] =
                if off == Off::Switched { json!({ "enabled": false }) } else { Value::Null };
        }
        let patched = match self.patch(site, patch, &note, permit).await {
            Ok(patched) => patched,
            // It was for our note alone, and nothing that serves depends on it: Argo CD validates against Git, which may be away.
            Err(Trouble::Refused(why)) if off == Off::Already => {
                tracing::warn!(case.id = %order.case, service = %order.service, why, "our note could not be kept on an Application");
                return work.handle(order);
            }
            Err(trouble) => return Err(trouble),
        };
        if patched.syncs_by_itself() {
            return Err(Trouble::Refused(format!(
                "Argo CD took the patch, and auto-sync of {site} is on as before: switch it off by hand"
            )));
        }
        work.handle(order)
    }

    async fn resume(
        &self,
        work: &Work,
        application: &Application,
        (automated, wanted): (&Value, &ReleaseId),
        permit: &Permit,
    ) -> Result<Handle, Trouble> {
        if application.syncs_by_itself() {
            return work.handle(permit.order());
        }
        // On again it would put out at once what Git asks for.
        if application.wanted().map(|wanted| wanted.release()).as_ref() != Some(wanted) {
            return Err(Trouble::Moved("Git asks for something else by now".to_owned()));
        }
        if serving(application).as_ref() != Some(&work.to) {
            return Err(Trouble::Moved(called(application)));
        }
        let note = Note { auto_sync: None, ..application.note() };
        let patch = json!({ "spec": { "syncPolicy": { "automated": on(automated) } } });
        self.patch(&work.site, patch, &note, permit).await?;
        work.handle(permit.order())
    }

    /// Patches an Application, with our note. What comes back is the Application as it is then.
    async fn patch(
        &self,
        site: &Site,
        mut patch: Value,
        note: &Note,
        permit: &Permit,
    ) -> Result<Application, Trouble> {
        self.still_in_time(permit)?;
        patch["metadata"]["annotations"][NOTE] = note.text().into();
        let doing = format!("patch {site}");
        let body = json!({
            "name": site.application,
            "patch": patch.to_string(),
            "patchType": "merge",
            "appNamespace": site.namespace.as_deref().unwrap_or_default(),
            "project": site.project.as_deref().unwrap_or_default(),
        });
        let sent = self.api.send(&doing, Method::PATCH, &site.path("", &[]), Some(&body)).await?;
        let object = sent.map_err(|denial| denied(&doing, denial))?;
        let other = || CallError::Answer { doing, said: "the answer is not the patched Application".into() };
        let patched = Application::of(object).filter(|patched| patched.note() == *note);
        Ok(patched.ok_or_else(other)?)
    }

    async fn terminate(
        &self,
        work: &Work,
        application: &Application,
        started_at: Timestamp,
        permit: &Permit,
    ) -> Result<Handle, Trouble> {
        let Some(operation) = under_way(application, started_at) else {
            serves_as_expected(application, permit.order())?;
            return work.handle(permit.order());
        };
        if operation.is_ending {
            return work.handle(permit.order());
        }
        self.still_in_time(permit)?;
        let doing = format!("terminate the operation of {}", work.site);
        let path = work.site.path("/operation", &[]);
        match self.api.send(&doing, Method::DELETE, &path, None).await? {
            Ok(_) => work.handle(permit.order()),
            // It ended between our look and this.
            Err(denial) if denial.said.to_lowercase().contains("no operation is in progress") => {
                work.handle(permit.order())
            }
            Err(denial) => Err(denied(&doing, denial)),
        }
    }

    async fn roll_back(
        &self,
        work: &Work,
        application: &Application,
        (entry, after, before): (i64, i64, Option<Timestamp>),
        permit: &Permit,
    ) -> Result<Handle, Trouble> {
        let (site, order) = (&work.site, permit.order());
        let history = application.history();
        match Standing::of(application, (&order.expected, &work.to), after, before) {
            Standing::Asked | Standing::UnderWay(_) | Standing::Ended(_) | Standing::Done => {
                return work.handle(order);
            }
            Standing::Other(what) => return Err(Trouble::Moved(what)),
            Standing::Another => return Err(another_is_under_way(site)),
            Standing::Open if serving(application).as_ref() == Some(&work.to) => return work.handle(order),
            Standing::Open => {}
        }
        if application.syncs_by_itself() {
            return Err(Trouble::Refused(on_again(site, application)));
        }
        serves_as_expected(application, order)?;
        if !history.iter().any(|known| known.id == entry && known.release == work.to) {
            return Err(Trouble::Refused(format!("the history of {site} holds its entry {entry} no more")));
        }
        self.still_in_time(permit)?;
        let doing = format!("roll {site} back to {entry}");
        let body = json!({
            "name": site.application,
            "id": entry,
            "prune": site.prune,
            "dryRun": false,
            "appNamespace": site.namespace.as_deref().unwrap_or_default(),
            "project": site.project.as_deref().unwrap_or_default(),
        });
        match self.api.send(&doing, Method::POST, &site.path("/rollback", &[]), Some(&body)).await? {
            Ok(object) => {
                let other = || CallError::Answer { doing, said: "the answer is no Application".into() };
                let asked = Application::of(object).filter(|of| of.is_called(&site.application));
                asked.ok_or_else(other)?;
                work.handle(order)
            }
            Err(denial) => Err(denied(&doing, denial)),
        }
    }
}

/// Auto-sync as it is switched on.
fn on(automated: &Value) -> Value {
    let mut automated = automated.clone();
    // What was left out before is left out again; `false` is what we wrote.
    if let Some(fields) = automated.as_object_mut() {
        fields.entry("enabled").or_insert(Value::Null);
    }
    automated
}

/// What to tell where it was switched on behind our back.
pub(super) fn on_again(site: &Site, application: &Application) -> String {
    let by = application
        .maker()
        .map_or_else(String::new, |maker| format!(", perhaps by {maker}, which makes it anew"));
    format!(
        "auto-sync of {site} was switched on again{by}: let whoever writes it ignore /spec/syncPolicy/automated, or revert in Git"
    )
}

/// What began then, while it is still under way.
pub(super) fn under_way(application: &Application, started_at: Timestamp) -> Option<Operation> {
    application.operation().filter(|of| of.phase == Phase::UnderWay && of.started_at == started_at)
}

fn another_is_under_way(site: &Site) -> Trouble {
    Trouble::Busy { why: format!("another operation of {site} is under way"), after: Some(AGAIN) }
}

/// Somebody who puts something else out comes first; what was asked for and not begun tells soon what it is.
fn nobody_else_begins(site: &Site, application: &Application, order: &Order) -> Result<(), Trouble> {
    let operation = application.operation().filter(|operation| operation.phase == Phase::UnderWay);
    match operation {
        Some(operation) if operation.release.as_ref() == Some(&order.expected) => Ok(()),
        Some(operation) if operation.release.is_some() => {
            Err(Trouble::Moved(operation.content.map_or_else(String::new, |content| content.called())))
        }
        Some(_) => Err(another_is_under_way(site)),
        None if application.is_asked() => Err(another_is_under_way(site)),
        None => Ok(()),
    }
}

pub(super) fn serving(application: &Application) -> Option<ReleaseId> {
    current(&application.history(), application.operation().as_ref())
}

fn called(application: &Application) -> String {
    application.history().last().map_or_else(|| "nothing".to_owned(), |last| last.content.called())
}

/// The suspect was put out last, whole or not, or is on its way.
fn serves_as_expected(application: &Application, order: &Order) -> Result<(), Trouble> {
    let operation = application.operation();
    // What was terminated before it applied anything, too: the step before did that.
    let began_last = operation.is_some_and(|of| of.release.as_ref() == Some(&order.expected));
    if began_last || serving(application).as_ref() == Some(&order.expected) {
        return Ok(());
    }
    Err(Trouble::Moved(called(application)))
}
