//! Stories at the desk about what providers report themselves: a deployment that failed or is stuck is a signal without any alert.
//! The desk, the gate and the cases are the real ones; `desk_world` plays everything around them.

#[allow(dead_code, reason = "the world is shared, and tells more than these stories need")]
mod desk_world;

use desk_world::{World, row, settings};
use snapback::case::decide::Verdict;
use snapback::case::deployment::Report;
use snapback::case::id::{DeploymentId, Duration};
use snapback::case::phase::Outcome;

/// v3 goes out over v2, which is an hour old, and is seen; gives its deployment.
fn v3_is_out(world: &mut World) -> DeploymentId {
    world.pass(3600);
    world.puts_out("checkout", "v3");
    let deployment = world.provider("checkout").deployments.last().expect("it went out").id.clone();
    world.pass(301);
    deployment
}

fn report(world: &mut World, deployment: &DeploymentId) {
    let since = world.now;
    let says = "it failed: HEALTH_CONSTRAINTS: too few healthy".to_owned();
    world.provider("checkout").reports = vec![Report { deployment: deployment.clone(), since, says }];
}

#[test]
fn what_its_provider_reports_goes_back_without_an_alert_and_clears_with_the_report() {
    let mut world = World::new(settings(row(Verdict::Rollback)));
    let deployment = v3_is_out(&mut world);
    report(&mut world, &deployment);
    world.pass(301 + 60);
    assert_eq!(world.requests.len(), 1, "{}", world.told());
    assert_eq!(world.requests[0].to.as_str(), "v2", "{}", world.told());
    assert!(world.told().contains("HEALTH_CONSTRAINTS: too few healthy"), "{}", world.told());
    // The same report again and again is one signal.
    assert_eq!(world.dossier("checkout").episodes.len(), 1);
    world.provider("checkout").reports.clear();
    world.pass(600);
    assert_eq!(world.outcomes("checkout"), [Outcome::Recovered], "{}", world.told());
}

#[test]
fn a_report_is_about_the_deployment_that_it_names_and_no_other() {
    let mut world = World::new(settings(row(Verdict::Rollback)));
    let deployment = v3_is_out(&mut world);
    report(&mut world, &deployment);
    // Somebody put v2 out again a moment before it was told, and it serves.
    world.puts_out("checkout", "v2");
    world.pass(600);
    assert!(world.requests.is_empty(), "{}", world.told());
}

/// A report that its provider takes back before anything was done ends the case.
#[test]
fn a_report_that_is_taken_back_in_time_leads_to_nothing() {
    let mut world = World::new(settings(row(Verdict::Approve)));
    let deployment = v3_is_out(&mut world);
    report(&mut world, &deployment);
    world.pass(301);
    assert_eq!(world.stands("checkout"), "awaiting_approval", "{}", world.told());
    world.provider("checkout").reports.clear();
    world.pass(300);
    assert_eq!(world.outcomes("checkout"), [Outcome::Cleared], "{}", world.told());
    assert!(world.requests.is_empty());
}

/// A report that is days old when Snapback first looks is told at most.
#[test]
fn an_old_report_takes_nothing_back() {
    let mut world = World::new(settings(row(Verdict::Rollback)));
    let deployment = world.provider("checkout").deployments.last().expect("v2").id.clone();
    let since = world.now - Duration::from_hours(1);
    world.provider("checkout").reports = vec![Report { deployment, since, says: "it failed".into() }];
    world.pass(600);
    assert!(world.requests.is_empty(), "{}", world.told());
}
