//! Evidence before the act: the provider shows once what is there, people see it beside the question and the countdown, and an act
//! waits for it within its budget and no longer.

#[allow(dead_code, reason = "the world is shared, and tells more than these stories need")]
mod desk_world;

use std::sync::Arc;

use desk_world::{World, id, row, settings};
use snapback::case::decide::Verdict;
use snapback::case::event::{Event, Stamped};
use snapback::case::exhibit::Exhibit;
use snapback::case::id::{CaseId, Duration, Timestamp};
use snapback::case::rules::Rule;
use snapback::case::settings::Mode;

/// Of `exhibit.rs`: so long an act waits.
const BUDGET: i64 = 10;

fn pod() -> Vec<Exhibit> {
    vec![Exhibit { name: "pod web-1".into(), text: "web CrashLoopBackOff: exit code 1".into() }]
}

fn at_once() -> Rule {
    Rule { countdown: Duration::ZERO, ..row(Verdict::Rollback) }
}

/// Of the only case, open or over, in the order in which it happened.
fn moments(world: &World, word: &str) -> Vec<Timestamp> {
    let dossier = world.dossier("checkout");
    let case = dossier.case(&CaseId::of(&id("checkout"), 1)).expect("a case");
    let of_word = |stamped: &&Stamped| stamped.event.word() == word;
    case.events.iter().filter(of_word).map(|stamped| stamped.at).collect()
}

#[test]
fn people_see_what_the_provider_shows_before_they_decide() {
    let mut world = World::new(settings(row(Verdict::Approve)));
    world.provider("checkout").shows = Some(pod());
    world.fires("checkout", "f1");
    world.pass(5);
    assert_eq!(world.stands("checkout"), "awaiting_approval");
    let told = world.told();
    let shown = told
        .find("before anything is done, the provider shows: / pod web-1: web CrashLoopBackOff")
        .expect(&told);
    assert!(told.find("points at v2").expect("judged") < shown, "{told}");
    assert_eq!(moments(&world, "collected").len(), 1);
    // It is asked once, whatever comes.
    let settings_again = settings(row(Verdict::Approve));
    world.restarts(settings_again);
    world.pass(120);
    assert_eq!(moments(&world, "collected").len(), 1, "{}", world.told());
    assert!(world.requests.is_empty());
}

#[test]
fn an_act_waits_for_what_the_provider_shows_and_goes_on_at_once() {
    let mut world = World::new(settings(at_once()));
    world.provider("checkout").shows = Some(pod());
    world.fires("checkout", "f1");
    world.pass(30);
    assert_eq!(world.requests.len(), 1, "{}", world.told());
    assert!(moments(&world, "collected")[0] <= moments(&world, "intended")[0]);
}

#[test]
fn a_provider_that_shows_nothing_delays_an_act_by_the_budget_and_no_longer() {
    let mut world = World::new(settings(at_once()));
    world.provider("checkout").shows = None;
    world.fires("checkout", "f1");
    world.pass(BUDGET - 1);
    assert_eq!(world.stands("checkout"), "ready");
    assert_eq!((world.requests.len(), world.under_way("collect")), (0, 1), "it waits");
    world.pass(5);
    assert_eq!(world.requests.len(), 1, "{}", world.told());
    let waited = moments(&world, "intended")[0].duration_since(moments(&world, "chosen")[0]);
    assert_eq!(waited, Duration::from_secs(BUDGET));
    assert_eq!(world.under_way("collect"), 0, "what comes now is from after the act: nobody waits for it");
    assert!(moments(&world, "collected").is_empty());
}

/// A countdown that is longer than the budget is not made longer.
#[test]
fn a_countdown_hides_the_budget() {
    let mut world = World::new(settings(row(Verdict::Rollback)));
    world.provider("checkout").shows = None;
    world.fires("checkout", "f1");
    world.pass(60);
    let begun = moments(&world, "countdown_began")[0];
    assert_eq!(moments(&world, "intended")[0].duration_since(begun), Duration::from_secs(30));
}

#[test]
fn in_shadow_it_is_shown_as_well() {
    let mut in_shadow = settings(row(Verdict::Rollback));
    in_shadow.services.values_mut().for_each(|service| Arc::make_mut(service).mode = Mode::Shadow);
    let mut world = World::new(in_shadow);
    world.provider("checkout").shows = Some(pod());
    world.fires("checkout", "f1");
    world.pass(30);
    assert!(
        world.told().contains("would roll back") && world.told().contains("CrashLoopBackOff"),
        "{}",
        world.told()
    );
}

/// A case that will not act asks for nothing.
#[test]
fn who_is_only_told_needs_no_evidence() {
    let mut world = World::new(settings(row(Verdict::Notify)));
    world.provider("checkout").shows = Some(pod());
    world.fires("checkout", "f1");
    world.pass(60);
    let case = world.case("checkout").expect("a case");
    assert!(
        !case.events.iter().any(|stamped| matches!(stamped.event, Event::Collected(_))),
        "{}",
        world.told()
    );
}
