//! The desk: many arrivals become one turn, and a committed turn becomes errands (`follow`). Pure: a simulator or the
//! shell drives it, and tells it the time. Owns the dossiers in memory; leaves writing to the journal and doing to the
//! shell.

mod follow;
mod neighbours;
mod replay;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::neighbours::{Around, companions};
use crate::case::approval::Roster;
use crate::case::command::{Command, Ending, Input, Request};
use crate::case::deployment::{DeploymentOrigin, Picture};
use crate::case::dossier::Dossier;
use crate::case::heartbeat::{Hearing, Heartbeat};
use crate::case::id::{DeliveryId, Duration, Mark, ServiceId, SourceName, Timestamp};
use crate::case::live::Live;
use crate::case::map::{Atlas, Mapped};
use crate::case::next::Moment;
use crate::case::notice::Notice;
use crate::case::probe::Health;
use crate::case::rules::RuleTable;
use crate::case::scribe::{View, Written};
use crate::case::settings::{ServiceSettings, SharedSettings};
use crate::case::signal::{EpisodeKey, Signal};
use crate::case::standing::{Hold, Standing, StandingEvent};
use crate::case::turn::{Change, Disposition, Gated, Turn};
pub use crate::engine::arrival::{Arrival, Content, Replay};
use crate::engine::errand::owner;
use crate::engine::spoken;

/// A clock that goes back by more bars acts until it catches up (failure model T54).
const CLOCK_BACK_MAX: Duration = Duration::from_secs(5);

/// What the desk is told about the world; replaced whole between turns.
#[derive(Debug)]
pub struct DeskSettings {
    /// The services.
    pub services: BTreeMap<ServiceId, Arc<ServiceSettings>>,
    /// What all services share.
    pub shared: Arc<SharedSettings>,
    /// The rule table in force.
    pub rules: Arc<RuleTable>,
    /// Labels to services.
    pub atlas: Atlas,
    /// What each source may speak about.
    pub sources: BTreeMap<SourceName, SourceScope>,
}

/// What a source may speak about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceScope {
    /// Patterns of services.
    pub services: Vec<String>,
    /// The source's own table, where labels cannot say.
    pub table: BTreeMap<String, ServiceId>,
}

struct Held {
    dossier: Arc<Dossier>,
    live: Live,
    settings: Arc<ServiceSettings>,
}

/// The desk.
pub struct Desk {
    held: BTreeMap<ServiceId, Held>,
    standing: Standing,
    settings: Arc<DeskSettings>,
    /// Who belongs to which group, as last read.
    roster: Option<Roster>,
    /// Who was heard of the sources that have a heartbeat.
    hearing: Hearing,
    running: BTreeSet<Command>,
    latest: Timestamp,
    /// The moment of the last turn.
    last: Timestamp,
    /// The clock went back, and has not caught up until then.
    behind_until: Option<Timestamp>,
    /// Services whose wake time may have changed since it was last computed.
    touched: BTreeSet<ServiceId>,
    wakes: BTreeMap<ServiceId, Timestamp>,
    /// Who takes a service along when it goes back.
    leaders: BTreeMap<ServiceId, Vec<ServiceId>>,
}

impl Desk {
    /// A desk over what the journal holds. Nothing is under way, and nothing was read since `now`.
    pub fn new(
        dossiers: Vec<Dossier>,
        standing: Standing,
        settings: Arc<DeskSettings>,
        now: Timestamp,
    ) -> Desk {
        let mut desk = Desk {
            held: BTreeMap::new(),
            standing,
            settings: settings.clone(),
            running: BTreeSet::new(),
            latest: now,
            last: now,
            behind_until: None,
            roster: None,
            hearing: Hearing::default(),
            touched: BTreeSet::new(),
            wakes: BTreeMap::new(),
            leaders: BTreeMap::new(),
        };
        let mut stored: BTreeMap<ServiceId, Dossier> =
            dossiers.into_iter().map(|dossier| (dossier.service.clone(), dossier)).collect();
        for (id, service) in &settings.services {
            let dossier = stored.remove(id).unwrap_or_else(|| Dossier::new(id.clone()));
            desk.hold(dossier, service.clone(), now);
        }
        desk.hearing.listen(&settings.shared.heartbeats, now);
        desk.find_leaders();
        desk
    }

    fn hold(&mut self, dossier: Dossier, settings: Arc<ServiceSettings>, now: Timestamp) {
        let id = dossier.service.clone();
        self.touched.insert(id.clone());
        self.held.insert(id, Held { dossier: Arc::new(dossier), live: Live::new(now), settings });
    }

    /// These errands were cut: whatever still lists them begins them anew.
    pub fn cut(&mut self, commands: &[Command]) {
        commands.iter().for_each(|command| {
            self.running.remove(command);
        });
    }

    /// Takes new settings, between turns. A service that is gone keeps its old ones while its case is open.
    pub fn reload(&mut self, settings: Arc<DeskSettings>, now: Timestamp) {
        for (id, service) in &settings.services {
            match self.held.get_mut(id) {
                Some(held) => held.settings = service.clone(),
                None => self.hold(Dossier::new(id.clone()), service.clone(), now),
            }
        }
        let planned: BTreeSet<ServiceId> = self.held.values().flat_map(companions).cloned().collect();
        let is_needed = |id: &ServiceId, held: &Held| held.dossier.open.is_some() || planned.contains(id);
        self.held.retain(|id, held| settings.services.contains_key(id) || is_needed(id, held));
        self.hearing.listen(&settings.shared.heartbeats, now);
        self.find_leaders();
        self.settings = settings;
        self.touched.extend(self.held.keys().cloned());
    }

    /// The dossiers as committed.
    pub fn dossiers(&self) -> impl Iterator<Item = &Arc<Dossier>> {
        self.held.values().map(|held| &held.dossier)
    }

    /// One service's dossier and what this process knows about it.
    pub fn service(&self, id: &ServiceId) -> Option<(&Dossier, &Live)> {
        self.held.get(id).map(|held| (&*held.dossier, &held.live))
    }

    /// The standing as committed.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Services whose provider could not be read when it was asked last; why.
    pub fn troubles(&self) -> BTreeMap<ServiceId, String> {
        let held = self.held.iter();
        held.filter_map(|(id, held)| Some((id.clone(), held.live.trouble.clone()?))).collect()
    }

    /// The services that the desk holds.
    pub fn services(&self) -> Vec<ServiceId> {
        self.held.keys().cloned().collect()
    }

    /// Many arrivals become one turn. Nothing is true before it is committed.
    pub fn turn(&mut self, arrivals: Vec<Arrival>, now: Timestamp) -> Turn {
        let mut draft = Draft { now, changes: BTreeMap::new(), turn: Turn { at: now, ..Turn::default() } };
        let clock_behind_until = self.look_at_the_clock(&mut draft);
        for arrival in arrivals {
            self.arrive(arrival, &mut draft);
        }
        for service in self.due(now) {
            self.take(&service, &Input::Tick, &mut draft);
        }
        draft.turn.standing.extend(self.page_news(now));
        draft.turn.standing.extend(self.silences(now));
        self.ask_gate(&mut draft, Moment { clock_behind_until });
        let mut turn = draft.turn;
        let asking: BTreeSet<ServiceId> = turn.gates.iter().map(|ask| ask.order.case.service()).collect();
        turn.changes = draft
            .changes
            .into_values()
            .filter(|change| !change.events.is_empty() || asking.contains(&change.dossier.service))
            .collect();
        turn
    }

    /// A clock that went back makes everything young again that this process read before: it is read anew, and what
    /// waits begins anew, as after a restart. Until the clock has caught up nothing passes the gate.
    fn look_at_the_clock(&mut self, draft: &mut Draft) -> Option<Timestamp> {
        let now = draft.now;
        let went_back = now < self.last - CLOCK_BACK_MAX;
        self.last = now;
        if went_back {
            self.behind_until = self.behind_until.max(Some(self.latest));
            for held in self.held.values_mut() {
                held.live = Live::new(now);
            }
            self.hearing = Hearing::default();
            self.hearing.listen(&self.settings.shared.heartbeats, now);
            for service in self.services() {
                self.take(&service, &Input::Restarted, draft);
            }
        }
        self.latest = self.latest.max(now);
        self.behind_until = self.behind_until.filter(|until| now < *until);
        self.behind_until
    }

    fn arrive(&mut self, arrival: Arrival, draft: &mut Draft) {
        match arrival {
            Arrival::Delivery { id, source, content } => self.deliver(id, &source, content, draft),
            Arrival::To(service, input) => {
                self.take(&service, &input, draft);
            }
            Arrival::Ended(command, ending) => self.ended(command, *ending, draft),
            Arrival::Unreadable(service, why) => {
                self.running.remove(&Command::Describe(service.clone()));
                if let Some(held) = self.held.get_mut(&service) {
                    held.live.trouble = Some(why);
                    held.live.tried_at = Some(draft.now);
                }
                self.take(&service, &Input::Tick, draft);
                self.look_again_beside(&service, draft);
            }
            Arrival::Moved(service) => {
                if let Some(held) = self.held.get_mut(&service) {
                    held.live.moved_at = Some(draft.now);
                }
                self.take(&service, &Input::Tick, draft);
            }
            Arrival::Standing(event) => draft.turn.standing.push(event),
            Arrival::Roster(roster) => self.call_the_roll(roster),
        }
    }

    /// Takes who belongs where: of two readings every case goes by the newer one.
    fn call_the_roll(&mut self, roster: Roster) {
        for held in self.held.values_mut() {
            if held.live.roster.as_ref().is_none_or(|known| known.at < roster.at) {
                held.live.roster = Some(roster.clone());
            }
        }
        self.roster = Some(roster);
    }

    fn deliver(&mut self, id: DeliveryId, source: &SourceName, content: Content, draft: &mut Draft) {
        let dispositions = match content {
            Content::Notices(notices) => self.told(source, notices, draft),
            Content::Aside(what) => vec![Disposition::Aside(what)],
            Content::Dead(why) => {
                draft.turn.standing.push(StandingEvent::DeadLetter { at: draft.now });
                vec![Disposition::Dead(why)]
            }
            Content::Signals(signals) => self.sort_out(source, signals, draft),
            Content::Asked(request) => vec![self.asked(*request, draft)],
            Content::Replayed(replay) => self.replayed(id, replay, draft),
        };
        draft.turn.dispositions.push((id, dispositions));
        draft.turn.cursor = draft.turn.cursor.max(Some(id));
    }

    /// Takes a person's request through whichever door. What was said in the chat is first given the groups of whoever said
    /// it, and is answered there.
    fn asked(&mut self, request: Request, draft: &mut Draft) -> Disposition {
        let Request::Spoken { request, place, serving, answer } = request else {
            return self.decide(request, draft);
        };
        let by = request.by().clone();
        let of_one_case = matches!(&*request, Request::Of(_, ask) if ask.what.case().is_some());
        let held = |service: &ServiceId| self.held.get(service).map(|held| &*held.dossier);
        let roster = self.roster.as_ref();
        let became = match spoken::authorised(
            *request,
            (place.as_ref(), serving.as_ref()),
            roster,
            &self.settings.shared,
            held,
            draft.now,
        ) {
            Ok(request) => self.decide(request, draft),
            Err(refused) => refused,
        };
        if let Some(to) = answer {
            draft.turn.whispers.extend(spoken::answer(to, &by, &became, place, of_one_case));
        }
        became
    }

    /// Sources that fell silent, and those that are heard again.
    fn silences(&self, now: Timestamp) -> Vec<StandingEvent> {
        self.hearing.news(&self.settings.shared.heartbeats, &self.standing.silent, now)
    }

    /// Takes a request: of a service, or of everything.
    fn decide(&mut self, request: Request, draft: &mut Draft) -> Disposition {
        let Request::Of(service, ask) = request else {
            let became = self.standing.ask(request, draft.now, &mut draft.turn.standing);
            if matches!(became, Disposition::Done(_)) {
                // Whatever waits for it is looked at in the next turn, when the standing is on disk.
                self.touched.extend(self.held.keys().cloned());
            }
            return became;
        };
        if !self.held.contains_key(&service) {
            return Disposition::Conflict(format!("no service {service} is configured"));
        }
        let answers = self.take(&service, &Input::Asked(ask), draft);
        let none = || Disposition::Conflict("the request led to nothing".into());
        answers.into_iter().next().unwrap_or_else(none)
    }

    /// Maps each signal on its own, and gives each service its own in the sender's order.
    fn sort_out(&mut self, source: &SourceName, signals: Vec<Signal>, draft: &mut Draft) -> Vec<Disposition> {
        let nobody = SourceScope::default();
        let scope = self.settings.sources.get(source).cloned().unwrap_or(nobody);
        let mut dispositions = Vec::with_capacity(signals.len());
        let mut by_service: BTreeMap<ServiceId, Vec<Signal>> = BTreeMap::new();
        let heartbeat: Option<&Heartbeat> = self.settings.shared.heartbeats.get(source);
        for signal in signals {
            if heartbeat.is_some_and(|heartbeat| heartbeat.is_it(&signal)) {
                self.hearing.hear(&signal);
                dispositions.push(Disposition::Aside(format!("the heartbeat of {source}")));
                continue;
            }
            match self.settings.atlas.map(&signal.labels, &scope.services, &scope.table) {
                Mapped::To(service) => by_service.entry(service).or_default().push(signal),
                Mapped::OutOfScope(service) => dispositions.push(Disposition::OutOfScope(service)),
                Mapped::Unmapped(why) => dispositions.push(Disposition::Unmapped(why)),
            }
        }
        for (service, signals) in by_service {
            dispositions.extend(self.take(&service, &Input::Signals(signals), draft));
        }
        dispositions
    }

    /// Maps each notice on its own, by the same map as signals.
    fn told(&mut self, feed: &SourceName, notices: Vec<Notice>, draft: &mut Draft) -> Vec<Disposition> {
        let scope = self.settings.sources.get(feed).cloned().unwrap_or_default();
        let mut dispositions = Vec::with_capacity(notices.len());
        for notice in notices {
            match self.settings.atlas.map(&notice.labels, &scope.services, &scope.table) {
                Mapped::To(service) => {
                    dispositions.extend(self.take(&service, &Input::Noticed(Box::new(notice)), draft));
                }
                Mapped::OutOfScope(service) => dispositions.push(Disposition::OutOfScope(service)),
                Mapped::Unmapped(why) => dispositions.push(Disposition::Unmapped(why)),
            }
        }
        dispositions
    }

    fn ended(&mut self, command: Command, ending: Ending, draft: &mut Draft) {
        self.running.remove(&command);
        let Some(service) = owner(&command) else {
            return follow::paged(&command, &ending, &self.standing, draft);
        };
        if let (Some(held), Ending::Roster(roster)) = (self.held.get_mut(&service), &ending) {
            held.live.roster = Some(roster.clone());
        }
        if let (Some(held), Command::Onset(_, key)) = (self.held.get_mut(&service), &command) {
            // Those that are over need no place any more.
            let episodes = &held.dossier.episodes;
            held.live.asked.retain(|asked| episodes.contains_key(asked));
            held.live.asked.insert(key.clone());
        }
        if let (Some(held), Command::Probe(_, probe)) = (self.held.get_mut(&service), &command) {
            // A check that panicked ended too, and found nothing out.
            let nothing = || Health::Unknown("the check ended without an answer".into());
            let (began_at, found) = if let Ending::Probed { began_at, found } = &ending {
                (*began_at, found.clone())
            } else {
                (draft.now, nothing())
            };
            held.live.probed(probe, began_at, &found, draft.now);
        }
        let was_read = matches!(command, Command::Describe(_));
        if let Ending::Described(picture) = &ending {
            self.see(&service, picture, draft);
        }
        self.take(&service, &Input::Ended(command, ending), draft);
        if was_read {
            self.look_again_beside(&service, draft);
        }
    }

    /// Takes a picture. A mark of ours that no act and no ledger knows is a lost store's: Snapback forbids itself.
    fn see(&mut self, service: &ServiceId, picture: &Picture, draft: &mut Draft) {
        let Some(held) = self.held.get_mut(service) else { return };
        held.live.see(picture);
        let known = |mark: &Mark| {
            let by_act = self.standing.acts.iter().any(|act| act.mark == *mark);
            let by_ledger =
                held.dossier.ledger.deployments.iter().any(
                    |deployment| matches!(&deployment.origin, DeploymentOrigin::Ours(ours) if ours == mark),
                );
            by_act || by_ledger
        };
        let unknown: Vec<String> =
            picture.our_marks().filter(|mark| !known(mark)).map(ToString::to_string).collect();
        if !unknown.is_empty() {
            let reason = format!(
                "{service} carries marks of ours that the store does not know: {}",
                unknown.join(", ")
            );
            let hold = Hold { reasons: vec![reason], since: draft.now };
            draft.turn.standing.push(StandingEvent::Held(hold));
        }
    }

    /// Lets a service take an input, in the draft.
    fn take(&mut self, service: &ServiceId, input: &Input, draft: &mut Draft) -> Vec<Disposition> {
        let around = self.around(service, Some(draft));
        let Some(held) = self.held.get_mut(service) else {
            return vec![Disposition::Unmapped(format!("{service} is not configured any more"))];
        };
        if let Input::Signals(signals) = input {
            held.ask_anew(signals);
        }
        let held = &*held;
        let view = view(held, &self.settings, &self.standing, &around, draft.now);
        if let Input::Signals(signals) = input {
            let dossier = draft.changes.get(service).map_or(&held.dossier, |change| &change.dossier);
            if let Some(dispositions) = dossier.says_nothing_new(signals, &view) {
                return dispositions;
            }
        }
        self.touched.insert(service.clone());
        let change = draft.changes.entry(service.clone()).or_insert_with(|| Change {
            dossier: Arc::clone(&held.dossier),
            events: Vec::new(),
            departed: Vec::new(),
        });
        let Written { events, dispositions, standing, bulletins, departed } =
            Arc::make_mut(&mut change.dossier).take(input, &view);
        draft.turn.bulletins.extend(bulletins);
        change.events.extend(events);
        change.departed.extend(departed);
        draft.turn.standing.extend(standing);
        dispositions
    }
}

impl Held {
    /// What begins anew is asked about anew.
    fn ask_anew(&mut self, signals: &[Signal]) {
        if self.live.asked.is_empty() {
            return;
        }
        let asked: BTreeSet<EpisodeKey> = signals.iter().map(Signal::key).collect();
        self.live.asked.retain(|key| self.dossier.episodes.contains_key(key) || !asked.contains(key));
    }
}

struct Draft {
    now: Timestamp,
    changes: BTreeMap<ServiceId, Change>,
    turn: Turn,
}

fn view<'a>(
    held: &'a Held,
    settings: &'a DeskSettings,
    standing: &'a Standing,
    around: &'a Around,
    now: Timestamp,
) -> View<'a> {
    View {
        settings: &held.settings,
        shared: &settings.shared,
        rules: &settings.rules,
        standing,
        live: &held.live,
        neighbours: &around.neighbours,
        in_hands_of: around.in_hands_of.as_ref(),
        now,
    }
}
