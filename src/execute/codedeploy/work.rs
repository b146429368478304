//! Orders and receipts: how an act's arguments and a handle are spelled, and that nothing in them is taken unread.
//! Leaves to `begin`, `search` and `watch` what is done by them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Site;
use super::revision::Pinned;
use crate::case::id::{Handle, ReleaseId};
use crate::case::step::{Act, Class, Order};
use crate::outbound::{CallError, Trouble};

/// An order, read: everything in it was checked.
pub(super) struct Work {
    pub(super) site: Site,
    pub(super) to: ReleaseId,
    pub(super) act: Doing,
}

/// What an order asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// Stop a deployment that is still going out.
    Stop {
        /// Which.
        deployment: String,
        /// CodeDeploy puts back what succeeded last.
        back: bool,
    },
    /// Create a deployment.
    Create(Create),
}

/// A deployment to be created, pinned in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Create {
    pub(super) revision: Pinned,
    /// The deployment configuration; `None`: the group's own.
    pub(super) config: Option<String>,
    /// What happens to files that are there already, on machines.
    pub(super) file_exists: Option<String>,
    /// The group listens to alarms: one that rings already would stop the way back.
    pub(super) mute_alarms: bool,
    /// Scripts of the release that leaves may fail, on machines.
    pub(super) on_machines: bool,
    /// The deployment that the step before stopped: it may be the newest, whatever serves.
    pub(super) after: Option<String>,
}

impl Doing {
    /// The act, for a plan.
    pub(super) fn act(&self, site: &Site, says: String) -> Act {
        let mut arguments = BTreeMap::from([
            ("application".to_owned(), site.application.clone()),
            ("deployment_group".to_owned(), site.group.clone()),
        ]);
        let mut put = |name: &str, value: String| arguments.insert(name.to_owned(), value);
        let (kind, class) = match self {
            Doing::Stop { deployment, back } => {
                put("deployment", deployment.clone());
                put("auto_rollback", back.to_string());
                ("stop", Class::A)
            }
            Doing::Create(create) => {
                put("revision", serde_json::to_string(&create.revision).unwrap_or_default());
                put("mute_alarms", create.mute_alarms.to_string());
                put("on_machines", create.on_machines.to_string());
                for (name, value) in [
                    ("config", &create.config),
                    ("file_exists", &create.file_exists),
                    ("after", &create.after),
                ] {
                    if let Some(value) = value {
                        put(name, value.clone());
                    }
                }
                ("create", Class::B)
            }
        };
        Act { kind: kind.into(), arguments, class, says }
    }

    /// Reads an act; refuses what was not made by `propose`.
    pub(super) fn of(act: &Act) -> Result<Doing, Trouble> {
        let arguments = &act.arguments;
        let argument = |name: &str| argument(act, name);
        let flag = |name: &str| -> Result<bool, Trouble> {
            argument(name)?.parse().map_err(|_| Trouble::Refused(format!("{name} is neither true nor false")))
        };
        Ok(match act.kind.as_str() {
            "stop" => Doing::Stop { deployment: argument("deployment")?, back: flag("auto_rollback")? },
            "create" => Doing::Create(Create {
                revision: serde_json::from_str(&argument("revision")?)
                    .map_err(|error| Trouble::Refused(format!("the revision cannot be read: {error}")))?,
                config: arguments.get("config").cloned(),
                file_exists: arguments.get("file_exists").cloned(),
                mute_alarms: flag("mute_alarms")?,
                on_machines: flag("on_machines")?,
                after: arguments.get("after").cloned(),
            }),
            other => return Err(Trouble::Refused(format!("CodeDeploy knows no act {other}"))),
        })
    }
}

fn argument(act: &Act, name: &str) -> Result<String, Trouble> {
    let missing = || Trouble::Refused(format!("the act {} lacks its {name}", act.kind));
    act.arguments.get(name).cloned().ok_or_else(missing)
}

impl Site {
    /// Where an act is done.
    pub(super) fn of(act: &Act) -> Result<Site, Trouble> {
        let (application, group) = (argument(act, "application")?, argument(act, "deployment_group")?);
        Ok(Site { application, group, rollback_config: None })
    }
}

impl Work {
    /// Reads an order; refuses what was not made by `propose`.
    pub(super) fn of(order: &Order) -> Result<Work, Trouble> {
        Ok(Work { site: Site::of(&order.act)?, to: order.to.clone(), act: Doing::of(&order.act)? })
    }

    /// The receipt for it, once this deployment does it.
    pub(super) fn handle(&self, deployment: &str) -> Result<Handle, Trouble> {
        let receipt = Receipt {
            act: match &self.act {
                Doing::Stop { back: true, .. } => ReceiptAct::StopAndBack,
                Doing::Stop { back: false, .. } => ReceiptAct::Stop,
                Doing::Create(_) => ReceiptAct::Create,
            },
            application: self.site.application.clone(),
            group: self.site.group.clone(),
            deployment: deployment.to_owned(),
            to: self.to.to_string(),
        };
        serde_json::to_string(&receipt)
            .map(Handle::new)
            .map_err(|error| CallError::Io { doing: "write a receipt".into(), source: error.into() }.into())
    }
}

/// What a handle holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Receipt {
    pub(super) act: ReceiptAct,
    pub(super) application: String,
    pub(super) group: String,
    /// The deployment that was created, or stopped.
    pub(super) deployment: String,
    pub(super) to: String,
}

/// Which act it is the receipt of.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReceiptAct {
    Create,
    Stop,
    StopAndBack,
}

impl Receipt {
    /// Reads a receipt.
    pub(super) fn read(handle: &Handle) -> Result<Receipt, Trouble> {
        serde_json::from_str(handle.as_str())
            .map_err(|_| Trouble::Refused(format!("{handle} is no receipt of CodeDeploy")))
    }

    pub(super) fn site(&self) -> Site {
        Site { application: self.application.clone(), group: self.group.clone(), rollback_config: None }
    }
}
