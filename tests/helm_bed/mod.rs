//! The Helm provider, real Helms and the pretend cluster: a release that Helm installed and upgraded, and a clock that is the real one
//! and what the test adds to it. Helm dates its records by the real one.

#![allow(dead_code, reason = "each test uses the part of the bed that it is about")]

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration as StdDuration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use snapback::case::command::Progress;
use snapback::case::deployment::Picture;
use snapback::case::id::{CaseId, Duration, Handle, Mark, ReleaseId, ServiceId, StepNo, Timestamp};
use snapback::case::permit::Permit;
use snapback::case::plan::Proposal;
use snapback::case::step::{Act, Doer, Order};
use snapback::execute::helm::{Helm, Keep, Settings, Site};
use snapback::execute::{Provider, Sighting, Target};
use snapback::outbound::Trouble;

use crate::kube::{ADMIN, Cluster};

pub(crate) const MARK: &str = "snapback/0123456789abcdef01234567";
/// How long after a lost reply "not there" is no proof.
pub(crate) const QUARANTINE: i64 = 75;
/// A permit's wire deadline.
pub(crate) const WIRE: i64 = 10;
/// Helm waits so long.
pub(crate) const TIMEOUT: i64 = 20;
/// Where it is to hang: shorter, and longer than Helm takes on a busy machine.
const SHORT: i64 = 15;
/// Nothing of Helm's lasts longer.
pub(crate) const LONGEST: i64 = 2 * TIMEOUT + 30;
/// A pod is ready after so long, and a rollout goes on by a step.
pub(crate) const PACE: StdDuration = StdDuration::from_millis(100);

const DEPLOYMENT: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels: { app.kubernetes.io/managed-by: {{ .Release.Service }} }
  annotations: {{ toJson .Values.annotations }}
spec:
  replicas: 2
  selector: { matchLabels: { app: {{ .Release.Name }} } }
  template:
    metadata: { labels: { app: {{ .Release.Name }} } }
    spec: { containers: [{ name: web, image: "{{ .Values.image }}" }] }
"#;
const SETTINGS: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n\
                        data:\n  level: {{ .Values.level | quote }}\n";
const HOOK: &str = "{{- if .Values.hook }}\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: before-rollback\n  \
                    annotations: { helm.sh/hook: pre-rollback }\ndata: { of: {{ .Values.image | quote }} }\n{{- end }}\n";

/// Writes a chart of a Deployment, a ConfigMap, and a hook where it is wanted.
pub(crate) fn chart(folder: &Path) -> PathBuf {
    let chart = folder.join("shop");
    std::fs::create_dir_all(chart.join("templates")).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(chart.join(name), text).expect("written");
    write(
        "Chart.yaml",
        "apiVersion: v2\nname: shop\nversion: 1.2.3\nappVersion: \"7\"\nannotations: { snapback.dev/schema-version: \"4\" }\n",
    );
    write("values.yaml", "image: shop:1\nlevel: info\nhook: false\nannotations: {}\n");
    write("templates/deployment.yaml", DEPLOYMENT);
    write("templates/settings.yaml", SETTINGS);
    write("templates/hook.yaml", HOOK);
    chart
}

/// A real Helm, as a person or a pipeline runs it.
pub(crate) struct Tool {
    pub(crate) program: OsString,
    pub(crate) home: tempfile::TempDir,
    driver: &'static str,
}

impl Tool {
    /// `None`: it is not there, which `scripts/test` does not allow.
    #[expect(clippy::disallowed_methods, reason = "scripts/test says where its tools are")]
    pub(crate) fn find(variable: &str, cluster: &Cluster, driver: &'static str) -> Option<Tool> {
        let Some(program) = std::env::var_os(variable) else {
            assert!(std::env::var_os("SNAPBACK_TEST_STRICT").is_none(), "{variable} is not set");
            eprintln!("left out: {variable} is not set, so no real Helm makes releases");
            return None;
        };
        let home = tempfile::tempdir().expect("a folder");
        std::fs::write(home.path().join("config"), cluster.kubeconfig_in(ADMIN, "shop")).expect("written");
        chart(home.path());
        Some(Tool { program, home, driver })
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("HELM_DRIVER", self.driver)
            .env("KUBECONFIG", self.home.path().join("config"))
            .stdin(Stdio::null());
        command
    }

    /// What it said where it is to work.
    pub(crate) fn does(&self, arguments: &[&str]) -> String {
        let ended = self.command(arguments).output().expect("it starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(ended.status.success(), "{arguments:?}: {}", text(&ended.stderr));
        text(&ended.stdout)
    }

    /// That it fails.
    pub(crate) fn fails(&self, arguments: &[&str]) {
        let ended = self.command(arguments).output().expect("it starts");
        assert!(!ended.status.success(), "{arguments:?} worked");
    }

    fn with_values<'a>(words: &[&'a str], values: &[&'a str]) -> Vec<&'a str> {
        words.iter().copied().chain(values.iter().flat_map(|value| ["--set", *value])).collect()
    }

    fn chart(&self) -> String {
        self.home.path().join("shop").to_str().expect("text").to_owned()
    }

    pub(crate) fn installs(&self, values: &[&str]) {
        self.does(&Tool::with_values(&["install", "web", &self.chart()], values));
    }

    pub(crate) fn upgrades(&self, values: &[&str]) {
        self.does(&Tool::with_values(&["upgrade", "web", &self.chart()], values));
    }

    /// An upgrade that waits for so long, in vain.
    pub(crate) fn fails_to_upgrade(&self, values: &[&str], within: &str) {
        let chart = self.chart();
        let words = Tool::with_values(&["upgrade", "web", &chart, "--wait", "--timeout", within], values);
        self.fails(&words);
    }

    /// An upgrade that waits, and is still at it.
    pub(crate) fn begins_to_upgrade(&self, values: &[&str]) -> Child {
        let chart = self.chart();
        let words = Tool::with_values(&["upgrade", "web", &chart, "--wait", "--timeout", "5m"], values);
        let mut command = self.command(&words);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
    }

    /// The history by its own words: revision, status, description.
    pub(crate) fn history(&self) -> Vec<(i64, String, String)> {
        let said = self.does(&["history", "web", "-o", "json", "--max", "256"]);
        let rows: Vec<Value> = serde_json::from_str(&said).expect("JSON");
        let text = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
        rows.iter()
            .map(|row| {
                (row["revision"].as_i64().expect("a number"), text(row, "status"), text(row, "description"))
            })
            .collect()
    }
}

/// A provider, a Helm and a pretend cluster.
pub(crate) struct Bed {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) helm: Tool,
    pub(crate) provider: Provider,
    keep: Keep,
    timeout: i64,
    ahead: Arc<AtomicI64>,
}

/// What Helm made of two revisions, to be laid into other clusters: making it anew takes a second each time.
pub(crate) struct Made(Vec<Value>);

impl Made {
    pub(crate) fn by(bed: &Bed) -> Made {
        let mut objects = bed.cluster.objects("secrets", "shop");
        objects.extend(bed.cluster.objects("configmaps", "shop"));
        objects.extend(bed.cluster.objects("deployments", "shop"));
        for object in &mut objects {
            let metadata = object["metadata"].as_object_mut().expect("a map");
            metadata.remove("resourceVersion");
            metadata.remove("uid");
            object.as_object_mut().expect("a map").remove("status");
        }
        Made(objects)
    }
}

impl Bed {
    /// The same as it was made elsewhere.
    pub(crate) fn of(made: &Made) -> Option<Bed> {
        let mut bed = Bed::empty("SNAPBACK_TEST_HELM4", Keep::Secrets)?;
        made.0.iter().for_each(|object| drop(bed.cluster.apply(object.clone())));
        bed.timeout = SHORT;
        bed.starts_again();
        Some(bed)
    }

    /// Revision 1 ran since two hours, 2 since ten minutes.
    pub(crate) fn new(variable: &str) -> Option<Bed> {
        let bed = Bed::empty(variable, Keep::Secrets)?;
        bed.helm.installs(&["image=shop:1"]);
        bed.helm.upgrades(&["image=shop:2"]);
        bed.has_run(1, 7200);
        bed.has_run(2, 600);
        Some(bed)
    }

    /// A cluster in which nothing is installed.
    pub(crate) fn empty(variable: &str, keep: Keep) -> Option<Bed> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let cluster = Cluster::start_at(real_now());
        cluster.namespace("shop");
        let driver = match keep {
            Keep::Secrets => "secret",
            Keep::ConfigMaps => "configmap",
        };
        let helm = Tool::find(variable, &cluster, driver)?;
        cluster.goes_on(PACE);
        let ahead = Arc::new(AtomicI64::new(0));
        let config = helm.home.path().join("config");
        let program = helm.program.to_str().expect("text");
        let provider = provider(program, &config, keep, TIMEOUT, &ahead);
        Some(Bed { cluster, helm, provider, keep, timeout: TIMEOUT, ahead })
    }

    /// A new process of ours, which remembers nothing, and comes this way.
    pub(crate) fn provider_by(&self, program: &str, config: &Path) -> Provider {
        provider(program, config, self.keep, self.timeout, &self.ahead)
    }

    /// A new process of ours, which remembers nothing.
    pub(crate) fn starts_again(&mut self) {
        let program = self.helm.program.to_str().expect("text").to_owned();
        self.provider = self.provider_by(&program, &self.helm.home.path().join("config"));
    }

    pub(crate) fn now(&self) -> Timestamp {
        real_now() + Duration::from_secs(self.ahead.load(Ordering::SeqCst))
    }

    /// Time passes for us.
    pub(crate) fn pass(&self, seconds: i64) {
        self.ahead.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Lets a revision be so old.
    pub(crate) fn has_run(&self, version: i64, seconds: i64) {
        has_run(&self.cluster, version, real_now() - Duration::from_secs(seconds));
    }

    pub(crate) fn image(&self) -> String {
        image(&self.cluster)
    }

    pub(crate) fn target(&self) -> Target {
        let site = Site { namespace: "shop".into(), release: "web".into() };
        Target { service: service(), site: snapback::execute::Site::Helm(site) }
    }

    pub(crate) async fn describe(&self) -> Result<Picture, Trouble> {
        self.provider.describe(&self.target(), self.now() - Duration::from_hours(24)).await
    }

    pub(crate) async fn picture(&self) -> Picture {
        self.describe().await.expect("a picture")
    }

    /// The release whose image has this number.
    pub(crate) async fn release(&self, number: u32) -> ReleaseId {
        let picture = self.picture().await;
        let version = format!("shop-1.2.3 shop:{number}");
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
            intended_at: self.now(),
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
        let permit = Permit::committed(order.clone(), self.now() + Duration::from_secs(WIRE));
        self.provider.begin(permit).await
    }

    pub(crate) async fn find(&self, order: &Order) -> Result<Sighting, Trouble> {
        self.provider.find(order).await
    }

    /// Follows work until it ends.
    pub(crate) async fn end_of(&self, handle: &Handle) -> Result<Progress, Trouble> {
        for _ in 0..600 {
            match self.provider.watch(handle).await? {
                Progress::Running(_) => a_moment().await,
                progress @ (Progress::Serving(_)
                | Progress::Done(_)
                | Progress::Failed(_)
                | Progress::NeedsHuman { .. }
                | Progress::Superseded(_)) => return Ok(progress),
            }
        }
        panic!("it never ends: {:?}", self.helm.history())
    }

    /// Ends the rollback that is under way, as the system does that runs out of memory.
    pub(crate) fn kills_helm(&self) {
        let config = self.helm.home.path().join("config").display().to_string();
        let mut killed = 0;
        for entry in std::fs::read_dir("/proc").expect("processes").flatten() {
            let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).into_owned();
            if words.contains("rollback") && words.contains(&config) {
                let pid = entry.file_name().into_string().expect("a number");
                let ended = Command::new("sh").args(["-c", &format!("kill -9 {pid}")]).status();
                killed += usize::from(ended.expect("it starts").success());
            }
        }
        assert_eq!(killed, 1, "one rollback was under way");
    }

    /// Revisions that rollbacks wrote.
    pub(crate) fn rollbacks(&self) -> usize {
        rollbacks(&self.cluster)
    }
}

/// A tenth of a second, in which others go on.
pub(crate) async fn a_moment() {
    let _ = tokio::time::timeout(StdDuration::from_millis(100), std::future::pending::<()>()).await;
}

#[expect(clippy::disallowed_methods, reason = "Helm reads the real clock")]
pub(crate) fn real_now() -> Timestamp {
    Timestamp::now()
}

pub(crate) fn service() -> ServiceId {
    ServiceId::of("checkout", "production")
}

pub(crate) fn image(cluster: &Cluster) -> String {
    let object = cluster.object("deployments", "shop", "web");
    object["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default().to_owned()
}

/// A record as it lies in its Secret.
pub(crate) fn record(cluster: &Cluster, version: i64) -> Value {
    let secret = cluster.object("secrets", "shop", &format!("sh.helm.release.v1.web.v{version}"));
    let field = secret["data"]["release"].as_str().unwrap_or_default();
    let packed = STANDARD.decode(STANDARD.decode(field).expect("base64")).expect("base64");
    let mut plain = String::new();
    flate2::read::GzDecoder::new(&*packed).read_to_string(&mut plain).expect("gzip");
    serde_json::from_str(&plain).expect("JSON")
}

/// Changes a record as if Helm had written it so.
pub(crate) fn rewrite(cluster: &Cluster, version: i64, change: impl FnOnce(&mut Value)) {
    let mut record = record(cluster, version);
    change(&mut record);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(record.to_string().as_bytes()).expect("packed");
    let field = STANDARD.encode(STANDARD.encode(packed.finish().expect("packed")));
    let mut secret = cluster.object("secrets", "shop", &format!("sh.helm.release.v1.web.v{version}"));
    secret["data"]["release"] = field.into();
    secret["metadata"]["labels"]["status"] = record["info"]["status"].clone();
    secret["metadata"].as_object_mut().expect("a map").remove("resourceVersion");
    cluster.apply(secret);
}

/// Lets a revision have begun then, and ended a second later.
pub(crate) fn has_run(cluster: &Cluster, version: i64, since: Timestamp) {
    rewrite(cluster, version, |record| record["info"]["last_deployed"] = since.to_string().into());
    let mut secret = cluster.object("secrets", "shop", &format!("sh.helm.release.v1.web.v{version}"));
    secret["metadata"]["labels"]["modifiedAt"] = (since.as_second() + 1).to_string().into();
    secret["metadata"].as_object_mut().expect("a map").remove("resourceVersion");
    cluster.apply(secret);
}

/// Revisions that rollbacks wrote, by their records.
pub(crate) fn rollbacks(cluster: &Cluster) -> usize {
    let records = cluster.objects("secrets", "shop");
    let of_helm = records.iter().filter(|secret| secret["type"] == "helm.sh/release.v1");
    let versions =
        of_helm.filter_map(|secret| secret["metadata"]["labels"]["version"].as_str()?.parse().ok());
    versions
        .filter(|version| {
            let info = record(cluster, *version)["info"].clone();
            info["description"].as_str().unwrap_or_default().starts_with("Rollback ")
        })
        .count()
}

fn provider(program: &str, config: &Path, keep: Keep, timeout: i64, ahead: &Arc<AtomicI64>) -> Provider {
    let settings = Settings {
        kubeconfig: Some(config.to_owned()),
        context: None,
        program: program.to_owned(),
        home: None,
        keep,
        timeout: Duration::from_secs(timeout),
        history_max: 10,
        quarantine: Duration::from_secs(QUARANTINE),
    };
    let ahead = ahead.clone();
    let clock = Arc::new(move || real_now() + Duration::from_secs(ahead.load(Ordering::SeqCst)));
    Provider::Helm(Box::new(Helm::new(settings, clock)))
}
