//! Requests by hand, for what kubectl never sends: failed tests, stale versions, watches that end, and faults on the wire.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::kube::json::{count, list, text};
use super::kube::{ADMIN, Cluster, Fault};
use super::manifest;

const SHOP: &str = "/apis/apps/v1/namespaces/shop/deployments";
const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// A client without manners.
struct Hand {
    cluster: Arc<Cluster>,
    client: reqwest::Client,
}

impl Hand {
    async fn new() -> Hand {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let cluster = Cluster::start();
        cluster.apply(manifest("Deployment", "checkout", "checkout:1", 2));
        cluster.settle();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build();
        Hand { cluster, client: client.expect("a client") }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        media: &str,
        body: Value,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let method = method.parse().expect("a method");
        let request = self.client.request(method, format!("{}{path}", self.cluster.url())).bearer_auth(ADMIN);
        let request = if body.is_null() {
            request
        } else {
            request.header("content-type", media).body(body.to_string())
        };
        request.send().await
    }

    async fn ask(&self, method: &str, path: &str, media: &str, body: Value) -> (u16, Value) {
        let answer = self.send(method, path, media, body).await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().await.expect("JSON"))
    }

    async fn get(&self, path: &str) -> Value {
        let (status, found) = self.ask("GET", path, JSON, Value::Null).await;
        assert_eq!(status, 200, "{found:#}");
        found
    }

    async fn patch(&self, media: &str, body: Value) -> (u16, Value) {
        self.ask("PATCH", &format!("{SHOP}/checkout"), media, body).await
    }

    fn checkout(&self) -> Value {
        self.cluster.object("deployments", "shop", "checkout")
    }
}

#[tokio::test]
async fn patches_compare_and_set() {
    let hand = Hand::new().await;
    let before = hand.checkout();
    let stale = json!([
        { "op": "test", "path": "/metadata/generation", "value": 99 },
        { "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "checkout:2" },
    ]);
    let (status, said) = hand.patch(JSON_PATCH, stale).await;
    assert_eq!((status, &said["reason"]), (422, &json!("Invalid")), "{said:#}");
    assert_eq!(text(&said, "/message"), "the server rejected our request due to an error in our request");
    let old = json!({ "metadata": { "resourceVersion": "7" }, "spec": { "replicas": 3 } });
    for media in [MERGE, STRATEGIC] {
        let (status, said) = hand.patch(media, old.clone()).await;
        assert_eq!((status, &said["reason"]), (409, &json!("Conflict")), "{said:#}");
    }
    let mut stale = before.clone();
    stale["metadata"]["resourceVersion"] = json!("7");
    let (status, said) = hand.ask("PUT", &format!("{SHOP}/checkout"), JSON, stale).await;
    assert_eq!(status, 409, "{said:#}");
    assert_eq!(hand.checkout(), before, "nothing of it was done");

    // Annotations raise no generation; a template does. What is said of the object is not written by this door.
    let noted = json!({ "metadata": { "annotations": { "a": "b" } }, "status": { "replicas": 77 } });
    let (_, made) = hand.patch(MERGE, noted).await;
    assert_eq!(made["metadata"]["generation"], before["metadata"]["generation"]);
    assert_eq!(count(&made, "/status/replicas"), 2);
    let now = json!([
        { "op": "test", "path": "/metadata/uid", "value": before["metadata"]["uid"] },
        { "op": "test", "path": "/metadata/generation", "value": before["metadata"]["generation"] },
        { "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "checkout:2" },
        { "op": "add", "path": "/metadata/annotations/snapback~1id", "value": "r1" },
    ]);
    let (status, made) = hand.patch(JSON_PATCH, now.clone()).await;
    assert_eq!(status, 200, "{made:#}");
    assert_eq!(count(&made, "/metadata/generation"), count(&before, "/metadata/generation") + 1);
    let (status, _) = hand.patch(JSON_PATCH, now).await;
    assert_eq!(status, 422, "the same again is late");
}

#[tokio::test]
async fn patches_merge_by_key_or_not_at_all() {
    let hand = Hand::new().await;
    let second = json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "checkout", "env": [{ "name": "B", "value": "2" }, { "name": "A", "$patch": "delete" }] },
        { "name": "sidecar", "image": "sidecar:1" },
    ] } } } });
    let (_, made) = hand.patch(STRATEGIC, second.clone()).await;
    let containers = list(&made, "/spec/template/spec/containers");
    assert_eq!(containers.len(), 2, "{made:#}");
    assert_eq!(text(&containers[0], "/image"), "checkout:1");
    assert_eq!(containers[0]["env"], json!([{ "name": "B", "value": "2" }]));
    let (status, said) = hand.patch(MERGE, second).await;
    assert_eq!(status, 422, "a merge patch replaces lists, and a container needs an image: {said:#}");
    let whole = json!({ "spec": { "template": {
        "$patch": "replace", "metadata": { "labels": { "app": "checkout" } },
        "spec": { "containers": [{ "name": "only", "image": "only:1" }] },
    } } });
    let (_, made) = hand.patch(STRATEGIC, whole).await;
    assert_eq!(list(&made, "/spec/template/spec/containers").len(), 1, "{made:#}");

    // What a manager leaves out the next time goes; what others wrote stays.
    let settings = "/api/v1/namespaces/shop/configmaps/settings";
    let apply = |data: Value| json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": data });
    let door = format!("{settings}?fieldManager=me&force=true");
    let (status, _) = hand.ask("PATCH", &door, APPLY, apply(json!({ "a": "1", "b": "2" }))).await;
    assert_eq!(status, 201);
    hand.ask("PATCH", settings, MERGE, json!({ "data": { "c": "3" } })).await;
    let (_, made) = hand.ask("PATCH", &door, APPLY, apply(json!({ "a": "4" }))).await;
    assert_eq!(made["data"], json!({ "a": "4", "c": "3" }));
    assert_eq!(made["metadata"]["managedFields"][1]["manager"], "me");

    // A dry run answers what would be.
    let before = hand.checkout();
    let (status, would) = hand
        .ask("PATCH", &format!("{SHOP}/checkout?dryRun=All"), MERGE, json!({ "spec": { "replicas": 9 } }))
        .await;
    assert_eq!((status, count(&would, "/spec/replicas")), (200, 9));
    assert_eq!(hand.checkout(), before);
}

#[tokio::test]
async fn watches_replay_select_and_end() {
    let hand = Hand::new().await;
    let listed = hand.get(&format!("{SHOP}?fieldSelector=metadata.name%3Dcheckout")).await;
    let since = text(&listed, "/metadata/resourceVersion").to_owned();
    hand.patch(MERGE, json!({ "metadata": { "labels": { "tier": "web" } } })).await;
    let path = format!(
        "{SHOP}?watch=1&resourceVersion={since}&allowWatchBookmarks=true&labelSelector=tier+in+(web,api)"
    );
    let mut watch = hand.send("GET", &path, JSON, Value::Null).await.expect("a watch");
    let first = next(&mut watch).await.expect("a line");
    assert_eq!(first["type"], "ADDED", "it fits only now: {first:#}");
    hand.patch(MERGE, json!({ "metadata": { "labels": { "tier": "api" } } })).await;
    assert_eq!(next(&mut watch).await.expect("a line")["type"], "MODIFIED");
    hand.patch(MERGE, json!({ "metadata": { "labels": { "tier": null } } })).await;
    assert_eq!(next(&mut watch).await.expect("a line")["type"], "DELETED");
    hand.cluster.bookmark();
    let mark = next(&mut watch).await.expect("a line");
    assert_eq!(mark["type"], "BOOKMARK");
    assert_eq!(text(&mark, "/object/metadata/resourceVersion"), hand.cluster.resource_version().to_string());
    hand.cluster.cut_watches();
    assert_eq!(next(&mut watch).await, None, "it is cut");

    hand.cluster.compact();
    let path = format!("{SHOP}?watch=1&resourceVersion={since}");
    let mut watch = hand.send("GET", &path, JSON, Value::Null).await.expect("a watch");
    let gone = next(&mut watch).await.expect("a line");
    assert_eq!((&gone["type"], &gone["object"]["code"]), (&json!("ERROR"), &json!(410)), "{gone:#}");
    assert_eq!(gone["object"]["reason"], "Expired");
    assert_eq!(next(&mut watch).await, None);

    let mut watch = hand
        .send("GET", &format!("{SHOP}?watch=1&timeoutSeconds=1"), JSON, Value::Null)
        .await
        .expect("a watch");
    assert_eq!(next(&mut watch).await.expect("a line")["type"], "ADDED", "what is there comes first");
    assert_eq!(next(&mut watch).await, None, "its time is over");
}

/// The next line of a watch; `None`: it ended.
async fn next(watch: &mut reqwest::Response) -> Option<Value> {
    let line = watch.chunk().await.expect("a line or an end")?;
    Some(serde_json::from_slice(&line).expect("one line of JSON"))
}

#[tokio::test]
async fn lists_come_in_pages() {
    let hand = Hand::new().await;
    for name in ["a", "b", "c"] {
        hand.cluster.apply(json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "shop" } }));
    }
    let path = "/api/v1/namespaces/shop/configmaps?limit=2";
    let first = hand.get(path).await;
    let on = text(&first, "/metadata/continue").to_owned();
    assert_eq!((list(&first, "/items").len(), on.is_empty()), (2, false), "{first:#}");
    let second = hand.get(&format!("{path}&continue={on}")).await;
    assert_eq!(list(&second, "/items")[0]["metadata"]["name"], "c");
    assert_eq!(text(&second, "/metadata/continue"), "");
    hand.cluster.compact();
    let (status, said) = hand.ask("GET", &format!("{path}&continue={on}"), JSON, Value::Null).await;
    assert_eq!((status, &said["reason"]), (410, &json!("Expired")), "{said:#}");
    let web = hand
        .get("/api/v1/pods?labelSelector=app%3Dcheckout,!missing&fieldSelector=status.phase=Running")
        .await;
    assert_eq!(list(&web, "/items").len(), 2);
}

#[tokio::test]
async fn a_rollout_is_aborted_by_its_status_and_undone_by_its_template() {
    let hand = Hand::new().await;
    let mut rollout = manifest("Rollout", "web", "web:1", 2);
    rollout["apiVersion"] = json!("argoproj.io/v1alpha1");
    rollout["spec"]["strategy"] = json!({ "canary": { "steps": [{ "setWeight": 50 }, { "pause": {} }] } });
    hand.cluster.apply(rollout);
    hand.cluster.settle();
    let door = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/web";
    let there = |field: &str| text(&hand.cluster.object("rollouts", "shop", "web"), field).to_owned();
    let second =
        json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "web:2" }]);
    assert_eq!(hand.ask("PATCH", door, JSON_PATCH, second.clone()).await.0, 200);
    hand.cluster.settle();
    assert_eq!(there("/status/phase"), "Paused");
    let abort = json!({ "status": { "abort": true } });
    hand.ask("PATCH", door, MERGE, abort.clone()).await;
    assert_eq!(there("/status/phase"), "Paused", "the main door does not write what is said of it");
    assert_eq!(hand.ask("PATCH", &format!("{door}/status"), STRATEGIC, abort.clone()).await.0, 415);
    assert_eq!(hand.ask("PATCH", &format!("{door}/status"), MERGE, abort).await.0, 200);
    hand.cluster.settle();
    assert!(there("/status/message").starts_with("RolloutAborted"));

    // The template of the old ReplicaSet, with what was filled in there, is the stable one.
    let sets = hand.cluster.revisions("rollouts", "shop", "web");
    let image = |set: &&Value| text(set, "/spec/template/spec/containers/0/image") == "web:1";
    let mut template = sets.iter().find(image).expect("the old one")["spec"]["template"].clone();
    template["metadata"]["labels"].as_object_mut().expect("labels").remove("rollouts-pod-template-hash");
    let undo = json!([{ "op": "replace", "path": "/spec/template", "value": template }]);
    assert_eq!(hand.ask("PATCH", door, JSON_PATCH, undo).await.0, 200);
    hand.cluster.settle();
    assert_eq!(there("/status/phase"), "Healthy");
    assert_eq!(hand.cluster.revisions("rollouts", "shop", "web").len(), 2);
}

#[tokio::test]
async fn somebody_may_be_quicker() {
    let hand = Hand::new().await;
    let seen = hand.checkout()["metadata"]["generation"].clone();
    hand.cluster.before("PATCH", "/deployments/checkout", |cluster| {
        cluster.apply(manifest("Deployment", "checkout", "checkout:9", 2));
    });
    let patch = json!([
        { "op": "test", "path": "/metadata/generation", "value": seen },
        { "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "checkout:0" },
    ]);
    assert_eq!(hand.patch(JSON_PATCH, patch.clone()).await.0, 422);
    assert_eq!(text(&hand.checkout(), "/spec/template/spec/containers/0/image"), "checkout:9");
    let message = "admission webhook \"policy\" denied the request: not on Fridays";
    hand.cluster.fault("PATCH", "checkout", Fault::Say(403, "Forbidden", message));
    let (status, said) = hand.patch(JSON_PATCH, patch).await;
    assert_eq!((status, text(&said, "/message")), (403, message));
}

#[tokio::test]
async fn faults_come_as_they_were_ordered() {
    let hand = Hand::new().await;
    let image = |image: &str| json!({ "spec": { "template": { "spec": { "containers": [{ "name": "checkout", "image": image }] } } } });
    let there = |hand: &Hand| text(&hand.checkout(), "/spec/template/spec/containers/0/image").to_owned();
    hand.cluster.fault("PATCH", "/deployments/checkout", Fault::LoseReply);
    let lost = hand.send("PATCH", &format!("{SHOP}/checkout"), STRATEGIC, image("checkout:2")).await;
    assert!(lost.is_err(), "{lost:?}");
    assert_eq!(there(&hand), "checkout:2", "it was done all the same");
    hand.cluster.fault("PATCH", "/deployments/checkout", Fault::Refuse(429));
    let answer = hand.send("PATCH", &format!("{SHOP}/checkout"), STRATEGIC, image("checkout:3")).await;
    let answer = answer.expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (429, &"1".parse().expect("a header"))
    );
    assert_eq!(there(&hand), "checkout:2");
    for status in [500, 503] {
        hand.cluster.fault("GET", "/deployments", Fault::Refuse(status));
        assert_eq!(hand.ask("GET", SHOP, JSON, Value::Null).await.0, status);
    }
    hand.cluster.fault("GET", "/deployments", Fault::Hang);
    let waits =
        tokio::time::timeout(Duration::from_millis(50), hand.send("GET", SHOP, JSON, Value::Null)).await;
    assert!(waits.is_err());
    let (status, _) = hand.patch(STRATEGIC, image("checkout:3")).await;
    assert_eq!(status, 200);
    let writes = hand.cluster.writes();
    let told: Vec<u16> = writes.iter().map(|call| call.status).collect();
    assert_eq!(told, [0, 429, 200]);
    assert_eq!((&*writes[0].content_type, &*writes[0].user), (STRATEGIC, "admin"));
    assert_eq!(writes[0].body, image("checkout:2"));
    hand.cluster.settle();
    assert_eq!(hand.cluster.revisions("deployments", "shop", "checkout").len(), 3);
}
