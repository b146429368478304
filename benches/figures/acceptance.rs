//! How fast alerts are accepted durably, beside the same listener without storage and beside the disk itself.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use snapback::case::id::{DeliveryId, SourceName};
use snapback::clock::Clock;
use snapback::intake::{
    self, Credential, Intake, IntakeSettings, Limits, Secret, SourceKind, SourceSettings,
};
use snapback::journal::inbox::{Inbox, Received};
use tokio::sync::watch;

use crate::Figure;
use crate::footprint::RULES;
use crate::judging::median;
use crate::load::{self, Alerts, Until};
use crate::stage::{Fault, Stage, TOKEN};

/// Makes this program the listener without storage.
pub(crate) const BARE: &str = "--bare-listener";

const SERVICES: usize = 50;
/// Each round measures both listeners and the disk one after the other, so that what else the machine does meets
/// all of them; the median of the rounds counts.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);
const WARM: Duration = Duration::from_millis(500);
/// So many bodies for each sync: what one commit holds at 64 connections.
const FLOOR_BATCH: usize = 64;

pub(crate) fn measure() -> Result<Vec<Figure>, Fault> {
    let stage = Stage::new(SERVICES, RULES)?;
    let serving = stage.serve()?;
    let bare = Bare::start()?;
    let alerts = Alerts::new(SERVICES)?;
    let mut rounds: [Vec<f64>; 6] = Default::default();
    for _ in 0..ROUNDS {
        let durable_64 = speed(stage.listen, 64, &alerts)?;
        let bare_64 = speed(bare.address, 64, &alerts)?;
        let durable_256 = speed(stage.listen, 256, &alerts)?;
        let bare_256 = speed(bare.address, 256, &alerts)?;
        let floor = floor(&stage, &alerts)?;
        serving.decided()?;
        for (kept, value) in rounds.iter_mut().zip([
            durable_64,
            durable_64 / bare_64,
            durable_64 / floor,
            durable_256,
            durable_256 / bare_256,
            floor,
        ]) {
            kept.push(value);
        }
    }
    let [durable_64, ratio_64, of_floor, durable_256, ratio_256, floor] = rounds.map(median);
    // Half of the bare listener, or 0.8 of the disk, whichever is lower.
    let goal_64 = (0.8 * ratio_64 / of_floor).min(0.5);
    Ok(vec![
        Figure::new(
            "fsync_floor_per_s",
            floor,
            "plain append and fdatasync of the same bodies, 64 at a time",
        ),
        Figure::new(
            "accept_per_s_64",
            durable_64,
            "alerts stored, synced and answered over 64 connections, and judged beside",
        ),
        Figure::new(
            "accept_ratio_64",
            ratio_64,
            format!("of the same listener without storage; {of_floor:.2} of the disk's own speed"),
        )
        .at_least(goal_64),
        Figure::new(
            "accept_ratio_256",
            ratio_256,
            format!("the same over 256 connections ({durable_256:.0} a second)"),
        )
        .at_least(0.5),
    ])
}

fn speed(listener: SocketAddr, connections: usize, alerts: &Arc<Alerts>) -> Result<f64, Fault> {
    load::send(listener, connections, alerts, Until::Passed(WARM))?;
    let outcome = load::send(listener, connections, alerts, Until::Passed(ROUND))?;
    if outcome.refused > 0 {
        return Err(format!(
            "{} of {} alerts were refused",
            outcome.refused,
            outcome.accepted + outcome.refused
        )
        .into());
    }
    Ok(outcome.per_second())
}

/// Bodies a second that the disk itself takes, where nothing is done but appending and syncing them.
fn floor(stage: &Stage, alerts: &Alerts) -> Result<f64, Fault> {
    let mut file = std::fs::File::create(stage.folder().join("floor"))?;
    let bodies: Vec<Vec<u8>> = (0..4096).map(|_| alerts.body()).collect();
    let begun = Instant::now();
    let mut count = 0u64;
    while begun.elapsed() < ROUND {
        for batch in bodies.chunks(FLOOR_BATCH) {
            for body in batch {
                file.write_all(body)?;
            }
            file.sync_data()?;
            count += batch.len() as u64;
            if begun.elapsed() >= ROUND {
                break;
            }
        }
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// The listener without storage, in a process of its own like the real one.
struct Bare {
    child: Child,
    address: SocketAddr,
}

impl Bare {
    fn start() -> Result<Bare, Fault> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(BARE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("no output")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line)?;
        let address = line.trim().parse()?;
        Ok(Bare { child, address })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same accept loop, routes, proof, parsing and inbox; whoever empties the inbox answers at once.
pub(crate) fn serve_bare() -> Result<(), Fault> {
    let runtime = tokio::runtime::Runtime::new()?;
    let (inbox, mut arrivals) = Inbox::new();
    std::thread::spawn(move || {
        let emptying = async {
            let (mut batch, mut next) = (Vec::new(), 1);
            while arrivals.take(&mut batch, 512).await > 0 {
                for (id, arrival) in (next..).map(DeliveryId).zip(batch.drain(..)) {
                    next = id.0 + 1;
                    arrival.answer(Ok(Received::New(id)));
                }
            }
        };
        if let Ok(own) = tokio::runtime::Builder::new_current_thread().build() {
            own.block_on(emptying);
        }
    });
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let (_, settings) = watch::channel(Arc::new(settings()));
        let (_stop, stopped) = watch::channel(false);
        let limits = Arc::new(settings.borrow().limits.clone());
        let intake = Intake::new(settings, inbox, Arc::new(|| Ok(())), Arc::new(|| Clock.now()));
        intake::serve(listener, intake.router(), limits, stopped).await;
        Ok(())
    })
}

fn settings() -> IntakeSettings {
    let source = SourceSettings {
        kind: SourceKind::Alertmanager,
        credential: Credential::Bearer(vec![Secret::Loaded(SecretString::from(TOKEN))]),
        lag: jiff::SignedDuration::from_mins(5),
        tally: Arc::default(),
    };
    IntakeSettings {
        sources: [(SourceName::new("prometheus"), source)].into(),
        limits: Limits { per_address: 2000, ..Limits::default() },
        ..IntakeSettings::default()
    }
}
