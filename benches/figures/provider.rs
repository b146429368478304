//! How soon CodeDeploy is called after an alert was received: our own time, with no countdown, against the pretend
//! service of the tests on this machine; idle, and while 1,000 other alerts a second come in.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Figure;
use crate::aws::Aws;
use crate::aws::behind::s3;
use crate::aws::codedeploy::Group;
use crate::load::{self, Alerts};
use crate::stage::{Fault, Stage, TOKEN};

/// Services that are rolled back, one after another, for each of the two figures.
const SAMPLES: usize = 100;
/// Other alerts a second, for the second figure.
const BESIDE: u32 = 1000;
/// A call that does not come within this does not come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const RULES: &str = r#"[[rule]]
name = "take it back"
match = ['alertname="Broken"']
action = "rollback"
countdown = "0s"

[[rule]]
name = "others"
action = "ignore"
"#;

pub(crate) fn measure() -> Result<Vec<Figure>, Fault> {
    let aws = Aws::real();
    let url = aws.listen();
    for nth in 0..2 * SAMPLES {
        furnish(&aws, &application(nth));
    }
    let stage = Stage::with(RULES, &config(&url, 2 * SAMPLES, |_| String::new()))?;
    let _serving = stage.serve()?;
    let idle = samples(&stage, &aws, 0..SAMPLES)?;
    let stop = Arc::new(AtomicBool::new(false));
    let beside = std::thread::spawn({
        let (stop, listen, alerts) = (stop.clone(), stage.listen, Alerts::new(10)?);
        move || load::send_paced(listen, 16, BESIDE, &alerts, &stop).map_err(|fault| fault.to_string())
    });
    // It runs before anything is timed beside it.
    std::thread::sleep(Duration::from_secs(1));
    let busy = samples(&stage, &aws, SAMPLES..2 * SAMPLES);
    stop.store(true, Ordering::Relaxed);
    let sent = beside.join().map_err(|_| "the load panicked")??;
    let busy = busy?;
    let figure =
        |key, times: &[f64], share: f64, says: String| Figure::new(key, quantile(times, share), says);
    let alone = format!(
        "from the alert's post to CodeDeploy's receipt of CreateDeployment, {SAMPLES} services, idle"
    );
    let beside = format!("the same while {:.0} other alerts a second are accepted", sent.per_second());
    Ok(vec![
        figure("to_provider_ms_p50", &idle, 0.5, alone.clone()),
        figure("to_provider_ms_p99", &idle, 0.99, alone),
        figure("to_provider_1000_ms_p50", &busy, 0.5, beside.clone()),
        figure("to_provider_1000_ms_p99", &busy, 0.99, beside),
    ])
}

pub(crate) fn application(nth: usize) -> String {
    format!("app-{nth:03}")
}

/// Release 1 for two hours, release 2 for two minutes.
pub(crate) fn furnish(aws: &Aws, application: &str) {
    let now = aws.now();
    let mut state = aws.state();
    state.group(application, "production", Group::server());
    for (number, seconds) in [(1, 7200), (2, 120)] {
        let at = now - jiff::SignedDuration::from_secs(seconds);
        state.deploy(
            application,
            "production",
            s3(&format!("{number}.zip"), Some(&format!("v{number}"))),
            at,
        );
    }
}

fn samples(stage: &Stage, aws: &Aws, of: std::ops::Range<usize>) -> Result<Vec<f64>, Fault> {
    let mut times = Vec::new();
    for nth in of {
        let heard = aws.hear("CreateDeployment");
        let begun = Instant::now();
        post(stage, &application(nth))?;
        heard
            .recv_timeout(PATIENCE)
            .map_err(|_| format!("CodeDeploy was not called for {}", application(nth)))?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(((last as f64) * share).round() as usize).copied().unwrap_or(0.0)
}

pub(crate) fn post(stage: &Stage, service: &str) -> Result<(), Fault> {
    let started = jiff::Timestamp::now().to_string();
    let labels = json!({ "alertname": "Broken", "service": service, "environment": "production" });
    let body = json!({
        "version": "4", "groupKey": "{}", "truncatedAlerts": 0, "status": "firing", "receiver": "s",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "",
        "alerts": [{ "status": "firing", "labels": labels, "annotations": {}, "startsAt": started,
                     "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": service }],
    })
    .to_string();
    let mut stream = TcpStream::connect(stage.listen)?;
    write!(
        stream,
        "POST /v1/alerts/prometheus HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") {
        Ok(())
    } else {
        Err(format!("the alert was refused: {answer}").into())
    }
}

/// So many services at CodeDeploy, each with more keys of its own, and those that other alerts are about.
pub(crate) fn config(url: &str, services: usize, more: impl Fn(usize) -> String) -> String {
    let mut text = format!(
        r#"[guards]
clock_skew = "1s"
budget_per_service = {{ day = 1000 }}
budget = {{ day = 1000 }}
shared_outage = {{ services = 1000, within = "5m" }}
[sources.prometheus]
kind = "alertmanager"
bearer_token = {{ file = "token" }}
services = ["*@production"]
lag = "1s"
[providers.aws]
kind = "codedeploy"
region = "eu-west-1"
endpoint_url = "{url}"
"#
    );
    for nth in 0..services {
        let (name, more) = (application(nth), more(nth));
        text.push_str(&format!(
            "[[service]]\nname = \"{name}\"\nenvironment = \"production\"\nprovider = \"aws\"\ninherit_good = true\nmigrations = \"none\"\ntarget = {{ application = \"{name}\", deployment_group = \"production\" }}\n{more}"
        ));
    }
    for nth in 0..10 {
        let name = format!("shop-{nth:03}");
        text.push_str(&format!(
            "[[service]]\nname = \"{name}\"\nenvironment = \"production\"\nprovider = \"hosts\"\ntarget = {{ root = \"srv/{name}\" }}\n"
        ));
    }
    text.push_str("[providers.hosts]\nkind = \"directory\"\n");
    text
}
