//! The provider `github-actions` with a pretend GitHub, at a moment in which there is something to take back.

#![allow(dead_code, reason = "shared by tests that each use a part")]

use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use snapback::case::command::Progress;
use snapback::case::deployment::Picture;
use snapback::case::id::{CaseId, Duration, Handle, Mark, ReleaseId, ServiceId, StepNo, Timestamp};
use snapback::case::permit::Permit;
use snapback::case::plan::Proposal;
use snapback::case::step::{Act, Doer, Order};
use snapback::execute::github::{GitHub, Settings, Site, Who};
use snapback::execute::{Provider, Sighting, Target};
use snapback::outbound::Trouble;

use crate::hub::{APP, ENVIRONMENT, Hub, INSTALLATION, REPOSITORY, TOKEN, WORKFLOW, commit};

/// How long after a lost reply "not there" is no proof.
pub(crate) const QUARANTINE: i64 = 90;
/// A permit's wire deadline.
pub(crate) const WIRE: i64 = 10;
/// A request that left at the last moment is over, and shows.
pub(crate) const SURELY: i64 = WIRE + 6 + QUARANTINE + 1;

pub(crate) struct Bed {
    pub(crate) hub: Arc<Hub>,
    pub(crate) provider: Provider,
    pub(crate) site: Site,
}

impl Bed {
    /// Commit 1 was deployed two hours ago, commit 2 ten minutes ago.
    pub(crate) fn new() -> Bed {
        let now: Timestamp = "2026-03-02T09:00:00Z".parse().expect("a moment");
        let hub = Hub::start(Some(now));
        hub.has_deployed(1, now - Duration::from_secs(7200));
        hub.has_deployed(2, now - Duration::from_secs(600));
        Bed { provider: provider(&hub, &hub.url(), token(TOKEN)), hub, site: site() }
    }

    /// The same, and commit 3 is on its way since three seconds.
    pub(crate) fn going_out() -> Bed {
        let bed = Bed::new();
        bed.hub.deploys(3);
        bed.hub.pass(3);
        bed
    }

    pub(crate) fn provider_at(&self, url: &str) -> Provider {
        provider(&self.hub, url, token(TOKEN))
    }

    pub(crate) fn target(&self) -> Target {
        Target { service: service(), site: snapback::execute::Site::GitHub(self.site.clone()) }
    }

    pub(crate) async fn describe(&self) -> Result<Picture, Trouble> {
        self.provider.describe(&self.target(), self.hub.now() - Duration::from_hours(24)).await
    }

    pub(crate) async fn picture(&self) -> Picture {
        self.describe().await.expect("a picture")
    }

    pub(crate) async fn propose(&self, from: u32, to: u32) -> Result<Proposal, Trouble> {
        self.provider.propose(&self.target(), &release(from), &release(to)).await
    }

    /// The orders of a way back, in the order in which they go.
    pub(crate) async fn way_back(&self, from: u32, to: u32) -> Vec<Order> {
        let acts = self.propose(from, to).await.expect("a way back").acts;
        let order = |(nth, act): (usize, Act)| Order {
            case: CaseId::of(&service(), 1),
            step: StepNo(u16::try_from(nth).expect("few")),
            attempt: 1,
            mark: mark(nth),
            doer: Doer::Provider(service()),
            act,
            service: service(),
            expected: release(from),
            to: release(to),
            intended_at: self.hub.now(),
        };
        acts.into_iter().enumerate().map(order).collect()
    }

    pub(crate) async fn begin(&self, order: &Order) -> Result<Handle, Trouble> {
        let order = Order { intended_at: self.hub.now(), ..order.clone() };
        let permit = Permit::committed(order, self.hub.now() + Duration::from_secs(WIRE));
        self.provider.begin(permit).await
    }

    pub(crate) async fn find(&self, order: &Order) -> Result<Sighting, Trouble> {
        self.provider.find(order).await
    }

    pub(crate) async fn watch(&self, handle: &Handle) -> Progress {
        self.provider.watch(handle).await.expect("how it stands")
    }

    /// Follows work until it ends, while time passes.
    pub(crate) async fn end_of(&self, handle: &Handle) -> Result<Progress, Trouble> {
        for _ in 0..100 {
            match self.provider.watch(handle).await? {
                Progress::Running(_) => self.hub.pass(3),
                progress @ (Progress::Serving(_)
                | Progress::Done(_)
                | Progress::Failed(_)
                | Progress::NeedsHuman { .. }
                | Progress::Superseded(_)) => return Ok(progress),
            }
        }
        panic!("it never ends: {:?}", self.provider.watch(handle).await);
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

/// The mark of a step.
pub(crate) fn mark(nth: usize) -> Mark {
    Mark::new(format!("snapback/{nth}123456789abcdef01234567"))
}

pub(crate) fn service() -> ServiceId {
    ServiceId::of("checkout", "production")
}

/// The release of a commit.
pub(crate) fn release(number: u32) -> ReleaseId {
    ReleaseId::new(commit(number))
}

pub(crate) fn site() -> Site {
    Site {
        repository: REPOSITORY.into(),
        workflow: WORKFLOW.into(),
        branch: "main".into(),
        environment: ENVIRONMENT.into(),
        repeatable: false,
        record: true,
    }
}

pub(crate) fn token(token: &str) -> Who {
    Who::Token(Some(token.to_owned().into()))
}

/// A new App of this GitHub, with its key as GitHub gives keys out.
pub(crate) fn app(hub: &Hub) -> Who {
    let key = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    hub.state().app_key = key.public_key().as_ref().to_vec();
    let der = key.as_der().expect("a key").as_ref().to_vec();
    // PKCS #8 begins with what kind of key it is; GitHub gives out what follows (PKCS #1).
    let text = STANDARD.encode(&der[26..]);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("text")).collect();
    let pem =
        format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n", lines.join("\n"));
    Who::App { id: APP.into(), installation: INSTALLATION, key: Some(pem.into()) }
}

/// A new process of ours, which remembers nothing.
pub(crate) fn provider(hub: &Arc<Hub>, url: &str, who: Who) -> Provider {
    let settings = Settings { url: url.to_owned(), who, quarantine: Duration::from_secs(QUARANTINE) };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let clock = hub.clone();
    Provider::GitHub(Box::new(GitHub::new(settings, Arc::new(move || clock.now()))))
}

/// The labels of an alert about the service.
pub(crate) fn labels() -> Value {
    json!({ "alertname": "HighErrorRate", "service": "checkout", "environment": "production", "severity": "critical" })
}
