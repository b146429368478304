//! Helm drives the pretend cluster: what it installs, upgrades and rolls back runs, and its releases are kept as it keeps them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::Tool;
use super::kube::json::text;
use super::kube::{ADMIN, Broken, Cluster};

const DEPLOYMENT: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels: { app.kubernetes.io/managed-by: {{ .Release.Service }} }
spec:
  replicas: 2
  selector: { matchLabels: { app: {{ .Release.Name }} } }
  template:
    metadata: { labels: { app: {{ .Release.Name }} } }
    spec:
      containers:
      - name: web
        image: "{{ .Values.image }}"
        env:
        - { name: LEVEL, valueFrom: { configMapKeyRef: { name: {{ .Release.Name }}, key: level } } }
"#;

const SETTINGS: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n\
                        data:\n  level: {{ .Values.level | quote }}\n";

/// Writes a chart of a Deployment and a ConfigMap.
fn chart(folder: &Path) -> PathBuf {
    let chart = folder.join("shop");
    std::fs::create_dir_all(chart.join("templates")).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(chart.join(name), text).expect("written");
    write("Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.2.3\nappVersion: \"7\"\n");
    write("values.yaml", "image: shop:1\nlevel: info\n");
    write("templates/deployment.yaml", DEPLOYMENT);
    write("templates/settings.yaml", SETTINGS);
    chart
}

/// A chart's life: installed, changed twice, rolled back, listed.
fn a_life(variable: &str) -> Option<(Arc<Cluster>, Tool)> {
    let cluster = Cluster::start();
    cluster.namespace("shop");
    let helm = Tool::find(variable, &cluster, ADMIN)?;
    let chart = chart(helm.home.path());
    let chart = chart.to_str().expect("text");
    let image = |cluster: &Cluster| {
        let deployment = cluster.object("deployments", "shop", "web");
        text(&deployment, "/spec/template/spec/containers/0/image").to_owned()
    };
    helm.does(&["install", "web", chart]);
    cluster.settle();
    assert_eq!(image(&cluster), "shop:1");
    helm.does(&["upgrade", "web", chart, "--set", "image=shop:2", "--set", "level=debug"]);
    cluster.settle();
    assert_eq!(image(&cluster), "shop:2");
    assert_eq!(text(&cluster.object("configmaps", "shop", "web"), "/data/level"), "debug");
    helm.does(&["rollback", "web", "1"]);
    cluster.settle();
    assert_eq!(image(&cluster), "shop:1");
    assert_eq!(text(&cluster.object("configmaps", "shop", "web"), "/data/level"), "info");
    assert_eq!(cluster.revisions("deployments", "shop", "web").len(), 2, "the old ReplicaSet runs again");

    let history = helm.does(&["history", "web", "-o", "json"]);
    let history: Value = serde_json::from_str(&history).expect("JSON");
    let statuses: Vec<_> =
        history.as_array().expect("a list").iter().map(|one| text(one, "/status")).collect();
    assert_eq!(statuses, ["superseded", "superseded", "deployed"], "{history:#}");
    let kept = cluster.object("secrets", "shop", "sh.helm.release.v1.web.v3");
    assert_eq!(text(&kept, "/type"), "helm.sh/release.v1");
    assert_eq!(text(&kept, "/metadata/labels/status"), "deployed", "{kept:#}");
    Some((cluster, helm))
}

#[test]
fn helm_4_installs_and_rolls_back() {
    let Some((cluster, helm)) = a_life("SNAPBACK_TEST_HELM4") else { return };
    let said = helm.run(&["rollback", "web", "99"]);
    assert!(!said.ok && said.err.contains("release has no 99 version"), "{said:?}");
    let protobuf = cluster.calls().iter().any(|call| call.content_type.ends_with("protobuf"));
    assert!(protobuf, "it writes its releases in protobuf");
    // It waits, and says what it waited for in vain.
    cluster.break_image("shop:3", Broken::ImagePullBackOff);
    let chart = helm.home.path().join("shop");
    let upgrade = [
        "upgrade",
        "web",
        chart.to_str().expect("text"),
        "--set",
        "image=shop:3",
        "--wait",
        "--timeout",
        "1s",
    ];
    let said = helm.run(&upgrade);
    assert!(!said.ok, "{said:?}");
    let kept = cluster.object("secrets", "shop", "sh.helm.release.v1.web.v4");
    assert_eq!(text(&kept, "/metadata/labels/status"), "failed", "{said:?} {kept:#}");
    helm.does(&["uninstall", "web"]);
    assert_eq!(cluster.objects("pods", "shop"), Vec::<Value>::new(), "what belonged to it is gone");
}

#[test]
fn helm_3_installs_and_rolls_back() {
    let Some((cluster, helm)) = a_life("SNAPBACK_TEST_HELM3") else { return };
    let said = helm.run(&["rollback", "web", "99"]);
    assert!(!said.ok && said.err.contains("release: not found"), "{said:?}");
    helm.does(&["uninstall", "web"]);
    assert_eq!(cluster.objects("secrets", "shop"), Vec::<Value>::new());
}
