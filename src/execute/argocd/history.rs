//! The picture of an Application: what was put out last, what is under way, and what went out before. Argo CD's history holds whole syncs
//! that succeeded; what failed or goes on stands beside it.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use super::application::{Application, Entry, Operation, Phase};
use super::{ArgoCd, Site};
use crate::case::deployment::{
    ChangeKind, Deployment, DeploymentOrigin, DeploymentStatus, Owner, Picture, Report,
};
use crate::case::id::{DeploymentId, Mark, ReleaseId, ServiceId, Timestamp};
use crate::case::release::Release;
use crate::case::signal::Labels;
use crate::outbound::Trouble;

/// How an operation ends that somebody terminated (`controller/sync.go`).
const TERMINATED: &str = "Operation terminated";

impl ArgoCd {
    pub(super) async fn picture(&self, service: &ServiceId, site: &Site) -> Result<Picture, Trouble> {
        // A picture is as old as its first look: what was written since is not in it.
        let at = self.now();
        let application = self.application(site).await?;
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(site.clone(), stands(&application));
        let history = application.history();
        let operation = application.operation();
        let mut releases: BTreeMap<ReleaseId, Release> = BTreeMap::new();
        for entry in &history {
            if !releases.contains_key(&entry.release) {
                let told = self.release_of(site, &entry.content, Some(entry)).await?;
                releases.insert(entry.release.clone(), told);
            }
        }
        if let Some(content) = operation.as_ref().and_then(|operation| operation.content.as_ref())
            && !releases.contains_key(&content.release())
        {
            releases.insert(content.release(), self.release_of(site, content, None).await?);
        }
        let of = Of { service, site, application: &application };
        let mut deployments = of.went_out(&history);
        let beside = operation.as_ref().and_then(|operation| of.beside(&history, operation));
        let in_flight =
            beside.as_ref().filter(|beside| beside.is_going_out()).map(|beside| beside.id.clone());
        deployments.extend(beside);
        let reports = deployments.last().map(|newest| reports(&application, newest, operation.as_ref(), at));
        Ok(Picture {
            at,
            current: current(&history, operation.as_ref()),
            in_flight,
            // What Git asks for is switched off and on by the plan itself.
            owner: Owner::Nobody,
            deployments,
            releases: releases.into_values().collect(),
            figures: BTreeMap::new(),
            provider_judges: false,
            reports: reports.unwrap_or_default(),
        })
    }

    /// Ends when it stands otherwise than when it was read last: what changed before the stream was open counts too.
    pub(super) async fn next_change(&self, site: &Site) -> Result<(), Trouble> {
        let doing = format!("watch {site}");
        let own = [("name", Some(site.application.as_str())), ("appNamespace", site.namespace.as_deref())];
        let own = own.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(own).finish();
        let mut lines = self.api.stream(&doing, &format!("/api/v1/stream/applications?{query}")).await?;
        while let Some(line) = lines.next().await? {
            let told = line.pointer("/result/application").cloned().and_then(Application::of);
            let Some(told) = told.filter(|told| told.is_called(&site.application)) else { continue };
            let stands = stands(&told);
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(site).cloned();
            if seen.is_some_and(|seen| seen != stands) {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// What a change is told by: Argo CD tells of each comparison, and mostly nothing has changed.
pub(super) type Stands = (Option<i64>, Option<(Timestamp, Phase)>, bool, String);

fn stands(application: &Application) -> Stands {
    let operation = application.operation().map(|operation| (operation.started_at, operation.phase));
    let newest = application.history().last().map(|entry| entry.id);
    (newest, operation, application.syncs_by_itself(), application.health().to_owned())
}

/// What was put out last, whole or not.
pub(super) fn current(history: &[Entry], operation: Option<&Operation>) -> Option<ReleaseId> {
    let last = history.last();
    let beside = operation.filter(|operation| is_beside(history, operation));
    match beside.map(|operation| (operation, operation.phase)) {
        // Some of it may be there already; until it is over it is on its way.
        Some((_, Phase::UnderWay)) | None => last.map(|entry| entry.release.clone()),
        Some((operation, Phase::Failed)) if !operation.has_applied => last.map(|entry| entry.release.clone()),
        // A part of another release: nobody can say what serves.
        Some((operation, _)) if operation.is_partial => {
            last.map(|entry| entry.release.clone()).filter(|last| operation.release.as_ref() == Some(last))
        }
        Some((operation, Phase::Failed | Phase::Succeeded)) => operation.release.clone(),
    }
}

/// Whether an operation is newer than the newest entry of the history, and none of it.
fn is_beside(history: &[Entry], operation: &Operation) -> bool {
    history.last().is_none_or(|last| operation.started_at > last.started_at)
}

/// Whose deployments they are.
struct Of<'a> {
    service: &'a ServiceId,
    site: &'a Site,
    application: &'a Application,
}

impl Of<'_> {
    /// The name of what began then: the same while it is under way and in the history.
    fn id(&self, started_at: Timestamp) -> DeploymentId {
        let which: String = self.application.uid().chars().take(8).collect();
        DeploymentId::new(format!("{}.{}@{which}", self.site.application, started_at.as_second()))
    }

    fn went_out(&self, history: &[Entry]) -> Vec<Deployment> {
        let marked = self.application.marked(history);
        let deployment = |(nth, entry): (usize, &Entry)| {
            let ours = marked.iter().find(|(id, _)| *id == entry.id).map(|(_, mark)| mark.clone());
            Deployment {
                finished_at: Some(entry.finished_at.max(entry.started_at)),
                ..self.deployment(
                    entry.started_at,
                    &entry.release,
                    DeploymentStatus::Finished,
                    entry.by.as_deref(),
                    origin(ours, &history[..nth], &entry.release),
                )
            }
        };
        history.iter().enumerate().map(deployment).collect()
    }

    /// What is under way, or ended without success after everything in the history.
    fn beside(&self, history: &[Entry], operation: &Operation) -> Option<Deployment> {
        let release = operation.release.as_ref()?;
        if operation.is_partial || !is_beside(history, operation) {
            return None;
        }
        let status = match operation.phase {
            Phase::UnderWay => DeploymentStatus::GoingOut,
            Phase::Succeeded => DeploymentStatus::Finished,
            Phase::Failed if operation.message.starts_with(TERMINATED) => DeploymentStatus::Stopped,
            Phase::Failed => DeploymentStatus::Failed,
        };
        let last = history.last().map_or(-1, |entry| entry.id);
        let ours = self.application.mark_of(release, last);
        let origin = origin(ours, history, release);
        let deployment =
            self.deployment(operation.started_at, release, status, operation.by.as_deref(), origin);
        let finished_at = operation.finished_at.map(|at| at.max(operation.started_at));
        Some(Deployment { finished_at, ..deployment })
    }

    fn deployment(
        &self,
        started_at: Timestamp,
        release: &ReleaseId,
        status: DeploymentStatus,
        by: Option<&str>,
        origin: DeploymentOrigin,
    ) -> Deployment {
        Deployment {
            id: self.id(started_at),
            service: self.service.clone(),
            release: release.clone(),
            started_at,
            traffic_at: None,
            finished_at: None,
            status,
            by: by.map(str::to_owned),
            origin,
            change: ChangeKind::Code,
            labels: Labels::from([("project".to_owned(), self.application.project().to_owned())]),
            our_clock: false,
        }
    }
}

/// What was there before and is put out again is a rollback, whoever began it.
fn origin(ours: Option<Mark>, before: &[Entry], release: &ReleaseId) -> DeploymentOrigin {
    if let Some(mark) = ours {
        return DeploymentOrigin::Ours(mark);
    }
    let is_last = before.last().is_some_and(|entry| entry.release == *release);
    if !is_last && before.iter().any(|entry| entry.release == *release) {
        return DeploymentOrigin::Rollback;
    }
    DeploymentOrigin::Ordinary
}

/// What Argo CD itself reports of the newest. Our own is followed by its case.
fn reports(
    application: &Application,
    newest: &Deployment,
    operation: Option<&Operation>,
    at: Timestamp,
) -> Vec<Report> {
    if newest.origin != DeploymentOrigin::Ordinary {
        return Vec::new();
    }
    let report = |since: Timestamp, says| vec![Report { deployment: newest.id.clone(), since, says }];
    if newest.status == DeploymentStatus::Failed
        && let Some(operation) = operation
    {
        return report(newest.finished_at.unwrap_or(at), told(operation));
    }
    let (message, since) = application.health_told();
    let since = since.filter(|since| *since >= newest.started_at);
    match since.filter(|_| application.health() == "Degraded" && !newest.is_going_out()) {
        Some(since) => {
            let says = message.map_or_else(|| "its health is Degraded".to_owned(), str::to_owned);
            report(since, says)
        }
        None => Vec::new(),
    }
}

/// How an operation failed, with what single resources say.
pub(super) fn told(operation: &Operation) -> String {
    let message = Some(operation.message.clone()).filter(|message| !message.is_empty());
    let all = message.into_iter().chain(operation.complaints.iter().cloned());
    let told = all.collect::<Vec<_>>().join("; ");
    if told.is_empty() { "it failed, and Argo CD does not say why".to_owned() } else { told }
}
