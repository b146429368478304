//! The picture of a workload: what shall run there and whether it does, the revisions of its history as deployments, who else decides,
//! and what Kubernetes reports of it.
//!
//! Kubernetes notes no deployments. A ReplicaSet or ControllerRevision tells when its template was written first, and how often it was
//! taken up again; the object tells of the newest only. What is past is told as over with no end: whoever saw it then knows more.

use std::collections::BTreeMap;

use super::cluster::FIELD_MANAGER;
use super::flagger::Stage;
use super::owner::owner;
use super::pods::Pod;
use super::rollout::Rollout;
use super::template::{self, PREFIX};
use super::workload::{self, AT, Revision, Workload, annotation, moment};
use super::{Kubernetes, Site};
use crate::case::deployment::{
    ChangeKind, Deployment, DeploymentOrigin, DeploymentStatus, Owner, Picture, Report,
};
use crate::case::id::{DeploymentId, Duration, Mark, ReleaseId, ServiceId, Timestamp};
use crate::case::release::Release;
use crate::case::signal::Labels;
use crate::outbound::Trouble;

/// A template that was written so much later than our mark was written by somebody else. More than any two clocks may differ.
const MARKED_WITHIN: Duration = Duration::from_mins(2);
/// That an analysis failed is reported for so long.
const TAKEN_BACK_FOR: Duration = Duration::from_mins(5);
/// Pods of which a report tells.
const PODS_TOLD: usize = 3;

impl Kubernetes {
    pub(super) async fn picture(&self, service: &ServiceId, site: &Site) -> Result<Picture, Trouble> {
        // A picture is as old as its first look: what was written since is not in it.
        let at = self.now();
        let workload = self.workload_there(site).await?;
        let revisions = self.revisions(site, &workload).await?;
        let pods = self.pods(site, &workload).await?;
        let current = workload.release();
        let mut releases: BTreeMap<ReleaseId, Release> = BTreeMap::new();
        for template in revisions.iter().map(|revision| &revision.template).chain([workload.template()]) {
            let release = template::release(template);
            releases.entry(release.id.clone()).and_modify(|known| known.learn(&release)).or_insert(release);
        }
        let newest = match (&workload.argo, &workload.canary) {
            (Some(argo), _) => revisions.iter().find(|revision| revision.has_pod_hash(&argo.wanted)),
            (None, Some(canary)) => revisions.iter().rev().find(|revision| revision.release == canary.wanted),
            (None, None) => revisions.iter().rev().find(|revision| revision.release == current),
        };
        // What Flagger went back to may be none of the revisions: nobody can tell then what serves.
        let is_known = workload
            .canary
            .as_ref()
            .is_none_or(|canary| canary.stage() != Stage::TakenBack || canary.promoted.is_some());
        let told = Told { service, site, workload: &workload, revisions: &revisions, pods: &pods, at };
        let deployments = told.deployments(newest);
        let in_flight = deployments.iter().find(|deployment| deployment.is_going_out());
        let reports = newest.and_then(|newest| told.report(newest, &deployments));
        Ok(Picture {
            at,
            in_flight: in_flight.map(|deployment| deployment.id.clone()),
            current: is_known.then_some(current),
            owner: told.owner(),
            deployments,
            releases: releases.into_values().collect(),
            figures: figures(&workload),
            // Kubernetes' own controllers wait for ever; Argo's and Flagger go back by themselves where analyses say so.
            provider_judges: workload.is_judged()
                || workload.canary.as_ref().is_some_and(|canary| canary.stage() == Stage::Analysed),
            reports: reports.into_iter().collect(),
        })
    }

    /// Who else decides what runs in a workload; nobody where it is not there.
    pub(in crate::execute) async fn owner_of(&self, site: &Site) -> Result<Option<String>, Trouble> {
        let workload = self.workload(site).await?;
        Ok(workload.and_then(|workload| owner(&workload.object)))
    }

    /// What Kubernetes reports of a workload; nothing where it is not there.
    pub(in crate::execute) async fn reports_of(
        &self,
        service: &ServiceId,
        site: &Site,
    ) -> Result<Vec<Report>, Trouble> {
        match self.workload(site).await? {
            Some(_) => Ok(self.picture(service, site).await?.reports),
            None => Ok(Vec::new()),
        }
    }
}

/// What one reading of the API told.
struct Told<'a> {
    service: &'a ServiceId,
    site: &'a Site,
    workload: &'a Workload,
    revisions: &'a [Revision],
    pods: &'a [Pod],
    at: Timestamp,
}

impl Told<'_> {
    /// Who else decides. What an abort or Flagger's own way back changes belongs to nobody else.
    fn owner(&self) -> Owner {
        let by_itself = match (&self.workload.argo, &self.workload.canary) {
            (Some(argo), _) => argo.is_going_out() && !argo.verified.is_empty(),
            (None, Some(canary)) => match canary.stage() {
                Stage::Analysed if canary.asks_us() => true,
                Stage::Analysed | Stage::Promoted | Stage::Elsewhere => {
                    return Owner::Other(canary.to_string());
                }
                Stage::Serves | Stage::TakenBack => false,
            },
            (None, None) => false,
        };
        if by_itself {
            return Owner::Nobody;
        }
        owner(&self.workload.object).map_or(Owner::Nobody, Owner::Other)
    }

    fn deployments(&self, newest: Option<&Revision>) -> Vec<Deployment> {
        let mut found = Vec::new();
        for revision in self.revisions {
            let is_newest = newest.is_some_and(|newest| newest.name == revision.name);
            let first = revision.before.first().copied();
            if let Some(first) = first {
                found.push((
                    first,
                    self.past(revision, first, revision.created_at, DeploymentOrigin::Ordinary),
                ));
            }
            if is_newest {
                found.push((revision.number, self.newest(revision)));
            } else if first.is_none() && !self.is_taken_up_again(revision) {
                let origin = self.origin_of_past(revision);
                found.push((
                    revision.number,
                    self.past(revision, revision.number, revision.created_at, origin),
                ));
            } else if let Some(before) = self.replaced_at(revision.number) {
                // Nothing tells when it was taken up again: before what came next.
                let origin = match self.origin_of_past(revision) {
                    DeploymentOrigin::Ordinary => DeploymentOrigin::Rollback,
                    other @ (DeploymentOrigin::Ours(_) | DeploymentOrigin::Rollback) => other,
                };
                let at = before.checked_sub(Duration::from_secs(1)).unwrap_or(before);
                found.push((revision.number, self.past(revision, revision.number, at, origin)));
            }
        }
        found.extend(self.taken_back());
        in_order(found)
    }

    /// What served before serves again since what went out was aborted, or taken back by Flagger. It has no revision of its own, and whoever
    /// did it is noted nowhere: told as a rollback, so that somebody else's is seen as one.
    fn taken_back(&self) -> Option<(i64, Deployment)> {
        let (at, back, is_whole) = match (&self.workload.argo, &self.workload.canary) {
            (Some(argo), _) => {
                let back = self.revisions.iter().find(|one| one.has_pod_hash(&argo.verified))?;
                (argo.aborted_at?, back, back.available() >= self.workload.replicas())
            }
            (None, Some(canary)) if canary.stage() == Stage::TakenBack => {
                let promoted = canary.promoted.as_ref()?;
                let back = self.revisions.iter().find(|one| one.name == promoted.revision)?;
                (canary.since()?, back, true)
            }
            (None, _) => return None,
        };
        let past = self.past(back, back.number, at, DeploymentOrigin::Rollback);
        let id = DeploymentId::new(format!("{}@taken-back-{}", back.name, at.as_second()));
        let newest = self.revisions.last().map_or(back.number, |newest| newest.number);
        if is_whole {
            return Some((newest + 1, Deployment { id, finished_at: Some(at), ..past }));
        }
        Some((newest + 1, Deployment { id, status: DeploymentStatus::GoingOut, ..past }))
    }

    /// A ControllerRevision keeps its time and gets a new number when it is taken up again.
    fn is_taken_up_again(&self, revision: &Revision) -> bool {
        self.revisions
            .iter()
            .any(|other| other.number < revision.number && other.created_at > revision.created_at)
    }

    /// When the first revision after this number was written.
    fn replaced_at(&self, number: i64) -> Option<Timestamp> {
        let first = |revision: &Revision| revision.before.first().copied().unwrap_or(revision.number);
        let later = self.revisions.iter().filter(|revision| first(revision) > number);
        later.map(|revision| revision.created_at).min()
    }

    fn origin_of_past(&self, revision: &Revision) -> DeploymentOrigin {
        let mark = workload::mark(&revision.object, &revision.release);
        mark.map_or(DeploymentOrigin::Ordinary, DeploymentOrigin::Ours)
    }

    fn past(
        &self,
        revision: &Revision,
        number: i64,
        started_at: Timestamp,
        origin: DeploymentOrigin,
    ) -> Deployment {
        Deployment {
            id: id(revision, number),
            service: self.service.clone(),
            release: revision.release.clone(),
            started_at,
            traffic_at: None,
            finished_at: None,
            status: DeploymentStatus::Finished,
            by: None,
            origin,
            change: ChangeKind::Code,
            labels: self.labels(),
            our_clock: false,
        }
    }

    fn newest(&self, revision: &Revision) -> Deployment {
        let again = !revision.before.is_empty() || self.is_taken_up_again(revision);
        let written_at = self.workload.template_written().map(|(at, _)| at);
        let started_at = match written_at {
            Some(written_at) if again => written_at.max(revision.created_at),
            Some(_) | None => revision.created_at,
        };
        let own = self.pods.iter().filter(|pod| pod.is_of(self.site.kind, revision));
        let last_ready = own.filter_map(Pod::ready_since).max().unwrap_or(self.at);
        let finished_at = self.workload.went_out_at(last_ready);
        let taken_back = self.workload.is_taken_back();
        let status = match (finished_at, self.workload.rollout()) {
            (Some(_), _) => DeploymentStatus::Finished,
            // What makes no progress still goes out, until somebody or an analysis takes it back.
            (None, _) if taken_back == Some(false) => DeploymentStatus::GoingOut,
            (None, _) if taken_back == Some(true) => match self.workload.why_taken_back() {
                Some(_) => DeploymentStatus::Failed,
                None => DeploymentStatus::Stopped,
            },
            (None, Rollout::Stuck(_)) => DeploymentStatus::Failed,
            (None, Rollout::Done | Rollout::GoingOn(_) | Rollout::ByHand(_)) => DeploymentStatus::GoingOut,
        };
        let origin = match self.our_mark(&revision.release) {
            Some(mark) => DeploymentOrigin::Ours(mark),
            None if again => DeploymentOrigin::Rollback,
            None => DeploymentOrigin::Ordinary,
        };
        let past = self.past(revision, revision.number, started_at, origin);
        Deployment { status, finished_at, ..past }
    }

    /// Our mark, unless somebody else wrote the template long after it.
    fn our_mark(&self, release: &ReleaseId) -> Option<Mark> {
        let mark = workload::mark(&self.workload.object, release)?;
        let Some((written_at, writer)) = self.workload.template_written() else { return Some(mark) };
        let marked_at = annotation(&self.workload.object, &format!("{PREFIX}{AT}"));
        let marked_at: Option<Timestamp> = marked_at.and_then(|at| at.parse().ok());
        let is_later = marked_at.is_some_and(|at| written_at > at + MARKED_WITHIN);
        // Whatever the clocks say: nobody wrote after us.
        (writer == FIELD_MANAGER || !is_later).then_some(mark)
    }

    fn labels(&self) -> Labels {
        [
            ("namespace", self.site.namespace.as_str()),
            ("workload", self.site.kind.word()),
            ("name", &self.site.name),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
        .collect()
    }

    /// What Kubernetes reports of the newest: that it made no progress, or that its pods fail. Our own is followed by its case.
    fn report(&self, newest: &Revision, deployments: &[Deployment]) -> Option<Report> {
        let id = id(newest, newest.number);
        let deployment = deployments.iter().find(|deployment| deployment.id == id)?;
        if deployment.origin != DeploymentOrigin::Ordinary {
            return None;
        }
        if let Some(taken_back_at) = self.workload.taken_back_at() {
            // That somebody aborted it is no trouble; that an analysis did is. It has taken the release back already: after a while
            // nothing is in trouble any more.
            let says = self.workload.why_taken_back().filter(|_| self.at < taken_back_at + TAKEN_BACK_FOR)?;
            return Some(Report { deployment: id, since: taken_back_at, says });
        }
        let own: Vec<&Pod> = self.pods.iter().filter(|pod| pod.is_of(self.site.kind, newest)).collect();
        let failing: Vec<_> =
            own.iter().filter(|pod| !pod.is_ready()).filter_map(|pod| Some((pod, pod.failing()?))).collect();
        let told: Vec<String> = failing
            .iter()
            .take(PODS_TOLD)
            .map(|(pod, why)| format!("{}: {}: {}", pod.name, why.reason, why.message))
            .collect();
        let of_pods = format!("{} of {} pods fail: {}", failing.len(), own.len(), told.join("; "));
        if let Rollout::Stuck(says) = self.workload.rollout() {
            let condition = self.workload.condition("Progressing");
            let since = condition.and_then(|condition| moment(&condition["lastUpdateTime"]));
            let says = if told.is_empty() { says } else { format!("{says} {of_pods}") };
            return Some(Report { deployment: id, since: since.unwrap_or(self.at), says });
        }
        let since = failing.iter().filter_map(|(pod, _)| pod.unready_since()).min()?;
        Some(Report { deployment: id, since, says: of_pods })
    }
}

impl Workload {
    /// Whether what was wanted was taken back, where somebody does that; nothing where nobody does.
    fn is_taken_back(&self) -> Option<bool> {
        match (&self.argo, &self.canary) {
            (Some(argo), _) => Some(argo.is_aborted),
            (None, Some(canary)) => Some(canary.stage() == Stage::TakenBack),
            (None, None) => None,
        }
    }

    fn taken_back_at(&self) -> Option<Timestamp> {
        match (&self.argo, &self.canary) {
            (Some(argo), _) => argo.aborted_at,
            (None, Some(canary)) if canary.stage() == Stage::TakenBack => canary.since(),
            (None, _) => None,
        }
    }

    /// Its checks or analyses took it back; nothing where somebody did.
    fn why_taken_back(&self) -> Option<String> {
        self.failed_analysis().or_else(|| self.canary.as_ref()?.failed_checks())
    }
}

/// Deployments in the order of their numbers where their times tell none: the API writes whole seconds, and several may go out in one.
fn in_order(mut numbered: Vec<(i64, Deployment)>) -> Vec<Deployment> {
    numbered.sort_by_key(|(number, deployment)| (deployment.started_at, *number));
    let mut before: Option<Timestamp> = None;
    let each = numbered.into_iter().map(|(_, deployment)| {
        let started_at = match before {
            Some(before) if deployment.started_at <= before => before + Duration::from_millis(1),
            Some(_) | None => deployment.started_at,
        };
        before = Some(started_at);
        let finished_at = deployment.finished_at.map(|at| at.max(started_at));
        Deployment { started_at, finished_at, ..deployment }
    });
    each.collect()
}

/// A revision's name stays, and its number tells one time from the next.
fn id(revision: &Revision, number: i64) -> DeploymentId {
    DeploymentId::new(format!("{}@{number}", revision.name))
}

fn figures(workload: &Workload) -> BTreeMap<String, f64> {
    #[expect(clippy::cast_precision_loss, reason = "a cluster has some 150,000 pods at most")]
    let figure = |count: i64| count as f64;
    BTreeMap::from([
        ("replicas".to_owned(), figure(workload.replicas())),
        ("replicas_ready".to_owned(), figure(workload.ready())),
    ])
}
