//! What is written reads back equal; and the rows that version 1 wrote, kept in `fixtures/journal/v1`, are read for
//! ever as what they were. `UPDATE_GOLDEN=1` writes a file of rows where there is none, and never one that is there.

#[path = "../../../tests/samples/mod.rs"]
mod samples;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Row, read, write};
use crate::case::approval::PersonVote;
use crate::case::brief::{Brief, TargetFacts};
use crate::case::commits::TakenBack;
use crate::case::companion::CompanionFacts;
use crate::case::decide::Decision;
use crate::case::event::{Direction, Event, Origin, Stamped};
use crate::case::gate::Why;
use crate::case::guard::{GuardAnswer, GuardName, GuardOutcome};
use crate::case::id::{PagerName, StepNo};
use crate::case::ledger::Grade;
use crate::case::pager::{Cause, Paging};
use crate::case::phase::Phase;
use crate::case::plan::{Choice, Companion, Leg, Plan, Undone};
use crate::case::release::{MigrationMarks, Release};
use crate::case::settings::Migrations;
use crate::case::standing::StandingEvent;
use crate::case::story::Case;
use crate::case::turn::Disposition;

const COMMAND: &str = include_str!("../../case/command.rs");
const EVENT: &str = include_str!("../../case/event.rs");
const PHASE: &str = include_str!("../../case/phase.rs");

/// Holds one file of rows, a row a line, to the nouns that they were written from.
fn hold<T: Row + PartialEq + Debug>(name: &str, nouns: &[T]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/journal/v1").join(name);
    let rows: Vec<String> = nouns.iter().map(|noun| write(noun).expect("written")).collect();
    #[expect(clippy::disallowed_methods, reason = "the switch that writes the rows of a new version")]
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    if update && !path.exists() {
        std::fs::write(&path, rows.join("\n") + "\n").expect("write the rows");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
    assert_eq!(stored.lines().count(), nouns.len(), "{name}: a kind of row has no example");
    for (stored, noun) in stored.lines().zip(nouns) {
        let found: T = read(stored).unwrap_or_else(|cause| panic!("{name}: {cause}\n{stored}"));
        assert_eq!(&found, noun, "{name} reads as something else");
        let again: T = read(&write(&found).expect("written")).expect("read");
        assert_eq!(again, found, "{name} does not read back equal");
    }
}

#[test]
fn rows_of_version_1_read_as_what_they_were() {
    hold("events.jsonl", &samples::events().into_iter().map(samples::stamped).collect::<Vec<_>>());
    let phases = samples::phases().into_iter().map(|(_, phase)| phase);
    hold("cases.jsonl", &phases.map(samples::case).collect::<Vec<_>>());
    hold("dossiers.jsonl", &[samples::dossier()]);
    hold("standing.jsonl", &[samples::standing()]);
    hold("standing_events.jsonl", &samples::standing_events());
    hold("requests.jsonl", &samples::requests());
    hold("dispositions.jsonl", &[samples::dispositions()]);
}

/// What was added to a kind of row is kept as well.
#[test]
fn what_a_thread_shows_is_kept() {
    let case = Case { shown: Some("f".into()), ..samples::case(samples::phases().remove(0).1) };
    hold("cases_shown.jsonl", &[case]);
}

/// And this: whom a case, or the hold, woke.
#[test]
fn who_was_woken_is_kept() {
    let all =
        [None, Some(Cause::Approval), Some(Cause::Unanswered), Some(Cause::Untold), Some(Cause::BreakGlass)];
    let rest =
        [Cause::NeedsHuman, Cause::NotRecovered, Cause::Unverified, Cause::Failed, Cause::Hold].map(Some);
    let paging = |(nth, cause): (usize, Option<Cause>)| {
        (format!("pager-{nth}").as_str().into(), Paging { cause, told: cause.is_some() })
    };
    let paged: BTreeMap<PagerName, Paging> = all.into_iter().chain(rest).enumerate().map(paging).collect();
    let phase = samples::phases().remove(0).1;
    hold("cases_paged.jsonl", &[Case { paged: paged.clone(), ..samples::case(phase) }]);
    hold("standing_paged.jsonl", &[crate::case::standing::Standing { paged, ..samples::standing() }]);
}

/// And these: dead letters, and whom they woke.
#[test]
fn how_many_letters_were_dead_is_kept() {
    use crate::case::pager::Matter;
    let letters = vec![samples::now(), samples::now()];
    let due = Paging { cause: Some(Cause::DeadLetters), told: false };
    let paged_letters = BTreeMap::from([("pagerduty".into(), due)]);
    let standing = crate::case::standing::Standing { letters, paged_letters, ..samples::standing() };
    hold("standing_letters.jsonl", &[standing]);
    let (matter, pager, cause) = (Matter::DeadLetters, PagerName::new("pagerduty"), Some(Cause::DeadLetters));
    let events = [
        StandingEvent::DeadLetter { at: samples::now() },
        StandingEvent::PageDue { matter, pager: pager.clone(), cause },
        StandingEvent::PageTold { matter, pager, cause },
    ];
    hold("standing_events_of_letters.jsonl", &events);
}

/// And these: a source fell silent, and was heard again.
#[test]
fn who_is_silent_is_kept() {
    let source = || crate::case::id::SourceName::new("prometheus");
    let silence =
        || crate::case::heartbeat::Silence { since: samples::now(), services: vec!["*@production".into()] };
    let silent = BTreeMap::from([(source(), silence())]);
    hold("standing_silent.jsonl", &[crate::case::standing::Standing { silent, ..samples::standing() }]);
    let heard = [
        StandingEvent::FellSilent { source: source(), silence: silence() },
        StandingEvent::HeardAgain { source: source(), at: samples::now() },
    ];
    hold("standing_events_of_silence.jsonl", &heard);
}

/// And this.
#[test]
fn which_probes_fail_is_kept() {
    let failing = crate::case::probe::Failing { since: samples::now(), said: "answered 500".into() };
    let failing = BTreeMap::from([("smoke".into(), failing)]);
    hold("dossiers_failing.jsonl", &[crate::case::dossier::Dossier { failing, ..samples::dossier() }]);
}

/// And this.
#[test]
fn the_reason_of_an_unlock_is_kept() {
    let reason = Some("it was the disk".to_owned());
    let event = Event::Unlocked { release: "v2".into(), by: Some("ann".into()), reason };
    let stamped = samples::stamped(event);
    assert_eq!(read::<Stamped>(&write(&stamped).expect("written")).expect("read"), stamped);
}

/// And the commits that a plan takes back, what the guard said of them, and which words mark one that mends something.
#[test]
fn which_commits_are_taken_back_is_kept() {
    let taken =
        TakenBack { commits: 7, unread: 2, authors: vec!["ann".into()], fixes: vec!["c0ffee".into()] };
    let mut events = Vec::new();
    for event in samples::events() {
        if let Event::Planned(plan) = &event {
            let plan = Plan { taken_back: Some(taken.clone()), ..plan.as_ref().clone() };
            events.push(samples::stamped(Event::Planned(Arc::new(plan))));
        }
        if let Event::Weighed(decision) = &event {
            let mut decision = decision.as_ref().clone();
            let mut brief = decision.brief.as_ref().clone();
            brief.target.as_mut().expect("a target").taken_back = Some(taken.clone());
            brief.limits.guards.fix_words = vec!["security".into()];
            decision.brief = Arc::new(brief);
            let (name, outcome) = (GuardName::FixesUndone, GuardOutcome::Approve);
            decision.guards.push(GuardAnswer { name, outcome, reason: "because".into() });
            events.push(samples::stamped(Event::Weighed(Arc::new(decision))));
        }
    }
    hold("events_taken_back.jsonl", &events);
}

/// And that the provider was asked to show what is there.
#[test]
fn that_evidence_was_collected_is_kept() {
    let case = Case { collected: true, ..samples::case(samples::phases().remove(0).1) };
    hold("cases_collected.jsonl", &[case]);
}

/// And what goes back together: with what is planned, what was decided on, and why its gate did not let it.
#[test]
fn what_goes_back_together_is_kept() {
    let leg = Leg { service: "worker@production".into(), from: "w2".into(), to: "w1".into() };
    let undone = || Undone {
        release: "w2".into(),
        called: "w2".into(),
        author: None,
        marks: MigrationMarks::default(),
    };
    let companion = Companion {
        service: leg.service.clone(),
        from: Release::bare("w2".into()),
        to: Release::bare("w1".into()),
        to_grade: Grade::Good,
        undone: vec![undone()],
    };
    let case = samples::case(samples::phases().remove(0).1);
    let plan = case.plan.as_deref().cloned().expect("a plan");
    let plan = Plan { with: vec![companion], ..plan }.sealed();
    let decision = case.decision.as_deref().cloned().expect("a decision");
    let target = decision.brief.target.clone().expect("a target");
    let facts = CompanionFacts {
        service: leg.service.clone(),
        from: Some("w2".into()),
        target: Some(TargetFacts { release: "w1".into(), undone: vec![undone()], ..target }),
        stuck: Some("away".into()),
        migrations: Migrations::Marked,
        frozen_until: Some(decision.at),
        owned_by: Some("Argo CD".into()),
        shadow: true,
        apart: true,
    };
    let brief = Arc::new(Brief { with: vec![facts], ..decision.brief.as_ref().clone() });
    let answer =
        GuardAnswer { name: GuardName::Companions, outcome: GuardOutcome::Approve, reason: "because".into() };
    let decision = Decision { brief, guards: vec![answer], ..decision };
    let choice = Choice {
        case: case.id.clone(),
        service: case.id.service(),
        suspect: None,
        from: "v2".into(),
        to: "v1".into(),
        with: vec![leg.clone()],
    };
    let phase = Phase::Planning { choice, until: decision.at };
    let case = Case { plan: Some(Arc::new(plan)), decision: Some(Arc::new(decision)), phase, ..case };
    hold("cases_together.jsonl", std::slice::from_ref(&case));
    let barred =
        |why: Why| samples::stamped(Event::Barred { step: StepNo(1), why, again_at: case.opened_at });
    let barred = [Why::CompanionMoved(leg.service.clone()), Why::InHandsOf(case.id.clone())].map(barred);
    hold("events_together.jsonl", &barred);
}

/// And what was typed with a yes, and what was shown before it.
#[test]
fn what_was_typed_and_shown_is_kept() {
    let vote = PersonVote { confirm: Some("irreversible".into()), ..PersonVote::yes("d".into()) };
    let origin = Origin::Person {
        by: "ann".into(),
        reason: "it is worse".into(),
        to: None,
        direction: Direction::Back,
        shown: Some(vote),
    };
    let case = Case { origin, ..samples::case(samples::phases().remove(0).1) };
    hold("cases_confirmed.jsonl", &[case]);
}

/// And what feeds told, and what was put aside.
#[test]
fn what_a_feed_told_is_kept() {
    let mut dossier = samples::dossier();
    dossier.apply(&samples::stamped(Event::Noticed(Box::new(samples::notice())))).expect("a notice is taken");
    assert_eq!((dossier.notices.len(), dossier.ledger.changes.len()), (1, 1));
    hold("dossiers_noticed.jsonl", &[dossier]);
    hold("dispositions_aside.jsonl", &[vec![Disposition::Aside("a ping".into())]]);
}

/// The samples hold every variant that there is, so that no kind of row is without an example.
#[test]
fn every_event_every_phase_and_every_request_has_an_example() {
    let events: BTreeSet<&str> = samples::events().iter().map(|event| event.word()).collect();
    assert_eq!(events.len(), variants(EVENT, "pub enum Event {"), "{events:?}");
    let phases: BTreeSet<&str> = samples::phases().iter().map(|(_, phase)| phase.word()).collect();
    assert_eq!(phases.len(), variants(PHASE, "pub enum Phase {"), "{phases:?}");
    let requests = samples::requests();
    let kinds: HashSet<_> = requests.iter().map(std::mem::discriminant).collect();
    assert_eq!(kinds.len(), variants(COMMAND, "pub enum Request {"), "{requests:?}");
}

fn variants(source: &str, opening: &str) -> usize {
    let body = source.split(opening).nth(1).and_then(|rest| rest.split("\n}").next()).expect("the enum");
    let is_variant = |line: &&str| line.starts_with("    ") && line[4..].starts_with(char::is_uppercase);
    body.lines().filter(is_variant).count()
}

#[test]
fn a_row_of_a_newer_version_is_refused_and_says_so() {
    let newer = write(&samples::standing()).expect("written").replacen("\"v\":1", "\"v\":2", 1);
    let refused = read::<crate::case::standing::Standing>(&newer).expect_err("version 2 is not known");
    assert!(refused.to_string().contains("start the newer one"), "{refused}");
}
