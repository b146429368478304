//! What senders' bodies cost: the proof and the parse of each sender's usual one, and one message of 10,000 alerts to the real
//! binary.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::hmac;
use bytes::Bytes;
use hyper::header::HeaderMap;
use secrecy::SecretString;
use snapback::case::id::{SourceName, Timestamp};
use snapback::intake::{
    self, Certificates, Confirm, Credential, Scheme, Secret, Sns, SourceKind, SourceSettings, Versions,
};

use crate::Figure;
use crate::footprint::RULES;
use crate::judging::median;
use crate::load::Alerts;
use crate::signing::{FILE, Signer, TOPIC};
use crate::stage::{Fault, Stage, TOKEN};

/// The median of so many rounds, each of so many bodies.
const ROUNDS: usize = 5;
const TIMES: u32 = 2000;

/// As many as a group of Alertmanager's may well have where `max_alerts` is not set.
const ALERTS: usize = 10_000;
const SERVICES: usize = 10;

pub(crate) fn measure() -> Result<Vec<Figure>, Fault> {
    let stage = Stage::new(SERVICES, RULES)?;
    let serving = stage.serve()?;
    let body = whole_group()?;
    let begun = Instant::now();
    let status = post(stage.listen, &body)?;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    if status != 200 {
        return Err(format!("10,000 alerts were answered {status}").into());
    }
    serving.decided()?;
    let most = serving.most_resident_mb()?;
    let megabytes = body.len() as f64 / 1e6;
    let mut figures = proofs()?;
    figures.extend([
        Figure::new(
            "alerts_10k_ms",
            took,
            format!(
                "10,000 alerts in one body of {megabytes:.1} MB, from the first byte to the answer: stored"
            ),
        )
        .under(2000.0),
        Figure::new("alerts_10k_mb", most, "the most that the binary held meanwhile, until all were judged")
            .under(200.0),
    ]);
    Ok(figures)
}

/// Each sender's usual body, proved and parsed so many times; the median of the rounds.
fn proofs() -> Result<Vec<Figure>, Fault> {
    let signer = Signer::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sample = |path: &str| std::fs::read(format!("{}/fixtures/{path}", env!("CARGO_MANIFEST_DIR")));
    let message = String::from_utf8(sample("cloudwatch/metric-alarm.message.json")?)?;
    let at: Timestamp = "2026-03-02T09:15:00Z".parse()?;
    let certificates = Certificates::laid_down([(FILE, signer.pem.as_bytes())]);
    let sns = Credential::Sns {
        proof: Arc::new(Sns::new([TOPIC.to_owned()].into(), Versions::Both, certificates)),
        confirm: Arc::new(Confirm::new(false, None)),
    };
    let secret = || vec![Secret::Loaded(SecretString::from("a-secret-of-the-bench"))];
    let signed = |scheme| Credential::Signed { scheme, secrets: secret() };
    let bearer = || Credential::Bearer(secret());
    let grafana = Scheme::Grafana { signature: Scheme::GRAFANA, timestamp: None };
    let envelope = signer.notification(&message, "2026-03-02T09:14:21.000Z").to_string().into_bytes();
    let cases: [(&'static str, SourceKind, Credential, Vec<u8>); 9] = [
        (
            "proof_us_alertmanager",
            SourceKind::Alertmanager,
            bearer(),
            sample("alertmanager/firing-single.json")?,
        ),
        (
            "proof_us_grafana",
            SourceKind::Grafana,
            signed(grafana),
            sample("grafana/mixed-firing-resolved-v12.json")?,
        ),
        (
            "proof_us_pagerduty",
            SourceKind::PagerDuty,
            signed(Scheme::PagerDuty),
            sample("pagerduty/incident-triggered.json")?,
        ),
        ("proof_us_sns", SourceKind::Sns, sns, envelope),
        (
            "proof_us_eventbridge",
            SourceKind::EventBridge,
            bearer(),
            sample("cloudwatch/eventbridge-metric-alarm.json")?,
        ),
        ("proof_us_datadog", SourceKind::Datadog, bearer(), sample("datadog/recommended-triggered.json")?),
        ("proof_us_newrelic", SourceKind::NewRelic, bearer(), sample("newrelic/real-activated.json")?),
        (
            "proof_us_github",
            SourceKind::GitHub,
            signed(Scheme::GitHub),
            sample("github/deployment_status.json")?,
        ),
        ("proof_us_cdevents", SourceKind::CdEvents, bearer(), sample("cdevents/service_deployed.json")?),
    ];
    let mut figures = Vec::new();
    for (key, kind, credential, body) in cases {
        let headers = headers(&credential, &body)?;
        let settings = SourceSettings {
            kind,
            credential,
            lag: jiff::SignedDuration::from_mins(5),
            tally: Arc::default(),
        };
        let body = Bytes::from(body);
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            for _ in 0..TIMES {
                let proven = runtime.block_on(settings.credential.prove(&headers, body.clone(), at));
                let proven = proven.map_err(|problem| format!("{key}: {}", problem.name()))?;
                let content = intake::reread(&SourceName::new("bench"), &settings, at, proven.into_inner());
                if let Some(why) = std::hint::black_box(&content).dead() {
                    return Err(format!("{key}: {why}").into());
                }
            }
            rounds.push(begun.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES));
        }
        let says = format!("proof and parse of its usual body, {} bytes", body.len());
        let figure = Figure::new(key, median(rounds), says);
        figures.push(if key == "proof_us_sns" { figure.under(200.0) } else { figure });
    }
    Ok(figures)
}

/// What its sender shows with this body.
fn headers(credential: &Credential, body: &[u8]) -> Result<HeaderMap, Fault> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"a-secret-of-the-bench");
    let hex: String = hmac::sign(&key, body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let (name, value) = match credential {
        Credential::Signed { scheme: Scheme::PagerDuty, .. } => {
            ("x-pagerduty-signature", format!("v1={hex}"))
        }
        Credential::Signed { scheme: Scheme::GitHub, .. } => ("x-hub-signature-256", format!("sha256={hex}")),
        Credential::Signed { scheme: Scheme::Grafana { .. } | Scheme::Header { .. }, .. } => {
            ("x-grafana-alerting-signature", hex)
        }
        Credential::Bearer(_) | Credential::Basic { .. } | Credential::Sns { .. } => {
            ("authorization", "Bearer a-secret-of-the-bench".to_owned())
        }
    };
    let mut headers = HeaderMap::new();
    headers.insert(name, value.parse()?);
    Ok(headers)
}

/// One message that lists 10,000 different alerts of the usual size.
fn whole_group() -> Result<Vec<u8>, Fault> {
    let alerts = Alerts::new(SERVICES)?;
    let mut group: serde_json::Value = serde_json::from_slice(&alerts.body())?;
    let mut listed = Vec::with_capacity(ALERTS);
    for _ in 0..ALERTS {
        let mut one: serde_json::Value = serde_json::from_slice(&alerts.body())?;
        listed.push(one["alerts"][0].take());
    }
    group["alerts"] = listed.into();
    Ok(serde_json::to_vec(&group)?)
}

fn post(to: SocketAddr, body: &[u8]) -> Result<u16, Fault> {
    let mut stream = TcpStream::connect(to)?;
    let head = format!(
        "POST /v1/alerts/prometheus HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.split(' ').nth(1).ok_or("an answer without a status")?.parse()?)
}
