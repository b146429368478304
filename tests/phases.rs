//! The golden table: every phase of a case against every event, with the phase that follows, `-` where it stays,
//! `.` where the event is not the case's, and `illegal`. `fixtures/phases.golden` is read by people; this test holds
//! it to the code. Write it anew with `UPDATE_GOLDEN=1 cargo test --test phases`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use snapback::case::approval::{ApprovalPolicy, OnExpiry, Vote};
use snapback::case::brief::{Brief, GuardFacts, Limits};
use snapback::case::decide::{Decision, Terms, Verdict};
use snapback::case::deployment::Owner;
use snapback::case::event::{Event, Origin, Settlement, Stamped};
use snapback::case::gate::Why;
use snapback::case::habit::Habit;
use snapback::case::id::{Duration, NoteNo, ServiceId, StepNo, Timestamp};
use snapback::case::ledger::Grade;
use snapback::case::phase::{CountdownClock, Outcome, Phase, Verifying};
use snapback::case::plan::{Choice, Plan};
use snapback::case::release::Release;
use snapback::case::settings::{GuardSettings, MaxBack, Migrations, Mode, VerifyPolicy};
use snapback::case::signal::{EpisodeKey, Lag, Signal, SignalState};
use snapback::case::transition::{Move, after};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/phases.golden");

#[test]
fn the_golden_table_is_what_the_code_does() {
    let table = table();
    #[expect(clippy::disallowed_methods, reason = "the switch that writes the table anew")]
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    if update {
        std::fs::write(GOLDEN, &table).expect("write the table");
    }
    let golden = std::fs::read_to_string(GOLDEN).expect("read fixtures/phases.golden");
    assert!(golden == table, "fixtures/phases.golden differs from the code; the code says:\n{table}");
}

/// A case that may have acted never closes as if nothing had happened, and a closed case takes nothing.
#[test]
fn what_may_have_acted_never_ends_as_if_it_had_not() {
    let harmless =
        [Outcome::Cancelled, Outcome::Denied, Outcome::Expired, Outcome::Cleared, Outcome::LeftAlone];
    for (name, phase) in phases() {
        for outcome in harmless {
            let closed = after(&phase, &stamped(Event::Closed { outcome, why: String::new() }));
            assert_eq!(
                matches!(closed, Move::To(_)),
                phase.is_before_the_act(),
                "{name} closing as {}",
                outcome.word()
            );
        }
    }
    for event in events() {
        let moved = after(&Phase::Closed(Outcome::Recovered), &stamped(event.clone()));
        assert!(matches!(moved, Move::Illegal | Move::Beside), "{} moves a closed case", event.word());
    }
}

/// Only an intent leads to the phase from which a request may leave, and only from ready.
#[test]
fn no_request_without_a_written_intent() {
    for (name, phase) in phases() {
        for event in events() {
            if let Move::To(Phase::Running { .. }) = after(&phase, &stamped(event.clone())) {
                assert_eq!((name, event.word()), ("intended", "accepted"));
            }
            if let Move::To(Phase::Intended { looks: 0, .. }) = after(&phase, &stamped(event.clone())) {
                assert!(matches!((name, event.word()), ("ready", "intended") | ("needs_human", "settled")));
            }
        }
    }
}

fn table() -> String {
    let phases = phases();
    let mut text = String::from(
        "# Every phase (across) against every event (down): the phase that follows; - it stays; . not the case's; illegal.\n",
    );
    let _ = write!(text, "{:<22}", "event");
    for (name, _) in &phases {
        let _ = write!(text, "{name:<19}");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    for event in events() {
        let mut line = format!("{:<22}", label(&event));
        for (_, phase) in &phases {
            let cell = match after(phase, &stamped(event.clone())) {
                Move::To(phase) => phase.word().to_owned(),
                Move::Stay => "-".into(),
                Move::Beside => ".".into(),
                Move::Illegal => "illegal".into(),
            };
            let _ = write!(line, "{cell:<19}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[expect(clippy::wildcard_enum_match_arm, reason = "every other event is its word")]
fn label(event: &Event) -> String {
    match event {
        Event::Closed { outcome, .. } => format!("closed {}", outcome.word()),
        Event::VerifyBegan { adopted: true, .. } => "verify_began adopted".into(),
        Event::Settled { how: Settlement::LookAgain, .. } => "settled look-again".into(),
        Event::Settled { how: Settlement::TookEffect, .. } => "settled took-effect".into(),
        event => event.word().into(),
    }
}

fn now() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().expect("a moment")
}

fn stamped(event: Event) -> Stamped {
    Stamped { at: now(), event }
}

fn phases() -> Vec<(&'static str, Phase)> {
    let step = StepNo(0);
    let (attempt, since, until) = (1, now(), now());
    vec![
        ("gathering", Phase::Gathering { until }),
        ("weighing", Phase::Weighing { recheck: None }),
        ("planning", Phase::Planning { choice: choice(), until }),
        ("awaiting_approval", Phase::AwaitingApproval { until }),
        ("countdown", Phase::Countdown { clock: CountdownClock::Untold { latest: until } }),
        ("ready", Phase::Ready { step, attempt, barred: None }),
        ("ready again", Phase::Ready { step, attempt: 2, barred: None }),
        ("intended", Phase::Intended { step, attempt, since, looks: 0 }),
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
fn events() -> Vec<Event> {
    let step = StepNo(0);
    let why = String::new;
    let case = snapback::case::id::CaseId::of(&service(), 1);
    let by = || "token:ann".into();
    let key = EpisodeKey { source: "prometheus".into(), fingerprint: "f".into() };
    let vote = || Vote { by: by(), yes: true, at: now(), digest: "d".into(), break_glass: None };
    let mut events = vec![
        Event::EpisodeOpened(Box::new(signal())),
        Event::EpisodeHeard { key: key.clone(), at: now() },
        Event::EpisodeClearing { key: key.clone(), cleared_at: now(), until: now() },
        Event::EpisodeResumed { key: key.clone(), at: now() },
        Event::EpisodeReopened { key: key.clone() },
        Event::EpisodeEnded { key: key.clone(), name: "n".into(), habit: Habit::new(now()) },
        Event::LedgerRefreshed {
            at: now(),
            current: None,
            deployments: Vec::new(),
            releases: Vec::new(),
            owner: Owner::Nobody,
        },
        Event::Graded { release: "v2".into(), grade: Grade::Bad, why: why() },
        Event::Tainted { release: "v2".into(), at: now() },
        Event::Locked { release: "v2".into(), why: why() },
        Event::Unlocked { release: "v2".into(), by: None },
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
        Event::Joined { signals: vec![key] },
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
        Event::VoteHeard(vote()),
        Event::Voted(vote()),
        Event::VoteRefused { by: by(), why: why() },
        Event::Readied { step, automatic: true },
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
    events.push(Event::Told { case });
    events
}

fn service() -> ServiceId {
    ServiceId::of("checkout", "production")
}

fn choice() -> Choice {
    Choice {
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
        labels: BTreeMap::new().into(),
        annotations: BTreeMap::new().into(),
        started_at: now(),
        received_at: now(),
        lag: Lag::Assumed(Duration::ZERO),
        incomplete: false,
        link: None,
    }
}

fn plan() -> Plan {
    let approval = ApprovalPolicy {
        name: "default".into(),
        from: Vec::new(),
        quorum: 1,
        expires: Duration::from_mins(15),
        not_the_author: false,
        on_expiry: OnExpiry::Notify,
        break_glass: Vec::new(),
    };
    Plan {
        suspect: None,
        from: Release::bare("v2".into()),
        to: Release::bare("v1".into()),
        to_grade: Grade::Good,
        steps: Vec::new(),
        undone: Vec::new(),
        fast: false,
        expected_time: None,
        approval: Arc::new(approval),
        expires: now(),
        digest: "".into(),
    }
}

fn decision() -> Decision {
    let brief = Brief {
        service: service(),
        tier: None,
        mode: Mode::Live,
        now: now(),
        signals: Vec::new(),
        candidates: Vec::new(),
        habits: BTreeMap::new(),
        figures: BTreeMap::new(),
        suspect: None,
        target: None,
        facts: GuardFacts::default(),
        limits: Limits {
            guards: GuardSettings::default(),
            max_back: MaxBack::default(),
            migrations: Migrations::Marked,
            cadence: None,
        },
    };
    Decision {
        verdict: Verdict::Notify,
        proposed: Verdict::Notify,
        stopped: None,
        rule: None,
        terms: Terms::default(),
        rows: Vec::new(),
        passed_over: Vec::new(),
        shadow: None,
        guards: Vec::new(),
        candidates: Vec::new(),
        suspect: None,
        suspicion: 0.0,
        recheck: None,
        rules: "r".into(),
        logic: 1,
        at: now(),
        brief: Arc::new(brief),
    }
}
