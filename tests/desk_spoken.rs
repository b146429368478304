//! What is said in the chat, as the desk takes it: who may is found by the roster of that moment, what is pressed counts for what
//! it was shown over, and nothing that is pressed again and again wears a case out. The world is `desk_world`'s.

#[allow(dead_code, reason = "the world is shared, and tells more than these stories need")]
mod desk_world;

use desk_world::{World, id, row, settings};
use snapback::case::approval::Roster;
use snapback::case::command::{Ask, Authority, Request, Wish};
use snapback::case::decide::Verdict;
use snapback::case::event::Event;
use snapback::case::face::Face;
use snapback::case::id::{Duration, ReleaseId};
use snapback::case::ledger::Grade;
use snapback::case::phase::Outcome;
use snapback::case::turn::Disposition;
use snapback::engine::desk::Arrival;

/// A world in which the chat said who belongs where: ann and bob decide, carl does not.
fn world(verdict: Verdict) -> World {
    let mut world = World::new(settings(row(verdict)));
    world.pass(5);
    read(&mut world);
    world
}

fn read(world: &mut World) {
    let members =
        [("sre".into(), ["ann", "bob"].map(Into::into).into()), ("ops".into(), ["carl".into()].into())];
    world.arrives(vec![Arrival::Roster(Roster { at: world.now, members: members.into() })]);
}

fn says(world: &mut World, by: &str, serving: Option<&str>, what: Wish) -> Disposition {
    let ask = Ask { by: by.into(), at: world.now, groups: [].into(), authority: Authority::Groups, what };
    let request = Box::new(Request::Of(id("checkout"), ask));
    world.asks(Request::Spoken { request, place: None, serving: serving.map(ReleaseId::new), answer: None })
}

fn rollback() -> Wish {
    Wish::Rollback { to: None, reason: "the basket is empty".into(), shown: None }
}

#[test]
fn groups_are_found_when_it_is_decided_and_are_all_that_counts() {
    let mut world = world(Verdict::Approve);
    let freeze = || Wish::Freeze { length: Duration::from_hours(1), reason: "a sale".into() };
    for (by, what) in [("carl", freeze()), ("carl", rollback()), ("eve", freeze()), ("eve", rollback())] {
        let answer = says(&mut world, by, None, what);
        assert!(matches!(answer, Disposition::Forbidden(_)), "{by}: {answer:?}");
    }
    assert_eq!((&world.dossier("checkout").freeze, world.stands("checkout")), (&None, "quiet"));
    assert!(matches!(says(&mut world, "ann", None, freeze()), Disposition::Done(_)));
    let pause =
        |by: &str| Request::Pause { by: by.into(), at: world.now, reason: "x".into(), everything: false };
    let spoken =
        |request| Request::Spoken { request: Box::new(request), place: None, serving: None, answer: None };
    let (eves, anns) = (spoken(pause("eve")), spoken(pause("ann")));
    assert!(matches!(world.asks(eves), Disposition::Forbidden(_)));
    assert!(matches!(world.asks(anns), Disposition::Done(_)));
}

#[test]
fn a_roster_of_more_than_a_minute_is_nobody() {
    let mut world = world(Verdict::Approve);
    world.pass(61);
    let answer = says(&mut world, "ann", None, rollback());
    assert!(
        matches!(&answer, Disposition::Conflict(why) if why.contains("within the last minute")),
        "{answer:?}"
    );
    read(&mut world);
    assert!(matches!(says(&mut world, "ann", None, rollback()), Disposition::Done(_)));
}

/// Pressed twice, or long after: what it was shown over does not serve any more, and nothing newer is taken back.
#[test]
fn what_is_pressed_counts_for_what_it_was_shown_over() {
    let mut world = world(Verdict::Approve);
    assert!(matches!(says(&mut world, "ann", Some("v2"), rollback()), Disposition::Done(_)));
    world.pass(60);
    read(&mut world);
    let acts = world.requests.len();
    let again = says(&mut world, "ann", Some("v2"), rollback());
    assert!(
        matches!(&again, Disposition::Conflict(why) if why.contains("something else serves")),
        "{again:?}"
    );
    world.pass(600);
    assert_eq!((acts, world.requests.len()), (1, 1), "{}", world.told());
}

/// The release that leaves is neither bad nor locked for it, whether or not it helps; the one that returns is free again.
#[test]
fn rolling_forward_blames_nobody() {
    let mut world = world(Verdict::Approve);
    assert!(matches!(says(&mut world, "ann", None, rollback()), Disposition::Done(_)));
    world.pass(3600);
    assert!(world.dossier("checkout").open.is_none(), "{}", world.told());
    let held = |world: &World, release: &str| {
        let page = world.dossier("checkout").ledger.page(&release.into()).expect("a page").clone();
        (page.grade, page.lock.is_some())
    };
    assert!(held(&world, "v2").1, "{}", world.told());
    let good = held(&world, "v1");
    read(&mut world);
    let forward = Wish::Rollforward { reason: "it was the partner".into() };
    assert!(matches!(says(&mut world, "ann", Some("v1"), forward), Disposition::Done(_)));
    world.pass(5);
    // It fires while it is verified, and goes on: it did not help, which says nothing of v1.
    world.fires("checkout", "f1");
    world.pass(3600);
    let serving = world.provider("checkout").serving;
    assert_eq!(serving, "v2", "{}", world.told());
    assert_eq!(held(&world, "v1"), good, "{}", world.told());
    assert!(!held(&world, "v2").1, "its lock is lifted:\n{}", world.told());
    assert_ne!(held(&world, "v1").0, Grade::Bad);
}

#[test]
fn a_refusal_is_written_down_once() {
    let mut world = world(Verdict::Approve);
    world.fires("checkout", "f1");
    world.pass(5);
    let yes = world.yes("checkout");
    for _ in 0..600 {
        read(&mut world);
        says(&mut world, "carl", None, yes.clone());
    }
    let case = world.case("checkout").expect("an open case");
    let refused =
        case.events.iter().filter(|stamped| matches!(stamped.event, Event::VoteRefused { .. })).count();
    assert_eq!(refused, 1);
    says(&mut world, "ann", None, yes);
    world.pass(3600);
    assert_eq!(world.requests.len(), 1, "{}", world.told());
    assert!(world.told().contains("approved: enough people said yes"), "{}", world.told());
}

/// What was snoozed has its buttons again when it is judged anew.
#[test]
fn a_snooze_that_is_over_is_not_shown_any_more() {
    let mut world = world(Verdict::Notify);
    world.fires("checkout", "f1");
    world.pass(5);
    let case = world.case("checkout").expect("an open case").id.clone();
    assert!(matches!(says(&mut world, "ann", None, Wish::Snooze(case)), Disposition::Done(_)));
    let face = |world: &World| Face::of(world.case("checkout").expect("an open case"));
    assert!(face(&world).headline.contains("snoozed") && face(&world).buttons.is_empty());
    world.pass(16 * 60);
    assert!(!face(&world).headline.contains("snoozed"), "{:#?}", face(&world));
    assert!(!face(&world).buttons.is_empty(), "{:#?}", face(&world));
    assert_ne!(world.outcomes("checkout").last(), Some(&Outcome::LeftAlone));
}
