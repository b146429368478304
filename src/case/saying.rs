//! A saying: what can be typed after `/snapback`, and what a button says when it is pressed, in one strict grammar (product
//! §11, threat T73). Writes it, and says what is asked for by it; leaves how it is read to `grammar`, who may say it to
//! `ask`, and where it is heard to `intake`.

use std::collections::BTreeSet;
use std::fmt;

use super::approval::PersonVote;
use super::command::{Ask, Authority, Request, Wish};
use super::event::Settlement;
use super::grammar::{Words, plain};
use super::id::{CaseId, Digest, Duration, PersonId, ReleaseId, ServiceId, Timestamp};
use super::plan::IRREVERSIBLE;

/// Reasons are sentences; a button's value holds 2,000 characters in all.
pub const REASON_MAX: usize = 500;
/// No saying is longer.
const TEXT_MAX: usize = 1500;

/// What somebody says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saying {
    /// What can be said.
    Help,
    /// How everything stands, or one service.
    Status(Option<ServiceId>),
    /// Why a case is judged as it is.
    Why(CaseId),
    /// What was deployed.
    Deployments(ServiceId),
    /// A rollback by hand.
    Rollback {
        /// Of which service.
        service: ServiceId,
        /// To which release; none: the ledger's own choice.
        to: Option<ReleaseId>,
        /// What served when it was shown: it counts as long as that serves.
        serving: Option<ReleaseId>,
        /// Why.
        reason: String,
    },
    /// The release that was rolled back goes out again.
    Rollforward {
        /// Of which service.
        service: ServiceId,
        /// What served when it was shown: it counts as long as that serves.
        serving: Option<ReleaseId>,
        /// Why.
        reason: String,
    },
    /// Yes.
    Approve {
        /// To which case.
        case: CaseId,
        /// The plan that they saw; without one, whatever is asked when it is shown to them.
        plan: Option<Digest>,
        /// They typed that they know that it is irreversible.
        irreversible: bool,
        /// They decide alone, for this reason.
        alone: Option<String>,
    },
    /// No.
    Deny {
        /// To which case.
        case: CaseId,
        /// The plan that they saw.
        plan: Option<Digest>,
    },
    /// Call a case off.
    Cancel(CaseId),
    /// Not now.
    Snooze(CaseId),
    /// Something else is to blame.
    Exonerate(CaseId),
    /// Settle what nobody can tell.
    Settle(CaseId, Settlement),
    /// Nothing automatic for so long.
    Freeze {
        /// Of which service.
        service: ServiceId,
        /// How long.
        length: Duration,
        /// Why.
        reason: String,
    },
    /// The freeze ends.
    Unfreeze(ServiceId),
    /// Nothing automatic, anywhere.
    Pause {
        /// Why.
        reason: String,
    },
    /// The pause ends.
    Resume,
    /// A release is good, or bad.
    Mark {
        /// Of which service.
        service: ServiceId,
        /// Which.
        release: ReleaseId,
        /// Good.
        good: bool,
        /// Why.
        reason: String,
    },
    /// A release may go out again.
    Unlock {
        /// Of which service.
        service: ServiceId,
        /// Which.
        release: ReleaseId,
        /// Why.
        reason: String,
    },
}

/// What can be said, a line each.
pub const HELP: [&str; 18] = [
    "help",
    "status [service]",
    "why <case>",
    "deployments <service>",
    "rollback <service> [to <release>] -- <reason>",
    "rollforward <service> -- <reason>",
    "approve <case> [irreversible] [alone -- <reason>]",
    "deny <case>",
    "cancel <case>",
    "snooze <case>",
    "exonerate <case>",
    "settle <case> look-again|took-effect|give-up",
    "freeze <service> [2h] -- <reason>",
    "unfreeze <service>",
    "pause [-- <reason>]",
    "resume",
    "mark good|bad <service> <release> [-- <reason>]",
    "unlock <service> <release> [-- <reason>]",
];

/// Why a text is no saying.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASaying {
    /// The first word is none that is known.
    #[error("\"{0}\" is nothing that can be said here: see help")]
    Verb(String),
    /// Words are missing, or there are too many; how it is said.
    #[error("say it so: {0}")]
    Form(&'static str),
    /// No service is called so.
    #[error("no service is called {0}")]
    NoService(String),
    /// Several services are called so, in these environments.
    #[error("several services are called {0}: say which, {1}")]
    WhichService(String, String),
    /// It is no case.
    #[error("{0} is no case: cases are called as checkout@production.3")]
    NoCase(String),
    /// A reason must follow.
    #[error("say why, after two dashes: {0}")]
    NoReason(&'static str),
    /// Longer than what can be said.
    #[error("a reason has at most {REASON_MAX} characters")]
    TooLong,
}

impl Saying {
    /// Reads what somebody typed. A service may leave its environment out where only one is called so.
    ///
    /// # Errors
    /// The first thing that is not understood; nothing is ever guessed.
    pub fn read(text: &str, services: &[ServiceId]) -> Result<Saying, NotASaying> {
        let text = plain(text);
        if text.chars().count() > TEXT_MAX {
            return Err(NotASaying::TooLong);
        }
        let (words, reason) =
            match text.split_once(" -- ").or_else(|| text.strip_suffix(" --").map(|words| (words, ""))) {
                Some((words, reason)) => (words, Some(reason.trim().to_owned())),
                None => (text.as_str(), None),
            };
        if reason.as_ref().is_some_and(|reason| reason.chars().count() > REASON_MAX) {
            return Err(NotASaying::TooLong);
        }
        let words: Vec<&str> = words.split_whitespace().collect();
        let Some((verb, words)) = words.split_first() else { return Ok(Saying::Help) };
        Words { words, reason, services }.read(&verb.to_lowercase())
    }

    /// Whether it only asks, and changes nothing.
    pub fn only_asks(&self) -> bool {
        matches!(self, Saying::Help | Saying::Status(_) | Saying::Why(_) | Saying::Deployments(_))
    }

    /// What is asked for by saying it; nothing where it changes nothing, or is a vote on no plan in particular.
    pub fn request(&self, by: &PersonId, at: Timestamp) -> Option<Request> {
        let yes = |plan: &Option<Digest>| plan.clone().map(PersonVote::yes);
        let (service, what) = match self {
            Saying::Help | Saying::Status(_) | Saying::Why(_) | Saying::Deployments(_) => return None,
            Saying::Pause { reason } => {
                let (by, reason) = (by.clone(), reason.clone());
                return Some(Request::Pause { by, at, reason, everything: false });
            }
            Saying::Resume => return Some(Request::Resume { by: by.clone(), at, everything: false }),
            Saying::Approve { case, plan, irreversible, alone } => {
                let confirm = irreversible.then(|| IRREVERSIBLE.to_owned());
                let vote = PersonVote { break_glass: alone.clone(), confirm, ..yes(plan)? };
                (case.service(), Wish::Vote { case: case.clone(), vote })
            }
            Saying::Deny { case, plan } => {
                let vote = PersonVote { yes: false, ..yes(plan)? };
                (case.service(), Wish::Vote { case: case.clone(), vote })
            }
            Saying::Cancel(case) => (case.service(), Wish::Cancel(case.clone())),
            Saying::Snooze(case) => (case.service(), Wish::Snooze(case.clone())),
            Saying::Exonerate(case) => (case.service(), Wish::Exonerate(case.clone())),
            Saying::Settle(case, how) => (case.service(), Wish::Settle(case.clone(), *how)),
            Saying::Rollback { service, to, reason, .. } => {
                (service.clone(), Wish::Rollback { to: to.clone(), reason: reason.clone(), shown: None })
            }
            Saying::Rollforward { service, reason, .. } => {
                (service.clone(), Wish::Rollforward { reason: reason.clone() })
            }
            Saying::Freeze { service, length, reason } => {
                (service.clone(), Wish::Freeze { length: *length, reason: reason.clone() })
            }
            Saying::Unfreeze(service) => (service.clone(), Wish::Unfreeze),
            Saying::Mark { service, release, good, reason } => (
                service.clone(),
                Wish::Mark { release: release.clone(), good: *good, reason: reason.clone() },
            ),
            Saying::Unlock { service, release, reason } => {
                (service.clone(), Wish::Unlock { release: release.clone(), reason: reason.clone() })
            }
        };
        let ask = Ask { by: by.clone(), at, groups: BTreeSet::new(), authority: Authority::Groups, what };
        Some(Request::Of(service, ask))
    }

    /// What served when it was shown, where that is part of what is said.
    pub fn serving(&self) -> Option<&ReleaseId> {
        if let Saying::Rollback { serving, .. } | Saying::Rollforward { serving, .. } = self {
            return serving.as_ref();
        }
        None
    }

    /// The case that it is about.
    pub fn case(&self) -> Option<&CaseId> {
        match self {
            Saying::Why(case)
            | Saying::Approve { case, .. }
            | Saying::Deny { case, .. }
            | Saying::Cancel(case)
            | Saying::Snooze(case)
            | Saying::Exonerate(case)
            | Saying::Settle(case, _) => Some(case),
            Saying::Help
            | Saying::Status(_)
            | Saying::Deployments(_)
            | Saying::Rollback { .. }
            | Saying::Rollforward { .. }
            | Saying::Freeze { .. }
            | Saying::Unfreeze(_)
            | Saying::Pause { .. }
            | Saying::Resume
            | Saying::Mark { .. }
            | Saying::Unlock { .. } => None,
        }
    }
}

impl fmt::Display for Saying {
    /// As it would be typed; read again it says the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Saying::Help => write!(f, "help"),
            Saying::Status(None) => write!(f, "status"),
            Saying::Status(Some(service)) => write!(f, "status {service}"),
            Saying::Why(case) => write!(f, "why {case}"),
            Saying::Deployments(service) => write!(f, "deployments {service}"),
            Saying::Rollback { service, to, serving, reason } => {
                write!(f, "rollback {service}{}{} -- {reason}", named("to", to), named("serving", serving))
            }
            Saying::Rollforward { service, serving, reason } => {
                write!(f, "rollforward {service}{} -- {reason}", named("serving", serving))
            }
            Saying::Approve { case, plan, irreversible, alone } => {
                let word = if *irreversible { " irreversible" } else { "" };
                let alone = alone.as_ref().map_or(String::new(), |reason| format!(" alone -- {reason}"));
                write!(f, "approve {case}{}{word}{alone}", spaced(plan.as_ref()))
            }
            Saying::Deny { case, plan } => write!(f, "deny {case}{}", spaced(plan.as_ref())),
            Saying::Cancel(case) => write!(f, "cancel {case}"),
            Saying::Snooze(case) => write!(f, "snooze {case}"),
            Saying::Exonerate(case) => write!(f, "exonerate {case}"),
            Saying::Settle(case, how) => write!(f, "settle {case} {}", how.word()),
            Saying::Freeze { service, length, reason } => {
                write!(f, "freeze {service} {}s -- {reason}", length.as_secs())
            }
            Saying::Unfreeze(service) => write!(f, "unfreeze {service}"),
            Saying::Pause { reason } => write!(f, "pause -- {reason}"),
            Saying::Resume => write!(f, "resume"),
            Saying::Mark { service, release, good, reason } => {
                write!(f, "mark {} {service} {release} -- {reason}", if *good { "good" } else { "bad" })
            }
            Saying::Unlock { service, release, reason } => {
                write!(f, "unlock {service} {release} -- {reason}")
            }
        }
    }
}

fn named(word: &str, release: &Option<ReleaseId>) -> String {
    release.as_ref().map_or(String::new(), |release| format!(" {word} {release}"))
}

fn spaced(digest: Option<&Digest>) -> String {
    digest.map_or(String::new(), |digest| format!(" {digest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services() -> Vec<ServiceId> {
        ["checkout@production", "payments@production", "payments@staging"].map(ServiceId::new).to_vec()
    }

    fn read(text: &str) -> Result<Saying, NotASaying> {
        Saying::read(text, &services())
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for text in [
            "help",
            "status",
            "status checkout@production",
            "why checkout@production.3",
            "deployments payments@staging",
            "rollback checkout@production -- it is down",
            "rollback checkout@production to v41 -- it is -- down",
            "rollback checkout@production to v41 serving v42 -- it is down",
            "rollforward checkout@production -- it was not that",
            "rollforward checkout@production serving v41 -- it was not that",
            "approve checkout@production.3",
            "approve checkout@production.3 0123abcd",
            "approve checkout@production.3 irreversible",
            "approve checkout@production.3 alone -- nobody else is awake",
            "approve checkout@production.3 0123abcd irreversible alone -- nobody else is awake",
            "deny checkout@production.3 0123abcd",
            "cancel checkout@production.3",
            "snooze checkout@production.3",
            "exonerate checkout@production.3",
            "settle checkout@production.3 took-effect",
            "freeze checkout@production 7200s -- a sale",
            "unfreeze checkout@production",
            "pause -- a storm",
            "resume",
            "mark bad checkout@production sha256:abc -- it leaks",
            "unlock checkout@production v42 -- mended",
        ] {
            let said = read(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(said.to_string(), text);
        }
    }

    #[test]
    fn a_service_is_named_as_far_as_is_needed() {
        let rollback = |name: &str| read(&format!("rollback {name} -- x"));
        assert_eq!(rollback("checkout"), rollback("checkout@production"));
        assert!(matches!(rollback("payments"), Err(NotASaying::WhichService(..))));
        assert!(matches!(rollback("pay"), Err(NotASaying::NoService(_))));
    }

    #[test]
    fn what_keyboards_make_of_it_is_understood() {
        let typed = "rollback\u{a0}checkout to v41 \u{2014} it\u{2019}s \u{201c}down\u{201d}";
        assert_eq!(read(typed).unwrap().to_string(), "rollback checkout@production to v41 -- it's \"down\"");
        assert!(matches!(read("freeze checkout 2h \u{2014} sale"), Ok(Saying::Freeze { .. })));
    }

    #[test]
    fn nothing_is_guessed() {
        for text in [
            "rolback checkout -- x",
            "rollback -- x",
            "rollback checkout v41 -- x",
            "rollback checkout to -- x",
            "rollback checkout to v41 now -- x",
            "rollback checkout",
            "rollback checkout --",
            "approve",
            "approve checkout",
            "approve checkout@production.3 d e",
            "approve checkout@production.3 -- looks right",
            "approve checkout@production.3 alone",
            "approve checkout@production.3 alone alone -- x",
            "approve checkout@production.3 irreversible irreversible",
            "deny checkout@production.3 irreversible alone -- x",
            "settle checkout@production.3",
            "settle checkout@production.3 maybe",
            "freeze checkout soon -- x",
            "freeze checkout 2h",
            "mark fine checkout v41",
            "mark good v41",
            "pause everything",
            "resume now",
        ] {
            assert!(read(text).is_err(), "{text}: {:?}", read(text));
        }
        assert_eq!(read(&format!("pause -- {}", "x".repeat(501))), Err(NotASaying::TooLong));
        assert_eq!(read(""), Ok(Saying::Help));
    }
}
