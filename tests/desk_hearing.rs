//! Stories at the desk about what is not heard: a source whose heartbeat is missed. The desk, the gate and the cases are the
//! real ones; `desk_world` plays everything around them.

#[allow(dead_code, reason = "the world is shared, and tells more than these stories need")]
mod desk_world;

use std::collections::BTreeSet;
use std::sync::Arc;

use desk_world::{World, alert, at, id, row, settings};
use snapback::case::decide::Verdict;
use snapback::case::heartbeat::Heartbeat;
use snapback::case::id::{DeliveryId, Duration};
use snapback::case::ledger::Grade;
use snapback::case::matcher::Matcher;
use snapback::case::pager::{Cause, Pager};
use snapback::case::signal::Signal;
use snapback::case::turn::Disposition;
use snapback::engine::desk::{Arrival, Content, DeskSettings};

/// A world whose source tells every minute that it is there.
fn world() -> World {
    World::new(listening("*@production"))
}

fn listening(services: &str) -> DeskSettings {
    let mut settings = settings(row(Verdict::Rollback));
    let heartbeat = Heartbeat {
        matchers: vec![Matcher::parse("alertname=\"Watchdog\"").expect("a matcher")],
        every: Duration::from_secs(60),
        services: vec![services.to_owned()],
    };
    let shared = Arc::get_mut(&mut settings.shared).expect("nobody else has them");
    shared.heartbeats.insert("prometheus".into(), heartbeat);
    settings
}

/// It names a service, as an alert with external labels does, and is trouble of none.
fn beats(world: &mut World) {
    let watchdog =
        Signal { name: "Watchdog".into(), received_at: world.now, ..alert("checkout", "w", at(-9)) };
    let mut labels = (*watchdog.labels).clone();
    labels.insert("alertname".into(), "Watchdog".into());
    let became = world.hears(vec![Signal { labels: labels.into(), ..watchdog }]);
    assert_eq!(became, [Disposition::Aside("the heartbeat of prometheus".into())]);
}

fn beats_for(world: &mut World, minutes: i64) {
    for _ in 0..minutes {
        world.pass(60);
        beats(world);
    }
}

fn grade(world: &World) -> Grade {
    world.dossier("checkout").ledger.grade(&"v2".into())
}

fn silent(world: &World) -> bool {
    world.desk.standing().deaf_to(&id("checkout")).next().is_some()
}

/// Product §14: the soak clock runs only while no source of the service is known to be silent.
#[test]
fn what_nobody_could_tell_about_has_not_soaked() {
    let mut world = world();
    beats_for(&mut world, 29);
    assert_eq!((grade(&world), silent(&world)), (Grade::Baking, false));
    // The soak would be over at 30 min, and its last minute is not heard.
    world.pass(125);
    assert!(!silent(&world), "two are not missed yet");
    assert_eq!(grade(&world), Grade::Good, "what is not known to be silent is heard");

    let mut world = self::world();
    world.pass(127);
    assert!(silent(&world), "nothing was ever heard");
    world.pass(3600);
    assert_eq!(grade(&world), Grade::Baking, "nobody would have told of trouble");
    beats(&mut world);
    assert!(!silent(&world));
    beats_for(&mut world, 29);
    assert_eq!(grade(&world), Grade::Baking, "its soak begins when it is heard again");
    beats_for(&mut world, 1);
    assert_eq!(grade(&world), Grade::Good);
}

/// Whom the source may not speak about is not deaf.
#[test]
fn the_silence_of_another_services_source_is_nobody_elses() {
    let mut world = World::new(listening("search@production"));
    world.pass(3600);
    assert_eq!((grade(&world), silent(&world)), (Grade::Good, false));
    assert!(world.desk.standing().silent.contains_key(&"prometheus".into()));
}

/// A release that goes out while nobody would notice what it breaks is told at once, and once.
#[test]
fn a_release_that_nobody_would_hear_of_is_told_when_it_goes_out() {
    let mut world = world();
    world.pass(200);
    assert!(silent(&world));
    assert!(!world.told().contains("would not be noticed"), "nothing goes out:\n{}", world.told());
    world.puts_out("checkout", "v3");
    world.pass(1200);
    let told: Vec<String> =
        world.told().lines().filter(|line| line.contains("told:")).map(str::to_owned).collect();
    assert_eq!(told.len(), 1, "{}", world.told());
    assert!(
        told[0].contains("checkout@production: v3") && told[0].contains("prometheus is silent since"),
        "{told:?}"
    );

    // What fires already, and is nobody's case, says nothing of another release either.
    let mut world = self::world();
    beats_for(&mut world, 40);
    world.hears(vec![Signal { received_at: world.now, ..alert("checkout", "f1", world.now) }]);
    for _ in 0..60 {
        beats_for(&mut world, 1);
    }
    world.puts_out("checkout", "v3");
    beats_for(&mut world, 6);
    assert!(world.told().contains("HighErrorRate fires already, since"), "{}", world.told());
    // Whom everybody hears goes out in silence.
    let mut world = self::world();
    beats_for(&mut world, 40);
    world.puts_out("checkout", "v3");
    beats_for(&mut world, 6);
    assert!(!world.told().contains("would not be noticed"), "{}", world.told());
}

/// Too many dead letters within an hour wake people once, until there are fewer.
#[test]
fn too_many_dead_letters_wake_people_until_there_are_fewer() {
    let mut settings = settings(row(Verdict::Notify));
    let shared = Arc::get_mut(&mut settings.shared).expect("nobody else has them");
    shared.dead_letters_max = 2;
    let pager = Pager {
        asks_of: BTreeSet::new(),
        on: BTreeSet::from([Cause::DeadLetters]),
        unanswered_after: Duration::from_mins(3),
    };
    shared.pagers.insert("night".into(), pager);
    let mut world = World::new(settings);
    let dies = |world: &mut World, id: u64| {
        let content = Content::Dead("no JSON".into());
        world.arrives(vec![Arrival::Delivery { id: DeliveryId(id), source: "prometheus".into(), content }]);
        world.pass(60);
    };
    let woken = |world: &World| {
        let told = world.told();
        let says = |line: &&str| line.contains("night is told");
        told.lines().filter(says).map(str::to_owned).collect::<Vec<String>>()
    };
    (1..=2).for_each(|id| dies(&mut world, id));
    assert!(woken(&world).is_empty(), "{:?}", woken(&world));
    (3..=6).for_each(|id| dies(&mut world, id));
    assert_eq!(woken(&world).len(), 1, "{:?}", woken(&world));
    assert!(woken(&world)[0].contains("DeadLetters"), "{:?}", woken(&world));
    // Each counts for an hour: the last but one of six is over after it.
    world.pass(3600 - 120);
    assert_eq!(woken(&world).len(), 2, "{:?}", woken(&world));
    assert!(woken(&world)[1].contains("None"), "{:?}", woken(&world));
}
