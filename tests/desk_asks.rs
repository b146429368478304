//! What people ask of the desk, through whichever door: who may, what becomes of it, and that every request has exactly
//! one answer. The desk, the gate and the cases are the real ones; `desk_world` plays everything around them.

#[allow(dead_code, reason = "the world is shared, and tells more than these stories need")]
mod desk_world;

use desk_world::{Takes, World, alert, cleared, id, row, settings};
use snapback::case::command::{Ask, Authority, Request, Wish};
use snapback::case::decide::Verdict;
use snapback::case::event::Settlement;
use snapback::case::id::{CaseId, Duration};
use snapback::case::ledger::Grade;
use snapback::case::phase::Outcome;
use snapback::case::standing::{Hold, StandingEvent};
use snapback::case::turn::Disposition;
use snapback::engine::desk::Arrival;

fn automatic() -> World {
    World::new(settings(row(Verdict::Rollback)))
}

fn asking() -> World {
    World::new(settings(row(Verdict::Approve)))
}

fn case(nth: u64) -> CaseId {
    CaseId::of(&id("checkout"), nth)
}

fn is_done(answer: &Disposition) -> bool {
    matches!(answer, Disposition::Done(_))
}

fn is_conflict(answer: &Disposition) -> bool {
    matches!(answer, Disposition::Conflict(_))
}

fn reason() -> String {
    "seen in the logs".into()
}

/// Who is in no group that decides is refused, whatever they ask, and nothing changes.
#[test]
fn a_stranger_changes_nothing() {
    let mut world = asking();
    world.fires("checkout", "f1");
    world.pass(5);
    let before = world.dossier("checkout").clone();
    for what in [
        Wish::Cancel(case(1)),
        Wish::Snooze(case(1)),
        Wish::Exonerate(case(1)),
        Wish::Mark { release: "v1".into(), good: false, reason: reason() },
    ] {
        let answer = world.wishes_as("checkout", "eve", &["interns"], what.clone());
        assert!(matches!(answer, Disposition::Forbidden(_)), "{what:?}: {answer:?}");
        assert_eq!(*world.dossier("checkout"), before, "{what:?}");
    }
    let yes = world.yes("checkout");
    world.wishes_as("checkout", "eve", &["interns"], yes);
    world.pass(60);
    assert!(world.requests.is_empty(), "a stranger's yes counted:\n{}", world.told());
}

#[test]
fn a_member_may_call_off_and_only_before_the_act() {
    let mut world = automatic();
    world.provider("checkout").takes = Takes::Works;
    world.fires("checkout", "f1");
    world.pass(5);
    assert!(is_done(&world.wishes_as("checkout", "ann", &["sre"], Wish::Snooze(case(1)))));
    world.pass(600);
    assert!(world.requests.is_empty(), "a snooze stops the countdown:\n{}", world.told());
    world.pass(400);
    assert_eq!(world.requests.len(), 1, "{}", world.told());
    let late = world.wishes_as("checkout", "ann", &["sre"], Wish::Cancel(case(1)));
    assert!(is_conflict(&late), "{late:?}");

    let mut world = automatic();
    world.fires("checkout", "f1");
    world.pass(5);
    assert!(is_done(&world.wishes_as("checkout", "ann", &["sre"], Wish::Cancel(case(1)))));
    world.pass(600);
    assert!(world.requests.is_empty());
    assert_eq!(world.outcomes("checkout"), [Outcome::Cancelled]);
    assert!(is_conflict(&world.wishes_as("checkout", "ann", &["sre"], Wish::Cancel(case(1)))), "it is over");
}

#[test]
fn a_person_begins_a_rollback_and_whoever_may_approve_is_asked() {
    let mut world = automatic();
    world.pass(5);
    let wish = Wish::Rollback { to: None, reason: reason(), shown: None };
    // An operator of no deciding group may begin one: their wish is no vote that counts.
    assert!(is_done(&world.wishes_as("checkout", "carl", &["ops"], wish)));
    world.pass(60);
    assert_eq!(
        (world.stands("checkout"), world.requests.len()),
        ("awaiting_approval", 0),
        "{}",
        world.told()
    );
    let yes = world.yes("checkout");
    assert!(is_done(&world.wishes_as("checkout", "ann", &["sre"], yes)));
    world.pass(60);
    assert_eq!(world.requests.len(), 1, "{}", world.told());
}

/// A rollback by hand that cannot be planned gives the signals back to whoever was judging them.
#[test]
fn a_rollback_by_hand_that_fails_leaves_the_alert_judged() {
    let mut world = automatic();
    world.fires("checkout", "f1");
    world.pass(5);
    let unknown = Wish::Rollback { to: Some("v9".into()), reason: reason(), shown: None };
    assert!(is_conflict(&world.wishes_as("checkout", "ann", &["sre"], unknown)));
    // What serves is no way back.
    let nowhere = Wish::Rollback { to: Some("v2".into()), reason: reason(), shown: None };
    assert!(is_done(&world.wishes_as("checkout", "ann", &["sre"], nowhere)));
    world.pass(60);
    assert_eq!(world.outcomes("checkout")[..2], [Outcome::Superseded, Outcome::Failed], "{}", world.told());
    // A person took this deployment over once: from now on it is told, and acted on by people.
    assert_eq!(world.verdict("checkout"), Some(Verdict::Notify), "the alert was dropped:\n{}", world.told());
    assert!(world.requests.is_empty());
}

#[test]
fn what_nobody_can_tell_is_settled_by_who_may() {
    let mut world = automatic();
    world.provider("checkout").takes = Takes::Hides;
    world.fires("checkout", "f1");
    world.pass(3600);
    assert_eq!(world.stands("checkout"), "needs_human", "{}", world.told());
    let took = || Wish::Settle(case(1), Settlement::TookEffect);
    let stranger = world.wishes_as("checkout", "eve", &["interns"], took());
    assert!(matches!(stranger, Disposition::Forbidden(_)), "{stranger:?}");
    assert!(is_done(&world.wishes_as("checkout", "ann", &["sre"], took())));
    assert_ne!(world.stands("checkout"), "needs_human", "{}", world.told());
    let again = world.wishes_as("checkout", "ann", &["sre"], took());
    assert!(is_conflict(&again), "{again:?}");
}

/// Looking again finds what was done after all, and sends nothing a second time; giving up ends the case and frees the service.
#[test]
fn what_is_looked_for_again_is_followed_and_what_is_given_up_is_over() {
    let hidden = || {
        let mut world = automatic();
        world.provider("checkout").takes = Takes::Hides;
        world.fires("checkout", "f1");
        world.pass(3600);
        assert_eq!(world.stands("checkout"), "needs_human", "{}", world.told());
        world
    };
    let mut world = hidden();
    world.provider("checkout").takes = Takes::Works;
    let look = Wish::Settle(case(1), Settlement::LookAgain);
    assert!(is_done(&world.wishes_as("checkout", "ann", &["sre"], look)));
    assert_eq!(world.stands("checkout"), "running", "{}", world.told());
    world.provider("checkout").takes = Takes::Does;
    world.pass(60);
    assert_eq!((world.stands("checkout"), world.provider("checkout").serving), ("verifying", "v1"));
    assert_eq!(world.requests.len(), 1, "{}", world.told());

    let mut world = hidden();
    let give_up = || Wish::Settle(case(1), Settlement::GiveUp);
    let refused = world.wishes_as("checkout", "eve", &["interns"], give_up());
    assert!(matches!(refused, Disposition::Forbidden(_)), "{refused:?}");
    assert_eq!(world.stands("checkout"), "needs_human");
    assert!(is_done(&world.wishes_as("checkout", "ann", &["sre"], give_up())));
    assert_eq!(world.outcomes("checkout"), [Outcome::Failed]);
    assert!(world.case("checkout").is_none(), "{}", world.told());
    world.pass(3600);
    assert_eq!(world.requests.len(), 1, "it is not tried again by itself:\n{}", world.told());
}

/// A world in which v2 was rolled back from, which locked it, and the case is over.
fn rolled_back() -> World {
    let mut world = automatic();
    let firing = alert("checkout", "f1", world.now - Duration::from_secs(5));
    world.hears(vec![firing.clone()]);
    world.pass(120);
    world.hears(vec![cleared(&firing, world.now)]);
    world.pass(600);
    assert_eq!(world.outcomes("checkout"), [Outcome::Recovered], "{}", world.told());
    assert!(is_locked(&world, "v2"));
    world
}

fn is_locked(world: &World, release: &str) -> bool {
    world.dossier("checkout").ledger.page(&release.into()).is_some_and(|page| page.lock.is_some())
}

#[test]
fn a_locked_release_is_freed_by_whoever_decides() {
    let unlock = || Wish::Unlock { release: "v2".into(), reason: reason() };
    let mark = |good| Wish::Mark { release: "v2".into(), good, reason: reason() };
    let mut world = rolled_back();
    let refused = world.wishes_as("checkout", "eve", &["interns"], unlock());
    assert!(matches!(refused, Disposition::Forbidden(_)), "{refused:?}");
    assert!(is_done(&world.wishes_as("checkout", "ann", &["sre"], mark(false))));
    assert!(is_locked(&world, "v2"), "neither a stranger nor a bad word frees it");
    assert!(is_done(&world.wishes_as("checkout", "ann", &["sre"], unlock())));
    assert!(!is_locked(&world, "v2"));
    assert!(world.told().contains("unlocked: seen in the logs"), "the reason is kept:\n{}", world.told());
    assert_eq!(world.dossier("checkout").ledger.grade(&"v2".into()), Grade::Bad, "it may go out, and is bad");
    assert!(
        is_conflict(&world.wishes_as("checkout", "ann", &["sre"], unlock())),
        "it is not locked any more"
    );

    let mut world = rolled_back();
    assert!(is_done(&world.wishes_as("checkout", "ann", &["sre"], mark(true))));
    assert!(!is_locked(&world, "v2"));
    assert!(world.told().contains("unlocked: seen in the logs"), "the reason is kept:\n{}", world.told());
    assert_eq!(world.dossier("checkout").ledger.grade(&"v2".into()), Grade::Good);
}

/// Who is freed of blame is not asked about again for the same signals, and what was locked for it may go out again.
#[test]
fn a_deployment_that_is_not_to_blame_is_left_alone() {
    let mut world = asking();
    world.fires("checkout", "f1");
    world.pass(5);
    assert_eq!(world.stands("checkout"), "awaiting_approval");
    assert!(is_done(&world.wishes_as("checkout", "ann", &["sre"], Wish::Exonerate(case(1)))));
    assert_eq!(world.outcomes("checkout"), [Outcome::LeftAlone]);
    world.fires("checkout", "f1");
    world.pass(600);
    assert_eq!((world.stands("checkout"), world.requests.len()), ("left_alone", 0), "{}", world.told());

    let mut world = rolled_back();
    world.puts_out("checkout", "v2");
    world.pass(60);
    world.fires("checkout", "f2");
    world.pass(60);
    assert_eq!(world.stands("checkout"), "awaiting_approval", "{}", world.told());
    assert!(is_done(&world.wishes_as("checkout", "ann", &["sre"], Wish::Exonerate(case(2)))));
    assert!(!is_locked(&world, "v2"));
    assert!(world.told().contains("unlocked: not to blame in case"), "{}", world.told());
}

#[test]
fn releases_are_marked() {
    let mut world = automatic();
    world.pass(5);
    let mark = |good| Wish::Mark { release: "v1".into(), good, reason: reason() };
    assert!(is_done(&world.wishes_as("checkout", "ann", &["sre"], mark(false))));
    assert_eq!(world.dossier("checkout").ledger.grade(&"v1".into()), Grade::Bad);
    assert!(is_done(&world.wishes_as("checkout", "ann", &["sre"], mark(true))));
    assert_eq!(world.dossier("checkout").ledger.grade(&"v1".into()), Grade::Good);
    let unlock = Wish::Unlock { release: "v1".into(), reason: reason() };
    assert!(is_conflict(&world.wishes_as("checkout", "ann", &["sre"], unlock)), "it is not locked");
    let unknown = Wish::Mark { release: "v9".into(), good: true, reason: reason() };
    assert!(is_conflict(&world.wishes_as("checkout", "ann", &["sre"], unknown)));
}

#[test]
fn a_freeze_stops_what_is_automatic_until_it_is_lifted() {
    let mut world = automatic();
    let freeze = Wish::Freeze { length: Duration::from_hours(2), reason: reason() };
    assert!(is_done(&world.wishes_as("checkout", "carl", &["ops"], freeze)), "whoever may act may freeze");
    world.fires("checkout", "f1");
    world.pass(120);
    assert_eq!(
        (world.stands("checkout"), world.requests.len()),
        ("awaiting_approval", 0),
        "{}",
        world.told()
    );
    let by_operator = world.wishes_as("checkout", "carl", &["ops"], Wish::Unfreeze);
    assert!(matches!(by_operator, Disposition::Forbidden(_)), "{by_operator:?}");
    assert!(is_done(&world.wishes_as("checkout", "ann", &["sre"], Wish::Unfreeze)));
    assert!(is_conflict(&world.wishes_as("checkout", "ann", &["sre"], Wish::Unfreeze)));
}

/// Whoever decides nothing neither ends a freeze by a shorter one, nor a rule's case by a rollback of their own, nor says
/// yes to what is asked.
#[test]
fn what_stops_is_not_loosened_by_who_decides_nothing() {
    let freeze = |length| Wish::Freeze { length, reason: reason() };
    let mut world = automatic();
    assert!(is_done(&world.wishes_as("checkout", "ann", &["sre"], freeze(Duration::from_hours(8)))));
    let shorter = world.wishes_as("checkout", "carl", &["ops"], freeze(Duration::from_secs(1)));
    assert!(matches!(shorter, Disposition::Forbidden(_)), "{shorter:?}");
    assert!(is_done(&world.wishes_as("checkout", "carl", &["ops"], freeze(Duration::from_hours(9)))));
    for length in [Duration::ZERO, Duration::from_hours(24 * 15)] {
        assert!(is_conflict(&world.wishes_as("checkout", "ann", &["sre"], freeze(length))));
    }

    let rollback = || Wish::Rollback { to: None, reason: reason(), shown: None };
    for mut world in [automatic(), asking()] {
        world.fires("checkout", "f1");
        world.pass(5);
        let before = world.dossier("checkout").clone();
        let refused = world.wishes_as("checkout", "carl", &["ops"], rollback());
        assert!(matches!(refused, Disposition::Forbidden(_)), "{refused:?}");
        assert_eq!(*world.dossier("checkout"), before);
    }
}

/// A request that nobody answered in time, because the process was away, is not carried out hours later.
#[test]
fn an_old_request_is_not_carried_out_and_still_stops() {
    let mut world = asking();
    world.fires("checkout", "f1");
    world.pass(5);
    let at = world.now - Duration::from_secs(61);
    let ask = |what| {
        let groups = ["sre".into()].into();
        Request::Of(
            "checkout@production".into(),
            Ask { by: "ann".into(), at, groups, authority: Authority::Operator, what },
        )
    };
    let yes = world.yes("checkout");
    for what in [yes, Wish::Rollback { to: None, reason: reason(), shown: None }, Wish::Exonerate(case(1))] {
        let answer = world.asks(ask(what.clone()));
        assert!(is_conflict(&answer), "{what:?}: {answer:?}");
    }
    world.pass(60);
    assert!(world.requests.is_empty(), "{}", world.told());
    assert!(is_done(&world.asks(ask(Wish::Cancel(case(1))))));

    // The same of everything: what lifts a pause or a hold is refused, the pause itself is not.
    let hold = Hold { reasons: vec!["the store may be a copy".into()], since: world.now };
    world.arrives(vec![Arrival::Standing(StandingEvent::Held(hold))]);
    let pause = Request::Pause { by: "ann".into(), at, reason: reason(), everything: false };
    assert!(is_done(&world.asks(pause)));
    let resume = |at| Request::Resume { by: "ann".into(), at, everything: true };
    let release = |at| Request::Release { by: "ann".into(), at };
    for late in [resume(at), release(at)] {
        let answer = world.asks(late.clone());
        assert!(is_conflict(&answer), "{late:?}: {answer:?}");
    }
    let standing = world.desk.standing();
    assert!(standing.pause.is_some() && standing.hold.is_some(), "{standing:?}");
    let a_minute_ago = world.now - Duration::from_secs(60);
    for in_time in [resume(a_minute_ago), release(a_minute_ago)] {
        let answer = world.asks(in_time.clone());
        assert!(is_done(&answer), "{in_time:?}: {answer:?}");
    }
    let standing = world.desk.standing();
    assert!(standing.pause.is_none() && standing.hold.is_none(), "{standing:?}");
}

/// A pause stops what is automatic everywhere; with everything, people's acts as well; each is lifted once.
#[test]
fn a_pause_stops_everywhere_until_it_is_lifted() {
    let mut world = automatic();
    let (by, at) = ("ann".into(), world.now);
    let pause = Request::Pause { by, at, reason: reason(), everything: true };
    assert!(is_done(&world.asks(pause)));
    world.fires("checkout", "f1");
    world.fires("payments", "f2");
    world.pass(300);
    assert!(world.requests.is_empty(), "{}", world.told());
    let at = world.now;
    let resume = |everything| Request::Resume { by: "ann".into(), at, everything };
    let lesser = Request::Pause { by: "bob".into(), at, reason: reason(), everything: false };
    assert!(is_conflict(&world.asks(lesser)), "a lesser pause does not replace it");
    let refused = world.asks(resume(false));
    assert!(matches!(refused, Disposition::Forbidden(_)), "{refused:?}");
    assert!(is_done(&world.asks(resume(true))));
    assert!(is_conflict(&world.asks(resume(true))), "nothing is paused any more");
    world.pass(120);
    assert_eq!(world.requests.len(), 2, "{}", world.told());
    let release = world.asks(Request::Release { by: "ann".into(), at: world.now });
    assert!(is_conflict(&release), "there is no hold: {release:?}");
}

#[test]
fn a_service_that_is_not_configured_is_told() {
    let mut world = automatic();
    let freeze = Wish::Freeze { length: Duration::from_hours(1), reason: reason() };
    let answer = world.wishes_as("nowhere", "ann", &["sre"], freeze);
    assert!(is_conflict(&answer), "{answer:?}");
}
