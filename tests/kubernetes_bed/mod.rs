//! The Kubernetes provider against the pretend cluster, by a clock that the test moves: one workload of each kind, with a release that
//! ran for hours and a newer one that is to be taken back.

#![allow(dead_code, reason = "each test uses the part of the bed that it is about")]

use std::sync::Arc;

use serde_json::{Value, json};
use snapback::case::command::Progress;
use snapback::case::deployment::Picture;
use snapback::case::id::{CaseId, Duration, Handle, Mark, ReleaseId, ServiceId, StepNo, Timestamp};
use snapback::case::permit::Permit;
use snapback::case::plan::Proposal;
use snapback::case::step::{Act, Doer, Order};
use snapback::execute::kubernetes::{Kind, Kubernetes, Settings, Site};
use snapback::execute::{Provider, Sighting, Target};
use snapback::outbound::Trouble;

use crate::kube::{Cluster, Right};

pub(crate) const MARK: &str = "snapback/0123456789abcdef01234567";
/// How long after a lost reply "not there" is no proof.
pub(crate) const QUARANTINE: i64 = 75;
/// A permit's wire deadline.
pub(crate) const WIRE: i64 = 10;
/// One call takes at most so long.
pub(crate) const CALL: i64 = 6;
/// When "not there" is a proof.
pub(crate) const SURELY: i64 = WIRE + CALL + QUARANTINE;

/// What Snapback may do, as `deploy/kubernetes-role.yaml` has it: verb, group, resource.
pub(crate) const RIGHTS: [(&str, &str, &str); 25] = [
    ("get", "apps", "deployments"),
    ("list", "apps", "deployments"),
    ("watch", "apps", "deployments"),
    ("patch", "apps", "deployments"),
    ("get", "apps", "statefulsets"),
    ("list", "apps", "statefulsets"),
    ("watch", "apps", "statefulsets"),
    ("patch", "apps", "statefulsets"),
    ("get", "apps", "daemonsets"),
    ("list", "apps", "daemonsets"),
    ("watch", "apps", "daemonsets"),
    ("patch", "apps", "daemonsets"),
    ("get", "argoproj.io", "rollouts"),
    ("list", "argoproj.io", "rollouts"),
    ("watch", "argoproj.io", "rollouts"),
    ("patch", "argoproj.io", "rollouts"),
    ("patch", "argoproj.io", "rollouts/status"),
    ("list", "argoproj.io", "analysisruns"),
    ("list", "apps", "replicasets"),
    ("list", "apps", "controllerrevisions"),
    ("list", "", "pods"),
    ("list", "", "events"),
    ("get", "", "pods/log"),
    ("list", "flagger.app", "canaries"),
    ("create", "authorization.k8s.io", "selfsubjectaccessreviews"),
];

/// Lets Snapback do all of that but these (`verb resource`); gives its token.
pub(crate) fn allow(cluster: &Cluster, all_but: &[&str]) -> String {
    let rights: Vec<Right> = RIGHTS
        .iter()
        .filter(|(verb, _, resource)| !all_but.contains(&&*format!("{verb} {resource}")))
        .map(|(verbs, group, resources)| Right { group, resources, verbs, namespace: None })
        .collect();
    cluster.token("snapback", &rights)
}

/// Kubernetes' own kinds.
pub(crate) const KINDS: [Kind; 3] = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];
/// Those and Argo's.
pub(crate) const ALL_KINDS: [Kind; 4] = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::Rollout];

/// A provider and its pretend cluster.
pub(crate) struct Bed {
    pub(crate) kind: Kind,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) provider: Provider,
    folder: tempfile::TempDir,
}

impl Bed {
    /// Release 1 ran since two hours, 2 since ten minutes.
    pub(crate) fn new(kind: Kind) -> Bed {
        let bed = Bed::with(kind, workload(kind, 1));
        bed.pass(7200 - 600);
        bed.puts_out(2);
        bed.pass(600);
        bed
    }

    /// A cluster with this workload alone.
    pub(crate) fn with(kind: Kind, workload: Value) -> Bed {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let cluster = Cluster::start_at("2026-03-02T07:00:00Z".parse().expect("a moment"));
        allow(&cluster, &[]);
        cluster.apply(workload);
        let folder = tempfile::tempdir().expect("a folder");
        let provider = provider(&cluster, &folder, &cluster.url());
        Bed { kind, cluster, provider, folder }
    }

    /// The same, and release 3 is on its way since a second.
    pub(crate) fn going_out(kind: Kind) -> Bed {
        let bed = Bed::new(kind);
        bed.puts_out(3);
        bed.cluster.tick(std::time::Duration::from_secs(1));
        bed
    }

    /// Time passes: for a minute by the second, so that rollouts go on, and then at once.
    pub(crate) fn pass(&self, seconds: u64) {
        let small = seconds.min(60);
        for _ in 0..small {
            self.cluster.tick(std::time::Duration::from_secs(1));
        }
        if seconds > small {
            self.cluster.tick(std::time::Duration::from_secs(seconds - small));
        }
    }

    /// Snapback may do everything that it needs but these.
    pub(crate) fn may_not(&self, rights: &[&str]) {
        allow(&self.cluster, rights);
    }

    /// A new process of ours, which remembers nothing.
    pub(crate) fn provider_at(&self, url: &str) -> Provider {
        provider(&self.cluster, &self.folder, url)
    }

    /// Somebody sets the image.
    pub(crate) fn puts_out(&self, number: u32) {
        self.sets_image(&format!("shop:{number}"));
    }

    pub(crate) fn sets_image(&self, image: &str) {
        self.change(|object| object["spec"]["template"]["spec"]["containers"][0]["image"] = image.into());
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Value)) {
        alter(&self.cluster, self.kind, change);
    }

    pub(crate) fn object(&self) -> Value {
        self.cluster.object(resource(self.kind), "shop", "checkout")
    }

    pub(crate) fn image(&self) -> String {
        let object = self.object();
        object["spec"]["template"]["spec"]["containers"][0]["image"].as_str().expect("an image").to_owned()
    }

    pub(crate) fn target(&self) -> Target {
        let site = Site { namespace: "shop".into(), kind: self.kind, name: "checkout".into() };
        Target { service: service(), site: snapback::execute::Site::Kubernetes(site) }
    }

    pub(crate) async fn describe(&self) -> Result<Picture, Trouble> {
        self.provider.describe(&self.target(), self.cluster.now() - Duration::from_hours(24)).await
    }

    pub(crate) async fn picture(&self) -> Picture {
        self.describe().await.expect("a picture")
    }

    /// The release of this number, as the provider names it.
    pub(crate) async fn release(&self, number: u32) -> ReleaseId {
        let picture = self.picture().await;
        let version = format!("shop:{number}");
        let found = picture.releases.iter().find(|release| release.version.as_deref() == Some(&version));
        found.unwrap_or_else(|| panic!("no {version}: {:#?}", picture.releases)).id.clone()
    }

    pub(crate) async fn propose(&self, from: u32, to: u32) -> Result<Proposal, Trouble> {
        let (from, to) = (self.release(from).await, self.release(to).await);
        self.provider.propose(&self.target(), &from, &to).await
    }

    pub(crate) fn order(&self, act: Act, from: ReleaseId, to: ReleaseId) -> Order {
        Order {
            case: CaseId::of(&service(), 1),
            step: StepNo(0),
            attempt: 1,
            mark: Mark::new(MARK),
            doer: Doer::Provider(service()),
            act,
            service: service(),
            expected: from,
            to,
            intended_at: self.cluster.now(),
        }
    }

    /// The order of the only act of a way back.
    pub(crate) async fn way_back(&self, from: u32, to: u32) -> Order {
        let acts = self.propose(from, to).await.expect("a way back").acts;
        assert_eq!(acts.len(), 1, "one act: {acts:?}");
        let (from, to) = (self.release(from).await, self.release(to).await);
        self.order(acts.into_iter().next().expect("one"), from, to)
    }

    pub(crate) async fn begin(&self, order: &Order) -> Result<Handle, Trouble> {
        let permit = Permit::committed(order.clone(), self.cluster.now() + Duration::from_secs(WIRE));
        self.provider.begin(permit).await
    }

    pub(crate) async fn find(&self, order: &Order) -> Result<Sighting, Trouble> {
        self.provider.find(order).await
    }

    /// Follows work until it ends, while time passes.
    pub(crate) async fn end_of(&self, handle: &Handle) -> Result<Progress, Trouble> {
        for _ in 0..400 {
            match self.provider.watch(handle).await? {
                Progress::Running(_) => self.pass(5),
                progress @ (Progress::Serving(_)
                | Progress::Done(_)
                | Progress::Failed(_)
                | Progress::NeedsHuman { .. }
                | Progress::Superseded(_)) => return Ok(progress),
            }
        }
        panic!("it never ends")
    }

    /// What Snapback did, by the cluster's own log.
    pub(crate) fn effects(&self) -> Vec<String> {
        self.cluster.effects()
    }

    /// Requests of Snapback's that would change something.
    pub(crate) fn mutations(&self) -> usize {
        mutations(&self.cluster)
    }
}

/// Requests of Snapback's that would change something.
pub(crate) fn mutations(cluster: &Cluster) -> usize {
    let writes = cluster.writes();
    writes
        .iter()
        .filter(|call| call.path.contains("fieldManager=snapback") && !call.path.contains("dryRun"))
        .count()
}

/// Somebody changes the workload.
pub(crate) fn alter(cluster: &Cluster, kind: Kind, change: impl FnOnce(&mut Value)) {
    let mut object = cluster.object(resource(kind), "shop", "checkout");
    change(&mut object);
    object["metadata"].as_object_mut().expect("a map").remove("resourceVersion");
    object.as_object_mut().expect("a map").remove("status");
    cluster.apply(object);
}

pub(crate) fn service() -> ServiceId {
    ServiceId::of("checkout", "production")
}

pub(crate) fn resource(kind: Kind) -> &'static str {
    match kind {
        Kind::Deployment => "deployments",
        Kind::StatefulSet => "statefulsets",
        Kind::DaemonSet => "daemonsets",
        Kind::Rollout => "rollouts",
    }
}

/// The labels of an alert about the service.
pub(crate) fn labels() -> Value {
    json!({ "alertname": "HighErrorRate", "service": "checkout", "environment": "production", "severity": "critical" })
}

pub(crate) fn workload(kind: Kind, number: u32) -> Value {
    let word = match kind {
        Kind::Deployment => "Deployment",
        Kind::StatefulSet => "StatefulSet",
        Kind::DaemonSet => "DaemonSet",
        Kind::Rollout => "Rollout",
    };
    let version = if kind == Kind::Rollout { "argoproj.io/v1alpha1" } else { "apps/v1" };
    let mut object = json!({
        "apiVersion": version, "kind": word,
        "metadata": { "name": "checkout", "namespace": "shop" },
        "spec": {
            "selector": { "matchLabels": { "app": "checkout" } },
            "template": {
                "metadata": { "labels": { "app": "checkout" } },
                "spec": { "containers": [{ "name": "web", "image": format!("shop:{number}") }] },
            },
        },
    });
    if kind == Kind::StatefulSet {
        object["spec"]["serviceName"] = "checkout".into();
    }
    if kind == Kind::Rollout {
        object["spec"]["strategy"] =
            json!({ "canary": { "steps": [{ "setWeight": 50 }, { "pause": { "duration": "5s" } }] } });
    }
    if kind != Kind::DaemonSet {
        object["spec"]["replicas"] = 3.into();
    }
    object
}

fn provider(cluster: &Arc<Cluster>, folder: &tempfile::TempDir, url: &str) -> Provider {
    let path = folder.path().join(format!("config-{}", url.replace(['/', ':'], "-")));
    std::fs::write(&path, kubeconfig(url)).expect("a kubeconfig");
    let settings =
        Settings { kubeconfig: Some(path), context: None, quarantine: Duration::from_secs(QUARANTINE) };
    let clock = cluster.clone();
    let clock = Arc::new(move || -> Timestamp { clock.now() });
    Provider::Kubernetes(Box::new(Kubernetes::new(settings, clock)))
}

/// By which Snapback comes to this address, which may be without TLS.
pub(crate) fn kubeconfig(url: &str) -> String {
    // JSON is YAML.
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{ "name": "here", "cluster": { "server": url } }],
        "users": [{ "name": "me", "user": { "token": "token-of-snapback" } }],
        "contexts": [{ "name": "here", "context": { "cluster": "here", "user": "me" } }],
    })
    .to_string()
}
