//! The roll call: who belongs to which group. Reads what is configured; a group that nobody can read is nobody.

use std::collections::{BTreeMap, BTreeSet};

use crate::case::approval::Roster;
use crate::case::id::{GroupName, PersonId, Timestamp};

/// Who is known to belong where.
#[derive(Clone, Debug, Default)]
pub struct Rollcall {
    members: BTreeMap<GroupName, BTreeSet<PersonId>>,
}

impl Rollcall {
    /// A roll call over configured members: Slack users named one by one, and principals of tokens.
    pub fn new(members: BTreeMap<GroupName, BTreeSet<PersonId>>) -> Rollcall {
        Rollcall { members }
    }

    /// Who belongs to these groups now. A group that is not known is left out, which is nobody.
    pub fn read(&self, groups: &[GroupName], now: Timestamp) -> Roster {
        let members = groups
            .iter()
            .filter_map(|group| Some((group.clone(), self.members.get(group)?.clone())))
            .collect();
        Roster { at: now, members }
    }
}
