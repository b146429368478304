//! What Flagger is answered: yes while an act that is meant for its canary is under way, by what is stored, and the provider agrees that it
//! is about what Flagger analyses now. Leaves the door to `intake`.

use std::sync::Arc;

use tokio::sync::watch;

use super::previews::Sources;
use crate::case::id::ServiceId;
use crate::case::phase::Phase;
use crate::case::step::Act;
use crate::engine::rim::Rim;
use crate::execute::{Provider, Site, Target};
use crate::intake::{FlaggerGate, GoBack};
use crate::journal::reader::{ReadError, Reader};

/// The gate over what is stored.
pub(super) fn gate(reader: Reader, sources: watch::Receiver<Sources>) -> FlaggerGate {
    Arc::new(move |namespace, canary| {
        let reader = reader.clone();
        let (rim, _) = sources.borrow().clone();
        Box::pin(async move {
            for (service, provider) in who_lives_in(&rim, &namespace) {
                let reader = reader.clone();
                let read = tokio::task::spawn_blocking(move || under_way(&reader, &service)).await;
                let Ok(Ok(act)) = read else { return GoBack::Unread };
                let named = |act: &Act| act.arguments.get("canary") == Some(&canary);
                let Some(act) = act.filter(named) else { continue };
                match provider.flagger_shall_go_back(&act).await {
                    Ok(true) => return GoBack::Yes,
                    Ok(false) => {}
                    Err(_) => return GoBack::Unread,
                }
            }
            GoBack::No
        })
    })
}

/// The services that are workloads there.
fn who_lives_in(rim: &Rim, namespace: &str) -> Vec<(ServiceId, Arc<Provider>)> {
    let lives =
        |target: &Target| matches!(&target.site, Site::Kubernetes(site) if site.namespace == namespace);
    let services = rim.services.iter().filter(|(_, (_, target))| lives(target));
    services.map(|(service, (provider, _))| (service.clone(), provider.clone())).collect()
}

/// The act of a service's case that was begun and is not over.
fn under_way(reader: &Reader, service: &ServiceId) -> Result<Option<Act>, ReadError> {
    let Some(case) = reader.dossier(service)?.and_then(|dossier| dossier.open) else { return Ok(None) };
    let (Phase::Intended { step, .. } | Phase::Running { step, .. }) = &case.phase else { return Ok(None) };
    Ok(case.plan.as_ref().and_then(|plan| plan.step(*step)).map(|step| step.act.clone()))
}
