//! `kill -9` on the real program with its real store, while it takes a release back through the pretend CodeDeploy. Judged
//! by CodeDeploy's own log: exactly one deployment of ours in each round, nothing forgotten, and the same ending as without
//! a kill. `scripts/violence --kills N --seed S` runs as many as wanted.

mod aws;
mod binary;
mod codedeploy_bed;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration as StdDuration, Instant};

use aws::codedeploy::Ends;
use aws::{Aws, Wire};
use binary::{Program, head, on_codedeploy, wait_until};
use codedeploy_bed::{APPLICATION, GROUP, Platform, furnish, labels, put_out, with_group};
use serde_json::Value;
use snapback::case::id::{Duration, Timestamp};

/// Rounds in `scripts/test`.
const KILLS: u64 = 40;
/// Rounds that are played at once: they mostly wait.
const LANES: usize = 6;

/// When the program is killed, and what else goes wrong in the round.
#[derive(Clone, Copy, Debug)]
struct Plan {
    platform: Platform,
    story: Story,
    kill: Kill,
    /// The reply to the first request is lost.
    loses_reply: bool,
    /// A new deployment is listed so much later.
    list_delay_ms: i64,
}

/// What is taken back, and how that goes without a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    /// A release that went out whole: a new deployment, recovered.
    Finished,
    /// A release that is still going out: stopped, and CodeDeploy goes back; recovered.
    GoingOut,
    /// The new deployment fails: failed.
    Fails,
}

/// When it is killed.
#[derive(Clone, Copy, Debug)]
enum Kill {
    /// So long after the alert was accepted.
    AfterAlert(u64),
    /// So long after this operation reached CodeDeploy.
    After(&'static str, u64),
}

/// How a round ended.
#[derive(Debug, Default)]
struct Told {
    effects: usize,
    /// What is not as it is without a kill.
    differs: Option<String>,
}

#[test]
fn a_kill_at_any_moment_leads_to_one_deployment_and_the_same_ending() {
    let (kills, seed) = (wanted("SNAPBACK_KILLS", KILLS), wanted("SNAPBACK_SEED", 1));
    let mut chance = fastrand::Rng::with_seed(seed);
    let plans: Mutex<VecDeque<Plan>> = Mutex::new((0..kills).map(|_| plan(&mut chance)).collect());
    let told: Mutex<Vec<(Plan, Told)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(plan) = { plans.lock().expect("plans").pop_front() } {
                    let ended = play(plan);
                    told.lock().expect("told").push((plan, ended));
                }
            });
        }
    });
    let told = told.into_inner().expect("told");
    let effects: usize = told.iter().map(|(_, told)| told.effects).sum();
    let doubled = told.iter().filter(|(_, told)| told.effects > 1).count();
    let lost = told.iter().filter(|(_, told)| told.effects == 0).count();
    let differ: Vec<_> = told.iter().filter(|(_, told)| told.differs.is_some()).collect();
    println!(
        "kills {}, effects {effects}, doubled {doubled}, lost {lost}, ending differs {} (seed {seed})",
        told.len(),
        differ.len()
    );
    assert_eq!(told.len() as u64, kills);
    assert!(doubled == 0 && lost == 0 && differ.is_empty(), "{differ:#?}");
}

#[expect(clippy::disallowed_methods, reason = "scripts/violence says how many and from which seed")]
fn wanted(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|wanted| wanted.parse().ok()).unwrap_or(otherwise)
}

fn plan(chance: &mut fastrand::Rng) -> Plan {
    let story = [Story::Finished, Story::Finished, Story::GoingOut, Story::Fails][chance.usize(0..4)];
    let mutation = if story == Story::GoingOut { "StopDeployment" } else { "CreateDeployment" };
    let kill = match chance.u8(0..8) {
        0 => Kill::AfterAlert(chance.u64(0..50)),
        1 => Kill::AfterAlert(chance.u64(0..4000)),
        2 => Kill::After("GetDeploymentGroup", chance.u64(0..30)),
        3 => Kill::After("BatchGetDeployments", chance.u64(0..5)),
        4 | 5 => Kill::After(mutation, chance.u64(0..10)),
        6 => Kill::After(mutation, chance.u64(0..3000)),
        _ => Kill::After("GetDeployment", chance.u64(0..100)),
    };
    Plan {
        platform: [Platform::InPlace, Platform::BlueGreen, Platform::Ecs, Platform::Lambda]
            [chance.usize(0..4)],
        story,
        kill,
        loses_reply: chance.u8(0..3) == 0,
        list_delay_ms: if chance.bool() { 0 } else { chance.i64(0..1500) },
    }
}

/// One round: an alert, a kill, a new start, and everything to its end.
fn play(plan: Plan) -> Told {
    let aws = world(plan);
    let mut program = Program::start(&config(&aws.url()), RULES);
    program.wait("the provider to be read", "/v1/services/checkout@production", |service| {
        service["current"].is_string()
    });
    if plan.story == Story::GoingOut {
        going_out(&aws, &program, plan.platform);
    }
    let heard = match plan.kill {
        Kill::AfterAlert(_) => None,
        Kill::After(operation, _) => Some(aws.hear(operation)),
    };
    let fired_at = aws.now();
    assert_eq!(program.post(&labels(), fired_at, None), 200, "the alert is accepted");
    let wait = match plan.kill {
        Kill::AfterAlert(millis) | Kill::After(_, millis) => StdDuration::from_millis(millis),
    };
    if let Some(heard) = heard {
        heard
            .recv_timeout(binary::DEADLINE)
            .unwrap_or_else(|_| panic!("{plan:?} never came:\n{}", program.said()));
    }
    pause(wait);
    program.kill();
    program.start_again();
    see_it_through(&aws, &program, plan, fired_at)
}

fn world(plan: Plan) -> Arc<Aws> {
    let aws = Aws::real();
    aws.listen();
    furnish(&aws, plan.platform);
    with_group(&aws, |group| {
        group.takes = Duration::from_millis(500);
        group.bakes = Duration::ZERO;
    });
    let second = if plan.story == Story::GoingOut { 3600 } else { 120 };
    for (number, seconds_ago) in [(1, 7200), (2, second)] {
        put_out(&aws, plan.platform, number, seconds_ago);
    }
    aws.state().list_delay = Duration::from_millis(plan.list_delay_ms);
    if plan.story == Story::Fails {
        with_group(&aws, |group| group.next_ends = vec![Ends::Fails("HEALTH_CONSTRAINTS", "Install")]);
    }
    if plan.loses_reply {
        aws.fault("CreateDeployment", Wire::ResetAfter);
        aws.fault("StopDeployment", Wire::ResetAfter);
    }
    aws
}

/// Release 2 has soaked, and release 3 is on its way: long enough for every kill and the quarantine after it.
fn going_out(aws: &Aws, program: &Program, platform: Platform) {
    let second = platform.release(2);
    program.wait("release 2 to be good", "/v1/services/checkout@production", |service| {
        let releases = service["releases"].as_array().into_iter().flatten();
        releases.into_iter().any(|of| of["release"] == second.as_str() && of["ledger"] == "good")
    });
    with_group(aws, |group| group.takes = Duration::from_secs(90));
    put_out(aws, platform, 3, 12);
}

/// Waits for the one act, lets the alert clear where it helped, and waits for the end.
fn see_it_through(aws: &Arc<Aws>, program: &Program, plan: Plan, fired_at: Timestamp) -> Told {
    let told = |why: &str| format!("{plan:?}: {why}\n{:?}\n{}", aws.state().effects, program.said());
    if !wait_until(|| has_acted(aws, plan.story)) {
        return Told { effects: acts(aws), differs: Some(told("nothing was done")) };
    }
    if plan.story != Story::Fails {
        let cleared_at = aws.now();
        // As Alertmanager does: again until somebody took it.
        wait_until(|| program.post(&labels(), fired_at, Some(cleared_at)) == 200);
    }
    let mut last = Value::Null;
    let ended = wait_until(|| {
        last = program.get("/v1/cases").unwrap_or_default();
        last["cases"][0]["outcome"].is_string()
    });
    let case = &last["cases"][0];
    let service = program.get("/v1/services/checkout@production").unwrap_or_default();
    let locked =
        service["releases"].as_array().into_iter().flatten().filter(|of| of["locked"] == true).count();
    let (outcome, locks) = if plan.story == Story::Fails { ("failed", 0) } else { ("recovered", 1) };
    let same = ended && case["outcome"] == outcome && last["cases"].as_array().map(Vec::len) == Some(1);
    let differs = (!same || locked != locks).then(|| told(&format!("locked {locked}, {case:#}")));
    Told { effects: acts(aws), differs }
}

/// What we did, by CodeDeploy's log; its own way back after a stop is the stop's.
fn acts(aws: &Aws) -> usize {
    aws.state().effects.iter().filter(|effect| !effect.starts_with("rollback")).count()
}

/// The act has been done, and its deployment is over; a way back after a stop is hurried on.
fn has_acted(aws: &Aws, story: Story) -> bool {
    let mut state = aws.state();
    match story {
        Story::Finished => state.marked().iter().any(|deployment| deployment.status == "Succeeded"),
        Story::Fails => state.marked().iter().any(|deployment| deployment.is_over()),
        Story::GoingOut => {
            let stopped = state.effects.iter().any(|effect| effect.starts_with("rollback"));
            if stopped {
                let group = state.groups.get_mut(&(APPLICATION.into(), GROUP.into())).expect("a group");
                group.takes = Duration::from_millis(500);
            }
            stopped && state.deployments.values().any(|of| of.creator == "codeDeployRollback" && of.is_over())
        }
    }
}

/// Waits without a sleeping call: the moment of the kill is what is varied, and not what is waited for.
#[expect(clippy::disallowed_methods, reason = "how long the program lives is what is varied")]
fn pause(length: StdDuration) {
    let begun = Instant::now();
    while begun.elapsed() < length {
        std::thread::park_timeout(length.saturating_sub(begun.elapsed()));
    }
}

fn config(url: &str) -> String {
    let service = on_codedeploy(url);
    format!("{}{SETTINGS}{service}soak = \"1s\"\nmigrations = \"none\"\n", head("live"))
}

const SETTINGS: &str = r#"
[guards]
clock_skew = "1s"
episode_settle = "60s"

[verify.default]
settle = "1s"
within = "60s"
clear_for = "1s"
"#;

const RULES: &str = r#"[[rule]]
name = "take it back"
action = "rollback"
countdown = "1s"
"#;
