//! A load of alerts: an HTTP client that does as little as it can, so that the server is what is measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::{Fault, TOKEN};

/// What Alertmanager really sent, with the time and three places that change from one to the next.
const CAPTURED: &str = include_str!("../../fixtures/alertmanager/firing-single.json");
/// Written over in each request: digits, so that its length stays.
const PLACE: &str = "0000000000";

/// Until when a load goes on.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    Passed(Duration),
    Sent(u64),
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) took: Duration,
}

impl Outcome {
    pub(crate) fn per_second(&self) -> f64 {
        self.accepted as f64 / self.took.as_secs_f64()
    }
}

/// Makes requests, no two alike: another instance, another fingerprint, one of the services.
pub(crate) struct Alerts {
    template: Vec<u8>,
    places: Vec<usize>,
    service: Vec<usize>,
    services: u64,
    next: AtomicU64,
}

impl Alerts {
    pub(crate) fn new(services: usize) -> Result<Arc<Alerts>, Fault> {
        let mut message: serde_json::Value = serde_json::from_str(CAPTURED)?;
        let started = jiff::Timestamp::now().to_string();
        message["alerts"][0]["startsAt"] = started.into();
        message["alerts"][0]["labels"]["instance"] = format!("10.0.{PLACE}").into();
        message["alerts"][0]["labels"]["service"] = "shop-SSS".into();
        message["alerts"][0]["fingerprint"] = format!("{PLACE}ffffff").into();
        message["groupKey"] = format!("{{}}:{{instance=\"{PLACE}\"}}").into();
        let body = message.to_string();
        let head = format!(
            "POST /v1/alerts/prometheus HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let template = head + &body;
        Ok(Arc::new(Alerts {
            places: template.match_indices(PLACE).map(|(at, _)| at).collect(),
            service: template.match_indices("SSS").map(|(at, _)| at).collect(),
            template: template.into_bytes(),
            services: services as u64,
            next: AtomicU64::new(0),
        }))
    }

    /// The next body, as it is stored.
    pub(crate) fn body(&self) -> Vec<u8> {
        let mut whole = Vec::new();
        self.write_next(&mut whole);
        let head = self.template.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
        whole.split_off(head)
    }

    fn write_next(&self, into: &mut Vec<u8>) -> u64 {
        let nth = self.next.fetch_add(1, Ordering::Relaxed);
        into.clear();
        into.extend_from_slice(&self.template);
        for at in &self.places {
            digits(&mut into[*at..*at + PLACE.len()], nth);
        }
        for at in &self.service {
            digits(&mut into[*at..*at + 3], nth % self.services);
        }
        nth
    }
}

fn digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Sends alerts over so many connections, each with one request under way, from one thread of its own.
pub(crate) fn send(
    to: SocketAddr,
    connections: usize,
    alerts: &Arc<Alerts>,
    until: Until,
) -> Result<Outcome, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut streams = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(to).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let begun = Instant::now();
        let left = Arc::new(AtomicU64::new(match until {
            Until::Sent(count) => count,
            Until::Passed(_) => u64::MAX,
        }));
        let end = match until {
            Until::Passed(time) => Some(begun + time),
            Until::Sent(_) => None,
        };
        let conversations: Vec<_> = streams
            .into_iter()
            .map(|stream| tokio::spawn(converse(stream, Arc::clone(alerts), Arc::clone(&left), end)))
            .collect();
        let (mut accepted, mut refused) = (0, 0);
        for conversation in conversations {
            let (good, bad) = conversation.await?.map_err(|cause| format!("a connection ended: {cause}"))?;
            accepted += good;
            refused += bad;
        }
        Ok(Outcome { accepted, refused, took: begun.elapsed() })
    })
}

/// Sends so many alerts a second over so many connections, until told to stop.
pub(crate) fn send_paced(
    to: SocketAddr,
    connections: u32,
    per_second: u32,
    alerts: &Arc<Alerts>,
    stop: &Arc<AtomicBool>,
) -> Result<Outcome, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let begun = Instant::now();
        let mut conversations = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(to).await?;
            stream.set_nodelay(true)?;
            let (alerts, stop) = (Arc::clone(alerts), Arc::clone(stop));
            conversations.push(tokio::spawn(pace(
                stream,
                alerts,
                stop,
                Duration::from_secs(1) * connections / per_second,
            )));
        }
        let (mut accepted, mut refused) = (0, 0);
        for conversation in conversations {
            let (good, bad) = conversation.await?.map_err(|cause| format!("a connection ended: {cause}"))?;
            accepted += good;
            refused += bad;
        }
        Ok(Outcome { accepted, refused, took: begun.elapsed() })
    })
}

async fn pace(
    mut stream: TcpStream,
    alerts: Arc<Alerts>,
    stop: Arc<AtomicBool>,
    every: Duration,
) -> std::io::Result<(u64, u64)> {
    let mut ticks = tokio::time::interval(every);
    let (mut accepted, mut refused) = (0, 0);
    let (mut request, mut answer) = (Vec::new(), vec![0; 4096]);
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        if exchange(&mut stream, &alerts, &mut request, &mut answer).await? {
            accepted += 1
        } else {
            refused += 1
        }
    }
    Ok((accepted, refused))
}

/// One request and its answer; whether it was accepted.
async fn exchange(
    stream: &mut TcpStream,
    alerts: &Alerts,
    request: &mut Vec<u8>,
    answer: &mut [u8],
) -> std::io::Result<bool> {
    alerts.write_next(request);
    stream.write_all(request).await?;
    let mut filled = 0;
    while !is_whole(&answer[..filled]) {
        let read = stream.read(&mut answer[filled..]).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        filled += read;
    }
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}

async fn converse(
    mut stream: TcpStream,
    alerts: Arc<Alerts>,
    left: Arc<AtomicU64>,
    end: Option<Instant>,
) -> std::io::Result<(u64, u64)> {
    let (mut accepted, mut refused) = (0, 0);
    let (mut request, mut answer) = (Vec::new(), vec![0; 4096]);
    while end.is_none_or(|end| Instant::now() < end) {
        if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
            break;
        }
        if exchange(&mut stream, &alerts, &mut request, &mut answer).await? {
            accepted += 1
        } else {
            refused += 1
        }
    }
    Ok((accepted, refused))
}

/// An answer of ours has a length and fits into one buffer.
fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&answer[..head]);
    let length = text.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    length.is_some_and(|length| answer.len() >= head + 4 + length)
}
