//! The shape of what the contract names and this version does not honour.
#![expect(dead_code, reason = "the shapes are only described, never filled")]

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::shapes::{Length, Secret};

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
    /// Steps before the provider's, at most 16.
    before: Option<Vec<PlanStep>>,
    /// Steps after it, at most 16.
    after: Option<Vec<PlanStep>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PlanStep {
    /// A request. Exactly one of `http` and `command`.
    http: Option<StepHttp>,
    /// A program.
    command: Option<StepCommand>,
    /// What a failure means for the plan. Default stop before, continue after.
    on_failure: Option<OnFailure>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum OnFailure {
    Stop,
    Continue,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "UPPERCASE")]
enum Method {
    Post,
    Put,
    Patch,
    Delete,
    Get,
}

/// A header: a text, or a secret.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Header {
    Text(String),
    Secret(Secret),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct StepHttp {
    /// What people call it: they approve it by this.
    name: String,
    /// The method. Default POST.
    method: Option<Method>,
    /// Where.
    url: String,
    /// What goes along; one that sounds like a secret is one.
    headers: Option<BTreeMap<String, Header>>,
    /// What is sent, at most 16 KiB; JSON is sent as such where no header says otherwise.
    body: Option<String>,
    /// How long it may take, at most 1m. Default 10s.
    timeout: Option<Length>,
    /// To send it twice does no harm: after a lost answer it is sent once more. Default false.
    repeatable: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct StepCommand {
    /// What people call it: they approve it by this.
    name: String,
    /// The program and its words; no shell reads them. It runs beside this file.
    argv: Vec<String>,
    /// What it finds in its environment beside `PATH` and what Snapback says.
    environment: Option<BTreeMap<String, Secret>>,
    /// How long it may take, at most 30m. Default 60s.
    timeout: Option<Length>,
    /// To run it twice does no harm: where its end was not seen it is run once more. Default false.
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
