//! Orders and receipts: how an act's arguments and a handle are spelled, and that nothing in them is taken unread. Leaves to `begin`
//! and `search` what is done by them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Kind, Site};
use crate::case::id::{Handle, ReleaseId};
use crate::case::step::{Act, Class, Order};
use crate::outbound::{CallError, Trouble};

/// The acts.
const UNDO: &str = "undo";
const ABORT: &str = "abort";
const GATE: &str = "gate";

/// An order, read: everything in it was checked.
pub(super) struct Work {
    pub(super) way: Way,
    pub(super) to: ReleaseId,
}

/// A way back of one object, pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) site: Site,
    /// Of this object, and no other of its name.
    pub(super) uid: String,
    pub(super) how: How,
}

/// What is done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// The template of a revision goes back into it.
    Undo {
        /// The ReplicaSet or ControllerRevision whose template it is.
        revision: String,
        /// Its number when it was planned, for people.
        number: i64,
    },
    /// Flagger is told to take its candidate back when it asks.
    Gate {
        /// The canary.
        canary: String,
        /// Flagger's hash of the candidate.
        over: String,
        /// The number of the revision that serves, for people.
        number: i64,
    },
    /// What a Rollout puts out is aborted.
    Abort {
        /// Its pod hash.
        over: String,
    },
}

impl Way {
    /// The act, for a plan.
    pub(super) fn act(&self, says: String) -> Act {
        let mut arguments = vec![
            ("namespace", self.site.namespace.clone()),
            ("kind", self.site.kind.word().to_owned()),
            ("name", self.site.name.clone()),
            ("uid", self.uid.clone()),
        ];
        let kind = match &self.how {
            How::Undo { revision, number } => {
                arguments.extend([("revision", revision.clone()), ("number", number.to_string())]);
                UNDO
            }
            How::Gate { canary, over, number } => {
                let own =
                    [("canary", canary.clone()), ("over", over.clone()), ("number", number.to_string())];
                arguments.extend(own);
                GATE
            }
            How::Abort { over } => {
                arguments.push(("over", over.clone()));
                ABORT
            }
        };
        let arguments: BTreeMap<String, String> =
            arguments.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Act { kind: kind.into(), arguments, class: Class::A, says }
    }

    /// Reads an act; refuses what was not made by `propose`.
    pub(super) fn of(act: &Act) -> Result<Way, Trouble> {
        let argument = |name: &str| {
            let missing = || Trouble::Refused(format!("the act {} lacks its {name}", act.kind));
            act.arguments.get(name).cloned().ok_or_else(missing)
        };
        let unread = |name: &str| Trouble::Refused(format!("the act's {name} cannot be read"));
        let how = match act.kind.as_str() {
            UNDO => How::Undo {
                revision: argument("revision")?,
                number: argument("number")?.parse().map_err(|_| unread("number"))?,
            },
            GATE => How::Gate {
                canary: argument("canary")?,
                over: argument("over")?,
                number: argument("number")?.parse().map_err(|_| unread("number"))?,
            },
            ABORT => How::Abort { over: argument("over")? },
            other => return Err(Trouble::Refused(format!("Kubernetes knows no act {other}"))),
        };
        Ok(Way {
            site: Site {
                namespace: argument("namespace")?,
                kind: Kind::parse(&argument("kind")?).ok_or_else(|| unread("kind"))?,
                name: argument("name")?,
            },
            uid: argument("uid")?,
            how,
        })
    }
}

impl Work {
    /// Reads an order; refuses what was not made by `propose`.
    pub(super) fn of(order: &Order) -> Result<Work, Trouble> {
        Ok(Work { way: Way::of(&order.act)?, to: order.to.clone() })
    }

    /// The receipt for it.
    pub(super) fn handle(&self) -> Result<Handle, Trouble> {
        let Way { site, uid, how } = &self.way;
        let spelled = Spelled {
            namespace: site.namespace.clone(),
            kind: site.kind.word().to_owned(),
            name: site.name.clone(),
            uid: uid.clone(),
            to: self.to.to_string(),
            over: match how {
                How::Undo { .. } => None,
                How::Abort { over } => Some(Over::PodHash(over.clone())),
                How::Gate { over, .. } => Some(Over::Candidate(over.clone())),
            },
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
    /// What was taken back by the one that put it out; nothing where a template was written.
    pub(super) over: Option<Over>,
}

/// What was going out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Over {
    /// A Rollout's, by its pod hash.
    PodHash(String),
    /// A canary's candidate, by Flagger's hash.
    Candidate(String),
}

#[derive(Serialize, Deserialize)]
struct Spelled {
    namespace: String,
    kind: String,
    name: String,
    uid: String,
    to: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    over: Option<Over>,
}

impl Receipt {
    /// Reads a receipt.
    pub(super) fn read(handle: &Handle) -> Result<Receipt, Trouble> {
        let no_receipt = || Trouble::Refused(format!("{handle} is no receipt of Kubernetes"));
        let Spelled { namespace, kind, name, uid, to, over } =
            serde_json::from_str(handle.as_str()).map_err(|_| no_receipt())?;
        let kind = Kind::parse(&kind).ok_or_else(no_receipt)?;
        Ok(Receipt { site: Site { namespace, kind, name }, uid, to: ReleaseId::new(to), over })
    }
}
