//! The provider `argocd` with a pretend Argo CD, at a moment in which there is something to take back.

#![allow(dead_code, reason = "shared by tests that each use a part")]

use std::sync::Arc;

use serde_json::{Value, json};
use snapback::case::command::Progress;
use snapback::case::deployment::Picture;
use snapback::case::id::{CaseId, Duration, Handle, Mark, ReleaseId, ServiceId, StepNo, Timestamp};
use snapback::case::permit::Permit;
use snapback::case::plan::Proposal;
use snapback::case::step::{Act, Doer, Order};
use snapback::execute::argocd::{ArgoCd, Settings, Site};
use snapback::execute::{Provider, Sighting, Target};
use snapback::outbound::Trouble;

use crate::argo::{Argo, NAME, TOKEN};

/// How long after a lost reply "not there" is no proof.
pub(crate) const QUARANTINE: i64 = 75;
/// A permit's wire deadline.
pub(crate) const WIRE: i64 = 10;
/// A request that left at the last moment is over, and shows.
pub(crate) const SURELY: i64 = WIRE + 6 + QUARANTINE + 1;

pub(crate) struct Bed {
    pub(crate) argo: Arc<Argo>,
    pub(crate) provider: Provider,
    pub(crate) site: Site,
}

impl Bed {
    /// Commit 1 was synced two hours ago, commit 2 ten minutes ago; Argo CD syncs by itself.
    pub(crate) fn new() -> Bed {
        let now: Timestamp = "2026-03-02T09:00:00Z".parse().expect("a moment");
        let argo = Argo::start(Some(now));
        argo.has_synced(1, now - Duration::from_secs(7200));
        argo.has_synced(2, now - Duration::from_secs(600));
        let site = Site { application: NAME.into(), namespace: None, project: None, prune: false };
        Bed { provider: provider(&argo, &argo.url(), TOKEN), argo, site }
    }

    /// The same, and commit 3 is on its way since two seconds.
    pub(crate) fn going_out() -> Bed {
        let bed = Bed::new();
        bed.argo.pushes(3);
        bed.argo.pass(3);
        bed
    }

    pub(crate) fn provider_at(&self, url: &str) -> Provider {
        provider(&self.argo, url, TOKEN)
    }

    pub(crate) fn target(&self) -> Target {
        Target { service: service(), site: snapback::execute::Site::ArgoCd(self.site.clone()) }
    }

    pub(crate) async fn describe(&self) -> Result<Picture, Trouble> {
        self.provider.describe(&self.target(), self.argo.now() - Duration::from_hours(24)).await
    }

    pub(crate) async fn picture(&self) -> Picture {
        self.describe().await.expect("a picture")
    }

    /// The release of a commit, as the provider names it.
    pub(crate) async fn release(&self, number: u32) -> ReleaseId {
        let commit = crate::argo::commit(number);
        let picture = self.picture().await;
        let release = picture.releases.iter().find(|release| release.commit.as_ref() == Some(&commit));
        release.expect("a release of this commit").id.clone()
    }

    pub(crate) async fn propose(&self, from: u32, to: u32) -> Result<Proposal, Trouble> {
        let (from, to) = (self.release(from).await, self.release(to).await);
        self.provider.propose(&self.target(), &from, &to).await
    }

    /// The orders of a way back, in the order in which they go.
    pub(crate) async fn way_back(&self, from: u32, to: u32) -> Vec<Order> {
        let acts = self.propose(from, to).await.expect("a way back").acts;
        let (from, to) = (self.release(from).await, self.release(to).await);
        let order = |(nth, act): (usize, Act)| Order {
            case: CaseId::of(&service(), 1),
            step: StepNo(u16::try_from(nth).expect("few")),
            attempt: 1,
            mark: mark(nth),
            doer: Doer::Provider(service()),
            act,
            service: service(),
            expected: from.clone(),
            to: to.clone(),
            intended_at: self.argo.now(),
        };
        acts.into_iter().enumerate().map(order).collect()
    }

    pub(crate) async fn begin(&self, order: &Order) -> Result<Handle, Trouble> {
        let order = Order { intended_at: self.argo.now(), ..order.clone() };
        let permit = Permit::committed(order, self.argo.now() + Duration::from_secs(WIRE));
        self.provider.begin(permit).await
    }

    pub(crate) async fn find(&self, order: &Order) -> Result<Sighting, Trouble> {
        self.provider.find(order).await
    }

    /// Follows work until it ends, while time passes.
    pub(crate) async fn end_of(&self, handle: &Handle) -> Result<Progress, Trouble> {
        for _ in 0..100 {
            match self.provider.watch(handle).await? {
                Progress::Running(_) => self.argo.pass(3),
                progress @ (Progress::Serving(_)
                | Progress::Done(_)
                | Progress::Failed(_)
                | Progress::NeedsHuman { .. }
                | Progress::Superseded(_)) => return Ok(progress),
            }
        }
        panic!("it never ends: {:#}", self.argo.state().app)
    }

    /// Carries out every step, each to its end; how the last one ended.
    pub(crate) async fn goes(&self, orders: &[Order]) -> Progress {
        let mut last = None;
        for order in orders {
            let handle = self.begin(order).await.expect("taken");
            let ended = self.end_of(&handle).await.expect("an end");
            if !matches!(ended, Progress::Done(_) | Progress::Serving(_)) {
                return ended;
            }
            last = Some(ended);
        }
        last.expect("a step")
    }

    /// `spec.syncPolicy`.
    pub(crate) fn policy(&self) -> Value {
        self.argo.state().app["spec"]["syncPolicy"].clone()
    }
}

/// The mark of a step.
pub(crate) fn mark(nth: usize) -> Mark {
    Mark::new(format!("snapback/{nth}23456789abcdef01234567"))
}

pub(crate) fn service() -> ServiceId {
    ServiceId::of("checkout", "production")
}

/// A new process of ours, which remembers nothing.
pub(crate) fn provider(argo: &Arc<Argo>, url: &str, token: &str) -> Provider {
    let settings = Settings {
        url: url.to_owned(),
        token: Some(token.to_owned().into()),
        quarantine: Duration::from_secs(QUARANTINE),
    };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let clock = argo.clone();
    Provider::ArgoCd(Box::new(ArgoCd::new(settings, Arc::new(move || clock.now()))))
}

/// The labels of an alert about the service.
pub(crate) fn labels() -> Value {
    json!({ "alertname": "HighErrorRate", "service": "checkout", "environment": "production", "severity": "critical" })
}
