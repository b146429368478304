//! Orders and receipts: how an act's arguments, a mark and a handle are spelled, and that nothing in them is taken
//! unread. Leaves to `directory` what is done by them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{link, log};
use crate::case::id::{Duration, Handle, ReleaseId};
use crate::case::step::Order;
use crate::outbound::{CallError, Trouble};

/// An order, read: everything in it was checked.
pub(super) struct Work {
    pub(super) root: PathBuf,
    pub(super) to: ReleaseId,
    /// The mark's part for file names.
    pub(super) sign: String,
    pub(super) act: Doing,
}

/// What an order asks for.
pub(super) enum Doing {
    Switch,
    Restart { argv: Vec<String>, timeout: Duration },
}

impl Work {
    /// Reads an order; refuses what was not made by `propose`.
    pub(super) fn of(order: &Order) -> Result<Work, Trouble> {
        let argument = |name: &str| {
            let missing = || Trouble::Refused(format!("the act {} lacks its {name}", order.act.kind));
            order.act.arguments.get(name).ok_or_else(missing)
        };
        let refused = |what: &str| Trouble::Refused(format!("{what} of {} cannot be read", order.mark));
        let act = match order.act.kind.as_str() {
            "switch" => Doing::Switch,
            "restart" => Doing::Restart {
                argv: serde_json::from_str(argument("argv")?).map_err(|_| refused("the command"))?,
                timeout: Duration::from_secs(
                    argument("timeout_s")?.parse().map_err(|_| refused("the timeout"))?,
                ),
            },
            other => return Err(Trouble::Refused(format!("a directory knows no act {other}"))),
        };
        if !link::is_release_name(order.to.as_str()) {
            return Err(Trouble::Refused(format!("{:?} is no name of a release", order.to)));
        }
        let sign = log::sign(order.mark.as_str()).ok_or_else(|| refused("the mark"))?.to_owned();
        Ok(Work { root: PathBuf::from(argument("root")?), to: order.to.clone(), sign, act })
    }

    /// The receipt for it.
    pub(super) fn handle(&self) -> Result<Handle, Trouble> {
        let act = match self.act {
            Doing::Switch => ReceiptAct::Switch,
            Doing::Restart { .. } => ReceiptAct::Restart,
        };
        let root = self.root.to_str().unwrap_or_default().to_owned();
        let receipt = Receipt { act, root, to: self.to.to_string(), sign: self.sign.clone() };
        serde_json::to_string(&receipt)
            .map(Handle::new)
            .map_err(|error| CallError::Io { doing: "write a receipt".into(), source: error.into() }.into())
    }
}

/// What a handle holds.
#[derive(Serialize, Deserialize)]
pub(super) struct Receipt {
    pub(super) act: ReceiptAct,
    pub(super) root: String,
    pub(super) to: String,
    pub(super) sign: String,
}

/// Which act it is the receipt of.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ReceiptAct {
    Switch,
    Restart,
}

impl Receipt {
    /// Reads a receipt.
    pub(super) fn read(handle: &Handle) -> Result<Receipt, Trouble> {
        serde_json::from_str(handle.as_str())
            .map_err(|_| Trouble::Refused(format!("{handle} is no receipt of a directory")))
    }
}
