//! The journal's contract, on a real store on a real disk: what was answered is there after a new start, the gate is
//! truth, a copy that was put back is noticed, and the audit shows an edit.

mod samples;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use snapback::case::dossier::Dossier;
use snapback::case::event::Event;
use snapback::case::gate::{GateAsk, Why};
use snapback::case::id::{CaseId, DeliveryId, Duration, Mark, ServiceId, SourceName, StepNo, Timestamp};
use snapback::case::phase::Phase;
use snapback::case::settings::GuardSettings;
use snapback::case::standing::{Hold, Pause, StandingEvent};
use snapback::case::step::{Act, Class, Doer, Order};
use snapback::case::turn::{Change, Disposition, Gated, Turn};
use snapback::journal::audit::{AuditEntry, Head};
use snapback::journal::inbox::{Content, ContentKey, Delivery, NotStored, Received};
use snapback::journal::reader::Reader;
use snapback::journal::verify::{VerifyError, verify};
use snapback::journal::{AppendError, Journal, Opened, StoreSettings};

fn now() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().expect("a moment")
}

struct Store {
    folder: tempfile::TempDir,
}

impl Store {
    fn new() -> Store {
        Store { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("snapback.db")
    }

    fn settings(&self, max_bytes: Option<u64>) -> StoreSettings {
        StoreSettings { path: self.path(), keep: Duration::from_hours(24), max_bytes }
    }

    fn open(&self) -> Opened {
        Journal::open(&self.settings(None), now()).expect("the store opens")
    }
}

fn delivery(body: &str) -> Delivery {
    let source = SourceName::new("prometheus");
    let body = Bytes::from(body.to_owned());
    Delivery {
        received_at: now(),
        key: ContentKey::of(&source, &body),
        source,
        body,
        content: Content::Dead("a test has no alert".into()),
    }
}

fn run<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(story)
}

#[test]
fn what_was_answered_is_there_after_a_new_start_in_its_order() {
    let store = Store::new();
    run(async {
        let opened = store.open();
        for nth in 1..=3 {
            let received = opened.inbox.receive(delivery(&format!("body {nth}"))).await.expect("stored");
            assert!(matches!(received, Received::New(DeliveryId(id)) if id == nth));
        }
        assert!(matches!(opened.inbox.receive(delivery("body 2")).await, Ok(Received::Seen)));
        opened.journal.close().await;
        assert!(matches!(opened.inbox.receive(delivery("late")).await, Err(NotStored::Closing)));
        drop(opened);
        let again = store.open();
        assert!(again.hold_reasons.is_empty(), "{:?}", again.hold_reasons);
        let stored = again.journal.undecided(DeliveryId(0), 10).await.expect("read");
        let bodies: Vec<&[u8]> = stored.iter().map(|delivery| delivery.body.as_ref()).collect();
        assert_eq!(bodies, [&b"body 1"[..], b"body 2", b"body 3"]);
    });
}

#[test]
fn a_decided_delivery_is_not_read_again_and_has_one_disposition() {
    let store = Store::new();
    run(async {
        let opened = store.open();
        opened.inbox.receive(delivery("one")).await.expect("stored");
        let turn = Turn {
            at: now(),
            dispositions: vec![(DeliveryId(1), vec![Disposition::Dead("a test has no alert".into())])],
            cursor: Some(DeliveryId(1)),
            ..Turn::default()
        };
        opened.journal.append(turn).await.expect("written");
        let cursor = opened.journal.cursor().await.expect("read");
        assert_eq!(cursor, DeliveryId(1));
        assert!(opened.journal.undecided(cursor, 10).await.expect("read").is_empty());
        let reader = Reader::open(store.path()).expect("a reader beside the server");
        assert_eq!(reader.disposition(DeliveryId(1)).expect("read").expect("one").len(), 1);
        opened.journal.close().await;
    });
}

#[test]
fn a_second_process_is_refused_while_readers_are_not() {
    let store = Store::new();
    let first = store.open();
    let second = Journal::open(&store.settings(None), now());
    assert!(second.is_err(), "two would write");
    Reader::open(store.path()).expect("a reader").standing().expect("read");
    run(first.journal.close());
    drop(first);
    store.open();
}

#[test]
fn a_copy_that_was_put_back_holds() {
    let store = Store::new();
    let copy = store.folder.path().join("copy.db");
    run(async {
        let opened = store.open();
        opened.inbox.receive(delivery("before the copy")).await.expect("stored");
        opened.journal.close().await;
        drop(opened);
        std::fs::copy(store.path(), &copy).expect("a copy");
        let opened = store.open();
        opened.inbox.receive(delivery("after the copy")).await.expect("stored");
        opened.journal.close().await;
    });
    put_back(&copy, &store.path());
    let restored = store.open();
    assert!(!restored.hold_reasons.is_empty(), "an older store was taken for the newest");
    let standing = run(restored.journal.standing()).expect("read");
    assert!(standing.hold.is_some(), "the hold is not on disk");
}

#[test]
fn a_store_that_vanished_holds() {
    let store = Store::new();
    run(store.open().journal.close());
    remove(&store.path());
    assert!(!store.open().hold_reasons.is_empty(), "an empty store was taken for the newest");
}

#[test]
fn a_full_disk_is_told_and_nothing_of_what_was_refused_is_there() {
    let store = Store::new();
    run(async {
        let opened = Journal::open(&store.settings(Some(512 * 1024)), now()).expect("the store opens");
        let mut stored = 0;
        let refused = loop {
            let body = format!("{stored} {}", "x".repeat(60_000));
            match opened.inbox.receive(delivery(&body)).await {
                Ok(_) => stored += 1,
                Err(refused) => break refused,
            }
            assert!(stored < 100, "the limit was never reached");
        };
        assert!(matches!(refused, NotStored::Storage(_)), "{refused:?}");
        let kept = opened.journal.undecided(DeliveryId(0), 200).await.expect("read");
        assert_eq!(kept.len(), stored, "what was answered, and nothing else");
        opened.journal.close().await;
    });
}

#[test]
fn the_gate_reads_the_standing_that_is_on_disk() {
    let store = Store::new();
    run(async {
        let opened = store.open();
        let pause = Pause { by: "token:ann".into(), reason: "a storm".into(), at: now(), everything: true };
        let turn = Turn { at: now(), standing: vec![StandingEvent::Paused(pause)], ..Turn::default() };
        opened.journal.append(turn).await.expect("written");
        // The ask knows nothing of the pause: whoever made it had an older copy.
        let committed = opened.journal.append(asking()).await.expect("written");
        let answer = committed.gated.first().expect("an answer");
        assert!(matches!(answer, Gated::Barred(_, Why::PausedEverything)), "{answer:?}");
        assert!(opened.journal.standing().await.expect("read").acts.is_empty(), "an act was recorded");
        opened.journal.close().await;
    });
}

#[test]
fn what_a_turn_itself_found_out_counts_before_its_gate() {
    let store = Store::new();
    run(async {
        let opened = store.open();
        let hold = Hold { reasons: vec!["a mark that the store does not know".into()], since: now() };
        let turn = Turn { standing: vec![StandingEvent::Held(hold)], ..intending(1, now()) };
        let committed = opened.journal.append(turn).await.expect("written");
        assert!(
            matches!(committed.gated.first(), Some(Gated::Barred(_, Why::Hold(_)))),
            "{:?}",
            committed.gated
        );
        opened.journal.close().await;
    });
}

#[test]
fn a_persons_rollback_passes_a_hold_only_if_it_was_begun_in_sight_of_it() {
    let store = Store::new();
    run(async {
        let opened = store.open();
        let hold = Hold { reasons: vec!["restored".into()], since: now() };
        let held = Turn { at: now(), standing: vec![StandingEvent::Held(hold)], ..Turn::default() };
        opened.journal.append(held).await.expect("written");
        for (opened_at, passes) in [(now(), false), (now() + Duration::from_secs(1), true)] {
            let mut turn = intending(1, now());
            turn.gates[0].by_hand = true;
            turn.gates[0].automatic = false;
            turn.gates[0].case_opened_at = opened_at;
            let gated = opened.journal.append(turn).await.expect("written").gated;
            assert_eq!(
                matches!(gated.first(), Some(Gated::Passed(_))),
                passes,
                "opened at {opened_at}: {gated:?}"
            );
        }
        opened.journal.close().await;
    });
}

#[test]
fn an_edit_of_the_store_is_found_by_the_audit() {
    let store = Store::new();
    run(async {
        let opened = store.open();
        let reason = "a reason worth keeping".to_owned();
        let mut dossier = Dossier::new(ServiceId::of("checkout", "production"));
        let frozen = Event::Frozen { by: "token:ann".into(), reason, until: now() + Duration::from_hours(1) };
        let stamped = snapback::case::event::Stamped { at: now(), event: frozen };
        dossier.apply(&stamped).expect("it freezes");
        let change = snapback::case::turn::Change {
            dossier: dossier.into(),
            events: vec![(None, stamped)],
            departed: Vec::new(),
        };
        opened
            .journal
            .append(Turn { at: now(), changes: vec![change], ..Turn::default() })
            .await
            .expect("written");
        opened.journal.close().await;
    });
    verify(&store.path(), None).expect("whole before the edit");
    let connection = rusqlite::Connection::open(store.path()).expect("the store");
    let edited = connection
        .execute("UPDATE events SET body = replace(body, 'worth keeping', 'of no worth')", [])
        .expect("the edit");
    assert_eq!(edited, 1);
    drop(connection);
    let found = verify(&store.path(), None);
    assert!(matches!(found, Err(VerifyError::Broken { .. })), "{found:?}");
}

#[test]
fn a_cut_tail_is_found_by_the_audit() {
    let store = Store::new();
    run(async {
        let opened = store.open();
        opened.inbox.receive(delivery("one")).await.expect("stored");
        opened.inbox.receive(delivery("two")).await.expect("stored");
        opened.journal.close().await;
    });
    verify(&store.path(), None).expect("whole before the cut");
    let connection = rusqlite::Connection::open(store.path()).expect("the store");
    let cut = "DELETE FROM audit WHERE height = (SELECT max(height) FROM audit)";
    assert_eq!(connection.execute(cut, []).expect("the cut"), 1);
    drop(connection);
    let found = verify(&store.path(), None);
    assert!(matches!(found, Err(VerifyError::Broken { .. })), "{found:?}");
}

#[test]
fn a_write_over_somebody_elses_changes_nothing() {
    let store = Store::new();
    run(async {
        let opened = store.open();
        opened.journal.append(intending(1, now())).await.expect("written");
        // Another holder of the service wrote in between: the row carries its fence now.
        let beside = rusqlite::Connection::open(store.path()).expect("the store");
        assert_eq!(beside.execute("UPDATE dossiers SET fence = fence + 1", []).expect("another writer"), 1);
        let before: String =
            beside.query_row("SELECT body FROM dossiers", [], |row| row.get(0)).expect("a row");
        let refused = opened.journal.append(intending(2, now())).await.expect_err("it is fenced off");
        assert!(
            matches!(&refused, AppendError::Fenced(of) if of.as_str() == "checkout@production"),
            "{refused:?}"
        );
        let after: String =
            beside.query_row("SELECT body FROM dossiers", [], |row| row.get(0)).expect("a row");
        assert_eq!(before, after, "the other's row was written over");
        let acts: u32 = beside.query_row("SELECT count(*) FROM acts", [], |row| row.get(0)).expect("a count");
        assert_eq!(acts, 1, "an act of the refused turn is on record");
        opened.journal.close().await;
    });
}

#[test]
fn a_suspect_is_acted_on_by_itself_once_and_never_again() {
    let store = Store::new();
    run(async {
        let opened = store.open();
        let first = opened.journal.append(intending(1, now())).await.expect("written");
        assert!(matches!(first.gated.first(), Some(Gated::Passed(_))), "{:?}", first.gated);
        // A year later no standing remembers the act, and it is another case: the table of acts does remember.
        let second = opened.journal.append(intending(2, now() + Duration::from_hours(24 * 365))).await;
        let gated = second.expect("written").gated;
        assert!(matches!(gated.first(), Some(Gated::Barred(_, Why::AlreadyActed))), "{gated:?}");
        opened.journal.close().await;
    });
    // Whatever the code above it does: the index itself refuses a second one.
    let beside = rusqlite::Connection::open(store.path()).expect("the store");
    let again = beside.execute(
        "INSERT INTO acts (height, at, service, suspect, case_id, step, attempt, class, automatic, mark)
         SELECT height, at, service, suspect, 'another case', step, attempt, class, automatic, mark FROM acts",
        [],
    );
    assert!(again.expect_err("a second automatic act").to_string().contains("UNIQUE"));
}

#[test]
fn an_audit_that_was_stamped_anew_is_found_by_a_copy_kept_elsewhere() {
    let store = Store::new();
    let elsewhere = tempfile::tempdir().expect("another machine");
    let kept = elsewhere.path().join("checkpoints");
    run(async {
        let opened = store.open();
        opened.inbox.receive(delivery("one")).await.expect("stored");
        opened.journal.append(intending(1, now())).await.expect("written");
        opened.journal.close().await;
    });
    let beside = |ending: &str| format!("{}.{ending}", store.path().display());
    std::fs::copy(beside("checkpoints"), &kept).expect("a copy elsewhere");
    verify(&store.path(), Some(&kept)).expect("whole before it is stamped anew");
    stamp_anew(&store.path());
    // Whoever may write the store may write what lies beside it too.
    for ending in ["checkpoints", "witness"] {
        std::fs::remove_file(beside(ending)).expect(ending);
    }
    verify(&store.path(), None).expect("in itself it agrees: only what lies elsewhere knows better");
    let found = verify(&store.path(), Some(&kept));
    assert!(matches!(found, Err(VerifyError::Broken { .. })), "{found:?}");
}

/// Claims that everything happened an hour later, and makes every hash fit.
fn stamp_anew(path: &Path) {
    let connection = rusqlite::Connection::open(path).expect("the store");
    let mut ask =
        connection.prepare("SELECT height, at, contents, prev FROM audit ORDER BY height").expect("ask");
    let rows = ask.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
    let entries: Vec<(u64, i64, String, String)> =
        rows.expect("rows").collect::<Result<_, _>>().expect("entries");
    let mut head = Head { height: 0, hash: entries[0].3.clone() };
    for (height, at, contents, _) in entries {
        let entry = AuditEntry::after(&head, at + 3_600_000_000_000, contents);
        let set = "UPDATE audit SET at = ?1, prev = ?2, hash = ?3 WHERE height = ?4";
        connection.execute(set, (entry.at, &entry.prev, &entry.hash, height)).expect("stamped");
        head = Head { height, hash: entry.hash };
    }
}

/// A turn in which the nth case of the service, ready for its first step, asks the gate.
fn intending(nth: u64, at: Timestamp) -> Turn {
    let mut turn = asking();
    let order = &mut turn.gates[0].order;
    order.case = CaseId::of(&order.service, nth);
    let mut dossier = Dossier::new(order.service.clone());
    let mut case = samples::case(Phase::Ready { step: StepNo(0), attempt: 1, sent: 0, barred: None });
    case.id = order.case.clone();
    dossier.open = Some(Box::new(case));
    turn.gates[0].plan_expires = at + Duration::from_mins(15);
    turn.changes = vec![Change { dossier: dossier.into(), events: Vec::new(), departed: Vec::new() }];
    Turn { at, ..turn }
}

/// A turn that asks the gate for the first step of a case, and changes nothing else.
fn asking() -> Turn {
    let service = ServiceId::of("checkout", "production");
    let order = Order {
        case: CaseId::of(&service, 1),
        step: StepNo(0),
        attempt: 1,
        mark: Mark::new("snapback/test"),
        doer: Doer::Provider(service.clone()),
        act: Act {
            kind: "switch".into(),
            arguments: Default::default(),
            class: Class::B,
            says: "switch".into(),
        },
        service: service.clone(),
        expected: "v2".into(),
        to: "v1".into(),
        intended_at: now(),
    };
    let ask = GateAsk {
        order,
        suspect: Some("d-v2".into()),
        plan: "digest".into(),
        plan_expires: now() + Duration::from_mins(15),
        automatic: true,
        by_hand: false,
        case_opened_at: now(),
        rehearsal: false,
        votes_short: None,
        frozen_until: None,
        reconciled: true,
        current_as_expected: true,
        first_act: true,
        in_hands_of: None,
        with: Vec::new(),
        rules_current: true,
        clock_behind_until: None,
        limits: GuardSettings::default(),
    };
    Turn { at: now(), gates: vec![ask], ..Turn::default() }
}

/// Removes a store's file and what the database keeps beside it; witness, key and checkpoints stay.
fn remove(path: &Path) {
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
}

fn put_back(copy: &Path, path: &Path) {
    remove(path);
    std::fs::copy(copy, path).expect("put back");
}
