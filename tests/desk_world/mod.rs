//! A small world around the real desk: some services with pretend providers, a standing that the real gate reads, people
//! who may decide, and a clock that moves when a story says so. Leaves stops and lost writes to `crash_world`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use snapback::case::approval::{ApprovalPolicy, OnExpiry, PersonVote, Roster};
use snapback::case::command::{Ask, Authority, Ending, Input, Progress, Request, Wish};
use snapback::case::decide::Verdict;
use snapback::case::deployment::{
    ChangeKind, Deployment, DeploymentOrigin, DeploymentStatus, Owner, Picture, Report,
};
use snapback::case::dossier::Dossier;
use snapback::case::exhibit::{Collected, Exhibit};
use snapback::case::gate::{WIRE_DEADLINE, Why, gate, record};
use snapback::case::id::{
    DeliveryId, Duration, GroupName, Handle, PersonId, Place, ReleaseId, ServiceId, Timestamp,
};
use snapback::case::map::{Atlas, AtlasEntry, Equivalents};
use snapback::case::permit::Permit;
use snapback::case::phase::Outcome;
use snapback::case::plan::{Leg, Proposal};
use snapback::case::probe::Health;
use snapback::case::release::Release;
use snapback::case::rules::{Rule, RuleTable};
use snapback::case::settings::{
    GuardSettings, MaxBack, Migrations, Mode, ServiceSettings, SharedSettings, VerifyPolicy,
};
use snapback::case::signal::{Lag, Signal, SignalState};
use snapback::case::standing::{Standing, StandingEvent};
use snapback::case::step::{Act, Class, Doer, Order};
use snapback::case::story::Case;
use snapback::case::thread::Patience;
use snapback::case::turn::{Disposition, Gated, Turn};
use snapback::engine::desk::{Arrival, Content, Desk, DeskSettings, SourceScope};
use snapback::engine::errand::Errand;
use snapback::telemetry::label;
use snapback::telemetry::metrics::Metrics;

/// The services, all in production.
const SERVICES: [&str; 4] = ["checkout", "payments", "cart", "search"];
/// More turns than one moment ever takes: a story that needs them hangs.
const TURNS_MAX: usize = 200;

/// How a provider answers a question: at once, with an error, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    Answers,
    Fails,
    Never,
}

/// What a provider does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// It does it at once.
    Does,
    /// It takes it and works on it, for as long as the story says.
    Works,
    /// The request is lost, and so is the reply: no trace is there.
    Loses,
    /// The reply is lost, and whether there is a trace cannot be read.
    Hides,
    /// It says no, for good.
    Refuses,
}

/// What becomes of a step of the user's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    /// It is done.
    Done,
    /// It says no.
    Refuses,
    /// Nobody answers there.
    Unsent,
    /// Nobody sees how it ends.
    Unseen,
}

/// A pretend provider of one service: what it holds, and how it answers when it is asked what serves (`reads`), asked
/// for acts (`proposes`), and sent a request (`takes`), whose late copy is of `class`.
pub(crate) struct Provider {
    pub serving: &'static str,
    pub deployments: Vec<Deployment>,
    pub releases: BTreeMap<&'static str, Release>,
    pub reads: Reads,
    pub proposes: Reads,
    pub takes: Takes,
    pub class: Class,
    /// So many acts it proposes.
    pub acts: usize,
    /// What it reports as trouble.
    pub reports: Vec<Report>,
    /// What a probe of the service finds. `None`: it runs and runs.
    pub health: Option<Health>,
    /// What it shows of itself. `None`: it never answers.
    pub shows: Option<Vec<Exhibit>>,
}

/// The world, with every request that left it and every refusal of the gate, in order.
pub(crate) struct World {
    pub now: Timestamp,
    pub desk: Desk,
    pub providers: BTreeMap<ServiceId, Provider>,
    pub requests: Vec<Order>,
    pub refused: Vec<Why>,
    /// What is counted of it, as the engine counts.
    pub metrics: Metrics,
    /// Whether notes can be said.
    pub voice: Reads,
    /// What becomes of the steps of the user's own.
    pub own: Own,
    standing: Standing,
    delivered: u64,
    dispositions: Vec<Disposition>,
    waiting: Vec<Errand>,
    story: Vec<String>,
}

/// So many seconds after the beginning of every story.
pub(crate) fn at(seconds: i64) -> Timestamp {
    "2026-03-02T09:00:00Z".parse::<Timestamp>().expect("a moment") + Duration::from_secs(seconds)
}

/// The service of this name.
pub(crate) fn id(service: &str) -> ServiceId {
    ServiceId::of(service, "production")
}

impl World {
    /// A world in which v2 of every service is two minutes old, v1 two days and v0 three.
    pub(crate) fn new(settings: DeskSettings) -> World {
        World {
            now: at(0),
            desk: Desk::new(Vec::new(), Standing::default(), Arc::new(settings), at(0)),
            providers: SERVICES.map(|name| (id(name), Provider::new(&id(name)))).into(),
            requests: Vec::new(),
            refused: Vec::new(),
            metrics: Metrics::new(at(0), std::iter::empty()),
            voice: Reads::Answers,
            own: Own::Done,
            standing: Standing::default(),
            delivered: 0,
            dispositions: Vec::new(),
            waiting: Vec::new(),
            story: Vec::new(),
        }
    }

    /// The provider of this service.
    pub(crate) fn provider(&mut self, service: &str) -> &mut Provider {
        self.providers.get_mut(&id(service)).expect("a service of this world")
    }

    /// Somebody puts this release out now.
    pub(crate) fn puts_out(&mut self, service: &str, release: &'static str) {
        let now = self.now;
        let provider = self.provider(service);
        provider.serving = release;
        let nth = provider.deployments.len();
        provider.deployments.push(Deployment {
            id: format!("d{nth}-{release}").as_str().into(),
            ..deployment(&id(service), release, now)
        });
    }

    /// Time passes, second by second or to the next moment at which the desk wants to look.
    pub(crate) fn pass(&mut self, seconds: i64) {
        let end = self.now + Duration::from_secs(seconds);
        self.arrives(Vec::new());
        while self.now < end {
            let wake = self.desk.wake_at().unwrap_or(end);
            self.now =
                wake.clamp(self.now + Duration::from_secs(1), self.now + Duration::from_secs(30)).min(end);
            self.arrives(Vec::new());
        }
    }

    /// The process ends and begins again over what is stored.
    pub(crate) fn restarts(&mut self, settings: DeskSettings) {
        let dossiers: Vec<Dossier> = self.desk.dossiers().map(|dossier| (**dossier).clone()).collect();
        self.desk = Desk::new(dossiers, self.standing.clone(), Arc::new(settings), self.now);
        self.waiting.clear();
        let restarted =
            self.desk.services().into_iter().map(|service| Arrival::To(service, Box::new(Input::Restarted)));
        self.arrives(restarted.collect());
    }

    /// How many errands of this kind are under way.
    pub(crate) fn under_way(&self, kind: &str) -> usize {
        self.waiting.iter().filter(|errand| errand.command().crash_point() == kind).count()
    }

    /// A delivery comes; what became of each of its signals.
    pub(crate) fn hears(&mut self, signals: Vec<Signal>) -> Vec<Disposition> {
        self.delivered += 1;
        let content = Content::Signals(signals);
        let delivery =
            Arrival::Delivery { id: DeliveryId(self.delivered), source: "prometheus".into(), content };
        self.arrives(vec![delivery]);
        std::mem::take(&mut self.dispositions)
    }

    /// An alert of this service fires, since five seconds.
    pub(crate) fn fires(&mut self, service: &str, fingerprint: &str) {
        let signal = alert(service, fingerprint, self.now - Duration::from_secs(5));
        self.hears(vec![Signal { received_at: self.now, ..signal }]);
    }

    /// A person wants something.
    pub(crate) fn wishes(&mut self, service: &str, by: &str, what: Wish) {
        self.wishes_as(service, by, &["sre"], what);
    }

    /// Somebody of these groups asks for something; what became of it.
    pub(crate) fn wishes_as(&mut self, service: &str, by: &str, groups: &[&str], what: Wish) -> Disposition {
        let groups = groups.iter().map(GroupName::new).collect();
        let authority = Authority::Operator;
        let ask = Ask { by: PersonId::new(by), at: self.now, groups, authority, what };
        self.asks(Request::Of(id(service), ask))
    }

    /// A request comes through a door, as a delivery; what became of it.
    pub(crate) fn asks(&mut self, request: Request) -> Disposition {
        self.delivered += 1;
        let (id, source) = (DeliveryId(self.delivered), "@people".into());
        self.dispositions.clear();
        self.arrives(vec![Arrival::Delivery { id, source, content: Content::Asked(Box::new(request)) }]);
        std::mem::take(&mut self.dispositions).pop().expect("exactly one disposition")
    }

    /// The person's yes to what the open case asks.
    pub(crate) fn yes(&self, service: &str) -> Wish {
        let case = self.case(service).expect("an open case");
        let digest = case.plan.as_ref().expect("a plan").digest.clone();
        Wish::Vote { case: case.id.clone(), vote: PersonVote::yes(digest) }
    }

    /// The dossier of this service.
    pub(crate) fn dossier(&self, service: &str) -> &Dossier {
        self.desk.service(&id(service)).expect("a service of this world").0
    }

    /// The open case of this service.
    pub(crate) fn case(&self, service: &str) -> Option<&Case> {
        self.dossier(service).open.as_deref()
    }

    /// Where the case of this service stands, or how the last one ended.
    pub(crate) fn stands(&self, service: &str) -> &'static str {
        let ended = || self.outcomes(service).last().map_or("quiet", |outcome| outcome.word());
        self.case(service).map_or_else(ended, |case| case.phase.word())
    }

    /// How the cases of this service ended.
    pub(crate) fn outcomes(&self, service: &str) -> Vec<Outcome> {
        self.dossier(service).outcomes.iter().map(|past| past.outcome).collect()
    }

    /// The last verdict about the open case.
    pub(crate) fn verdict(&self, service: &str) -> Option<Verdict> {
        self.case(service)?.decision.as_ref().map(|decision| decision.verdict)
    }

    /// What happened, for people.
    pub(crate) fn told(&self) -> String {
        self.story.join("\n")
    }

    /// Arrivals come in one turn, and everything that follows at this moment.
    pub(crate) fn arrives(&mut self, mut arrivals: Vec<Arrival>) {
        for _ in 0..TURNS_MAX {
            let turn = self.desk.turn(std::mem::take(&mut arrivals), self.now);
            let (turn, gated) = self.append(turn);
            self.metrics.committed(&turn, |_| label::Provider::Directory);
            let errands = self.desk.commit(turn, gated);
            let bulletins = errands.bulletins.iter();
            self.story.extend(bulletins.map(|bulletin| format!("   told: {}", bulletin.lines.join(" / "))));
            self.waiting.retain(|errand| !errands.stop.contains(&errand.command()));
            self.waiting.extend(errands.start);
            for errand in std::mem::take(&mut self.waiting) {
                match self.carry_out(&errand) {
                    Some(arrival) => arrivals.push(arrival),
                    None => self.waiting.push(errand),
                }
            }
            if arrivals.is_empty() {
                return;
            }
        }
        panic!("the story hangs:\n{}", self.told());
    }

    /// The transaction, with the real gate.
    fn append(&mut self, mut turn: Turn) -> (Turn, Vec<Gated>) {
        for event in &turn.standing {
            self.standing.apply(event);
        }
        let mut answers = Vec::new();
        for ask in &turn.gates {
            let answer = gate(&self.standing, ask, turn.at);
            match &answer {
                Ok(()) => self.standing.apply(&StandingEvent::Acted(record(ask, turn.at))),
                Err(why) => self.refused.push(why.clone()),
            }
            answers.push(answer);
        }
        turn.settle(&answers);
        for change in &turn.changes {
            let service = &change.dossier.service;
            self.story.extend(change.events.iter().map(|(_, stamped)| {
                let why = stamped.event.why().map_or_else(String::new, |why| format!(": {why}"));
                format!("{} {service} {}{why}", stamped.at, stamped.event.word())
            }));
        }
        self.dispositions.extend(turn.dispositions.iter().flat_map(|(_, became)| became.iter().cloned()));
        let gated = turn.gates.iter().zip(answers).map(|(ask, answer)| match answer {
            Ok(()) => Gated::Passed(Permit::committed(ask.order.clone(), turn.at + WIRE_DEADLINE)),
            Err(why) => Gated::Barred(ask.order.case.clone(), why),
        });
        let gated = gated.collect();
        (turn, gated)
    }

    /// What comes of an errand now; nothing while it is still under way.
    fn carry_out(&mut self, errand: &Errand) -> Option<Arrival> {
        let now = self.now;
        let ending = match errand {
            Errand::Describe(service) => {
                let provider = self.provider_of(service);
                match provider.reads {
                    Reads::Answers => Ending::Described(Box::new(provider.picture(now))),
                    Reads::Fails => return Some(Arrival::Unreadable(service.clone(), "it is down".into())),
                    Reads::Never => return None,
                }
            }
            Errand::Propose(choice) => {
                let provider = self.provider_of(&choice.service);
                match provider.proposes {
                    Reads::Answers => {
                        let own = Proposal::of(vec![provider.act(&choice.to); provider.acts]);
                        let leg = |leg: &Leg| Proposal::of(vec![self.provider_of(&leg.service).act(&leg.to)]);
                        let with = choice.with.iter().map(leg).collect();
                        Ending::Proposed(Proposal { with, ..own })
                    }
                    Reads::Fails => Ending::Refused("it cannot be undone".into()),
                    Reads::Never => return None,
                }
            }
            Errand::Collect(case) => {
                let shown = self.provider_of(&case.service()).shows.clone()?;
                Ending::Collected(Collected::of(shown))
            }
            Errand::RollCall(_, groups) => {
                let all = |group: &GroupName| (group.clone(), ["ann", "bob"].map(PersonId::new).into());
                Ending::Roster(Roster { at: now, members: groups.iter().map(all).collect() })
            }
            Errand::Begin(permit) => {
                let order = permit.order().clone();
                self.requests.push(order.clone());
                match (&order.doer, self.own) {
                    (Doer::Provider(of), _) => self.provider_of(of).begin(&order, now),
                    (_, Own::Done) => Ending::Accepted(Handle::new("done")),
                    (_, Own::Refuses) => Ending::Refused("it says no".into()),
                    (_, Own::Unsent) => Ending::NotSent,
                    (_, Own::Unseen) => Ending::Unclear("the reply was lost".into()),
                }
            }
            Errand::Onset(_, signal) => Ending::Began(signal.onset()),
            Errand::Probe(service, _) => {
                let found = self.provider_of(service).health.clone()?;
                Ending::Probed { began_at: now, found }
            }
            Errand::Find(order) if order.doer == Doer::User => Ending::Absent,
            Errand::Watch(order, _) if order.doer == Doer::User => {
                Ending::Progress(Progress::Done("done".into()))
            }
            Errand::Find(order) => self.provider_of(&order.service).find(order)?,
            Errand::Watch(order, _) => self.provider_of(&order.service).watch(order, now)?,
            Errand::Say(_, _, _, patience) if patience.is_over(now) && self.voice == Reads::Fails => {
                Ending::Unsayable("is_archived".into())
            }
            Errand::Say(note, _, _, patience) if self.voice == Reads::Fails => {
                let case = self.dossier(note.case.service().name()).case(&note.case);
                // The case is looked at anew, where it is another one by now.
                let other = case.is_none_or(|case| Patience::with(case) != *patience);
                return other.then(|| {
                    Arrival::Ended(errand.command(), Box::new(Ending::Unclear("is_archived".into())))
                });
            }
            Errand::Say(..) if self.voice != Reads::Answers => return None,
            Errand::Say(note, ..) => {
                self.story.push(format!("   \"{}\"", note.lines.join(" / ")));
                Ending::Said { place: Place::log(), face: None }
            }
            Errand::Show(_, face, _) => Ending::Shown(face.digest()),
            Errand::Page(summons) => {
                self.story
                    .push(format!("   {} is told {:?}: {}", summons.pager, summons.cause, summons.headline));
                Ending::Paged
            }
        };
        Some(Arrival::Ended(errand.command(), Box::new(ending)))
    }

    fn provider_of(&mut self, service: &ServiceId) -> &mut Provider {
        self.providers.get_mut(service).expect("a service of this world")
    }
}

impl Provider {
    fn new(service: &ServiceId) -> Provider {
        let ages = [("v0", 72 * 3600), ("v1", 48 * 3600), ("v2", 120)];
        let bare = |id: &'static str| {
            (id, Release { artifact_exists: Some(true), ..Release::bare(ReleaseId::new(id)) })
        };
        Provider {
            serving: "v2",
            deployments: ages.map(|(release, age)| deployment(service, release, at(-age))).into(),
            releases: ["v0", "v1", "v2", "v3"].map(bare).into(),
            reads: Reads::Answers,
            proposes: Reads::Answers,
            takes: Takes::Does,
            class: Class::B,
            acts: 1,
            reports: Vec::new(),
            health: Some(Health::Passing),
            shows: Some(Vec::new()),
        }
    }

    /// What is known of a release, to be changed.
    pub(crate) fn release(&mut self, release: &str) -> &mut Release {
        self.releases.get_mut(release).expect("a release of this world")
    }

    fn picture(&self, now: Timestamp) -> Picture {
        Picture {
            at: now,
            current: Some(self.serving.into()),
            in_flight: None,
            owner: Owner::Nobody,
            deployments: self.deployments.clone(),
            releases: self.releases.values().cloned().collect(),
            figures: BTreeMap::new(),
            provider_judges: false,
            reports: self.reports.clone(),
        }
    }

    fn act(&self, to: &ReleaseId) -> Act {
        Act {
            kind: "switch".into(),
            arguments: BTreeMap::from([("to".to_owned(), to.to_string())]),
            class: self.class,
            says: format!("switch to {to}"),
        }
    }

    fn begin(&mut self, order: &Order, now: Timestamp) -> Ending {
        match self.takes {
            Takes::Does => self.switch(order, now),
            Takes::Works => {}
            Takes::Refuses => return Ending::Refused("it says no".into()),
            Takes::Loses | Takes::Hides => return Ending::Unclear("the reply was lost".into()),
        }
        Ending::Accepted(Handle::new(order.mark.as_str()))
    }

    fn find(&self, order: &Order) -> Option<Ending> {
        match self.takes {
            Takes::Does | Takes::Works => Some(Ending::Found(Handle::new(order.mark.as_str()))),
            Takes::Loses | Takes::Refuses => Some(Ending::Absent),
            Takes::Hides => None,
        }
    }

    /// Work that goes on has no ending yet; what was let go is done when it is looked at next.
    fn watch(&mut self, order: &Order, now: Timestamp) -> Option<Ending> {
        if self.takes != Takes::Does {
            return None;
        }
        self.switch(order, now);
        Some(Ending::Progress(Progress::Serving(ReleaseId::new(self.serving))))
    }

    fn switch(&mut self, order: &Order, now: Timestamp) {
        let ours = DeploymentOrigin::Ours(order.mark.clone());
        if self.deployments.iter().any(|done| done.origin == ours) {
            return;
        }
        let to = &order.act.arguments["to"];
        self.serving = self.releases.keys().find(|release| *release == to).expect("a known release");
        self.deployments.push(Deployment {
            id: order.mark.as_str().into(),
            origin: ours,
            ..deployment(&order.service, self.serving, now)
        });
    }
}

fn deployment(service: &ServiceId, release: &str, at: Timestamp) -> Deployment {
    Deployment {
        id: format!("d-{release}").as_str().into(),
        service: service.clone(),
        release: release.into(),
        started_at: at,
        traffic_at: None,
        finished_at: Some(at),
        status: DeploymentStatus::Finished,
        by: None,
        origin: DeploymentOrigin::Ordinary,
        change: ChangeKind::Code,
        labels: BTreeMap::new(),
        our_clock: true,
    }
}

/// An alert that fires since this moment, and came five seconds later.
pub(crate) fn alert(service: &str, fingerprint: &str, started_at: Timestamp) -> Signal {
    let labels = [("alertname", "HighErrorRate"), ("service", service), ("environment", "production")];
    Signal {
        source: "prometheus".into(),
        name: "HighErrorRate".into(),
        fingerprint: fingerprint.into(),
        state: SignalState::Firing,
        labels: BTreeMap::from(labels.map(|(name, value)| (name.to_owned(), value.to_owned()))).into(),
        annotations: BTreeMap::new().into(),
        started_at,
        received_at: started_at + Duration::from_secs(5),
        lag: Lag::Assumed(Duration::from_secs(10)),
        incomplete: false,
        link: None,
    }
}

/// The clear of an alert.
pub(crate) fn cleared(firing: &Signal, at: Timestamp) -> Signal {
    Signal { state: SignalState::Cleared(at), received_at: at, ..firing.clone() }
}

/// One row for everything, and the defaults; a story changes what it is about.
pub(crate) fn settings(row: Rule) -> DeskSettings {
    let policy = ApprovalPolicy {
        name: "default".into(),
        from: vec![vec!["sre".into()]],
        quorum: 1,
        expires: Duration::from_mins(15),
        not_the_author: false,
        on_expiry: OnExpiry::Notify,
        break_glass: Vec::new(),
    };
    let verify = VerifyPolicy {
        settle: Duration::from_secs(20),
        within: Duration::from_mins(10),
        clear_for: Duration::from_secs(60),
    };
    let entry = |name: &str| AtlasEntry { id: id(name), matchers: Vec::new() };
    let scope = SourceScope { services: vec!["*@production".into()], table: BTreeMap::new() };
    DeskSettings {
        services: SERVICES.map(|name| (id(name), Arc::new(service(name)))).into(),
        shared: Arc::new(SharedSettings {
            guards: GuardSettings { episode_settle: Duration::from_secs(60), ..GuardSettings::default() },
            approvals: BTreeMap::from([("default".into(), Arc::new(policy))]),
            verify: BTreeMap::from([("default".into(), verify)]),
            pagers: BTreeMap::new(),
            tell_onset: BTreeSet::new(),
            dead_letters_max: 20,
            heartbeats: BTreeMap::new(),
        }),
        rules: Arc::new(RuleTable::new(vec![row], BTreeMap::new())),
        atlas: Atlas::new(SERVICES.map(entry).into(), Equivalents::default()),
        sources: BTreeMap::from([("prometheus".into(), scope)]),
    }
}

fn service(name: &str) -> ServiceSettings {
    ServiceSettings {
        id: id(name),
        provider: "pretend".into(),
        tier: None,
        mode: Mode::Live,
        soak: Duration::from_mins(30),
        inherit_good: true,
        migrations: Migrations::Marked,
        depends_on: Vec::new(),
        with: Vec::new(),
        max_back: MaxBack::default(),
        cadence: None,
        probes: Vec::new(),
        approval: "default".into(),
        verify: "default".into(),
        before: Vec::new(),
        after: Vec::new(),
    }
}

/// A row for everything.
pub(crate) fn row(action: Verdict) -> Rule {
    Rule::new("any".into(), action)
}
