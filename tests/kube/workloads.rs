//! The controllers of the pretend cluster: what a Deployment, a StatefulSet and a DaemonSet make of their templates, and the pods that
//! stand for a kubelet's. Facts: `pkg/controller/{deployment,statefulset,daemon}` and `pkg/controller/history` of Kubernetes 1.33, as far
//! as a rollout and its history show them.

use serde_json::{Value, json};
use snapback::case::id::{Duration, Timestamp};

use super::store::{Store, stamp};

const REVISION: &str = "deployment.kubernetes.io/revision";
const BEFORE: &str = "deployment.kubernetes.io/revision-history";
/// A cluster of so many nodes: a DaemonSet has a pod on each.
const NODES: i64 = 2;

impl Store {
    /// Moves everything on to this moment, each pod that becomes ready in its turn.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        loop {
            let soonest = self.soonest(now);
            let at = soonest.unwrap_or(now);
            let settles = (0..1000).any(|_| !self.turn(at));
            assert!(settles, "the controllers never settle: {:#?}", self.recent());
            if soonest.is_none() {
                return;
            }
        }
    }

    /// The next moment at which a pod becomes ready, if that is over by now.
    fn soonest(&self, now: Timestamp) -> Option<Timestamp> {
        let waits =
            |pod: &Value| pod["status"]["conditions"][0]["status"] != "True" && self.breaks(pod).is_none();
        let pods = self.all("pods");
        pods.iter().filter(|pod| waits(pod)).map(|pod| self.ready_at(pod)).filter(|at| *at <= now).min()
    }

    fn ready_at(&self, pod: &Value) -> Timestamp {
        let created: Timestamp = pod["metadata"]["annotations"]["pretend/created"]
            .as_str()
            .expect("its creation")
            .parse()
            .expect("a moment");
        created + Duration::from_secs(self.takes_s)
    }

    fn breaks(&self, pod: &Value) -> Option<&'static str> {
        let image = pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
        self.broken.get(image).copied()
    }

    /// One turn of every controller; whether anything changed.
    fn turn(&mut self, now: Timestamp) -> bool {
        let before = self.fingerprint();
        self.kubelet(now);
        for deployment in self.all("deployments") {
            self.deployment(deployment, now);
        }
        for set in self.all("statefulsets") {
            self.stateful_set(set, now);
        }
        for set in self.all("daemonsets") {
            self.daemon_set(set, now);
        }
        self.fingerprint() != before
    }

    fn fingerprint(&self) -> Vec<Value> {
        ["pods", "deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions"]
            .into_iter()
            .flat_map(|resource| self.all(resource))
            .map(|object| object["metadata"]["resourceVersion"].clone())
            .collect()
    }

    fn kubelet(&mut self, now: Timestamp) {
        for mut pod in self.all("pods") {
            let name = pod["metadata"]["name"].as_str().expect("a name").to_owned();
            let broken = self.breaks(&pod);
            let ready = broken.is_none() && now >= self.ready_at(&pod);
            let was = pod["status"]["conditions"][0]["status"] == "True";
            if ready == was && pod["status"]["phase"].is_string() {
                continue;
            }
            let state = match broken {
                None if ready => json!({ "running": {} }),
                None => json!({ "waiting": { "reason": "ContainerCreating" } }),
                Some(reason) => {
                    json!({ "waiting": { "reason": reason, "message": "back-off 40s restarting failed container" } })
                }
            };
            let last = match broken {
                Some("CrashLoopBackOff") => json!({ "terminated": { "exitCode": 1, "reason": "Error" } }),
                _ => json!({}),
            };
            pod["status"] = json!({
                "phase": if ready { "Running" } else { "Pending" },
                "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" }, "lastTransitionTime": stamp(now) }],
                "containerStatuses": [{ "name": "web", "ready": ready, "state": state, "lastState": last }],
            });
            if let Some(reason) = broken {
                let event = json!({
                    "metadata": { "name": format!("{name}.1"), "namespace": pod["metadata"]["namespace"] },
                    "involvedObject": { "kind": "Pod", "name": name }, "type": "Warning", "reason": "Failed",
                    "message": format!("Error: {reason}"), "lastTimestamp": stamp(now),
                });
                self.put("events", event, "kubelet", now);
            }
            self.report("pods", pod);
        }
    }

    fn own(&self, resource: &str, owner: &Value) -> Vec<Value> {
        let mut own = self.all(resource);
        own.retain(|object| object["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]);
        own
    }

    fn deployment(&mut self, mut deployment: Value, now: Timestamp) {
        if deployment["spec"]["paused"] == true {
            deployment["status"]["observedGeneration"] = deployment["metadata"]["generation"].clone();
            return self.report("deployments", deployment);
        }
        let newest = self.replica_set(&mut deployment, now);
        let wanted = deployment["spec"]["replicas"].as_i64().unwrap_or(1);
        let surge = (wanted + 3) / 4;
        let spare = wanted / 4;
        let sets = self.own("replicasets", &deployment);
        let count = |store: &Store, set: &Value, ready: bool| {
            let pods = store.own("pods", set);
            let is_ready = |pod: &&Value| pod["status"]["conditions"][0]["status"] == "True";
            let count = if ready { pods.iter().filter(is_ready).count() } else { pods.len() };
            i64::try_from(count).expect("few")
        };
        let (mut all, mut available) = (0, 0);
        for set in &sets {
            all += count(self, set, false);
            available += count(self, set, true);
        }
        let (of_newest, ready_of_newest) = (count(self, &newest, false), count(self, &newest, true));
        let room = (wanted + surge - all).min(wanted - of_newest).max(0);
        for _ in 0..room {
            self.pod(&newest, "pod-template-hash", None, now);
        }
        for set in sets.iter().filter(|set| set["metadata"]["uid"] != newest["metadata"]["uid"]) {
            for pod in self.own("pods", set) {
                let ready = pod["status"]["conditions"][0]["status"] == "True";
                if !ready || available > wanted - spare {
                    available -= i64::from(ready);
                    self.remove_pod(&pod);
                }
            }
        }
        for pod in self.own("pods", &newest).into_iter().skip(usize::try_from(wanted).expect("few")) {
            self.remove_pod(&pod);
        }
        self.state_of_deployment(deployment, &newest, (wanted, ready_of_newest), now);
    }

    /// The set of the template: made, or taken up again with a new number.
    fn replica_set(&mut self, deployment: &mut Value, now: Timestamp) -> Value {
        let template = deployment["spec"]["template"].clone();
        let mut sets = self.own("replicasets", deployment);
        let number = |set: &Value| {
            set["metadata"]["annotations"][REVISION]
                .as_str()
                .and_then(|number| number.parse().ok())
                .unwrap_or(0)
        };
        sets.sort_by_key(|set| number(set));
        let most: i64 = sets.iter().map(number).max().unwrap_or(0);
        let same = |set: &&Value| {
            let mut own = set["spec"]["template"].clone();
            own["metadata"]["labels"].as_object_mut().expect("labels").remove("pod-template-hash");
            own == template
        };
        let copied = deployment["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
        let copied =
            copied.into_iter().filter(|(name, _)| name != REVISION && !name.contains("last-applied"));
        let mut set = match sets.iter().find(same) {
            Some(set) if number(set) == most => {
                let mut set = set.clone();
                for (name, value) in copied {
                    set["metadata"]["annotations"][name] = value;
                }
                set
            }
            Some(set) => {
                let mut set = set.clone();
                let annotations = &mut set["metadata"]["annotations"];
                let mut before: Vec<String> =
                    annotations[BEFORE].as_str().into_iter().map(str::to_owned).collect();
                before.push(annotations[REVISION].as_str().expect("a number").to_owned());
                annotations[BEFORE] = before.join(",").into();
                annotations[REVISION] = (most + 1).to_string().into();
                for (name, value) in copied {
                    set["metadata"]["annotations"][name] = value;
                }
                set
            }
            None => {
                let hash = hash(&template);
                let name = format!("{}-{hash}", deployment["metadata"]["name"].as_str().expect("a name"));
                let mut own = template.clone();
                own["metadata"]["labels"]["pod-template-hash"] = hash.clone().into();
                let mut labels = template["metadata"]["labels"].clone();
                labels["pod-template-hash"] = hash.into();
                let mut annotations = json!({ REVISION: (most + 1).to_string() });
                for (name, value) in copied {
                    annotations[name] = value;
                }
                let set = json!({
                    "metadata": { "name": name, "namespace": deployment["metadata"]["namespace"], "labels": labels,
                        "annotations": annotations, "ownerReferences": [owner(deployment)] },
                    "spec": { "template": own, "replicas": 0, "selector": deployment["spec"]["selector"] },
                });
                self.put("replicasets", set, "kube-controller-manager", now)
            }
        };
        let pods = i64::try_from(self.own("pods", &set).len()).expect("few");
        set["status"] = json!({ "replicas": pods });
        set["spec"]["replicas"] = pods.into();
        deployment["metadata"]["annotations"][REVISION] = set["metadata"]["annotations"][REVISION].clone();
        self.report("replicasets", set.clone());
        for mut old in sets.iter().filter(|old| old["metadata"]["uid"] != set["metadata"]["uid"]).cloned() {
            let pods = i64::try_from(self.own("pods", &old).len()).expect("few");
            old["status"] = json!({ "replicas": pods });
            old["spec"]["replicas"] = pods.into();
            self.report("replicasets", old);
        }
        let limit =
            usize::try_from(deployment["spec"]["revisionHistoryLimit"].as_i64().unwrap_or(10)).expect("few");
        let old: Vec<&Value> = sets
            .iter()
            .filter(|old| {
                old["metadata"]["uid"] != set["metadata"]["uid"] && self.own("pods", old).is_empty()
            })
            .collect();
        for gone in old.iter().take(old.len().saturating_sub(limit)) {
            let name = gone["metadata"]["name"].as_str().expect("a name").to_owned();
            self.remove("replicasets", deployment["metadata"]["namespace"].as_str().expect("one"), &name);
        }
        set
    }

    fn state_of_deployment(
        &mut self,
        mut deployment: Value,
        newest: &Value,
        (wanted, _): (i64, i64),
        now: Timestamp,
    ) {
        let is_ready = |pod: &&Value| pod["status"]["conditions"][0]["status"] == "True";
        let few = |count: usize| i64::try_from(count).expect("few");
        let own = self.own("pods", newest);
        let (updated, ready_updated) = (few(own.len()), few(own.iter().filter(is_ready).count()));
        let sets = self.own("replicasets", &deployment);
        let pods: Vec<Value> = sets.iter().flat_map(|set| self.own("pods", set)).collect();
        let (all, ready) = (few(pods.len()), few(pods.iter().filter(is_ready).count()));
        let uid = deployment["metadata"]["uid"].as_str().expect("a uid").to_owned();
        let how = format!("{} {updated} {ready_updated} {all}", newest["metadata"]["uid"]);
        let moved = self.moved.entry(uid).or_insert((now, String::new()));
        if moved.1 != how {
            *moved = (now, how);
        }
        let moved_at = moved.0;
        let deadline = deployment["spec"]["progressDeadlineSeconds"].as_i64().unwrap_or(600);
        let name = newest["metadata"]["name"].as_str().expect("a name");
        let was = deployment["status"]["conditions"][0].clone();
        let of_newest =
            |condition: &Value| condition["message"].as_str().is_some_and(|says| says.contains(name));
        let whole = updated == wanted && all == updated && ready >= updated;
        let (reason, says) = if whole {
            ("NewReplicaSetAvailable", format!("ReplicaSet \"{name}\" has successfully progressed."))
        } else if was["reason"] == "NewReplicaSetAvailable" && all == updated && of_newest(&was) {
            // It went out once: what becomes of its pods later is no progress.
            ("NewReplicaSetAvailable", format!("ReplicaSet \"{name}\" has successfully progressed."))
        } else if now >= moved_at + Duration::from_secs(deadline) {
            ("ProgressDeadlineExceeded", format!("ReplicaSet \"{name}\" has timed out progressing."))
        } else {
            ("ReplicaSetUpdated", format!("ReplicaSet \"{name}\" is progressing."))
        };
        let same = was["reason"] == reason && was["message"] == *says;
        let updated_at = if same { was["lastUpdateTime"].clone() } else { stamp(now) };
        let progresses = if reason == "ProgressDeadlineExceeded" { "False" } else { "True" };
        deployment["status"] = json!({
            "observedGeneration": deployment["metadata"]["generation"], "replicas": all, "updatedReplicas": updated,
            "readyReplicas": ready, "availableReplicas": ready, "unavailableReplicas": (wanted - ready).max(0),
            "conditions": [
                { "type": "Progressing", "status": progresses, "reason": reason, "message": says, "lastUpdateTime": updated_at },
                { "type": "Available", "status": if ready >= wanted - wanted / 4 { "True" } else { "False" } },
            ],
        });
        self.report("deployments", deployment);
    }

    /// The revision of a template: made, or taken up again with a new number.
    fn revision(&mut self, of: &Value, now: Timestamp) -> Value {
        let mut template = of["spec"]["template"].clone();
        template["$patch"] = "replace".into();
        let data = json!({ "spec": { "template": template } });
        let known = self.own("controllerrevisions", of);
        let most = known.iter().filter_map(|one| one["revision"].as_i64()).max().unwrap_or(0);
        if let Some(mut same) = known.into_iter().find(|one| one["data"] == data) {
            if same["revision"].as_i64() != Some(most) {
                same["revision"] = (most + 1).into();
                self.report("controllerrevisions", same.clone());
            }
            return same;
        }
        // Two kinds of one name do not share revisions.
        let hash = hash(&json!([of["kind"], of["spec"]["template"]]));
        let name = format!("{}-{hash}", of["metadata"]["name"].as_str().expect("a name"));
        let mut labels = of["spec"]["template"]["metadata"]["labels"].clone();
        labels["controller-revision-hash"] = hash.into();
        let made = json!({
            "metadata": { "name": name, "namespace": of["metadata"]["namespace"], "labels": labels,
                "annotations": of["metadata"]["annotations"], "ownerReferences": [owner(of)] },
            "revision": most + 1, "data": data,
        });
        self.put("controllerrevisions", made, "kube-controller-manager", now)
    }

    /// One pod at a time, the highest number first; none while another is not ready.
    fn stateful_set(&mut self, mut set: Value, now: Timestamp) {
        let revision = self.revision(&set, now);
        let name = revision["metadata"]["name"].as_str().expect("a name").to_owned();
        let wanted = set["spec"]["replicas"].as_i64().unwrap_or(1);
        let partition = set["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_i64().unwrap_or(0);
        let by_hand = set["spec"]["updateStrategy"]["type"] == "OnDelete";
        let parallel = set["spec"]["podManagementPolicy"] == "Parallel";
        let own = set["metadata"]["name"].as_str().expect("a name").to_owned();
        let namespace = set["metadata"]["namespace"].as_str().expect("one").to_owned();
        let is_ready = |pod: &Value| pod["status"]["conditions"][0]["status"] == "True";
        for number in 0..wanted {
            let pod = format!("{own}-{number}");
            if self.get("pods", &namespace, &pod).is_none() {
                let current = set["status"]["currentRevision"].as_str().unwrap_or(&name).to_owned();
                let of = if number < partition { current } else { name.clone() };
                self.pod(&set, "controller-revision-hash", Some((pod, of)), now);
            }
        }
        let pods = self.own("pods", &set);
        let all_ready = pods.iter().all(is_ready);
        if !by_hand && (all_ready || parallel) {
            let is_old = |pod: &&Value| pod["metadata"]["labels"]["controller-revision-hash"] != *name;
            let number = |pod: &Value| {
                pod["metadata"]["name"]
                    .as_str()
                    .and_then(|name| name.rsplit('-').next())
                    .and_then(|number| number.parse::<i64>().ok())
                    .expect("a number")
            };
            let next = pods
                .iter()
                .filter(is_old)
                .filter(|pod| number(pod) >= partition)
                .max_by_key(|pod| number(pod))
                .cloned();
            if let Some(next) = next {
                self.remove_pod(&next);
            }
        }
        let pods = self.own("pods", &set);
        let few = |count: usize| i64::try_from(count).expect("few");
        let updated = few(pods
            .iter()
            .filter(|pod| pod["metadata"]["labels"]["controller-revision-hash"] == *name)
            .count());
        let ready = few(pods.iter().filter(|pod| is_ready(pod)).count());
        let current = if updated == wanted && ready == wanted {
            name.clone()
        } else {
            set["status"]["currentRevision"].as_str().unwrap_or(&name).to_owned()
        };
        set["status"] = json!({
            "observedGeneration": set["metadata"]["generation"], "replicas": few(pods.len()), "readyReplicas": ready,
            "updatedReplicas": updated, "availableReplicas": ready, "currentRevision": current, "updateRevision": name,
        });
        self.report("statefulsets", set);
    }

    /// One node at a time.
    fn daemon_set(&mut self, mut set: Value, now: Timestamp) {
        let revision = self.revision(&set, now);
        let hash =
            revision["metadata"]["labels"]["controller-revision-hash"].as_str().expect("a hash").to_owned();
        let by_hand = set["spec"]["updateStrategy"]["type"] == "OnDelete";
        let own = set["metadata"]["name"].as_str().expect("a name").to_owned();
        let namespace = set["metadata"]["namespace"].as_str().expect("one").to_owned();
        for node in 0..NODES {
            let pod = format!("{own}-node{node}");
            if self.get("pods", &namespace, &pod).is_none() {
                self.pod(&set, "controller-revision-hash", Some((pod, hash.clone())), now);
            }
        }
        let is_ready = |pod: &Value| pod["status"]["conditions"][0]["status"] == "True";
        let is_old = |pod: &Value| pod["metadata"]["labels"]["controller-revision-hash"] != *hash;
        let pods = self.own("pods", &set);
        let unready_new = pods.iter().any(|pod| !is_old(pod) && !is_ready(pod));
        if !by_hand
            && !unready_new
            && let Some(next) = pods.iter().find(|pod| is_old(pod))
        {
            self.remove_pod(&next.clone());
        }
        let pods = self.own("pods", &set);
        let few = |count: usize| i64::try_from(count).expect("few");
        let ready = few(pods.iter().filter(|pod| is_ready(pod)).count());
        set["status"] = json!({
            "observedGeneration": set["metadata"]["generation"], "desiredNumberScheduled": NODES,
            "currentNumberScheduled": few(pods.len()), "numberReady": ready, "numberAvailable": ready,
            "updatedNumberScheduled": few(pods.iter().filter(|pod| !is_old(pod)).count()), "numberMisscheduled": 0,
        });
        self.report("daemonsets", set);
    }

    /// A pod of a set, by its template; of a StatefulSet or DaemonSet with its name and revision.
    fn pod(&mut self, of: &Value, label: &str, named: Option<(String, String)>, now: Timestamp) {
        let template = match &named {
            // A revision of before holds its template itself.
            Some((_, revision)) => self
                .own("controllerrevisions", of)
                .into_iter()
                .find(|one| {
                    one["metadata"]["name"] == **revision
                        || one["metadata"]["labels"]["controller-revision-hash"] == **revision
                })
                .map_or_else(
                    || of["spec"]["template"].clone(),
                    |one| one["data"]["spec"]["template"].clone(),
                ),
            None => of["spec"]["template"].clone(),
        };
        let (name, revision) = named.unwrap_or_else(|| {
            self.serial_name(
                of["metadata"]["name"].as_str().expect("a name"),
                of["metadata"]["labels"]["pod-template-hash"].as_str().expect("a hash"),
            )
        });
        let mut labels = template["metadata"]["labels"].clone();
        labels[label] = revision.into();
        let pod = json!({
            "metadata": { "name": name, "namespace": of["metadata"]["namespace"], "labels": labels, "ownerReferences": [owner(of)],
                "annotations": { "pretend/created": now.to_string() } },
            "spec": template["spec"], "status": {},
        });
        self.put("pods", pod, "kube-controller-manager", now);
    }

    fn serial_name(&self, of: &str, hash: &str) -> (String, String) {
        let taken = |name: &str| self.all("pods").iter().any(|pod| pod["metadata"]["name"] == name);
        let name = (0..).map(|n| format!("{of}-{n:05}")).find(|name| !taken(name)).expect("a name");
        (name, hash.to_owned())
    }

    fn remove_pod(&mut self, pod: &Value) {
        let (namespace, name) = (pod["metadata"]["namespace"].as_str(), pod["metadata"]["name"].as_str());
        let (namespace, name) = (namespace.expect("one").to_owned(), name.expect("one").to_owned());
        self.remove("pods", &namespace, &name);
    }
}

fn owner(of: &Value) -> Value {
    json!({ "apiVersion": of["apiVersion"], "kind": of["kind"], "name": of["metadata"]["name"], "uid": of["metadata"]["uid"], "controller": true })
}

/// A short name for a template: FNV-1a over its text.
fn hash(template: &Value) -> String {
    let fnv = template.to_string().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{:010x}", fnv & 0xff_ffff_ffff)
}
