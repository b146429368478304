//! `[probes.NAME]`: the checks by which services are watched after each deployment. What is checked is read here as settings;
//! the room `probe` makes the check.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::later::argv;
use super::read::{At, Table};
use super::server::public_url;
use super::services::unknown_name;
use crate::case::expectation::Expectation;
use crate::case::id::{Duration, ProbeName};
use crate::case::probe::ProbePolicy;

/// A check by HTTP waits so long for its answer where it says nothing.
const HTTP_TIMEOUT: Duration = Duration::from_secs(3);
/// A program runs so long at most where it says nothing.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// A check that takes longer says nothing while it matters.
const TIMEOUT_MAX: Duration = Duration::from_mins(10);
/// Oftener than this is load, and no knowledge.
const EVERY_MIN: Duration = Duration::from_secs(1);

/// A probe: when it runs, and what it checks.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeSettings {
    /// When, and what its failures mean.
    pub policy: ProbePolicy,
    /// What.
    pub check: CheckSettings,
}

/// What a probe checks.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckSettings {
    /// That a GET is answered with a status.
    Http {
        /// The address, as it is written.
        url: String,
        /// The status.
        expect_status: u16,
        /// Within so long.
        timeout: Duration,
    },
    /// That a query's samples are as expected.
    Promql {
        /// The Prometheus.
        url: String,
        /// The query.
        query: String,
        /// What each sample must be.
        expect: Expectation,
    },
    /// That a program ends with status 0.
    Command {
        /// Its words.
        argv: Vec<String>,
        /// Where it runs: beside the configuration.
        folder: PathBuf,
        /// Within so long.
        timeout: Duration,
    },
}

/// All that are written, by name; `None`: one that is faulty.
pub(super) type Probes = BTreeMap<ProbeName, Option<ProbeSettings>>;

/// Reads `[probes.NAME]`.
pub(super) fn probes(root: &Table<'_>) -> Probes {
    let read = |(name, table): (At<&str>, Table<'_>)| {
        let policy = policy(ProbeName::new(name.value), &table);
        let check = check(&name, &table);
        (policy.name.clone(), check.map(|check| ProbeSettings { policy, check }))
    };
    root.named_tables("probes").into_iter().map(read).collect()
}

/// The probes that a service names.
pub(super) fn of_service(table: &Table<'_>, known: &Probes) -> Vec<ProbePolicy> {
    let mut probes: Vec<ProbePolicy> = Vec::new();
    for name in table.texts("probes").map(|list| list.value).unwrap_or_default() {
        match known.get(&ProbeName::new(name.value)) {
            None => unknown_name(table.page(), &name, "probe", "probes", known.keys().map(ProbeName::as_str)),
            Some(Some(probe)) if !probes.contains(&probe.policy) => probes.push(probe.policy.clone()),
            Some(_) => {}
        }
    }
    probes
}

fn policy(name: ProbeName, table: &Table<'_>) -> ProbePolicy {
    let mut policy = ProbePolicy::new(name);
    if let Some(watch_for) = table.some_length("watch_for") {
        policy.watch_for = watch_for.value;
    }
    if let Some(every) = table.some_length("every") {
        if every.value < EVERY_MIN {
            let fault = format!("a probe every {:#} is load, and no knowledge", every.value);
            table.page().fault(every.span, fault, format!("write {EVERY_MIN:#} or more"));
        }
        policy.every = every.value;
    }
    if let Some(failures) = table.whole("failures", 1..=1000) {
        policy.failures = u32::try_from(failures.value).unwrap_or(policy.failures);
    }
    if let Some(severity) = table.text("severity") {
        policy.severity = severity.value.to_owned();
    }
    heard(table, &policy);
    policy
}

/// A warning where the failures that it takes cannot happen while a deployment is watched.
fn heard(table: &Table<'_>, policy: &ProbePolicy) {
    // The first run begins when the deployment ends.
    let takes =
        policy.every.saturating_mul(i32::try_from(policy.failures.saturating_sub(1)).unwrap_or(i32::MAX));
    if takes < policy.watch_for {
        return;
    }
    let written = ["failures", "every", "watch_for"].into_iter().find(|key| table.has(key));
    table.page().warning(
        written.map_or_else(|| table.span(), |key| table.key_span(key)),
        format!(
            "{} failures every {:#} take {takes:#}, and a deployment is watched for {:#}: this probe never blames one",
            policy.failures, policy.every, policy.watch_for
        ),
        "make `failures` or `every` smaller, or `watch_for` longer",
    );
}

fn check(name: &At<&str>, table: &Table<'_>) -> Option<CheckSettings> {
    let http = table.table("http").map(|inner| http(&inner));
    let promql = table.table("promql").map(|inner| promql(&inner));
    let command = table.table("command").map(|inner| command(&inner));
    let mut kinds: Vec<Option<CheckSettings>> = [http, promql, command].into_iter().flatten().collect();
    let (what, remedy) = match kinds.len() {
        1 => return kinds.pop().flatten(),
        0 => ("checks nothing", "give it one of `http`, `promql` and `command`"),
        _ => ("checks several things", "make a probe of each of `http`, `promql` and `command`"),
    };
    table.page().fault(name.span.clone(), format!("the probe {} {what}", name.value), remedy);
    None
}

fn http(table: &Table<'_>) -> Option<CheckSettings> {
    let timeout = timeout(table, HTTP_TIMEOUT);
    let expect_status = table.whole("expect_status", 100..=599);
    let url =
        required(table, "url", "write what is asked, such as url = \"https://checkout.example.com/health\"")?;
    public_url(table.page(), &url)?;
    Some(CheckSettings::Http {
        // As it is written: its path may well end with a slash.
        url: url.value.to_owned(),
        expect_status: expect_status.and_then(|status| u16::try_from(status.value).ok()).unwrap_or(200),
        timeout,
    })
}

fn promql(table: &Table<'_>) -> Option<CheckSettings> {
    let url = required(table, "url", "write which Prometheus is asked: url = \"http://prometheus:9090\"");
    let url = url.and_then(|url| public_url(table.page(), &url));
    let query = required(table, "query", "write the query, in PromQL");
    let expect = required(table, "expect", "write what is health, such as expect = \"< 0.01\"")?;
    let Some(expectation) = Expectation::parse(expect.value) else {
        table.page().fault(
            expect.span,
            "`expect` is no comparison with a number",
            "write one of <, <=, >, >=, == and != and a number, such as \"< 0.01\"",
        );
        return None;
    };
    Some(CheckSettings::Promql { url: url?, query: query?.value.to_owned(), expect: expectation })
}

fn command(table: &Table<'_>) -> Option<CheckSettings> {
    let timeout = timeout(table, COMMAND_TIMEOUT);
    if !table.has("argv") {
        table.missing("argv", "write the program and its words: argv = [\"./smoke.sh\"]");
    }
    Some(CheckSettings::Command { argv: argv(table)?, folder: table.page().path("."), timeout })
}

fn required<'a>(table: &Table<'a>, key: &'static str, remedy: &str) -> Option<At<&'a str>> {
    if !table.has(key) {
        table.missing(key, remedy);
    }
    table.text(key)
}

fn timeout(table: &Table<'_>, default: Duration) -> Duration {
    let Some(timeout) = table.some_length("timeout") else { return default };
    if timeout.value > TIMEOUT_MAX {
        table.page().fault(
            timeout.span,
            "a check that takes so long says nothing while it matters",
            format!("write {TIMEOUT_MAX:#} or less"),
        );
    }
    timeout.value
}
