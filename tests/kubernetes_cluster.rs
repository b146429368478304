//! The pretend Kubernetes API server by itself: the real kubectl and Helm drive it, and the faults that tests order come as
//! they were ordered. What Snapback does with it is in other files.
//!
//! `scripts/test` installs kubectl and Helm and sets SNAPBACK_TEST_KUBECTL, SNAPBACK_TEST_HELM4 and SNAPBACK_TEST_HELM3;
//! without them, `cargo test` says that this was left out.

#[path = "kubernetes_cluster/by_argo.rs"]
mod by_argo;
#[path = "kubernetes_cluster/by_hand.rs"]
mod by_hand;
#[path = "kubernetes_cluster/by_helm.rs"]
mod by_helm;
mod kube;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use kube::json::{count, text};
use kube::{ADMIN, Broken, Cluster, Right};

/// A tool that drives the cluster, with a home of its own.
struct Tool {
    program: std::ffi::OsString,
    home: tempfile::TempDir,
}

/// What a tool said.
#[derive(Debug)]
struct Said {
    ok: bool,
    out: String,
    err: String,
}

impl Tool {
    /// `None`: the tool is not there, which `scripts/test` does not allow.
    #[expect(clippy::disallowed_methods, reason = "scripts/test says where its tools are")]
    fn find(variable: &str, cluster: &Cluster, token: &str) -> Option<Tool> {
        let Some(program) = std::env::var_os(variable) else {
            assert!(std::env::var_os("SNAPBACK_TEST_STRICT").is_none(), "{variable} is not set");
            eprintln!("left out: {variable} is not set, so no real client drives the pretend cluster");
            return None;
        };
        let home = tempfile::tempdir().expect("a folder");
        std::fs::write(home.path().join("config"), cluster.kubeconfig_in(token, "shop")).expect("written");
        Some(Tool { program, home })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("KUBECONFIG", self.home.path().join("config"))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let ended = self.command(arguments).output().expect("it starts");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Said { ok: ended.status.success(), out: text(ended.stdout), err: text(ended.stderr) }
    }

    /// What it said where it is to work.
    fn does(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert!(said.ok, "{arguments:?}: {said:?}");
        said.out
    }
}

/// A cluster with the namespace `shop`, and kubectl for it.
fn with_kubectl() -> Option<(Arc<Cluster>, Tool)> {
    let cluster = Cluster::start();
    cluster.namespace("shop");
    let kubectl = Tool::find("SNAPBACK_TEST_KUBECTL", &cluster, ADMIN)?;
    Some((cluster, kubectl))
}

/// A workload as manifests describe it.
fn manifest(kind: &str, name: &str, image: &str, replicas: u32) -> Value {
    let mut made = json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": { "name": name, "namespace": "shop" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": name, "image": image, "env": [{ "name": "A", "value": "1" }] }] },
            },
        },
    });
    if kind == "DaemonSet" {
        made["spec"].as_object_mut().expect("a map").remove("replicas");
    }
    made
}

impl Tool {
    fn apply(&self, manifest: &Value) -> String {
        let path = self.home.path().join("manifest.json");
        std::fs::write(&path, manifest.to_string()).expect("written");
        self.does(&["apply", "-f", path.to_str().expect("text")])
    }
}

fn tick(cluster: &Cluster) {
    cluster.tick(Duration::from_secs(10));
}

#[test]
fn kubectl_rolls_a_deployment_out_and_back() {
    let Some((cluster, kubectl)) = with_kubectl() else { return };
    kubectl.apply(&manifest("Deployment", "checkout", "checkout:1", 4));
    tick(&cluster);
    let status = ["rollout", "status", "deployment/checkout", "--timeout=20s"];
    assert!(kubectl.does(&status).contains("successfully rolled out"));
    kubectl.does(&["set", "image", "deployment/checkout", "checkout=checkout:2"]);
    kubectl.does(&["annotate", "deployment/checkout", "kubernetes.io/change-cause=the second"]);

    // Half way: some are new, some are old.
    let half = cluster.object("deployments", "shop", "checkout");
    let updated = count(&half, "/status/updatedReplicas");
    assert!((1..4).contains(&updated), "{half:#}");
    assert!(count(&half, "/status/replicas") > updated, "{half:#}");
    cluster.settle();
    assert!(kubectl.does(&status).contains("successfully rolled out"));
    let history = kubectl.does(&["rollout", "history", "deployment/checkout"]);
    assert!(history.contains("1         <none>") && history.contains("2         the second"), "{history}");

    kubectl.does(&["rollout", "undo", "deployment/checkout", "--to-revision=1"]);
    cluster.settle();
    let back = cluster.object("deployments", "shop", "checkout");
    assert_eq!(text(&back, "/spec/template/spec/containers/0/image"), "checkout:1");
    assert_eq!(text(&back, "/metadata/annotations/deployment.kubernetes.io~1revision"), "3");
    let sets = cluster.revisions("deployments", "shop", "checkout");
    assert_eq!(sets.len(), 2, "the old one is used again: {sets:#?}");
    let reused = sets.iter().find(|set| count(set, "/spec/replicas") == 4).expect("the one that runs");
    assert_eq!(text(reused, "/metadata/annotations/deployment.kubernetes.io~1revision-history"), "1");
    let history = kubectl.does(&["rollout", "history", "deployment/checkout"]);
    assert!(!history.contains("\n1 ") && history.contains("\n3 "), "{history}");

    // A paused one does not move, and kubectl refuses to undo it.
    kubectl.does(&["rollout", "pause", "deployment/checkout"]);
    kubectl.does(&["set", "image", "deployment/checkout", "checkout=checkout:3"]);
    cluster.settle();
    assert_eq!(cluster.revisions("deployments", "shop", "checkout").len(), 2);
    let said = kubectl.run(&["rollout", "undo", "deployment/checkout", "--to-revision=2"]);
    assert!(!said.ok && said.err.contains("resume it first"), "{said:?}");
    kubectl.does(&["rollout", "resume", "deployment/checkout"]);
    kubectl.does(&["scale", "deployment/checkout", "--replicas=0", "--current-replicas=4"]);
    kubectl.does(&["scale", "deployment/checkout", "--replicas=2"]);
    cluster.settle();
    let scaled = cluster.object("deployments", "shop", "checkout");
    assert_eq!(count(&scaled, "/status/availableReplicas"), 2, "{scaled:#}");
    assert_eq!(text(&scaled, "/spec/template/spec/containers/0/image"), "checkout:3");
}

#[test]
fn a_broken_image_leaves_the_old_pods_and_exceeds_the_deadline() {
    let Some((cluster, kubectl)) = with_kubectl() else { return };
    kubectl.apply(&manifest("Deployment", "checkout", "checkout:1", 4));
    cluster.settle();
    cluster.break_image("checkout:2", Broken::ImagePullBackOff);
    kubectl.does(&["set", "image", "deployment/checkout", "checkout=checkout:2"]);
    cluster.settle();
    let stuck = cluster.object("deployments", "shop", "checkout");
    assert_eq!(count(&stuck, "/status/availableReplicas"), 3, "{stuck:#}");
    let said = kubectl.run(&["rollout", "status", "deployment/checkout", "--timeout=1s"]);
    assert!(!said.ok && said.err.contains("timed out"), "{said:?}");
    cluster.tick(Duration::from_secs(601));
    let said = kubectl.run(&["rollout", "status", "deployment/checkout", "--timeout=20s"]);
    assert!(!said.ok && said.err.contains("exceeded its progress deadline"), "{said:?}");
    let events = kubectl.does(&["get", "events", "-o", "json", "--field-selector", "type=Warning"]);
    assert!(events.contains("Failed to pull image"), "{events}");

    kubectl.does(&["rollout", "undo", "deployment/checkout", "--to-revision=1"]);
    cluster.settle();
    let back = cluster.object("deployments", "shop", "checkout");
    assert_eq!(count(&back, "/status/updatedReplicas"), 4, "{back:#}");
    assert!(kubectl.does(&["rollout", "status", "deployment/checkout"]).contains("successfully"));
}

/// How long anything here may take before the test says what was missing.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn kubectl_follows_what_happens_by_watching() {
    let Some((cluster, kubectl)) = with_kubectl() else { return };
    kubectl.apply(&manifest("Deployment", "checkout", "checkout:1", 2));
    let watches = cluster.hear("GET", "watch=true");
    let status = ["rollout", "status", "deployment/checkout", "--timeout=60s"];
    let waits = kubectl.command(&status).stdout(Stdio::piped()).spawn().expect("it starts");
    watches.recv_timeout(PATIENCE).expect("it watches");
    cluster.settle();
    let ended = waits.wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{ended:?}");

    let watches = cluster.hear("GET", "watch=true");
    let get = ["get", "deployment", "checkout", "--watch", "-o", "jsonpath={.spec.replicas}{\"\\n\"}"];
    let waits = kubectl.command(&get).stdout(Stdio::piped()).spawn().expect("it starts");
    watches.recv_timeout(PATIENCE).expect("it watches");
    kubectl.does(&["scale", "deployment/checkout", "--replicas=3"]);
    cluster.cut_watches();
    let ended = waits.wait_with_output().expect("it ends with its watch");
    let said = String::from_utf8(ended.stdout).expect("text");
    assert!(said.starts_with("2\n") && said.contains("\n3\n"), "{said}");
}

#[test]
fn rights_are_refused_in_the_words_of_the_genuine_server() {
    let Some((cluster, kubectl)) = with_kubectl() else { return };
    kubectl.apply(&manifest("Deployment", "checkout", "checkout:1", 1));
    let read =
        Right { group: "apps", resources: "deployments", verbs: "get list watch", namespace: Some("shop") };
    let token = cluster.token("reader", &[read]);
    let reader = Tool::find("SNAPBACK_TEST_KUBECTL", &cluster, &token).expect("it is there");
    reader.does(&["get", "deployment", "checkout"]);
    let said = reader.run(&["scale", "deployment/checkout", "--replicas=3"]);
    let words = "deployments.apps \"checkout\" is forbidden: User \"reader\" cannot patch resource \
                 \"deployments/scale\" in API group \"apps\" in the namespace \"shop\"";
    assert!(!said.ok && said.err.contains(words), "{said:?}");
    assert_eq!(reader.does(&["auth", "can-i", "get", "deployments"]).trim(), "yes");
    assert_eq!(reader.run(&["auth", "can-i", "patch", "deployments"]).out.trim(), "no");
    assert!(reader.does(&["auth", "can-i", "--list"]).contains("deployments.apps"));
    let stranger = Tool::find("SNAPBACK_TEST_KUBECTL", &cluster, "nobodys").expect("it is there");
    let said = stranger.run(&["get", "deployment", "checkout"]);
    assert!(!said.ok && said.err.contains("must be logged in"), "{said:?}");
}

#[test]
fn kubectl_rolls_a_stateful_set_out_and_back() {
    let Some((cluster, kubectl)) = with_kubectl() else { return };
    kubectl.apply(&manifest("StatefulSet", "store", "store:1", 3));
    assert_eq!(cluster.objects("pods", "shop").len(), 1, "one after another");
    cluster.settle();
    assert_eq!(cluster.objects("pods", "shop").len(), 3);
    let status = ["rollout", "status", "statefulset/store", "--timeout=20s"];
    kubectl.does(&status);
    kubectl.does(&["set", "image", "statefulset/store", "store=store:2"]);
    kubectl.does(&["annotate", "statefulset/store", "kubernetes.io/change-cause=the second"]);
    tick(&cluster);
    let half = cluster.object("statefulsets", "shop", "store");
    assert!((1..3).contains(&count(&half, "/status/updatedReplicas")), "{half:#}");
    assert_ne!(half["status"]["currentRevision"], half["status"]["updateRevision"]);
    cluster.settle();
    kubectl.does(&status);
    let done = cluster.object("statefulsets", "shop", "store");
    assert_eq!(done["status"]["currentRevision"], done["status"]["updateRevision"], "{done:#}");
    let history = kubectl.does(&["rollout", "history", "statefulset/store"]);
    assert!(history.contains("1         <none>") && history.contains("2         the second"), "{history}");

    kubectl.does(&["rollout", "undo", "statefulset/store", "--to-revision=1"]);
    cluster.settle();
    let back = cluster.object("statefulsets", "shop", "store");
    assert_eq!(text(&back, "/spec/template/spec/containers/0/image"), "store:1");
    let mut numbers: Vec<i64> = cluster
        .revisions("statefulsets", "shop", "store")
        .iter()
        .map(|revision| count(revision, "/revision"))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3], "the first is the third now");

    // A broken pod blocks its own replacement, until somebody deletes it.
    cluster.break_image("store:3", Broken::CrashLoopBackOff);
    kubectl.does(&["set", "image", "statefulset/store", "store=store:3"]);
    cluster.settle();
    kubectl.does(&["rollout", "undo", "statefulset/store", "--to-revision=3"]);
    cluster.settle();
    let image = |cluster: &Cluster| {
        text(&cluster.object("pods", "shop", "store-2"), "/spec/containers/0/image").to_owned()
    };
    assert_eq!(image(&cluster), "store:3");
    assert!(!kubectl.does(&["logs", "store-2", "--previous", "--tail=1"]).is_empty());
    kubectl.does(&["delete", "pod", "store-2", "--wait=false"]);
    cluster.settle();
    assert_eq!(image(&cluster), "store:1");
    kubectl.does(&status);

    // Below the partition everything stays.
    let partition = r#"{"spec":{"updateStrategy":{"rollingUpdate":{"partition":2}}}}"#;
    kubectl.does(&["patch", "statefulset/store", "-p", partition]);
    kubectl.does(&["set", "image", "statefulset/store", "store=store:4"]);
    cluster.settle();
    let part = cluster.object("statefulsets", "shop", "store");
    assert_eq!(count(&part, "/status/updatedReplicas"), 1, "{part:#}");
    assert!(kubectl.does(&status).contains("partitioned roll out complete"));
}

#[test]
fn kubectl_rolls_a_daemon_set_out_and_back() {
    let Some((cluster, kubectl)) = with_kubectl() else { return };
    kubectl.apply(&manifest("DaemonSet", "agent", "agent:1", 0));
    cluster.settle();
    let status = ["rollout", "status", "daemonset/agent", "--timeout=20s"];
    kubectl.does(&status);
    kubectl.does(&["set", "image", "daemonset/agent", "agent=agent:2"]);
    let half = cluster.object("daemonsets", "shop", "agent");
    assert_eq!(count(&half, "/status/updatedNumberScheduled"), 1, "{half:#}");
    assert_eq!(count(&half, "/status/numberAvailable"), 2, "{half:#}");
    cluster.settle();
    kubectl.does(&status);
    let history = kubectl.does(&["rollout", "history", "daemonset/agent"]);
    assert!(history.contains("\n2 "), "{history}");
    kubectl.does(&["rollout", "undo", "daemonset/agent", "--to-revision=1"]);
    cluster.settle();
    kubectl.does(&status);
    let back = cluster.object("daemonsets", "shop", "agent");
    assert_eq!(text(&back, "/spec/template/spec/containers/0/image"), "agent:1");
    let revision = cluster.revisions("daemonsets", "shop", "agent");
    let patch = &revision[0]["data"]["spec"]["template"];
    assert_eq!(text(patch, "/$patch"), "replace");

    // Where pods are only replaced when they are deleted, nothing moves by itself.
    kubectl.does(&[
        "patch",
        "daemonset/agent",
        "-p",
        r#"{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null}}}"#,
    ]);
    kubectl.does(&["set", "image", "daemonset/agent", "agent=agent:3"]);
    cluster.settle();
    let still = cluster.object("daemonsets", "shop", "agent");
    assert_eq!(count(&still, "/status/updatedNumberScheduled"), 0, "{still:#}");
    assert_eq!(count(&still, "/status/observedGeneration"), count(&still, "/metadata/generation"));
}

#[test]
fn old_revisions_are_forgotten_and_paused_or_recreated_ones_keep_their_ways() {
    let cluster = Cluster::start();
    for kind in ["Deployment", "StatefulSet", "DaemonSet"] {
        let resource = format!("{}s", kind.to_lowercase());
        for nth in 1..=5 {
            let mut made = manifest(kind, "web", &format!("web:{nth}"), 2);
            made["spec"]["revisionHistoryLimit"] = json!(2);
            cluster.apply(made);
            cluster.settle();
        }
        let kept = cluster.revisions(&resource, "shop", "web");
        assert_eq!(kept.len(), 3, "the one that runs and two more: {kept:#?}");
        cluster.remove(&resource, "shop", "web");
        assert_eq!(cluster.objects("pods", "shop"), Vec::<Value>::new());
    }
    let mut made = manifest("Deployment", "web", "web:1", 3);
    made["spec"]["strategy"] = json!({ "type": "Recreate" });
    cluster.apply(made.clone());
    cluster.settle();
    cluster.break_image("web:2", Broken::NeverReady);
    made["spec"]["template"]["spec"]["containers"][0]["image"] = json!("web:2");
    cluster.apply(made);
    cluster.settle();
    let web = cluster.object("deployments", "shop", "web");
    assert_eq!(
        (count(&web, "/status/updatedReplicas"), count(&web, "/status/readyReplicas")),
        (3, 0),
        "{web:#}"
    );
    assert_eq!(cluster.objects("pods", "shop").len(), 3, "the old ones went first");
    assert!(cluster.objects("events", "shop").iter().any(|event| text(event, "/reason") == "Unhealthy"));
    cluster.mend_image("web:2");
    cluster.settle();
    assert_eq!(count(&cluster.object("deployments", "shop", "web"), "/status/availableReplicas"), 3);
}
