//! The gate as it passes in the one transaction that writes an intent: the truth on disk is asked, the attempt
//! leaves its row, and only after the commit a permit is made. Nobody else makes permits. What the gate asks is
//! `case::gate`.

use rusqlite::Transaction;

use super::audit::{ActRow, Rows};
use super::sqlite::{Doing, SqlError};
use super::stamp;
use crate::case::event::Event;
use crate::case::gate::{GateAsk, WIRE_DEADLINE, Why, gate, record};
use crate::case::id::CaseId;
use crate::case::permit::Permit;
use crate::case::standing::{ActRecord, Standing, StandingEvent};
use crate::case::turn::{Gated, Turn};

/// Asks the gate for each of the turn's asks, in order, each seeing what those before it spent.
pub(super) fn pass(
    tx: &Transaction<'_>,
    standing: &mut Standing,
    turn: &Turn,
    height: u64,
    acts: &mut Rows,
) -> Result<Vec<Result<(), Why>>, SqlError> {
    let mut answers = Vec::with_capacity(turn.gates.len());
    for ask in &turn.gates {
        let answer = match gate(standing, ask, turn.at) {
            Ok(()) => on_record(tx, ask)?,
            Err(why) => Err(why),
        };
        if answer.is_ok() {
            let act = record(ask, turn.at);
            insert(tx, &act, ask.order.mark.as_str(), height, acts)?;
            standing.apply(&StandingEvent::Acted(act));
        }
        answers.push(answer);
    }
    Ok(answers)
}

/// What the table of acts says: it remembers for ever what the standing forgets after a day.
fn on_record(tx: &Transaction<'_>, ask: &GateAsk) -> Result<Result<(), Why>, SqlError> {
    let doing = "look up earlier acts";
    let order = &ask.order;
    let tried: bool = tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM acts WHERE case_id = ?1 AND step = ?2 AND attempt >= ?3)",
        )
        .and_then(|mut look| {
            look.query_row((order.case.as_str(), order.step.0, order.attempt), |row| row.get(0))
        })
        .doing(doing)?;
    if tried {
        return Ok(Err(Why::AttemptsSpent));
    }
    let Some(suspect) = ask.suspect.as_ref().filter(|_| is_the_automatic_act(ask)) else {
        return Ok(Ok(()));
    };
    let acted: bool = tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM acts WHERE service = ?1 AND suspect = ?2
             AND automatic = 1 AND case_id <> ?3)",
        )
        .and_then(|mut look| {
            look.query_row((order.service.as_str(), suspect.as_str(), order.case.as_str()), |row| row.get(0))
        })
        .doing(doing)?;
    Ok(if acted { Err(Why::AlreadyActed) } else { Ok(()) })
}

/// The one that a suspect may have once: the first that its provider is asked for.
fn is_the_automatic_act(ask: &GateAsk) -> bool {
    ask.automatic && !ask.rehearsal && ask.first_act
}

fn insert(
    tx: &Transaction<'_>,
    act: &ActRecord,
    mark: &str,
    height: u64,
    acts: &mut Rows,
) -> Result<(), SqlError> {
    let row = ActRow {
        at: stamp(act.at),
        service: act.service.as_str(),
        suspect: act.suspect.as_ref().map(|suspect| suspect.as_str()),
        case: act.case.as_str(),
        step: i64::from(act.step.0),
        attempt: i64::from(act.attempt),
        class: act.class.letter(),
        automatic: act.automatic,
        mark,
    };
    let number = tx
        .prepare_cached(
            "INSERT INTO acts (height, at, service, suspect, case_id, step, attempt, class, automatic, mark)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )
        .and_then(|mut insert| {
            insert.insert((
                height,
                row.at,
                row.service,
                row.suspect,
                row.case,
                row.step,
                row.attempt,
                row.class,
                row.automatic,
                row.mark,
            ))
        })
        .doing("record an attempt")?;
    acts.act(number.unsigned_abs(), &row);
    Ok(())
}

/// The case whose attempt passed although the turn does not hold its intent: nothing may leave on that.
pub(super) fn without_intent(settled: &Turn, answers: &[Result<(), Why>]) -> Option<CaseId> {
    let passed = settled.gates.iter().zip(answers).filter(|(_, answer)| answer.is_ok());
    passed.map(|(ask, _)| &ask.order).find_map(|order| {
        let intent = Event::Intended { step: order.step, attempt: order.attempt };
        let holds = settled
            .changes
            .iter()
            .filter(|change| change.dossier.service == order.case.service())
            .flat_map(|change| &change.events)
            .any(|(case, stamped)| case.as_ref() == Some(&order.case) && stamped.event == intent);
        (!holds).then(|| order.case.clone())
    })
}

/// The answers, once they are on disk: each that passed is a permit.
pub(super) fn permits(committed: &Turn, answers: Vec<Result<(), Why>>) -> Vec<Gated> {
    let asks = committed.gates.iter().zip(answers);
    asks.map(|(ask, answer)| match answer {
        Ok(()) => {
            let mut order = ask.order.clone();
            order.intended_at = committed.at;
            Gated::Passed(Permit::committed(order, committed.at + WIRE_DEADLINE))
        }
        Err(why) => Gated::Barred(ask.order.case.clone(), why),
    })
    .collect()
}
