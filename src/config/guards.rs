//! `[guards]` and `[verify.NAME]`: the limits of the guards, and how recovery is judged.

use std::collections::BTreeMap;

use super::fault::quoted;
use super::read::{At, Table, whole_of};
use super::services::unknown_name;
use super::times::Times;
use crate::case::id::{Duration, PolicyName};
use crate::case::length;
use crate::case::settings::{Budget, GuardSettings, VerifyPolicy};

/// More automatic acts in one window would be no budget.
const ACTS_MAX: i64 = 1000;

/// Words for windows beside lengths.
const WINDOW_WORDS: [(&str, i64); 3] = [("hour", 1), ("day", 24), ("week", 7 * 24)];

/// Reads `[guards]`.
pub(super) fn guards(root: &Table<'_>, times: &Times) -> GuardSettings {
    let mut settings = GuardSettings::default();
    let Some(table) = root.table("guards") else { return settings };
    let lengths = [
        ("cooldown", &mut settings.cooldown),
        ("clock_skew", &mut settings.clock_skew),
        ("provider_grace", &mut settings.provider_grace),
        ("episode_settle", &mut settings.episode_settle),
    ];
    for (key, slot) in lengths {
        if let Some(length) = table.length(key) {
            *slot = length.value;
        }
    }
    for name in table.texts("not_during").map(|names| names.value).unwrap_or_default() {
        let known = times.keys().map(PolicyName::as_str);
        if times.contains_key(&PolicyName::new(name.value)) {
            settings.not_during.push(PolicyName::new(name.value));
        } else {
            unknown_name(table.page(), &name, "interval", "times", known);
        }
    }
    let budgets =
        [("budget_per_service", &mut settings.budget_per_service), ("budget", &mut settings.budget)];
    for (key, slot) in budgets {
        if let Some(budgets) = budgets_of(&table, key) {
            *slot = budgets;
        }
    }
    if let Some(outage) = table.table("shared_outage") {
        if let Some(services) = outage.whole("services", 2..=ACTS_MAX) {
            settings.shared_outage_services = u32::try_from(services.value).unwrap_or(u32::MAX);
        }
        if let Some(within) = outage.some_length("within") {
            settings.shared_outage_within = within.value;
        }
    }
    if let Some(words) = table.texts("fix_words") {
        settings.fix_words = words.value.iter().filter_map(|word| fix_word(&table, word)).collect();
    }
    if let Some(episodes) = table.whole("chronic_episodes", 1..=ACTS_MAX) {
        settings.chronic_episodes = u32::try_from(episodes.value).unwrap_or(u32::MAX);
    }
    settings
}

/// A whole word of a commit's message.
fn fix_word(table: &Table<'_>, word: &At<&str>) -> Option<String> {
    let is_one = !word.value.is_empty() && word.value.chars().all(|c| c.is_alphanumeric() || c == '-');
    if !is_one {
        table.page().fault(
            word.span.clone(),
            format!("{} is no word", quoted(word.value)),
            "write one word, of letters, digits and `-`",
        );
    }
    is_one.then(|| word.value.to_owned())
}

/// `{ "30m" = 1, day = 3 }`: so many acts in so long, shortest window first.
fn budgets_of(table: &Table<'_>, key: &'static str) -> Option<Vec<Budget>> {
    let page = table.page();
    let inner = table.table(key)?;
    let mut budgets = Vec::new();
    for (window, item) in inner.open_entries() {
        let word = WINDOW_WORDS.iter().find(|(word, _)| *word == window.value);
        let within = match word {
            Some((_, hours)) => Duration::from_hours(*hours),
            None => match length::parse(window.value) {
                Ok(length) if !length.is_zero() => length,
                Ok(_) | Err(_) => {
                    page.fault(
                        window.span,
                        format!("{} is no window of a budget", quoted(window.value)),
                        "write a length in quotes, such as \"30m\", or hour, day, week",
                    );
                    continue;
                }
            },
        };
        if let Some(acts) = whole_of(page, window.value, item, 0..=ACTS_MAX) {
            budgets.push(Budget { within, acts: u32::try_from(acts.value).unwrap_or(0) });
        }
    }
    if inner.is_empty() {
        page.fault(
            inner.span(),
            format!("`{key}` sets no limit"),
            "leave the key out for its default, or write such as { \"30m\" = 1, day = 3 }",
        );
        return None;
    }
    budgets.sort_by_key(|budget| budget.within);
    Some(budgets)
}

/// Reads `[verify.NAME]`; `default` is always there.
pub(super) fn verify(root: &Table<'_>) -> BTreeMap<PolicyName, VerifyPolicy> {
    let mut policies = BTreeMap::from([(PolicyName::new("default"), VerifyPolicy::default())]);
    for (name, table) in root.named_tables("verify") {
        let mut policy = VerifyPolicy::default();
        if let Some(settle) = table.length("settle") {
            policy.settle = settle.value;
        }
        if let Some(within) = table.some_length("within") {
            policy.within = within.value;
        }
        if let Some(clear_for) = table.length("clear_for") {
            policy.clear_for = clear_for.value;
        }
        if policy.clear_for > policy.within {
            let key = if table.has("clear_for") { "clear_for" } else { "within" };
            table.page().fault(
                table.key_span(key),
                "`clear_for` is longer than `within`: no recovery could ever be seen",
                "write `clear_for` at most as long as `within`",
            );
        }
        policies.insert(PolicyName::new(name.value), policy);
    }
    policies
}
