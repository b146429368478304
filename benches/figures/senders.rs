//! What senders' bodies cost: one message of 10,000 alerts to the real binary.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use crate::Figure;
use crate::footprint::RULES;
use crate::load::Alerts;
use crate::stage::{Fault, Stage, TOKEN};

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
    Ok(vec![
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
    ])
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
