//! Stories at the desk: what is promised about orders, about several services and several people, and about what must
//! not happen again. The desk, the gate and the cases are the real ones; `desk_world` plays everything around them.

#[allow(dead_code, reason = "the world is shared, and tells more than these stories need")]
mod desk_world;
mod samples;

use std::collections::BTreeSet;
use std::sync::Arc;

use desk_world::{Reads, Takes, World, alert, at, cleared, id, row, settings};
use snapback::case::approval::{OnExpiry, PersonVote};
use snapback::case::command::Wish;
use snapback::case::decide::{OnResolve, Verdict};
use snapback::case::event::Settlement;
use snapback::case::gate::Why;
use snapback::case::id::{Duration, StepNo};
use snapback::case::phase::Outcome;
use snapback::case::plan::Plan;
use snapback::case::release::RollbackMark;
use snapback::case::rules::Rule;
use snapback::case::settings::{Budget, Migrations};
use snapback::case::signal::Signal;
use snapback::case::step::Class;
use snapback::case::turn::Disposition;
use snapback::engine::desk::SourceScope;

/// A world in which what the row says is done by itself after 30 s.
fn automatic() -> World {
    World::new(settings(row(Verdict::Rollback)))
}

/// A world in which people are asked.
fn asking() -> World {
    World::new(settings(row(Verdict::Approve)))
}

/// Rolls v2 of checkout back to v1, and the alert clears: recovered, at three minutes.
fn rolled_back() -> World {
    let mut world = automatic();
    world.fires("checkout", "f1");
    world.pass(60);
    world.hears(vec![cleared(&alert("checkout", "f1", at(-5)), at(60))]);
    world.pass(120);
    assert_eq!(world.outcomes("checkout"), [Outcome::Recovered], "{}", world.told());
    world
}

/// S5: what is sent is what the plan says, by the digest that people saw.
#[test]
fn an_order_is_what_the_plans_digest_covers() {
    for mut world in [automatic(), asking()] {
        world.provider("checkout").takes = Takes::Works;
        world.fires("checkout", "f1");
        if world.stands("checkout") == "awaiting_approval" {
            let yes = world.yes("checkout");
            world.wishes("checkout", "ann", yes);
        }
        world.pass(40);
        let case = world.case("checkout").expect("an open case");
        let plan = case.plan.as_deref().expect("a plan");
        let [order] = &world.requests[..] else { panic!("not one request:\n{}", world.told()) };
        assert_eq!(plan.clone().sealed().digest, plan.digest);
        assert_eq!((order.to.as_str(), &order.to, &order.expected), ("v1", &plan.to.id, &plan.from.id));
        assert_eq!(order.act, plan.steps[0].act);
        assert_eq!(order.mark, Plan::mark(&case.id, StepNo(0), &plan.digest));
    }
}

/// S6, L2: a class C act whose effect is unknown is sent once, whatever a person answers but another rollback.
#[test]
fn a_class_c_act_of_unknown_effect_is_sent_once() {
    let mut world = automatic();
    lose_class_c(&mut world);
    world.fires("checkout", "f1");
    world.pass(3600);
    assert_eq!((world.stands("checkout"), world.requests.len()), ("needs_human", 1), "{}", world.told());
    settle(&mut world, Settlement::LookAgain);
    world.pass(3600);
    assert_eq!((world.stands("checkout"), world.requests.len()), ("needs_human", 1), "{}", world.told());
    settle(&mut world, Settlement::GiveUp);
    world.pass(3600);
    assert_eq!((world.outcomes("checkout"), world.requests.len()), (vec![Outcome::Failed], 1));
}

fn lose_class_c(world: &mut World) {
    let provider = world.provider("checkout");
    (provider.takes, provider.class) = (Takes::Loses, Class::C);
}

fn settle(world: &mut World, how: Settlement) {
    let case = world.case("checkout").expect("an open case").id.clone();
    world.wishes("checkout", "ann", Wish::Settle(case, how));
}

/// L2: what cannot be found out is a person's ten minutes after the step's own deadline, and what never ends at it.
#[test]
fn an_effect_that_stays_unknown_becomes_a_persons() {
    for (takes, grace, before) in [(Takes::Hides, 600, "intended"), (Takes::Works, 0, "running")] {
        let mut world = automatic();
        world.provider("checkout").takes = takes;
        world.fires("checkout", "f1");
        world.pass(30);
        let plan = world.case("checkout").and_then(|case| case.plan.clone()).expect("a plan");
        let deadline = plan.steps[0].deadline.as_secs() + grace;
        world.pass(deadline - 1);
        assert_eq!(world.stands("checkout"), before, "{}", world.told());
        world.pass(1);
        assert_eq!((world.stands("checkout"), world.requests.len()), ("needs_human", 1), "{}", world.told());
    }
}

/// S7: while an act is under way, an alert about another deployment waits, and a person cannot begin a second one.
#[test]
fn another_deployments_alert_waits_while_an_act_is_under_way() {
    let mut world = automatic();
    world.provider("checkout").takes = Takes::Works;
    world.fires("checkout", "f1");
    world.pass(40);
    let first = world.case("checkout").expect("an open case").id.clone();
    world.puts_out("checkout", "v3");
    world.pass(310);
    world.fires("checkout", "f2");
    world.wishes("checkout", "ann", Wish::Rollback { to: None, reason: "now".into(), shown: None });
    world.pass(60);
    let dossier = world.dossier("checkout");
    assert_eq!((world.stands("checkout"), dossier.cases_opened), ("running", 1), "{}", world.told());
    assert!(dossier.episodes.values().any(|episode| episode.case.is_none()), "the second one does not wait");
    world.provider("checkout").takes = Takes::Does;
    world.pass(5);
    world.hears(vec![cleared(&alert("checkout", "f1", at(-5)), world.now)]);
    world.pass(90);
    let second = world.case("checkout").expect("a second case");
    assert!(second.id != first && world.dossier("checkout").cases_opened == 2, "{}", world.told());
}

/// S19, T23: labels that name a service outside the source's scope lead to nothing.
#[test]
fn a_source_is_not_heard_about_what_is_not_its_own() {
    let mut settings = settings(row(Verdict::Rollback));
    let scope = SourceScope { services: vec!["checkout@*".into()], ..SourceScope::default() };
    settings.sources = [("prometheus".into(), scope)].into();
    let mut world = World::new(settings);
    let quiet = world.dossier("payments").clone();
    let became = world.hears(vec![alert("payments", "f1", at(-5)), alert("checkout", "f1", at(-5))]);
    assert_eq!(became, [Disposition::OutOfScope(id("payments")), Disposition::Taken(id("checkout"))]);
    world.pass(300);
    assert_eq!(world.dossier("payments").episodes, quiet.episodes);
    assert_eq!((world.stands("payments"), world.requests.len()), ("quiet", 1), "{}", world.told());
    assert!(world.desk.standing().raised.iter().all(|raised| raised.service == id("checkout")));
}

/// T20: the late half of a redundant pair of senders tells the old firing after the resolve: nothing begins again.
#[test]
fn a_late_firing_of_a_redundant_pair_reopens_nothing() {
    let mut world = automatic();
    let firing = alert("checkout", "f1", at(-5));
    let late = |seconds| Signal { received_at: at(seconds), ..firing.clone() };
    assert_eq!(world.hears(vec![firing.clone()]), [Disposition::Taken(id("checkout"))]);
    world.pass(10);
    world.hears(vec![cleared(&firing, at(8))]);
    world.pass(1);
    assert_eq!(world.hears(vec![late(11)]), [Disposition::Repeated(id("checkout"))]);
    world.pass(120);
    assert_eq!(world.hears(vec![late(131)]), [Disposition::Repeated(id("checkout"))]);
    world.pass(120);
    assert_eq!((world.outcomes("checkout"), world.requests.len()), (vec![Outcome::Cleared], 0));
    assert_eq!(world.dossier("checkout").cases_opened, 1, "{}", world.told());
}

/// T28: after our own rollback, with its cooldown over and another release to go back to, a new alert that can only
/// point at it leads to no act and to no question.
#[test]
fn our_own_rollback_is_never_undone() {
    let mut world = rolled_back();
    world.pass(29 * 60 - 180);
    world.fires("checkout", "f2");
    assert_eq!(world.outcomes("checkout"), [Outcome::Recovered, Outcome::LeftAlone], "{}", world.told());
    world.pass(1200);
    assert_eq!((world.requests.len(), world.told().contains(" asked")), (1, false), "{}", world.told());
}

/// T29: an alert that goes on after the rollback ends it as not recovered; the same alert and a new one about the same
/// deployment lead to no second act.
#[test]
fn an_alert_that_goes_on_leads_to_no_second_act() {
    let mut world = automatic();
    for minute in 0..60 {
        let again = alert("checkout", "f1", at(-5));
        world.hears(vec![Signal { received_at: at(minute * 60), ..again }]);
        if minute == 20 {
            world.fires("checkout", "f2");
            assert_eq!(world.verdict("checkout"), Some(Verdict::Notify), "{}", world.told());
        }
        world.pass(60);
    }
    assert_eq!(world.requests.len(), 1, "{}", world.told());
    assert_eq!(world.outcomes("checkout")[0], Outcome::NotRecovered, "{}", world.told());
    assert!(!world.told().contains(" asked"), "{}", world.told());
}

/// T31: a release that was rolled back from is no way back, even where nothing else is left.
#[test]
fn a_release_that_was_rolled_back_from_is_never_a_target() {
    let mut world = rolled_back();
    world.pass(3600);
    for gone in ["v0", "v1"] {
        world.provider("checkout").release(gone).artifact_exists = Some(false);
    }
    world.puts_out("checkout", "v3");
    world.pass(330);
    world.fires("checkout", "f2");
    let decision = world.case("checkout").and_then(|case| case.decision.clone()).expect("a decision");
    assert_eq!(decision.brief.suspect_facts().map(|facts| facts.release.as_str()), Some("v3"));
    assert_eq!((&decision.brief.target, decision.verdict), (&None, Verdict::Notify));
    world.pass(600);
    assert_eq!(world.requests.len(), 1, "{}", world.told());
}

/// T32: the third service in trouble within five minutes is asked about, and not acted on.
#[test]
fn the_third_service_in_trouble_is_asked_about() {
    let mut world = automatic();
    for service in ["checkout", "payments", "cart"] {
        world.fires(service, "f1");
        world.pass(60);
    }
    world.pass(240);
    let acted: Vec<&str> = world.requests.iter().map(|order| order.service.as_str()).collect();
    assert_eq!(acted, ["checkout@production", "payments@production"], "{}", world.told());
    assert_eq!(world.stands("cart"), "awaiting_approval", "{}", world.told());
}

/// T32: of two countdowns that end in one turn, a budget of one lets one pass: the gate counts what it let pass itself.
#[test]
fn two_that_come_at_once_do_not_share_a_budget_of_one() {
    let mut settings = settings(row(Verdict::Rollback));
    let mut shared = settings.shared.as_ref().clone();
    shared.guards.budget = vec![Budget { within: Duration::from_mins(10), acts: 1 }];
    settings.shared = Arc::new(shared);
    let mut world = World::new(settings);
    world.hears(vec![alert("checkout", "f1", at(-5)), alert("payments", "f1", at(-5))]);
    world.pass(60);
    assert_eq!(world.requests.len(), 1, "{}", world.told());
    assert_eq!(world.refused, [Why::Budget("1 of 1 automatic acts in all in 10m".into())]);
    assert_eq!(world.stands("payments"), "awaiting_approval", "{}", world.told());
}

/// T32: three automatic acts in ten minutes are enough for all services together; the fourth is asked about.
#[test]
fn the_fourth_act_in_ten_minutes_is_asked_about() {
    let mut world = automatic();
    for service in ["checkout", "payments", "cart", "search"] {
        world.fires(service, "f1");
        world.pass(180);
    }
    assert_eq!(world.requests.len(), 3, "{}", world.told());
    assert_eq!(world.stands("search"), "awaiting_approval", "{}", world.told());
}

/// T33: who said yes by the old rules has not said yes by the new ones: it is judged again, and not done.
#[test]
fn rules_that_changed_before_the_gate_are_asked_again() {
    let mut world = asking();
    world.fires("checkout", "f1");
    world.pass(5);
    let yes = world.yes("checkout");
    world.desk.reload(Arc::new(settings(row(Verdict::Notify))), world.now);
    world.wishes("checkout", "ann", yes);
    world.pass(60);
    assert_eq!(world.refused, [Why::RulesChanged], "{}", world.told());
    assert_eq!((world.stands("checkout"), world.requests.len()), ("weighing", 0), "{}", world.told());
    assert_eq!(world.verdict("checkout"), Some(Verdict::Notify));
}

/// T35: over an irreversible release two people are needed, where one is enough elsewhere; and where the service's
/// migrations are unknown, people are asked.
#[test]
fn an_irreversible_release_takes_two_votes() {
    let mut world = automatic();
    world.provider("checkout").release("v2").marks.rollback = Some(RollbackMark::Irreversible);
    world.fires("checkout", "f1");
    let said = |world: &mut World, by, typed: Option<&str>| {
        assert_eq!((world.stands("checkout"), world.requests.len()), ("awaiting_approval", 0));
        let Wish::Vote { case, vote } = world.yes("checkout") else { panic!("a vote") };
        let vote = PersonVote { confirm: typed.map(str::to_owned), ..vote };
        let became = world.wishes_as("checkout", by, &["sre"], Wish::Vote { case, vote });
        world.pass(60);
        became
    };
    for typed in [None, Some("yes")] {
        for by in ["ann", "bob"] {
            let became = said(&mut world, by, typed);
            assert!(
                matches!(&became, Disposition::Conflict(why) if why.contains("--confirm irreversible")),
                "{became:?}"
            );
        }
    }
    for by in ["ann", "ann", "bob"] {
        let became = said(&mut world, by, Some("irreversible"));
        assert!(matches!(became, Disposition::Done(_)), "{became:?}");
    }
    assert_eq!(world.requests.len(), 1, "{}", world.told());
}

/// A wish for a rollback is no yes to what is irreversible, unless the word was typed over the plan that was shown.
#[test]
fn a_wish_alone_is_no_yes_to_what_is_irreversible() {
    let mut world = automatic();
    world.provider("checkout").release("v2").marks.rollback = Some(RollbackMark::Irreversible);
    world.wishes("checkout", "ann", Wish::Rollback { to: None, reason: "now".into(), shown: None });
    world.pass(10);
    assert_eq!(world.stands("checkout"), "awaiting_approval", "{}", world.told());
    let case = world.case("checkout").expect("a case");
    assert!(case.votes.is_empty() && case.heard.is_empty(), "{}", world.told());
    assert!(world.told().contains("the wish of ann is no yes yet"), "{}", world.told());
}

/// Where silence is a yes, it is none over an irreversible release.
#[test]
fn silence_is_no_yes_to_what_is_irreversible() {
    for (mark, outcome, requests) in
        [(RollbackMark::Safe, Outcome::Recovered, 1), (RollbackMark::Irreversible, Outcome::Expired, 0)]
    {
        let mut settings = settings(row(Verdict::Approve));
        let shared = Arc::make_mut(&mut settings.shared);
        let policy = shared.approvals.get_mut(&"default".into()).expect("the policy");
        Arc::make_mut(policy).on_expiry = OnExpiry::Rollback;
        let mut world = World::new(settings);
        world.provider("checkout").release("v2").marks.rollback = Some(mark);
        world.fires("checkout", "f1");
        world.pass(16 * 60);
        world.hears(vec![cleared(&alert("checkout", "f1", at(-5)), at(16 * 60))]);
        world.pass(5 * 60);
        assert_eq!(world.outcomes("checkout").first(), Some(&outcome), "{}", world.told());
        assert_eq!(world.requests.len(), requests, "{}", world.told());
    }
}

/// T35: where nobody says whether a release changed the schema, people are asked.
#[test]
fn an_unmarked_release_is_asked_about_where_migrations_are_unknown() {
    let mut settings = settings(row(Verdict::Rollback));
    let service = settings.services.get_mut(&id("checkout")).expect("the service");
    Arc::make_mut(service).migrations = Migrations::Unknown;
    let mut world = World::new(settings);
    world.fires("checkout", "f1");
    world.pass(120);
    assert_eq!(
        (world.stands("checkout"), world.requests.len()),
        ("awaiting_approval", 0),
        "{}",
        world.told()
    );
}

/// T36: a resolve before the intent cancels where the row says so; after it, what was begun is finished and told.
#[test]
fn a_resolve_cancels_before_the_intent_and_not_after_it() {
    let cancels = Rule { on_resolve: OnResolve::Cancel, ..row(Verdict::Rollback) };
    for (seconds, outcome, requests) in [(20, Outcome::Cancelled, 0), (31, Outcome::Recovered, 1)] {
        let mut world = World::new(settings(cancels.clone()));
        world.provider("checkout").takes = Takes::Works;
        world.fires("checkout", "f1");
        world.pass(seconds);
        world.hears(vec![cleared(&alert("checkout", "f1", at(-5)), at(seconds))]);
        world.pass(60);
        world.provider("checkout").takes = Takes::Does;
        world.pass(120);
        assert_eq!((world.outcomes("checkout"), world.requests.len()), (vec![outcome], requests));
    }
}

/// T54: a clock that went back bars the gate until it has caught up; then it goes on by itself.
#[test]
fn a_clock_that_went_back_bars_the_gate_until_it_caught_up() {
    let mut world = asking();
    world.fires("checkout", "f1");
    world.pass(60);
    world.now = at(30);
    let yes = world.yes("checkout");
    world.wishes("checkout", "ann", yes);
    world.pass(24);
    assert_eq!((world.stands("checkout"), world.requests.len()), ("ready", 0), "{}", world.told());
    assert!(!world.refused.is_empty() && world.refused.iter().all(|why| *why == Why::Clock));
    world.pass(10);
    assert_eq!(world.requests.len(), 1, "{}", world.told());
}

/// L1: every signal has one disposition in its own turn; and within a minute its case is judged and told, and
/// waits for no provider any more, or is over.
#[test]
fn every_signal_is_disposed_of_and_told_within_a_minute() {
    for (reads, proposes) in [
        (Reads::Answers, Reads::Answers),
        (Reads::Answers, Reads::Fails),
        (Reads::Answers, Reads::Never),
        (Reads::Fails, Reads::Never),
    ] {
        let mut world = automatic();
        (world.provider("checkout").reads, world.provider("checkout").proposes) = (reads, proposes);
        let firing = alert("checkout", "f1", at(-5));
        let stray = alert("nobody", "f2", at(-5));
        let became = world.hears(vec![firing.clone(), firing, stray.clone(), cleared(&stray, at(0))]);
        assert_eq!(became.len(), 4, "{became:?}");
        world.pass(59);
        let told =
            world.case("checkout").is_none_or(|case| case.clock.judged_at.is_some() && case.said.0 > 0);
        assert!(
            told && !["gathering", "planning"].contains(&world.stands("checkout")),
            "{reads:?}, {proposes:?}:\n{}",
            world.told()
        );
    }
}

/// L5: out of every phase of an open case time alone leads, or a person who gives up what nobody can find out.
#[test]
fn every_open_phase_has_a_way_out() {
    let mut seen = BTreeSet::new();
    for mut world in in_every_phase() {
        let phase = world.stands("checkout");
        seen.insert(phase);
        world.pass(3600);
        if world.stands("checkout") == "needs_human" {
            settle(&mut world, Settlement::GiveUp);
        }
        world.pass(3600);
        assert!(world.case("checkout").is_none(), "no way out of {phase}:\n{}", world.told());
    }
    for phase in samples::phases().iter().map(|(_, phase)| phase.word()).filter(|word| *word != "closed") {
        assert!(seen.contains(phase), "no world of this test is in {phase}");
    }
}

/// A world for each phase, in which what the case waits for never comes.
fn in_every_phase() -> Vec<World> {
    let begun = |mut world: World, change: fn(&mut World), seconds| {
        change(&mut world);
        world.fires("checkout", "f1");
        world.pass(seconds);
        world
    };
    let clears = |mut world: World| {
        world.hears(vec![cleared(&alert("checkout", "f1", at(-5)), world.now)]);
        world
    };
    let mut ready = begun(automatic(), |_| {}, 5);
    ready.provider("checkout").reads = Reads::Never;
    ready.pass(60);
    vec![
        begun(automatic(), |world| world.provider("checkout").reads = Reads::Fails, 5),
        begun(World::new(settings(row(Verdict::Notify))), |_| {}, 5),
        begun(automatic(), |world| world.provider("checkout").proposes = Reads::Never, 5),
        begun(asking(), |_| {}, 5),
        clears(begun(automatic(), |_| {}, 5)),
        ready,
        begun(automatic(), |world| world.provider("checkout").takes = Takes::Hides, 60),
        begun(automatic(), |world| world.provider("checkout").takes = Takes::Works, 60),
        begun(automatic(), |_| {}, 60),
        begun(automatic(), lose_class_c, 60),
    ]
}
