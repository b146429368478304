//! Metrics: what this process counted and how things stand, as text for Prometheus. Counts what a committed turn says, in one
//! place, so that no room that thinks or acts knows of it; what only others know is handed in with each scrape.
//!
//! Counters begin with the process and end with it. No series is made by what somebody sends: labels are closed sets, and
//! names of the configuration.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;

use super::catalogue as names;
use super::counts::{Counts, Tally};
use super::label::{
    ActEnd, Answered, Began, Disposed, Errand, Labels, Open, PageEnd, Provider, Stage, Stops,
};
use super::series::{Pairs, Sheet, float};
use super::stage;
use crate::case::command::Command;
use crate::case::decide::Verdict;
use crate::case::dossier::Dossier;
use crate::case::event::Event;
use crate::case::id::{PagerName, ServiceId, SourceName, StepNo, Timestamp};
use crate::case::pager::Paging;
use crate::case::phase::Outcome;
use crate::case::step::Doer;
use crate::case::story::Case;
use crate::case::turn::{Change, Turn};
use crate::case::words;

/// What this process has counted, and the services as they were committed last.
#[derive(Debug)]
pub struct Metrics {
    started_at: Timestamp,
    disposed: Counts<Disposed>,
    decided: Counts<Verdict>,
    opened: Counts<Began>,
    closed: Counts<Outcome>,
    begun: Counts<Provider>,
    ended: Counts<ActEnd>,
    paged: Counts<PageEnd>,
    let_go: AtomicU64,
    errands: Counts<Errand>,
    stages: Vec<(Stage, Histogram)>,
    /// Shared with the desk: nothing is copied.
    dossiers: Mutex<BTreeMap<ServiceId, Arc<Dossier>>>,
}

/// What others know, at the moment of a scrape.
#[derive(Debug)]
pub struct Scene {
    /// The configured sources and their tallies.
    pub sources: BTreeMap<SourceName, Arc<Tally>>,
    /// Those that have a heartbeat, and whether it is missed.
    pub silent: BTreeMap<SourceName, bool>,
    /// The configured services.
    pub services: Vec<ServiceState>,
    /// Deliveries that are stored and not judged.
    pub undecided: u64,
    /// Deliveries can be stored.
    pub writable: bool,
    /// What the store says. `None`: it cannot be read, and nothing is said in its name.
    pub store: Option<StoreState>,
    /// The configuration on disk is faulty.
    pub config_error: bool,
    /// When the one in force was taken.
    pub config_taken_at: Timestamp,
    /// Entries of the audit.
    pub audit_height: u64,
}

/// What the store alone knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreState {
    /// How long the oldest delivery waits that is not judged.
    pub oldest_undecided: Duration,
    /// Snapback forbids itself to act.
    pub hold: bool,
    /// What a pause stops, if somebody paused.
    pub pause: Option<Stops>,
    /// What pagers have not taken yet about the hold.
    pub unsent_pages: u64,
    /// Dead letters that were not replayed.
    pub dead_letters: u64,
}

/// How a configured service stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceState {
    /// The service.
    pub service: ServiceId,
    /// It could be rolled back right now.
    pub ready: bool,
    /// Its provider could not be read when it was asked last.
    pub unreadable: bool,
}

impl Metrics {
    /// Counts from now on, over the services as they are stored: what their cases reached before is not counted again.
    pub fn new<'a>(started_at: Timestamp, dossiers: impl Iterator<Item = &'a Arc<Dossier>>) -> Metrics {
        let times = |stage: &Stage| (*stage, Histogram::new(stage::BUCKETS));
        let known = dossiers.map(|dossier| (dossier.service.clone(), Arc::clone(dossier)));
        Metrics {
            started_at,
            disposed: Counts::default(),
            decided: Counts::default(),
            opened: Counts::default(),
            closed: Counts::default(),
            begun: Counts::default(),
            ended: Counts::default(),
            paged: Counts::default(),
            let_go: AtomicU64::new(0),
            errands: Counts::default(),
            stages: Stage::ALL.iter().map(times).collect(),
            dossiers: Mutex::new(known.collect()),
        }
    }

    /// A turn is on disk. `kind` says what kind of provider a service has.
    pub fn committed(&self, turn: &Turn, kind: impl Fn(&ServiceId) -> Provider) {
        for disposition in turn.dispositions.iter().flat_map(|(_, dispositions)| dispositions) {
            self.disposed.count(disposition.into());
        }
        for change in &turn.changes {
            for (_, stamped) in &change.events {
                self.happened(&stamped.event, |step| match change.dossier.doer(step) {
                    Some(Doer::User) => Provider::Step,
                    Some(Doer::Provider(of)) => kind(of),
                    Some(Doer::Ledger(_)) | None => kind(&change.dossier.service),
                });
            }
            let before = self.dossiers().insert(change.dossier.service.clone(), Arc::clone(&change.dossier));
            self.stages_of(before.as_deref(), change);
            let let_go: usize = change.departed.iter().map(words::unsaid).sum();
            self.let_go.fetch_add(let_go as u64, Ordering::Relaxed);
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other events are counted nowhere")]
    fn happened(&self, event: &Event, kind: impl Fn(StepNo) -> Provider) {
        match event {
            Event::Weighed(decision) => self.decided.count(decision.verdict),
            Event::Opened { origin, .. } => self.opened.count(origin.into()),
            Event::Closed { outcome, .. } => self.closed.count(*outcome),
            Event::Intended { step, .. } => self.begun.count(kind(*step)),
            _ => {}
        }
    }

    fn stages_of(&self, before: Option<&Dossier>, change: &Change) {
        for case in cases(&change.dossier).chain(&change.departed) {
            let before = before.and_then(|dossier| dossier.case(&case.id));
            for (stage, took) in stage::reached(before, case) {
                let times = self.stages.iter().find(|(of, _)| *of == stage);
                if let Some((_, times)) = times {
                    times.observe(took.as_secs_f64());
                }
            }
        }
    }

    /// The one request of an act ended.
    pub fn act_ended(&self, provider: Provider, how: Answered) {
        self.ended.count(ActEnd(provider, how));
    }

    /// A page to one pager ended.
    pub fn page_ended(&self, how: PageEnd) {
        self.paged.count(how);
    }

    /// These errands are under way now.
    pub fn under_way<'a>(&self, commands: impl Iterator<Item = &'a Command> + Clone) {
        for errand in Errand::ALL {
            let number = commands.clone().filter(|command| Errand::from(*command) == *errand).count();
            self.errands.set(*errand, number as u64);
        }
    }

    /// The services as they were committed last.
    pub fn services(&self) -> BTreeMap<ServiceId, Arc<Dossier>> {
        self.dossiers().clone()
    }

    fn dossiers(&self) -> MutexGuard<'_, BTreeMap<ServiceId, Arc<Dossier>>> {
        // A panic of another holder leaves nothing half-done: each entry is replaced whole.
        self.dossiers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything, as text for Prometheus.
    pub fn scrape(&self, scene: &Scene) -> String {
        let mut sheet = Sheet::default();
        self.tell_what_was_counted(&mut sheet, scene);
        self.tell_cases(&mut sheet, scene);
        tell_services(&mut sheet, scene);
        self.tell_the_process(&mut sheet, scene);
        sheet.text()
    }

    fn tell_what_was_counted(&self, sheet: &mut Sheet, scene: &Scene) {
        sheet.counters(&names::DELIVERIES, of_sources(scene, |tally| &tally.received));
        sheet.counters(&names::REFUSED, of_sources(scene, |tally| &tally.refused));
        sheet.counted(&names::DISPOSITIONS, &self.disposed);
        sheet.counted(&names::DECISIONS, &self.decided);
        sheet.counted(&names::CASES_OPENED, &self.opened);
        sheet.counted(&names::CASES_CLOSED, &self.closed);
        sheet.counted(&names::ACTS_BEGUN, &self.begun);
        sheet.counted(&names::ACTS_ENDED, &self.ended);
        let let_go = self.let_go.load(Ordering::Relaxed);
        sheet.counted(&names::PAGES, &self.paged);
        sheet.counters(&names::NOTES_LET_GO, std::iter::once((Vec::new(), let_go)));
        sheet.histograms(&names::STAGES, &self.stages);
    }

    fn tell_cases(&self, sheet: &mut Sheet, scene: &Scene) {
        let services = self.services();
        let phases: Vec<Open> =
            services.values().filter_map(|dossier| Open::of(&dossier.open.as_deref()?.phase)).collect();
        let of_phase = |open: Open| phases.iter().filter(|phase| **phase == open).count() as u64;
        sheet.standing(&names::OPEN_CASES, of_phase);
        let unsaid: usize = services.values().flat_map(|dossier| cases(dossier)).map(words::unsaid).sum();
        sheet.gauge(&names::UNSAID_NOTES, float(unsaid as u64));
        let of_cases = services.values().flat_map(|dossier| cases(dossier)).map(|case| unsent(&case.paged));
        let of_the_hold = scene.store.map_or(0, |store| store.unsent_pages);
        sheet.gauge(&names::UNSENT_PAGES, float(of_cases.sum::<u64>() + of_the_hold));
        sheet.standing(&names::ERRANDS, |errand: Errand| self.errands.get(errand));
    }

    fn tell_the_process(&self, sheet: &mut Sheet, scene: &Scene) {
        sheet.gauge(&names::UNDECIDED, float(scene.undecided));
        sheet.gauge(&names::STORE_WRITABLE, truth(scene.writable));
        if let Some(store) = &scene.store {
            tell_the_store(sheet, store);
        }
        sheet.gauge(&names::CONFIG_ERROR, truth(scene.config_error));
        sheet.gauge(&names::CONFIG_TAKEN, scene.config_taken_at.as_duration().as_secs_f64());
        sheet.gauge(&names::STARTED, self.started_at.as_duration().as_secs_f64());
        sheet.gauge(&names::AUDIT_HEIGHT, float(scene.audit_height));
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        sheet.gauges(&names::BUILD, std::iter::once((version, 1.0)));
    }
}

fn tell_the_store(sheet: &mut Sheet, store: &StoreState) {
    sheet.gauge(&names::OLDEST_UNDECIDED, store.oldest_undecided.as_secs_f64());
    sheet.gauge(&names::HOLD, truth(store.hold));
    sheet.gauge(&names::DEAD_LETTERS, float(store.dead_letters));
    // Whoever stops everything stops what is automatic too.
    let stops = |what: Stops| u64::from(store.pause == Some(what) || store.pause == Some(Stops::Everything));
    sheet.standing(&names::PAUSED, stops);
}

fn tell_services(sheet: &mut Sheet, scene: &Scene) {
    let each = |of: fn(&ServiceState) -> bool| {
        let series = move |state: &ServiceState| (named("service", state.service.as_str()), truth(of(state)));
        scene.services.iter().map(series)
    };
    sheet.gauges(&names::SERVICE_READY, each(|state| state.ready));
    let silent = |(source, silent): (&SourceName, &bool)| (named("source", source.as_str()), truth(*silent));
    sheet.gauges(&names::SOURCE_SILENT, scene.silent.iter().map(silent));
    sheet.gauges(&names::PROVIDER_UNREADABLE, each(|state| state.unreadable));
}

fn of_sources<'a, L: Labels>(
    scene: &'a Scene,
    of: impl Fn(&Tally) -> &Counts<L> + Copy + 'a,
) -> impl Iterator<Item = (Pairs, u64)> + 'a {
    scene.sources.iter().flat_map(move |(source, tally)| {
        L::ALL.iter().map(move |label| {
            let mut labels = named("source", source.as_str());
            labels.extend(label.pairs().into_iter().map(|(key, word)| (key, word.to_owned())));
            (labels, of(tally).get(*label))
        })
    })
}

/// A name out of the configuration.
fn named(key: &'static str, name: &str) -> Pairs {
    vec![(key, name.to_owned())]
}

fn truth(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

/// How many pagers have something to be told of these.
pub fn unsent(paged: &BTreeMap<PagerName, Paging>) -> u64 {
    paged.values().filter(|paging| !paging.told).count() as u64
}

fn cases(dossier: &Dossier) -> impl Iterator<Item = &Case> {
    dossier.open.as_deref().into_iter().chain(&dossier.telling)
}
