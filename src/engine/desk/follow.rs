//! What follows from a turn that is on disk: which errands start and which are cut, and when to look again. Leaves the turn
//! itself to `desk`.

use super::{Desk, Draft, Gated, view};
use crate::case::command::{Command, Ending};
use crate::case::gate::record;
use crate::case::id::{PagerName, ProbeName, ServiceId, Timestamp, covers};
use crate::case::pager::{self, About, Cause, Matter, Paging, Summons};
use crate::case::standing::{Standing, StandingEvent};
use crate::case::turn::Turn;
use crate::engine::errand::{Errand, Errands, errand, owner};

/// A pager took what it was told about the hold, or never will; anything else is tried again.
#[expect(clippy::wildcard_enum_match_arm, reason = "no other ending says what became of a page")]
pub(super) fn paged(command: &Command, ending: &Ending, standing: &Standing, draft: &mut Draft) {
    let Command::Page(About::All(matter), pager, cause) = command else { return };
    let paged = standing.paged_of(*matter);
    match ending {
        Ending::Paged | Ending::Refused(_) if paged.get(pager) == Some(&Paging::due(*cause)) => {
            let (matter, pager, cause) = (*matter, pager.clone(), *cause);
            draft.turn.standing.push(StandingEvent::PageTold { matter, pager, cause });
        }
        _ => {}
    }
}

impl Desk {
    /// The turn is on disk: it is true now. Says which errands follow.
    pub fn commit(&mut self, turn: Turn, gated: Vec<Gated>) -> Errands {
        for event in &turn.standing {
            self.heard(event, turn.at);
            self.standing.apply(event);
        }
        let mut permits = Vec::new();
        for (ask, gated) in turn.gates.iter().zip(gated) {
            if let Gated::Passed(permit) = gated {
                self.standing.apply(&StandingEvent::Acted(record(ask, turn.at)));
                permits.push(permit);
            }
        }
        for change in turn.changes {
            if let Some(held) = self.held.get_mut(&change.dossier.service) {
                held.dossier = change.dossier;
            }
        }
        let mut errands =
            Errands { whispers: turn.whispers, bulletins: turn.bulletins, ..Errands::default() };
        for permit in permits {
            let errand = Errand::Begin(permit);
            self.running.insert(errand.command());
            errands.start.push(errand);
        }
        for service in std::mem::take(&mut self.touched) {
            self.errands_of(&service, turn.at, &mut errands);
        }
        self.errands_of_all(turn.at, &mut errands);
        errands
    }

    /// The turn was refused: nothing of it happened. Its deliveries are read again from the journal, and its pictures
    /// from the provider: what they led to, a hold perhaps, is not on disk.
    pub fn forget(&mut self, turn: Turn) {
        for service in &self.touched {
            if let Some(held) = self.held.get_mut(service) {
                held.live.described_at = None;
            }
        }
        self.touched.extend(turn.changes.into_iter().map(|change| change.dossier.service.clone()));
    }

    /// Whom a silent source speaks about is deaf; once it is heard again, listening begins anew.
    fn heard(&mut self, event: &StandingEvent, now: Timestamp) {
        let (StandingEvent::FellSilent { source, .. } | StandingEvent::HeardAgain { source, .. }) = event
        else {
            return;
        };
        let again = matches!(event, StandingEvent::HeardAgain { .. });
        let listened = self.standing.silent.get(source).map(|silence| silence.services.clone());
        let listens = self.settings.shared.heartbeats.get(source).map(|heartbeat| heartbeat.services.clone());
        let of: Vec<String> = listened.into_iter().chain(listens).flatten().collect();
        for (service, held) in &mut self.held {
            if of.iter().any(|pattern| covers(pattern, service.as_str())) {
                self.touched.insert(service.clone());
                if again {
                    held.live.since = held.live.since.max(now);
                }
            }
        }
    }

    fn errands_of(&mut self, service: &ServiceId, now: Timestamp, errands: &mut Errands) {
        let around = self.around(service, None);
        let Some(held) = self.held.get(service) else { return };
        let view = view(held, &self.settings, &self.standing, &around, now);
        let wanted = held.dossier.next(&view);
        for command in &wanted {
            if self.running.contains(command) || self.is_being_begun(command) {
                continue;
            }
            if let Some(errand) = errand(&held.dossier, command) {
                self.running.insert(errand.command());
                errands.start.push(errand);
            }
        }
        let stale: Vec<Command> = self
            .running
            .iter()
            .filter(|running| owner(running).as_ref() == Some(service) && !wanted.contains(running))
            .filter(|running| {
                !matches!(running, Command::Begin(..) | Command::Describe(_) | Command::Probe(..))
            })
            .cloned()
            .collect();
        for command in stale {
            self.running.remove(&command);
            errands.stop.push(command);
        }
        let wake = held.dossier.wake_at(&view);
        let picture = (!self.running.contains(&Command::Describe(service.clone())))
            .then(|| held.dossier.picture_due(&view));
        let idle =
            |probe: &ProbeName| !self.running.contains(&Command::Probe(service.clone(), probe.clone()));
        let probes =
            held.dossier.probes_due(&view).filter(|(probe, _)| idle(probe)).map(|(_, due)| due).min();
        let idle = |companion: &ServiceId| !self.running.contains(&Command::Describe(companion.clone()));
        let companions = held
            .dossier
            .companions_due(&view)
            .filter(|(companion, _)| idle(companion))
            .map(|(_, due)| due)
            .min();
        match wake.into_iter().chain(picture).chain(probes).chain(companions).min() {
            Some(at) => self.wakes.insert(service.clone(), at),
            None => self.wakes.remove(service),
        };
    }

    /// A search never starts while the request itself is still under way.
    fn is_being_begun(&self, command: &Command) -> bool {
        match command {
            Command::Find(case, step) => self.running.contains(&Command::Begin(case.clone(), *step)),
            Command::Describe(_)
            | Command::Propose(_)
            | Command::Collect(_)
            | Command::RollCall(..)
            | Command::Begin(..)
            | Command::Watch(..)
            | Command::Say(..)
            | Command::Show(_)
            | Command::Onset(..)
            | Command::Probe(..)
            | Command::Page(..) => false,
        }
    }

    pub(super) fn due(&self, now: Timestamp) -> Vec<ServiceId> {
        self.wakes.iter().filter(|(_, at)| **at <= now).map(|(service, _)| service.clone()).collect()
    }

    /// What pagers have to be told about what is nobody's dossier.
    fn errands_of_all(&mut self, now: Timestamp, errands: &mut Errands) {
        let mut wanted: Vec<(Matter, PagerName, Option<Cause>)> = Vec::new();
        for matter in Matter::ALL {
            let due = pager::due(self.standing.paged_of(matter), &self.settings.shared.pagers);
            wanted.extend(due.map(|(pager, cause)| (matter, pager.clone(), cause)));
        }
        let stale = |command: &Command| {
            let Command::Page(About::All(matter), pager, cause) = command else { return false };
            !wanted.contains(&(*matter, pager.clone(), *cause))
        };
        errands.stop.extend(self.running.iter().filter(|running| stale(running)).cloned());
        self.running.retain(|running| !stale(running));
        for (matter, pager, cause) in wanted {
            if self.running.insert(Command::Page(About::All(matter), pager.clone(), cause)) {
                let summons = Summons::of_all(matter, &self.standing, &pager, cause, now);
                errands.start.push(Errand::Page(Box::new(summons)));
            }
        }
    }

    /// What pagers have to be told from now on.
    pub(super) fn page_news(&self, now: Timestamp) -> impl Iterator<Item = StandingEvent> + '_ {
        let shared = &self.settings.shared;
        self.standing.page_news(&shared.pagers, shared.dead_letters_max, now)
    }

    /// When the next service is due, or a pager has to be told about the hold.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let of_pages = self.page_news(self.last).next().map(|_| self.last);
        let fade = self.standing.letters_fade_at(self.settings.shared.dead_letters_max, self.last);
        let heartbeats = &self.settings.shared.heartbeats;
        let of_silence = self.hearing.wakes_at(heartbeats, &self.standing.silent);
        let heard_again = self.silences(self.last).first().map(|_| self.last);
        self.wakes.values().copied().chain(of_pages).chain(fade).chain(of_silence).chain(heard_again).min()
    }

    /// Whether nothing is under way and every case is told: for tests and for a clean stop.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
            && self.held.values().all(|held| held.dossier.open.is_none() && held.dossier.telling.is_empty())
    }
}
