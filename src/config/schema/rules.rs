//! The shape of `rules.toml`.
#![expect(dead_code, reason = "the shapes are only described, never filled")]

use schemars::JsonSchema;

use super::shapes::Length;

/// Rule tables of Snapback: an ordered list of rows over one case. The first row that does not answer *no* governs.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Rules {
    /// The rows, in order.
    rule: Option<Vec<Rule>>,
}

/// One row. A key that is absent sets no condition.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Rule {
    /// Its name: threads and records speak of the row by it.
    name: String,
    /// Matchers in Alertmanager's syntax; all must hold for one and the same signal.
    #[schemars(rename = "match")]
    matchers: Option<Vec<String>>,
    /// Patterns of the service to be changed, such as `payments@*`.
    service: Option<Vec<String>>,
    /// Tiers of the service to be changed.
    tier: Option<Vec<String>>,
    /// From the suspect's first traffic until so long after it finished going out. Default 30m.
    window: Option<Length>,
    /// The least suspicion. Default 0.7 for rollback, 0.5 for approve, 0.3 for notify.
    #[schemars(range(min = 0.0, max = 1.0))]
    suspicion: Option<f64>,
    /// So many distinct episodes of the case within so long.
    alerts: Option<Alerts>,
    /// The signal must have fired for so long, counted from its start time.
    firing_for: Option<Length>,
    /// A signal older than this when it arrives: at most notify. Default 15m.
    stale_after: Option<Length>,
    /// A CEL expression, for what matchers cannot say; must hold for the same signal as `match`.
    #[schemars(length(max = 512))]
    when: Option<String>,
    /// Holds only in one of these named times.
    during: Option<Vec<String>>,
    /// Holds in none of these named times.
    not_during: Option<Vec<String>>,
    /// Whether the row decides, is judged beside the others, or is off. Default live.
    mode: Option<RowMode>,
    /// What is done.
    action: Action,
    /// In sight of people, before an automatic act. Default 30s.
    countdown: Option<Length>,
    /// Whether it may act automatically on a service that the signalling service depends on. Default false.
    dependency: Option<bool>,
    /// Who may say yes, `[approvals.NAME]`. Default: the service's.
    approval: Option<String>,
    /// How recovery is judged, `[verify.NAME]`. Default: the service's.
    verify: Option<String>,
    /// What a resolve of all signals means before the act. Default suspend.
    on_resolve: Option<OnResolve>,
}

/// So many distinct episodes within so long.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Alerts {
    /// The least number.
    #[schemars(range(min = 1, max = 1000))]
    at_least: u32,
    /// The span of time.
    within: Length,
}

/// Whether a row decides.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum RowMode {
    Live,
    Shadow,
    Off,
}

/// What is done.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Action {
    Ignore,
    Notify,
    Approve,
    Rollback,
}

/// What a resolve of all signals means before the act.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum OnResolve {
    Suspend,
    Cancel,
    Continue,
}
