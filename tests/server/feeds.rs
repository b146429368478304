//! Every deployment feed over the wire: each sample, and what is nearly one.

use std::sync::Arc;

use secrecy::SecretString;
use snapback::case::id::{Duration, SourceName};
use snapback::intake::{
    Certificates, Confirm, Credential, IntakeSettings, Limits, Scheme, Secret, Sns, SourceKind,
    SourceSettings, Versions,
};
use snapback::journal::inbox::Content;

use crate::pretend::{Answer, TOKEN, World, stores};
use crate::senders::{samples, signature, snapshot};
use crate::signing::{FILE, Signer, TOPIC};

const SECRET: &str = "It's a Secret to Everybody";
const JSON: &str = "application/json";

async fn world(signer: &Signer) -> World {
    let bearer = || Credential::Bearer(vec![Secret::Loaded(SecretString::from(TOKEN))]);
    let feed =
        |kind, credential| SourceSettings { kind, credential, lag: Duration::ZERO, tally: Arc::default() };
    let secrets =
        vec![Secret::Loaded(SecretString::from("an-old-one")), Secret::Loaded(SecretString::from(SECRET))];
    let certificates = Certificates::laid_down([(FILE, signer.pem.as_bytes())]);
    let proof = Arc::new(Sns::new([TOPIC.to_owned()].into(), Versions::Both, certificates));
    let confirm = Arc::new(Confirm::new(false, None));
    let feeds = [
        ("github", feed(SourceKind::GitHub, Credential::Signed { scheme: Scheme::GitHub, secrets })),
        ("argocd", feed(SourceKind::ArgoCd, bearer())),
        ("cdevents", feed(SourceKind::CdEvents, bearer())),
        ("triggers", feed(SourceKind::CodeDeployTriggers, Credential::Sns { proof, confirm })),
        ("events", feed(SourceKind::CodeDeployEvents, bearer())),
        ("deployer", feed(SourceKind::Deployments, bearer())),
    ];
    let feeds = feeds.into_iter().map(|(name, feed)| (SourceName::feed(name), feed)).collect();
    let settings = IntakeSettings { feeds, limits: Limits::default(), ..IntakeSettings::default() };
    let at = "2026-03-02T09:15:00Z".parse().expect("a moment");
    World::at(at, settings, stores, || Ok(())).await
}

fn request(feed: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "POST /v1/deployments/{feed} HTTP/1.1\r\nHost: snapback.example\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

async fn post(world: &World, feed: &str, kind: &str, body: &[u8]) -> Answer {
    let token = format!("Bearer {TOKEN}");
    world.send(request(feed, &[("Content-Type", kind), ("Authorization", &token)], body)).await
}

async fn github(world: &World, kind: &str, body: &[u8]) -> Answer {
    let shown = format!("sha256={}", signature(SECRET, &[body]));
    let headers = [("Content-Type", kind), ("X-GitHub-Event", "push"), ("X-Hub-Signature-256", &*shown)];
    world.send(request("github", &headers, body)).await
}

#[tokio::test]
async fn every_sample_of_a_feed_is_heard() {
    let signer = Signer::new();
    let mut world = world(&signer).await;
    let all = samples("github");
    assert_eq!(all.len(), 4, "a sample is missing");
    for (name, body) in all {
        let told = github(&world, JSON, &body).await;
        assert_eq!(told.status, 200, "{name}: {told:?}");
        snapshot("github", &name, &mut world);
    }
    for (feed, kind, count) in [("argocd", "", 3), ("cdevents", JSON, 6)] {
        let all = samples(feed);
        assert_eq!(all.len(), count, "{feed}: a sample is missing");
        for (name, body) in all {
            let told = post(&world, feed, kind, &body).await;
            assert_eq!(told.status, 200, "{feed} {name}: {told:?}");
            snapshot(feed, &name, &mut world);
        }
    }
    let all = samples("codedeploy");
    assert_eq!(all.len(), 4, "a sample is missing");
    for (name, body) in all {
        let told = if name.starts_with("eventbridge") {
            post(&world, "events", JSON, &body).await
        } else {
            let message = std::str::from_utf8(&body).expect("text");
            let body = signer.notification(message, "2026-03-02T09:14:21.000Z").to_string();
            world.send(request("triggers", &[("Content-Type", "text/plain")], body.as_bytes())).await
        };
        assert_eq!(told.status, 200, "{name}: {told:?}");
        snapshot("codedeploy", &name, &mut world);
    }
}

/// The three modes of CloudEvents say the same of one event.
#[tokio::test]
async fn an_event_is_the_same_in_every_mode() {
    let mut world = world(&Signer::new()).await;
    let folder = format!("{}/fixtures/cdevents", env!("CARGO_MANIFEST_DIR"));
    let binary =
        std::fs::read_to_string(format!("{folder}/service_deployed.binary.http.txt")).expect("a sample");
    let binary =
        binary.split_once("\r\n\r\n").or_else(|| binary.split_once("\n\n")).expect("a body").1.trim_end();
    let structured =
        std::fs::read_to_string(format!("{folder}/service_deployed.structured.json")).expect("it");
    let mut told = Vec::new();
    for (kind, body) in [
        (JSON, binary.to_owned()),
        ("application/cloudevents+json; charset=utf-8", structured.clone()),
        ("application/cloudevents-batch+json", format!("[{structured}]")),
    ] {
        let answer = post(&world, "cdevents", kind, body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{kind}: {answer:?}");
        let Content::Notices(mut notices) = world.received().remove(0).content else { panic!("{kind}") };
        assert_eq!(notices.len(), 1, "{kind}");
        told.push(notices.remove(0));
    }
    assert!(told.windows(2).all(|two| two[0] == two[1]), "{told:#?}");
    assert_eq!(
        told[0].release.id.as_str(),
        "sha256:0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427"
    );
}

#[tokio::test]
async fn githubs_form_says_what_its_json_says_and_a_stranger_says_nothing() {
    let mut world = world(&Signer::new()).await;
    let body = samples("github").into_iter().find(|(name, _)| name == "deployment_status").expect("it").1;
    let text = std::str::from_utf8(&body).expect("text");
    let form = form_urlencoded::Serializer::new(String::new()).append_pair("payload", text).finish();
    let mut told = Vec::new();
    for (kind, body) in [(JSON, text), ("application/x-www-form-urlencoded", &*form)] {
        assert_eq!(github(&world, kind, body.as_bytes()).await.status, 200, "{kind}");
        told.push(world.received().remove(0).content);
    }
    assert_eq!(told[0], told[1]);
    let right = format!("sha256={}", signature(SECRET, &[&body]));
    for (what, shown, status) in [
        ("none", None, 401),
        ("SHA-1", Some("sha1=0"), 401),
        ("without its letters", Some(&right[7..]), 401),
        ("another's", Some("sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"), 401),
    ] {
        let mut headers = vec![("Content-Type", JSON)];
        headers.extend(shown.map(|shown| ("X-Hub-Signature-256", shown)));
        let answer = world.send(request("github", &headers, &body)).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
    }
    assert!(world.received().is_empty());
    // A source's door does not lead to a feed, whatever its name is written like.
    for path in [
        "/v1/alerts/github",
        "/v1/alerts/@feeds%2Fgithub",
        "/v1/deployments/@feeds%2Fgithub",
        "/v1/deployments/none",
    ] {
        let headers = [("Content-Type", JSON), ("X-Hub-Signature-256", &*right)];
        let bytes = String::from_utf8(request("github", &headers, &body)).expect("text");
        let answer = world.send(bytes.replacen("/v1/deployments/github", path, 1)).await;
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
}

/// Facts that a pipeline adds are read wherever a feed lets it; one that cannot be read is not quietly lost.
#[tokio::test]
async fn a_pipelines_own_facts_are_read_or_refused() {
    let mut world = world(&Signer::new()).await;
    let status = |payload: &str, state: &str| {
        format!(
            r#"{{"deployment_status":{{"state":"{state}","created_at":"2026-03-02T09:10:00Z"}},
            "deployment":{{"id":7,"sha":"9f2c1ab04d5e6f708192a3b4c5d6e7f801234567","ref":"main","environment":"production",
            "payload":{payload},"creator":{{"login":"ana"}}}},"repository":{{"name":"shop","full_name":"acme/shop"}}}}"#
        )
    };
    let facts =
        r#"{"service":"checkout","version":"4.2","change":"flag","rollback":"contract","schema_version":7}"#;
    let as_text = serde_json::Value::from(facts).to_string();
    for payload in [facts, &as_text] {
        let answer = github(&world, JSON, status(payload, "success").as_bytes()).await;
        assert_eq!(answer.status, 200, "{payload}: {answer:?}");
        let Content::Notices(notices) = world.received().remove(0).content else { panic!("{payload}") };
        let notice = &notices[0];
        assert_eq!(notice.change.word(), "flag");
        assert_eq!(notice.labels["service"], "checkout");
        assert_eq!(notice.labels["deployment"], "acme/shop@production");
        assert_eq!(notice.release.version.as_deref(), Some("4.2"));
        assert_eq!(notice.release.marks.rollback.map(|mark| mark.word()), Some("contract"));
        assert_eq!(notice.release.author.as_deref(), Some("ana"));
    }
    for (what, payload, state, status_code, dead) in [
        ("nothing of ours", "[]", "success", 200, false),
        ("null", "null", "success", 200, false),
        ("a text", "\"hello\"", "success", 200, false),
        ("a mark that is none", r#"{"rollback":"maybe"}"#, "success", 422, true),
        ("a schema that is none", r#"{"schema_version":"seven"}"#, "success", 422, true),
        ("waiting", "null", "waiting", 200, false),
        ("a state of tomorrow", "null", "teleported", 200, false),
        ("inactive", "null", "inactive", 200, false),
    ] {
        let answer = github(&world, JSON, status(payload, state).as_bytes()).await;
        assert_eq!(answer.status, status_code, "{what}: {answer:?}");
        let content = world.received().remove(0).content;
        assert_eq!(content.dead().is_some(), dead, "{what}: {content:?}");
        let is_aside = matches!(content, Content::Aside(_));
        assert_eq!(
            is_aside,
            ["waiting", "a state of tomorrow", "inactive"].contains(&what),
            "{what}: {content:?}"
        );
    }
}

/// `customData` is its sender's own (cdevents/spec): a list, a text or a number there is no reason to lose the event.
#[tokio::test]
async fn custom_data_that_is_no_map_of_ours_loses_no_event() {
    let mut world = world(&Signer::new()).await;
    let event = |data: &str| {
        format!(
            r#"{{"context":{{"specversion":"0.5.0","id":"{}","source":"/ci","type":"dev.cdevents.service.deployed.0.3.0","timestamp":"2026-03-02T09:10:00Z"}},
            "subject":{{"id":"checkout","content":{{"environment":{{"id":"production"}},"artifactId":"pkg:oci/checkout@sha256%3Aab?tag=4.2"}}}},"customData":{data}}}"#,
            data.len()
        )
    };
    let text = serde_json::Value::from(r#"{"rollback":"contract"}"#).to_string();
    for (data, mark) in [
        (r#"[{"key":"value"}]"#, None),
        ("\"<build>7</build>\"", None),
        ("7", None),
        ("null", None),
        (r#"{"build":{"steps":[1,2]}}"#, None),
        (r#"{"rollback":"contract"}"#, Some("contract")),
        (&*text, Some("contract")),
    ] {
        let answer = post(&world, "cdevents", JSON, event(data).as_bytes()).await;
        assert_eq!(answer.status, 200, "{data}: {answer:?}");
        let Content::Notices(notices) = world.received().remove(0).content else { panic!("{data}") };
        assert_eq!(notices[0].release.version.as_deref(), Some("4.2"), "{data}");
        assert_eq!(notices[0].release.marks.rollback.map(|mark| mark.word()), mark, "{data}");
    }
    let answer = post(&world, "cdevents", JSON, event(r#"{"rollback":["contract"]}"#).as_bytes()).await;
    assert_eq!(answer.status, 422, "a mark that is lost could let somebody go back who must not: {answer:?}");
}

#[tokio::test]
async fn the_generic_list_is_taken_whole_or_not_at_all() {
    let mut world = world(&Signer::new()).await;
    let good = r#"{"service":"checkout@production","release":"42","version":"4.2","commit":"9f2c1ab","author":"ana","change":"flag",
        "started_at":"2026-03-02T09:05:00Z","finished_at":"2026-03-02T09:06:00Z","rollback":"safe","links":["https://example.com/42"]}"#;
    assert_eq!(post(&world, "deployer", JSON, good.as_bytes()).await.status, 200, "one alone");
    snapshot("deployments", "one", &mut world);
    for (what, bad, why) in [
        ("no service", r#"{"release":"1","started_at":"2026-03-02T09:05:00Z"}"#, "missing field `service`"),
        (
            "no environment",
            r#"{"service":"checkout","started_at":"2026-03-02T09:05:00Z"}"#,
            "write name@environment",
        ),
        ("no beginning", r#"{"service":"a@b","started_at":null}"#, "started_at is no moment"),
        (
            "a status of its own",
            r#"{"service":"a@b","started_at":1772442300,"status":"done"}"#,
            "status is \"done\"",
        ),
        (
            "an end before",
            r#"{"service":"a@b","started_at":1772442300,"finished_at":1772442200}"#,
            "before started_at",
        ),
        ("a list in a list", "[]", "invalid type"),
    ] {
        let body = format!("[{good},{bad}]");
        let answer = post(&world, "deployer", JSON, body.as_bytes()).await;
        assert_eq!(answer.status, 422, "{what}: {answer:?}");
        let content = world.received().remove(0).content;
        let said = content.dead().unwrap_or_default();
        assert!(said.starts_with("deployment 2: ") && said.contains(why), "{what}: {said}");
    }
    let many = format!("[{}{good}]", format!("{good},").repeat(1000));
    assert_eq!(post(&world, "deployer", JSON, many.as_bytes()).await.status, 422);
}
