//! `snapback explain`: the whole decision about a payload, from the files that are named and nothing else. No network,
//! no store, no provider; what a running server would know beside it (habits, budgets, freezes) is taken as new.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use snapback::admin::shapes::{CasePlanShape, ExplanationShape};
use snapback::case::command::{Command, Ending, Input};
use snapback::case::companion::{ALONE, Neighbour, Neighbours};
use snapback::case::decide::Decision;
use snapback::case::dossier::Dossier;
use snapback::case::event::Event;
use snapback::case::id::{ServiceId, SourceName, Timestamp};
use snapback::case::live::Live;
use snapback::case::map::{Atlas, AtlasEntry, Mapped};
use snapback::case::phase::Phase;
use snapback::case::plan::{Choice, Leg, Plan, Proposal};
use snapback::case::scribe::View;
use snapback::case::signal::{Signal, SignalState};
use snapback::case::standing::Standing;
use snapback::case::step::{Act, Class};
use snapback::clock::Clock;
use snapback::config::{Settings, SourceSettings, load, render};
use snapback::intake;
use snapback::journal::inbox::Content;
use snapback::server::spoken;

use super::check::style;
use super::decision;
use super::deployments::{self, Told};
use super::failure::{Failure, Finished, print, print_error, print_json};
use super::{ConfigFlags, Output};

/// The largest file: the listener takes no larger payload either.
const FILE_MAX: u64 = 16 << 20;

#[derive(Debug, Args)]
pub(super) struct ExplainFlags {
    #[command(flatten)]
    config: ConfigFlags,
    /// What the sender sent, as a file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    payload: PathBuf,
    /// The source that it came from, `[sources.NAME]`
    #[arg(long, value_name = "NAME")]
    source: String,
    /// What was put where and when: a list in JSON, or one entry a line
    #[arg(long, value_name = "FILE")]
    deployments: Option<PathBuf>,
    /// When it came, such as 2026-03-02T09:16:00Z; without it, now
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Which service, where the payload speaks about several
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// How it is shown
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub(super) fn run(flags: &ExplainFlags) -> Result<Finished, Failure> {
    let settings = settings(&flags.config.config)?;
    let source = source(&settings, &flags.source)?;
    let told = flags.deployments.as_deref().map(told).transpose()?.unwrap_or_default();
    let at = flags.at.unwrap_or_else(|| Clock.now());
    let signals = signals(source, &flags.payload, at)?;
    let heard = Heard::sort(&settings, source, signals);
    let (service, signals) = heard.one(flags.service.as_deref())?;
    let judged = judge(&settings, &service, signals, &told, at)?;
    let plan = judged.plan.as_deref().map(CasePlanShape::preview);
    let explained = ExplanationShape::in_full(&judged.decision, &settings.rules, plan);
    match flags.output {
        Output::Json => print_json(&explained),
        Output::Table => print(&decision::told(&explained)),
    }
}

fn settings(path: &Path) -> Result<Settings, Failure> {
    let loaded = load(path);
    loaded.settings.ok_or_else(|| {
        print_error(&render(&loaded.faults, &loaded.texts, style()));
        Failure::faulty(format!(
            "{}: the configuration is faulty; nothing can be explained by it",
            path.display()
        ))
    })
}

fn source<'s>(settings: &'s Settings, name: &str) -> Result<&'s SourceSettings, Failure> {
    settings.sources.iter().find(|source| source.name.as_str() == name).ok_or_else(|| {
        let known: Vec<&str> = settings.sources.iter().map(|source| source.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Failure::wrong(
            format!("--source {name:?}: no such source"),
            format!("name one that is configured: {known}"),
        )
    })
}

fn told(path: &Path) -> Result<Told, Failure> {
    deployments::read(&file(path)?).map_err(|why| {
        Failure::wrong(
            format!("{}: {why}", path.display()),
            "see the README for what a deployments file holds",
        )
    })
}

fn file(path: &Path) -> Result<Vec<u8>, Failure> {
    let unread = |error: &dyn std::fmt::Display| {
        Failure::failed(format!("{}: {error}", path.display()), "name a file that can be read")
    };
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(FILE_MAX + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| unread(&error))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(unread(&"it is larger than 16 MiB"));
    }
    Ok(bytes)
}

fn signals(source: &SourceSettings, payload: &Path, at: Timestamp) -> Result<Vec<Signal>, Failure> {
    // Nothing is proven here: whoever has the file explains it to themselves.
    let reading = intake::SourceSettings {
        kind: spoken(&source.kind),
        credential: intake::Credential::Bearer(Vec::new()),
        lag: source.lag,
        tally: Arc::default(),
    };
    match intake::reread(&source.name, &reading, at, Bytes::from(file(payload)?)) {
        Content::Signals(signals) => Ok(signals),
        // No sender's payload is a person's request.
        Content::Asked(_) | Content::Notices(_) => Ok(Vec::new()),
        Content::Aside(what) => Err(Failure::failed(
            format!("{}: {what}", payload.display()),
            "give a payload that says that something is wrong, or is not any more",
        )),
        Content::Dead(why) => Err(Failure::failed(
            format!("{}: {why}", payload.display()),
            format!("give it as {} sends it: the server would keep this as a dead letter", source.name),
        )),
    }
}

/// What a payload says, sorted by service.
struct Heard {
    source: SourceName,
    services: Vec<(ServiceId, Vec<Signal>)>,
    /// What is nobody's; why, in sentences.
    nobodys: Vec<String>,
}

impl Heard {
    fn sort(settings: &Settings, source: &SourceSettings, signals: Vec<Signal>) -> Heard {
        let entries = settings
            .services
            .iter()
            .map(|entry| AtlasEntry { id: entry.core.id.clone(), matchers: entry.matchers.clone() });
        let atlas = Atlas::new(entries.collect(), settings.labels.clone());
        let mut heard = Heard { source: source.name.clone(), services: Vec::new(), nobodys: Vec::new() };
        for signal in signals {
            match atlas.map(&signal.labels, &source.services, &source.map) {
                Mapped::To(service) => heard.take(service, signal),
                Mapped::OutOfScope(service) => heard
                    .nobodys
                    .push(format!("{}: {} may not speak about {service}", signal.name, source.name)),
                Mapped::Unmapped(why) => heard.nobodys.push(format!("{}: {why}", signal.name)),
            }
        }
        heard
    }

    fn take(&mut self, service: ServiceId, signal: Signal) {
        match self.services.iter_mut().find(|(known, _)| *known == service) {
            Some((_, signals)) => signals.push(signal),
            None => self.services.push((service, vec![signal])),
        }
    }

    /// The service that is asked about, or the only one, with what it would hear.
    fn one(mut self, asked: Option<&str>) -> Result<(ServiceId, Vec<Signal>), Failure> {
        let firing = |signals: &[Signal]| signals.iter().any(|signal| signal.state == SignalState::Firing);
        if let Some(asked) = asked {
            let found = self.services.into_iter().find(|(service, _)| service.as_str() == asked);
            return found.filter(|(_, signals)| firing(signals)).ok_or_else(|| {
                Failure::wrong(
                    format!("--service {asked:?}: no alert that fires maps to it"),
                    "leave --service out to see what maps",
                )
            });
        }
        self.services.retain(|(_, signals)| firing(signals));
        match self.services.len() {
            1 => Ok(self.services.remove(0)),
            0 => Err(Failure::failed(
                format!("nothing to decide: no alert that fires maps to a service{}", self.why()),
                format!("see [[service]], [labels] and [sources.{}] in the configuration", self.source),
            )),
            _ => {
                let names: Vec<&str> = self.services.iter().map(|(service, _)| service.as_str()).collect();
                Err(Failure::wrong(
                    format!("the payload speaks about several services: {}", names.join(", ")),
                    "say which with --service",
                ))
            }
        }
    }

    fn why(&self) -> String {
        /// Sentences that are told; the rest would be more of the same.
        const TOLD_MAX: usize = 5;
        self.nobodys.iter().take(TOLD_MAX).map(|why| format!("\n  {}", super::table::plain(why))).collect()
    }
}

/// What was decided, and what would be done.
struct Judged {
    decision: Arc<Decision>,
    plan: Option<Arc<Plan>>,
}

/// Takes the service through the core as the server would: it sees what serves, then it hears the signals.
fn judge(
    settings: &Settings,
    service: &ServiceId,
    signals: Vec<Signal>,
    told: &Told,
    at: Timestamp,
) -> Result<Judged, Failure> {
    let entry = settings.services.iter().find(|entry| entry.core.id == *service);
    // A service that was mapped is configured: the map is made of the configured ones.
    let undecided = || {
        Failure::failed(format!("{service}: no decision was made"), "report this: it is a fault of snapback")
    };
    let entry = entry.ok_or_else(undecided)?;
    let picture = told.picture(service, at);
    let mut live = Live::new(at);
    live.see(&picture);
    let standing = Standing::default();
    let neighbours = neighbours(settings, &entry.core.with, told, at);
    let view = View {
        settings: &entry.core,
        shared: &settings.shared,
        rules: &settings.rules,
        standing: &standing,
        live: &live,
        neighbours: &neighbours,
        in_hands_of: None,
        now: at,
    };
    let mut dossier = Dossier::new(service.clone());
    let described = Ending::Described(Box::new(picture));
    dossier.take(&Input::Ended(Command::Describe(service.clone()), described), &view);
    let written = dossier.take(&Input::Signals(signals), &view);
    let decision = written.events.iter().rev().find_map(|(_, stamped)| {
        if let Event::Weighed(decision) = &stamped.event { Some(decision.clone()) } else { None }
    });
    let plan = preview(&mut dossier, &view, &entry.provider);
    Ok(Judged { decision: decision.ok_or_else(undecided)?, plan })
}

/// The companions, as they are told of.
fn neighbours(settings: &Settings, with: &[ServiceId], told: &Told, at: Timestamp) -> Neighbours {
    let standing = Standing::default();
    let neighbour = |id: &ServiceId| {
        let entry = settings.services.iter().find(|entry| entry.core.id == *id)?;
        let (mut dossier, mut live, picture) =
            (Dossier::new(id.clone()), Live::new(at), told.picture(id, at));
        live.see(&picture);
        let view = View {
            settings: &entry.core,
            shared: &settings.shared,
            rules: &settings.rules,
            standing: &standing,
            live: &live,
            neighbours: &ALONE,
            in_hands_of: None,
            now: at,
        };
        dossier
            .take(&Input::Ended(Command::Describe(id.clone()), Ending::Described(Box::new(picture))), &view);
        let settings = Arc::new(entry.core.clone());
        Some((id.clone(), Neighbour { dossier: Arc::new(dossier), live, settings, in_hands_of: None }))
    };
    with.iter().filter_map(neighbour).collect()
}

/// The plan with one step in place of the provider's own, which only the provider can say.
fn preview(dossier: &mut Dossier, view: &View<'_>, provider: &str) -> Option<Arc<Plan>> {
    let Phase::Planning { choice, .. } = &dossier.open.as_deref()?.phase else { return None };
    let choice = choice.clone();
    let proposed = |says: String| {
        Proposal::of(vec![Act {
            kind: "preview".to_owned(),
            arguments: std::collections::BTreeMap::new(),
            class: Class::C,
            says,
        }])
    };
    let Choice { from, to, with, .. } = &choice;
    let own = format!("put {to} back in place of {from}, by the steps that provider {provider} proposes");
    let leg = |Leg { service, from, to }: &Leg| {
        proposed(format!(
            "put {to} back in place of {from} on {service}, by the steps that its provider proposes"
        ))
    };
    let proposal = Proposal { with: with.iter().map(leg).collect(), ..proposed(own) };
    let proposed = Input::Ended(Command::Propose(choice), Ending::Proposed(proposal));
    let written = dossier.take(&proposed, view);
    written
        .events
        .into_iter()
        .rev()
        .find_map(|(_, stamped)| if let Event::Planned(plan) = stamped.event { Some(plan) } else { None })
}
