//! The shape of `[pages.NAME]`.
#![expect(dead_code, reason = "the shapes are only described, never filled")]

use schemars::JsonSchema;

use super::shapes::{Length, Secret};

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Page {
    /// How people are woken. Default pagerduty.
    kind: Option<PageKind>,
    /// PagerDuty's integration key, of an Events API v2 integration.
    routing_key: Option<Secret>,
    /// What proves us at a webhook.
    bearer_token: Option<Secret>,
    /// A webhook's address; for PagerDuty that of another region.
    url: Option<String>,
    /// What wakes people: approval:TIER, not_recovered, unverified, failed, needs_human, hold.
    on: Option<Vec<String>>,
    /// A question that nobody decided for so long wakes people. Default 3m.
    unanswered_after: Option<Length>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum PageKind {
    Pagerduty,
    Webhook,
}
