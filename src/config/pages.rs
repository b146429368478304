//! `[pages.NAME]`: who wakes people, and what for. Leaves to `case::pager` what follows.

use std::collections::BTreeSet;

use super::fault::quoted;
use super::providers::is_loopback;
use super::read::{At, Table};
use super::secret::{Secret, secret};
use super::server::public_url;
use super::spell;
use crate::case::id::{Duration, PagerName};
use crate::case::pager::{Cause, Pager};

/// Where PagerDuty takes events; accounts of its EU region name another.
const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";
/// A question that nobody decided for so long wakes people, where the file does not say.
const UNANSWERED_AFTER: Duration = Duration::from_mins(3);
/// What wakes people where the file does not say.
const ON: [Cause; 5] =
    [Cause::NotRecovered, Cause::Unverified, Cause::Failed, Cause::NeedsHuman, Cause::Hold];
/// What `on` can name beside the tiers.
const CAUSES: [Cause; 6] = [
    Cause::NotRecovered,
    Cause::Unverified,
    Cause::Failed,
    Cause::NeedsHuman,
    Cause::Hold,
    Cause::DeadLetters,
];
/// Whose questions wake people at once where the file does not say.
const ASKS_OF: &str = "critical";
/// How a tier is named in `on`.
const OF_TIER: &str = "approval:";

/// A pager.
#[derive(Clone, Debug, PartialEq)]
pub struct PageSettings {
    /// Its name.
    pub name: PagerName,
    /// What it speaks to.
    pub kind: PageKind,
    /// Where.
    pub url: String,
    /// What wakes people.
    pub pager: Pager,
}

/// What a pager speaks to.
#[derive(Clone, Debug, PartialEq)]
pub enum PageKind {
    /// PagerDuty's Events API v2, by this integration key.
    PagerDuty {
        /// The key.
        routing_key: Secret,
    },
    /// A webhook of one's own.
    Webhook {
        /// What proves us there.
        bearer_token: Option<Secret>,
    },
}

/// The kinds as words of the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    PagerDuty,
    Webhook,
}

/// Reads `[pages.NAME]`. `tiers` are those of the services.
pub(super) fn pages(root: &Table<'_>, tiers: &BTreeSet<&str>) -> Vec<PageSettings> {
    let tables = root.named_tables("pages");
    tables.iter().filter_map(|(name, table)| page(name, table, tiers)).collect()
}

fn page(name: &At<&str>, table: &Table<'_>, tiers: &BTreeSet<&str>) -> Option<PageSettings> {
    let words = [("pagerduty", Word::PagerDuty), ("webhook", Word::Webhook)];
    let word = table.word("kind", &words).map_or(Word::PagerDuty, |word| word.value);
    let routing_key = secret(table, "routing_key").map(|secret| secret.value);
    let bearer_token = secret(table, "bearer_token").map(|secret| secret.value);
    let url = url(table, word);
    let (asks_of, on) = on(table, tiers);
    let unanswered_after =
        table.some_length("unanswered_after").map_or(UNANSWERED_AFTER, |length| length.value);
    let other = match word {
        Word::PagerDuty => ("bearer_token", "a webhook", "take it out, or write kind = \"webhook\""),
        Word::Webhook => ("routing_key", "PagerDuty", "take it out, or write kind = \"pagerduty\""),
    };
    if table.has(other.0) {
        let message = format!("`{}` is for {}", other.0, other.1);
        table.page().fault(table.key_span(other.0), message, other.2);
    }
    let kind = match word {
        Word::PagerDuty => {
            if !table.has("routing_key") {
                table.missing("routing_key", "write routing_key = { env = \"PAGERDUTY_ROUTING_KEY\" }: the integration key of an Events API v2 integration");
            }
            PageKind::PagerDuty { routing_key: routing_key? }
        }
        Word::Webhook => PageKind::Webhook { bearer_token },
    };
    let pager = Pager { asks_of, on, unanswered_after };
    Some(PageSettings { name: PagerName::new(name.value), kind, url: url?, pager })
}

fn url(table: &Table<'_>, word: Word) -> Option<String> {
    let Some(url) = table.text("url") else {
        if word == Word::Webhook && !table.has("url") {
            table.missing("url", "write where the webhook is: url = \"https://wake.example.com/snapback\"");
        }
        return (word == Word::PagerDuty && !table.has("url")).then(|| PAGERDUTY_URL.to_owned());
    };
    let sound = public_url(table.page(), &url)?;
    if sound.starts_with("http://") && !is_loopback(&sound) {
        table.page().fault(
            url.span,
            "`url` leaves this machine without TLS, and what proves us with it",
            "write https://, or an address of this machine",
        );
        return None;
    }
    // As it is written: a webhook's path may well end with a slash.
    Some(url.value.to_owned())
}

/// `on`: the tiers whose questions wake people at once, and what else does.
fn on(table: &Table<'_>, tiers: &BTreeSet<&str>) -> (BTreeSet<String>, BTreeSet<Cause>) {
    let Some(list) = table.texts("on") else {
        return (BTreeSet::from([ASKS_OF.to_owned()]), BTreeSet::from(ON));
    };
    let (mut asks_of, mut on) = (BTreeSet::new(), BTreeSet::new());
    for word in list.value {
        if let Some(tier) = word.value.strip_prefix(OF_TIER) {
            known_tier(table, &word, tier, tiers);
            asks_of.insert(tier.to_owned());
        } else if let Some(cause) = CAUSES.into_iter().find(|cause| cause.word() == word.value) {
            on.insert(cause);
        } else {
            unknown(table, &word);
        }
    }
    (asks_of, on)
}

fn known_tier(table: &Table<'_>, word: &At<&str>, tier: &str, tiers: &BTreeSet<&str>) {
    if !tiers.contains(tier) {
        let remedy = match spell::nearest(tier, tiers.iter().copied()) {
            Some(meant) => format!("did you mean \"{OF_TIER}{meant}\"?"),
            None => "give a service this `tier`, or take it out".into(),
        };
        table.page().fault(word.span.clone(), format!("no service has tier {}", quoted(tier)), remedy);
    }
}

fn unknown(table: &Table<'_>, word: &At<&str>) {
    let known = CAUSES.map(Cause::word);
    let remedy = match spell::nearest(word.value, known) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("write one of {}, or {OF_TIER}TIER", super::read::listed(&known)),
    };
    table.page().fault(word.span.clone(), format!("{} wakes nobody", quoted(word.value)), remedy);
}
