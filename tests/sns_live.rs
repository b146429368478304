//! From a live SNS, and from a second implementation of its signature, to a decided case: the real program, programs of others
//! that play AWS, and a relay that signs what they cannot. `scripts/test` installs them; without them `cargo test` says so.

mod binary;
mod signing;

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use binary::{Program, furnish, head, lay_releases, now, wait_until};
use serde_json::{Value, json};
use signing::Signer;

const RULES: &str = "[[rule]]\nname = \"ask\"\naction = \"approve\"\n";

const SETTINGS: &str = r#"
[sources.aws]
kind = "sns"
topics = ["TOPIC"]
confirm_subscriptions = true
certificates = "certificates"
endpoint_url = "ENDPOINT"
services = ["checkout@production"]
map = { checkout-5xx = "checkout@production" }

[groups.sre]
slack_users = []

[guards]
clock_skew = "1s"
episode_settle = "1s"

[approvals.default]
from = ["sre"]

[providers.hosts]
kind = "directory"

[[service]]
name = "checkout"
environment = "production"
provider = "hosts"
target = { root = "SRV" }
inherit_good = true
migrations = "none"
"#;

/// Where the tests' tools are, as `scripts/test` says. `None`: nowhere, which `scripts/test` does not allow.
#[expect(clippy::disallowed_methods, reason = "scripts/test says where its tools are")]
fn tool(variable: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).map(PathBuf::from);
    if found.is_none() {
        assert!(std::env::var_os("SNAPBACK_TEST_STRICT").is_none(), "{variable} is not set");
        eprintln!("left out: {variable} is not set; scripts/test installs what it names and runs this test");
    }
    found
}

fn script(name: &str) -> String {
    format!("{}/tests/senders/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Runs a script, with this on its standard input; gives what it prints.
fn runs(python: &Path, arguments: &[&str], input: &Value) -> Value {
    let mut child = Command::new(python)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("NO_PROXY", "127.0.0.1")
        .spawn()
        .expect("Python starts");
    child.stdin.take().expect("its input").write_all(input.to_string().as_bytes()).expect("it reads");
    let ended = child.wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
    serde_json::from_slice(&ended.stdout).unwrap_or(Value::Null)
}

/// A program of somebody else's, ended with the test.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port()
}

/// Starts a program that plays AWS on this port, and waits until it listens.
fn play(program: &Path, arguments: &[&str], port: u16) -> Other {
    let child = Command::new(program)
        .args(arguments)
        .env("GATEWAY_PORT", port.to_string())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let other = Other(child);
    assert!(
        wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok()),
        "{} does not listen",
        program.display()
    );
    other
}

/// The program that hears this topic, with the certificate of a key that is not AWS's.
fn begin(python: &Path, topic: &str, endpoint: &str) -> Program {
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = folder.path().join("certificates");
    runs(python, &[&script("sns.py"), "key", &certificates.display().to_string()], &Value::Null);
    let root = folder.path().join("srv");
    let settings = SETTINGS
        .replace("SRV", &root.display().to_string())
        .replace("TOPIC", topic)
        .replace("ENDPOINT", endpoint);
    furnish(folder.path(), &format!("{}{settings}", head("live")), RULES);
    lay_releases(&root);
    let program = Program::over(folder);
    program.wait_for_releases();
    program
}

/// The relay between a live SNS and the program, and what it saw.
struct Relay {
    _child: Other,
    url: String,
    seen: Arc<Mutex<Vec<Value>>>,
}

impl Relay {
    fn start(python: &Path, program: &Program) -> Relay {
        let to = format!("http://{}/v1/alerts/aws", program.listen());
        let mut child = Command::new(python)
            .args([&script("sns.py"), "relay", &program.path("certificates").display().to_string(), &to])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the relay starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let port = lines.next().expect("a port").expect("text");
        let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().expect("what was seen").push(serde_json::from_str(&line).expect("JSON"));
            }
        });
        Relay { _child: Other(child), url: format!("http://127.0.0.1:{port}/"), seen }
    }

    fn seen(&self, kind: &str) -> Vec<Value> {
        let seen = self.seen.lock().expect("what was seen");
        seen.iter().filter(|one| one["type"] == kind).cloned().collect()
    }
}

fn phase(cases: &Value) -> &str {
    cases["cases"][0]["phase"].as_str().unwrap_or("none")
}

/// The whole way: a subscription that we confirm, an alarm that fires and clears. What the emulator signs, which is nothing, is
/// refused each time.
#[test]
fn a_live_sns_is_subscribed_and_its_alarm_is_asked_about() {
    let Some(python) = tool("SNAPBACK_TEST_PYTHON") else { return };
    let Some(ministack) = tool("SNAPBACK_TEST_MINISTACK") else { return };
    let port = free_port();
    let _aws = play(&ministack, &[], port);
    let endpoint = format!("http://127.0.0.1:{port}");
    let program = begin(&python, "arn:aws:sns:us-east-1:000000000000:alarms", &endpoint);
    let relay = Relay::start(&python, &program);
    let drives = |arguments: &[&str]| {
        let live = script("live_sns.py");
        runs(&python, &[&[&live, &*endpoint], arguments].concat(), &Value::Null)
    };
    assert_eq!(drives(&["subscribe", &relay.url]), "arn:aws:sns:us-east-1:000000000000:alarms");
    assert!(wait_until(|| drives(&["confirmed"]) == true), "not confirmed:\n{}", program.said());
    assert_eq!(
        relay.seen("SubscriptionConfirmation")[0],
        json!({
            "type": "SubscriptionConfirmation", "as_it_came": 403, "named": 403, "signed": 200,
        })
    );

    drives(&["alarm", "OK"]);
    drives(&["alarm", "ALARM"]);
    let cases = program.wait("the question", "/v1/cases", |cases| phase(cases) == "awaiting_approval");
    assert_eq!(cases["cases"][0]["signals"][0]["name"], "checkout-5xx", "{cases:#}");
    drives(&["alarm", "OK"]);
    program.wait_for_outcome("cleared");
    let notices = relay.seen("Notification");
    assert!(
        notices.len() >= 2
            && notices
                .iter()
                .all(|one| one["as_it_came"] == 403 && one["named"] == 403 && one["signed"] == 200),
        "{notices:#?}"
    );
}

/// moto signs with a key of its own, and names a certificate at AWS's address that is not there: its messages may come again, and
/// beside a certificate that counts its signature is wrong.
#[test]
fn what_moto_signs_is_refused() {
    let Some(python) = tool("SNAPBACK_TEST_PYTHON") else { return };
    let port = free_port();
    let moto = python.with_file_name("moto_server");
    let _aws = play(&moto, &["-H", "127.0.0.1", "-p", &port.to_string()], port);
    let endpoint = format!("http://127.0.0.1:{port}");
    let program = begin(&python, "arn:aws:sns:us-east-1:123456789012:alarms", &endpoint);
    let relay = Relay::start(&python, &program);
    let live = script("live_sns.py");
    runs(&python, &[&live, &endpoint, "subscribe", &relay.url], &Value::Null);
    runs(&python, &[&live, &endpoint, "publish", "hello"], &Value::Null);
    assert!(wait_until(|| !relay.seen("Notification").is_empty()), "moto posts nothing");
    let seen = relay.seen("Notification");
    assert_eq!(seen[0], json!({ "type": "Notification", "as_it_came": 503, "named": 403, "signed": 200 }));
}

/// Both ways: what Python signs, in either version, is taken; what we sign, Python proves; and nothing that was changed.
#[test]
fn the_second_implementation_agrees() {
    let Some(python) = tool("SNAPBACK_TEST_PYTHON") else { return };
    let topic = "arn:aws:sns:eu-west-1:123456789012:alarms-production";
    let program = begin(&python, topic, "http://127.0.0.1:1");
    let certificates = program.path("certificates").display().to_string();
    let message = std::fs::read_to_string(format!(
        "{}/fixtures/cloudwatch/metric-alarm.message.json",
        env!("CARGO_MANIFEST_DIR")
    ))
    .expect("a message");
    let at = now().strftime("%Y-%m-%dT%H:%M:%S.123Z").to_string();
    for (version, subject) in [("1", Some("ALARM: \"ünï\" \\ x")), ("1", None), ("2", Some("x")), ("2", None)]
    {
        let mut envelope = json!({
            "Type": "Notification", "MessageId": "95df01b4-ee98-5cb9-9903-4c221d41eb5e", "TopicArn": topic,
            "Message": format!("{message}\n日本 \"quoted\" \\ \u{1f4a5}"), "Timestamp": at,
        });
        if let Some(subject) = subject {
            envelope["Subject"] = subject.into();
        }
        let signed = runs(&python, &[&script("sns.py"), "sign", &certificates, version], &envelope);
        let send = |body: &Value| {
            program.send("/v1/alerts/aws", &[("Content-Type", "text/plain")], &body.to_string())
        };
        assert_eq!(send(&signed), 200, "version {version}, {subject:?}");
        let mut changed = signed.clone();
        changed["Message"] = format!("{} ", signed["Message"].as_str().expect("text")).into();
        assert_eq!(send(&changed), 403, "version {version}, {subject:?}, changed");
    }
    let signer = Signer::new();
    let ours = [
        signer.notification("a message\nof two lines", &at),
        signer.confirmation("SubscriptionConfirmation", "https://sns.eu-west-1.amazonaws.com/?x", &at),
        signer.confirmation("UnsubscribeConfirmation", "https://sns.eu-west-1.amazonaws.com/?x", &at),
    ];
    for envelope in ours {
        let ask = |envelope: &Value| {
            runs(&python, &[&script("sns.py"), "verify"], &json!({ "pem": signer.pem, "envelope": envelope }))
        };
        assert_eq!(ask(&envelope), true, "{envelope}");
        let mut changed = envelope.clone();
        changed["Message"] = "another".into();
        assert_eq!(ask(&changed), false, "{envelope}");
    }
    // The five that AWS signed: the second implementation proves them as ours does.
    let folder = format!("{}/fixtures/sns", env!("CARGO_MANIFEST_DIR"));
    let mut pem = String::new();
    let real = format!("{folder}/SimpleNotificationService-7506a1e35b36ef5a444dd1a8e7cc3ed8.pem");
    std::fs::File::open(real).expect("it").read_to_string(&mut pem).expect("text");
    for name in [
        "notification-with-subject",
        "notification-no-subject",
        "notification-signature-v2",
        "subscription-confirmation",
        "unsubscribe-confirmation",
    ] {
        let text = std::fs::read_to_string(format!("{folder}/{name}.json")).expect("a message");
        let envelope: Value = serde_json::from_str(&text).expect("JSON");
        let told =
            runs(&python, &[&script("sns.py"), "verify"], &json!({ "pem": pem, "envelope": envelope }));
        assert_eq!(told, true, "{name}");
    }
}
