//! The people of the pretend workspace: their clicks and commands in Slack's form, and what they see.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use serde_json::{Value, json};

use super::slack::knock::signature;
use super::slack::{BOT_USER, DEPLOYS, Kind, Reach, TEAM, Workspace};
use super::{ANA, GUS, call, opened, question};

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
    assert_eq!(payload["user"], json!({ "id": GUS, "username": "gus", "name": "gus", "team_id": TEAM }));
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
    assert_ne!(payload["user"]["team_id"], TEAM, "a stranger is of another workspace");

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
