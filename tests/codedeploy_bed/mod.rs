//! The CodeDeploy provider against the pretend AWS, by a clock that the test moves: one group for each platform, with a
//! release that served for hours and a newer one that is to be taken back.

#![allow(dead_code, reason = "each test uses the part of the bed that it is about")]

use std::sync::Arc;

use serde_json::{Value, json};
use snapback::case::command::Progress;
use snapback::case::deployment::Picture;
use snapback::case::id::{CaseId, Duration, Handle, Mark, ReleaseId, ServiceId, StepNo, Timestamp};
use snapback::case::permit::Permit;
use snapback::case::plan::Proposal;
use snapback::case::step::{Act, Doer, Order};
use snapback::execute::codedeploy::{CodeDeploy, Credentials, Settings, Site};
use snapback::execute::{Provider, Sighting, Target};
use snapback::outbound::Trouble;

use crate::aws::Aws;
use crate::aws::behind::{Function, appspec, ecs_spec, lambda_spec, s3};
use crate::aws::codedeploy::Group;

pub(crate) const MARK: &str = "snapback/0123456789abcdef01234567";
pub(crate) const APPLICATION: &str = "checkout";
pub(crate) const GROUP: &str = "production";
/// How long after a lost reply "not there" is no proof.
pub(crate) const QUARANTINE: i64 = 60;
/// A permit's wire deadline.
pub(crate) const WIRE: i64 = 10;
/// One call takes at most so long.
pub(crate) const CALL: i64 = 6;
/// When "not there" is a proof.
pub(crate) const SURELY: i64 = WIRE + CALL + QUARANTINE;

/// What a group deploys to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform {
    InPlace,
    BlueGreen,
    Ecs,
    Lambda,
}

/// Every platform.
pub(crate) const PLATFORMS: [Platform; 4] =
    [Platform::InPlace, Platform::BlueGreen, Platform::Ecs, Platform::Lambda];

impl Platform {
    /// The release of this number.
    pub(crate) fn release(self, number: u32) -> ReleaseId {
        match self {
            Platform::InPlace | Platform::BlueGreen => {
                ReleaseId::new(format!("s3://releases/checkout-{number}.zip?version=v{number}"))
            }
            Platform::Ecs | Platform::Lambda => ReleaseId::new(format!("checkout:{number}")),
        }
    }

    /// The revision that puts it out, after the one before.
    pub(crate) fn revision(self, number: u32) -> Value {
        match self {
            Platform::InPlace | Platform::BlueGreen => {
                s3(&format!("checkout-{number}.zip"), Some(&format!("v{number}")))
            }
            Platform::Ecs => appspec(&ecs_spec(&format!("checkout:{number}"))),
            Platform::Lambda => {
                appspec(&lambda_spec("checkout", &(number - 1).to_string(), &number.to_string()))
            }
        }
    }

    fn group(self) -> Group {
        let server = Group::server();
        match self {
            Platform::InPlace => server,
            Platform::BlueGreen => Group { blue_green: true, bakes: Duration::from_secs(60), ..server },
            Platform::Ecs => Group {
                platform: "ECS",
                blue_green: true,
                bakes: Duration::from_secs(60),
                subject: "checkout".into(),
                ..server
            },
            Platform::Lambda => {
                Group { platform: "Lambda", blue_green: true, subject: "checkout".into(), ..server }
            }
        }
    }
}

/// A provider and its pretend service.
pub(crate) struct Bed {
    pub(crate) platform: Platform,
    pub(crate) aws: Arc<Aws>,
    pub(crate) provider: Provider,
    pub(crate) site: Site,
}

impl Bed {
    /// Releases 1 and 2 went out whole, two hours and ten minutes ago; 2 serves.
    pub(crate) fn new(platform: Platform) -> Bed {
        let aws = Aws::standing("2026-03-02T09:00:00Z".parse().expect("a moment"));
        let url = aws.listen();
        let bed = Bed { platform, provider: provider(&aws, &url), aws, site: site() };
        furnish(&bed.aws, platform);
        bed.puts_out(1, 7200);
        bed.puts_out(2, 600);
        bed
    }

    /// The same, and release 3 is on its way since five seconds.
    pub(crate) fn going_out(platform: Platform) -> Bed {
        let bed = Bed::new(platform);
        bed.puts_out(3, 5);
        bed
    }

    /// Somebody put this release out so many seconds ago.
    pub(crate) fn puts_out(&self, number: u32, seconds_ago: i64) -> String {
        put_out(&self.aws, self.platform, number, seconds_ago)
    }

    pub(crate) fn group(&self, change: impl FnOnce(&mut Group)) {
        with_group(&self.aws, change);
    }

    pub(crate) fn target(&self) -> Target {
        Target { service: service(), site: snapback::execute::Site::CodeDeploy(self.site.clone()) }
    }

    pub(crate) async fn describe(&self) -> Result<Picture, Trouble> {
        self.provider.describe(&self.target(), self.aws.now() - Duration::from_hours(24)).await
    }

    pub(crate) async fn picture(&self) -> Picture {
        self.describe().await.expect("a picture")
    }

    pub(crate) async fn propose(&self, from: u32, to: u32) -> Result<Proposal, Trouble> {
        let (from, to) = (self.platform.release(from), self.platform.release(to));
        self.provider.propose(&self.target(), &from, &to).await
    }

    /// An order for one act of a way back.
    pub(crate) fn order(&self, act: Act, step: u16, from: u32, to: u32) -> Order {
        Order {
            case: CaseId::of(&service(), 1),
            step: StepNo(step),
            attempt: 1,
            mark: Mark::new(MARK),
            doer: Doer::Provider(service()),
            act,
            service: service(),
            expected: self.platform.release(from),
            to: self.platform.release(to),
            intended_at: self.aws.now(),
        }
    }

    /// The order of the only act of a way back.
    pub(crate) async fn way_back(&self, from: u32, to: u32) -> Order {
        let acts = self.propose(from, to).await.expect("a way back").acts;
        assert_eq!(acts.len(), 1, "one act: {acts:?}");
        self.order(acts.into_iter().next().expect("one"), 0, from, to)
    }

    pub(crate) async fn begin(&self, order: &Order) -> Result<Handle, Trouble> {
        let permit = Permit::committed(order.clone(), self.aws.now() + Duration::from_secs(WIRE));
        self.provider.begin(permit).await
    }

    pub(crate) async fn find(&self, order: &Order) -> Result<Sighting, Trouble> {
        self.provider.find(order).await
    }

    /// Follows work until it ends, while time passes.
    pub(crate) async fn end_of(&self, handle: &Handle) -> Result<Progress, Trouble> {
        for _ in 0..100 {
            match self.provider.watch(handle).await? {
                Progress::Running(_) => self.aws.pass(5),
                progress @ (Progress::Serving(_)
                | Progress::Done(_)
                | Progress::Failed(_)
                | Progress::NeedsHuman { .. }
                | Progress::Superseded(_)) => return Ok(progress),
            }
        }
        panic!("it never ends")
    }

    pub(crate) fn effects(&self) -> Vec<String> {
        self.aws.state().effects.clone()
    }

    /// The request by which our deployment was created.
    pub(crate) fn created(&self) -> Value {
        let state = self.aws.state();
        let marked = state.marked();
        assert_eq!(marked.len(), 1, "one deployment of ours: {marked:?}");
        marked[0].asked.clone()
    }
}

pub(crate) fn service() -> ServiceId {
    ServiceId::of("checkout", "production")
}

pub(crate) fn site() -> Site {
    Site { application: APPLICATION.into(), group: GROUP.into(), rollback_config: None }
}

/// A new process of ours, which remembers nothing.
pub(crate) fn provider(aws: &Arc<Aws>, url: &str) -> Provider {
    let clock = aws.clone();
    provider_by(url, Arc::new(move || -> Timestamp { clock.now() }))
}

/// The same, by this clock.
pub(crate) fn provider_by(url: &str, clock: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Provider {
    let settings = Settings {
        region: "eu-west-1".into(),
        endpoint_url: Some(url.to_owned()),
        quarantine: Duration::from_secs(QUARANTINE),
    };
    let credentials = Credentials::Given { id: "AKIATEST".into(), secret: "secret".to_owned().into() };
    Provider::CodeDeploy(Box::new(CodeDeploy::new(settings, credentials, clock)))
}

/// Changes the group.
pub(crate) fn with_group(aws: &Aws, change: impl FnOnce(&mut Group)) {
    let mut state = aws.state();
    change(state.groups.get_mut(&(APPLICATION.into(), GROUP.into())).expect("a group"));
}

/// Somebody put this release out so many seconds ago.
pub(crate) fn put_out(aws: &Aws, platform: Platform, number: u32, seconds_ago: i64) -> String {
    let at = aws.now() - Duration::from_secs(seconds_ago);
    let id = aws.state().deploy(APPLICATION, GROUP, platform.revision(number), at);
    // To look is to let happen what is due by now.
    drop(aws.state());
    id
}

/// The labels of an alert about the service.
pub(crate) fn labels() -> Value {
    json!({ "alertname": "HighErrorRate", "service": "checkout", "environment": "production", "severity": "critical" })
}

/// Puts a group there, with what stands behind it.
pub(crate) fn furnish(aws: &Aws, platform: Platform) {
    let mut state = aws.state();
    state.group(APPLICATION, GROUP, platform.group());
    let versions = (0..10).map(|number: u32| number.to_string()).collect();
    let aliases = [("live".to_owned(), "0".to_owned())].into();
    state
        .behind
        .functions
        .insert("checkout".into(), Function { versions, aliases, weights: Default::default() });
    for number in 0..10 {
        let image = format!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/checkout:{number}");
        state.behind.definitions.insert(format!("checkout:{number}"), image);
        state.behind.images.insert(format!("shop/checkout:{number}"));
    }
    state.behind.services.insert("checkout".into(), "checkout:0".into());
}
