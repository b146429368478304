//! The scribe: takes one input to a dossier and writes down everything that follows from it, until nothing more
//! does. Owns the order of thought; what each input means is told in `hear`, `refresh`, `ask` and `carry`, and what
//! follows from the state itself in `pursue`.

use super::command::{Command, Ending, Input};
use super::companion::Neighbours;
use super::dossier::Dossier;
use super::event::{Event, Stamped};
use super::id::{CaseId, Duration, PolicyName, Timestamp};
use super::live::Live;
use super::pager::About;
use super::rules::RuleTable;
use super::settings::{ServiceSettings, SharedSettings, VerifyPolicy};
use super::standing::{Standing, StandingEvent};
use super::turn::{Bulletin, Disposition};

/// Rounds of "does anything follow from that?" for one input. A case passes its phases in fewer; more is a loop.
const ROUNDS_MAX: usize = 32;

/// What a dossier may look at beside itself.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// This service's settings.
    pub settings: &'a ServiceSettings,
    /// The settings that all services share.
    pub shared: &'a SharedSettings,
    /// The rule table in force.
    pub rules: &'a RuleTable,
    /// A copy of the standing: advice that people see; the gate reads the truth.
    pub standing: &'a Standing,
    /// What this process knows about the service.
    pub live: &'a Live,
    /// The services that go back together with it.
    pub neighbours: &'a Neighbours,
    /// A case of another service that has begun to act on this one.
    pub in_hands_of: Option<&'a CaseId>,
    /// The present.
    pub now: Timestamp,
}

impl View<'_> {
    /// The verification policy of this name; the shared default where it is not known any more.
    pub fn verify_policy(&self, name: Option<&PolicyName>) -> VerifyPolicy {
        let name = name.unwrap_or(&self.settings.verify);
        self.shared.verify.get(name).copied().unwrap_or_default()
    }

    /// The longest window of any row; at least as long as the service's own.
    pub fn longest_window(&self) -> Duration {
        self.rules.longest_window().max(self.settings.window_min().unwrap_or(Duration::ZERO))
    }
}

/// What an input led to.
#[derive(Debug, Default)]
pub struct Written {
    /// What happened, each with the case that it belongs to.
    pub events: Vec<(Option<CaseId>, Stamped)>,
    /// What became of each signal of the input, or of its request.
    pub dispositions: Vec<Disposition>,
    /// What the standing has to know.
    pub standing: Vec<StandingEvent>,
    /// What people should know now, and no case tells.
    pub bulletins: Vec<Bulletin>,
    /// Closed cases that were told to the end and left.
    pub departed: Vec<super::story::Case>,
}

impl Dossier {
    /// What follows from an input; nothing is changed. Late or repeated: nothing.
    pub fn admit(&self, input: &Input, view: &View<'_>) -> Vec<Event> {
        let written = self.clone().take(input, view);
        written.events.into_iter().map(|(_, stamped)| stamped.event).collect()
    }

    /// Takes an input and everything that follows from it.
    pub fn take(&mut self, input: &Input, view: &View<'_>) -> Written {
        let mut scribe = Scribe { dossier: self, view, written: Written::default() };
        scribe.read(input);
        scribe.pursue_to_the_end();
        scribe.written
    }
}

/// Writes down what follows from one input.
pub(super) struct Scribe<'a> {
    pub(super) dossier: &'a mut Dossier,
    pub(super) view: &'a View<'a>,
    pub(super) written: Written,
}

impl Scribe<'_> {
    fn read(&mut self, input: &Input) {
        match input {
            Input::Signals(signals) => self.hear(signals),
            Input::Noticed(notice) => self.noticed(notice),
            Input::Asked(ask) => self.ask(ask),
            Input::Ended(command, ending) => self.ended(command, ending),
            Input::Restarted => self.restarted(),
            Input::Tick => {}
        }
    }

    fn ended(&mut self, command: &Command, ending: &Ending) {
        match command {
            Command::Describe(_) => self.described(ending),
            Command::Propose(choice) => self.proposed(choice, ending),
            Command::Collect(case) => self.collected(case, ending),
            // The roster is live knowledge: the desk put it there before this was read.
            Command::RollCall(..) => {}
            Command::Begin(case, step) | Command::Find(case, step) | Command::Watch(case, step) => {
                self.carried(command, case, *step, ending);
            }
            Command::Say(case, note) => {
                if let Ending::Said { place, face } = ending {
                    self.said(case, *note, place, face.as_ref());
                }
                self.not_taken(case, ending);
            }
            Command::Show(case) => {
                if let Ending::Shown(face) = ending {
                    self.shown(case, face);
                }
                self.not_taken(case, ending);
            }
            Command::Page(About::Case(case), pager, cause) => self.paged(case, pager, *cause, ending),
            Command::Onset(_, key) => {
                if let Ending::Began(onset) = ending {
                    self.dated(key, *onset);
                }
            }
            Command::Probe(_, probe) => self.probed(probe),
            // The hold is the standing's: the desk heard it.
            Command::Page(About::All(_) | About::Rehearsal, ..) => {}
        }
    }

    /// Writes an event, and takes it at once: what follows is judged on what is.
    pub(super) fn write(&mut self, event: Event) {
        let stamped = Stamped { at: self.view.now, event };
        let case = self.case_of(&stamped.event);
        match self.dossier.apply(&stamped) {
            Ok(()) => {
                let opened = self.dossier.open.as_ref().map(|open| open.id.clone());
                let case = case
                    .or_else(|| matches!(stamped.event, Event::Opened { .. }).then_some(opened).flatten());
                self.written.events.push((case, stamped));
            }
            // An illegal move is a fault of ours: the fact is not taken, nothing is done, and debug builds stop here.
            Err(illegal) => debug_assert!(false, "{illegal}"),
        }
    }

    fn case_of(&self, event: &Event) -> Option<CaseId> {
        if let Event::Said { case, .. }
        | Event::Shown { case, .. }
        | Event::PageDue { case, .. }
        | Event::Paged { case, .. }
        | Event::NotPaged { case, .. }
        | Event::Told { case } = event
        {
            return Some(case.clone());
        }
        let open = self.dossier.open.as_ref()?;
        let beside =
            super::transition::after(&open.phase, &Stamped { at: self.view.now, event: event.clone() })
                == super::transition::Move::Beside;
        (!beside).then(|| open.id.clone())
    }

    fn pursue_to_the_end(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let before = self.written.events.len();
            self.pursue();
            if self.written.events.len() == before {
                return;
            }
        }
        debug_assert!(false, "{}: more than {ROUNDS_MAX} rounds for one input", self.dossier.service);
    }
}
