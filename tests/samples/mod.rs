//! One of everything that happens to a case and of everything that is stored: for tables over all of them.
#![allow(dead_code, reason = "each test takes what it is about")]

#[path = "../briefs/mod.rs"]
mod briefs;

use std::collections::BTreeMap;
use std::sync::Arc;

use snapback::case::approval::{ApprovalPolicy, OnExpiry, PersonVote, Vote};
use snapback::case::command::{Ask, Authority, Request, Wish};
use snapback::case::decide::{
    Answer, Candidate, Decision, OnResolve, Part, PartName, RowTrace, Terms, Verdict,
};
use snapback::case::deployment::{ChangeKind, Deployment, DeploymentOrigin, DeploymentStatus, Owner};
use snapback::case::dossier::{Dossier, Freeze, PastOutcome};
use snapback::case::event::{Event, Origin, Settlement, Stamped};
use snapback::case::exhibit::{Collected, Exhibit};
use snapback::case::gate::Why;
use snapback::case::guard::{GuardAnswer, GuardName, GuardOutcome};
use snapback::case::habit::Habit;
use snapback::case::id::{
    CaseId, DeliveryId, Digest, Duration, NoteNo, ServiceId, SourceName, StepNo, Timestamp,
};
use snapback::case::ledger::{Grade, Page};
use snapback::case::notice::Notice;
use snapback::case::pager::{Cause, Matter};
use snapback::case::phase::{CountdownClock, Outcome, Phase, Verifying};
use snapback::case::plan::{Choice, Plan, Undone};
use snapback::case::release::{MigrationMarks, Release, RollbackMark};
use snapback::case::settings::{Mode, VerifyPolicy};
use snapback::case::signal::{EpisodeKey, Lag, Signal, SignalState};
use snapback::case::standing::{ActRecord, Hold, Pause, Raised, Standing, StandingEvent};
use snapback::case::step::{Act, Class, Doer, OnFailure, Step};
use snapback::case::story::{Case, CaseClock, CaseSignal, NoPlan, Suspect};
use snapback::case::turn::Disposition;

pub(crate) fn now() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().expect("a moment")
}

pub(crate) fn stamped(event: Event) -> Stamped {
    Stamped { at: now(), event }
}

pub(crate) fn phases() -> Vec<(&'static str, Phase)> {
    let step = StepNo(0);
    let (attempt, since, until) = (1, now(), now());
    vec![
        ("gathering", Phase::Gathering { until }),
        ("weighing", Phase::Weighing { recheck: None }),
        ("planning", Phase::Planning { choice: choice(), until }),
        ("awaiting_approval", Phase::AwaitingApproval { until }),
        ("countdown", Phase::Countdown { clock: CountdownClock::Untold { latest: until } }),
        ("ready", Phase::Ready { step, attempt, sent: 0, barred: None }),
        ("ready, unsent", Phase::Ready { step, attempt: 2, sent: 0, barred: None }),
        ("ready again", Phase::Ready { step, attempt: 2, sent: 1, barred: None }),
        ("intended", Phase::Intended { step, attempt, sent: 0, since, looks: 0 }),
        ("running", Phase::Running { step, attempt, handle: "h".into(), since }),
        (
            "verifying",
            Phase::Verifying(Verifying {
                done_at: now(),
                policy: VerifyPolicy::default(),
                clear_since: None,
                adopted: false,
            }),
        ),
        ("needs_human", Phase::NeedsHuman { step, attempt, why: String::new(), since }),
        ("closed", Phase::Closed(Outcome::Recovered)),
    ]
}

/// One event of every kind, and the outcomes and answers that differ.
pub(crate) fn events() -> Vec<Event> {
    let step = StepNo(0);
    let why = || "because of \u{1f4a5}\n\"quotes\"".to_owned();
    let case = snapback::case::id::CaseId::of(&service(), 1);
    let by = || "token:ann".into();
    let key = EpisodeKey { source: "prometheus".into(), fingerprint: "f".into() };
    let vote = || Vote {
        by: by(),
        yes: true,
        at: now(),
        digest: "d".into(),
        break_glass: Some("nobody else is awake".into()),
        confirm: None,
    };
    let mut events = vec![
        Event::EpisodeOpened(Box::new(signal())),
        Event::EpisodeHeard { key: key.clone(), at: now() },
        Event::EpisodeClearing { key: key.clone(), cleared_at: now(), until: now() },
        Event::EpisodeResumed { key: key.clone(), at: now() },
        Event::EpisodeReopened { key: key.clone() },
        Event::EpisodeEnded { key: key.clone(), name: "n".into(), habit: Habit::new(now()) },
        Event::LedgerRefreshed {
            at: now(),
            current: Some("v2".into()),
            deployments: vec![deployment()],
            releases: vec![release("v2")],
            owner: Owner::Other("Argo CD".into()),
        },
        Event::Graded { release: "v2".into(), grade: Grade::Bad, why: why() },
        Event::Tainted { release: "v2".into(), at: now() },
        Event::Locked { release: "v2".into(), why: why() },
        Event::Unlocked { release: "v2".into(), by: None, reason: None },
        Event::Frozen { by: by(), reason: why(), until: now() },
        Event::Unfrozen { by: by() },
        Event::Opened {
            case: case.clone(),
            origin: Origin::Signal,
            mode: Mode::Live,
            signals: vec![key.clone()],
            received_at: now(),
            until: now(),
        },
        Event::Joined { signals: vec![key.clone()] },
        Event::Weighed(Arc::new(decision())),
        Event::AllCleared,
        Event::FiredAgain,
        Event::Chosen { choice: choice(), until: now() },
        Event::Planned(Arc::new(plan())),
        Event::NotPlanned { why: why(), recheck: None },
        Event::Withdrawn { why: why(), recheck: None },
        Event::WouldAct { recheck: None },
        Event::Asked { why: None, until: now() },
        Event::CountdownAnnounced { latest: now() },
        Event::CountdownBegan { until: now() },
        Event::CountdownSuspended,
        Event::VoteHeard(vote()),
        Event::Voted(vote()),
        Event::VoteRefused { by: by(), why: why() },
        Event::Readied { step, attempt: 2, automatic: true },
        Event::Snoozed { by: by(), until: now() },
        Event::Exonerated { by: by(), deployment: "d-v2".into() },
        Event::Barred { step, why: Why::Paused, again_at: now() },
        Event::Intended { step, attempt: 1 },
        Event::Looked { step },
        Event::Accepted { step, handle: "h".into() },
        Event::Absent { step },
        Event::NotSent { step },
        Event::StepFailed { step, why: why() },
        Event::StepDone { step, says: why() },
        Event::NextStep { step: StepNo(1) },
        Event::NeedsHuman { step, why: why() },
        Event::Settled { by: by(), how: Settlement::LookAgain },
        Event::Settled { by: by(), how: Settlement::TookEffect },
        Event::VerifyBegan { policy: VerifyPolicy::default(), adopted: false },
        Event::VerifyBegan { policy: VerifyPolicy::default(), adopted: true },
        Event::ClearSince { since: None },
    ];
    events.extend(Outcome::ALL.map(|outcome| Event::Closed { outcome, why: why() }));
    events.push(Event::Said { case: case.clone(), note: NoteNo(0), place: "log".into() });
    events.push(Event::Shown { case: case.clone(), face: "f".into() });
    events.push(Event::Told { case: case.clone() });
    let (pager, cause) = (|| "pagerduty".into(), Some(Cause::NeedsHuman));
    events.push(Event::PageDue { case: case.clone(), pager: pager(), cause });
    events.push(Event::Paged { case: case.clone(), pager: pager(), cause: None });
    events.push(Event::NotPaged { case, pager: pager(), cause, why: why() });
    events.push(Event::Noticed(Box::new(notice())));
    events.push(Event::EpisodeDated { key, onset: now() });
    events.push(Event::ProbeFailed { probe: "smoke".into(), since: now(), said: "answered 500".into() });
    events.push(Event::ProbePassed { probe: "smoke".into() });
    events.push(Event::Collected(collected()));
    events
}

fn collected() -> Collected {
    let pod = Exhibit { name: "pod web-1".into(), text: "web CrashLoopBackOff".into() };
    Collected { missing: Some("its log is away".into()), ..Collected::of(vec![pod]) }
}

fn service() -> ServiceId {
    ServiceId::of("checkout", "production")
}

fn choice() -> Choice {
    Choice {
        with: Vec::new(),
        case: snapback::case::id::CaseId::of(&service(), 1),
        service: service(),
        suspect: None,
        from: "v2".into(),
        to: "v1".into(),
    }
}

fn signal() -> Signal {
    Signal {
        source: "prometheus".into(),
        name: "n".into(),
        fingerprint: "f".into(),
        state: SignalState::Firing,
        labels: BTreeMap::from([("service".to_owned(), "checkout \u{1f4a5}\n".to_owned())]).into(),
        annotations: BTreeMap::from([("summary".to_owned(), "5xx".to_owned())]).into(),
        started_at: now(),
        received_at: now(),
        lag: Lag::Bound(Duration::from_millis(1500)),
        incomplete: true,
        link: Some("https://prometheus.example.com/graph".into()),
    }
}

fn release(id: &str) -> Release {
    Release {
        version: Some("4.2".into()),
        commit: Some("c0ffee".into()),
        author: Some("sam".into()),
        change: Some("change-7".into()),
        links: vec!["https://example.com/change-7".into()],
        marks: MigrationMarks {
            rollback: Some(RollbackMark::Expand),
            schema_version: Some(7),
            min_compatible_schema: Some(6),
        },
        artifact_exists: Some(true),
        ..Release::bare(id.into())
    }
}

fn deployment() -> Deployment {
    Deployment {
        id: "d-v2".into(),
        service: service(),
        release: "v2".into(),
        started_at: now(),
        traffic_at: Some(now()),
        finished_at: Some(now()),
        status: DeploymentStatus::Finished,
        by: Some("sam".into()),
        origin: DeploymentOrigin::Ours("snapback/1".into()),
        change: ChangeKind::Code,
        labels: BTreeMap::from([("region".to_owned(), "eu".to_owned())]),
        our_clock: true,
    }
}

/// A plan with a step of every doer.
fn plan() -> Plan {
    let approval = ApprovalPolicy {
        name: "default".into(),
        from: vec![vec!["sre".into()], vec!["payments".into()]],
        quorum: 2,
        expires: Duration::from_mins(15),
        not_the_author: true,
        on_expiry: OnExpiry::Rollback,
        break_glass: vec!["leads".into()],
    };
    let act = Act {
        kind: "switch".into(),
        arguments: BTreeMap::from([("to".to_owned(), "v1".to_owned())]),
        class: Class::B,
        says: "switch the link".into(),
    };
    let doers = [Doer::Provider(service()), Doer::User, Doer::Ledger("v2".into())];
    let on_failure = OnFailure::Continue;
    let step = |doer| Step { doer, act: act.clone(), deadline: Duration::from_mins(2), on_failure };
    let undone = Undone {
        release: "v2".into(),
        called: "4.2".into(),
        author: Some("sam".into()),
        marks: release("v2").marks,
    };
    let plan = Plan {
        suspect: Some("d-v2".into()),
        from: release("v2"),
        to: release("v1"),
        to_grade: Grade::Good,
        with: Vec::new(),
        steps: doers.map(step).into(),
        undone: vec![undone],
        fast: true,
        expected_time: Some(Duration::from_secs(90)),
        taken_back: None,
        approval: Arc::new(approval),
        expires: now(),
        digest: "".into(),
    };
    plan.sealed()
}

/// A decision with every kind of answer. Written out and not judged: judgement may change, rows that are stored stay.
fn decision() -> Decision {
    let mut brief = briefs::calm();
    let habit = Habit { alone: 0.1, after_deployment: 2.5, ..Habit::new(now()) };
    brief.habits.insert("HighErrorRate".into(), habit);
    brief.figures.insert("replicas".into(), 3.0);
    brief.facts.frozen_until = Some(now());
    brief.facts.budgets_spent = vec!["1 of 1".into()];
    // Rows of version 1 are older than these.
    brief.target.as_mut().expect("a target").taken_back = None;
    brief.limits.guards.fix_words.clear();
    let trace = |name: &str, answer| RowTrace { name: name.into(), answer };
    let guard = |name, outcome| GuardAnswer { name, outcome, reason: "because".into() };
    let part = |name: &PartName| Part { name: *name, factor: 0.1, says: "so".into() };
    Decision {
        verdict: Verdict::Notify,
        proposed: Verdict::Rollback,
        stopped: Some("held".into()),
        rule: Some("governs".into()),
        terms: Terms {
            approval: Some("default".into()),
            verify: Some("default".into()),
            countdown: Duration::from_secs(30),
            on_resolve: OnResolve::Suspend,
            mode: Mode::Live,
            row_said_approve: true,
        },
        rows: vec![
            trace("no", Answer::No("severity".into())),
            trace("waits", Answer::NotYet { failed: "firing_for".into(), until: now() }),
            trace("governs", Answer::Yes),
            trace("below", Answer::NotReached),
        ],
        passed_over: vec![("another service".into(), 7)],
        shadow: Some(("in shadow".into(), Verdict::Approve)),
        guards: vec![
            guard(GuardName::Hold, GuardOutcome::Stop),
            guard(GuardName::Stale, GuardOutcome::Notify),
            guard(GuardName::Freeze, GuardOutcome::Approve),
            guard(GuardName::TargetMissing, GuardOutcome::Unknown),
            guard(GuardName::Pause, GuardOutcome::Pass),
        ],
        candidates: vec![
            Candidate {
                deployment: Some("d-v2".into()),
                suspicion: 0.9,
                parts: PartName::ALL.iter().map(part).collect(),
            },
            Candidate { deployment: None, suspicion: 0.1, parts: Vec::new() },
        ],
        suspect: Some("d-v2".into()),
        suspicion: 0.9,
        recheck: Some(now()),
        rules: "r".into(),
        logic: 1,
        at: now(),
        brief: Arc::new(brief),
    }
}

/// A case in this phase, with everything that a case can hold.
pub(crate) fn case(phase: Phase) -> Case {
    let heard = CaseSignal {
        source: "prometheus".into(),
        name: "n".into(),
        fingerprint: "f".into(),
        started_at: now(),
        cleared_at: Some(now()),
        heard_at: now(),
        lag: Duration::from_mins(5),
        summary: Some("5xx".into()),
    };
    let vote = Vote {
        by: "token:ann".into(),
        yes: false,
        at: now(),
        digest: "d".into(),
        break_glass: None,
        confirm: None,
    };
    let key = EpisodeKey { source: "prometheus".into(), fingerprint: "f".into() };
    Case {
        id: CaseId::of(&service(), 1),
        origin: Origin::Signal,
        mode: Mode::Shadow,
        opened_at: now(),
        phase,
        signals: BTreeMap::from([(key, heard)]),
        suspect: Some(Suspect { deployment: deployment(), release: release("v2") }),
        decision: Some(Arc::new(decision())),
        plan: Some(Arc::new(plan())),
        told_plan: true,
        collected: false,
        no_plan: Some(NoPlan { why: "too slow".into(), until: Some(now()) }),
        votes: vec![vote.clone()],
        heard: vec![vote],
        automatic: true,
        attempts: 1,
        lost: None,
        shown: None,
        paged: BTreeMap::new(),
        snoozed_until: Some(now()),
        all_clear: true,
        clock: CaseClock {
            received_at: now(),
            judged_at: Some(now()),
            asked_at: Some(now()),
            approved_at: Some(now()),
            started_at: Some(now()),
            done_at: Some(now()),
            verified_at: Some(now()),
        },
        said: NoteNo(3),
        thread: Some("log".into()),
        events: vec![stamped(Event::AllCleared)],
    }
}

/// A dossier with everything that one can hold.
pub(crate) fn dossier() -> Dossier {
    let mut dossier = Dossier::new(service());
    for event in events().into_iter().take(7) {
        // Those that contradict each other are refused; what is left is a full memory.
        let _ = dossier.apply(&stamped(event));
    }
    dossier.apply(&stamped(Event::EpisodeOpened(Box::new(signal())))).expect("an episode opens");
    let page = Page {
        release: release("v2"),
        grade: Grade::Inherited,
        why: "history".into(),
        lock: Some("rolled back".into()),
        tainted_at: Some(now()),
    };
    dossier.ledger.pages.insert("v2".into(), page);
    dossier.freeze = Some(Freeze { by: "token:ann".into(), reason: "a launch".into(), until: now() });
    dossier.open = Some(Box::new(case(Phase::Gathering { until: now() })));
    dossier.telling = vec![case(Phase::Closed(Outcome::Recovered))];
    dossier.outcomes.push_back(PastOutcome {
        case: CaseId::of(&service(), 1),
        suspect: Some("d-v2".into()),
        outcome: Outcome::Recovered,
        at: now(),
        acted: true,
    });
    dossier
}

/// What a feed told of a flag.
pub(crate) fn notice() -> Notice {
    Notice {
        feed: SourceName::feed("flags"),
        id: "new-checkout/7".into(),
        labels: [("service".to_owned(), "checkout".to_owned())].into(),
        release: release("new-checkout on"),
        change: ChangeKind::Flag,
        status: DeploymentStatus::Finished,
        at: now(),
        started_at: Some(now()),
        by: Some("sam".into()),
        rollback: true,
        received_at: now(),
    }
}

/// Every change of the standing.
pub(crate) fn standing_events() -> Vec<StandingEvent> {
    let by = || "token:ann".into();
    let case = || CaseId::of(&service(), 1);
    vec![
        StandingEvent::Paused(Pause { by: by(), reason: "a storm".into(), at: now(), everything: true }),
        StandingEvent::Resumed { by: by(), at: now() },
        StandingEvent::Held(Hold { reasons: vec!["restored".into()], since: now() }),
        StandingEvent::Released { by: by(), at: now() },
        StandingEvent::CaseRaised(Raised { service: service(), change: Some("change-7".into()), at: now() }),
        StandingEvent::Acted(ActRecord {
            service: service(),
            suspect: Some("d-v2".into()),
            case: case(),
            step: StepNo(0),
            attempt: 1,
            class: Class::B,
            at: now(),
            automatic: true,
            mark: "snapback/1".into(),
            unsent: false,
        }),
        StandingEvent::NeverSent { case: case(), step: StepNo(0), attempt: 1 },
        StandingEvent::PageDue { matter: Matter::Hold, pager: "pagerduty".into(), cause: Some(Cause::Hold) },
        StandingEvent::PageTold { matter: Matter::Hold, pager: "pagerduty".into(), cause: None },
    ]
}

/// The standing with everything in it that its first version knew.
pub(crate) fn standing() -> Standing {
    let mut standing = Standing::default();
    let left_out = |event: &StandingEvent| {
        matches!(
            event,
            StandingEvent::Resumed { .. }
                | StandingEvent::Released { .. }
                | StandingEvent::PageDue { .. }
                | StandingEvent::PageTold { .. }
        )
    };
    for event in standing_events().iter().filter(|event| !left_out(event)) {
        standing.apply(event);
    }
    standing
}

/// Every disposition.
pub(crate) fn dispositions() -> Vec<Disposition> {
    vec![
        Disposition::Taken(service()),
        Disposition::Repeated(service()),
        Disposition::Idle(service()),
        Disposition::Unmapped("no label names a service".into()),
        Disposition::OutOfScope(service()),
        Disposition::Dead("no JSON".into()),
        Disposition::TooMany("256".into()),
        Disposition::Done("frozen".into()),
        Disposition::Forbidden("not named".into()),
        Disposition::Conflict("not open".into()),
    ]
}

/// Every kind of request, and every wish.
pub(crate) fn requests() -> Vec<Request> {
    let case = || CaseId::of(&service(), 1);
    let reason = || "it is worse".to_owned();
    let vote = PersonVote { break_glass: Some(reason()), ..PersonVote::yes(Digest::new("d")) };
    let wishes = [
        Wish::Vote { case: case(), vote },
        Wish::Cancel(case()),
        Wish::Snooze(case()),
        Wish::Exonerate(case()),
        Wish::Settle(case(), Settlement::TookEffect),
        Wish::Rollback { to: Some("v1".into()), reason: reason(), shown: None },
        Wish::Freeze { length: Duration::from_hours(2), reason: reason() },
        Wish::Unfreeze,
        Wish::Mark { release: "v1".into(), good: true, reason: reason() },
        Wish::Unlock { release: "v1".into(), reason: reason() },
        Wish::Rollforward { reason: reason() },
    ];
    let ask = |what| Ask {
        by: "ann".into(),
        at: now(),
        groups: ["sre".into()].into(),
        authority: Authority::Operator,
        what,
    };
    let mut requests: Vec<Request> =
        wishes.into_iter().map(|what| Request::Of(service(), ask(what))).collect();
    requests.push(Request::Pause { by: "ann".into(), at: now(), reason: reason(), everything: true });
    requests.push(Request::Resume { by: "ann".into(), at: now(), everything: false });
    requests.push(Request::Release { by: "ann".into(), at: now() });
    requests.push(Request::Spoken {
        request: Box::new(Request::Of(
            service(),
            Ask { authority: Authority::Groups, groups: [].into(), ..ask(Wish::Cancel(case())) },
        )),
        place: Some("https://acme.slack.com/archives/C1/p1772442845003900".into()),
        serving: Some("v2".into()),
        answer: Some("https://hooks.slack.com/actions/T1/1/x".into()),
    });
    requests.push(Request::Replay { by: "ann".into(), at: now(), letter: DeliveryId(7) });
    requests
}
