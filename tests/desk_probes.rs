//! Stories at the desk about probes: what they find before a deployment, after it and after a rollback. The desk, the gate and
//! the cases are the real ones; `desk_world` plays everything around them.

#[allow(dead_code, reason = "the world is shared, and tells more than these stories need")]
mod desk_world;

use std::sync::Arc;

use desk_world::{World, id, row, settings};
use snapback::case::decide::Verdict;
use snapback::case::id::{Duration, Timestamp};
use snapback::case::ledger::Grade;
use snapback::case::phase::Outcome;
use snapback::case::probe::{Health, ProbePolicy};
use snapback::engine::desk::DeskSettings;

/// A world in which one probe watches checkout every 10 s for 5 min, and three failures are a signal.
fn world() -> World {
    World::new(probed(Verdict::Rollback))
}

fn probed(action: Verdict) -> DeskSettings {
    let mut settings = settings(row(action));
    let service = settings.services.get_mut(&id("checkout")).and_then(Arc::get_mut).expect("a service");
    service.probes = vec![ProbePolicy {
        watch_for: Duration::from_mins(5),
        every: Duration::from_secs(10),
        ..ProbePolicy::new("smoke".into())
    }];
    settings
}

fn failing() -> Option<Health> {
    Some(Health::Failing("answered 500, not 200\nno database".into()))
}

fn find(world: &mut World, health: Option<Health>) {
    world.provider("checkout").health = health;
}

/// The world has gone on for an hour, v2 has proven itself, and v3 goes out now.
fn v3_goes_out() -> World {
    let mut world = world();
    world.pass(3600);
    assert_eq!(world.dossier("checkout").ledger.grade(&"v2".into()), Grade::Good, "{}", world.told());
    world.puts_out("checkout", "v3");
    world
}

/// When checkout's episode of the probe began.
fn episode(world: &World) -> Option<Timestamp> {
    let mut episodes = world.dossier("checkout").episodes.values();
    episodes.find(|episode| episode.signal.source.as_str() == "probe").map(|episode| episode.started_at)
}

fn passes(world: &World) -> bool {
    let (_, live) = world.desk.service(&id("checkout")).expect("a service");
    live.probes.values().all(|runs| runs.last == Health::Passing)
}

/// A deployment that breaks the smoke test goes back without any alert, and the probe says that it helped.
#[test]
fn what_breaks_the_smoke_test_goes_back_without_an_alert() {
    let mut world = v3_goes_out();
    // It is seen to go out, and passes once.
    world.pass(30);
    assert!(passes(&world), "{}", world.told());
    find(&mut world, failing());
    world.pass(19);
    assert_eq!(episode(&world), None, "two failures are no signal yet:\n{}", world.told());
    world.pass(11);
    let first = episode(&world).expect("a signal after the third");
    assert!(world.now.duration_since(first) >= Duration::from_secs(20), "its moment is the first failure's");
    world.pass(45);
    assert_eq!(world.requests.len(), 1, "{}", world.told());
    assert_eq!(world.requests[0].to.as_str(), "v2");
    assert!(world.told().contains("probe smoke: answered 500, not 200"), "{}", world.told());
    find(&mut world, Some(Health::Passing));
    world.pass(600);
    assert_eq!(world.outcomes("checkout"), [Outcome::Recovered], "{}", world.told());
    assert_eq!(world.dossier("checkout").ledger.grade(&"v3".into()), Grade::Bad);
}

/// What failed before the deployment blames nobody, however long it goes on.
#[test]
fn what_failed_before_the_deployment_blames_nobody() {
    let mut world = world();
    world.pass(3600);
    find(&mut world, failing());
    world.pass(900);
    assert_eq!(episode(&world), None, "without a deployment it is no signal:\n{}", world.told());
    assert!(!world.dossier("checkout").failing.is_empty());
    world.puts_out("checkout", "v3");
    world.pass(1800);
    assert!(world.requests.is_empty(), "{}", world.told());
    assert_eq!(world.outcomes("checkout"), [Outcome::LeftAlone], "{}", world.told());
}

/// The same where the process began again in between: what fails is on disk.
#[test]
fn what_failed_before_the_deployment_is_known_after_a_restart() {
    let mut world = world();
    world.pass(3600);
    find(&mut world, failing());
    world.pass(900);
    world.restarts(probed(Verdict::Rollback));
    world.puts_out("checkout", "v3");
    world.pass(1800);
    assert!(world.requests.is_empty(), "{}", world.told());
}

/// A check that finds nothing out is neither trouble nor its end.
#[test]
fn what_is_not_known_is_no_signal_and_no_recovery() {
    let unknown = || Some(Health::Unknown("the query finds nothing".into()));
    let mut world = v3_goes_out();
    world.pass(30);
    find(&mut world, unknown());
    world.pass(600);
    assert_eq!((episode(&world), world.requests.len()), (None, 0), "{}", world.told());

    // After a rollback nobody can say whether it helped.
    let mut world = v3_goes_out();
    world.pass(30);
    find(&mut world, failing());
    world.pass(75);
    assert_eq!(world.requests.len(), 1, "{}", world.told());
    find(&mut world, unknown());
    world.pass(1800);
    assert_eq!(world.outcomes("checkout"), [Outcome::Unverified], "{}", world.told());
    assert_eq!(world.dossier("checkout").ledger.grade(&"v3".into()), Grade::Bad, "nobody is freed of blame");
}

/// A probe that goes on failing is evidence: it did not help, the release is freed of blame, and nothing more is done.
#[test]
fn a_probe_that_fails_on_says_that_it_did_not_help() {
    let mut world = v3_goes_out();
    world.pass(30);
    find(&mut world, failing());
    world.pass(3600);
    assert_eq!(world.outcomes("checkout")[0], Outcome::NotRecovered, "{}", world.told());
    assert_eq!(world.requests.len(), 1, "there is no second automatic act:\n{}", world.told());
    assert_ne!(world.dossier("checkout").ledger.grade(&"v3".into()), Grade::Bad);
}

/// An alert's rollback has not helped before the probes pass, whatever the alert says.
#[test]
fn a_clear_alert_is_no_recovery_while_a_probe_fails() {
    let mut world = v3_goes_out();
    world.pass(30);
    let alert = desk_world::alert("checkout", "f1", world.now);
    world.hears(vec![alert.clone()]);
    world.pass(60);
    assert_eq!(world.requests.len(), 1, "{}", world.told());
    find(&mut world, failing());
    let now = world.now;
    world.hears(vec![desk_world::cleared(&alert, now)]);
    world.pass(300);
    assert_eq!(world.outcomes("checkout"), [], "the alert is clear, and the probe fails:\n{}", world.told());
    world.pass(600);
    assert_eq!(world.outcomes("checkout"), [Outcome::NotRecovered], "{}", world.told());
}

/// A probe that is taken out of the configuration tells no end: its signal ends with it.
#[test]
fn the_signal_of_a_probe_that_is_gone_ends() {
    let mut world = v3_goes_out();
    world.pass(30);
    find(&mut world, failing());
    world.pass(35);
    assert!(episode(&world).is_some(), "{}", world.told());
    let now = world.now;
    world.desk.reload(Arc::new(settings(row(Verdict::Notify))), now);
    world.pass(900);
    assert_eq!(episode(&world), None, "{}", world.told());
}

/// A check that takes for ever is one check: it is never begun beside itself.
#[test]
fn a_probe_never_runs_beside_itself() {
    let mut world = world();
    world.pass(60);
    find(&mut world, None);
    world.pass(3600);
    assert_eq!(world.under_way("probe"), 1, "{}", world.told());
}
