//! A preview: what a rollback by hand would be, walked through by the core itself on a copy of the service's dossier that nobody
//! keeps. The provider is only read. So what is shown is what would be asked, for the same reasons.

use std::sync::Arc;
use std::time::Duration;

use crate::case::command::{Ask, Command, Ending, Input};
use crate::case::companion::{ALONE, Neighbour, Neighbours};
use crate::case::dossier::Dossier;
use crate::case::event::Event;
use crate::case::id::ServiceId;
use crate::case::live::Live;
use crate::case::phase::Phase;
use crate::case::plan::Plan;
use crate::case::scribe::View;
use crate::case::settings::ServiceSettings;
use crate::case::standing::Standing;
use crate::case::turn::Disposition;
use crate::engine::arrival::Arrival;
use crate::engine::desk::DeskSettings;
use crate::engine::errand::Errand;
use crate::engine::rim::{Rim, carry_out};

/// Whoever asks waits so long; our own client gives up two seconds later.
const WITHIN: Duration = Duration::from_secs(8);
/// A reading of the provider, a proposal, and as many again, beside one of each companion: what needs more does not end.
const ROUNDS_MAX: usize = 4;

/// What the core looks at beside the dossier.
#[derive(Clone)]
pub struct Surroundings {
    /// Providers, to be read.
    pub rim: Arc<Rim>,
    /// Settings, policies and rules.
    pub settings: Arc<DeskSettings>,
    /// Pause and hold.
    pub standing: Standing,
    /// What is stored of the services that go back together with it.
    pub companions: Vec<Dossier>,
}

/// The plan that this request would lead to.
///
/// # Errors
/// What the request would be answered, where it leads to no plan.
pub async fn preview(dossier: Dossier, ask: Ask, with: &Surroundings) -> Result<Arc<Plan>, Disposition> {
    let walked = tokio::time::timeout(WITHIN, walk(dossier, ask, with)).await;
    walked.unwrap_or_else(|_| Err(no_plan("the provider did not answer in time")))
}

async fn walk(mut dossier: Dossier, ask: Ask, with: &Surroundings) -> Result<Arc<Plan>, Disposition> {
    let Some(settings) = with.settings.services.get(&dossier.service).cloned() else {
        return Err(no_plan("the service is not configured"));
    };
    let mut live = Live::new(with.rim.clock.now());
    let mut neighbours = neighbours(&settings, with);
    let mut input = Input::Asked(ask);
    for _ in 0..ROUNDS_MAX + settings.with.len() {
        let view = view(&settings, with, &live, &neighbours);
        let answers = dossier.take(&input, &view).dispositions;
        if let Some(refused) = answers.into_iter().find(|answer| !matches!(answer, Disposition::Done(_))) {
            return Err(refused);
        }
        let Some(case) = dossier.open.as_deref() else { return Err(no_plan(&ended(&dossier))) };
        if let (Phase::AwaitingApproval { .. }, Some(plan)) = (&case.phase, &case.plan) {
            return Ok(plan.clone());
        }
        let reads = dossier.next(&view).into_iter().find_map(read);
        let Some(errand) = reads else { return Err(no_plan("it would wait for something else first")) };
        match carry_out(errand, with.rim.clone()).await {
            Arrival::Ended(Command::Describe(of), ending) if of != dossier.service => {
                see(&mut neighbours, &of, *ending, with);
                input = Input::Tick;
            }
            Arrival::Ended(command, ending) => {
                if let Ending::Described(picture) = &*ending {
                    live.see(picture);
                }
                input = Input::Ended(command, *ending);
            }
            Arrival::Unreadable(of, why) => {
                return Err(no_plan(&format!("the provider of {of} cannot be read: {why}")));
            }
            Arrival::Delivery { .. }
            | Arrival::To(..)
            | Arrival::Moved(_)
            | Arrival::Standing(_)
            | Arrival::Roster(_) => {
                return Err(no_plan("the provider was not read"));
            }
        }
    }
    Err(no_plan("it comes to no plan"))
}

fn view<'a>(
    settings: &'a ServiceSettings,
    with: &'a Surroundings,
    live: &'a Live,
    neighbours: &'a Neighbours,
) -> View<'a> {
    View {
        settings,
        shared: &with.settings.shared,
        rules: &with.settings.rules,
        standing: &with.standing,
        live,
        neighbours,
        in_hands_of: None,
        now: with.rim.clock.now(),
    }
}

/// The companions as they are stored; what serves there is read when it is asked for.
fn neighbours(settings: &ServiceSettings, with: &Surroundings) -> Neighbours {
    let known = settings.with.iter().filter_map(|id| Some((id, with.settings.services.get(id)?)));
    let neighbour = |(id, settings): (&ServiceId, &Arc<ServiceSettings>)| {
        let stored = with.companions.iter().find(|dossier| dossier.service == *id).cloned();
        let neighbour = Neighbour {
            dossier: Arc::new(stored.unwrap_or_else(|| Dossier::new(id.clone()))),
            live: Live::new(with.rim.clock.now()),
            settings: settings.clone(),
            in_hands_of: None,
        };
        (id.clone(), neighbour)
    };
    known.map(neighbour).collect()
}

/// Lets a companion take its picture.
fn see(neighbours: &mut Neighbours, of: &ServiceId, ending: Ending, with: &Surroundings) {
    let Some(neighbour) = neighbours.get_mut(of) else { return };
    if let Ending::Described(picture) = &ending {
        neighbour.live.see(picture);
    }
    let Neighbour { dossier, live, settings, .. } = neighbour;
    let input = Input::Ended(Command::Describe(of.clone()), ending);
    Arc::make_mut(dossier).take(&input, &view(settings, with, live, &ALONE));
}

/// The errand of a command that only reads the provider.
fn read(command: Command) -> Option<Errand> {
    match command {
        Command::Describe(service) => Some(Errand::Describe(service)),
        Command::Propose(choice) => Some(Errand::Propose(choice)),
        Command::Collect(_)
        | Command::RollCall(..)
        | Command::Begin(..)
        | Command::Find(..)
        | Command::Watch(..)
        | Command::Say(..)
        | Command::Show(_)
        | Command::Onset(..)
        | Command::Probe(..)
        | Command::Page(..) => None,
    }
}

/// Why the case that the request opened is over already.
#[expect(clippy::wildcard_enum_match_arm, reason = "one event is looked for")]
fn ended(dossier: &Dossier) -> String {
    let events = dossier.telling.last().map(|case| case.events.as_slice()).unwrap_or_default();
    let why = events.iter().rev().find_map(|stamped| match &stamped.event {
        Event::Closed { why, .. } => Some(why.clone()),
        _ => None,
    });
    why.unwrap_or_else(|| "it would end at once".to_owned())
}

fn no_plan(why: &str) -> Disposition {
    Disposition::Conflict(format!("there is no plan: {why}"))
}
