//! A plan's digest: whoever approved approved exactly this. Any single field that changes is another plan, so that votes
//! on the old one no longer count; when it expires is no part of it, so that the same plan made again keeps them.

use std::collections::BTreeMap;
use std::sync::Arc;

use snapback::case::approval::{ApprovalPolicy, OnExpiry};
use snapback::case::id::{Duration, Timestamp};
use snapback::case::ledger::Grade;
use snapback::case::plan::{Companion, Plan, Undone};
use snapback::case::release::{MigrationMarks, Release, RollbackMark};
use snapback::case::step::{Act, Class, Doer, OnFailure, Step};

fn plan() -> Plan {
    let approval = ApprovalPolicy {
        name: "default".into(),
        from: vec![vec!["sre".into()], vec!["payments".into()]],
        quorum: 2,
        expires: Duration::from_mins(15),
        not_the_author: false,
        on_expiry: OnExpiry::Notify,
        break_glass: Vec::new(),
    };
    let step = Step {
        doer: Doer::Provider("checkout@production".into()),
        act: Act {
            kind: "switch".into(),
            arguments: BTreeMap::from([("to".to_owned(), "v1".to_owned())]),
            class: Class::B,
            says: "switch to v1".into(),
        },
        deadline: Duration::from_mins(30),
        on_failure: OnFailure::Stop,
    };
    let undone = Undone {
        release: "v2".into(),
        called: "v2".into(),
        author: Some("sam".into()),
        marks: MigrationMarks::default(),
    };
    let plan = Plan {
        suspect: Some("d-v2".into()),
        from: Release::bare("v2".into()),
        to: Release::bare("v1".into()),
        to_grade: Grade::Good,
        with: vec![companion()],
        steps: vec![step],
        undone: vec![undone],
        fast: false,
        expected_time: None,
        taken_back: None,
        approval: Arc::new(approval),
        expires: Timestamp::from_second(1_800_000_000).expect("a moment"),
        digest: "".into(),
    };
    plan.sealed()
}

fn companion() -> Companion {
    Companion {
        service: "worker@production".into(),
        from: Release::bare("w2".into()),
        to: Release::bare("w1".into()),
        to_grade: Grade::Good,
        undone: vec![Undone {
            release: "w2".into(),
            called: "w2".into(),
            author: Some("sam".into()),
            marks: MigrationMarks::default(),
        }],
    }
}

type Change = fn(&mut Plan);

const CHANGES: [(&str, Change); 33] = [
    ("a companion less", |p| p.with.clear()),
    ("a companion's service", |p| p.with[0].service = "cart@production".into()),
    ("what leaves on a companion", |p| p.with[0].from = Release::bare("w3".into())),
    ("what returns on a companion", |p| p.with[0].to = Release::bare("w0".into())),
    ("the grade of a companion's target", |p| p.with[0].to_grade = Grade::Unknown),
    ("what a companion loses", |p| p.with[0].undone.clear()),
    ("suspect", |p| p.suspect = Some("d-v3".into())),
    ("no suspect", |p| p.suspect = None),
    ("from", |p| p.from.id = "v3".into()),
    ("from's commit", |p| p.from.commit = Some("c0ffee".into())),
    ("from's author", |p| p.from.author = Some("kim".into())),
    ("to", |p| p.to.id = "v0".into()),
    ("to's version", |p| p.to.version = Some("v1".into())),
    ("to's marks", |p| p.to.marks.schema_version = Some(7)),
    ("to's grade", |p| p.to_grade = Grade::Unknown),
    ("a step more", |p| p.steps.push(p.steps[0].clone())),
    ("no step", |p| p.steps.clear()),
    ("the step's doer", |p| p.steps[0].doer = Doer::Provider("payments@production".into())),
    ("the step's kind", |p| p.steps[0].act.kind = "restart".into()),
    ("the step's argument", |p| *p.steps[0].act.arguments.get_mut("to").expect("there") = "v0".into()),
    ("the step's class", |p| p.steps[0].act.class = Class::C),
    ("the step's words", |p| p.steps[0].act.says = "switch".into()),
    ("the step's deadline", |p| p.steps[0].deadline = Duration::from_mins(31)),
    ("what the step's failure means", |p| p.steps[0].on_failure = OnFailure::Continue),
    ("what is undone", |p| p.undone[0].release = "v3".into()),
    ("whose work is undone", |p| p.undone[0].author = None),
    ("the marks that it crosses", |p| p.undone[0].marks.rollback = Some(RollbackMark::Irreversible)),
    ("fast", |p| p.fast = true),
    ("the expected time", |p| p.expected_time = Some(Duration::from_mins(5))),
    ("the quorum", |p| Arc::make_mut(&mut p.approval).quorum = 1),
    ("the groups", |p| Arc::make_mut(&mut p.approval).from = vec![vec!["sre".into(), "payments".into()]]),
    ("the author rule", |p| Arc::make_mut(&mut p.approval).not_the_author = true),
    ("who may break the glass", |p| Arc::make_mut(&mut p.approval).break_glass = vec!["leads".into()]),
];

#[test]
fn any_single_field_that_changes_is_another_plan() {
    let mut seen = vec![plan().digest];
    for (what, change) in CHANGES {
        let mut changed = plan();
        change(&mut changed);
        let digest = changed.sealed().digest;
        assert!(!seen.contains(&digest), "a change of {what} is not seen");
        seen.push(digest);
    }
}

#[test]
fn the_same_plan_made_later_keeps_its_digest() {
    let mut later = plan();
    later.expires += Duration::from_mins(15);
    assert_eq!(later.sealed().digest, plan().digest);
}

/// A name in a manifest is nobody who can be told from others; only a principal is.
#[test]
fn an_author_is_known_only_as_a_principal() {
    let by = |author: &str| {
        let mut plan = plan();
        plan.from.author = Some(author.to_owned());
        plan.author()
    };
    assert_eq!(by("sam"), None);
    assert_eq!(by("slack:U0001ANA"), Some("slack:U0001ANA".into()));
    assert_eq!(by("token:alice"), Some("token:alice".into()));
}
