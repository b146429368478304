//! The doors of senders: a test message of each kind, proved as its sender proves it, through the true listener. It is stored and put
//! aside like the sender's own tests. Leaves out whom only its sender can play.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use aws_lc_rs::hmac;
use reqwest::{Client, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::admin::shapes::CheckShape;
use crate::config::{self, Credential, Settings};

/// Our own listener answers in much less.
const WITHIN: Duration = Duration::from_secs(5);

/// Tries every source and feed.
pub(super) async fn doors(settings: &Settings, public: SocketAddr) -> Vec<CheckShape> {
    let scheme = if settings.server.tls.is_some() { "https" } else { "http" };
    let base = format!("{scheme}://{}", reachable(public));
    // This very process answers; its certificate names what others call it, and is looked at elsewhere.
    let client = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(WITHIN)
        .tls_certs_only([])
        .tls_danger_accept_invalid_certs(true)
        .build();
    let client = match client {
        Ok(client) => client,
        Err(error) => return vec![CheckShape::ill("source", "all", error.to_string(), "see the log")],
    };
    let mut found = Vec::new();
    for source in &settings.sources {
        let (url, name) = (format!("{base}/v1/alerts/{}", source.name), source.name.as_str());
        let message = of_source(&source.kind);
        found.push(door(&client, "source", name, &url, message, source.credential.as_ref()).await);
    }
    for feed in &settings.feeds {
        let name = feed.name.as_str().trim_start_matches("@feeds/");
        let url = format!("{base}/v1/deployments/{name}");
        found.push(door(&client, "feed", name, &url, of_feed(&feed.kind), feed.credential.as_ref()).await);
    }
    found
}

/// A listener on all addresses is reached on this machine's own.
fn reachable(public: SocketAddr) -> SocketAddr {
    let ip = match public.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V4(_) | IpAddr::V6(_) => public.ip(),
    };
    SocketAddr::new(ip, public.port())
}

/// What each kind of sender sends when it tests, or the next step where only it can.
fn of_source(kind: &config::SourceKind) -> Result<Value, &'static str> {
    let id = fresh();
    let no_alerts =
        json!({ "version": "4", "status": "firing", "receiver": "doctor", "groupKey": id, "alerts": [] });
    match kind {
        config::SourceKind::Alertmanager | config::SourceKind::Grafana => Ok(no_alerts),
        config::SourceKind::PagerDuty => Ok(json!({ "event": {
            "id": id, "event_type": "pagey.ping", "resource_type": "pagey",
            "occurred_at": "2026-01-01T00:00:00Z", "data": { "message": "doctor", "type": "ping" },
        } })),
        config::SourceKind::EventBridge => Ok(json!({
            "id": id, "detail-type": "Snapback Doctor", "source": "snapback",
            "time": "2026-01-01T00:00:00Z", "resources": [], "detail": {},
        })),
        config::SourceKind::Sns(_) => {
            Err("AWS alone can sign for its topics: publish a message there, and look for it in the log")
        }
        config::SourceKind::Datadog => {
            Err("press *Test notifications* in a monitor there: what says [TEST] is put aside")
        }
        config::SourceKind::NewRelic => Err(
            "press *Send test notification* in the workflow there, while mode = \"shadow\": it is taken for a real one",
        ),
        config::SourceKind::Generic(_) => Err(
            "send one of its messages by hand, while mode = \"shadow\": it is taken for a real one; docs/senders/generic.md",
        ),
    }
}

/// A name that no test before had: the same bytes again would be answered as seen, and not be stored.
fn fresh() -> String {
    format!("snapback-doctor-{}", crate::clock::Clock.now().as_nanosecond())
}

fn of_feed(kind: &config::FeedKind) -> Result<Value, &'static str> {
    match kind {
        config::FeedKind::GitHub => {
            Ok(json!({ "zen": fresh(), "hook_id": 1, "hook": { "type": "Repository" } }))
        }
        config::FeedKind::Generic => Ok(json!([])),
        config::FeedKind::CodeDeployEvents => Ok(json!({
            "id": fresh(), "detail-type": "Snapback Doctor", "source": "snapback",
            "time": "2026-01-01T00:00:00Z", "resources": [], "detail": {},
        })),
        config::FeedKind::CodeDeployTriggers(_) => {
            Err("AWS alone can sign for its topics: publish a message there, and look for it in the log")
        }
        config::FeedKind::ArgoCd => Err("let a notification be sent there: docs/feeds/argocd.md"),
        config::FeedKind::CdEvents => Err("let its sender send an event: docs/feeds/cdevents.md"),
    }
}

async fn door(
    client: &Client,
    area: &str,
    name: &str,
    url: &str,
    message: Result<Value, &'static str>,
    credential: Option<&Credential>,
) -> CheckShape {
    let message = match message {
        Ok(message) => message.to_string(),
        Err(next) => return CheckShape::left_out(area, name, "only its sender can send a test", next),
    };
    let post = client.post(url).header("Content-Type", "application/json");
    let Some(proved) = credential.and_then(|credential| proved(post, credential, &message)) else {
        let next = "see where its secret comes from, with `snapback check`";
        return CheckShape::ill(area, name, "what proves it is not there", next);
    };
    match proved.body(message).send().await {
        Ok(answer) if answer.status().is_success() => {
            // What is seen for the second time has no number.
            let said: Value = answer.json().await.unwrap_or_default();
            let became = match said["delivery"].is_null() {
                true => "the same came before, and was not stored again",
                false => "is stored",
            };
            CheckShape::well(area, name, format!("a test message came in by its door, and {became}"))
        }
        Ok(answer) => {
            let status = answer.status();
            let said = answer.text().await.unwrap_or_default();
            let said: String = said.chars().take(300).collect();
            CheckShape::ill(
                area,
                name,
                format!("its door answers {status}: {said}"),
                "see the log of the server",
            )
        }
        Err(error) => CheckShape::ill(
            area,
            name,
            format!("its door cannot be reached: {}", error.without_url()),
            "see `server.listen`, and what limits connections to it",
        ),
    }
}

/// Shows what proves the sender, by its first secret.
fn proved(post: RequestBuilder, credential: &Credential, body: &str) -> Option<RequestBuilder> {
    let first = |secrets: &[config::Secret]| {
        secrets.iter().find_map(|secret| secret.value.as_ref().map(|value| value.expose_secret().to_owned()))
    };
    match credential {
        Credential::Bearer(tokens) => Some(post.bearer_auth(first(tokens)?)),
        Credential::Basic { user, passwords } => Some(post.basic_auth(user, Some(first(passwords)?))),
        // What senders sign is in each one's page: the bytes of the body, in hexadecimal.
        Credential::Signed { secrets, signature_header, timestamp_header, prefix } => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, first(secrets)?.as_bytes());
            let now = crate::clock::Clock.now().as_second().to_string();
            let text = match timestamp_header {
                Some(_) => format!("{now}:{body}"),
                None => body.to_owned(),
            };
            let tag = hmac::sign(&key, text.as_bytes());
            let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            let post = timestamp_header.iter().fold(post, |post, header| post.header(header, &now));
            let prefix = prefix.clone().unwrap_or_default();
            Some(match signature_header {
                Some(header) => post.header(header, format!("{prefix}{hex}")),
                // Each reads its own and leaves the others alone.
                None => post
                    .header("X-PagerDuty-Signature", format!("v1={hex}"))
                    .header("X-Grafana-Alerting-Signature", &hex)
                    .header("X-Hub-Signature-256", format!("sha256={hex}")),
            })
        }
    }
}
