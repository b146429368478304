//! The pretend Slack workspace by itself: Slack's own library drives it and reads what it says, and the faults that tests
//! order come as they were ordered. What Snapback does with it is in other files.
//!
//! `scripts/test` installs slack_sdk and sets SNAPBACK_TEST_PYTHON; without it, `cargo test` says that this was left out.

#[path = "slack_workspace/by_slack_sdk.rs"]
mod by_slack_sdk;
#[path = "slack_workspace/people.rs"]
mod people;
mod slack;

use std::sync::Arc;

use serde_json::{Value, json};
use snapback::case::id::Timestamp;

use slack::knock::signature;
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

/// A status, a `Retry-After` and an answer, or why there is none.
type Answered = Result<(u16, Option<u32>, Value), String>;

/// Calls a method as a client does; gives the status, the `Retry-After` and the answer, or why there is none.
async fn call(slack: &Workspace, method: &str, body: &Value) -> Answered {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(slack::DEADLINE).build().expect("a client");
    let request = client.post(format!("{}/{method}", slack.api_url())).bearer_auth(slack.token()).json(body);
    let answer = request.header("content-type", "application/json; charset=utf-8").send().await;
    let answer = answer.map_err(|_| "no connection")?;
    let status = answer.status().as_u16();
    let after = answer.headers().get("retry-after").and_then(|after| after.to_str().ok()?.parse().ok());
    let body = answer.bytes().await.map_err(|error| error.to_string())?;
    Ok((status, after, serde_json::from_slice(&body).unwrap_or_default()))
}

/// Posts meanwhile.
fn posts(slack: &Arc<Workspace>) -> tokio::task::JoinHandle<Answered> {
    let slack = Arc::clone(slack);
    tokio::spawn(async move { call(&slack, "chat.postMessage", &hello()).await })
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
    let waiting = posts(&slack);
    gate.reached().await;
    assert!(!waiting.is_finished());
    assert_eq!(slack.messages().len(), 1, "it is done before the answer leaves");
    gate.open();
    assert_eq!(waiting.await.expect("it ends").expect("an answer").2["ok"], true);

    let gate = slack.late("chat.postMessage");
    let gives_up = posts(&slack);
    gate.reached().await;
    gives_up.abort();
    assert_eq!(slack.messages().len(), 1);
    gate.open();
    slack.wait_for("the late message", |state| (state.messages.len() == 2).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_hangs_was_done_or_not() {
    let slack = opened().await;
    slack.fault("chat.postMessage", 1, &Fault::HangsAfter);
    let waiting = posts(&slack);
    slack.wait_for_message("what was done", |message| message.text == "hello").await;
    slack.fault("chat.postMessage", 1, &Fault::HangsBefore);
    let also_waiting = posts(&slack);
    slack.wait_for_calls("chat.postMessage", 2).await;
    // A third is answered, and the first two still wait.
    assert_eq!(call(&slack, "chat.postMessage", &hello()).await.expect("an answer").2["ok"], true);
    assert!(!waiting.is_finished() && !also_waiting.is_finished());
    assert_eq!(slack.messages().len(), 2);
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
