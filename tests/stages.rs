//! The stages of a case's clock, in metrics: each counted once, with the time that it took, by the real desk over a clock
//! that moves when a story says so.

#[allow(dead_code, reason = "the world is shared, and tells more than these stories need")]
mod desk_world;
mod samples;

use std::collections::BTreeMap;
use std::time::Duration;

use desk_world::{Reads, Takes, World, alert, at, cleared, row, settings};
use snapback::case::decide::Verdict;
use snapback::telemetry::metrics::{Metrics, Scene, StoreState};

/// Every series of this name that is not 0, without the name.
fn series(metrics: &Metrics, name: &str) -> BTreeMap<String, f64> {
    let text = metrics.scrape(&scene());
    let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
    let numbers = lines.map(|(labels, number)| (labels.to_owned(), number.parse().expect("a number")));
    numbers.filter(|(_, number): &(String, f64)| *number != 0.0).collect()
}

fn scene() -> Scene {
    Scene {
        silent: BTreeMap::new(),
        sources: BTreeMap::new(),
        services: Vec::new(),
        undecided: 0,
        writable: true,
        store: Some(StoreState {
            dead_letters: 0,
            oldest_undecided: Duration::from_secs(7),
            hold: true,
            pause: None,
            unsent_pages: 0,
        }),
        config_error: false,
        config_taken_at: at(0),
        audit_height: 0,
    }
}

/// The stages that were counted, with how often and how long they took.
fn stages(metrics: &Metrics) -> BTreeMap<String, (f64, f64)> {
    let counts = series(metrics, "snapback_stage_duration_seconds_count");
    let sums = series(metrics, "snapback_stage_duration_seconds_sum");
    let stage = |labels: &str| labels.split('"').nth(1).expect("a stage").to_owned();
    let of = |(labels, count): (&String, &f64)| {
        (stage(labels), (*count, sums.get(labels).copied().unwrap_or(0.0)))
    };
    counts.iter().map(of).collect()
}

fn named<const N: usize>(all: [(&str, (f64, f64)); N]) -> BTreeMap<String, (f64, f64)> {
    all.map(|(stage, times)| (stage.to_owned(), times)).into()
}

/// What nobody is asked about goes from the judgement over the countdown to the act.
#[test]
fn the_stages_of_an_automatic_rollback_are_counted_once() {
    let mut world = World::new(settings(row(Verdict::Rollback)));
    world.fires("checkout", "f1");
    world.pass(60);
    world.hears(vec![cleared(&alert("checkout", "f1", at(-5)), at(60))]);
    world.pass(120);
    let stages = stages(&world.metrics);
    assert_eq!(stages["received_to_judged"], (1.0, 0.0), "{stages:?}\n{}", world.told());
    assert_eq!(stages["judged_to_counted_down"], (1.0, 30.0), "{stages:?}\n{}", world.told());
    assert_eq!((stages["ready_to_started"].0, stages["started_to_done"].0), (1.0, 1.0), "{stages:?}");
    assert!(stages["done_to_verified"].1 >= 60.0, "{stages:?}\n{}", world.told());
    assert_eq!(stages.len(), 5, "a stage that was not reached is counted: {stages:?}");
    let closed = series(&world.metrics, "snapback_cases_closed_total");
    assert_eq!(closed, BTreeMap::from([(r#"{outcome="recovered"}"#.to_owned(), 1.0)]));
    assert!(series(&world.metrics, "snapback_open_cases").is_empty());
}

#[test]
fn people_who_are_asked_have_their_own_stages() {
    let mut world = World::new(settings(row(Verdict::Approve)));
    world.provider("checkout").takes = Takes::Works;
    world.fires("checkout", "f1");
    let open = series(&world.metrics, "snapback_open_cases");
    assert_eq!(
        open,
        BTreeMap::from([(r#"{phase="awaiting_approval"}"#.to_owned(), 1.0)]),
        "{}",
        world.told()
    );
    world.pass(90);
    assert_eq!(
        stages(&world.metrics),
        named([("received_to_judged", (1.0, 0.0)), ("judged_to_asked", (1.0, 0.0))]),
        "{}",
        world.told()
    );
    let yes = world.yes("checkout");
    world.wishes("checkout", "ann", yes);
    world.pass(5);
    let counted = stages(&world.metrics);
    assert_eq!(counted["asked_to_approved"], (1.0, 90.0), "{counted:?}\n{}", world.told());
    assert_eq!(counted["ready_to_started"].0, 1.0, "{counted:?}\n{}", world.told());
    assert_eq!(counted.len(), 4, "{counted:?}\n{}", world.told());
}

/// Whoever begins to count in the middle of a case counts what it reaches from then on, and nothing before.
#[test]
fn a_new_start_counts_no_stage_again() {
    let mut world = World::new(settings(row(Verdict::Rollback)));
    world.fires("checkout", "f1");
    world.pass(60);
    assert_eq!(world.stands("checkout"), "verifying", "{}", world.told());
    world.metrics = Metrics::new(world.now, world.desk.dossiers());
    world.hears(vec![cleared(&alert("checkout", "f1", at(-5)), at(60))]);
    world.pass(120);
    let counted = stages(&world.metrics);
    assert_eq!(counted.keys().collect::<Vec<_>>(), ["done_to_verified"], "{}", world.told());
    assert_eq!(counted["done_to_verified"].0, 1.0);
}

/// What nobody has heard yet shows, and is gone once it was said.
#[test]
fn notes_that_wait_are_counted_until_they_are_said() {
    let mut world = World::new(settings(row(Verdict::Approve)));
    world.voice = Reads::Never;
    world.fires("checkout", "f1");
    let unsaid = series(&world.metrics, "snapback_unsaid_notes");
    assert_eq!(unsaid.values().copied().collect::<Vec<_>>(), [2.0], "judged, and asked: {}", world.told());
    world.voice = Reads::Answers;
    world.pass(5);
    assert!(series(&world.metrics, "snapback_unsaid_notes").is_empty(), "{}", world.told());
}

/// What the chat refuses for good waits as long as its case is open and a day longer; then it is let go, and counted.
#[test]
fn what_is_refused_for_good_is_let_go_a_day_after_the_end() {
    let mut world = World::new(settings(row(Verdict::Approve)));
    world.voice = Reads::Fails;
    world.fires("checkout", "f1");
    world.pass(20 * 60);
    assert_eq!(world.stands("checkout"), "expired", "{}", world.told());
    let telling = |world: &World| world.dossier("checkout").telling.len();
    world.pass(23 * 3600);
    assert!(telling(&world) > 0, "{}", world.told());
    let counted = |world: &World| series(&world.metrics, "snapback_notes_let_go_total");
    assert!(counted(&world).values().all(|notes| *notes == 0.0), "{:?}", counted(&world));
    world.pass(2 * 3600);
    let first = world.dossier("checkout").telling.iter().any(|case| case.id.as_str().ends_with(".1"));
    assert!(!first, "{}", world.told());
    assert!(counted(&world).values().any(|notes| *notes >= 3.0), "{:?}", counted(&world));
}

/// A store that cannot be read says nothing, and keeps nobody from seeing the rest.
#[test]
fn what_the_store_does_not_say_is_left_out() {
    let world = World::new(settings(row(Verdict::Notify)));
    let told = world.metrics.scrape(&scene());
    assert!(
        told.contains("\nsnapback_hold 1") && told.contains("\nsnapback_oldest_undecided_seconds 7"),
        "{told}"
    );
    let unread = world.metrics.scrape(&Scene { store: None, writable: false, ..scene() });
    for name in ["snapback_hold", "snapback_paused", "snapback_oldest_undecided_seconds"] {
        assert!(!unread.contains(name), "{name} is told without a store: {unread}");
    }
    assert!(
        unread.contains("\nsnapback_store_writable 0") && unread.contains("\nsnapback_build_info{"),
        "{unread}"
    );
}
