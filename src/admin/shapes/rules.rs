//! The rule table in force as the API shows it: every key of every row, defaults filled in.

use serde::{Deserialize, Serialize};

use crate::case::id::{Duration, PolicyName};
use crate::case::rules::{Rule, RuleTable};

/// `GET /v1/rules`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RulesShape {
    /// The digest of the table; decisions name it.
    pub digest: String,
    /// The rows, in order.
    pub rules: Vec<RuleShape>,
}

/// One row, in the words of `rules.toml`. An empty list, or a key that is null, sets no condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleShape {
    /// Its name.
    pub name: String,
    /// Matchers: all must hold for one signal.
    #[serde(rename = "match")]
    pub matchers: Vec<String>,
    /// Patterns of the service that would be changed.
    pub service: Vec<String>,
    /// Tiers.
    pub tier: Vec<String>,
    /// How long after the suspect went out, in seconds.
    pub window: f64,
    /// The least suspicion.
    pub suspicion: f64,
    /// So many episodes within so long.
    pub alerts: Option<AlertsShape>,
    /// How long a signal must have been firing, in seconds.
    pub firing_for: Option<f64>,
    /// A signal that is older when it arrives allows at most a notice, in seconds.
    pub stale_after: f64,
    /// The expression.
    pub when: Option<String>,
    /// Times of which one must be now.
    pub during: Vec<String>,
    /// Times of which none may be now.
    pub not_during: Vec<String>,
    /// `live`, `shadow` or `off`.
    pub mode: String,
    /// `ignore`, `notify`, `approve` or `rollback`.
    pub action: String,
    /// How long an automatic act waits, in seconds.
    pub countdown: f64,
    /// Whether it may act on a service that the signalling one depends on.
    pub dependency: bool,
    /// Who may say yes; null: the service's own policy.
    pub approval: Option<String>,
    /// How recovery is judged; null: the service's own policy.
    pub verify: Option<String>,
    /// `suspend`, `cancel` or `continue`.
    pub on_resolve: String,
}

/// So many episodes within so long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertsShape {
    /// How many.
    pub at_least: u32,
    /// Within so long, in seconds.
    pub within: f64,
}

impl RulesShape {
    /// The table in force.
    pub fn of(rules: &RuleTable) -> RulesShape {
        RulesShape {
            digest: rules.digest().to_string(),
            rules: rules.rows().iter().map(RuleShape::of).collect(),
        }
    }
}

impl RuleShape {
    fn of(rule: &Rule) -> RuleShape {
        let names = |names: &[PolicyName]| names.iter().map(ToString::to_string).collect();
        RuleShape {
            name: rule.name.to_string(),
            matchers: rule.matchers.iter().map(ToString::to_string).collect(),
            service: rule.service.clone(),
            tier: rule.tier.clone(),
            window: rule.window.as_secs_f64(),
            suspicion: rule.suspicion,
            alerts: rule
                .alerts
                .map(|alerts| AlertsShape { at_least: alerts.at_least, within: alerts.within.as_secs_f64() }),
            firing_for: rule.firing_for.map(|length: Duration| length.as_secs_f64()),
            stale_after: rule.stale_after.as_secs_f64(),
            when: rule.when.as_ref().map(|when| when.text().to_owned()),
            during: names(&rule.during),
            not_during: names(&rule.not_during),
            mode: rule.mode.word().to_owned(),
            action: rule.action.word().to_owned(),
            countdown: rule.countdown.as_secs_f64(),
            dependency: rule.dependency,
            approval: rule.approval.as_ref().map(ToString::to_string),
            verify: rule.verify.as_ref().map(ToString::to_string),
            on_resolve: rule.on_resolve.word().to_owned(),
        }
    }
}
