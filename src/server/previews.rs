//! Previews, wired: what a rollback by hand would be, for whoever asks the server; and, where the server is away, for whoever
//! sits at a machine that has its configuration. Changes nothing, neither at the provider nor in the store.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

use super::handout::Handout;
use crate::admin;
use crate::case::command::{Ask, Authority, Wish};
use crate::case::dossier::Dossier;
use crate::case::id::{PersonId, ReleaseId, ServiceId};
use crate::case::plan::Plan;
use crate::case::standing::Standing;
use crate::case::step::{Doer, Step};
use crate::case::turn::Disposition;
use crate::clock::Clock;
use crate::config::Settings;
use crate::engine::desk::DeskSettings;
use crate::engine::preview::{Surroundings, preview};
use crate::engine::rim::Rim;
use crate::journal::reader::{ReadError, Reader};
use crate::report::Voice;

/// Each reads a provider: more at once are refused, and asked for again.
const AT_ONCE: usize = 4;

/// What previews read, in force now.
pub(super) type Sources = (Arc<Rim>, Arc<DeskSettings>);

/// Previews for the admin API.
pub(super) fn previews(reader: Reader, sources: watch::Receiver<Sources>) -> admin::Previews {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    Arc::new(move |service, ask| {
        let (reader, slots) = (reader.clone(), slots.clone());
        let (rim, settings) = sources.borrow().clone();
        Box::pin(async move {
            let Ok(_slot) = slots.try_acquire() else {
                return Err(Disposition::Conflict("too many plans are looked for: ask again".into()));
            };
            let with = companions(&settings, &service);
            let read = tokio::task::spawn_blocking(move || stored(&reader, service, &with)).await;
            let Ok(Ok((dossier, companions, standing))) = read else {
                return Err(Disposition::Conflict("the store cannot be read now: ask again".into()));
            };
            preview(dossier, ask, &Surroundings { rim, settings, standing, companions }).await
        })
    })
}

/// What goes back together with it.
fn companions(settings: &DeskSettings, service: &ServiceId) -> Vec<ServiceId> {
    settings.services.get(service).map(|known| known.with.clone()).unwrap_or_default()
}

fn stored(
    reader: &Reader,
    service: ServiceId,
    with: &[ServiceId],
) -> Result<(Dossier, Vec<Dossier>, Standing), ReadError> {
    let dossier = reader.dossier(&service)?.unwrap_or_else(|| Dossier::new(service));
    let companions = with.iter().filter_map(|id| reader.dossier(id).transpose()).collect::<Result<_, _>>()?;
    Ok((dossier, companions, reader.standing()?))
}

/// What a person can do by the provider's own tools, where the server is away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByHand {
    /// What goes out, or why that could not be found out.
    pub says: String,
    /// The commands, in order, each one line of a POSIX shell; where nothing could be planned, the words in capitals are for a
    /// person to fill in.
    pub commands: Vec<String>,
    /// They are the steps of a plan.
    pub planned: bool,
    /// The server's own store told which release was good; without it the provider's history alone did.
    pub by_store: bool,
}

/// The plan as the server would make it, by what this machine can read, in the commands of the provider's own tools.
///
/// # Errors
/// When the service is not configured here.
pub async fn by_hand(
    settings: Settings,
    service: &ServiceId,
    to: Option<ReleaseId>,
    reason: &str,
) -> Result<ByHand, String> {
    let store = settings.store.path.clone();
    let handout = Handout::new(settings, Voice::log(crate::report::log::Log::structured()));
    let (rim, settings) = (handout.rim(), handout.desk());
    let wanted: Vec<ServiceId> =
        std::iter::once(service.clone()).chain(companions(&settings, service)).collect();
    let kept = tokio::task::spawn_blocking(move || {
        let reader = store.exists().then(|| Reader::open(&store).ok()).flatten();
        let of = |id: &ServiceId| reader.as_ref()?.dossier(id).ok()?;
        wanted.iter().filter_map(of).collect::<Vec<Dossier>>()
    });
    let mut companions = kept.await.unwrap_or_default();
    let own = companions.iter().position(|dossier| dossier.service == *service);
    let kept = own.map(|own| companions.remove(own));
    let by_store = kept.is_some();
    let Some((provider, target)) = rim.services.get(service).cloned() else {
        return Err(format!("no service {service} is configured here"));
    };
    // A case that is open, a pause and a hold are the server's; whoever acts without it acts beside them.
    let dossier = Dossier { open: None, ..kept.unwrap_or_else(|| Dossier::new(service.clone())) };
    let what = Wish::Rollback { to: to.clone(), reason: reason.to_owned(), shown: None };
    let (by, at) = (PersonId::new("by hand"), Clock.now());
    let ask = Ask { by, at, groups: BTreeSet::new(), authority: Authority::Operator, what };
    let with = Surroundings { rim: rim.clone(), settings, standing: Standing::default(), companions };
    let planned = preview(dossier, ask, &with).await;
    let commands = |plan: &Plan| -> Result<Vec<String>, String> {
        let line = |step: &Step| match &step.doer {
            Doer::Provider(of) => {
                let (provider, _) = rim.services.get(of)?;
                let to = plan.with.iter().find(|one| one.service == *of).map_or(&plan.to, |one| &one.to);
                Some(provider.by_hand(&step.act, &to.id, reason))
            }
            Doer::User => {
                Some(crate::execute::step::by_hand(&step.act, service, (&plan.from.id, &plan.to.id)))
            }
            Doer::Ledger(_) => None,
        };
        plan.steps.iter().filter_map(line).collect()
    };
    let unplanned = |why: String| ByHand {
        says: why,
        commands: provider.by_hand_unplanned(&target, to.as_ref(), reason),
        planned: false,
        by_store,
    };
    Ok(match planned {
        Ok(plan) => match commands(&plan) {
            Ok(commands) => {
                let says = crate::case::words::from_to(&plan);
                ByHand { says, commands, planned: true, by_store }
            }
            Err(why) => unplanned(why),
        },
        Err(Disposition::Conflict(why) | Disposition::Forbidden(why)) => unplanned(why),
        Err(_) => unplanned("there is no plan".to_owned()),
    })
}
