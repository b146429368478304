//! Orders and receipts: how an act's arguments and a handle are spelled, and that nothing in them is taken unread. Leaves to `begin`
//! and `search` what is done by them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Kind, Site};
use crate::case::id::{Handle, ReleaseId};
use crate::case::step::{Act, Class, Order};
use crate::outbound::{CallError, Trouble};

/// The one act.
const UNDO: &str = "undo";

/// An order, read: everything in it was checked.
pub(super) struct Work {
    pub(super) undo: Undo,
    pub(super) to: ReleaseId,
}

/// The template of a revision goes back into the object, pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Undo {
    pub(super) site: Site,
    /// Of this object, and no other of its name.
    pub(super) uid: String,
    /// The ReplicaSet or ControllerRevision whose template it is.
    pub(super) revision: String,
    /// Its number when it was planned, for people.
    pub(super) number: i64,
}

impl Undo {
    /// The act, for a plan.
    pub(super) fn act(&self, says: String) -> Act {
        let arguments = [
            ("namespace", self.site.namespace.clone()),
            ("kind", self.site.kind.word().to_owned()),
            ("name", self.site.name.clone()),
            ("uid", self.uid.clone()),
            ("revision", self.revision.clone()),
            ("number", self.number.to_string()),
        ];
        let arguments: BTreeMap<String, String> =
            arguments.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Act { kind: UNDO.into(), arguments, class: Class::A, says }
    }

    /// Reads an act; refuses what was not made by `propose`.
    pub(super) fn of(act: &Act) -> Result<Undo, Trouble> {
        if act.kind != UNDO {
            return Err(Trouble::Refused(format!("Kubernetes knows no act {}", act.kind)));
        }
        let argument = |name: &str| {
            let missing = || Trouble::Refused(format!("the act {} lacks its {name}", act.kind));
            act.arguments.get(name).cloned().ok_or_else(missing)
        };
        let unread = |name: &str| Trouble::Refused(format!("the act's {name} cannot be read"));
        Ok(Undo {
            site: Site {
                namespace: argument("namespace")?,
                kind: Kind::parse(&argument("kind")?).ok_or_else(|| unread("kind"))?,
                name: argument("name")?,
            },
            uid: argument("uid")?,
            revision: argument("revision")?,
            number: argument("number")?.parse().map_err(|_| unread("number"))?,
        })
    }
}

impl Work {
    /// Reads an order; refuses what was not made by `propose`.
    pub(super) fn of(order: &Order) -> Result<Work, Trouble> {
        Ok(Work { undo: Undo::of(&order.act)?, to: order.to.clone() })
    }

    /// The receipt for it.
    pub(super) fn handle(&self) -> Result<Handle, Trouble> {
        let Undo { site, uid, .. } = &self.undo;
        let spelled = Spelled {
            namespace: site.namespace.clone(),
            kind: site.kind.word().to_owned(),
            name: site.name.clone(),
            uid: uid.clone(),
            to: self.to.to_string(),
        };
        serde_json::to_string(&spelled)
            .map(Handle::new)
            .map_err(|error| CallError::Io { doing: "write a receipt".into(), source: error.into() }.into())
    }
}

/// What a handle holds.
pub(super) struct Receipt {
    pub(super) site: Site,
    pub(super) uid: String,
    pub(super) to: ReleaseId,
}

#[derive(Serialize, Deserialize)]
struct Spelled {
    namespace: String,
    kind: String,
    name: String,
    uid: String,
    to: String,
}

impl Receipt {
    /// Reads a receipt.
    pub(super) fn read(handle: &Handle) -> Result<Receipt, Trouble> {
        let no_receipt = || Trouble::Refused(format!("{handle} is no receipt of Kubernetes"));
        let Spelled { namespace, kind, name, uid, to } =
            serde_json::from_str(handle.as_str()).map_err(|_| no_receipt())?;
        let kind = Kind::parse(&kind).ok_or_else(no_receipt)?;
        Ok(Receipt { site: Site { namespace, kind, name }, uid, to: ReleaseId::new(to) })
    }
}
