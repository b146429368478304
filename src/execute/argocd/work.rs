//! Orders and receipts: how an act's arguments and a handle are spelled, and that nothing in them is taken unread.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Site;
use crate::case::id::{Handle, ReleaseId, Timestamp};
use crate::case::step::{Act, Class, Order};
use crate::outbound::{CallError, Trouble};

/// The acts.
const PREPARE: &str = "prepare";
const TERMINATE: &str = "terminate";
const ROLLBACK: &str = "rollback";
const RESUME: &str = "resume";

/// An act on one Application, pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) site: Site,
    /// Of this object, and no other of its name.
    pub(super) uid: String,
    pub(super) doing: Doing,
    pub(super) to: ReleaseId,
}

/// What is done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// Our mark is kept on it, and auto-sync is off from then on.
    Prepare {
        /// The newest entry of the history.
        after: i64,
        /// What that takes.
        off: Off,
    },
    /// What is under way since then is ended.
    Terminate { started_at: Timestamp },
    /// What an entry of the history holds is synced.
    Rollback {
        entry: i64,
        /// The newest entry of the history.
        after: i64,
        /// When the last operation before ours began.
        before: Option<Timestamp>,
    },
    /// Auto-sync goes on again, where Git asks for what serves.
    Resume {
        /// `spec.syncPolicy.automated`.
        automated: Value,
        /// What Git asks for.
        wanted: ReleaseId,
    },
}

/// How auto-sync is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Off {
    /// It is off.
    Already,
    /// By `enabled: false`, which keeps the rest of it.
    Switched,
    /// By taking it out: an Argo CD before 3.1 knows no `enabled`.
    TakenOut,
}

const OFF: [(&str, Off); 3] =
    [("already", Off::Already), ("switched", Off::Switched), ("taken-out", Off::TakenOut)];

impl Work {
    /// The act, for a plan.
    pub(super) fn act(&self, says: String) -> Act {
        let Site { application, namespace, project, prune } = &self.site;
        let mut arguments = vec![("application", application.clone()), ("uid", self.uid.clone())];
        arguments.extend(namespace.clone().map(|namespace| ("namespace", namespace)));
        arguments.extend(project.clone().map(|project| ("project", project)));
        let (kind, class) = match &self.doing {
            Doing::Prepare { after, off } => {
                let word = OFF.iter().find(|(_, known)| known == off).map_or("", |(word, _)| *word);
                arguments.extend([("after", after.to_string()), ("auto_sync", word.to_owned())]);
                (PREPARE, Class::B)
            }
            // A late copy would end whatever is under way then.
            Doing::Terminate { started_at } => {
                arguments.push(("started_at", started_at.to_string()));
                (TERMINATE, Class::C)
            }
            Doing::Rollback { entry, after, before } => {
                let own =
                    [("id", entry.to_string()), ("after", after.to_string()), ("prune", prune.to_string())];
                arguments.extend(own);
                arguments.extend(before.map(|before| ("before", before.to_string())));
                (ROLLBACK, Class::B)
            }
            Doing::Resume { automated, wanted } => {
                arguments.extend([("automated", automated.to_string()), ("wanted", wanted.to_string())]);
                (RESUME, Class::B)
            }
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
        let number = |name: &str| argument(name)?.parse::<i64>().map_err(|_| unread(name));
        let moment = |name: &str| argument(name)?.parse::<Timestamp>().map_err(|_| unread(name));
        let doing = match kind {
            PREPARE => {
                let word = argument("auto_sync")?;
                let off = OFF.iter().find(|(known, _)| *known == word).map(|(_, off)| *off);
                Doing::Prepare { after: number("after")?, off: off.ok_or_else(|| unread("auto_sync"))? }
            }
            TERMINATE => Doing::Terminate { started_at: moment("started_at")? },
            ROLLBACK => Doing::Rollback {
                entry: number("id")?,
                after: number("after")?,
                before: if arguments.contains_key("before") { Some(moment("before")?) } else { None },
            },
            RESUME => Doing::Resume {
                automated: serde_json::from_str(&argument("automated")?).map_err(|_| unread("automated"))?,
                wanted: ReleaseId::new(argument("wanted")?),
            },
            other => return Err(Trouble::Refused(format!("Argo CD knows no act {other}"))),
        };
        let site = Site {
            application: argument("application")?,
            namespace: arguments.get("namespace").cloned(),
            project: arguments.get("project").cloned(),
            prune: arguments.get("prune").is_some_and(|prune| prune == "true"),
        };
        Ok(Work { site, uid: argument("uid")?, doing, to: to.clone() })
    }

    /// Reads an order; refuses what was not made by `propose`.
    pub(super) fn of(order: &Order) -> Result<Work, Trouble> {
        Work::read(&order.act, &order.to)
    }

    /// The receipt for it.
    pub(super) fn handle(&self, order: &Order) -> Result<Handle, Trouble> {
        let Act { kind, arguments, .. } = self.act(String::new());
        let spelled = Spelled {
            kind,
            arguments,
            from: order.expected.to_string(),
            to: self.to.to_string(),
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
    pub(super) from: ReleaseId,
    pub(super) intended_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Spelled {
    kind: String,
    arguments: BTreeMap<String, String>,
    from: String,
    to: String,
    intended_at: Timestamp,
}

impl Receipt {
    /// Reads a receipt.
    pub(super) fn read(handle: &Handle) -> Result<Receipt, Trouble> {
        let no_receipt = |_| Trouble::Refused(format!("{handle} is no receipt of Argo CD"));
        let Spelled { kind, arguments, from, to, intended_at } =
            serde_json::from_str(handle.as_str()).map_err(no_receipt)?;
        let work = Work::spelled(&kind, &arguments, &ReleaseId::new(to))?;
        Ok(Receipt { work, from: ReleaseId::new(from), intended_at })
    }
}
