//! Slack's own library on the pretend workspace: it drives it, reads what it posts, and checks what it signs; and `emulate`, a
//! workspace of others, takes the same calls.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::slack::DEPLOYS;
use super::slack::knock::signature;
use super::{ANA, SRE, opened, question};

/// The Python that has slack_sdk, or nothing, said loudly.
#[expect(clippy::disallowed_methods, reason = "scripts/test says where its tools are")]
fn python() -> Option<PathBuf> {
    if let Some(python) = std::env::var_os("SNAPBACK_TEST_PYTHON") {
        return Some(python.into());
    }
    assert!(std::env::var_os("SNAPBACK_TEST_STRICT").is_none(), "SNAPBACK_TEST_PYTHON is not set");
    eprintln!("LEFT OUT: slack_sdk is not here; scripts/test installs it and runs this test");
    None
}

fn judge(python: &Path, arguments: &[&str]) -> Result<String, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slack/judge.py");
    let ended = Command::new(python).arg(script).args(arguments).output().expect("it runs");
    let said = [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    if ended.status.success() { Ok(said) } else { Err(said) }
}

/// A file of JSON lines, and the folder that keeps it.
fn written(lines: &[Value]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("lines.json");
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&file, text).expect("written");
    (folder, file.display().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_driven_as_slack_is() {
    let Some(python) = python() else { return };
    let slack = opened().await;
    let said = judge(&python, &["drive", &slack.api_url(), &slack.token(), DEPLOYS, SRE, ANA]);
    assert!(said.as_ref().is_ok_and(|said| said.contains("as slack_sdk says")), "{said:?}");
    let (_folder, file) = written(&slack.everything_posted());
    let said = judge(&python, &["blocks", &file]);
    assert!(said.as_ref().is_ok_and(|said| said.contains("messages are as slack_sdk says")), "{said:?}");
}

#[test]
fn the_judge_finds_blocks_that_are_wrong() {
    let Some(python) = python() else { return };
    let section = |text: Value| json!({ "type": "section", "text": text });
    let button = |id: &str, label: String| json!({ "type": "button", "action_id": id, "text": { "type": "plain_text", "text": label } });
    let wrong = [
        ("exceed", json!([section(json!({ "type": "mrkdwn", "text": "x".repeat(3001) }))])),
        ("exceed", json!([{ "type": "actions", "elements": [button("a", "x".repeat(76))] }])),
        (
            "there twice",
            json!([{ "type": "actions", "elements": [button("a", "x".into()), button("a", "y".into())] }]),
        ),
        ("nknown", json!([{ "type": "banner", "text": "x" }])),
        ("emoji", json!([section(json!({ "type": "mrkdwn", "text": "x", "emoji": true }))])),
        ("51 blocks", vec![json!({ "type": "divider" }); 51].into()),
        ("without a text", json!([{ "type": "divider" }])),
    ];
    for (word, blocks) in wrong {
        let text = if word == "without a text" { "" } else { "x" };
        let (_folder, file) =
            written(&[json!({ "what": "chat.postMessage", "text": text, "blocks": blocks })]);
        let said = judge(&python, &["blocks", &file]);
        assert!(said.as_ref().is_err_and(|said| said.contains(word)), "{word}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_signs_as_slack_does() {
    let Some(python) = python() else { return };
    let slack = opened().await;
    let asked = question(&slack).await;
    let secret = slack.signing_secret();
    let click = || slack.clicking(&asked, "rollback", ANA);
    let command = || slack.commanding(ANA, DEPLOYS, "/snapback", "rollback checkout -- “slow” & late");
    let now = slack.now().as_second();
    let knocks = [
        ("a click", click().seal(), true),
        ("a command", command().seal(), true),
        ("a forged click", click().forged().seal(), false),
        ("an old command", command().aged(301).seal(), false),
        ("a click of the future", click().aged(-301).seal(), false),
        ("an unsigned command", command().unsigned().seal(), false),
        ("a tampered click", click().tampered().seal(), false),
    ];
    let requests = knocks.map(|(name, sealed, good)| {
        let body = String::from_utf8(sealed.body).expect("text");
        json!({
            "name": name, "secret": secret, "timestamp": sealed.timestamp, "signature": sealed.signature,
            "body": body, "good": good, "now": now,
        })
    });
    let (_folder, file) = written(&requests);
    let said = judge(&python, &["verify", &file]);
    assert!(said.as_ref().is_ok_and(|said| said.contains("7 signatures")), "{said:?}");
    let said = judge(&python, &["sign", &file]).expect("signatures");
    let ours = requests.iter().map(|request| {
        let text = |name: &str| request[name].as_str().expect("text");
        signature(text("secret"), text("timestamp"), text("body").as_bytes())
    });
    assert_eq!(said.lines().collect::<Vec<_>>(), ours.collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_url_is_used_up() {
    let Some(python) = python() else { return };
    let slack = opened().await;
    let asked = question(&slack).await;
    let mut url = String::new();
    let _ = slack.clicking(&asked, "rollback", ANA).altered(|payload| {
        url = payload["response_url"].as_str().expect("a URL").to_owned();
    });
    let said = judge(&python, &["respond", &url]);
    assert!(said.as_ref().is_ok_and(|said| said.contains("as slack_sdk says")), "{said:?}");
    let whispers = slack.whispers_to(ANA);
    let said: Vec<_> = whispers.iter().map(|whisper| whisper.text.as_str()).collect();
    assert_eq!(said, ["answer 1"], "the others replaced the message: {}", slack.transcript());
    let asked = slack.again(&asked);
    assert_eq!((asked.text.as_str(), asked.buttons().len(), asked.edits()), ("answer 5", 0, 4));
    assert_eq!(slack.calls("hooks"), 6);
}

/// Where `emulate` is, and the node that runs it; or nothing, said loudly.
#[expect(clippy::disallowed_methods, reason = "scripts/test says where its tools are")]
fn emulate() -> Option<PathBuf> {
    let found = std::env::var_os("SNAPBACK_TEST_EMULATE").map(PathBuf::from);
    if found.is_none() {
        eprintln!(
            "LEFT OUT: emulate is not here; scripts/test installs it where there is node, and runs this test"
        );
    }
    found
}

/// Where the two differ, so that a new difference is seen. Where `emulate` tells less, that is its own; that it shows metadata
/// to whoever did not ask, and takes an unknown thread for an empty one, is not what Slack's reference says.
#[tokio::test(flavor = "multi_thread")]
async fn emulate_answers_alike() {
    let (Some(python), Some(emulate)) = (python(), emulate()) else { return };
    let slack = opened().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = free.local_addr().expect("an address").port().to_string();
    drop(free);
    let mut serving = Command::new("node")
        .arg(emulate)
        .args(["start", "--service", "slack", "--port", &port])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let lines = BufReader::new(serving.stdout.take().expect("its output")).lines();
    let listens = lines.map_while(Result::ok).any(|line| line.contains("Config:"));
    assert!(listens, "emulate ended early");
    let theirs = format!("http://127.0.0.1:{port}/api");
    let (url, token) = (slack.api_url(), slack.token());
    let said = judge(&python, &["compare", &url, &token, DEPLOYS, &theirs, "xoxb-any", "C000000001"]);
    serving.kill().expect("it ends");
    serving.wait().expect("it ends");
    insta::assert_snapshot!(said.unwrap_or_else(|why| panic!("{why}")));
}
