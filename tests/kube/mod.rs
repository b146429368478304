//! A pretend Kubernetes API server over HTTP, with as much of the controllers behind it as rollouts need: Deployments,
//! StatefulSets, DaemonSets, Argo's Rollouts, and their pods. It keeps a log of every request: tests judge by that and by what
//! is stored. `tests/kubernetes_cluster.rs` drives it with the real kubectl and Helm, so that it is no private dialect.
//!
//! This file owns the cluster as tests hold it: its door, its clock, its tokens and the faults on the wire. `routes` reads
//! requests, `write` and `patch` change objects, `store` keeps them, `watch` tells changes, `rights` refuses, `kinds` describes.
//! Of the controllers, `controllers` owns the order, `deployments`, `sets`, `rollouts` and `pods` the work.
//!
//! ```ignore
//! let cluster = Cluster::start();
//! cluster.apply(json!({ "apiVersion": "apps/v1", "kind": "Deployment", … }));
//! cluster.tick(Duration::from_secs(10));               // pods become ready, rollouts go on by one step
//! let shop = cluster.object("deployments", "shop", "checkout");
//! ```

#![allow(dead_code, unused_imports, reason = "each test uses the part of the cluster that it is about")]

mod controllers;
mod defaults;
mod deployments;
mod flagger;
pub(crate) mod json;
mod kinds;
mod logs;
mod patch;
mod pods;
mod protobuf;
pub(crate) mod rights;
mod rollouts;
mod routes;
mod select;
mod sets;
mod status;
mod store;
mod tls;
mod watch;
mod wire;
mod write;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};
use snapback::case::id::Timestamp;

use rights::Rights;
pub(crate) use rights::{ALL, Right};
pub(crate) use store::Broken;
use store::{Key, State};
pub(crate) use wire::{Call, Fault};

/// The token that may do everything.
pub(crate) const ADMIN: &str = "the-admins-token";

/// The cluster, as tests hold it.
pub(crate) struct Cluster {
    state: Mutex<State>,
    rights: Mutex<Rights>,
    faults: Mutex<VecDeque<Ordered>>,
    interruptions: Mutex<Vec<Interruption>>,
    calls: Mutex<Vec<Call>>,
    /// Who waits for a request to have come.
    waiting: Mutex<Vec<Waiting>>,
    /// Counts what wakes watches: that something changed, that they are to end, that they are to be told the version.
    changed: tokio::sync::watch::Sender<u64>,
    cut: tokio::sync::watch::Sender<u64>,
    marks: tokio::sync::watch::Sender<u64>,
    /// Counts how often answers that wait were let go.
    late: tokio::sync::watch::Sender<u64>,
    tls: tls::Tls,
    address: Mutex<Option<SocketAddr>>,
    /// Nobody listens any more.
    closed: AtomicBool,
}

/// A fault that waits for its request.
struct Ordered {
    method: String,
    part: String,
    fault: Fault,
}

/// What a test does in the moment before a request.
type First = Box<dyn FnOnce(&Cluster) + Send>;

/// What waits for its request, to come before it.
struct Interruption {
    method: String,
    part: String,
    first: First,
}

/// Somebody who waits for a request.
struct Waiting {
    method: String,
    part: String,
    told: std::sync::mpsc::Sender<()>,
}

impl Cluster {
    /// A cluster with the namespaces `default` and `kube-system`, listening until the test ends.
    pub(crate) fn start() -> Arc<Cluster> {
        Cluster::start_at("2026-11-02T10:00:00Z".parse().expect("a time"))
    }

    /// The same, with a clock that stands at this time.
    pub(crate) fn start_at(now: Timestamp) -> Arc<Cluster> {
        let cluster = Arc::new(Cluster {
            state: Mutex::new(State::new(now)),
            rights: Mutex::default(),
            faults: Mutex::default(),
            interruptions: Mutex::default(),
            calls: Mutex::default(),
            waiting: Mutex::default(),
            changed: tokio::sync::watch::Sender::new(0),
            cut: tokio::sync::watch::Sender::new(0),
            marks: tokio::sync::watch::Sender::new(0),
            late: tokio::sync::watch::Sender::new(0),
            tls: tls::Tls::new(),
            address: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        cluster.rights().grant(ADMIN, "admin", &[ALL]);
        cluster.namespace("default");
        cluster.namespace("kube-system");
        let address = wire::listen(cluster.clone());
        *cluster.address.lock().expect("an address") = Some(address);
        cluster
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rights(&self) -> MutexGuard<'_, Rights> {
        self.rights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the state and wakes the watches.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.changed.send_modify(|count| *count += 1);
        changed
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address.lock().expect("an address").expect("it listens"))
    }

    /// The same door, by TLS.
    pub(crate) fn https_url(&self) -> String {
        self.url().replacen("http", "https", 1)
    }

    /// What is to be trusted at that door.
    pub(crate) fn ca_pem(&self) -> &str {
        &self.tls.pem
    }

    /// A kubeconfig by which clients come with this token, and start in this namespace.
    pub(crate) fn kubeconfig_in(&self, token: &str, namespace: &str) -> String {
        let url = self.https_url();
        let trusted = base64::engine::general_purpose::STANDARD.encode(self.ca_pem());
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: pretend\nclusters:\n- name: pretend\n  cluster:\n    \
             server: {url}\n    certificate-authority-data: {trusted}\nusers:\n- name: someone\n  user:\n    \
             token: {token}\ncontexts:\n- name: pretend\n  context:\n    cluster: pretend\n    user: someone\n    \
             namespace: {namespace}\n"
        )
    }

    /// A kubeconfig by which clients come with this token.
    pub(crate) fn kubeconfig(&self, token: &str) -> String {
        self.kubeconfig_in(token, "default")
    }

    /// A new token of a user with these rights. The same name again gives the same token other rights.
    pub(crate) fn token(&self, name: &str, rights: &[Right]) -> String {
        let token = format!("token-of-{name}");
        self.rights().grant(&token, name, rights);
        token
    }

    /// From now on nobody knows this token.
    pub(crate) fn revoke(&self, token: &str) {
        self.rights().revoke(token);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.state().now
    }

    /// Moves the clock: pods that wait become ready or fail, and every rollout goes on by one step.
    pub(crate) fn tick(&self, by: Duration) {
        // A webhook may come back to this server: nothing is held while it is called.
        let askers = flagger::askers(&self.state());
        let go_back: Vec<Key> =
            askers.into_iter().filter(|(key, url)| flagger::asks(key, url)).map(|(key, _)| key).collect();
        self.change(|state| controllers::tick(state, by, &go_back));
    }

    /// Moves the clock by a second at a time until nothing changes any more.
    pub(crate) fn settle(&self) {
        for _ in 0..100 {
            let before = self.resource_version();
            self.tick(Duration::from_secs(1));
            if self.resource_version() == before {
                return;
            }
        }
        panic!("the cluster does not come to rest");
    }

    /// The version of the last change.
    pub(crate) fn resource_version(&self) -> u64 {
        self.state().version
    }

    /// Makes a namespace.
    pub(crate) fn namespace(&self, name: &str) {
        self.apply(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }));
    }

    /// Creates an object, or replaces it with its status, without a request. Its namespace is made too.
    pub(crate) fn apply(&self, object: Value) -> Value {
        self.change(|state| {
            let kind = kinds::of_object(&object).unwrap_or_else(|| panic!("of no known kind: {object}"));
            let said = json::text(&object, "/metadata/namespace").to_owned();
            let namespace = match said.as_str() {
                "" if kind.namespaced => "default",
                other => other,
            };
            let home = kinds::named("namespaces");
            let by = write::Writer { manager: "test".to_owned(), operation: "Update" };
            if kind.namespaced && state.get(&Key::of(home, "", namespace)).is_none() {
                let made = json!({ "metadata": { "name": namespace } });
                write::create(state, home, "", made, &by).unwrap_or_else(|no| panic!("{}", no.message));
            }
            let key = Key::of(kind, namespace, json::text(&object, "/metadata/name"));
            let status = object.get("status").cloned();
            let written = if state.get(&key).is_some() {
                write::update(state, kind, &key, "", object, &by)
            } else {
                write::create(state, kind, namespace, object, &by)
            };
            written.unwrap_or_else(|no| panic!("{}", no.message));
            if let Some(status) = status {
                state.edit(&key, |object| object["status"] = status);
            }
            controllers::settle(state);
            state.get(&key).map(|object| (**object).clone()).unwrap_or_default()
        })
    }

    /// Takes an object away, without a request.
    pub(crate) fn remove(&self, resource: &str, namespace: &str, name: &str) {
        self.change(|state| {
            state.remove(&Key::of(kinds::named(resource), namespace, name)).expect("it was there");
            controllers::settle(state);
        });
    }

    /// An object as it is stored; null: it is not there.
    pub(crate) fn object(&self, resource: &str, namespace: &str, name: &str) -> Value {
        let key = Key::of(kinds::named(resource), namespace, name);
        self.state().get(&key).map(|object| (**object).clone()).unwrap_or_default()
    }

    /// The objects of a kind in a namespace.
    pub(crate) fn objects(&self, resource: &str, namespace: &str) -> Vec<Value> {
        let all = self.state().all(&kinds::named(resource).qualified(), Some(namespace));
        all.into_iter().map(|(_, object)| (*object).clone()).collect()
    }

    /// The revisions of a workload: ReplicaSets or ControllerRevisions that it controls.
    pub(crate) fn revisions(&self, resource: &str, namespace: &str, name: &str) -> Vec<Value> {
        let owner = self.object(resource, namespace, name);
        let uid = json::text(&owner, "/metadata/uid");
        let kept = if matches!(kinds::named(resource).plural, "statefulsets" | "daemonsets") {
            "controllerrevisions.apps"
        } else {
            "replicasets.apps"
        };
        let owned = self.state().owned(kept, namespace, uid);
        owned.into_iter().map(|(_, object)| (*object).clone()).collect()
    }

    /// From now on containers of this image do not come up.
    pub(crate) fn break_image(&self, image: &str, how: Broken) {
        self.state().broken.insert(image.to_owned(), how);
    }

    /// Containers of this image come up again, at the next tick.
    pub(crate) fn mend_image(&self, image: &str) {
        self.state().broken.remove(image);
    }

    /// What containers of this image write.
    pub(crate) fn image_says(&self, image: &str, text: &str) {
        self.state().says.insert(image.to_owned(), text.to_owned());
    }

    /// Finishes the step at which a Rollout stands.
    pub(crate) fn promote(&self, namespace: &str, name: &str) {
        self.change(|state| {
            rollouts::promote(state, namespace, name);
            controllers::settle(state);
        });
    }

    /// Forgets the changes so far: whoever asks for an older version is told that it is gone.
    pub(crate) fn compact(&self) {
        // Watches that are open were promised what they were not told yet: the changes themselves stay.
        let mut state = self.state();
        state.compacted = state.version;
    }

    /// Ends every watch that is open.
    pub(crate) fn cut_watches(&self) {
        self.cut.send_modify(|count| *count += 1);
    }

    /// Tells every open watch that takes bookmarks the version up to which it was told everything.
    pub(crate) fn bookmark(&self) {
        self.marks.send_modify(|count| *count += 1);
    }

    /// The next request of this method whose path holds this part meets this fault.
    pub(crate) fn fault(&self, method: &str, part: &str, fault: Fault) {
        let ordered = Ordered { method: method.to_owned(), part: part.to_owned(), fault };
        self.faults.lock().expect("the faults").push_back(ordered);
    }

    /// Lets answers go that came late.
    pub(crate) fn lets_go(&self) {
        self.late.send_modify(|count| *count += 1);
    }

    fn next_fault(&self, method: &str, path: &str) -> Option<Fault> {
        let mut faults = self.faults.lock().expect("the faults");
        let nth = faults.iter().position(|one| one.method == method && path.contains(&one.part))?;
        faults.remove(nth).map(|one| one.fault)
    }

    /// Does this in the moment before the next request of this method whose path holds this part: somebody was quicker.
    pub(crate) fn before(&self, method: &str, part: &str, first: impl FnOnce(&Cluster) + Send + 'static) {
        let (method, part) = (method.to_owned(), part.to_owned());
        let interruption = Interruption { method, part, first: Box::new(first) };
        self.interruptions.lock().expect("the interruptions").push(interruption);
    }

    fn next_interruption(&self, method: &str, path: &str) -> Option<First> {
        let mut all = self.interruptions.lock().expect("the interruptions");
        let nth = all.iter().position(|one| one.method == method && path.contains(&one.part))?;
        Some(all.remove(nth).first)
    }

    /// Hears when a request of this method whose path holds this part was done, before its answer leaves.
    pub(crate) fn hear(&self, method: &str, part: &str) -> std::sync::mpsc::Receiver<()> {
        let (told, heard) = std::sync::mpsc::channel();
        let waiting = Waiting { method: method.to_owned(), part: part.to_owned(), told };
        self.waiting.lock().expect("who waits").push(waiting);
        heard
    }

    fn tell(&self, method: &str, path: &str) {
        self.waiting
            .lock()
            .expect("who waits")
            .retain(|one| one.method != method || !path.contains(&one.part) || one.told.send(()).is_err());
    }

    /// What Snapback did: pod templates that it wrote, by their images, and Rollouts that it aborted.
    pub(crate) fn effects(&self) -> Vec<String> {
        self.state().effects.clone()
    }

    /// Lets the clock go like the real one, a tick at a time, for as long as the process runs.
    #[expect(clippy::disallowed_methods, reason = "a pretend service has a clock of its own")]
    pub(crate) fn goes_on(self: &Arc<Cluster>, every: Duration) {
        let cluster = self.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::park_timeout(every);
                let left = Timestamp::now().duration_since(cluster.now());
                cluster.tick(if left.is_negative() { Duration::ZERO } else { left.unsigned_abs() });
            }
        });
    }

    /// Every request that reached it, in order.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("the calls").clone()
    }

    /// The requests that change something, or would.
    pub(crate) fn writes(&self) -> Vec<Call> {
        let mut calls = self.calls();
        calls.retain(|call| call.method != "GET" && !call.path.contains("selfsubjectaccessreviews"));
        calls
    }
}
