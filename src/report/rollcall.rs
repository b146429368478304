//! The roll call: who belongs to which group. What the configuration names is read from it; Slack user groups are read
//! through the API, and a group that cannot be read is nobody (threats T60, T61). In Slack only full members count:
//! guests, bots, strangers and people who left do not, wherever they are named.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::timeout;

use super::slack::Slack;
use crate::case::approval::{ROSTER_AGE_MAX, Roster};
use crate::case::id::{Duration, GroupName, PersonId, Timestamp};

/// What was read is used again for so long: a roster that was made of it is still fresh at the gate half a minute later.
const AGAIN: Duration = Duration::from_secs(20);
/// What kind of account somebody has changes seldom. Whether somebody left shows in the user group at once; people who are
/// named one by one are looked at anew each time.
const KIND_AGAIN: Duration = Duration::from_mins(10);
/// Slack may take so long to say who belongs where; what it said until then is kept, and asked no more the next time.
const SLACK_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);
/// The most people of one group who are looked at: more approvers than that are a mistake.
const MEMBERS_MAX: usize = 200;

/// Who is configured to belong where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Principals of tokens.
    pub principals: BTreeSet<PersonId>,
    /// Slack users, named one by one, by id.
    pub users: BTreeSet<String>,
    /// Slack user groups, by id.
    pub usergroups: BTreeSet<String>,
}

/// Who belongs where.
pub struct Rollcall {
    groups: BTreeMap<GroupName, Group>,
    slack: Option<Arc<Slack>>,
    /// One reading at a time: whoever comes meanwhile takes what it found.
    read: Mutex<Read>,
}

#[derive(Default)]
struct Read {
    usergroups: BTreeMap<String, (Timestamp, BTreeSet<String>)>,
    full_members: BTreeMap<String, (Timestamp, bool)>,
}

impl Rollcall {
    /// A roll call over these groups.
    pub fn new(groups: BTreeMap<GroupName, Group>, slack: Option<Arc<Slack>>) -> Rollcall {
        Rollcall { groups, slack, read: Mutex::default() }
    }

    /// Whether anybody has to be asked.
    pub fn asks_slack(&self) -> bool {
        self.slack.is_some()
            && self.groups.values().any(|group| !group.users.is_empty() || !group.usergroups.is_empty())
    }

    /// Who belongs to all groups now.
    pub async fn read_all(&self, now: Timestamp) -> Roster {
        let all: Vec<GroupName> = self.groups.keys().cloned().collect();
        self.read(&all, now).await
    }

    /// Who belongs to these groups now. A group that is not known, or cannot be read, is left out, which is nobody. The
    /// roster is as old as the oldest thing that it was made of.
    pub async fn read(&self, groups: &[GroupName], now: Timestamp) -> Roster {
        let named = groups.iter().filter_map(|name| Some((name, self.groups.get(name)?)));
        let members = named.map(|(name, group)| (name.clone(), group.principals.clone())).collect();
        let mut roster = Roster { at: now, members };
        if let Some(slack) = &self.slack {
            // Who decides by token must not wait for a chat that hangs.
            let in_time = timeout(SLACK_WITHIN, self.add_slacks(slack, groups, now, &mut roster)).await;
            if in_time.is_err() {
                tracing::warn!(
                    "Slack says too slowly who belongs where: some of its people may not decide now"
                );
            }
        }
        roster
    }

    async fn add_slacks(&self, slack: &Slack, groups: &[GroupName], now: Timestamp, roster: &mut Roster) {
        let mut read = self.read.lock().await;
        for name in groups {
            let Some(group) = self.groups.get(name) else { continue };
            let mut oldest = roster.at;
            let members = in_slack(slack, group, &mut read, now, &mut oldest).await;
            roster.at = oldest;
            roster.members.entry(name.clone()).or_default().extend(members);
        }
    }
}

/// The Slack members of a group.
async fn in_slack(
    slack: &Slack,
    group: &Group,
    read: &mut Read,
    now: Timestamp,
    oldest: &mut Timestamp,
) -> BTreeSet<PersonId> {
    let mut members = BTreeSet::new();
    for usergroup in &group.usergroups {
        let Some((at, users)) = usergroup_members(slack, usergroup, read, now).await else { continue };
        *oldest = at.min(*oldest);
        for user in users.into_iter().take(MEMBERS_MAX) {
            if is_full_member(slack, &user, read, now, KIND_AGAIN).await.is_some() {
                members.insert(person(&user));
            }
        }
    }
    for user in group.users.iter().take(MEMBERS_MAX) {
        if let Some(at) = is_full_member(slack, user, read, now, AGAIN).await {
            *oldest = at.min(*oldest);
            members.insert(person(user));
        }
    }
    members
}

async fn usergroup_members(
    slack: &Slack,
    usergroup: &str,
    read: &mut Read,
    now: Timestamp,
) -> Option<(Timestamp, BTreeSet<String>)> {
    if let Some(known) = read.usergroups.get(usergroup).filter(|(at, _)| is_young(*at, now, AGAIN)) {
        return Some(known.clone());
    }
    match slack.members(usergroup).await {
        Ok(users) => {
            let found = (now, users.into_iter().collect());
            read.usergroups.insert(usergroup.to_owned(), found.clone());
            Some(found)
        }
        Err(error) => {
            tracing::warn!(usergroup, %error, "a user group cannot be read: nobody of it may decide once what is known is old");
            read.usergroups.get(usergroup).filter(|(at, _)| is_young(*at, now, ROSTER_AGE_MAX)).cloned()
        }
    }
}

/// When it was read that this is a full member; nothing where it is none, or nobody can say.
async fn is_full_member(
    slack: &Slack,
    user: &str,
    read: &mut Read,
    now: Timestamp,
    again: Duration,
) -> Option<Timestamp> {
    if let Some((at, full)) = read.full_members.get(user).filter(|(at, _)| is_young(*at, now, again)) {
        return full.then_some(*at);
    }
    match slack.is_full_member(user).await {
        Ok(full) => {
            read.full_members.insert(user.to_owned(), (now, full));
            full.then_some(now)
        }
        Err(error) => {
            tracing::warn!(user, %error, "who somebody is in Slack cannot be read: they may not decide once what is known is old");
            let known = read.full_members.get(user).filter(|(at, _)| is_young(*at, now, ROSTER_AGE_MAX));
            known.and_then(|(at, full)| full.then_some(*at))
        }
    }
}

fn is_young(at: Timestamp, now: Timestamp, within: Duration) -> bool {
    at <= now && now.duration_since(at) < within
}

/// Somebody in Slack, as everything here calls them.
pub fn person(user: &str) -> PersonId {
    PersonId::new(format!("slack:{user}"))
}
