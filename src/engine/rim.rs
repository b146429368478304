//! The rim: where errands are carried out, and how each ended. It asks again at pace until there is an answer, and is
//! cut from outside when nothing lists the command any more. A mutation is never asked twice here.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::case::command::{Command, Ending, Progress};
use crate::case::id::{Handle, ServiceId, Timestamp};
use crate::case::permit::Permit;
use crate::case::plan::Choice;
use crate::case::step::Order;
use crate::case::words::Note;
use crate::clock::{Clock, pause_until, sleep};
use crate::engine::desk::Arrival;
use crate::engine::errand::Errand;
use crate::engine::pace::Pace;
use crate::execute::{Provider, Sighting, Target};
use crate::outbound::Trouble;
use crate::report::Voice;
use crate::report::rollcall::Rollcall;

/// A provider's history is read so far back: longer than any service's `max_back` age by default, and bounded.
const HISTORY: crate::case::id::Duration = crate::case::id::Duration::from_hours(30 * 24);

/// A failure is told in so many characters: a reason, and the ends of a few logs.
const EVIDENCE_MAX: usize = 2000;

/// Everything that errands reach.
pub struct Rim {
    /// Providers and places of the services.
    pub services: BTreeMap<ServiceId, (Arc<Provider>, Target)>,
    /// Who says notes.
    pub voice: Arc<Voice>,
    /// Who knows who belongs to which group.
    pub rollcall: Rollcall,
    /// The time.
    pub clock: Clock,
}

/// Carries out one errand to its end.
pub(super) async fn carry_out(errand: Errand, rim: Arc<Rim>) -> Arrival {
    let command = errand.command();
    match errand {
        Errand::Describe(service) => describe(&rim, service).await,
        Errand::Propose(choice) => ended(command, propose(&rim, &choice).await),
        Errand::RollCall(_, groups) => {
            let roster = rim.rollcall.read(&groups, rim.clock.now());
            ended(command, Ending::Roster(roster))
        }
        Errand::Begin(permit) => ended(command, begin(&rim, permit).await),
        Errand::Find(order) => ended(command, find(&rim, &order).await),
        Errand::Watch(order, handle) => ended(command, watch(&rim, &order, &handle).await),
        Errand::Say(note) => ended(command, say(&rim, &note).await),
    }
}

fn ended(command: Command, ending: Ending) -> Arrival {
    Arrival::Ended(command, Box::new(ending))
}

async fn describe(rim: &Rim, service: ServiceId) -> Arrival {
    let Some((provider, target)) = rim.services.get(&service) else {
        return Arrival::Unreadable(service, "the service is not configured any more".into());
    };
    let since = rim.clock.now().checked_sub(HISTORY).unwrap_or(Timestamp::MIN);
    match provider.describe(target, since).await {
        Ok(picture) => ended(Command::Describe(service), Ending::Described(Box::new(picture))),
        Err(trouble) => {
            let why = trouble.to_string();
            tracing::warn!(service = %service, provider = provider.kind(), error = %why, "the provider could not be read");
            Arrival::Unreadable(service, why)
        }
    }
}

async fn propose(rim: &Rim, choice: &Choice) -> Ending {
    let Some((provider, target)) = rim.services.get(&choice.service) else {
        return Ending::Refused("the service is not configured any more".into());
    };
    let mut pace = Pace::after_trouble();
    loop {
        match provider.propose(target, &choice.from, &choice.to).await {
            Ok(proposal) => return Ending::Proposed(proposal),
            Err(Trouble::Refused(why) | Trouble::Moved(why)) => return Ending::Refused(why),
            Err(Trouble::Busy { after, .. }) => sleep(pace.wait(after.map(|wait| wait.unsigned_abs()))).await,
            Err(Trouble::Unclear(_)) => sleep(pace.wait(None)).await,
        }
    }
}

/// Sends the one request. Whatever the answer, no second one leaves under this permit.
async fn begin(rim: &Rim, permit: Permit) -> Ending {
    let order = permit.order().clone();
    let Some((provider, _)) = rim.services.get(&order.service) else { return Ending::NotSent };
    if rim.clock.now() >= permit.wire_deadline() {
        return Ending::NotSent;
    }
    let kind = provider.kind();
    tracing::info!(case.id = %order.case, service = %order.service, provider = kind, step = order.step.0, attempt = order.attempt, "begin");
    match provider.begin(permit).await {
        Ok(handle) => Ending::Accepted(handle),
        Err(Trouble::Refused(why)) => Ending::Refused(why),
        Err(Trouble::Moved(what)) => Ending::Moved(what),
        Err(Trouble::Busy { after, why }) => {
            tracing::info!(case.id = %order.case, service = %order.service, provider = kind, step = order.step.0, attempt = order.attempt, %why, "not sent; the gate is asked again");
            // Surely not sent. The gate is asked again, later each time, and not sooner than the other side wishes.
            sleep(Pace::nth(u32::from(order.attempt), after.map(|wait| wait.unsigned_abs()))).await;
            Ending::NotSent
        }
        Err(Trouble::Unclear(error)) => {
            tracing::warn!(case.id = %order.case, service = %order.service, provider = kind, step = order.step.0, attempt = order.attempt, error = %error, "whether the request took effect is not known");
            Ending::Unclear(error.to_string())
        }
    }
}

async fn find(rim: &Rim, order: &Order) -> Ending {
    let Some((provider, _)) = rim.services.get(&order.service) else {
        return Ending::Unclear("the service is not configured any more".into());
    };
    let mut pace = Pace::after_trouble();
    loop {
        // A search that found nothing is followed by another one: the wait is between the two.
        sleep(pace.wait(None)).await;
        match provider.find(order).await {
            Ok(Sighting::Found(handle)) => return Ending::Found(handle),
            Ok(Sighting::Absent) => return Ending::Absent,
            Ok(Sighting::TooEarly(until)) => {
                pause_until(&rim.clock, until, std::time::Duration::from_secs(60)).await;
            }
            Err(Trouble::Moved(what)) => return Ending::Moved(what),
            Err(Trouble::Busy { after, .. }) => sleep(pace.wait(after.map(|wait| wait.unsigned_abs()))).await,
            Err(Trouble::Refused(_) | Trouble::Unclear(_)) => {}
        }
    }
}

async fn watch(rim: &Rim, order: &Order, handle: &Handle) -> Ending {
    let Some((provider, _)) = rim.services.get(&order.service) else {
        return Ending::Unclear("the service is not configured any more".into());
    };
    let mut pace = Pace::of_watching();
    loop {
        match provider.watch(handle).await {
            Ok(Progress::Running(_)) | Err(Trouble::Busy { .. } | Trouble::Unclear(_)) => {}
            Ok(Progress::Failed(why)) => {
                return Ending::Progress(Progress::Failed(with_evidence(provider, order, handle, why).await));
            }
            Ok(progress) => return Ending::Progress(progress),
            Err(Trouble::Moved(what)) => return Ending::Moved(what),
            Err(Trouble::Refused(why)) => return Ending::Refused(why),
        }
        sleep(pace.wait(None)).await;
    }
}

/// Why work failed, with what the provider shows of it, where it can be read: people need it beside the failure.
async fn with_evidence(provider: &Provider, order: &Order, handle: &Handle, why: String) -> String {
    match provider.evidence(handle).await {
        Ok(exhibits) => {
            let shown: Vec<String> =
                exhibits.iter().map(|exhibit| format!("{}: {}", exhibit.name, exhibit.text)).collect();
            let text = std::iter::once(why).chain(shown).collect::<Vec<_>>().join("; ");
            text.chars().take(EVIDENCE_MAX).collect()
        }
        Err(trouble) => {
            tracing::warn!(case.id = %order.case, service = %order.service, provider = provider.kind(), step = order.step.0, attempt = order.attempt, error = %trouble, "what the provider shows of the failure cannot be read");
            why
        }
    }
}

async fn say(rim: &Rim, note: &Note) -> Ending {
    let mut pace = Pace::after_trouble();
    loop {
        match rim.voice.say(note).await {
            Ok(place) => return Ending::Said(place),
            Err(trouble) => {
                tracing::warn!(case.id = %note.case, service = %note.case.service(), note = note.number.0, error = %trouble, "a note could not be said");
                sleep(pace.wait(None)).await;
            }
        }
    }
}
