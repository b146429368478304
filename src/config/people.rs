//! `[groups.NAME]` and `[approvals.NAME]`: who belongs together, and who may say yes.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a TOML value of any other kind, whatever comes, is the same fault"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use toml::de::DeValue;

use super::fault::quoted;
use super::read::{At, Page, Table};
use super::rules::{Row, RowMode};
use super::server::TokenSettings;
use super::spell;
use crate::case::approval::{ApprovalPolicy, OnExpiry};
use crate::case::decide::Verdict;
use crate::case::id::{Duration, GroupName, PersonId, PolicyName};

/// `[groups.NAME]`, and the principals that name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupSettings {
    /// Principals of tokens.
    pub principals: BTreeSet<PersonId>,
    /// Slack users by id.
    pub users: BTreeSet<String>,
    /// Slack user groups by id; who belongs to them Slack says.
    pub usergroups: BTreeSet<String>,
}

/// Every group that the file names.
pub(super) type Groups = BTreeMap<GroupName, GroupSettings>;

/// The policies, each with where it says from whom the word must come.
pub(super) type Approvals = BTreeMap<PolicyName, (Arc<ApprovalPolicy>, Range<usize>)>;

/// More votes than this on one question would be a slip of the keyboard.
const QUORUM_MAX: i64 = 20;

/// Checks the name of a group: a star would be everybody.
pub(super) fn group_name(page: Page<'_>, name: &At<&str>) -> Option<GroupName> {
    if name.value.contains('*') {
        page.fault(
            name.span.clone(),
            "a wildcard among those who may act",
            "name the groups: nobody is allowed unless named",
        );
        return None;
    }
    if name.value.is_empty() {
        page.fault(name.span.clone(), "a group without a name", "write the group's name");
        return None;
    }
    Some(GroupName::new(name.value))
}

/// Reads `[groups.NAME]`, and adds the principals that name their groups themselves.
pub(super) fn groups(root: &Table<'_>, tokens: &[TokenSettings]) -> Groups {
    let mut groups = Groups::new();
    for (name, table) in root.named_tables("groups") {
        let page = table.page();
        let Some(group) = group_name(page, &name) else { continue };
        let members = groups.entry(group).or_default();
        members.users.extend(slack_ids(page, &table, "slack_users", &['U', 'W'], "user", "U0123ABCD"));
        members.usergroups.extend(slack_ids(
            page,
            &table,
            "slack_usergroups",
            &['S'],
            "user group",
            "S0123ABCD",
        ));
    }
    for token in tokens {
        for group in &token.groups {
            groups.entry(group.clone()).or_default().principals.insert(token.person.clone());
        }
    }
    groups
}

/// Ids as Slack gives them: a letter for the kind, then capitals and digits.
fn slack_ids(
    page: Page<'_>,
    table: &Table<'_>,
    key: &'static str,
    kinds: &[char],
    kind: &str,
    example: &str,
) -> Vec<String> {
    let mut ids = Vec::new();
    for id in table.texts(key).map(|ids| ids.value).unwrap_or_default() {
        let sound = id.value.len() > 1
            && id.value.starts_with(kinds)
            && id.value.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        if id.value.contains('*') {
            page.fault(id.span, "a wildcard among those who may act", format!("name each {kind} by id"));
        } else if sound {
            ids.push(id.value.to_owned());
        } else {
            page.fault(
                id.span.clone(),
                format!("{} is no Slack {kind} id", quoted(id.value)),
                format!("write the id, such as \"{example}\": names and addresses can be taken by others"),
            );
        }
    }
    ids
}

/// Notes people in Slack who cannot be heard, because Slack is not configured.
pub(super) fn heard(root: &Table<'_>, groups: &Groups) {
    let in_slack = |group: &GroupSettings| !group.users.is_empty() || !group.usergroups.is_empty();
    if root.has("slack") || !groups.values().any(in_slack) {
        return;
    }
    for (name, table) in root.named_tables("groups") {
        if groups.get(&GroupName::new(name.value)).is_some_and(in_slack) {
            let key = if table.has("slack_users") { "slack_users" } else { "slack_usergroups" };
            table.page().warning(
                table.key_span(key),
                "people in Slack, and there is no [slack] by which they could say anything",
                "add [slack], or give people tokens with this group",
            );
        }
    }
}

/// Reads `[approvals.NAME]`; `default` is always there, and admits nobody until somebody is named.
pub(super) fn approvals(root: &Table<'_>, groups: &Groups) -> Approvals {
    let mut approvals = Approvals::new();
    for (name, table) in root.named_tables("approvals") {
        let policy = approval(&name, &table, groups);
        let from_span = if table.has("from") { table.key_span("from") } else { table.span() };
        approvals.insert(policy.name.clone(), (Arc::new(policy), from_span));
    }
    let name = PolicyName::new("default");
    approvals.entry(name.clone()).or_insert_with(|| (Arc::new(nobody(name)), 0..0));
    approvals
}

/// A policy that admits nobody, with the defaults of the others.
fn nobody(name: PolicyName) -> ApprovalPolicy {
    ApprovalPolicy {
        name,
        from: Vec::new(),
        quorum: 1,
        expires: Duration::from_mins(15),
        not_the_author: false,
        on_expiry: OnExpiry::Notify,
        break_glass: Vec::new(),
    }
}

fn approval(name: &At<&str>, table: &Table<'_>, groups: &Groups) -> ApprovalPolicy {
    let page = table.page();
    let mut policy = nobody(PolicyName::new(name.value));
    policy.from = from(table, groups);
    if let Some(quorum) = table.whole("quorum", 1..=QUORUM_MAX) {
        policy.quorum = u32::try_from(quorum.value).unwrap_or(1);
        let of: Vec<&GroupSettings> =
            policy.from.iter().flatten().filter_map(|group| groups.get(group)).collect();
        let principals: BTreeSet<&PersonId> = of.iter().flat_map(|group| &group.principals).collect();
        let users: BTreeSet<&String> = of.iter().flat_map(|group| &group.users).collect();
        // How many a user group has only Slack can say.
        let known = of.iter().all(|group| group.usergroups.is_empty());
        let members = principals.len() + users.len();
        if known && !policy.from.is_empty() && members < policy.quorum as usize {
            page.warning(
                quorum.span,
                format!("{} votes are needed and {} people may give one", policy.quorum, members),
                "lower `quorum`, or name more people in the groups of `from`",
            );
        }
    }
    if let Some(expires) = table.some_length("expires") {
        policy.expires = expires.value;
    }
    if let Some(flag) = table.flag("not_the_author") {
        policy.not_the_author = flag.value;
    }
    let endings = [("notify", OnExpiry::Notify), ("rollback", OnExpiry::Rollback)];
    if let Some(word) = table.word("on_expiry", &endings) {
        policy.on_expiry = word.value;
    }
    for group in table.texts("break_glass").map(|list| list.value).unwrap_or_default() {
        policy.break_glass.extend(known_group(page, &group, groups));
    }
    policy
}

/// `["a", "b"]` is any of them; `[["a"], ["b"]]` is one from each.
fn from(table: &Table<'_>, groups: &Groups) -> Vec<Vec<GroupName>> {
    let page = table.page();
    let wanted = "a list of groups, or a list of such lists";
    let Some(item) = table.item("from") else {
        table.missing("from", "write from = [\"GROUP\"]: nobody is allowed unless named");
        return Vec::new();
    };
    let Some(array) = table.array_of("from", item, wanted) else { return Vec::new() };
    if array.is_empty() {
        page.warning(item.span(), "nobody may say yes", "name a group in `from`");
    }
    let mut any_of = Vec::new();
    let mut clauses = Vec::new();
    for entry in array.iter() {
        match entry.get_ref() {
            DeValue::Array(clause) => {
                if clause.is_empty() {
                    page.fault(
                        entry.span(),
                        "one vote is needed from nobody",
                        "name a group, or leave the list out",
                    );
                }
                let names = clause.iter().filter_map(|name| table.text_of("from", name));
                clauses.push(names.filter_map(|name| known_group(page, &name, groups)).collect());
            }
            _ => {
                any_of.extend(table.text_of("from", entry).and_then(|name| known_group(page, &name, groups)))
            }
        }
    }
    match (any_of.is_empty(), clauses.is_empty()) {
        (false, false) => {
            page.fault(item.span(), "`from` mixes groups and lists of groups", format!("write {wanted}"));
            clauses
        }
        (false, true) => vec![any_of],
        (true, _) => clauses,
    }
}

fn known_group(page: Page<'_>, name: &At<&str>, groups: &Groups) -> Option<GroupName> {
    let group = group_name(page, name)?;
    if !groups.contains_key(&group) {
        let remedy = match spell::nearest(name.value, groups.keys().map(GroupName::as_str)) {
            Some(near) => format!("write \"{near}\""),
            None => format!("add [groups.{}], or name a group that exists", name.value),
        };
        page.fault(name.span.clone(), format!("no group is called {}", quoted(name.value)), remedy);
        return None;
    }
    Some(group)
}

/// Notes rows that would ask people where nobody may answer.
pub(super) fn answered(page: Page<'_>, rows: &[Row<'_>], approvals: &Approvals) {
    let mut told: BTreeSet<&PolicyName> = BTreeSet::new();
    for row in rows.iter().filter(|row| row.mode != RowMode::Off && row.action.value == Verdict::Approve) {
        let default = PolicyName::new("default");
        let name = row.approval.as_ref().unwrap_or(&default);
        let Some((name, (policy, span))) = approvals.get_key_value(name) else { continue };
        // An empty list in the file is noted where it stands.
        if policy.from.is_empty() && *span == (0..0) && told.insert(name) {
            row.page.witnessed(
                super::fault::Severity::Warning,
                row.action.span.clone(),
                format!("people are asked, and policy {name} admits nobody"),
                format!("add [approvals.{name}] with `from`"),
                format!("{} has no [approvals.{name}]", page.file),
            );
        }
    }
}
