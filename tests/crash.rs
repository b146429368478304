//! The desk with a pretend disk and a pretend provider, stopped before and after every write and every call: exactly
//! one effect, and the same ending. Judged by the provider's own log, not by our memory. Beside them the stories of
//! that world that need no stop: what never left, what flaps, what nobody answers.

mod crash_world;

use std::collections::BTreeSet;

use crash_world::{AUTOMATIC, Asking, Run, Scenario, refused_picture, run};
use snapback::case::command::Command;
use snapback::case::id::{Duration, Timestamp};
use snapback::case::pager::Cause;
use snapback::case::phase::Outcome;
use snapback::case::step::Class;

/// Runs that this test made when it was last changed: fewer mean that points were lost.
const RUNS_FLOOR: &str = include_str!("../fixtures/crash/floor.txt");

fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for asking in [Asking::Nobody, Asking::People] {
        for lost_replies in [0, 1] {
            for (steps, class) in [(1, Class::A), (2, Class::B)] {
                scenarios.push(Scenario { asking, lost_replies, steps, class, ..AUTOMATIC });
            }
        }
    }
    scenarios
}

#[test]
fn a_stop_anywhere_leads_to_one_effect_and_the_same_ending() {
    let plays: Vec<Played> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            scenarios().into_iter().map(|scenario| scope.spawn(move || play_with_stops(&scenario))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a scenario held")).collect()
    });
    let runs: usize = plays.iter().map(|played| played.runs).sum();
    let points: usize = plays.iter().map(|played| played.points).sum();
    let seen: BTreeSet<&str> = plays.iter().flat_map(|played| played.seen.iter().copied()).collect();
    for name in Command::CRASH_POINTS {
        assert!(seen.contains(name), "no run ever passed the crash point {name}");
    }
    println!("crash: {runs} runs over {points} points, {} kinds of point", seen.len());
    let floor: usize = RUNS_FLOOR.trim().parse().expect("a number in fixtures/crash/floor.txt");
    assert!(runs >= floor, "{runs} runs are fewer than the {floor} kept in fixtures/crash/floor.txt");
}

struct Played {
    runs: usize,
    points: usize,
    seen: BTreeSet<&'static str>,
}

/// A scenario without a stop, with every single one, and with every pair but those of looks.
fn play_with_stops(scenario: &Scenario) -> Played {
    let calm = run(scenario, &[]);
    holds(scenario, &[], &calm);
    let mut played =
        Played { runs: 1, points: calm.visited.len(), seen: calm.visited.iter().copied().collect() };
    for first in 0..calm.visited.len() {
        let once = run(scenario, &[first]);
        holds(scenario, &[first], &once);
        played.seen.extend(once.visited.iter().copied());
        played.runs += 1;
        // The points go on counting through the restart: every one of the second life.
        for second in first + 1..once.visited.len() {
            // How a first message looks, what a provider shows, what a pager hears and what a probe found lead to nothing: stopped at alone, not in pairs.
            if is_a_look(calm.visited[first]) || is_a_look(once.visited[second]) {
                continue;
            }
            let twice = run(scenario, &[first, second]);
            holds(scenario, &[first, second], &twice);
            played.runs += 1;
        }
    }
    played
}

fn is_a_look(point: &str) -> bool {
    matches!(
        point,
        "collect"
            | "collected"
            | "show"
            | "shown"
            | "page"
            | "paged"
            | "onset"
            | "dated"
            | "probe"
            | "probed"
    )
}

fn holds(scenario: &Scenario, stops: &[usize], run: &Run) {
    let told = || format!("{scenario:?}, stopped at {stops:?}:\n{}", run.story.join("\n"));
    let limit = usize::from(scenario.class.attempts_max());
    assert!(run.requests <= limit * scenario.steps, "{} requests: {}", run.requests, told());
    // Two stops between an intent and its call spend both attempts of class B: then a person is asked, and the
    // step was not done. Any other ending is the same as without a stop.
    if run.needs_human {
        assert!(run.woken.values().all(|cause| *cause == Cause::NeedsHuman), "{:?}: {}", run.woken, told());
        assert!(!run.woken.is_empty(), "nobody was woken: {}", told());
        assert!(scenario.class == Class::B && stops.len() == 2, "a person is needed: {}", told());
        assert!(run.effects.len() <= 1 && run.requests < scenario.steps, "{}", told());
        return;
    }
    assert_eq!(run.outcome, Some(Outcome::Recovered), "another ending: {}", told());
    let effects: Vec<&String> = run.effects.iter().filter(|effect| effect.starts_with("switch")).collect();
    assert_eq!(effects, ["switch v2 -> v1"], "not exactly one effect: {}", told());
    assert_eq!(run.serving, "v1", "{}", told());
    assert_eq!(
        run.shown,
        "checkout@production: v2 \u{2192} v1, recovered",
        "the thread shows another end: {}",
        told()
    );
    assert!(run.woken.is_empty(), "nobody is needed any more, and {:?} is open: {}", run.woken, told());
    let asked = run.story.iter().any(|line| line.ends_with(" asked"));
    assert!(asked || run.pages == 0, "nobody was asked, and {} pages: {}", run.pages, told());
    // Whoever decides before the process is back needs no page.
    assert!(run.pages > 0 || !asked || !stops.is_empty(), "nobody was woken: {}", told());
    assert!(run.roots <= 1 + stops.len(), "the thread was opened {} times: {}", run.roots, told());
}

/// A request that surely never left is no act: whoever pauses then is asked, and says yes, and it is done once.
#[test]
fn what_never_left_leaves_the_case_free() {
    for class in [Class::A, Class::B, Class::C] {
        let scenario = Scenario { unsent: 1, class, ..AUTOMATIC };
        let played = run(&scenario, &[]);
        holds(&scenario, &[], &played);
        let told = played.story.join("\n");
        assert!(!played.needs_human, "{told}");
        assert!(told.contains(" asked"), "nobody was asked:\n{told}");
    }
}

/// A resolve stops the countdown at once; firing again begins it anew, announced, and nothing is done before it ended.
#[test]
fn firing_again_counts_down_anew() {
    let scenario = Scenario { flaps: true, ..AUTOMATIC };
    let played = run(&scenario, &[]);
    holds(&scenario, &[], &played);
    let told = played.story.join("\n");
    let at = |word: &str| {
        let lines = played.story.iter().filter(|line| line.ends_with(&format!("Z {word}")));
        lines.map(|line| line[..20].parse().expect("a moment")).collect::<Vec<Timestamp>>()
    };
    assert_eq!(at("countdown_suspended").len(), 1, "{told}");
    assert_eq!(at("countdown_announced").len(), 2, "it was not announced anew:\n{told}");
    let (fired, intended) = (at("fired_again")[0], at("intended")[0]);
    assert!(intended.duration_since(fired) >= Duration::from_secs(30), "no countdown after {fired}:\n{told}");
}

/// Whoever switches to shadow in the middle of a countdown stops it: from then on it is told and not done, and the case
/// ends with the window of its deployment.
#[test]
fn shadow_stops_a_countdown_and_the_window_ends_the_case() {
    let scenario = Scenario { to_shadow: true, ..AUTOMATIC };
    let played = run(&scenario, &[]);
    let told = played.story.join("\n");
    assert_eq!((played.requests, played.outcome), (0, Some(Outcome::LeftAlone)), "{told}");
    assert!(told.contains(" would_act"), "it is not told as what would be done:\n{told}");
}

/// Where the row goes on whatever the signals do, a resolve stops no countdown.
#[test]
fn a_row_that_continues_is_not_stopped_by_a_resolve() {
    let scenario = Scenario { flaps: true, goes_on: true, ..AUTOMATIC };
    let played = run(&scenario, &[]);
    holds(&scenario, &[], &played);
    let told = played.story.join("\n");
    assert!(told.contains("09:00:30Z intended"), "the countdown did not go on:\n{told}");
    assert!(!told.contains("countdown_suspended"), "{told}");
}

/// A signal that began within the window may wait for its row beyond the window's end.
#[test]
fn a_row_that_still_waits_outlives_the_window() {
    let scenario = Scenario { waits: true, ..AUTOMATIC };
    holds(&scenario, &[], &run(&scenario, &[]));
}

/// An outage that is longer than a plan lives: nothing lapsed acts, and what still fires is planned anew.
#[test]
fn after_a_long_outage_what_still_fires_is_planned_anew() {
    let scenario = Scenario { away_s: 20 * 60, ..AUTOMATIC };
    let calm = run(&scenario, &[]);
    for stop in 0..calm.visited.len() {
        let played = run(&scenario, &[stop]);
        holds(&scenario, &[stop], &played);
        let told = played.story.join("\n");
        let place = |what: &str| played.story.iter().position(|line| line.ends_with(what));
        let (stopped, again) = (place("started again"), place(" told again"));
        if let (Some(stopped), Some(again), Some(acts)) = (stopped, again, place(" intended")) {
            assert!(acts < stopped || again < acts, "it acted on a word from before the outage:\n{told}");
        }
    }
}

/// After an outage longer than a signal stays fresh, nothing is begun on a word from before it: the alert may have
/// ended meanwhile, and nobody was there to hear it.
#[test]
fn after_a_long_outage_nothing_is_begun_before_the_alert_is_told_again() {
    let scenario = Scenario { away_s: 20 * 60, tells_again: false, knows: false, ..AUTOMATIC };
    let calm = run(&scenario, &[]);
    let mut left = 0;
    for stop in 0..calm.visited.len() {
        let played = run(&scenario, &[stop]);
        let told = played.story.join("\n");
        let place = |what: &str| played.story.iter().position(|line| line.ends_with(what));
        let begun_before = place(" intended") < place("started again");
        if place(" intended").is_some() {
            assert!(begun_before, "it acted on a word from before the outage:\n{told}");
        } else {
            assert_eq!((played.requests, played.outcome), (0, Some(Outcome::LeftAlone)), "{told}");
            left += 1;
        }
    }
    assert!(left > 0, "no stop lay before the act");
}

/// What its Prometheus says after the outage is such a word: it fires still.
#[test]
fn after_a_long_outage_its_prometheus_is_asked_whether_an_alert_still_fires() {
    let scenario = Scenario { away_s: 20 * 60, tells_again: false, ..AUTOMATIC };
    let calm = run(&scenario, &[]);
    for stop in 0..calm.visited.len() {
        let played = run(&scenario, &[stop]);
        assert!(played.requests > 0, "it still fires, and nothing was done:\n{}", played.story.join("\n"));
    }
}

/// What a refused turn read is read again: the hold that it may have led to is not on disk.
#[test]
fn a_refused_turn_does_not_stand_on_what_it_read() {
    let scenario = AUTOMATIC;
    assert_eq!(refused_picture(&scenario), (true, false));
}

/// Where the policy says so, silence is a yes to what the row itself asked for: asked once, and then done.
#[test]
fn silence_is_a_yes_where_the_policy_says_so() {
    let asking = Asking::Silence;
    let scenario = Scenario { asking, ..AUTOMATIC };
    let played = run(&scenario, &[]);
    holds(&scenario, &[], &played);
    let asked = played.story.iter().filter(|line| line.ends_with(" asked")).count();
    assert_eq!(asked, 1, "{}", played.story.join("\n"));
}

/// The bug that the written intent prevents is really caught: a provider that forgets our mark shows two effects.
#[test]
fn the_judge_sees_a_second_effect() {
    let mut doubled = run(&AUTOMATIC, &[]);
    doubled.effects.push("switch v2 -> v1".into());
    let caught = std::panic::catch_unwind(|| {
        holds(&AUTOMATIC, &[], &doubled);
    });
    assert!(caught.is_err());
}
