//! What the real binary holds in memory, idle and after a flood, and how soon it serves over a large store.

use crate::Figure;
use crate::load::{self, Alerts, Until};
use crate::stage::{Fault, Stage};

/// Each fills with as many episodes as it may have; every further service so filled adds some 2 MB.
const SERVICES: usize = 10;
const ALERTS: u64 = 100_000;
const EVENTS: u64 = 100_000;

/// A row that looks at every alert of the flood.
pub(crate) const RULES: &str =
    "[[rule]]\nname = \"critical\"\nmatch = ['severity=\"critical\"']\naction = \"rollback\"\n";

pub(crate) fn measure() -> Result<Vec<Figure>, Fault> {
    let stage = Stage::new(SERVICES, RULES)?;
    let serving = stage.serve()?;
    let idle = serving.resident_mb()?;
    let alerts = Alerts::new(SERVICES)?;
    let outcome = load::send(stage.listen, 64, &alerts, Until::Sent(ALERTS))?;
    serving.decided()?;
    let flooded = serving.resident_mb()?;
    // Killed, not stopped: the next start finds the log as it was.
    drop(serving);
    let events = fill(&stage)?;
    let again = stage.serve()?;
    let started = again.ready_after.as_secs_f64() * 1e3;
    Ok(vec![
        Figure::new("idle_rss_mb", idle, format!("the binary with {SERVICES} services, just started"))
            .under(30.0),
        Figure::new(
            "rss_after_100k_mb",
            flooded,
            format!(
                "after {} different alerts over {SERVICES} services were accepted and decided, {} refused",
                outcome.accepted, outcome.refused
            ),
        )
        .under(100.0),
        Figure::new(
            "startup_100k_ms",
            started,
            format!(
                "from the start, after a kill, over a store of {events} events and {} deliveries, to ready",
                outcome.accepted
            ),
        )
        .under(1000.0),
    ])
}

/// Copies events until the store holds as many as the goal speaks of; a start does not verify the audit, so that
/// copies weigh as much as what was written.
fn fill(stage: &Stage) -> Result<u64, Fault> {
    let store = rusqlite::Connection::open(stage.folder().join("data/snapback.db"))?;
    loop {
        let events: u64 = store.query_row("SELECT count(*) FROM events", [], |row| row.get(0))?;
        if events >= EVENTS {
            return Ok(events);
        }
        if events == 0 {
            return Err("the flood left no event to copy".into());
        }
        store.execute(
            "INSERT INTO events (at, service, case_id, body) SELECT at, service, case_id, body FROM events LIMIT ?1",
            [EVENTS - events],
        )?;
    }
}
