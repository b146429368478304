//! A world for the desk: a disk that keeps what was committed, a provider that keeps its own log, people, a clock,
//! and a fuse that ends the process at chosen points.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use snapback::case::approval::{ApprovalPolicy, OnExpiry, PersonVote, Roster};
use snapback::case::command::{Ask, Authority, Command, Ending, Input, Progress, Wish};
use snapback::case::decide::{OnResolve, Verdict};
use snapback::case::deployment::{
    ChangeKind, Deployment, DeploymentOrigin, DeploymentStatus, Owner, Picture,
};
use snapback::case::dossier::Dossier;
use snapback::case::exhibit::Collected;
use snapback::case::gate::{WIRE_DEADLINE, gate, record};
use snapback::case::id::{DeliveryId, Duration, Handle, Mark, PersonId, ReleaseId, ServiceId, Timestamp};
use snapback::case::map::{Atlas, AtlasEntry, Equivalents};
use snapback::case::pager::{Cause, Pager};
use snapback::case::permit::Permit;
use snapback::case::phase::{Outcome, Phase};
use snapback::case::plan::Proposal;
use snapback::case::probe::{Health, ProbePolicy};
use snapback::case::release::Release;
use snapback::case::rules::{Rule, RuleTable};
use snapback::case::settings::{
    GuardSettings, MaxBack, Migrations, Mode, ServiceSettings, SharedSettings, VerifyPolicy,
};
use snapback::case::signal::{Lag, Signal, SignalState};
use snapback::case::standing::{Pause, Standing, StandingEvent};
use snapback::case::step::{Act, Class, Order};
use snapback::case::turn::{Gated, Turn};
use snapback::engine::desk::{Arrival, Content, Desk, DeskSettings, SourceScope};
use snapback::engine::errand::Errand;

/// What a run varies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    /// Who is asked.
    pub asking: Asking,
    /// So many first replies of the provider are lost.
    pub lost_replies: u32,
    /// So many first requests surely never leave; with the first of them somebody pauses.
    pub unsent: u32,
    /// The alert clears 10 s after it was told, and fires again a minute after.
    pub flaps: bool,
    /// Somebody switches to shadow 10 s after the alert was told, while the countdown runs.
    pub to_shadow: bool,
    /// The row says `on_resolve = "continue"`.
    pub goes_on: bool,
    /// The row waits 90 s before it holds, and its window is over after 30 s.
    pub waits: bool,
    /// A process that was stopped is started again after so many seconds.
    pub away_s: i64,
    /// The sender tells a firing alert again, a minute after the process was started again.
    pub tells_again: bool,
    /// Its Prometheus knows the alert for as long as it fires.
    pub knows: bool,
    /// The provider proposes so many acts.
    pub steps: usize,
    /// What a late copy of a request does.
    pub class: Class,
}

/// One step, done by itself, and nothing in its way.
pub(crate) const AUTOMATIC: Scenario = Scenario {
    asking: Asking::Nobody,
    lost_replies: 0,
    unsent: 0,
    flaps: false,
    to_shadow: false,
    goes_on: false,
    waits: false,
    away_s: 3,
    tells_again: true,
    knows: true,
    steps: 1,
    class: Class::B,
};

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    /// Nobody: automatic, after a countdown.
    Nobody,
    /// People, who say yes.
    People,
    /// People, who say nothing; the policy takes silence for a yes.
    Silence,
}

/// How a run went.
#[derive(Debug)]
pub(crate) struct Run {
    /// How the case ended.
    pub outcome: Option<Outcome>,
    /// It did not end: a person must settle it.
    pub needs_human: bool,
    /// The provider's own log.
    pub effects: Vec<String>,
    /// Requests that reached the provider.
    pub requests: usize,
    /// What serves.
    pub serving: String,
    /// The points that were passed, over all lives.
    pub visited: Vec<&'static str>,
    /// How often a thread was opened.
    pub roots: usize,
    /// What the first message of the thread showed last.
    pub shown: String,
    /// The pager's incidents that are still open, by key.
    pub woken: BTreeMap<String, Cause>,
    /// How often it was told that somebody is needed.
    pub pages: usize,
    /// What happened, for people.
    pub story: Vec<String>,
}

/// The process ended here.
struct Stopped;

struct Disk {
    dossiers: BTreeMap<ServiceId, Dossier>,
    standing: Standing,
    deliveries: Vec<Vec<Signal>>,
    cursor: u64,
}

struct World {
    scenario: Scenario,
    now: Timestamp,
    disk: Disk,
    serving: &'static str,
    served_since: Timestamp,
    done: BTreeSet<Mark>,
    log: Vec<(Mark, Timestamp)>,
    effects: Vec<String>,
    requests: usize,
    replies_to_lose: u32,
    never_to_leave: u32,
    cleared: bool,
    shown: String,
    roots: usize,
    /// The pager's open incidents, by key.
    woken: BTreeMap<String, Cause>,
    pages: usize,
    visited: Vec<&'static str>,
    stops: VecDeque<usize>,
    /// When the process was started again, until its alert was told again.
    woke: Option<Timestamp>,
    story: Vec<String>,
}

/// More steps of the world than any run takes: a run that needs them hangs.
const STEPS_MAX: usize = 20_000;

/// Plays a scenario, with the process stopped at these points.
pub(crate) fn run(scenario: &Scenario, stops: &[usize]) -> Run {
    let mut world = World::new(scenario, stops);
    let mut steps = 0;
    while world.live(&mut steps).is_err() {
        world.story.push("-- stopped, and started again".into());
        world.now += Duration::from_secs(scenario.away_s);
        world.woke = scenario.tells_again.then_some(world.now);
    }
    let dossier = world.disk.dossiers.values().next();
    Run {
        outcome: dossier.and_then(|dossier| dossier.outcomes.back()).map(|past| past.outcome),
        needs_human: dossier.is_some_and(needs_human),
        effects: world.effects,
        requests: world.requests,
        serving: world.serving.into(),
        visited: world.visited,
        roots: world.roots,
        shown: world.shown,
        woken: world.woken,
        pages: world.pages,
        story: world.story,
    }
}

/// A desk that reads the provider once, and whose turn with that picture is refused by the disk: whether it took the
/// picture before, and whether it still stands on it after.
pub(crate) fn refused_picture(scenario: &Scenario) -> (bool, bool) {
    let world = World::new(scenario, &[]);
    let mut desk = Desk::new(Vec::new(), Standing::default(), settings(*scenario, Mode::Live), world.now);
    let read = |desk: &Desk| desk.service(&service()).is_some_and(|(_, live)| live.is_fresh(start()));
    let picture = Ending::Described(Box::new(world.picture()));
    let turn = desk.turn(vec![Arrival::Ended(Command::Describe(service()), Box::new(picture))], world.now);
    let before = read(&desk);
    desk.forget(turn);
    (before, read(&desk))
}

fn needs_human(dossier: &Dossier) -> bool {
    dossier.open.as_deref().is_some_and(|case| matches!(case.phase, Phase::NeedsHuman { .. }))
}

fn start() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().expect("a moment")
}

fn service() -> ServiceId {
    ServiceId::of("checkout", "production")
}

impl World {
    fn new(scenario: &Scenario, stops: &[usize]) -> World {
        let now = start();
        World {
            scenario: *scenario,
            now,
            disk: Disk {
                dossiers: BTreeMap::new(),
                standing: Standing::default(),
                deliveries: vec![vec![firing(now - Duration::from_secs(5), now)]],
                cursor: 0,
            },
            serving: "v2",
            served_since: now,
            done: BTreeSet::new(),
            log: Vec::new(),
            effects: Vec::new(),
            requests: 0,
            replies_to_lose: scenario.lost_replies,
            never_to_leave: scenario.unsent,
            cleared: false,
            roots: 0,
            woken: BTreeMap::new(),
            pages: 0,
            shown: String::new(),
            visited: Vec::new(),
            stops: stops.iter().copied().collect(),
            woke: None,
            story: Vec::new(),
        }
    }

    /// Passes a named point; the process may end here.
    fn point(&mut self, name: &'static str) -> Result<(), Stopped> {
        let here = self.visited.len();
        self.visited.push(name);
        if self.stops.front() == Some(&here) {
            self.stops.pop_front();
            self.story.push(format!("-- stop at {name}"));
            return Err(Stopped);
        }
        Ok(())
    }

    /// One life of the process.
    fn live(&mut self, steps: &mut usize) -> Result<(), Stopped> {
        let dossiers = self.disk.dossiers.values().cloned().collect();
        let mut desk =
            Desk::new(dossiers, self.disk.standing.clone(), settings(self.scenario, Mode::Live), self.now);
        let mut mode = Mode::Live;
        let mut arrivals = vec![Arrival::To(service(), Box::new(Input::Restarted))];
        loop {
            *steps += 1;
            assert!(*steps < STEPS_MAX, "the run hangs:\n{}", self.story.join("\n"));
            if self.scenario.to_shadow && mode == Mode::Live && self.now >= start() + Duration::from_secs(10)
            {
                mode = Mode::Shadow;
                desk.reload(settings(self.scenario, mode), self.now);
            }
            self.deliver(&mut arrivals);
            self.people(&desk, &mut arrivals);
            let turn = desk.turn(std::mem::take(&mut arrivals), self.now);
            let (turn, gated) = self.append(turn)?;
            let errands = desk.commit(turn, gated);
            for errand in errands.start {
                arrivals.extend(self.carry_out(errand)?);
            }
            if arrivals.is_empty() && !self.clear_when_healthy() {
                if (desk.is_idle() && (self.cleared || mode == Mode::Shadow || !self.scenario.tells_again))
                    || desk.dossiers().any(|dossier| needs_human(dossier))
                {
                    return Ok(());
                }
                let wake = desk.wake_at().unwrap_or(self.now + Duration::from_secs(1));
                self.now =
                    wake.clamp(self.now + Duration::from_millis(100), self.now + Duration::from_secs(30));
            }
        }
    }

    fn deliver(&mut self, arrivals: &mut Vec<Arrival>) {
        let moments = [start() + Duration::from_secs(10), start() + Duration::from_secs(60)];
        let told = self.disk.deliveries.len();
        if self.scenario.flaps && told <= moments.len() && self.now >= moments[told - 1] {
            let mut signal = firing(self.now - Duration::from_secs(1), self.now);
            if told == 1 {
                signal.state = SignalState::Cleared(self.now);
            }
            self.disk.deliveries.push(vec![signal]);
        }
        let due = |woke: &Timestamp| self.now >= *woke + Duration::from_secs(60);
        if self.serving == "v2" && !self.scenario.flaps && self.woke.as_ref().is_some_and(due) {
            self.woke = None;
            self.story.push(format!("{} told again", self.now));
            self.disk.deliveries.push(vec![firing(start() - Duration::from_secs(5), self.now)]);
        }
        let known = usize::try_from(self.disk.cursor).expect("small");
        for (nth, signals) in self.disk.deliveries.iter().enumerate().skip(known) {
            arrivals.push(Arrival::Delivery {
                id: DeliveryId(nth as u64 + 1),
                source: "prometheus".into(),
                content: Content::Signals(signals.clone()),
            });
        }
    }

    /// People say yes as soon as they are asked.
    fn people(&mut self, desk: &Desk, arrivals: &mut Vec<Arrival>) {
        let Some(case) = desk.service(&service()).and_then(|(dossier, _)| dossier.open.as_deref()) else {
            return;
        };
        if self.scenario.asking == Asking::Silence
            || !matches!(case.phase, Phase::AwaitingApproval { .. })
            || !case.votes.is_empty()
            || !case.heard.is_empty()
        {
            return;
        }
        let Some(plan) = &case.plan else { return };
        let vote = PersonVote::yes(plan.digest.clone());
        let what = Wish::Vote { case: case.id.clone(), vote };
        let ask = Ask {
            by: PersonId::new("ann"),
            at: self.now,
            groups: ["sre".into()].into(),
            authority: Authority::Operator,
            what,
        };
        arrivals.push(Arrival::To(service(), Box::new(Input::Asked(ask))));
    }

    /// The alert clears once the good release has served for a while.
    fn clear_when_healthy(&mut self) -> bool {
        let healthy =
            self.serving == "v1" && self.now.duration_since(self.served_since) >= Duration::from_secs(60);
        if self.cleared || !healthy {
            return false;
        }
        self.cleared = true;
        let mut signal = firing(start() - Duration::from_secs(5), self.now);
        signal.state = SignalState::Cleared(self.now);
        self.disk.deliveries.push(vec![signal]);
        true
    }

    /// The transaction: all of it or nothing.
    fn append(&mut self, mut turn: Turn) -> Result<(Turn, Vec<Gated>), Stopped> {
        if turn.is_empty() {
            return Ok((turn, Vec::new()));
        }
        self.point("append")?;
        let mut standing = self.disk.standing.clone();
        for event in &turn.standing {
            standing.apply(event);
        }
        let mut answers = Vec::new();
        for ask in &turn.gates {
            let answer = gate(&standing, ask, turn.at);
            if answer.is_ok() {
                standing.apply(&StandingEvent::Acted(record(ask, turn.at)));
            }
            answers.push(answer);
        }
        turn.settle(&answers);
        self.disk.standing = standing;
        for change in &turn.changes {
            for (_, stamped) in &change.events {
                self.story.push(format!("{} {}", stamped.at, stamped.event.word()));
            }
            self.disk.dossiers.insert(change.dossier.service.clone(), (*change.dossier).clone());
        }
        if let Some(cursor) = turn.cursor {
            self.disk.cursor = self.disk.cursor.max(cursor.0);
        }
        let gated = turn
            .gates
            .iter()
            .zip(answers)
            .map(|(ask, answer)| match answer {
                Ok(()) => Gated::Passed(Permit::committed(ask.order.clone(), turn.at + WIRE_DEADLINE)),
                Err(why) => Gated::Barred(ask.order.case.clone(), why),
            })
            .collect();
        self.point("appended")?;
        Ok((turn, gated))
    }

    /// Carries out one errand, with a point on both sides of it.
    fn carry_out(&mut self, errand: Errand) -> Result<Vec<Arrival>, Stopped> {
        let command = errand.command();
        self.point(command.crash_point())?;
        let ending = match errand {
            Errand::Describe(_) => Ending::Described(Box::new(self.picture())),
            Errand::Propose(_) => Ending::Proposed(Proposal::of(self.acts())),
            // A note of it is told as any other: it would only make more points of the same kinds.
            Errand::Collect(_) => Ending::Collected(Collected::default()),
            Errand::RollCall(_, groups) => {
                let members =
                    groups.into_iter().map(|group| (group, [PersonId::new("ann")].into())).collect();
                Ending::Roster(Roster { at: self.now, members })
            }
            Errand::Begin(permit) => self.begin(permit.order()),
            Errand::Find(order) => self.find(&order),
            Errand::Watch(..) => Ending::Progress(Progress::Serving(ReleaseId::new(self.serving))),
            Errand::Say(note, thread, face, _) => {
                if note.number.0 == 0 {
                    self.roots += 1;
                }
                self.story.push(format!("   \"{}\"", note.lines.join(" / ")));
                if thread.is_none() {
                    self.shown = face.headline.clone();
                }
                let place = "https://acme.slack.com/archives/C1/p1772442845003900".into();
                Ending::Said { place, face: thread.is_none().then(|| face.digest()) }
            }
            Errand::Show(_, face, _) => {
                self.shown = face.headline.clone();
                Ending::Shown(face.digest())
            }
            Errand::Probe(..) => Ending::Probed { began_at: self.now, found: Health::Passing },
            // The same moment that is assumed: how it is known changes no ending.
            Errand::Onset(_, signal) if self.scenario.knows => Ending::Began(signal.onset()),
            Errand::Onset(..) => Ending::Refused("no alert there is surely this one".into()),
            Errand::Page(summons) => {
                self.story.push(format!("   {} is told {:?}", summons.pager, summons.cause));
                match summons.cause {
                    Some(cause) => self.woken.insert(summons.about.key(), cause),
                    None => self.woken.remove(&summons.about.key()),
                };
                self.pages += usize::from(summons.cause.is_some());
                Ending::Paged
            }
        };
        self.point(after(&command))?;
        Ok(vec![Arrival::Ended(command, Box::new(ending))])
    }

    fn begin(&mut self, order: &Order) -> Ending {
        if self.never_to_leave > 0 {
            self.never_to_leave -= 1;
            let pause = Pause { by: "ann".into(), reason: "a storm".into(), at: self.now, everything: false };
            self.disk.standing.apply(&StandingEvent::Paused(pause));
            return Ending::NotSent;
        }
        self.requests += 1;
        if order.act.kind == "switch" && self.serving != "v1" {
            self.effects.push(format!("switch {} -> v1", self.serving));
            self.serving = "v1";
            self.served_since = self.now;
        }
        if self.done.insert(order.mark.clone()) {
            self.log.push((order.mark.clone(), self.now));
        }
        if self.replies_to_lose > 0 {
            self.replies_to_lose -= 1;
            return Ending::Unclear("the reply was lost".into());
        }
        Ending::Accepted(Handle::new(order.mark.as_str()))
    }

    fn find(&mut self, order: &Order) -> Ending {
        self.now += Duration::from_millis(300);
        if self.done.contains(&order.mark) {
            Ending::Found(Handle::new(order.mark.as_str()))
        } else {
            Ending::Absent
        }
    }

    fn acts(&self) -> Vec<Act> {
        let act = |kind: &str| Act {
            kind: kind.into(),
            arguments: BTreeMap::from([("to".to_owned(), "v1".to_owned())]),
            class: self.scenario.class,
            says: format!("{kind} to v1"),
        };
        ["switch", "restart"].into_iter().take(self.scenario.steps).map(act).collect()
    }

    fn picture(&self) -> Picture {
        let mut deployments = vec![
            deployment("v1", start() - Duration::from_hours(48), DeploymentOrigin::Ordinary),
            deployment("v2", start() - Duration::from_secs(120), DeploymentOrigin::Ordinary),
        ];
        for (mark, at) in &self.log {
            deployments.push(Deployment {
                id: mark.as_str().into(),
                ..deployment("v1", *at, DeploymentOrigin::Ours(mark.clone()))
            });
        }
        Picture {
            at: self.now,
            current: Some(self.serving.into()),
            in_flight: None,
            owner: Owner::Nobody,
            deployments,
            releases: ["v1", "v2"]
                .map(|id| Release { artifact_exists: Some(true), ..Release::bare(id.into()) })
                .into(),
            figures: BTreeMap::new(),
            provider_judges: false,
            reports: Vec::new(),
        }
    }
}

fn after(command: &Command) -> &'static str {
    match command {
        Command::Describe(_) => "described",
        Command::Propose(_) => "proposed",
        Command::Collect(_) => "collected",
        Command::RollCall(..) => "roll called",
        Command::Begin(..) => "begun",
        Command::Find(..) => "found",
        Command::Watch(..) => "watched",
        Command::Say(..) => "said",
        Command::Show(_) => "shown",
        Command::Page(..) => "paged",
        Command::Onset(..) => "dated",
        Command::Probe(..) => "probed",
    }
}

fn deployment(release: &str, at: Timestamp, origin: DeploymentOrigin) -> Deployment {
    Deployment {
        id: format!("d-{release}").as_str().into(),
        service: service(),
        release: release.into(),
        started_at: at,
        traffic_at: None,
        finished_at: Some(at),
        status: DeploymentStatus::Finished,
        by: None,
        origin,
        change: ChangeKind::Code,
        labels: BTreeMap::new(),
        our_clock: true,
    }
}

fn firing(started_at: Timestamp, received_at: Timestamp) -> Signal {
    let labels = [("alertname", "HighErrorRate"), ("service", "checkout"), ("environment", "production")];
    Signal {
        source: "prometheus".into(),
        name: "HighErrorRate".into(),
        fingerprint: "f1".into(),
        state: SignalState::Firing,
        labels: BTreeMap::from(labels.map(|(name, value)| (name.to_owned(), value.to_owned()))).into(),
        annotations: BTreeMap::new().into(),
        started_at,
        received_at,
        lag: Lag::Assumed(Duration::from_secs(10)),
        incomplete: false,
        link: None,
    }
}

fn settings(scenario: Scenario, mode: Mode) -> Arc<DeskSettings> {
    let policy = ApprovalPolicy {
        name: "default".into(),
        from: vec![vec!["sre".into()]],
        quorum: 1,
        expires: Duration::from_mins(15),
        not_the_author: false,
        on_expiry: match scenario.asking {
            Asking::Nobody | Asking::People => OnExpiry::Notify,
            Asking::Silence => OnExpiry::Rollback,
        },
        break_glass: Vec::new(),
    };
    let verify = VerifyPolicy {
        settle: Duration::from_secs(20),
        within: Duration::from_mins(10),
        clear_for: Duration::from_secs(60),
    };
    let service = ServiceSettings {
        id: service(),
        provider: "pretend".into(),
        tier: Some("critical".into()),
        mode,
        soak: Duration::from_mins(30),
        inherit_good: true,
        migrations: Migrations::Marked,
        depends_on: Vec::new(),
        with: Vec::new(),
        max_back: MaxBack::default(),
        cadence: None,
        probes: vec![ProbePolicy {
            watch_for: Duration::from_secs(60),
            every: Duration::from_secs(30),
            ..ProbePolicy::new("smoke".into())
        }],
        approval: "default".into(),
        verify: "default".into(),
        before: Vec::new(),
        after: Vec::new(),
    };
    let action = match scenario.asking {
        Asking::Nobody => Verdict::Rollback,
        Asking::People | Asking::Silence => Verdict::Approve,
    };
    let mut row = Rule::new("any".into(), action);
    if scenario.goes_on {
        row.on_resolve = OnResolve::Continue;
    }
    if scenario.waits {
        row.firing_for = Some(Duration::from_secs(90));
        row.window = Duration::from_secs(150);
    }
    let pager = Pager {
        asks_of: BTreeSet::from(["critical".to_owned()]),
        on: BTreeSet::from([Cause::NeedsHuman]),
        unanswered_after: Duration::from_mins(3),
    };
    let shared = SharedSettings {
        guards: GuardSettings { episode_settle: Duration::from_secs(60), ..GuardSettings::default() },
        approvals: BTreeMap::from([("default".into(), Arc::new(policy))]),
        verify: BTreeMap::from([("default".into(), verify)]),
        pagers: BTreeMap::from([("pagerduty".into(), pager)]),
        tell_onset: BTreeSet::from(["prometheus".into()]),
        dead_letters_max: 20,
        heartbeats: BTreeMap::new(),
    };
    let scope = SourceScope { services: vec!["*@production".into()], table: BTreeMap::new() };
    let entry = AtlasEntry { id: service.id.clone(), matchers: Vec::new() };
    Arc::new(DeskSettings {
        services: BTreeMap::from([(service.id.clone(), Arc::new(service))]),
        shared: Arc::new(shared),
        rules: Arc::new(RuleTable::new(vec![row], BTreeMap::new())),
        atlas: Atlas::new(vec![entry], Equivalents::default()),
        sources: BTreeMap::from([("prometheus".into(), scope)]),
    })
}
