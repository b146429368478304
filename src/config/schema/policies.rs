//! The shape of groups, policies and guards.
#![expect(dead_code, reason = "the shapes are only described, never filled")]

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::shapes::{Length, OneOrMany};

/// A group of people.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Group {
    /// Slack user ids.
    slack_users: Option<Vec<String>>,
    /// Slack user groups by id.
    slack_usergroups: Option<Vec<String>>,
}

/// Who may say yes.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Approval {
    /// Any of these groups; a list of lists means one from each.
    from: Vec<OneOrMany<String>>,
    /// So many distinct people. Default 1.
    #[schemars(range(min = 1, max = 20))]
    quorum: Option<u32>,
    /// How long a question stands. Default 15m.
    expires: Option<Length>,
    /// The suspect's author has no vote. Default false.
    not_the_author: Option<bool>,
    /// What an unanswered question becomes. Default notify.
    on_expiry: Option<OnExpiry>,
    /// One member of these groups alone may, with a reason.
    break_glass: Option<Vec<String>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum OnExpiry {
    Notify,
    Rollback,
}

/// How recovery is judged.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Verify {
    /// Nothing is judged for so long. Default 2m.
    settle: Option<Length>,
    /// Then recovery must show within so long. Default 20m.
    within: Option<Length>,
    /// And the signals stay clear for so long. Default 5m.
    clear_for: Option<Length>,
}

/// Times of the week, as in Alertmanager's time intervals.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Times {
    /// Days and ranges, such as `monday:friday`.
    weekdays: Option<Vec<String>>,
    /// Ranges of the day, such as `09:00-17:00`.
    times: Option<Vec<String>>,
    /// Days of the month and ranges, such as `1:5`; `-1` is the last.
    days_of_month: Option<Vec<String>>,
    /// Months and ranges, such as `may:august`.
    months: Option<Vec<String>>,
    /// Years and ranges, such as `2026:2028`.
    years: Option<Vec<String>>,
    /// The time zone, such as `Europe/Berlin`. Default UTC.
    location: Option<String>,
}

/// The limits of the guards.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Guards {
    /// After any rollback of the service: nothing automatic for so long. Default 30m.
    cooldown: Option<Length>,
    /// Automatic acts of one service, by window. Default { "30m" = 1, day = 3 }.
    budget_per_service: Option<BTreeMap<String, u32>>,
    /// Automatic acts of all services together, by window. Default { "10m" = 3, day = 10 }.
    budget: Option<BTreeMap<String, u32>>,
    /// Clocks may differ by so much. Default 10s.
    clock_skew: Option<Length>,
    /// No automatic acts during these times, by their names in `[times]`.
    not_during: Option<Vec<String>>,
    /// A provider that judges a deployment itself goes first for so long. Default 60s.
    provider_grace: Option<Length>,
    /// A clear must last so long before its episode ends. Default 5m.
    episode_settle: Option<Length>,
    /// So many services in trouble within so long: people decide. Default 3 in 5m.
    shared_outage: Option<SharedOutage>,
    /// A signal with so many episodes in a day proves little. Default 3.
    #[schemars(range(min = 1, max = 1000))]
    chronic_episodes: Option<u32>,
    /// Whole words in a commit's message by which it mends a fault of security or an incident. Default security, vulnerability, incident,
    /// outage, hotfix.
    fix_words: Option<Vec<String>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct SharedOutage {
    /// So many services.
    #[schemars(range(min = 2, max = 1000))]
    services: Option<u32>,
    /// Within so long.
    within: Option<Length>,
}
