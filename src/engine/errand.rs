//! An errand: one command under way, with everything that whoever carries it out needs. Pure; `rim` carries it out.

use crate::case::command::Command;
use crate::case::dossier::Dossier;
use crate::case::face::Face;
use crate::case::id::{CaseId, GroupName, Handle, Place, ProbeName, ServiceId};
use crate::case::pager::{About, Summons};
use crate::case::permit::Permit;
use crate::case::phase::Phase;
use crate::case::plan::Choice;
use crate::case::signal::Signal;
use crate::case::step::Order;
use crate::case::thread::Patience;
use crate::case::turn::{Bulletin, Whisper};
use crate::case::words::{self, Note};

/// One command under way, with everything that it needs.
#[derive(Debug)]
pub enum Errand {
    /// Read a service's provider.
    Describe(ServiceId),
    /// Ask it for acts.
    Propose(Choice),
    /// Let the provider show what is there.
    Collect(CaseId),
    /// Read who belongs to these groups.
    RollCall(CaseId, Vec<GroupName>),
    /// Send the one request that the permit allows.
    Begin(Permit),
    /// Look for it.
    Find(Order),
    /// Follow it.
    Watch(Order, Handle),
    /// Say a note in this thread, or open one that shows this face.
    Say(Note, Option<Place>, Box<Face>, Patience),
    /// Let the first message of this thread show this face.
    Show(Place, Box<Face>, Patience),
    /// Tell a pager this.
    Page(Box<Summons>),
    /// Ask its source when this signal's trouble began.
    Onset(ServiceId, Box<Signal>),
    /// Run this probe of this service.
    Probe(ServiceId, ProbeName),
}

impl Errand {
    /// The command that it carries out.
    pub fn command(&self) -> Command {
        match self {
            Errand::Describe(service) => Command::Describe(service.clone()),
            Errand::Propose(choice) => Command::Propose(choice.clone()),
            Errand::Collect(case) => Command::Collect(case.clone()),
            Errand::RollCall(case, groups) => Command::RollCall(case.clone(), groups.clone()),
            Errand::Begin(permit) => Command::Begin(permit.order().case.clone(), permit.order().step),
            Errand::Find(order) => Command::Find(order.case.clone(), order.step),
            Errand::Watch(order, _) => Command::Watch(order.case.clone(), order.step),
            Errand::Say(note, ..) => Command::Say(note.case.clone(), note.number),
            Errand::Show(_, face, _) => Command::Show(face.case.clone()),
            Errand::Probe(service, probe) => Command::Probe(service.clone(), probe.clone()),
            Errand::Onset(service, signal) => Command::Onset(service.clone(), signal.key()),
            Errand::Page(summons) => {
                Command::Page(summons.about.clone(), summons.pager.clone(), summons.cause)
            }
        }
    }
}

/// What a committed turn asks of the shell.
#[derive(Debug, Default)]
pub struct Errands {
    /// Start these.
    pub start: Vec<Errand>,
    /// Cut these: nothing lists them any more.
    pub stop: Vec<Command>,
    /// Answer these people.
    pub whispers: Vec<Whisper>,
    /// Tell people this.
    pub bulletins: Vec<Bulletin>,
}

/// The service whose dossier a command belongs to. `None`: it is about everything.
pub fn owner(command: &Command) -> Option<ServiceId> {
    match command {
        Command::Describe(service) | Command::Onset(service, _) | Command::Probe(service, _) => {
            Some(service.clone())
        }
        Command::Propose(choice) => Some(choice.case.service()),
        Command::Collect(case)
        | Command::RollCall(case, _)
        | Command::Begin(case, _)
        | Command::Find(case, _)
        | Command::Watch(case, _)
        | Command::Say(case, _)
        | Command::Show(case)
        | Command::Page(About::Case(case), ..) => Some(case.service()),
        Command::Page(About::All(_) | About::Rehearsal, ..) => None,
    }
}

/// A command with everything that it needs. A begin is none: it needs a permit, which only a commit gives.
pub(super) fn errand(dossier: &Dossier, command: &Command) -> Option<Errand> {
    match command {
        Command::Describe(service) => Some(Errand::Describe(service.clone())),
        Command::Propose(choice) => Some(Errand::Propose(choice.clone())),
        Command::Collect(case) => Some(Errand::Collect(case.clone())),
        Command::RollCall(case, groups) => Some(Errand::RollCall(case.clone(), groups.clone())),
        Command::Onset(service, key) => {
            let signal = dossier.episodes.get(key)?.signal.clone();
            Some(Errand::Onset(service.clone(), Box::new(signal)))
        }
        Command::Probe(service, probe) => Some(Errand::Probe(service.clone(), probe.clone())),
        Command::Begin(..) => None,
        Command::Find(..) | Command::Watch(..) => {
            let case = dossier.open.as_deref()?;
            let plan = case.plan.as_ref()?;
            match &case.phase {
                Phase::Intended { step, attempt, since, .. } => {
                    Some(Errand::Find(dossier.order(case, plan, *step, *attempt, *since)?))
                }
                Phase::Running { step, attempt, handle, since } => {
                    let order = dossier.order(case, plan, *step, *attempt, *since)?;
                    Some(Errand::Watch(order, handle.clone()))
                }
                Phase::Gathering { .. }
                | Phase::Weighing { .. }
                | Phase::Planning { .. }
                | Phase::AwaitingApproval { .. }
                | Phase::Countdown { .. }
                | Phase::Ready { .. }
                | Phase::Verifying(_)
                | Phase::NeedsHuman { .. }
                | Phase::Closed(_) => None,
            }
        }
        Command::Say(case, note) => {
            let case = dossier.case(case)?;
            let thread = case.thread.clone().filter(Place::is_thread);
            let note = words::note(case, *note)?;
            Some(Errand::Say(note, thread, Box::new(Face::of(case)), Patience::with(case)))
        }
        Command::Show(case) => {
            let case = dossier.case(case)?;
            let thread = case.thread.clone()?;
            Some(Errand::Show(thread, Box::new(Face::of(case)), Patience::with(case)))
        }
        Command::Page(About::Case(case), pager, cause) => {
            dossier.case(case).map(|case| Errand::Page(Box::new(Summons::of_case(case, pager, *cause))))
        }
        Command::Page(About::All(_) | About::Rehearsal, ..) => None,
    }
}
