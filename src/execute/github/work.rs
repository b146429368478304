//! Orders and receipts: how an act's arguments and a handle are spelled, and that nothing in them is taken unread.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Site;
use super::deployment::is_commit;
use crate::case::id::{Handle, Mark, ReleaseId, Timestamp};
use crate::case::step::{Act, Class, Order};
use crate::outbound::{CallError, Trouble};

/// The acts.
const CANCEL: &str = "cancel";
const DISPATCH: &str = "dispatch";
const RECORD: &str = "record";
const CONFIRM: &str = "confirm";

/// An act on one environment, pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) site: Site,
    pub(super) doing: Doing,
    /// The newest deployment when it was planned: what we write is newer.
    pub(super) after: u64,
    pub(super) to: ReleaseId,
}

/// What is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// A run is ended, as it was when it was planned: not what somebody starts again.
    Cancel { run: u64, attempt: u64 },
    /// The rollback workflow is started.
    Dispatch,
    /// A deployment is written.
    Record,
    /// Of that deployment it is said that it succeeded.
    Confirm,
}

impl Work {
    /// The act, for a plan.
    pub(super) fn act(&self, says: String) -> Act {
        let Site { repository, workflow, branch, environment, repeatable, record } = &self.site;
        let mut arguments = vec![
            ("repository", repository.clone()),
            ("workflow", workflow.clone()),
            ("ref", branch.clone()),
            ("environment", environment.clone()),
            ("repeatable", repeatable.to_string()),
            ("record", record.to_string()),
            ("sha", self.to.to_string()),
            ("after", self.after.to_string()),
        ];
        let (kind, class) = match self.doing {
            // A late copy ends the same run, which has ended.
            Doing::Cancel { run, attempt } => {
                arguments.extend([("run", run.to_string()), ("attempt", attempt.to_string())]);
                (CANCEL, Class::B)
            }
            // Each copy is a run of its own, but where the workflow knows what it has seen.
            Doing::Dispatch if *repeatable => (DISPATCH, Class::B),
            Doing::Dispatch => (DISPATCH, Class::C),
            // A late copy says the same of the same commit once more.
            Doing::Record => (RECORD, Class::B),
            Doing::Confirm => (CONFIRM, Class::B),
        };
        let arguments: BTreeMap<String, String> =
            arguments.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Act { kind: kind.into(), arguments, class, says }
    }

    /// Reads an act; refuses what was not made by `propose`.
    pub(super) fn read(act: &Act, to: &ReleaseId) -> Result<Work, Trouble> {
        Work::spelled(&act.kind, &act.arguments, to)
    }

    fn spelled(kind: &str, arguments: &BTreeMap<String, String>, to: &ReleaseId) -> Result<Work, Trouble> {
        let argument = |name: &str| {
            let missing = || Trouble::Refused(format!("the act {kind} lacks its {name}"));
            arguments.get(name).cloned().ok_or_else(missing)
        };
        let unread = |name: &str| Trouble::Refused(format!("the act's {name} cannot be read"));
        let number = |name: &str| argument(name)?.parse::<u64>().map_err(|_| unread(name));
        let flag = |name: &str| argument(name)?.parse::<bool>().map_err(|_| unread(name));
        let doing = match kind {
            CANCEL => Doing::Cancel { run: number("run")?, attempt: number("attempt")? },
            DISPATCH => Doing::Dispatch,
            RECORD => Doing::Record,
            CONFIRM => Doing::Confirm,
            other => return Err(Trouble::Refused(format!("GitHub Actions knows no act {other}"))),
        };
        if argument("sha")? != to.as_str() || !is_commit(to.as_str()) {
            return Err(unread("sha"));
        }
        let site = Site {
            repository: argument("repository")?,
            workflow: argument("workflow")?,
            branch: argument("ref")?,
            environment: argument("environment")?,
            repeatable: flag("repeatable")?,
            record: flag("record")?,
        };
        Ok(Work { site, doing, after: number("after")?, to: to.clone() })
    }

    /// Reads an order; refuses what was not made by `propose`.
    pub(super) fn of(order: &Order) -> Result<Work, Trouble> {
        Work::read(&order.act, &order.to)
    }

    /// The receipt for it.
    pub(super) fn handle(&self, order: &Order, known: Known) -> Result<Handle, Trouble> {
        let Act { kind, arguments, .. } = self.act(String::new());
        let spelled = Spelled {
            kind,
            arguments,
            from: order.expected.to_string(),
            to: self.to.to_string(),
            mark: order.mark.to_string(),
            intended_at: order.intended_at,
            known,
        };
        serde_json::to_string(&spelled)
            .map(Handle::new)
            .map_err(|error| CallError::Io { doing: "write a receipt".into(), source: error.into() }.into())
    }
}

/// What is known of work that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// The run that does it, where its number was told or found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<u64>,
    /// Another run under the same mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) twin: Option<u64>,
    /// Why nothing was written into the deployments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unwritten: Option<String>,
}

/// What a handle holds.
pub(super) struct Receipt {
    pub(super) work: Work,
    /// What it goes back from.
    pub(super) from: ReleaseId,
    pub(super) mark: Mark,
    pub(super) intended_at: Timestamp,
    pub(super) known: Known,
}

#[derive(Serialize, Deserialize)]
struct Spelled {
    kind: String,
    arguments: BTreeMap<String, String>,
    from: String,
    to: String,
    mark: String,
    intended_at: Timestamp,
    #[serde(flatten)]
    known: Known,
}

impl Receipt {
    /// Reads a receipt.
    pub(super) fn read(handle: &Handle) -> Result<Receipt, Trouble> {
        let no_receipt = |_| Trouble::Refused(format!("{handle} is no receipt of GitHub Actions"));
        let Spelled { kind, arguments, from, to, mark, intended_at, known } =
            serde_json::from_str(handle.as_str()).map_err(no_receipt)?;
        let work = Work::spelled(&kind, &arguments, &ReleaseId::new(to))?;
        Ok(Receipt { work, from: ReleaseId::new(from), mark: Mark::new(mark), intended_at, known })
    }
}
