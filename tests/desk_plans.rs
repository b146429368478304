//! Stories at the desk about plans of more than the provider's own acts: steps of the user's own before and after it, and services that
//! go back together. The desk, the gate and the cases are the real ones; `desk_world` plays everything around them.

#[allow(dead_code, reason = "the world is shared, and tells more than these stories need")]
mod desk_world;

use std::collections::BTreeMap;
use std::sync::Arc;

use desk_world::{Own, Reads, Takes, World, alert, at, cleared, id, row, settings};
use snapback::case::approval::PersonVote;
use snapback::case::command::{Request, Wish};
use snapback::case::decide::Verdict;
use snapback::case::deployment::DeploymentOrigin;
use snapback::case::event::Settlement;
use snapback::case::gate::Why;
use snapback::case::id::{CaseId, Duration, ServiceId};
use snapback::case::ledger::Grade;
use snapback::case::own_step::{Spec, Work};
use snapback::case::phase::{Outcome, Phase};
use snapback::case::release::RollbackMark;
use snapback::case::settings::{Migrations, Mode, ServiceSettings};
use snapback::case::step::{Doer, OnFailure, Step};
use snapback::engine::desk::DeskSettings;

/// What a story changes in its world.
type Change<'a> = &'a dyn Fn(&mut World);

fn step(name: &str, repeatable: bool, on_failure: OnFailure) -> Step {
    let work = Work::Http {
        method: "POST".into(),
        url: "https://flags.example.com/off".into(),
        headers: BTreeMap::new(),
        body: None,
    };
    let timeout = Duration::from_secs(10);
    let spec = Spec { name: name.into(), work, secrets: BTreeMap::new(), timeout, repeatable };
    Step { doer: Doer::User, act: spec.act(), deadline: timeout, on_failure }
}

fn of(settings: &mut DeskSettings, service: &str, change: impl FnOnce(&mut ServiceSettings)) {
    change(Arc::make_mut(settings.services.get_mut(&id(service)).expect("a service")));
}

/// One step before and one after what the provider does.
fn around(repeatable: bool, before: OnFailure, after: OnFailure) -> World {
    let mut settings = settings(row(Verdict::Rollback));
    of(&mut settings, "checkout", |checkout| {
        checkout.before = vec![step("flag off", repeatable, before)];
        checkout.after = vec![step("purge", repeatable, after)];
    });
    World::new(settings)
}

/// Cart goes back together with checkout, and search after it.
fn together_as(row: snapback::case::rules::Rule) -> (DeskSettings, fn(DeskSettings) -> World) {
    let mut settings = settings(row);
    of(&mut settings, "checkout", |checkout| checkout.with = vec![id("cart"), id("search")]);
    (settings, World::new)
}

fn together() -> World {
    let (settings, world) = together_as(row(Verdict::Rollback));
    world(settings)
}

/// Who was sent what, in order.
fn sent(world: &World) -> Vec<String> {
    let who = |order: &snapback::case::step::Order| match &order.doer {
        Doer::Provider(service) => format!("{} {}", service.name(), order.to),
        Doer::User => order.act.says.split(" (").next().unwrap_or_default().to_owned(),
        Doer::Ledger(_) => "the ledger".to_owned(),
    };
    world.requests.iter().map(who).collect()
}

fn fires(world: &mut World) {
    world.fires("checkout", "f1");
    world.pass(90);
}

fn recovers(world: &mut World) {
    let firing = alert("checkout", "f1", at(-5));
    world.hears(vec![cleared(&firing, world.now)]);
    world.pass(240);
}

fn case(nth: u64) -> CaseId {
    CaseId::of(&id("checkout"), nth)
}

/// Whether the bad release is locked and held for bad.
fn is_kept_away(world: &World) -> bool {
    let page = world.dossier("checkout").ledger.page(&"v2".into()).expect("v2");
    page.lock.is_some() && page.grade == Grade::Bad
}

#[test]
fn steps_of_ones_own_are_done_before_and_after_in_order() {
    let mut world = around(false, OnFailure::Stop, OnFailure::Continue);
    fires(&mut world);
    assert_eq!(sent(&world), ["flag off", "checkout v1", "purge"], "{}", world.told());
    assert!(world.told().contains("1. flag off (POST to flags.example.com)"), "{}", world.told());
    recovers(&mut world);
    assert_eq!(world.outcomes("checkout"), [Outcome::Recovered], "{}", world.told());
    assert!(is_kept_away(&world));
}

#[test]
fn a_no_before_the_act_stops_the_plan_or_not_as_the_step_says() {
    let mut world = around(false, OnFailure::Stop, OnFailure::Continue);
    world.own = Own::Refuses;
    fires(&mut world);
    assert_eq!((sent(&world), world.outcomes("checkout")), (vec!["flag off".into()], vec![Outcome::Failed]));
    assert!(!is_kept_away(&world), "nothing was taken back");

    let mut world = around(false, OnFailure::Continue, OnFailure::Continue);
    world.own = Own::Refuses;
    fires(&mut world);
    assert_eq!(sent(&world), ["flag off", "checkout v1", "purge"], "{}", world.told());
    recovers(&mut world);
    assert_eq!(world.outcomes("checkout"), [Outcome::Recovered]);
    assert!(
        world.told().contains("it says no"),
        "a failure that nobody waits for is told:\n{}",
        world.told()
    );
}

/// The code is back: the case failed, and what it took back is locked all the same.
#[test]
fn a_no_after_the_act_keeps_the_bad_release_away() {
    let mut world = around(false, OnFailure::Continue, OnFailure::Stop);
    world.own = Own::Refuses;
    fires(&mut world);
    assert_eq!(sent(&world), ["flag off", "checkout v1", "purge"]);
    assert_eq!(world.outcomes("checkout"), [Outcome::Failed], "{}", world.told());
    assert!(is_kept_away(&world), "{}", world.told());
}

/// F3, class C: nobody knows whether it was done, and nothing is sent again before a person has looked.
#[test]
fn a_step_whose_end_nobody_saw_is_a_persons() {
    let mut world = around(false, OnFailure::Stop, OnFailure::Stop);
    world.own = Own::Unseen;
    fires(&mut world);
    assert_eq!((sent(&world), world.stands("checkout")), (vec!["flag off".into()], "needs_human"));
    assert!(world.told().contains("nobody saw how \"flag off"), "{}", world.told());
    world.own = Own::Done;
    world.wishes("checkout", "ann", Wish::Settle(case(1), Settlement::TookEffect));
    world.pass(30);
    assert_eq!(sent(&world), ["flag off", "checkout v1", "purge"], "{}", world.told());
}

/// Class B by its owner's word: once more, and no third time.
#[test]
fn a_repeatable_step_is_tried_twice() {
    let mut world = around(true, OnFailure::Stop, OnFailure::Stop);
    world.own = Own::Unseen;
    fires(&mut world);
    assert_eq!(sent(&world), ["flag off", "flag off"], "{}", world.told());
    assert_eq!(world.stands("checkout"), "needs_human");
    let marks: Vec<_> = world.requests.iter().map(|order| &order.mark).collect();
    assert_eq!(marks[0], marks[1], "the second attempt is under the same key");
}

/// A step that the plan does not wait for holds nothing up, whatever becomes of it.
#[test]
fn what_the_plan_does_not_wait_for_holds_nothing_up() {
    for (own, times) in [(Own::Unseen, 1), (Own::Unsent, 3)] {
        let mut world = around(false, OnFailure::Continue, OnFailure::Continue);
        world.own = own;
        fires(&mut world);
        let mut wanted = vec!["flag off"; times];
        wanted.push("checkout v1");
        wanted.extend(vec!["purge"; times]);
        assert_eq!(sent(&world), wanted, "{own:?}\n{}", world.told());
        recovers(&mut world);
        assert_eq!(world.outcomes("checkout"), [Outcome::Recovered], "{own:?}\n{}", world.told());
    }
}

/// While something else serves no step begins, whoever does it.
#[test]
fn a_step_of_ones_own_needs_the_suspect_to_serve_too() {
    let mut world = around(false, OnFailure::Stop, OnFailure::Stop);
    world.fires("checkout", "f1");
    world.pass(5);
    world.puts_out("checkout", "v3");
    world.pass(90);
    assert!(world.requests.is_empty(), "{}", world.told());
}

/// Put out about when the suspect was, all three go back, in order, each to what served beside the target.
#[test]
fn companions_go_back_in_order() {
    let mut world = together();
    fires(&mut world);
    assert_eq!(sent(&world), ["checkout v1", "cart v1", "search v1"], "{}", world.told());
    assert!(world.told().contains("cart@production: switch to v1"), "{}", world.told());
    recovers(&mut world);
    assert_eq!(world.outcomes("checkout"), [Outcome::Recovered], "{}", world.told());
    let serve = ["checkout", "cart", "search"].map(|service| world.provider(service).serving);
    assert_eq!(serve, ["v1"; 3]);
    assert!(
        world.dossier("cart").ledger.page(&"v2".into()).expect("v2").lock.is_none(),
        "nothing is said of it"
    );
    assert!(world.desk.standing().hold.is_none(), "our marks on companions are known");
}

/// One that serves already what belongs to the target stays as it is, and is in no plan.
#[test]
fn a_companion_that_was_not_put_out_stays() {
    let mut world = together();
    let cart = world.provider("cart");
    cart.deployments.pop();
    cart.serving = "v1";
    fires(&mut world);
    assert_eq!(sent(&world), ["checkout v1", "search v1"], "{}", world.told());
}

/// The same commit belongs together, whenever it was put out.
#[test]
fn a_companion_goes_to_the_release_of_the_same_commit() {
    let mut world = together();
    let commit = Some("0123456789012345678901234567890123456789".to_owned());
    world.provider("checkout").release("v1").commit.clone_from(&commit);
    world.provider("cart").release("v0").commit = commit;
    fires(&mut world);
    // Two releases of it are undone by that, which people are asked about.
    assert_eq!(world.stands("checkout"), "awaiting_approval", "{}", world.told());
    let yes = world.yes("checkout");
    world.wishes("checkout", "ann", yes);
    world.pass(60);
    assert_eq!(sent(&world), ["checkout v1", "cart v0", "search v1"], "{}", world.told());
}

#[test]
fn what_speaks_against_a_companion_is_asked_about() {
    let freeze = |world: &mut World| {
        let what = Wish::Freeze { length: Duration::from_hours(1), reason: "sale".into() };
        world.wishes("cart", "ann", what);
    };
    let barrier = |world: &mut World| {
        world.provider("cart").release("v2").marks.rollback = Some(RollbackMark::Contract);
    };
    let apart = |world: &mut World| {
        let cart = world.provider("cart");
        cart.deployments.pop();
        cart.serving = "v1";
        world.pass(1000);
        world.puts_out("cart", "v3");
        world.pass(10);
    };
    let doubts: [(&str, Change<'_>); 3] = [
        ("frozen until", &freeze),
        ("took something from the schema", &barrier),
        ("apart from the suspect", &apart),
    ];
    for (says, change) in doubts {
        let mut world = together();
        world.pass(10);
        change(&mut world);
        fires(&mut world);
        assert_eq!(
            (world.stands("checkout"), world.requests.len()),
            ("awaiting_approval", 0),
            "{says}:\n{}",
            world.told()
        );
        assert!(world.told().contains(says), "{says}:\n{}", world.told());
    }
}

/// What cannot go back whole does not go back by itself, and says why.
#[test]
fn a_companion_that_cannot_go_back_holds_the_others() {
    let gone = |world: &mut World| world.provider("cart").release("v1").artifact_exists = Some(false);
    let unread = |world: &mut World| world.provider("cart").reads = Reads::Fails;
    let cases: [(&str, Change<'_>); 2] =
        [("the artifact of v1 is gone", &gone), ("what serves there could not be read", &unread)];
    for (says, change) in cases {
        let mut world = together();
        change(&mut world);
        fires(&mut world);
        assert!(world.requests.is_empty(), "{says}:\n{}", world.told());
        assert_eq!(world.verdict("checkout"), Some(Verdict::Notify), "{says}");
        assert!(world.told().contains(says), "{says}:\n{}", world.told());
    }
    // Once it can be read it is judged anew.
    let mut world = together();
    world.provider("cart").reads = Reads::Fails;
    fires(&mut world);
    world.provider("cart").reads = Reads::Answers;
    world.pass(90);
    assert_eq!(sent(&world), ["checkout v1", "cart v1", "search v1"], "{}", world.told());
}

#[test]
fn a_companion_in_shadow_keeps_all_of_it_in_shadow() {
    let (mut settings, world) = together_as(row(Verdict::Rollback));
    of(&mut settings, "cart", |cart| cart.mode = Mode::Shadow);
    let mut world = world(settings);
    fires(&mut world);
    assert!(world.requests.is_empty() && world.told().contains("would roll back"), "{}", world.told());
}

/// A failure among companions names what runs where, and a person settles it.
#[test]
fn a_failure_among_companions_names_what_runs_where() {
    let mut world = together();
    world.provider("cart").takes = Takes::Loses;
    fires(&mut world);
    world.pass(120);
    assert_eq!(world.stands("checkout"), "needs_human", "{}", world.told());
    assert_eq!(sent(&world)[..2], ["checkout v1", "cart v1"]);
    assert!(!sent(&world).contains(&"search v1".to_owned()), "{}", world.told());
    let Some(Phase::NeedsHuman { why, .. }) = world.case("checkout").map(|case| case.phase.clone()) else {
        panic!("it needs nobody")
    };
    for runs in [
        "checkout@production runs v1 (back)",
        "cart@production runs v2 (not back)",
        "search@production runs v2 (not back)",
    ] {
        assert!(why.contains(runs), "{why}");
    }
    world.wishes("checkout", "ann", Wish::Settle(case(1), Settlement::GiveUp));
    world.pass(5);
    assert!(is_kept_away(&world), "what was taken back is locked:\n{}", world.told());
}

/// Somebody puts something else out on a companion while the plan waits: it is planned anew, and nothing of the old plan is done.
#[test]
fn a_companion_that_moves_is_planned_anew() {
    let (settings, world) = together_as(row(Verdict::Approve));
    let mut world = world(settings);
    fires(&mut world);
    let old_yes = world.yes("checkout");
    world.puts_out("cart", "v3");
    world.wishes("checkout", "ann", old_yes.clone());
    world.pass(60);
    assert!(world.requests.is_empty(), "{}", world.told());
    assert!(
        world.refused.contains(&Why::CompanionMoved(id("cart"))),
        "{:?}\n{}",
        world.refused,
        world.told()
    );
    let plan = world.case("checkout").and_then(|case| case.plan.clone()).expect("another plan");
    assert_eq!(plan.with[0].from.id.as_str(), "v3");
    world.wishes("checkout", "ann", old_yes);
    world.pass(30);
    assert!(world.requests.is_empty(), "an old yes counted:\n{}", world.told());
}

/// No two cases act on one service: the one that comes later waits, and finds what the first did.
#[test]
fn no_two_cases_act_on_one_service() {
    let mut world = together();
    world.provider("checkout").takes = Takes::Works;
    world.fires("checkout", "f1");
    world.pass(40);
    world.fires("cart", "f2");
    world.pass(80);
    assert_eq!(sent(&world), ["checkout v1"], "{}", world.told());
    assert!(world.refused.contains(&Why::InHandsOf(case(1))), "{:?}\n{}", world.refused, world.told());
    world.provider("checkout").takes = Takes::Does;
    world.pass(120);
    let cart: Vec<String> = sent(&world).into_iter().filter(|sent| sent.starts_with("cart")).collect();
    assert_eq!(cart.len(), 1, "{:?}\n{}", sent(&world), world.told());
}

/// A companion whose own case has begun is waited for as well.
#[test]
fn a_companion_under_its_own_case_is_waited_for() {
    let mut world = together();
    world.provider("cart").takes = Takes::Works;
    world.fires("cart", "f2");
    world.pass(60);
    assert_eq!(sent(&world), ["cart v1"]);
    fires(&mut world);
    assert_eq!(sent(&world), ["cart v1"], "{}", world.told());
    assert!(world.refused.iter().any(|why| matches!(why, Why::InHandsOf(_))), "{:?}", world.refused);
}

/// The cooldown and budget of a companion count as those of the service itself.
#[test]
fn a_companion_that_went_back_lately_is_asked_about() {
    let mut world = together();
    world.fires("cart", "f2");
    world.pass(90);
    assert_eq!(sent(&world), ["cart v1"]);
    world.puts_out("cart", "v3");
    world.puts_out("checkout", "v3");
    world.pass(330);
    world.fires("checkout", "f3");
    world.pass(90);
    assert_eq!((sent(&world).len(), world.stands("checkout")), (1, "awaiting_approval"), "{}", world.told());
    assert!(world.refused.contains(&Why::Cooldown) || world.told().contains("cooldown"), "{}", world.told());
}

/// A person's rollback takes them along, forward as well as back.
#[test]
fn a_person_takes_companions_along_and_forward_again() {
    let mut world = together();
    world.pass(10);
    world.wishes("checkout", "ann", Wish::Rollback { to: None, reason: "seen".into(), shown: None });
    world.pass(240);
    assert_eq!(sent(&world), ["checkout v1", "cart v1", "search v1"], "{}", world.told());
    world.pass(1500);
    world.wishes("checkout", "ann", Wish::Rollforward { reason: "it was the network".into() });
    world.pass(90);
    assert_eq!(sent(&world)[3..], ["checkout v2", "cart v2", "search v2"], "{}", world.told());
}

/// Two votes and a typed word over what is irreversible, on a companion too.
#[test]
fn an_irreversible_companion_takes_two_votes() {
    let (mut settings, world) = together_as(row(Verdict::Rollback));
    of(&mut settings, "cart", |cart| cart.migrations = Migrations::Marked);
    let mut world = world(settings);
    world.provider("cart").release("v2").marks.rollback = Some(RollbackMark::Irreversible);
    fires(&mut world);
    let plan = world.case("checkout").and_then(|case| case.plan.clone()).expect("a plan");
    assert_eq!((plan.votes_at_least(), plan.confirmation()), (2, Some("irreversible")));
    for (by, typed, wanted) in
        [("ann", None, 0), ("ann", Some("irreversible"), 0), ("bob", Some("irreversible"), 3)]
    {
        let vote = PersonVote { confirm: typed.map(str::to_owned), ..PersonVote::yes(plan.digest.clone()) };
        world.wishes("checkout", by, Wish::Vote { case: case(1), vote });
        world.pass(60);
        assert_eq!(world.requests.len(), wanted, "{by} {typed:?}\n{}", world.told());
    }
}

/// Killed between two of them the plan goes on, and each is sent once.
#[test]
fn a_restart_among_companions_goes_on() {
    let mut world = together();
    world.provider("cart").takes = Takes::Works;
    fires(&mut world);
    assert_eq!(sent(&world), ["checkout v1", "cart v1"]);
    let (settings, _) = together_as(row(Verdict::Rollback));
    world.restarts(settings);
    world.pass(30);
    world.provider("cart").takes = Takes::Does;
    world.pass(60);
    assert_eq!(sent(&world), ["checkout v1", "cart v1", "search v1"], "{}", world.told());
    let ours = |service: &ServiceId| {
        let deployments = &world.providers[service].deployments;
        deployments.iter().filter(|one| matches!(one.origin, DeploymentOrigin::Ours(_))).count()
    };
    assert_eq!(["checkout", "cart", "search"].map(|service| ours(&id(service))), [1; 3]);
}

/// A release that people took a companion back from is nobody's target, however well it belongs to the service's own.
#[test]
fn a_companion_does_not_go_where_people_came_back_from() {
    let mut world = together();
    let commit = |nth: usize| Some(format!("{nth:040}"));
    for service in ["checkout", "cart"] {
        for (nth, release) in ["v0", "v1", "v2"].into_iter().enumerate() {
            world.provider(service).release(release).commit = commit(nth);
        }
    }
    // v1 leaked on the cart, and somebody went back from it a day ago; v2 never came there.
    let cart = world.provider("cart");
    let back = cart.deployments.last_mut().expect("one");
    (back.release, back.origin) = ("v0".into(), DeploymentOrigin::Rollback);
    (back.started_at, back.finished_at) = (at(-86_400), Some(at(-86_400)));
    cart.serving = "v0";
    fires(&mut world);
    assert!(!sent(&world).contains(&"cart v1".to_owned()), "{:?}\n{}", sent(&world), world.told());
    assert_eq!(sent(&world), ["checkout v1", "search v1"], "{}", world.told());
}

/// What is taken out of the configuration in the middle of a plan stays in the hands of its case.
#[test]
fn a_reload_in_the_middle_frees_no_companion() {
    let mut world = together();
    world.provider("checkout").takes = Takes::Works;
    fires(&mut world);
    let apart = settings(row(Verdict::Rollback));
    world.desk.reload(Arc::new(apart), world.now);
    world.fires("cart", "f2");
    world.pass(80);
    assert_eq!(sent(&world), ["checkout v1"], "{}", world.told());
    assert!(world.refused.contains(&Why::InHandsOf(case(1))), "{:?}\n{}", world.refused, world.told());
    world.provider("checkout").takes = Takes::Does;
    world.pass(60);
    assert_eq!(sent(&world)[1..], ["cart v1", "search v1"], "{}", world.told());
}

/// Somebody puts a fix out between the rollback and a step after it: what was taken back stays locked.
#[test]
fn a_fix_before_the_last_steps_keeps_the_lock() {
    let mut world = around(false, OnFailure::Continue, OnFailure::Stop);
    world.provider("checkout").takes = Takes::Works;
    fires(&mut world);
    world.provider("checkout").reads = Reads::Fails;
    world.pass(30);
    world.provider("checkout").takes = Takes::Does;
    world.pass(3);
    world.puts_out("checkout", "v3");
    world.provider("checkout").reads = Reads::Answers;
    world.pass(60);
    assert_eq!(world.stands("checkout"), "needs_human", "{}", world.told());
    world.wishes("checkout", "ann", Wish::Settle(case(1), Settlement::GiveUp));
    assert!(is_kept_away(&world), "{}", world.told());
}

/// Somebody goes back by hand while the first step of the plan is under way: nothing is asked of the provider.
#[test]
fn a_step_before_the_act_is_no_act_of_the_providers() {
    let mut world = around(false, OnFailure::Stop, OnFailure::Stop);
    world.own = Own::Unseen;
    fires(&mut world);
    assert_eq!(world.stands("checkout"), "needs_human");
    world.puts_out("checkout", "v1");
    world.own = Own::Done;
    world.wishes("checkout", "ann", Wish::Settle(case(1), Settlement::TookEffect));
    world.pass(60);
    assert_eq!(sent(&world), ["flag off"], "{}", world.told());
}

/// Until a provider is asked, a pause, a freeze and a clear of all signals stop what is automatic, whatever the first steps did.
#[test]
fn what_stops_an_act_stops_it_behind_the_first_steps_too() {
    let pause = |world: &mut World| {
        let (by, at) = ("ann".into(), world.now);
        world.asks(Request::Pause { by, at, reason: "look".into(), everything: false });
    };
    let freeze = |world: &mut World| {
        world.wishes(
            "checkout",
            "ann",
            Wish::Freeze { length: Duration::from_hours(1), reason: "look".into() },
        );
    };
    let clear = |world: &mut World| {
        let now = world.now;
        world.hears(vec![cleared(&alert("checkout", "f1", at(-5)), now)]);
    };
    let changes: [(&str, Change<'_>); 3] = [
        ("automatic acts are paused", &pause),
        ("the service is frozen", &freeze),
        ("its signals cleared", &clear),
    ];
    for (says, change) in changes {
        let mut world = around(false, OnFailure::Stop, OnFailure::Stop);
        world.own = Own::Unseen;
        fires(&mut world);
        change(&mut world);
        world.own = Own::Done;
        world.wishes("checkout", "ann", Wish::Settle(case(1), Settlement::TookEffect));
        world.pass(20);
        assert_eq!(
            (sent(&world).len(), world.stands("checkout")),
            (1, "needs_human"),
            "{says}:\n{}",
            world.told()
        );
        assert!(world.told().contains(says), "{says}:\n{}", world.told());
    }
}

/// Whoever says that it goes on although all signals cleared is heard.
#[test]
fn a_person_lets_it_go_on_although_all_is_clear() {
    let mut world = around(false, OnFailure::Stop, OnFailure::Stop);
    world.own = Own::Unseen;
    fires(&mut world);
    let now = world.now;
    world.hears(vec![cleared(&alert("checkout", "f1", at(-5)), now)]);
    world.own = Own::Done;
    for (how, wanted) in [(Settlement::TookEffect, 1), (Settlement::LookAgain, 3)] {
        world.wishes("checkout", "ann", Wish::Settle(case(1), how));
        world.pass(20);
        assert_eq!(sent(&world).len(), wanted, "{how:?}\n{}", world.told());
    }
}

/// A step that never began is not looked for: "look again" goes on where it stood.
#[test]
fn look_again_goes_on_with_what_never_began() {
    let mut world = together();
    world.provider("cart").takes = Takes::Works;
    fires(&mut world);
    world.puts_out("search", "v3");
    world.provider("cart").takes = Takes::Does;
    world.pass(60);
    assert_eq!(world.stands("checkout"), "needs_human", "{}", world.told());
    world.puts_out("search", "v2");
    world.pass(20);
    world.wishes("checkout", "ann", Wish::Settle(case(1), Settlement::LookAgain));
    world.pass(60);
    assert_eq!(sent(&world), ["checkout v1", "cart v1", "search v1"], "{}", world.told());
}

/// A companion that stays as it is and cannot be read any more holds nothing up.
#[test]
fn a_companion_that_stays_holds_nothing_up() {
    let mut world = together();
    let cart = world.provider("cart");
    cart.deployments.pop();
    cart.serving = "v1";
    world.fires("checkout", "f1");
    world.pass(5);
    world.provider("cart").reads = Reads::Fails;
    world.pass(90);
    assert_eq!(sent(&world), ["checkout v1", "search v1"], "{}", world.told());
}

/// A no among companions, for good: a person settles it, by going on or by giving up.
#[test]
fn a_no_among_companions_is_a_persons() {
    let mut world = together();
    world.provider("cart").takes = Takes::Refuses;
    fires(&mut world);
    assert_eq!((sent(&world).len(), world.stands("checkout")), (2, "needs_human"), "{}", world.told());
    assert!(world.told().contains("cart@production runs v2 (not back)"), "{}", world.told());
    world.wishes("checkout", "ann", Wish::Settle(case(1), Settlement::TookEffect));
    world.pass(30);
    assert_eq!(sent(&world)[2..], ["search v1"], "{}", world.told());
}

/// A fix that is put out on the service while its companions go back stops them.
#[test]
fn a_fix_while_companions_go_back_stops_them() {
    let mut world = together();
    world.provider("cart").takes = Takes::Works;
    fires(&mut world);
    world.puts_out("checkout", "v3");
    world.pass(20);
    world.provider("cart").takes = Takes::Does;
    world.pass(60);
    assert!(!sent(&world).contains(&"search v1".to_owned()), "{}", world.told());
    assert_eq!(world.stands("checkout"), "needs_human", "{}", world.told());
}

/// Steps that are corrected while people are asked are asked about anew.
#[test]
fn steps_that_change_are_asked_about_anew() {
    let with = |name: &str| {
        let mut settings = settings(row(Verdict::Approve));
        of(&mut settings, "checkout", |checkout| {
            checkout.before = vec![step(name, false, OnFailure::Stop)];
        });
        settings
    };
    let mut world = World::new(with("flag on"));
    fires(&mut world);
    let old_yes = world.yes("checkout");
    world.desk.reload(Arc::new(with("flag off")), world.now);
    world.pass(30);
    world.wishes("checkout", "ann", old_yes);
    world.pass(60);
    assert!(world.requests.is_empty(), "{}", world.told());
    let yes = world.yes("checkout");
    world.wishes("checkout", "ann", yes);
    world.pass(60);
    assert_eq!(sent(&world), ["flag off", "checkout v1"], "{}", world.told());
}
