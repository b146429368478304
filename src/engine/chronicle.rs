//! The chronicle: what a turn that is on disk leaves in the log and in the metrics. Each step of a case is one line that
//! holds its id, so that a case can be followed through the log; texts of senders are in the notes alone, which the voice
//! makes harmless.

use crate::case::command::Command;
use crate::case::event::{Event, Stamped};
use crate::case::id::{Attempt, CaseId, ServiceId, StepNo};
use crate::case::standing::StandingEvent;
use crate::case::step::Doer;
use crate::case::turn::Turn;
use crate::engine::desk::{Arrival, Desk};
use crate::engine::rim::Rim;
use crate::execute::Provider;
use crate::telemetry::label::{self, Answered, PageEnd};
use crate::telemetry::metrics::Metrics;

/// Takes note of an arrival: of the end of an act's one request, or of a page.
pub(super) fn arrived(arrival: &Arrival, desk: &Desk, rim: &Rim, metrics: &Metrics) {
    let Arrival::Ended(command, ending) = arrival else { return };
    if let Some(how) = PageEnd::of(command, ending) {
        metrics.page_ended(how);
    }
    if let Some(how) = Answered::of(command, ending) {
        metrics.act_ended(hand(command, desk, rim), how);
    }
}

/// Takes note of a turn that is on disk.
pub(super) fn committed(turn: &Turn, rim: &Rim, metrics: &Metrics) {
    metrics.committed(turn, |service| kind(rim, service));
    turn.standing.iter().for_each(of_all);
    for change in &turn.changes {
        for (case, stamped) in &change.events {
            if let Some(case) = case {
                log(case, &change.dossier.service, stamped);
            }
        }
    }
}

/// Whoever did the step that a command began.
fn hand(command: &Command, desk: &Desk, rim: &Rim) -> label::Provider {
    let Command::Begin(case, step) = command else { return label::Provider::Gone };
    let service = case.service();
    match desk.service(&service).and_then(|(dossier, _)| dossier.doer(*step)) {
        Some(Doer::User) => label::Provider::Step,
        Some(Doer::Provider(of)) => kind(rim, of),
        Some(Doer::Ledger(_)) | None => kind(rim, &service),
    }
}

fn kind(rim: &Rim, service: &ServiceId) -> label::Provider {
    match rim.services.get(service).map(|(provider, _)| &**provider) {
        Some(Provider::Directory(_)) => label::Provider::Directory,
        Some(Provider::CodeDeploy(_)) => label::Provider::CodeDeploy,
        Some(Provider::Kubernetes(_)) => label::Provider::Kubernetes,
        Some(Provider::Helm(_)) => label::Provider::Helm,
        Some(Provider::ArgoCd(_)) => label::Provider::ArgoCd,
        Some(Provider::Spinnaker(_)) => label::Provider::Spinnaker,
        Some(Provider::GitHub(_)) => label::Provider::GitHub,
        Some(Provider::Own(provider)) if provider.kind() == "http" => label::Provider::Http,
        Some(Provider::Own(_)) => label::Provider::Command,
        None => label::Provider::Gone,
    }
}

/// What changed for everything, and is not told where somebody asked for it.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others are told by cases, by answers and by the API")]
fn of_all(event: &StandingEvent) {
    match event {
        StandingEvent::FellSilent { source, silence } => {
            let services = silence.services.join(", ");
            tracing::warn!(%source, since = %silence.since, services, "a source is silent: two of its heartbeats are missed, and trouble that it would tell of is not heard");
        }
        StandingEvent::HeardAgain { source, .. } => {
            tracing::info!(%source, "a source that was silent is heard again");
        }
        _ => {}
    }
}

/// One line for each event of a case, with the fields that other lines about the same thing have.
fn log(case: &CaseId, service: &ServiceId, stamped: &Stamped) {
    let facts = Facts::of(&stamped.event);
    tracing::info!(
        case.id = %case,
        service = %service,
        event = stamped.event.word(),
        at = %stamped.at,
        step = facts.step.map(|step| step.0),
        attempt = facts.attempt,
        note = facts.note,
        verdict = facts.verdict,
        outcome = facts.outcome,
        "{}",
        stamped.event.word().replace('_', " ")
    );
}

/// What an event says in words of ours.
#[derive(Default)]
struct Facts {
    step: Option<StepNo>,
    attempt: Option<Attempt>,
    note: Option<u32>,
    verdict: Option<&'static str>,
    outcome: Option<&'static str>,
}

impl Facts {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other events have none of these")]
    fn of(event: &Event) -> Facts {
        let at = |step: &StepNo| Facts { step: Some(*step), ..Facts::default() };
        match event {
            Event::Readied { step, attempt, .. } | Event::Intended { step, attempt } => {
                Facts { attempt: Some(*attempt), ..at(step) }
            }
            Event::Barred { step, .. }
            | Event::Looked { step }
            | Event::Accepted { step, .. }
            | Event::Absent { step }
            | Event::NotSent { step }
            | Event::StepFailed { step, .. }
            | Event::StepDone { step, .. }
            | Event::NextStep { step }
            | Event::NeedsHuman { step, .. } => at(step),
            Event::Weighed(decision) => Facts { verdict: Some(decision.verdict.word()), ..Facts::default() },
            Event::Closed { outcome, .. } => Facts { outcome: Some(outcome.word()), ..Facts::default() },
            Event::Said { note, .. } => Facts { note: Some(note.0), ..Facts::default() },
            _ => Facts::default(),
        }
    }
}
