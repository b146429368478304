//! Stories at the desk about what may not outlive the facts that it was made of: plans, holds, what comes back, and a clock
//! that goes back. The desk, the gate and the cases are the real ones; `desk_world` plays everything around them.

#[allow(dead_code, reason = "the world is shared, and tells more than these stories need")]
mod desk_world;

use desk_world::{Reads, Takes, World, alert, at, cleared, row, settings};
use snapback::case::command::{Command, Ending, Wish};
use snapback::case::decide::Verdict;
use snapback::case::deployment::DeploymentOrigin;
use snapback::case::id::{NoteNo, PersonId, Place};
use snapback::case::phase::Outcome;
use snapback::case::standing::StandingEvent;
use snapback::engine::desk::Arrival;

/// A world in which what the row says is done by itself after 30 s.
fn automatic() -> World {
    World::new(settings(row(Verdict::Rollback)))
}

/// A world in which people are asked.
fn asking() -> World {
    World::new(settings(row(Verdict::Approve)))
}

fn goes_to(world: &World, release: &str) -> bool {
    world.requests.iter().any(|order| order.to.as_str() == release)
}

/// T27: a target that vanishes or turns out bad while people are asked takes its question along, and an old yes with it.
#[test]
fn a_question_does_not_outlive_its_target() {
    let gone = |world: &mut World| world.provider("checkout").release("v1").artifact_exists = Some(false);
    let bad = |world: &mut World| {
        let what = Wish::Mark { release: "v1".into(), good: false, reason: "it was worse".into() };
        world.wishes("checkout", "bob", what);
    };
    for spoil in [&gone as &dyn Fn(&mut World), &bad] {
        let mut world = asking();
        world.fires("checkout", "f1");
        world.pass(5);
        let old_yes = world.yes("checkout");
        spoil(&mut world);
        world.pass(30);
        world.wishes("checkout", "ann", old_yes);
        world.pass(60);
        assert!(world.requests.is_empty(), "an old yes sent something:\n{}", world.told());
        let case = world.case("checkout").expect("an open case");
        let plan = case.plan.as_deref().expect("another plan");
        assert_eq!(plan.to.id.as_str(), "v0", "{}", world.told());
    }
}

/// T27: nor does a countdown.
#[test]
fn a_countdown_does_not_outlive_its_target() {
    let mut world = automatic();
    world.fires("checkout", "f1");
    world.pass(5);
    world.provider("checkout").release("v1").artifact_exists = Some(false);
    world.pass(60);
    assert!(!goes_to(&world, "v1"), "{}", world.told());
}

/// T30: a version that was rolled back and comes back is asked about, and never again rolled back by itself.
#[test]
fn a_bad_version_that_comes_back_is_asked_about() {
    let mut world = automatic();
    world.fires("checkout", "f1");
    world.pass(60);
    world.hears(vec![cleared(&alert("checkout", "f1", at(-5)), at(60))]);
    world.pass(120);
    assert_eq!(world.outcomes("checkout"), [Outcome::Recovered], "{}", world.told());
    world.pass(3600);
    world.puts_out("checkout", "v2");
    world.pass(330);
    world.fires("checkout", "f2");
    world.pass(60);
    assert_eq!(
        (world.requests.len(), world.stands("checkout")),
        (1, "awaiting_approval"),
        "{}",
        world.told()
    );
}

/// S17, T31: what somebody else went back from is no target, and their rollback is not undone.
#[test]
fn a_release_that_others_went_back_from_is_no_target() {
    let mut world = automatic();
    world.pass(3600);
    world.puts_out("checkout", "v1");
    world.provider("checkout").deployments.last_mut().expect("one").origin = DeploymentOrigin::Rollback;
    world.pass(330);
    world.fires("checkout", "f2");
    world.pass(60);
    assert!(world.requests.is_empty(), "{}", world.told());
    world.puts_out("checkout", "v3");
    world.pass(330);
    world.fires("checkout", "f3");
    world.pass(60);
    assert!(!goes_to(&world, "v2"), "{}", world.told());
}

/// T54: a clock that goes back makes no reading, no roster and no plan younger than it is.
#[test]
fn no_life_grows_when_the_clock_goes_back() {
    let mut world = asking();
    world.fires("checkout", "f1");
    world.pass(60);
    let old_yes = world.yes("checkout");
    world.now = at(60 - 3600);
    world.wishes("checkout", "ann", old_yes);
    world.pass(1800);
    world.puts_out("checkout", "v3");
    world.pass(2400);
    assert!(world.requests.is_empty(), "it acted on what it knew before:\n{}", world.told());
}

/// T54: what was put back is not called somebody's act because a picture came from the future.
#[test]
fn a_verification_survives_a_clock_that_goes_back() {
    let mut world = automatic();
    world.fires("checkout", "f1");
    world.pass(40);
    assert_eq!(world.stands("checkout"), "verifying", "{}", world.told());
    world.now = at(40 - 20);
    world.pass(5);
    assert_eq!(world.stands("checkout"), "verifying", "{}", world.told());
}

/// The engine does not wake for a moment at which nothing follows.
#[test]
fn nobody_wakes_for_a_moment_that_is_over() {
    let mut world = automatic();
    world.provider("checkout").takes = Takes::Hides;
    world.fires("checkout", "f1");
    world.pass(30 + 30 * 60 + 60);
    let wake = world.desk.wake_at().expect("a moment");
    assert!(wake > world.now, "it wakes at {wake}, and it is {}", world.now);
}

/// T25: where the provider could never be read nobody says that no deployment is to blame: people are told that it is not
/// known, and the signal is judged as soon as it can be.
#[test]
fn what_cannot_be_read_is_told_and_judged_later() {
    let mut world = automatic();
    world.provider("checkout").reads = Reads::Fails;
    world.fires("checkout", "f1");
    world.pass(60);
    assert_eq!(world.stands("checkout"), "weighing", "{}", world.told());
    assert!(world.told().contains("cannot be read"), "nobody was told:\n{}", world.told());
    world.provider("checkout").reads = Reads::Answers;
    world.pass(90);
    assert!(goes_to(&world, "v1"), "it was not judged again:\n{}", world.told());
}

/// S25, T51: a mark of ours that the store does not know stops everything, until somebody lifts the hold.
#[test]
fn a_hold_stops_everything_until_somebody_lifts_it() {
    let mut world = automatic();
    let mark = "snapback/0123456789abcdef01234567".into();
    world.provider("checkout").deployments[1].origin = DeploymentOrigin::Ours(mark);
    world.fires("payments", "f1");
    world.pass(600);
    assert!(world.requests.is_empty(), "it acted in a hold:\n{}", world.told());
    let by = PersonId::new("ann");
    let at = world.now;
    world.arrives(vec![Arrival::Standing(StandingEvent::Released { by, at })]);
    world.fires("payments", "f2");
    world.pass(120);
    assert!(goes_to(&world, "v1"), "the hold stayed:\n{}", world.told());
}

/// L2: a plan that is half done, and whose next step cannot begin because the provider cannot be read, is a person's after
/// ten minutes.
#[test]
fn a_half_done_plan_does_not_wait_in_silence() {
    let mut world = automatic();
    world.provider("checkout").acts = 2;
    world.provider("checkout").takes = Takes::Works;
    world.fires("checkout", "f1");
    world.pass(40);
    assert_eq!((world.requests.len(), world.stands("checkout")), (1, "running"), "{}", world.told());
    world.provider("checkout").reads = Reads::Fails;
    world.pass(15);
    world.provider("checkout").takes = Takes::Does;
    world.pass(300);
    assert_eq!((world.requests.len(), world.stands("checkout")), (1, "ready"), "{}", world.told());
    world.pass(600);
    assert_eq!(world.stands("checkout"), "needs_human", "{}", world.told());
    assert!(world.told().contains("half done"), "{}", world.told());
}

/// Whoever deletes first messages again and again is not answered by ever new ones.
#[test]
fn a_thread_moves_once() {
    let mut world = World::new(settings(row(Verdict::Approve)));
    world.voice = Reads::Never;
    world.fires("checkout", "f1");
    let place = |ts: u32| Place::new(format!("https://acme.slack.com/archives/C1/p177244284500390{ts}"));
    let case = world.case("checkout").expect("a case").id.clone();
    let said = Ending::Said { place: place(1), face: None };
    world.arrives(vec![Arrival::Ended(Command::Say(case.clone(), NoteNo(0)), Box::new(said))]);
    for (to, stands) in [(place(2), place(2)), (place(3), place(2))] {
        let elsewhere = Ending::Elsewhere { place: to, face: Some("f".into()) };
        world.arrives(vec![Arrival::Ended(Command::Show(case.clone()), Box::new(elsewhere))]);
        let now = world.case("checkout").expect("a case");
        assert_eq!((now.thread.as_ref(), now.said), (Some(&stands), NoteNo(1)), "{}", world.told());
        assert_eq!(now.lost, Some(place(1)));
    }
}
