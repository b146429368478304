//! What the pretend cluster holds: objects, the changes that watches replay, the test's clock, and which images are broken.
//! Every change of an object goes through `put` and `remove`, which number it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use snapback::case::id::Timestamp;

use super::json::{set, take, text};
use super::kinds::Kind;

/// Where an object is kept. The kind is its qualified plural.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn of(kind: &Kind, namespace: &str, name: &str) -> Key {
        let namespace = if kind.namespaced { namespace } else { "" };
        Key { kind: kind.qualified(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// How a container of a broken image ends up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It cannot be fetched.
    ImagePullBackOff,
    /// It starts, ends with 1, and is started again.
    CrashLoopBackOff,
    /// It runs, and is never ready.
    NeverReady,
}

/// One change, as watches tell it.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) key: Key,
    /// What was there before; `None`: it is new.
    pub(crate) before: Option<Arc<Value>>,
    /// What is there now; `None`: it is gone.
    pub(crate) after: Option<Arc<Value>>,
    /// The object as it goes over the wire.
    pub(crate) shown: Arc<Value>,
}

/// Everything that the cluster holds.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) objects: BTreeMap<Key, Arc<Value>>,
    pub(crate) changes: Vec<Change>,
    pub(crate) version: u64,
    /// Changes up to this version are forgotten.
    pub(crate) compacted: u64,
    pub(crate) now: Timestamp,
    pub(crate) broken: BTreeMap<String, Broken>,
    /// What containers of an image write.
    pub(crate) says: BTreeMap<String, String>,
    /// What each field manager applied last, for what it takes away by leaving it out.
    pub(crate) applied: BTreeMap<(Key, String), Value>,
    pub(crate) nodes: Vec<String>,
    /// Pod templates that Snapback wrote, by their images.
    pub(crate) effects: Vec<String>,
    drawn: u64,
}

impl State {
    pub(crate) fn new(now: Timestamp) -> State {
        State {
            objects: BTreeMap::new(),
            changes: Vec::new(),
            version: 100,
            compacted: 0,
            now,
            broken: BTreeMap::new(),
            says: BTreeMap::new(),
            applied: BTreeMap::new(),
            nodes: ["node-a", "node-b", "node-c"].map(str::to_owned).to_vec(),
            effects: Vec::new(),
            drawn: 0,
        }
    }

    /// The time as objects say it.
    pub(crate) fn time(&self) -> String {
        self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// A number that was not drawn before.
    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }

    pub(crate) fn uid(&mut self) -> String {
        let drawn = self.draw();
        let mixed = drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{:08x}-{:04x}-4000-8000-{drawn:012x}", mixed >> 32, (mixed >> 16) & 0xffff)
    }

    /// Five letters for the end of a generated name.
    pub(crate) fn suffix(&mut self) -> String {
        let drawn = self.draw();
        super::json::hash(&format!("suffix {drawn}")).chars().take(5).collect()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// The objects of a kind, of one namespace or of all.
    pub(crate) fn all(&self, kind: &str, namespace: Option<&str>) -> Vec<(Key, Arc<Value>)> {
        let of = |(key, object): (&Key, &Arc<Value>)| (key.clone(), object.clone());
        self.objects
            .iter()
            .filter(|(key, _)| key.kind == kind)
            .filter(|(key, _)| namespace.is_none_or(|namespace| key.namespace == namespace))
            .map(of)
            .collect()
    }

    /// The objects of a kind that an owner controls.
    pub(crate) fn owned(&self, kind: &str, namespace: &str, uid: &str) -> Vec<(Key, Arc<Value>)> {
        let mut owned = self.all(kind, Some(namespace));
        owned.retain(|(_, object)| controller(object).is_some_and(|owner| owner["uid"] == uid));
        owned
    }

    /// Keeps an object, with a new version if anything changed.
    pub(crate) fn put(&mut self, key: &Key, mut object: Value) -> Arc<Value> {
        let before = self.objects.get(key).cloned();
        if let Some(before) = &before {
            set(&mut object, "/metadata/resourceVersion", text(before, "/metadata/resourceVersion"));
            if object == **before {
                return before.clone();
            }
        }
        self.version += 1;
        set(&mut object, "/metadata/resourceVersion", self.version.to_string());
        let object = Arc::new(object);
        self.objects.insert(key.clone(), object.clone());
        self.changes.push(Change {
            version: self.version,
            key: key.clone(),
            before,
            after: Some(object.clone()),
            shown: object.clone(),
        });
        object
    }

    /// Changes an object that is there, on a controller's behalf.
    pub(crate) fn edit(&mut self, key: &Key, change: impl FnOnce(&mut Value)) {
        if let Some(object) = self.objects.get(key) {
            let mut object = (**object).clone();
            change(&mut object);
            self.put(key, object);
        }
    }

    /// Takes an object away for good.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?;
        self.version += 1;
        self.applied.retain(|(of, _), _| of != key);
        let mut last = (*before).clone();
        set(&mut last, "/metadata/resourceVersion", self.version.to_string());
        let last = Arc::new(last);
        self.changes.push(Change {
            version: self.version,
            key: key.clone(),
            before: Some(before),
            after: None,
            shown: last.clone(),
        });
        Some(last)
    }

    /// Adds an object of a controller's, with what every new object gets.
    pub(crate) fn add(&mut self, kind: &Kind, namespace: &str, mut object: Value) -> Arc<Value> {
        let key = Key::of(kind, namespace, text(&object, "/metadata/name"));
        object["apiVersion"] = json!(kind.api_version());
        object["kind"] = json!(kind.kind);
        let uid = self.uid();
        self.stamp(kind, namespace, uid, &mut object);
        self.put(&key, object)
    }

    /// What every new object gets.
    pub(crate) fn stamp(&self, kind: &Kind, namespace: &str, uid: String, object: &mut Value) {
        if kind.namespaced {
            set(object, "/metadata/namespace", namespace);
        }
        set(object, "/metadata/uid", uid);
        set(object, "/metadata/creationTimestamp", self.time());
        if kind.generations() {
            set(object, "/metadata/generation", 1);
        } else {
            take(object, "/metadata/generation");
        }
    }

    /// A Warning that something says of an object, once for each reason.
    pub(crate) fn warn(&mut self, about: &Value, reason: &str, message: &str) {
        let namespace = text(about, "/metadata/namespace").to_owned();
        let name = format!("{}.{}", text(about, "/metadata/name"), reason.to_lowercase());
        let kind = super::kinds::named("events");
        if self.get(&Key::of(kind, &namespace, &name)).is_some() {
            return;
        }
        let time = self.time();
        let event = json!({
            "metadata": { "name": name },
            "involvedObject": {
                "apiVersion": about["apiVersion"], "kind": about["kind"], "namespace": namespace,
                "name": about["metadata"]["name"], "uid": about["metadata"]["uid"],
                "resourceVersion": about["metadata"]["resourceVersion"],
            },
            "reason": reason, "message": message, "type": "Warning", "count": 1,
            "firstTimestamp": time, "lastTimestamp": time,
            "source": { "component": "kubelet", "host": "node-a" },
            "reportingComponent": "kubelet", "reportingInstance": "node-a",
        });
        self.add(kind, &namespace, event);
    }
}

/// The owner reference that controls an object.
pub(crate) fn controller(object: &Value) -> Option<&Value> {
    super::json::list(object, "/metadata/ownerReferences").iter().find(|owner| owner["controller"] == true)
}

/// The reference by which an object controls others.
pub(crate) fn owner_of(object: &Value) -> Value {
    json!([{
        "apiVersion": object["apiVersion"], "kind": object["kind"], "name": object["metadata"]["name"],
        "uid": object["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
    }])
}
