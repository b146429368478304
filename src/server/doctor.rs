//! The doctor: everything that is connected, tried for real and without effect, so that people know before the night. Owns what is
//! looked at and in which order; each room tries its own things.

mod chat;
mod doors;
mod surroundings;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use self::chat::{Clicks, chat};
use crate::admin::shapes::CheckShape;
use crate::admin::{self, Readiness, Status};
use crate::case::id::{GroupName, Timestamp};
use crate::case::probe::Health;
use crate::case::readiness::obstacles;
use crate::clock::Clock;
use crate::config::{self, Settings};
use crate::engine::rim::Rim;
use crate::journal::reader::{ReadError, Reader};
use crate::probe::Probe;
use crate::report::Voice;
use crate::report::log::Log;
use crate::server::chat::Press;
use crate::server::handout::Handout;

/// One reading of everything at a time: it posts to chats, and asks every provider.
const AT_ONCE: usize = 1;
/// So many providers are asked at once: one that hangs keeps no other waiting, and nobody is flooded.
const PROVIDERS_AT_ONCE: usize = 8;
/// One thing may take so long; what hangs longer is ill.
const WITHIN: Duration = Duration::from_secs(15);
/// So far may clocks differ before orders of moments are wrong.
const CLOCKS_APART_MAX: i64 = 10;

/// What the doctor looks at, in force now.
#[derive(Clone)]
pub(super) struct Patient {
    pub(super) settings: Arc<Settings>,
    pub(super) rim: Arc<Rim>,
}

/// What stays for as long as the process runs.
pub(super) struct Ward {
    /// Where senders reach us.
    pub(super) public: SocketAddr,
    pub(super) reader: Reader,
    pub(super) readiness: Readiness,
    pub(super) status: watch::Receiver<Arc<Status>>,
    pub(super) presses: watch::Receiver<Press>,
}

/// The doctor, for the admin API. It goes on when whoever asked goes away: what it posted is taken away again.
pub(super) fn doctor(ward: Ward, patients: watch::Receiver<Patient>) -> admin::Doctor {
    let (ward, slots) = (Arc::new(ward), Arc::new(Semaphore::new(AT_ONCE)));
    Arc::new(move |click| {
        let slot = Arc::clone(&slots).try_acquire_owned().ok()?;
        let (ward, patient) = (Arc::clone(&ward), patients.borrow().clone());
        let clicks = click.map_or(Clicks::NotAsked, |within| Clicks::Asked(within, ward.presses.clone()));
        let looking = tokio::spawn(async move {
            let found = look(&ward, &patient, clicks).await;
            drop(slot);
            found
        });
        Some(Box::pin(async {
            looking.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
        }))
    })
}

async fn look(ward: &Ward, patient: &Patient, clicks: Clicks) -> Vec<CheckShape> {
    let mut found = vec![configuration(ward)];
    if let Err(why) = (ward.readiness)() {
        found.push(CheckShape::ill(
            "store",
            "writer",
            format!("nothing can be stored: {why}"),
            "see the disk",
        ));
    }
    found.extend(doors::doors(&patient.settings, ward.public).await);
    found.extend(heartbeats(ward, patient));
    found.extend(services(ward, patient).await);
    found.extend(connected(patient, clicks).await);
    found
}

/// What needs no running server: who is asked, all at once, and what lies below.
async fn connected(patient: &Patient, clicks: Clicks) -> Vec<CheckShape> {
    let mut found = surroundings::store(&patient.settings).await;
    found.extend(surroundings::certificate(&patient.settings));
    let (lags, providers, probes, chat, groups, pagers) = tokio::join!(
        lags(patient),
        providers(patient),
        probes(patient),
        chat(patient, clicks),
        groups(patient),
        pagers(patient),
    );
    found.extend([lags, providers, probes, chat, groups, pagers].into_iter().flatten());
    found.extend(surroundings::circles(&patient.settings));
    found
}

/// Tries what needs no running server, and says what it left out.
pub async fn examine(settings: Settings) -> Vec<CheckShape> {
    let handout = Handout::new(settings, Voice::log(Log::structured()));
    let patient = Patient { settings: handout.settings(), rim: handout.rim() };
    let mut found = connected(&patient, Clicks::Unheard).await;
    let next = "start the server, and ask again";
    for (area, why) in [
        ("source", "their doors are the running server's"),
        ("feed", "their doors are the running server's"),
        ("heartbeat", "the running server listens to them"),
        ("readiness", "the running server reads the providers"),
    ] {
        found.push(CheckShape::left_out(area, "all", why, next));
    }
    found
}

fn configuration(ward: &Ward) -> CheckShape {
    match &ward.status.borrow().config_error {
        Some(fault) => CheckShape::ill(
            "configuration",
            "on disk",
            format!("it is faulty, and the one before stays in force: {fault}"),
            "see `snapback check`",
        ),
        None => CheckShape::well("configuration", "on disk", "it is the one in force"),
    }
}

/// Whether the silence of each source can be seen, and is.
fn heartbeats(ward: &Ward, patient: &Patient) -> Vec<CheckShape> {
    let silent = ward.reader.standing().map(|standing| standing.silent).unwrap_or_default();
    let of = |source: &config::SourceSettings| {
        let name = source.name.as_str();
        match (silent.get(&source.name), &source.heartbeat) {
            (Some(silence), _) => CheckShape::ill(
                "heartbeat",
                name,
                format!("silent since {:.0}: trouble that it would tell of is not heard", silence.since),
                "see whether its sender runs and reaches this server",
            ),
            (None, Some(_)) => CheckShape::well("heartbeat", name, "it is not missed"),
            (None, None) => CheckShape::note(
                "heartbeat",
                name,
                "it has none: its silence cannot be told from quiet",
                "let an alert fire for ever there, and name it as `heartbeat`",
            ),
        }
    };
    patient.settings.sources.iter().map(of).collect()
}

/// How late each source's alarms tell, and whether those who know can be asked; whoever answers tells the time too.
async fn lags(patient: &Patient) -> Vec<CheckShape> {
    let mut found = Vec::new();
    let assumed = patient.settings.sources.iter().filter(|source| source.prometheus_url.is_none());
    found.extend(assumed.map(|source| {
        // Only an Alertmanager has a Prometheus behind it that can be asked.
        let next = if matches!(source.kind, config::SourceKind::Alertmanager) {
            "set `lag` to the longest `for:`, annotate alerts with snapback_lag, or give `prometheus_url`"
        } else {
            "set `lag` to the longest time that its alarms take to ring; CloudWatch's own tell theirs"
        };
        CheckShape::note(
            "lag",
            source.name.as_str(),
            format!("how late its alarms tell is assumed to be {:#}", source.lag),
            next,
        )
    }));
    let mut dated = 0;
    for (source, prometheus) in &patient.rim.prometheus {
        let name = source.as_str();
        match in_time(prometheus.check()).await {
            Some(Ok(date)) => {
                found.push(CheckShape::well("prometheus_url", name, "its alerts can be read"));
                dated += usize::from(date.is_some());
                found.extend(date.map(|date| clock(name, date, Clock.now())));
            }
            Some(Err(trouble)) => found.push(CheckShape::ill(
                "prometheus_url",
                name,
                trouble.to_string(),
                "see whether this is the address of a Prometheus, and reachable from here",
            )),
            None => found.push(too_slow("prometheus_url", name)),
        }
    }
    if dated == 0 {
        let next = "give a source `prometheus_url`: its clock is compared then";
        found.push(CheckShape::left_out("clock", "this machine", "nobody here tells the time", next));
    }
    found
}

/// Whether our clock and another one agree. Its answer tells whole seconds.
fn clock(of: &str, date: Timestamp, now: Timestamp) -> CheckShape {
    let apart = now.duration_since(date).as_secs().abs();
    if apart > CLOCKS_APART_MAX {
        let cause = format!("this machine and {of} are {apart} s apart: which came first is told by clocks");
        return CheckShape::ill("clock", of, cause, "let both keep time by NTP");
    }
    CheckShape::well("clock", of, "it agrees with this machine's")
}

async fn providers(patient: &Patient) -> Vec<CheckShape> {
    let turns = Arc::new(Semaphore::new(PROVIDERS_AT_ONCE));
    let mut asking = JoinSet::new();
    for (service, (provider, target)) in &patient.rim.services {
        let (service, provider, target) = (service.clone(), Arc::clone(provider), target.clone());
        let turns = Arc::clone(&turns);
        asking.spawn(async move {
            // Nobody closes it; and whoever asks without a turn asks all the same.
            let _turn = turns.acquire().await;
            let name = service.as_str();
            let Some(findings) = in_time(provider.check(&target)).await else {
                return vec![too_slow("provider", name)];
            };
            if findings.is_empty() {
                let cause = format!("{}: {}", provider.kind(), provider.tried());
                return vec![CheckShape::well("provider", name, cause)];
            }
            let ill = findings.into_iter();
            ill.map(|of| CheckShape::ill("provider", name, of.says, of.remedy)).collect()
        });
    }
    let mut found: Vec<CheckShape> = asking.join_all().await.into_iter().flatten().collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// Could each be rolled back right now? What stands in the way is no fault of the set-up by itself.
async fn services(ward: &Ward, patient: &Patient) -> Vec<CheckShape> {
    let reader = ward.reader.clone();
    let ask = move || Ok::<_, ReadError>((reader.dossiers()?, reader.standing()?));
    let read = tokio::task::spawn_blocking(ask).await;
    let Ok(Ok((dossiers, standing))) = read else { return Vec::new() };
    let troubles = ward.status.borrow().troubles.clone();
    let mut found = Vec::new();
    for entry in &patient.settings.services {
        let (id, name) = (&entry.core.id, entry.core.id.as_str());
        let Some(dossier) = dossiers.iter().find(|dossier| dossier.service == *id) else {
            found.push(CheckShape::note(
                "readiness",
                name,
                "nothing is known of it yet",
                "wait until its provider was read",
            ));
            continue;
        };
        let trouble = troubles.get(id).map(String::as_str);
        let reasons = obstacles(dossier, &entry.core, &standing, trouble, Clock.now());
        found.push(if reasons.is_empty() {
            CheckShape::well("readiness", name, "it could be rolled back now")
        } else {
            let cause = format!("it could not be rolled back now: {}", reasons.join("; "));
            CheckShape::note("readiness", name, cause, "see `snapback services show`")
        });
    }
    found
}

async fn probes(patient: &Patient) -> Vec<CheckShape> {
    let mut running = JoinSet::new();
    for (name, probe) in &patient.rim.probes {
        let (name, probe) = (name.clone(), Arc::clone(probe));
        running.spawn(async move {
            let _turn = Probe::turn().await;
            match probe.run().await {
                Health::Passing => CheckShape::well("probe", name.as_str(), "it passes"),
                Health::Failing(said) => CheckShape::note(
                    "probe",
                    name.as_str(),
                    format!("it fails now: {said}"),
                    "mend what it checks: as long as it fails it says nothing of another release",
                ),
                Health::Unknown(why) => CheckShape::ill(
                    "probe",
                    name.as_str(),
                    why,
                    "see its block in the configuration: it can be neither well nor ill",
                ),
            }
        });
    }
    let mut found = running.join_all().await;
    found.sort_by(|one: &CheckShape, other| one.name.cmp(&other.name));
    found
}

/// Whether somebody is found in each group: nobody of an empty one can decide.
async fn groups(patient: &Patient) -> Vec<CheckShape> {
    let roster = patient.rim.rollcall.read_all(Clock.now()).await;
    let of = |group: &GroupName| {
        let members = roster.members.get(group).map_or(0, BTreeSet::len);
        match members {
            0 => CheckShape::ill(
                "group",
                group.as_str(),
                "nobody is found in it: nobody of it can decide",
                "see its ids and tokens, and Slack's scopes usergroups:read and users:read",
            ),
            members => CheckShape::well("group", group.as_str(), format!("it has {members} who may decide")),
        }
    };
    patient.settings.groups.keys().map(of).collect()
}

async fn pagers(patient: &Patient) -> Vec<CheckShape> {
    let mut found = Vec::new();
    for (name, pager) in &patient.rim.voice.pagers {
        found.push(match in_time(pager.rehearse(name, Clock.now())).await {
            None => too_slow("pages", name.as_str()),
            Some(Ok(())) => CheckShape::well(
                "pages",
                name.as_str(),
                "it took the end of an incident that there is not; nobody was woken",
            ),
            Some(Err(trouble)) => CheckShape::ill(
                "pages",
                name.as_str(),
                trouble.to_string(),
                "see its address and its key: docs/pages.md",
            ),
        });
    }
    if patient.rim.voice.pagers.is_empty() {
        let next = "configure [pages.NAME]: docs/pages.md";
        found.push(CheckShape::note("pages", "nobody", "nobody is woken by anything", next));
    }
    found
}

fn too_slow(area: &str, name: &str) -> CheckShape {
    let cause = format!("no answer within {} s", WITHIN.as_secs());
    CheckShape::ill(area, name, cause, "see whether it runs, and is reachable from here")
}

async fn in_time<T>(what: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(WITHIN, what).await.ok()
}
