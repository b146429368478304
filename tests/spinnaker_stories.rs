//! Whole stories with the real program and the pretend Gate, in real time: from an alert to a recovered service, and what happens when
//! somebody comes first, an answer is lost, or the program is killed in the middle.

mod binary;
mod certificates;
mod pretend;
mod spinnaker_bed;
mod spinnaker_gate;

use std::sync::Arc;
use std::time::Duration;

use binary::{Program, TOKEN, head, now};
use hyper::Method;
use pretend::Fault;
use serde_json::json;
use snapback::case::id::{Duration as Length, Timestamp};
use spinnaker_bed::labels;
use spinnaker_gate::{Becomes, DEPLOY, Gate, ROLLBACK, TOKEN as GATE_TOKEN};

const RULES: &str = r#"[[rule]]
name = "take it back"
action = "rollback"
countdown = "2s"
"#;

/// Orca looks so often.
const PACE: Duration = Duration::from_millis(100);

const PIPELINE: &str = r#"pipeline = "rollback-production""#;
const MANIFEST: &str = r#"manifest = "deployment checkout", account = "prod-eu", location = "shop""#;

/// The program, Spinnaker, and the alert.
struct Story {
    gate: Arc<Gate>,
    program: Program,
    fired_at: Option<Timestamp>,
}

impl Story {
    /// v1 ran for two hours, v2 runs since two minutes.
    fn begin() -> Story {
        Story::begin_with(120, PIPELINE, |_| {})
    }

    /// v2 runs since so many seconds, and goes back by this way.
    fn begin_with(seconds: i64, way: &str, change: impl FnOnce(&Gate)) -> Story {
        let gate = Gate::start(None);
        gate.has_deployed("v1", now() - Length::from_secs(7200 + seconds));
        gate.has_deployed("v2", now() - Length::from_secs(seconds));
        gate.state().takes = Length::from_secs(1);
        change(&gate);
        gate.goes_on(PACE);
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("gate-token"), GATE_TOKEN).expect("a token");
        binary::furnish(folder.path(), &config(&gate.url(), way), RULES);
        let mut program = Program::over(folder);
        program.reads_with = Some(TOKEN.to_owned());
        let service = "/v1/services/checkout@production";
        program.wait("the application to be read", service, |service| service["current"].is_string());
        Story { gate, program, fired_at: None }
    }

    fn fires(&mut self) {
        let at = now();
        self.fired_at = Some(at);
        assert_eq!(self.program.post(&labels(), at, None), 200);
    }

    /// The alert clears as soon as this version runs.
    fn clears_when_serving(&self, version: &str) {
        let serves = || self.gate.serves() == version;
        assert!(binary::wait_until(serves), "{version} does not run: {}", self.program.said());
        if let Some(at) = self.fired_at {
            assert_eq!(self.program.post(&labels(), at, Some(now())), 200);
        }
    }
}

fn config(url: &str, way: &str) -> String {
    format!(
        r#"{}
[guards]
clock_skew = "1s"
episode_settle = "2s"

[verify.default]
settle = "1s"
within = "30s"
clear_for = "1s"

[tokens.ada]
token = {{ file = "token" }}
role = "admin"

[providers.gate]
kind = "spinnaker"
url = "{url}"
token = {{ file = "gate-token" }}
quarantine = "2s"

[[service]]
name = "checkout"
environment = "production"
provider = "gate"
target = {{ application = "checkout", deploy_pipeline = "{DEPLOY}", {way} }}
inherit_good = true
soak = "2s"
migrations = "none"
"#,
        head("live")
    )
}

const RUN: [&str; 1] = ["run rollback-production v1"];

#[test]
fn an_alert_takes_a_finished_release_back() {
    for (way, effect) in [(PIPELINE, "run rollback-production v1"), (MANIFEST, "undo to 1")] {
        let mut story = Story::begin_with(120, way, |_| {});
        story.fires();
        story.clears_when_serving("v1");
        let case = story.program.wait_for_outcome("recovered");
        assert_eq!(case["from"]["ledger"], "bad", "{case:#}");
        assert_eq!(story.gate.effects(), [effect]);
        assert!(
            case["evidence"].to_string().contains("executions of Spinnaker application checkout"),
            "{case:#}"
        );
    }
}

#[test]
fn a_release_that_is_still_going_out_is_taken_back_on_its_way() {
    let mut story = Story::begin_with(3600, PIPELINE, |gate| {
        gate.state().takes = Length::from_secs(20);
        gate.runs(DEPLOY, "v3");
    });
    story.program.wait("v3 to be on its way", "/v1/deployments", |listed| {
        let mut all = listed["deployments"].as_array().into_iter().flatten();
        all.any(|one| one["status"] == "going_out" && one["version"] == "v3")
    });
    // Longer ago than clocks may differ.
    let seen = now();
    assert!(binary::wait_until(|| now() > seen + Length::from_secs(2)));
    story.fires();
    let canceled = || story.gate.effects().iter().any(|effect| effect == "cancel v3");
    assert!(binary::wait_until(canceled), "it is not cancelled: {}", story.program.said());
    story.gate.state().takes = Length::from_secs(1);
    story.clears_when_serving("v2");
    story.program.wait_for_outcome("recovered");
    assert_eq!(story.gate.effects()[0], "cancel v3");
    let newest = story.gate.newest(Some(DEPLOY)).expect("v3");
    assert_eq!(newest.status, "CANCELED", "{newest:?}");
}

#[test]
fn somebody_who_deploys_meanwhile_comes_first() {
    let mut story = Story::begin();
    story.fires();
    story.program.wait("the countdown", "/v1/cases", |cases| cases["cases"][0]["phase"] == "countdown");
    story.gate.runs(DEPLOY, "v4");
    let case = story.program.wait("the case to stand back", "/v1/cases/checkout@production.1", |case| {
        let told = case["events"].as_array().into_iter().flatten();
        told.filter(|event| event["kind"] == "withdrawn" || event["kind"] == "closed").count() > 0
    });
    assert_ne!(case["outcome"], "recovered", "{case:#}");
    assert_eq!(story.gate.effects(), Vec::<String>::new());
    assert!(binary::wait_until(|| story.gate.serves() == "v4"), "{}", story.program.said());
}

#[test]
fn a_lost_reply_leads_to_one_act() {
    for (way, part, effect) in
        [(PIPELINE, "/pipelines/v2/", "run rollback-production v1"), (MANIFEST, "/tasks", "undo to 1")]
    {
        let mut story = Story::begin_with(120, way, |_| {});
        story.gate.fault(Method::POST, part, Fault::LoseReply);
        story.fires();
        story.clears_when_serving("v1");
        story.program.wait_for_outcome("recovered");
        assert_eq!(story.gate.effects(), [effect]);
    }
}

/// A request that was lost on its way is not sent again: of class C nobody knows that no copy comes.
#[test]
fn what_was_lost_before_it_took_effect_becomes_a_persons() {
    let mut story = Story::begin();
    story.gate.fault(Method::POST, "/pipelines/v2/", Fault::Refuse(503, "Echo is away"));
    story.fires();
    story.program.wait("a person to be asked", "/v1/cases/checkout@production.1", |case| {
        case["phase"] == "needs_human"
    });
    assert_eq!((story.gate.writes(), story.gate.effects().len()), (1, 0), "it was sent once");
}

/// Killed while the answer is on its way: it goes on to one execution.
#[test]
fn killed_in_the_middle_it_goes_on() {
    let mut story = Story::begin();
    let asked = story.gate.hear(Method::POST, "/pipelines/v2/");
    story.gate.fault(Method::POST, "/pipelines/v2/", Fault::HangAfter);
    story.fires();
    asked.recv_timeout(Duration::from_secs(60)).expect("the pipeline to be run");
    story.program.kill();
    story.program.start_again();
    story.clears_when_serving("v1");
    story.program.wait_for_outcome("recovered");
    assert_eq!(story.gate.effects(), RUN);
}

/// The pipeline is its owner's: who switches it off, or lets it wait for a judgment, is not gone round.
#[test]
fn a_pipeline_that_its_owner_disabled_is_told_and_nothing_is_run() {
    let mut story = Story::begin_with(120, PIPELINE, |gate| {
        gate.state().pipelines.get_mut(ROLLBACK).expect("it is there")["disabled"] = true.into();
    });
    story.fires();
    story.program.wait_for_line(&["the pipeline rollback-production is disabled"]);
    assert_eq!((story.gate.writes(), story.gate.serves().as_str()), (0, "v2"));
}

#[test]
fn a_judgment_in_the_rollback_pipeline_is_left_to_people() {
    let mut story = Story::begin_with(120, PIPELINE, |gate| {
        let judged = json!({ "type": "manualJudgment", "name": "May it?", "status": "NOT_STARTED" });
        let mut state = gate.state();
        let stages =
            state.pipelines.get_mut(ROLLBACK).expect("it is there")["stages"].as_array_mut().expect("a list");
        stages.insert(0, judged);
    });
    story.fires();
    let case = story.program.wait("a person to be asked", "/v1/cases/checkout@production.1", |case| {
        case["phase"] == "needs_human"
    });
    assert!(case.to_string().contains("May it?"), "{case:#}");
    assert_eq!(story.gate.serves(), "v2");
}

/// Nothing shows a revision that runs the target any more.
#[test]
fn a_target_that_is_gone_is_told_and_nothing_is_done() {
    let mut story = Story::begin_with(120, MANIFEST, |gate| drop(gate.state().revisions.remove(0)));
    story.fires();
    story.program.wait_for_line(&["shows no revision", "checkout:v1"]);
    assert_eq!(story.gate.effects(), Vec::<String>::new());
}

#[test]
fn a_missing_right_fails_the_case_in_gates_own_words() {
    let mut story = Story::begin();
    story.gate.state().may.remove("EXECUTE");
    story.fires();
    let case = story.program.wait_for_outcome("failed");
    assert!(case.to_string().contains("required authorization: EXECUTE"), "{case:#}");
    assert_eq!((story.gate.writes(), story.gate.effects().len()), (1, 0), "a definite no is not asked again");
}

/// Spinnaker itself tells that what it put out failed: nobody has to ring first.
#[test]
fn a_release_that_never_gets_well_is_taken_back_without_any_alert() {
    let story = Story::begin_with(3600, PIPELINE, |gate| {
        let broken = json!({ "exception": { "details": { "errors": ["ImagePullBackOff"] } } });
        gate.state().becomes.insert("v3".into(), Becomes::Fails(broken));
        // Still on its way when it is read first: what goes out is read again soon.
        gate.state().takes = Length::from_secs(3);
        gate.runs(DEPLOY, "v3");
    });
    let case = story.program.wait_for_outcome("recovered");
    assert_eq!(case["signals"][0]["source"], json!("provider"), "{case:#}");
    assert!(case["evidence"].to_string().contains("ImagePullBackOff"), "{case:#}");
    assert_eq!(story.gate.effects(), ["run rollback-production v2"]);
}

/// Gate asks for a certificate: the doctor is let in with it, and nowhere without.
#[test]
fn a_client_certificate_is_who_we_are() {
    let authority = certificates::Authority::new("an authority");
    let gate = Gate::start(None);
    gate.has_deployed("v1", now() - Length::from_secs(7200));
    gate.state().lets_everybody_in = true;
    let door = door(&authority, &gate.url());
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("authority.pem"), authority.pem()).expect("a certificate");
    let ours = authority.sign();
    certificates::put(&folder.path().join("client.pem"), &ours.chain);
    certificates::put(&folder.path().join("client.key"), &ours.key);
    let config = config(&door, PIPELINE).replace(
        "token = { file = \"gate-token\" }",
        "client = { certificate = \"client.pem\", key = { file = \"client.key\" } }",
    );
    assert!(config.contains("client.pem"), "{config}");
    binary::furnish(folder.path(), &config, RULES);
    std::fs::write(folder.path().join("token"), TOKEN).expect("a token");
    let doctor = |folder: &std::path::Path| {
        let told = std::process::Command::new(env!("CARGO_BIN_EXE_snapback"))
            .args(["doctor", "--output", "json", "--config"])
            .arg(folder.join("snapback.toml"))
            .env("SSL_CERT_FILE", folder.join("authority.pem"))
            .env("SNAPBACK_URL", "http://127.0.0.1:1")
            .output()
            .expect("the doctor");
        let report: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
        let checks = report["checks"].as_array().into_iter().flatten();
        checks.filter(|check| check["area"] == "provider").cloned().collect::<Vec<_>>()
    };
    let told = doctor(folder.path());
    assert!(told.len() == 1 && told[0]["outcome"] == "well", "{told:#?}");
    // Signed by somebody whom Gate does not know.
    let stranger = certificates::Authority::new("another").sign();
    certificates::put(&folder.path().join("client.pem"), &stranger.chain);
    certificates::put(&folder.path().join("client.key"), &stranger.key);
    let told = doctor(folder.path());
    assert!(told.len() == 1 && told[0]["outcome"] == "ill", "{told:#?}");
    assert!(told[0]["next"].as_str().is_some_and(|next| next.contains("`client`")), "{told:#?}");
}

/// TLS before Gate that lets in whoever shows a certificate of this authority; its address.
fn door(authority: &certificates::Authority, gate: &str) -> String {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("a certificate"))
        .expect("a root");
    let asks = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let own = authority.sign();
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(own.chain.as_bytes()).collect::<Result<_, _>>().expect("a chain");
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(asks.build().expect("a verifier"))
        .with_single_cert(chain, key)
        .expect("a pair");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (told, heard) = std::sync::mpsc::channel();
    let gate = gate.replace("http://", "");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            told.send(listener.local_addr().expect("an address")).expect("told");
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, gate) = (acceptor.clone(), gate.clone());
                tokio::spawn(async move {
                    let mut inside = acceptor.accept(stream).await.ok()?;
                    let mut beyond = tokio::net::TcpStream::connect(gate).await.ok()?;
                    tokio::io::copy_bidirectional(&mut inside, &mut beyond).await.ok()
                });
            }
        });
    });
    format!("https://{}", heard.recv().expect("an address"))
}
