//! The Kubernetes provider against a genuine API server with its controllers, which `scripts/genuine-kubernetes` builds and starts; by
//! itself this test is left out, and says so. There is no kubelet: what stands here for one calls pods ready.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use serde_json::{Value, json};
use snapback::case::command::Progress;
use snapback::case::deployment::{DeploymentOrigin, DeploymentStatus, Picture};
use snapback::case::id::{CaseId, Duration, Mark, ReleaseId, ServiceId, StepNo, Timestamp};
use snapback::case::permit::Permit;
use snapback::case::step::{Doer, Order};
use snapback::execute::kubernetes::{Kind, Kubernetes, Settings, Site};
use snapback::execute::{Provider, Sighting, Target};
use snapback::outbound::Trouble;

const KINDS: [Kind; 3] = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];
/// Whatever is waited for is there within this.
const PATIENCE: StdDuration = StdDuration::from_secs(60);

/// A workload on the genuine server.
struct Stage {
    kind: Kind,
    namespace: String,
    kubectl: std::ffi::OsString,
    admin: std::ffi::OsString,
    provider: Provider,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the script says where its server is, and time is the real one"
)]
fn begin(kind: Kind) -> Option<Stage> {
    let of = |name: &str| std::env::var_os(name);
    let (Some(kubectl), Some(admin), Some(ours)) =
        (of("SNAPBACK_TEST_KUBECTL"), of("SNAPBACK_GENUINE_ADMIN"), of("SNAPBACK_GENUINE_OURS"))
    else {
        eprintln!("left out: scripts/genuine-kubernetes builds and starts the server that this test takes");
        return None;
    };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let settings =
        Settings { kubeconfig: Some(ours.into()), context: None, quarantine: Duration::from_secs(75) };
    let provider = Provider::Kubernetes(Box::new(Kubernetes::new(settings, Arc::new(Timestamp::now))));
    let stage = Stage { kind, namespace: format!("try-{}", kind.word()), kubectl, admin, provider };
    stage.does(&["create", "namespace", &stage.namespace]);
    let role = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/kubernetes-role.yaml"));
    let role = role.expect("the role").replace("namespace: shop", &format!("namespace: {}", stage.namespace));
    // Here Snapback is a user and no pod.
    let subject = "  - kind: ServiceAccount\n    name: snapback\n    namespace: snapback\n";
    assert!(role.contains(subject), "{role}");
    let user = "  - kind: User\n    name: snapback\n    apiGroup: rbac.authorization.k8s.io\n";
    stage.applies(&role.replace(subject, user));
    stage.applies(&stage.workload("shop:1").to_string());
    Some(stage)
}

impl Stage {
    fn run(&self, arguments: &[&str], input: &str) -> (bool, String) {
        use std::io::Write as _;
        let mut child = Command::new(&self.kubectl)
            .arg("--kubeconfig")
            .arg(&self.admin)
            .args(arguments)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("kubectl runs");
        child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("written");
        let ended = child.wait_with_output().expect("it ends");
        let said =
            [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        (ended.status.success(), said)
    }

    fn does(&self, arguments: &[&str]) -> String {
        let (well, said) = self.run(arguments, "");
        assert!(well, "kubectl {}: {said}", arguments.join(" "));
        said
    }

    fn applies(&self, object: &str) {
        let (well, said) = self.run(&["apply", "--validate=false", "-f", "-"], object);
        assert!(well, "{said}");
    }

    fn workload(&self, image: &str) -> Value {
        let word = match self.kind {
            Kind::Deployment => "Deployment",
            Kind::StatefulSet => "StatefulSet",
            Kind::DaemonSet => "DaemonSet",
            Kind::Rollout => unreachable!("the genuine controllers know no Rollouts"),
        };
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": word, "metadata": { "name": "checkout", "namespace": self.namespace },
            "spec": {
                "selector": { "matchLabels": { "app": "checkout" } },
                "template": {
                    "metadata": { "labels": { "app": "checkout" } },
                    "spec": { "containers": [{ "name": "web", "image": image }] },
                },
            },
        });
        match self.kind {
            Kind::Deployment => object["spec"]["replicas"] = 3.into(),
            Kind::StatefulSet => {
                object["spec"]["replicas"] = 3.into();
                object["spec"]["serviceName"] = "checkout".into();
            }
            Kind::DaemonSet | Kind::Rollout => {}
        }
        object
    }

    /// Somebody sets the image.
    fn puts_out(&self, image: &str) {
        let name = format!("{}/checkout", self.kind.word());
        self.does(&["-n", &self.namespace, "set", "image", &name, &format!("web={image}")]);
    }

    /// Calls every pod ready whose image is not broken: what a kubelet would do.
    fn kubelet(&self) {
        let pods = self.does(&["-n", &self.namespace, "get", "pods", "-o", "json"]);
        let pods: Value = serde_json::from_str(&pods).expect("JSON");
        for pod in pods["items"].as_array().into_iter().flatten() {
            let image = pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
            let ready = pod["status"]["conditions"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
            if ready || image.contains("bad") || !pod["metadata"]["deletionTimestamp"].is_null() {
                continue;
            }
            let status = json!({ "status": {
                "phase": "Running", "startTime": pod["metadata"]["creationTimestamp"],
                "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": pod["metadata"]["creationTimestamp"] }],
                "containerStatuses": [{ "name": "web", "ready": true, "started": true, "restartCount": 0, "image": image, "imageID": image,
                    "state": { "running": { "startedAt": pod["metadata"]["creationTimestamp"] } } }],
            } });
            let name = pod["metadata"]["name"].as_str().expect("a name");
            let (_, said) = self.run(
                &[
                    "-n",
                    &self.namespace,
                    "patch",
                    "pod",
                    name,
                    "--subresource=status",
                    "--type=merge",
                    "-p",
                    &status.to_string(),
                ],
                "",
            );
            assert!(
                said.contains("patched") || said.contains("NotFound") || said.contains("Conflict"),
                "{said}"
            );
        }
        // Nobody ends what is to end: pods that leave are taken away at once.
        for pod in pods["items"].as_array().into_iter().flatten() {
            if !pod["metadata"]["deletionTimestamp"].is_null() {
                let name = pod["metadata"]["name"].as_str().expect("a name");
                let _ = self
                    .run(&["-n", &self.namespace, "delete", "pod", name, "--force", "--grace-period=0"], "");
            }
        }
    }

    fn target(&self) -> Target {
        let site = Site { namespace: self.namespace.clone(), kind: self.kind, name: "checkout".into() };
        Target { service: service(), site: snapback::execute::Site::Kubernetes(site) }
    }

    async fn picture(&self) -> Picture {
        self.provider.describe(&self.target(), Timestamp::UNIX_EPOCH).await.expect("a picture")
    }

    /// Waits until what is there is so, and plays the kubelet meanwhile.
    async fn wait(&self, what: &str, is_so: impl Fn(&Picture) -> bool) -> Picture {
        let waiting = async {
            loop {
                self.kubelet();
                let picture = self.picture().await;
                if is_so(&picture) {
                    return picture;
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        let Ok(picture) = waited else {
            let there = self.does(&["-n", &self.namespace, "get", "pods,controllerrevisions", "-o", "wide"]);
            panic!(
                "{:?}: waited for {what}: {:#?}
{there}",
                self.kind,
                self.picture().await.deployments
            )
        };
        picture
    }

    async fn runs(&self, image: &str) -> ReleaseId {
        let picture = self
            .wait(&format!("{image} to be out whole"), |picture| {
                let newest = picture.deployments.last();
                let version = |id: &ReleaseId| {
                    picture.releases.iter().find(|of| of.id == *id).and_then(|of| of.version.clone())
                };
                newest.is_some_and(|newest| {
                    newest.status == DeploymentStatus::Finished
                        && version(&newest.release).as_deref() == Some(image)
                })
            })
            .await;
        picture.current.expect("what runs")
    }

    async fn order(&self, from: &ReleaseId, to: &ReleaseId) -> Order {
        let proposal = self.provider.propose(&self.target(), from, to).await.expect("a way back");
        Order {
            case: CaseId::of(&service(), 1),
            step: StepNo(0),
            attempt: 1,
            mark: Mark::new("snapback/0123456789abcdef01234567"),
            doer: Doer::Provider(service()),
            act: proposal.acts.into_iter().next().expect("one act"),
            service: service(),
            expected: from.clone(),
            to: to.clone(),
            #[expect(clippy::disallowed_methods, reason = "time is the real one")]
            intended_at: Timestamp::now(),
        }
    }

    async fn begins(&self, order: &Order) -> Result<snapback::case::id::Handle, Trouble> {
        self.provider
            .begin(Permit::committed(order.clone(), order.intended_at + Duration::from_mins(5)))
            .await
    }

    async fn ends(&self, handle: &snapback::case::id::Handle) -> Progress {
        let following = async {
            loop {
                self.kubelet();
                let stands = self.provider.watch(handle).await.expect("an answer");
                if !matches!(stands, Progress::Running(_)) {
                    return stands;
                }
            }
        };
        tokio::time::timeout(PATIENCE, following)
            .await
            .unwrap_or_else(|_| panic!("{:?}: it never ends", self.kind))
    }
}

fn service() -> ServiceId {
    ServiceId::of("checkout", "production")
}

#[tokio::test]
async fn a_genuine_server_takes_what_the_pretend_one_takes() {
    for kind in KINDS {
        let Some(stage) = begin(kind) else { return };
        if kind == Kind::DaemonSet {
            for node in ["node-a", "node-b"] {
                stage.applies(
                    &json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": node } }).to_string(),
                );
            }
        }
        let found = stage.provider.check(&stage.target()).await;
        assert!(found.is_empty(), "{kind:?}: the rights of the file are enough: {found:?}");
        let first = stage.runs("shop:1").await;
        stage.puts_out("shop:2");
        let second = stage.runs("shop:2").await;

        // Refused where another writes first; nothing is written.
        let order = stage.order(&second, &first).await;
        stage.puts_out("shop:3");
        assert!(matches!(stage.begins(&order).await, Err(Trouble::Moved(_))), "{kind:?}");
        let third = stage.runs("shop:3").await;

        // Taken back, found again, and known as ours.
        let order = stage.order(&third, &second).await;
        let handle = stage.begins(&order).await.expect("taken");
        assert_eq!(stage.ends(&handle).await, Progress::Serving(second.clone()), "{kind:?}");
        assert!(matches!(stage.provider.find(&order).await, Ok(Sighting::Found(_))), "{kind:?}");
        let picture = stage.picture().await;
        assert_eq!(picture.our_marks().collect::<Vec<_>>(), [&order.mark], "{kind:?}: {picture:#?}");
        let newest = picture.deployments.last().expect("the way back");
        assert_eq!((&newest.release, newest.status), (&second, DeploymentStatus::Finished), "{kind:?}");
        let history =
            stage.does(&["-n", &stage.namespace, "rollout", "history", &format!("{}/checkout", kind.word())]);
        // A ControllerRevision that is taken up again keeps the cause of before.
        assert!(history.contains("Snapback rolled back") || kind != Kind::Deployment, "{kind:?}: {history}");

        // What others do after us is theirs.
        stage.puts_out("shop:4");
        stage.runs("shop:4").await;
        let newest = stage.picture().await.deployments.last().cloned().expect("release 4");
        assert_eq!(newest.origin, DeploymentOrigin::Ordinary, "{kind:?}: {newest:#?}");
    }
}
