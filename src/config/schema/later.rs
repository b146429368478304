//! The shape of what the contract names and this version does not honour.
#![expect(dead_code, reason = "the shapes are only described, never filled")]

use schemars::JsonSchema;

use super::shapes::Length;

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Probe {
    /// A request. Exactly one of `http`, `promql` and `command`.
    http: Option<ProbeHttp>,
    /// A query.
    promql: Option<ProbePromql>,
    /// A command.
    command: Option<ProbeCommand>,
    /// How long it runs after each deployment. Default 10m.
    watch_for: Option<Length>,
    /// How often, at least 1s. Default 15s.
    every: Option<Length>,
    /// So many failures in a row are a signal. Default 3.
    #[schemars(range(min = 1, max = 1000))]
    failures: Option<u32>,
    /// The signal's severity. Default critical.
    severity: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ProbeHttp {
    /// What is asked.
    url: String,
    /// The status that is health. Default 200.
    expect_status: Option<u16>,
    /// How long it may take, at most 10m. Default 3s.
    timeout: Option<Length>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ProbePromql {
    /// The Prometheus server.
    url: String,
    /// What is asked.
    query: String,
    /// What is health, such as `< 0.01`: each sample must be so.
    expect: String,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ProbeCommand {
    /// The program and its words; no shell reads them. It runs beside this file.
    argv: Vec<String>,
    /// How long it may take, at most 10m. Default 60s.
    timeout: Option<Length>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Plan {
    /// Steps before the provider's.
    before: Option<Vec<PlanStep>>,
    /// Steps after it.
    after: Option<Vec<PlanStep>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PlanStep {
    /// A request.
    http: Option<StepHttp>,
    /// A command.
    command: Option<StepCommand>,
    /// What a failure means for the plan.
    on_failure: Option<OnFailure>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum OnFailure {
    Stop,
    Continue,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct StepHttp {
    /// What people call it.
    name: Option<String>,
    /// The method.
    method: Option<String>,
    /// Where.
    url: Option<String>,
    /// What is sent.
    body: Option<String>,
    /// How long it may take.
    timeout: Option<Length>,
    /// Whether it may be sent again after a lost answer.
    repeatable: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct StepCommand {
    /// What people call it.
    name: Option<String>,
    /// The program and its words.
    argv: Option<Vec<String>>,
    /// How long it may take.
    timeout: Option<Length>,
    /// Whether it may be run again after a lost answer.
    repeatable: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Evidence {
    /// A folder or an object store.
    store: Option<String>,
    /// It never delays the act longer.
    budget: Option<Length>,
}
