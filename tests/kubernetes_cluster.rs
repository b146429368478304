//! The pretend Kubernetes API, driven by the real kubectl: what it says of history and rollouts is what the genuine one says.

mod kube;

use std::process::Command;
use std::sync::Arc;

use kube::{ADMIN, Cluster};
use serde_json::{Value, json};

/// A kubectl with a cluster. `None`: there is no kubectl, which `scripts/test` does not allow.
struct Stage {
    cluster: Arc<Cluster>,
    folder: tempfile::TempDir,
    kubectl: std::ffi::OsString,
}

#[expect(clippy::disallowed_methods, reason = "scripts/test says where its tools are")]
fn begin() -> Option<Stage> {
    let Some(kubectl) = std::env::var_os("SNAPBACK_TEST_KUBECTL") else {
        assert!(std::env::var_os("SNAPBACK_TEST_STRICT").is_none(), "SNAPBACK_TEST_KUBECTL is not set");
        eprintln!("left out: SNAPBACK_TEST_KUBECTL is not set, so there is no kubectl");
        return None;
    };
    let cluster = Cluster::real();
    cluster.listen();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("config"), cluster.kubeconfig(ADMIN)).expect("a kubeconfig");
    Some(Stage { cluster, folder, kubectl })
}

impl Stage {
    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let ended = Command::new(&self.kubectl)
            .args(arguments)
            .env("KUBECONFIG", self.folder.path().join("config"))
            .env("KUBECACHEDIR", self.folder.path().join("cache"))
            .env("HOME", self.folder.path())
            .output()
            .expect("kubectl runs");
        let said =
            [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        (ended.status.success(), said)
    }

    fn does(&self, arguments: &[&str]) -> String {
        let (well, said) = self.run(arguments);
        assert!(well, "kubectl {}: {said}", arguments.join(" "));
        said
    }
}

fn workload(image: &str) -> Value {
    json!({
        "metadata": { "name": "checkout", "namespace": "shop" },
        "spec": { "replicas": 3, "selector": { "matchLabels": { "app": "checkout" } }, "serviceName": "checkout",
            "template": { "metadata": { "labels": { "app": "checkout" } }, "spec": { "containers": [{ "name": "web", "image": image }] } } },
    })
}

#[test]
fn kubectl_sees_rolls_out_and_undoes() {
    let Some(stage) = begin() else { return };
    for resource in ["deployments", "statefulsets", "daemonsets"] {
        let name = format!("{}/checkout", resource.trim_end_matches('s'));
        stage.cluster.apply(resource, &workload("shop:1"));
        let done = stage.does(&["rollout", "status", &name, "--timeout=30s"]);
        assert!(
            done.contains("successfully rolled out")
                || done.contains("roll out complete")
                || done.contains("rolling update complete"),
            "{done}"
        );
        stage.does(&["set", "image", &name, "web=shop:2"]);
        stage.does(&["rollout", "status", &name, "--timeout=30s"]);
        let history = stage.does(&["rollout", "history", &name]);
        assert!(history.contains("\n1 ") && history.contains("\n2 "), "{history}");
        stage.does(&["rollout", "undo", &name, "--to-revision=1"]);
        stage.does(&["rollout", "status", &name, "--timeout=30s"]);
        let history = stage.does(&["rollout", "history", &name]);
        assert!(
            !history.contains("\n1 ") && history.contains("\n2 ") && history.contains("\n3 "),
            "its number is new: {history}"
        );
        let object = stage.cluster.object(resource, "shop", "checkout");
        assert_eq!(object["spec"]["template"]["spec"]["containers"][0]["image"], "shop:1", "{resource}");
        let (well, said) = stage.run(&["rollout", "undo", &name, "--to-revision=99"]);
        assert!(!well && said.contains("99"), "{said}");
    }
    let (well, said) = stage.run(&["rollout", "status", "deployment/nobody"]);
    assert!(!well && said.contains("NotFound"), "{said}");
}

#[test]
fn kubectl_sees_a_rollout_that_gets_stuck() {
    let Some(stage) = begin() else { return };
    let mut checkout = workload("shop:1");
    checkout["spec"]["progressDeadlineSeconds"] = 1.into();
    stage.cluster.apply("deployments", &checkout);
    stage.does(&["rollout", "status", "deployment/checkout", "--timeout=30s"]);
    stage.cluster.store().broken.insert("shop:bad".into(), "ImagePullBackOff");
    stage.does(&["set", "image", "deployment/checkout", "web=shop:bad"]);
    let (well, said) = stage.run(&["rollout", "status", "deployment/checkout", "--timeout=30s"]);
    assert!(!well && said.contains("exceeded its progress deadline"), "{said}");
    let pods = stage.cluster.store().all("pods");
    let old = pods.iter().filter(|pod| pod["spec"]["containers"][0]["image"] == "shop:1").count();
    assert_eq!(old, 3, "three pods and none to spare: the old ones stay");
    stage.does(&["rollout", "pause", "deployment/checkout"]);
    let (well, said) = stage.run(&["rollout", "undo", "deployment/checkout"]);
    assert!(!well && said.contains("paused"), "{said}");
}
