//! The pretend Slack workspace by itself: Slack's own library drives it and reads what it says, and the faults that tests
//! order come as they were ordered. What Snapback does with it is in other files.
//!
//! `scripts/test` installs slack_sdk and sets SNAPBACK_TEST_PYTHON; without it, `cargo test` says that this was left out.

mod slack;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use serde_json::{Value, json};
use snapback::case::id::Timestamp;

use slack::people::signature;
use slack::{BOT_USER, DEPLOYS, Fault, Kind, Message, Reach, RootGone, Workspace};

const ANA: &str = "U0001ANA";
const GUS: &str = "U0002GUS";
const SRE: &str = "S0001SRE";

/// A workspace with a member, a guest and a group.
async fn opened() -> Arc<Workspace> {
    let slack = Workspace::start().await;
    slack.person(ANA, Kind::Member);
    slack.person(GUS, Kind::Guest);
    slack.group(SRE, "sre", &[ANA]);
    slack
}

/// Calls a method as a client does; gives the status, the `Retry-After` and the answer, or why there is none.
async fn call(slack: &Workspace, method: &str, body: &Value) -> Result<(u16, Option<u32>, Value), String> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client =
        reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().expect("a client");
    let request = client.post(format!("{}/{method}", slack.api_url())).bearer_auth(slack.token()).json(body);
    let answer = request.header("content-type", "application/json; charset=utf-8").send().await;
    let answer = answer.map_err(|error| if error.is_timeout() { "silence" } else { "no connection" })?;
    let status = answer.status().as_u16();
    let after = answer.headers().get("retry-after").and_then(|after| after.to_str().ok()?.parse().ok());
    let body = answer.bytes().await.map_err(|error| error.to_string())?;
    Ok((status, after, serde_json::from_slice(&body).unwrap_or_default()))
}

fn hello() -> Value {
    json!({ "channel": DEPLOYS, "text": "hello" })
}

/// A question with two buttons, posted as the product would.
async fn question(slack: &Workspace) -> Message {
    let button = |label: &str, action: &str| json!({ "type": "button", "action_id": action, "value": "case/1 – é", "text": { "type": "plain_text", "text": label } });
    let blocks = json!([
        { "type": "header", "text": { "type": "plain_text", "text": "checkout &amp; cart" } },
        { "type": "section", "text": { "type": "mrkdwn", "text": "Asked <@U0001ANA> of <!subteam^S0001SRE>: 1 &lt; 2, <https://example.com|see>" } },
        { "type": "divider" },
        { "type": "actions", "elements": [button("Roll back", "rollback"), button("Cancel", "cancel")] },
        { "type": "context", "elements": [{ "type": "mrkdwn", "text": "until <!date^1772442845^{time}|09:14 UTC>" }] },
    ]);
    let asked = json!({ "channel": "#deploys", "text": "Roll back?", "blocks": blocks });
    let (_, _, answer) = call(slack, "chat.postMessage", &asked).await.expect("an answer");
    assert_eq!(answer["ok"], true, "{answer}");
    slack
        .wait_for_message("the question", |message| message.ts == answer["ts"].as_str().unwrap_or_default())
        .await
}

mod by_slack_sdk {
    use super::*;

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
        let said =
            [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
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
}

/// The worked example of Slack's page on verifying requests.
#[test]
fn it_signs_the_documented_request() {
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&\
                channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&\
                response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&\
                trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let signed = signature("8f742231b10e8888abcd99yyyzzz85a5", "1531420618", body.as_bytes());
    assert_eq!(signed, "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503");
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_come_as_they_were_ordered() {
    let slack = opened().await;
    let posted = || slack.messages().len();
    let gone = Err("no connection".to_owned());
    let answers = [
        (Fault::LosesRequest, gone.clone(), 0),
        (Fault::LosesReply, gone, 1),
        (Fault::HangsBefore, Err("silence".to_owned()), 0),
        (Fault::HangsAfter, Err("silence".to_owned()), 1),
        (Fault::TooMany(7), Ok((429, Some(7), json!("ratelimited"))), 0),
        (Fault::TooManyUnsaid, Ok((429, None, json!("ratelimited"))), 0),
        (Fault::Fails(500), Ok((500, None, Value::Null)), 0),
        (Fault::FailsAfter(503), Ok((503, None, Value::Null)), 1),
        (Fault::Refuses("fatal_error"), Ok((200, None, json!("fatal_error"))), 0),
        (Fault::Garbled, Ok((200, None, Value::Null)), 1),
        (Fault::Bare, Ok((200, None, Value::Null)), 1),
    ];
    let many = answers.len();
    for (fault, expected, done) in answers {
        let before = posted();
        slack.fault("chat.postMessage", 1, &fault);
        // Another method is not meant.
        assert_eq!(call(&slack, "auth.test", &json!({})).await.expect("an answer").2["ok"], true);
        let answer = call(&slack, "chat.postMessage", &hello()).await;
        assert_eq!(
            answer.map(|(status, after, body)| (status, after, body["error"].clone())),
            expected,
            "{fault:?}"
        );
        assert_eq!(posted() - before, done, "{fault:?}");
    }
    // And then it is well again.
    assert_eq!(call(&slack, "chat.postMessage", &hello()).await.expect("an answer").2["ok"], true);
    assert_eq!(slack.calls("chat.postMessage"), many + 1);
    assert_eq!(slack.everything_posted().len(), posted());
    slack.fault("*", 3, &Fault::Fails(502));
    assert_eq!(call(&slack, "users.list", &json!({})).await.expect("an answer").0, 502);
    assert_eq!(slack.heal(), 2);
    assert_eq!(call(&slack, "users.list", &json!({})).await.expect("an answer").0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_away_and_comes_back_to_the_same_place() {
    let slack = opened().await;
    call(&slack, "chat.postMessage", &hello()).await.expect("an answer");
    for _ in 0..3 {
        slack.away().await;
        assert_eq!(call(&slack, "chat.postMessage", &hello()).await, Err("no connection".to_owned()));
        slack.back().await;
        assert_eq!(call(&slack, "chat.postMessage", &hello()).await.expect("an answer").2["ok"], true);
    }
    assert_eq!(slack.messages().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_waits_for_the_gate_and_a_late_call_is_done_without_its_caller() {
    let slack = opened().await;
    let gate = slack.slow("chat.postMessage");
    let asks = Arc::clone(&slack);
    let waiting = tokio::spawn(async move { call(&asks, "chat.postMessage", &hello()).await });
    gate.reached().await;
    assert!(!waiting.is_finished());
    assert_eq!(slack.messages().len(), 1, "it is done before the answer leaves");
    gate.open();
    assert_eq!(waiting.await.expect("it ends").expect("an answer").2["ok"], true);

    let gate = slack.late("chat.postMessage");
    assert_eq!(call(&slack, "chat.postMessage", &hello()).await, Err("silence".to_owned()));
    assert_eq!(slack.messages().len(), 1);
    gate.open();
    slack.wait_for("the late message", |state| (state.messages.len() == 2).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_a_second_in_a_channel() {
    let slack = opened().await;
    slack.channel("C0002PAY", "payments", Reach::Public);
    slack.stand_at("2026-03-02T09:14:05Z".parse::<Timestamp>().expect("a moment"));
    slack.keep_pace(3);
    let post = async |channel: &str| {
        let asked = json!({ "channel": channel, "text": "x" });
        let (status, after, answer) = call(&slack, "chat.postMessage", &asked).await.expect("an answer");
        (status, after, answer["error"].as_str().map(str::to_owned))
    };
    for _ in 0..3 {
        assert_eq!(post(DEPLOYS).await.0, 200, "a short burst is tolerated");
    }
    let busy = (429, Some(1), Some("ratelimited".to_owned()));
    assert_eq!(post(DEPLOYS).await, busy);
    assert_eq!(post("C0002PAY").await.0, 200, "another channel has its own");
    slack.pass(999);
    assert_eq!(post(DEPLOYS).await.0, 200, "a thousandth is rounding");
    assert_eq!(post(DEPLOYS).await, busy);
    slack.pass(1000);
    assert_eq!(post(DEPLOYS).await.0, 200);
    let newest = slack.messages().pop().expect("a message");
    assert_eq!(newest.ts, "1772442846.999000");
    let change = json!({ "channel": DEPLOYS, "ts": newest.ts, "text": "y" });
    let mut statuses = Vec::new();
    for _ in 0..51 {
        statuses.push(call(&slack, "chat.update", &change).await.expect("an answer").0);
    }
    assert_eq!(statuses.iter().position(|status| *status == 429), Some(50), "Tier 3");
}

/// What Slack refuses, with its codes.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_the_codes_of_slack() {
    let slack = opened().await;
    slack.channel("C0002OLD", "old", Reach::Public);
    slack.in_channel("C0002OLD", |channel| channel.archived = true);
    slack.channel("C0003OUT", "outside", Reach::Public);
    slack.channel("C0004PRV", "private", Reach::Private);
    for id in ["C0003OUT", "C0004PRV"] {
        slack.in_channel(id, |channel| channel.absent.extend([BOT_USER.to_owned()]));
    }
    let theirs = slack.say(ANA, DEPLOYS, "lunch?", None);
    let root = slack.say(BOT_USER, DEPLOYS, "root", None);
    let reply = slack.say(BOT_USER, DEPLOYS, "reply", Some(&root.ts));
    let cases = [
        ("chat.postMessage", json!({ "channel": "old", "text": "x" }), "is_archived"),
        ("chat.postMessage", json!({ "channel": "#outside", "text": "x" }), "not_in_channel"),
        ("chat.postMessage", json!({ "channel": "C0004PRV", "text": "x" }), "channel_not_found"),
        (
            "chat.postMessage",
            json!({ "channel": DEPLOYS, "text": "x", "thread_ts": 1.5 }),
            "invalid_thread_ts",
        ),
        (
            "chat.postMessage",
            json!({ "channel": DEPLOYS, "text": "x", "thread_ts": reply.ts }),
            "cannot_reply_to_message",
        ),
        (
            "chat.postMessage",
            json!({ "channel": DEPLOYS, "text": "x", "blocks": "{" }),
            "invalid_blocks_format",
        ),
        (
            "chat.postMessage",
            json!({ "channel": DEPLOYS, "text": "x", "metadata": { "event_type": 1 } }),
            "invalid_metadata_schema",
        ),
        ("chat.update", json!({ "channel": DEPLOYS, "ts": theirs.ts, "text": "x" }), "cant_update_message"),
        ("chat.update", json!({ "channel": "C0002OLD", "ts": "1.000001", "text": "x" }), "is_inactive"),
        (
            "chat.update",
            json!({ "channel": DEPLOYS, "ts": root.ts, "text": "x".repeat(4001) }),
            "msg_too_long",
        ),
        // Whoever only reads reads no JSON.
        ("conversations.replies", json!({ "channel": DEPLOYS, "ts": root.ts }), "channel_not_found"),
    ];
    for (method, asked, code) in cases {
        let (status, _, answer) = call(&slack, method, &asked).await.expect("an answer");
        assert_eq!((status, &answer["error"]), (200, &json!(code)), "{method} {asked} {answer}");
    }
    slack.revoke("chat:write");
    let (_, _, answer) = call(&slack, "chat.postMessage", &hello()).await.expect("an answer");
    assert_eq!((&answer["error"], &answer["needed"]), (&json!("missing_scope"), &json!("chat:write")));
    assert!(slack.everything_posted().is_empty(), "nothing of it was posted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_whose_root_is_gone_is_refused_or_strays() {
    let slack = opened().await;
    let alone = slack.say(BOT_USER, DEPLOYS, "alone", None);
    let root = slack.say(BOT_USER, DEPLOYS, "root", None);
    slack.say(BOT_USER, DEPLOYS, "reply", Some(&root.ts));
    slack.delete(&alone);
    slack.delete(&root);
    let below = |root: &Message| json!({ "channel": DEPLOYS, "text": "x", "thread_ts": root.ts });
    let (_, _, answer) = call(&slack, "chat.postMessage", &below(&alone)).await.expect("an answer");
    assert_eq!(answer["error"], "thread_not_found");
    slack.changes(|state| state.root_gone = RootGone::Strays);
    let (_, _, answer) = call(&slack, "chat.postMessage", &below(&alone)).await.expect("an answer");
    assert_eq!((&answer["ok"], &answer["message"]["thread_ts"]), (&json!(true), &Value::Null));
    let (_, _, answer) = call(&slack, "chat.postMessage", &below(&root)).await.expect("an answer");
    assert_eq!(answer["message"]["thread_ts"], root.ts.as_str(), "above replies a tombstone stays");
    let change = json!({ "channel": DEPLOYS, "ts": root.ts, "text": "x" });
    assert_eq!(
        call(&slack, "chat.update", &change).await.expect("an answer").2["error"],
        "cant_update_message"
    );
}

/// Every limit of blocks: at it, and one beyond.
#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_held_to_their_limits() {
    let slack = opened().await;
    let plain = |text: String| json!({ "type": "plain_text", "text": text });
    let mrkdwn = |text: String| json!({ "type": "mrkdwn", "text": text });
    let xs = |many: usize| "x".repeat(many);
    let button = |change: &dyn Fn(&mut Value)| {
        let mut button = json!({ "type": "button", "action_id": "a", "text": plain("Go".into()) });
        change(&mut button);
        json!([{ "type": "actions", "elements": [button] }])
    };
    let confirm = |title, text, yes, no| {
        let confirm = json!({ "title": plain(xs(title)), "text": mrkdwn(xs(text)), "confirm": plain(xs(yes)), "deny": plain(xs(no)) });
        button(&|button| button["confirm"] = confirm.clone())
    };
    let elements = |kind: &str, many: usize| {
        let list: Vec<Value> = (0..many)
            .map(|nth| match kind {
                "context" => mrkdwn(nth.to_string()),
                _ => json!({ "type": "button", "action_id": nth.to_string(), "text": plain("Go".into()) }),
            })
            .collect();
        json!([{ "type": kind, "elements": list }])
    };
    let header = |many: usize| json!([{ "type": "header", "text": plain(xs(many)) }]);
    let section = |many: usize| json!([{ "type": "section", "text": mrkdwn(xs(many)) }]);
    let fields = |many: usize| json!([{ "type": "section", "fields": vec![mrkdwn("x".into()); many] }]);
    let sections =
        |many: usize, long: usize| vec![json!({ "type": "section", "text": mrkdwn(xs(long)) }); many].into();
    let pairs: Vec<(&str, Value, Value)> = vec![
        ("no more than 50 items", sections(50, 1), sections(51, 1)),
        ("less than 3001", section(3000), section(3001)),
        ("more than 0", section(1), section(0)),
        ("less than 151", header(150), header(151)),
        ("schemas", header(1), json!([{ "type": "header", "text": mrkdwn("x".into()) }])),
        ("no more than 10 items", elements("context", 10), elements("context", 11)),
        ("no more than 25 items", elements("actions", 25), elements("actions", 26)),
        ("no fewer than 1", elements("actions", 1), elements("actions", 0)),
        ("no more than 10 items", fields(10), fields(11)),
        (
            "less than 76",
            button(&|b| b["text"]["text"] = xs(75).into()),
            button(&|b| b["text"]["text"] = xs(76).into()),
        ),
        (
            "less than 2001",
            button(&|b| b["value"] = xs(2000).into()),
            button(&|b| b["value"] = xs(2001).into()),
        ),
        (
            "less than 256",
            button(&|b| b["action_id"] = xs(255).into()),
            button(&|b| b["action_id"] = xs(256).into()),
        ),
        ("one of", button(&|b| b["style"] = "danger".into()), button(&|b| b["style"] = "loud".into())),
        ("property: colour", button(&|_| {}), button(&|b| b["colour"] = "red".into())),
        ("less than 101", confirm(100, 300, 30, 30), confirm(101, 300, 30, 30)),
        ("less than 301", confirm(100, 300, 30, 30), confirm(100, 301, 30, 30)),
        ("confirm/confirm/text", confirm(100, 300, 30, 30), confirm(100, 300, 31, 30)),
        ("confirm/deny/text", confirm(100, 300, 30, 30), confirm(100, 300, 30, 31)),
        ("unsupported type", section(1), json!([{ "type": "banner" }])),
    ];
    for (word, good, bad) in pairs {
        let post = async |blocks: Value| {
            let asked = json!({ "channel": DEPLOYS, "text": "x", "blocks": blocks });
            call(&slack, "chat.postMessage", &asked).await.expect("an answer").2
        };
        let answer = post(good).await;
        assert_eq!(answer["ok"], true, "{word}: {answer}");
        let answer = post(bad).await;
        assert_eq!(answer["error"], "invalid_blocks", "{word}");
        assert!(answer["response_metadata"]["messages"].to_string().contains(word), "{word}: {answer}");
    }
    let twice = json!([elements("actions", 1)[0], elements("actions", 1)[0]]);
    let long = sections(5, 3000);
    for (code, blocks) in
        [("invalid_blocks", twice), ("msg_blocks_too_long", long), ("invalid_blocks_format", json!({}))]
    {
        let asked = json!({ "channel": DEPLOYS, "text": "x", "blocks": blocks });
        assert_eq!(call(&slack, "chat.postMessage", &asked).await.expect("an answer").2["error"], code);
    }
}

/// A product of the test's own: what came to it, with the headers and the body as they were.
async fn product(slack: &Workspace, answer: &'static str) -> Arc<Mutex<Vec<(HeaderMap, Bytes)>>> {
    let came: Arc<Mutex<Vec<(HeaderMap, Bytes)>>> = Arc::default();
    let hears = || {
        let came = Arc::clone(&came);
        post(move |headers: HeaderMap, body: Bytes| async move {
            came.lock().expect("what came").push((headers, body));
            answer
        })
    };
    let routes = Router::new().route("/slack/interactions", hears()).route("/slack/commands", hears());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    slack.deliver_to(&listener.local_addr().expect("an address").to_string());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let routes = hyper_util::service::TowerToHyperService::new(routes.clone());
            let stream = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(stream, routes));
        }
    });
    came
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_comes_in_the_form_of_slack() {
    let slack = opened().await;
    let came = product(&slack, "").await;
    let asked = question(&slack).await;
    let reply = slack.say(BOT_USER, DEPLOYS, "reply", Some(&asked.ts));
    assert!(slack.click(&asked, "rollback", GUS).await.in_time());
    let (headers, body) = came.lock().expect("what came").pop().expect("a click");
    let text = std::str::from_utf8(&body).expect("text");
    assert!(text.contains("%5C%2F") && text.contains("%5Cu2013+%5Cu00e9"), "escaped as Slack does: {text}");
    let stamp = headers["x-slack-request-timestamp"].to_str().expect("text");
    assert_eq!(headers["x-slack-signature"], signature(&slack.signing_secret(), stamp, &body).as_str());
    let payload = form_urlencoded::parse(&body).find(|(name, _)| name == "payload").expect("a payload").1;
    let payload: Value = serde_json::from_str(&payload).expect("JSON");
    assert_eq!(payload["type"], "block_actions");
    assert_eq!(
        payload["user"],
        json!({ "id": GUS, "username": "gus", "name": "gus", "team_id": slack::TEAM })
    );
    assert_eq!(payload["channel"], json!({ "id": DEPLOYS, "name": "deploys" }));
    assert_eq!(payload["actions"][0]["value"], "case/1 – é");
    assert_eq!(payload["actions"][0]["block_id"], asked.blocks[3]["block_id"]);
    assert_eq!(payload["message"]["ts"], asked.ts.as_str());
    assert_eq!(payload["container"]["message_ts"], asked.ts.as_str());
    assert_eq!(payload["message"]["reply_count"], 1);
    assert!(payload["response_url"].as_str().is_some_and(|url| url.starts_with(&slack.url())), "{payload}");
    assert_eq!(reply.thread_ts.as_deref(), Some(asked.ts.as_str()));

    let names = ["a", "b"].map(|name| slack.person(&format!("U9{name}"), Kind::Stranger));
    assert_ne!(names[0], names[1]);
    slack.clicking(&asked, "cancel", "U9a").org_wide("E0001").send().await;
    let (_, body) = came.lock().expect("what came").pop().expect("a click");
    let payload: Value =
        serde_json::from_str(&form_urlencoded::parse(&body).next().expect("a field").1).expect("JSON");
    assert_eq!((&payload["team"], &payload["enterprise"]["id"]), (&Value::Null, &json!("E0001")));
    assert_ne!(payload["user"]["team_id"], slack::TEAM, "a stranger is of another workspace");

    let sealed = slack.clicking(&asked, "cancel", ANA).seal();
    sealed.send().await;
    sealed.send().await;
    let came = came.lock().expect("what came");
    assert_eq!(came[0], came[1], "a replay is the same bytes");
}

#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "the message has no button rollback now")]
async fn nobody_clicks_what_is_gone() {
    let slack = opened().await;
    let asked = question(&slack).await;
    let change = json!({ "channel": DEPLOYS, "ts": asked.ts, "text": "done" });
    call(&slack, "chat.update", &change).await.expect("an answer");
    slack.click(&asked, "rollback", ANA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_client_clicks_what_it_still_shows() {
    let slack = opened().await;
    let came = product(&slack, "").await;
    let asked = question(&slack).await;
    let change = json!({ "channel": DEPLOYS, "ts": asked.ts, "text": "done" });
    call(&slack, "chat.update", &change).await.expect("an answer");
    let done = slack.wait_until("the change", &asked, |message| message.text == "done").await;
    assert_eq!((done.buttons().len(), done.versions.len()), (0, 2));
    assert!(slack.click_stale(&asked, "rollback", ANA).await.in_time());
    assert_eq!(came.lock().expect("what came").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whispers_are_seen_by_one_and_can_be_replaced() {
    let slack = opened().await;
    let came = product(&slack, "").await;
    let button =
        json!({ "type": "button", "action_id": "sure", "text": { "type": "plain_text", "text": "Yes" } });
    let asked = json!({ "channel": DEPLOYS, "user": ANA, "text": "Sure?", "blocks": [{ "type": "actions", "elements": [button] }] });
    call(&slack, "chat.postEphemeral", &asked).await.expect("an answer");
    let whisper = slack.wait_for_whisper(ANA, "a question", |whisper| whisper.text == "Sure?").await;
    assert_eq!(slack.rendered_whisper(&whisper), "[Yes]");
    assert!(slack.whispers_to(GUS).is_empty() && slack.messages().is_empty());
    assert!(slack.click_whisper(&whisper, "sure").await.in_time());
    let (_, body) = came.lock().expect("what came").pop().expect("a click");
    let payload: Value =
        serde_json::from_str(&form_urlencoded::parse(&body).next().expect("a field").1).expect("JSON");
    assert_eq!((&payload["container"]["is_ephemeral"], payload.get("message")), (&json!(true), None));

    let url = payload["response_url"].as_str().expect("a URL");
    let respond = async |said: Value| {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        client.post(url).json(&said).send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(respond(json!({ "text": "Done", "replace_original": true })).await, 200);
    assert_eq!(respond(json!({ "text": "For all", "response_type": "in_channel" })).await, 200);
    assert_eq!(respond(json!({ "text": "x", "blocks": [{ "type": "section" }] })).await, 400);
    assert_eq!(slack.rendered_whisper(&slack.whispers_to(ANA)[0]), "Done");
    assert_eq!(slack.messages()[0].text, "For all");
    assert_eq!(respond(json!({ "delete_original": true })).await, 200);
    assert!(slack.whispers_to(ANA).is_empty());
    slack.pass(31 * 60 * 1000);
    assert_eq!(respond(json!({ "text": "late" })).await, 404, "it lives half an hour");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_command_is_whispered() {
    let slack = opened().await;
    let came = product(&slack, r#"{"text": "1 &lt; 2"}"#).await;
    slack.channel("G0002OPS", "ops", Reach::Private);
    let answered = slack.command(ANA, "G0002OPS", "/snapback", "status “checkout”").await;
    assert!(answered.in_time(), "{answered:?}");
    let (_, body) = came.lock().expect("what came").pop().expect("a command");
    let field = |wanted: &str| {
        form_urlencoded::parse(&body).find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    assert_eq!(field("text").as_deref(), Some("status “checkout”"));
    assert_eq!(field("channel_name").as_deref(), Some("privategroup"));
    assert_eq!(field("is_enterprise_install").as_deref(), Some("false"));
    assert_eq!(slack.rendered_whisper(&slack.whispers_to(ANA)[0]), "1 < 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_reads_as_people_see_it() {
    let slack = opened().await;
    let asked = question(&slack).await;
    slack.say(ANA, DEPLOYS, "<!here> hold on, <#C0001DEPL>", Some(&asked.ts));
    let expected = "# checkout & cart\nAsked @ana of @sre: 1 < 2, see (https://example.com)\n----\n[Roll back] [Cancel]\n  until 09:14 UTC";
    assert_eq!(slack.thread(&asked.ts), [expected, "@here hold on, #deploys"]);
}
