//! Orders and receipts: how an act's arguments and a handle are spelled, and that nothing in them is taken unread.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Site;
use crate::case::id::{Handle, ReleaseId, Timestamp};
use crate::case::step::{Act, Class, Order};
use crate::outbound::{CallError, Trouble};

/// The one act.
const ROLLBACK: &str = "rollback";

/// `helm rollback NAME REVISION`, pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) site: Site,
    /// It leads to this revision.
    pub(super) revision: i64,
    /// The newest revision when it was planned.
    pub(super) newest: i64,
    pub(super) to: ReleaseId,
}

impl Work {
    /// The act, for a plan. A late copy leads to the same revision.
    pub(super) fn act(&self, says: String) -> Act {
        let arguments = [
            ("namespace", self.site.namespace.clone()),
            ("release", self.site.release.clone()),
            ("revision", self.revision.to_string()),
            ("newest", self.newest.to_string()),
        ];
        let arguments: BTreeMap<String, String> =
            arguments.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Act { kind: ROLLBACK.into(), arguments, class: Class::B, says }
    }

    /// Reads an act; refuses what was not made by `propose`.
    pub(super) fn of(act: &Act, to: &ReleaseId) -> Result<Work, Trouble> {
        if act.kind != ROLLBACK {
            return Err(Trouble::Refused(format!("Helm knows no act {}", act.kind)));
        }
        let argument = |name: &str| {
            let missing = || Trouble::Refused(format!("the act {} lacks its {name}", act.kind));
            act.arguments.get(name).cloned().ok_or_else(missing)
        };
        let number = |name: &str| {
            let unread = |_| Trouble::Refused(format!("the act's {name} cannot be read"));
            argument(name)?.parse::<i64>().map_err(unread)
        };
        let revision = number("revision")?;
        // Helm reads 0 as "the one before".
        if revision < 1 {
            return Err(Trouble::Refused(format!("there is no revision {revision}")));
        }
        let site = Site { namespace: argument("namespace")?, release: argument("release")? };
        Ok(Work { site, revision, newest: number("newest")?, to: to.clone() })
    }

    /// The receipt for it.
    pub(super) fn handle(&self, order: &Order) -> Result<Handle, Trouble> {
        let receipt = Receipt {
            namespace: self.site.namespace.clone(),
            release: self.site.release.clone(),
            revision: self.revision,
            newest: self.newest,
            to: self.to.to_string(),
            mark: order.mark.to_string(),
            intended_at: order.intended_at,
        };
        serde_json::to_string(&receipt)
            .map(Handle::new)
            .map_err(|error| CallError::Io { doing: "write a receipt".into(), source: error.into() }.into())
    }
}

/// What a handle holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Receipt {
    namespace: String,
    release: String,
    /// It leads to this revision.
    pub(super) revision: i64,
    /// The newest revision before it.
    pub(super) newest: i64,
    to: String,
    pub(super) mark: String,
    pub(super) intended_at: Timestamp,
}

impl Receipt {
    /// Reads a receipt.
    pub(super) fn read(handle: &Handle) -> Result<Receipt, Trouble> {
        serde_json::from_str(handle.as_str())
            .map_err(|_| Trouble::Refused(format!("{handle} is no receipt of Helm")))
    }

    pub(super) fn site(&self) -> Site {
        Site { namespace: self.namespace.clone(), release: self.release.clone() }
    }

    pub(super) fn to(&self) -> ReleaseId {
        ReleaseId::new(&self.to)
    }
}
