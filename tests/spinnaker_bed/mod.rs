//! The provider `spinnaker` with a pretend Gate, at a moment in which there is something to take back.

#![allow(dead_code, reason = "shared by tests that each use a part")]

use std::sync::Arc;

use serde_json::{Value, json};
use snapback::case::command::Progress;
use snapback::case::deployment::Picture;
use snapback::case::id::{CaseId, Duration, Handle, Mark, ReleaseId, ServiceId, StepNo, Timestamp};
use snapback::case::permit::Permit;
use snapback::case::plan::Proposal;
use snapback::case::step::{Act, Doer, Order};
use snapback::execute::spinnaker::{Identity, Settings, Site, Spinnaker, Way};
use snapback::execute::{Provider, Sighting, Target};
use snapback::outbound::Trouble;

use crate::spinnaker_gate::{ACCOUNT, APPLICATION, DEPLOY, Gate, LOCATION, ROLLBACK, TOKEN, image};

/// How long after a lost reply "not there" is no proof.
pub(crate) const QUARANTINE: i64 = 120;
/// A permit's wire deadline.
pub(crate) const WIRE: i64 = 10;
/// A request that left at the last moment is over, and shows.
pub(crate) const SURELY: i64 = WIRE + 6 + QUARANTINE + 1;

pub(crate) struct Bed {
    pub(crate) gate: Arc<Gate>,
    pub(crate) provider: Provider,
    pub(crate) site: Site,
}

impl Bed {
    /// v1 went out two hours ago, v2 ten minutes ago; it goes back by the rollback pipeline.
    pub(crate) fn new() -> Bed {
        let now: Timestamp = "2026-03-02T09:00:00Z".parse().expect("a moment");
        let gate = Gate::start(Some(now));
        gate.has_deployed("v1", now - Duration::from_secs(7200));
        gate.has_deployed("v2", now - Duration::from_secs(600));
        Bed { provider: provider(&gate, &gate.url(), TOKEN), gate, site: site() }
    }

    /// The same, and it goes back by undoing the rollout.
    pub(crate) fn by_manifest() -> Bed {
        let way = Way::Manifest {
            account: ACCOUNT.into(),
            location: LOCATION.into(),
            deployment: "checkout".into(),
        };
        Bed { site: Site { way, ..site() }, ..Bed::new() }
    }

    /// v3 is on its way since two seconds.
    pub(crate) fn going_out(self) -> Bed {
        self.gate.runs(DEPLOY, "v3");
        self.gate.pass(2);
        self
    }

    pub(crate) fn provider_at(&self, url: &str) -> Provider {
        provider(&self.gate, url, TOKEN)
    }

    pub(crate) fn target(&self) -> Target {
        Target { service: service(), site: snapback::execute::Site::Spinnaker(self.site.clone()) }
    }

    pub(crate) async fn describe(&self) -> Result<Picture, Trouble> {
        self.provider.describe(&self.target(), self.gate.now() - Duration::from_hours(24)).await
    }

    pub(crate) async fn picture(&self) -> Picture {
        self.describe().await.expect("a picture")
    }

    /// The release of a version, as the provider names it.
    pub(crate) fn release(&self, version: &str) -> ReleaseId {
        match self.site.way {
            Way::Manifest { .. } => ReleaseId::new(image(version)),
            Way::Pipeline { .. } => ReleaseId::new(version),
        }
    }

    pub(crate) async fn propose(&self, from: &str, to: &str) -> Result<Proposal, Trouble> {
        self.provider.propose(&self.target(), &self.release(from), &self.release(to)).await
    }

    /// The orders of a way back, in the order in which they go.
    pub(crate) async fn way_back(&self, from: &str, to: &str) -> Vec<Order> {
        let acts = self.propose(from, to).await.expect("a way back").acts;
        let order = |(nth, act): (usize, Act)| Order {
            case: CaseId::of(&service(), 1),
            step: StepNo(u16::try_from(nth).expect("few")),
            attempt: 1,
            mark: mark(nth),
            doer: Doer::Provider(service()),
            act,
            service: service(),
            expected: self.release(from),
            to: self.release(to),
            intended_at: self.gate.now(),
        };
        acts.into_iter().enumerate().map(order).collect()
    }

    pub(crate) async fn begin(&self, order: &Order) -> Result<Handle, Trouble> {
        let order = Order { intended_at: self.gate.now(), ..order.clone() };
        let permit = Permit::committed(order, self.gate.now() + Duration::from_secs(WIRE));
        self.provider.begin(permit).await
    }

    pub(crate) async fn find(&self, order: &Order) -> Result<Sighting, Trouble> {
        self.provider.find(order).await
    }

    pub(crate) async fn watch(&self, handle: &Handle) -> Progress {
        self.provider.watch(handle).await.expect("an answer")
    }

    /// Follows work until it ends, while time passes.
    pub(crate) async fn end_of(&self, handle: &Handle) -> Result<Progress, Trouble> {
        for _ in 0..100 {
            match self.provider.watch(handle).await? {
                Progress::Running(_) => self.gate.pass(3),
                progress @ (Progress::Serving(_)
                | Progress::Done(_)
                | Progress::Failed(_)
                | Progress::NeedsHuman { .. }
                | Progress::Superseded(_)) => return Ok(progress),
            }
        }
        panic!("it never ends: {:#?}", self.gate.state().executions.last())
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
}

fn site() -> Site {
    Site {
        application: APPLICATION.into(),
        deploy_pipeline: DEPLOY.into(),
        version_parameter: "version".into(),
        artifact: None,
        way: Way::Pipeline { pipeline: ROLLBACK.into(), rollback_id_parameter: "rollback_id".into() },
    }
}

/// The mark of a step.
pub(crate) fn mark(nth: usize) -> Mark {
    Mark::new(format!("snapback/{nth}123456789abcdef01234567"))
}

pub(crate) fn service() -> ServiceId {
    ServiceId::of("checkout", "production")
}

/// A new process of ours, which remembers nothing.
pub(crate) fn provider(gate: &Arc<Gate>, url: &str, token: &str) -> Provider {
    provider_with(gate, settings(url, token))
}

pub(crate) fn settings(url: &str, token: &str) -> Settings {
    Settings {
        url: url.to_owned(),
        deck_url: Some("https://spinnaker.example.com".to_owned()),
        identity: Identity::Token(Some(token.to_owned().into())),
        refuses_duplicates: false,
        quarantine: Duration::from_secs(QUARANTINE),
    }
}

pub(crate) fn provider_with(gate: &Arc<Gate>, settings: Settings) -> Provider {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let clock = gate.clone();
    Provider::Spinnaker(Box::new(Spinnaker::new(settings, Arc::new(move || clock.now()))))
}

/// The labels of an alert about the service.
pub(crate) fn labels() -> Value {
    json!({ "alertname": "HighErrorRate", "service": "checkout", "environment": "production", "severity": "critical" })
}
