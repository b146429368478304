//! Orders and receipts: how an act's arguments and a handle are spelled, and that nothing in them is taken unread.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::manifest::Revision;
use super::run::sound;
use super::{Site, Way};
use crate::case::id::{Handle, Mark, ReleaseId, Timestamp};
use crate::case::step::{Act, Class, Order};
use crate::outbound::{CallError, Trouble};

/// The acts.
const CANCEL: &str = "cancel";
const ROLLBACK: &str = "rollback";

/// An act on a service, pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) site: Site,
    pub(super) doing: Doing,
    pub(super) to: ReleaseId,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// This execution of what is gone back from is ended.
    Cancel {
        /// Its id.
        execution: String,
    },
    /// The rollback pipeline is run with the release.
    Run,
    /// The rollout is undone to this revision, and to no other.
    Undo(Revision),
}

impl Work {
    /// The act, for a plan.
    pub(super) fn act(&self, class: Class, says: String) -> Act {
        let kind = if matches!(self.doing, Doing::Cancel { .. }) { CANCEL } else { ROLLBACK };
        Act { kind: kind.into(), arguments: self.arguments(), class, says }
    }

    fn arguments(&self) -> BTreeMap<String, String> {
        let Site { application, deploy_pipeline, version_parameter, artifact, way } = &self.site;
        let mut arguments = vec![
            ("application", application.clone()),
            ("deploy_pipeline", deploy_pipeline.clone()),
            ("version_parameter", version_parameter.clone()),
            ("version", self.to.to_string()),
        ];
        arguments.extend(artifact.clone().map(|artifact| ("artifact", artifact)));
        match way {
            Way::Pipeline { pipeline, rollback_id_parameter } => arguments.extend([
                ("pipeline", pipeline.clone()),
                ("rollback_id_parameter", rollback_id_parameter.clone()),
            ]),
            Way::Manifest { account, location, deployment } => arguments.extend([
                ("account", account.clone()),
                ("location", location.clone()),
                ("deployment", deployment.clone()),
            ]),
        }
        match &self.doing {
            Doing::Run => {}
            Doing::Cancel { execution } => arguments.push(("execution", execution.clone())),
            Doing::Undo(Revision { number, replica_set }) => {
                arguments.extend([("revision", number.to_string()), ("replica_set", replica_set.clone())])
            }
        }
        arguments.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Reads an act; refuses what was not made by `propose`.
    pub(super) fn read(act: &Act, to: &ReleaseId) -> Result<Work, Trouble> {
        Work::spelled(&act.kind, &act.arguments, to)
    }

    /// Reads an order; refuses what was not made by `propose`.
    pub(super) fn of(order: &Order) -> Result<Work, Trouble> {
        Work::read(&order.act, &order.to)
    }

    fn spelled(kind: &str, arguments: &BTreeMap<String, String>, to: &ReleaseId) -> Result<Work, Trouble> {
        let argument = |name: &str| {
            let missing = || Trouble::Refused(format!("the act {kind} lacks its {name}"));
            arguments.get(name).cloned().ok_or_else(missing)
        };
        let unread = |name: &str| Trouble::Refused(format!("the act's {name} cannot be read"));
        if argument("version")? != to.as_str() {
            return Err(Trouble::Refused(format!("the act {kind} leads elsewhere than its order")));
        }
        let way = if arguments.contains_key("pipeline") {
            let rollback_id_parameter = argument("rollback_id_parameter")?;
            Way::Pipeline { pipeline: argument("pipeline")?, rollback_id_parameter }
        } else {
            let (account, location) = (argument("account")?, argument("location")?);
            Way::Manifest { account, location, deployment: argument("deployment")? }
        };
        let doing = match (kind, &way) {
            (CANCEL, _) => {
                let execution = Some(argument("execution")?).filter(|id| sound(id));
                Doing::Cancel { execution: execution.ok_or_else(|| unread("execution"))? }
            }
            (ROLLBACK, Way::Pipeline { .. }) => Doing::Run,
            (ROLLBACK, Way::Manifest { .. }) => {
                let number = argument("revision")?.parse().map_err(|_| unread("revision"))?;
                Doing::Undo(Revision { number, replica_set: argument("replica_set")? })
            }
            (other, _) => return Err(Trouble::Refused(format!("Spinnaker knows no act {other}"))),
        };
        let site = Site {
            application: argument("application")?,
            deploy_pipeline: argument("deploy_pipeline")?,
            version_parameter: argument("version_parameter")?,
            artifact: arguments.get("artifact").cloned(),
            way,
        };
        Ok(Work { site, doing, to: to.clone() })
    }

    /// The receipt for it. `run`: the execution or the task; `None`: there was nothing to begin.
    pub(super) fn handle(&self, order: &Order, run: Option<&str>) -> Result<Handle, Trouble> {
        let spelled = Spelled {
            kind: order.act.kind.clone(),
            arguments: self.arguments(),
            to: self.to.to_string(),
            mark: order.mark.to_string(),
            run: run.map(str::to_owned),
            intended_at: order.intended_at,
        };
        serde_json::to_string(&spelled)
            .map(Handle::new)
            .map_err(|error| CallError::Io { doing: "write a receipt".into(), source: error.into() }.into())
    }
}

/// What a handle holds.
pub(super) struct Receipt {
    pub(super) work: Work,
    pub(super) mark: Mark,
    /// The execution, or the task; `None`: there was nothing to begin.
    pub(super) run: Option<String>,
    pub(super) intended_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Spelled {
    kind: String,
    arguments: BTreeMap<String, String>,
    to: String,
    mark: String,
    run: Option<String>,
    intended_at: Timestamp,
}

impl Receipt {
    /// Reads a receipt.
    pub(super) fn read(handle: &Handle) -> Result<Receipt, Trouble> {
        let no_receipt = || Trouble::Refused(format!("{handle} is no receipt of Spinnaker"));
        let Spelled { kind, arguments, to, mark, run, intended_at } =
            serde_json::from_str(handle.as_str()).map_err(|_| no_receipt())?;
        if run.as_deref().is_some_and(|run| !sound(run)) {
            return Err(no_receipt());
        }
        let work = Work::spelled(&kind, &arguments, &ReleaseId::new(to))?;
        Ok(Receipt { work, mark: Mark::new(mark), run, intended_at })
    }
}
