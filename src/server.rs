//! The server: the rooms wired together, run and stopped. Owns who gets what; decides nothing.

mod answers;
mod chat;
mod doctor;
mod flagger;
mod gate;
mod handout;
mod previews;
mod senders;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::admin;
use crate::case::dossier::Dossier;
use crate::clock::Clock;
use crate::config::{Fault, Loaded, Settings, Severity};
use crate::engine::desk::{Content, Desk};
use crate::engine::{Engine, Parts, Reader, Reload, StoreBroken};
use crate::intake::{self, Intake, IntakeSettings};
use crate::journal::audit::AuditNote;
use crate::journal::reader::{ReadError, StoredDelivery};
use crate::journal::{AppendError, Health, Journal, OpenError, Opened, inbox};
use crate::report::Voice;
use crate::telemetry::metrics::Metrics;

pub use doctor::examine;
use doctor::{Patient, Ward};
use handout::Handout;
pub use previews::{ByHand, by_hand};
pub use senders::spoken;

/// New settings that wait to be taken; more come only after these were.
const RELOADS_MAX: usize = 4;
/// A stop waits so long for what is under way here; the listener's own drain is shorter.
const STOP_WITHIN: Duration = Duration::from_secs(25);

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address could not be listened on.
    #[error("listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        cause: std::io::Error,
    },
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store could not be read.
    #[error("read the store: {0}")]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error("write to the store: {0}")]
    Write(#[from] AppendError),
}

/// A server that is ready to run: it listens, and its store is open.
pub struct Server {
    public: (TcpListener, SocketAddr),
    admin: (TcpListener, SocketAddr),
    opened: Opened,
    handout: Handout,
    stop: watch::Sender<bool>,
    loads: mpsc::Receiver<Loaded>,
    to_loads: mpsc::Sender<Loaded>,
}

/// Stops a server.
#[derive(Clone)]
pub struct Stopper {
    stop: watch::Sender<bool>,
}

impl Stopper {
    /// Tells it to stop; what was accepted is finished.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

impl Server {
    /// Listens and opens the store. Nothing is judged yet.
    ///
    /// # Errors
    /// When an address is taken, or the store cannot be opened.
    pub async fn new(settings: Settings, voice: Voice) -> Result<Server, StartError> {
        let public = listen(settings.server.listen).await?;
        let admin = listen(settings.server.admin).await?;
        let store = handout::store(&settings);
        let opened = tokio::task::spawn_blocking(move || Journal::open(&store, Clock.now()))
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        let (stop, _) = watch::channel(false);
        let (to_loads, loads) = mpsc::channel(RELOADS_MAX);
        let handout = Handout::new(settings, voice);
        Ok(Server { public, admin, opened, handout, stop, loads, to_loads })
    }

    /// Where senders reach it.
    pub fn public_url(&self) -> String {
        let scheme = if self.handout.intake().identity.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.public.1)
    }

    /// Where people and tools read.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin.1)
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        Stopper { stop: self.stop.clone() }
    }

    /// Where new readings of the configuration go.
    pub fn reloads(&self) -> mpsc::Sender<Loaded> {
        self.to_loads.clone()
    }

    /// Runs until it is stopped, or until its store is broken.
    ///
    /// # Errors
    /// When the store could not be read at the start, or broke on the way.
    pub async fn run(self) -> Result<(), RunError> {
        let Server { public, admin, opened, mut handout, stop, mut loads, .. } = self;
        let Opened { journal, inbox, handover, hold_reasons } = opened;
        for reason in &hold_reasons {
            tracing::error!(reason, "hold: nothing from old cases is done until somebody resumes");
        }
        note_start(&journal, &handout).await?;
        let dossiers = journal.dossiers().await?;
        let cursor = journal.cursor().await?;
        note_taken_up(&dossiers);
        let desk = Desk::new(dossiers, journal.standing().await?, handout.desk(), Clock.now());
        let metrics = Arc::new(Metrics::new(Clock.now(), desk.dossiers()));

        let reader_of_answers = journal.reader();
        let (to_presses, presses) = watch::channel(None);
        let heard = |handout: &Handout| IntakeSettings {
            slack: chat::chat(handout, &reader_of_answers, &to_presses),
            ..handout.intake()
        };
        let (to_intake, intake_settings) = watch::channel(Arc::new(heard(&handout)));
        let (to_people, people) = watch::channel(handout.people());
        let (to_previews, previewed) = watch::channel((handout.rim(), handout.desk()));
        let patient = |handout: &Handout| Patient { settings: handout.settings(), rim: handout.rim() };
        let (to_doctor, patients) = watch::channel(patient(&handout));
        let (to_rosters, rosters) = watch::channel(None);
        let reading_rosters = tokio::spawn(chat::read_rosters(people, to_rosters));
        let (to_status, status) = watch::channel(Arc::new(handout.status(None, BTreeMap::new())));
        let (to_access, access) = watch::channel(Arc::new(handout.access()));
        let limits = Arc::new(handout.intake().limits);

        let wire = intake::Wire::of(intake_settings.clone())?;
        let listening = tokio::spawn(intake::serve_over(
            wire,
            public.0,
            Intake::new(intake_settings.clone(), inbox.clone(), readiness(&journal), now())
                .with_flagger(flagger::gate(journal.reader(), previewed.clone()))
                .with_gate(gate::gate(journal.reader(), access.clone()))
                .router(),
            limits.clone(),
            stop.subscribe(),
        ));
        let view = admin::View {
            reader: journal.reader(),
            status: status.clone(),
            access,
            readiness: readiness(&journal),
            inbox: inbox.clone(),
            commits: journal.commits(),
            previews: previews::previews(journal.reader(), previewed),
            doctor: doctor::doctor(
                Ward {
                    public: public.1,
                    reader: journal.reader(),
                    readiness: readiness(&journal),
                    status: status.clone(),
                    presses,
                },
                patients,
            ),
            metrics: metrics.clone(),
            undecided: Arc::new(move || inbox.undecided()),
            written: admin::Written { last: journal.written(), stop: stop.subscribe() },
            now: now(),
        };
        let reading = tokio::spawn(intake::serve(admin.0, admin::router(view), limits, stop.subscribe()));

        let (to_troubles, mut troubles) = watch::channel(BTreeMap::new());
        let (to_engine, reloads) = mpsc::channel(RELOADS_MAX);
        let parts = Parts {
            journal: journal.clone(),
            handover,
            reader: reader(intake_settings),
            reloads,
            troubles: to_troubles,
            metrics,
            rosters,
            stop: stop.subscribe(),
            clock: Clock,
        };
        let engine = Engine::new(desk, handout.rim(), parts, cursor);
        let ends = stop.clone();
        let deciding = tokio::spawn(async move {
            // However it ends: a process that decides nothing must not look alive.
            let _ends = Ends(ends);
            engine.run().await
        });
        let version = env!("CARGO_PKG_VERSION");
        let (mode, services) = (handout.mode(), handout.count());
        tracing::info!(listen = %public.1, admin = %admin.1, version, mode, services, "snapback serves");

        let mut stopping = stop.subscribe();
        let mut config_error = None;
        loop {
            tokio::select! {
                // The borrow that the wait ends with must not outlive it.
                () = async { let _ = stopping.wait_for(|stop| *stop).await; } => break,
                Some(loaded) = loads.recv() => match loaded.for_serving() {
                    Ok(settings) => {
                        for key in handout.take(settings) {
                            tracing::warn!(key, "changed, and taken only at a new start: it stays as it is until then");
                        }
                        to_intake.send_replace(Arc::new(heard(&handout)));
                        to_people.send_replace(handout.people());
                        to_previews.send_replace((handout.rim(), handout.desk()));
                        to_doctor.send_replace(patient(&handout));
                        to_access.send_replace(Arc::new(handout.access()));
                        // A full channel means that an older reading was not taken yet: wait for it.
                        let _ = to_engine.send(Reload { desk: handout.desk(), rim: handout.rim() }).await;
                        note_configured(&journal, &handout).await;
                        let (digest, mode, services) = (handout.digest(), handout.mode(), handout.count());
                        tracing::info!(%digest, mode, services, "the configuration was read again");
                        config_error = None;
                    }
                    Err(faults) => config_error = Some(kept_for(&faults)),
                },
                Ok(()) = troubles.changed() => {}
            }
            let troubles = troubles.borrow_and_update().clone();
            to_status.send_replace(Arc::new(handout.status(config_error.clone(), troubles)));
        }
        reading_rosters.abort();
        // The listeners drain first: what they accepted is stored before the journal closes.
        let _ = tokio::time::timeout(STOP_WITHIN, async { (listening.await, reading.await) }).await;
        let ended = deciding.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        journal.close().await;
        Ok(ended?)
    }
}

/// Stops the server when it is dropped, by a panic too.
struct Ends(watch::Sender<bool>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

/// Why a running server ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The store could not be read at the start.
    #[error("read the store: {0}")]
    Read(#[from] ReadError),
    /// The store could not be written at the start.
    #[error("write to the store: {0}")]
    Write(#[from] AppendError),
    /// TLS cannot be spoken.
    #[error("prepare TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// What is in the store is not known any more.
    #[error(transparent)]
    Broken(#[from] StoreBroken),
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |cause| StartError::Listen { address, cause };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}

/// Why the old configuration is kept: the first fault of the new one, with its place.
fn kept_for(faults: &[Fault]) -> String {
    let faults: Vec<&Fault> = faults.iter().filter(|fault| fault.severity == Severity::Fault).collect();
    let first = faults.first().map_or(String::new(), |fault| {
        format!("{}:{}:{}: {}", fault.file, fault.line, fault.column, fault.message)
    });
    tracing::error!(
        faults = faults.len(),
        first,
        "the new configuration is faulty, and the old one stays: see `snapback check`"
    );
    first
}

/// The first words of this process in the audit, and the rules that decisions will name.
async fn note_start(journal: &Journal, handout: &Handout) -> Result<(), AppendError> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    journal.note(Clock.now(), AuditNote::Started { version }).await?;
    journal.note(Clock.now(), AuditNote::Configured { digest: handout.digest() }).await?;
    let text = handout.rules_text();
    journal.store_rules(Clock.now(), handout.rules_digest(), text).await
}

/// The cases that were open when the process ended, and go on.
fn note_taken_up(dossiers: &[Dossier]) {
    for case in dossiers.iter().filter_map(|dossier| dossier.open.as_deref()) {
        tracing::info!(case.id = %case.id, service = %case.id.service(), phase = case.phase.word(), "an open case goes on");
    }
}

async fn note_configured(journal: &Journal, handout: &Handout) {
    let noted = journal.note(Clock.now(), AuditNote::Configured { digest: handout.digest() }).await;
    let stored = journal.store_rules(Clock.now(), handout.rules_digest(), handout.rules_text()).await;
    if let Err(error) = noted.and(stored) {
        tracing::error!(error = %error, "the new configuration could not be written into the audit");
    }
}

/// Whether deliveries can be stored.
fn readiness(journal: &Journal) -> intake::Readiness {
    let journal = journal.clone();
    Arc::new(move || match journal.health() {
        Health::Fine => Ok(()),
        Health::Failing(why) | Health::Broken(why) => Err(why),
    })
}

fn now() -> intake::Clock {
    Arc::new(|| Clock.now())
}

/// Reads a stored delivery as its source's sender wrote it, with the source's present settings.
fn reader(settings: watch::Receiver<Arc<IntakeSettings>>) -> Reader {
    Arc::new(move |delivery: &StoredDelivery| {
        if let Some(why) = &delivery.dead {
            return Content::Dead(why.clone());
        }
        if delivery.source.as_str() == inbox::PEOPLE {
            return inbox::Content::of_request(&delivery.body).into();
        }
        let settings = settings.borrow().clone();
        let known = settings.sources.get(&delivery.source).or_else(|| settings.feeds.get(&delivery.source));
        let Some(source) = known else {
            return Content::Dead(format!("the source {} is not configured any more", delivery.source));
        };
        intake::reread(&delivery.source, source, delivery.received_at, delivery.body.clone()).into()
    })
}
