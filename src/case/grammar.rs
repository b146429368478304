//! The grammar of sayings: strict, so that nothing is ever guessed. Owns how each is spelled; what they mean is `saying`'s.

use super::event::Settlement;
use super::id::{CaseId, Digest, Duration, ReleaseId, ServiceId};
use super::length;
use super::plan::IRREVERSIBLE;
use super::saying::{HELP, NotASaying, Saying};

/// A freeze without a length lasts so long.
const FREEZE: Duration = Duration::from_hours(2);

/// What chats make of typed text: dashes and quotes that look better, spaces that do not break (signals §10.2).
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            '\u{a0}' | '\u{202f}' | '\n' | '\r' | '\t' => plain.push(' '),
            '\u{201c}' | '\u{201d}' => plain.push('"'),
            '\u{2018}' | '\u{2019}' => plain.push('\''),
            '\u{2014}' => plain.push_str("--"),
            '\u{2013}' => plain.push('-'),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    plain
}

/// The words after the verb.
pub(super) struct Words<'a> {
    pub(super) words: &'a [&'a str],
    pub(super) reason: Option<String>,
    pub(super) services: &'a [ServiceId],
}

impl Words<'_> {
    pub(super) fn read(self, verb: &str) -> Result<Saying, NotASaying> {
        match verb {
            "help" => self.exactly(0, HELP[0]).map(|_| Saying::Help),
            "status" if self.words.is_empty() => Ok(Saying::Status(None)),
            "status" => Ok(Saying::Status(Some(self.one_service(HELP[1])?))),
            "why" => self.one_case(HELP[2]).map(Saying::Why),
            "deployments" => self.one_service(HELP[3]).map(Saying::Deployments),
            "rollback" => self.rollback(),
            "rollforward" => {
                let (service, serving) = match self.words {
                    [service] => (service, None),
                    [service, "serving", release] => (service, Some(ReleaseId::new(*release))),
                    _ => return Err(NotASaying::Form(HELP[5])),
                };
                let service = self.service(service)?;
                Ok(Saying::Rollforward { service, serving, reason: self.needed(HELP[5])? })
            }
            "approve" => self.approve(),
            "deny" => self.deny(),
            "cancel" => self.one_case(HELP[8]).map(Saying::Cancel),
            "snooze" => self.one_case(HELP[9]).map(Saying::Snooze),
            "exonerate" => self.one_case(HELP[10]).map(Saying::Exonerate),
            "settle" => self.settle(),
            "freeze" => self.freeze(),
            "unfreeze" => self.one_service(HELP[13]).map(Saying::Unfreeze),
            "pause" => self.exactly(0, HELP[14]).map(|_| Saying::Pause { reason: self.given() }),
            "resume" => self.exactly(0, HELP[15]).map(|_| Saying::Resume),
            "mark" => self.mark(),
            "unlock" => {
                let words = self.exactly(2, HELP[17])?;
                let (service, release) = (self.service(words[0])?, ReleaseId::new(words[1]));
                Ok(Saying::Unlock { service, release, reason: self.given() })
            }
            other => Err(NotASaying::Verb(other.chars().take(40).collect())),
        }
    }

    fn exactly(&self, count: usize, form: &'static str) -> Result<&[&str], NotASaying> {
        if self.words.len() == count { Ok(self.words) } else { Err(NotASaying::Form(form)) }
    }

    fn one_service(&self, form: &'static str) -> Result<ServiceId, NotASaying> {
        self.service(self.exactly(1, form)?[0])
    }

    fn one_case(&self, form: &'static str) -> Result<CaseId, NotASaying> {
        case(self.exactly(1, form)?[0])
    }

    fn service(&self, name: &str) -> Result<ServiceId, NotASaying> {
        let called: Vec<&ServiceId> = self
            .services
            .iter()
            .filter(|service| service.as_str() == name || (!name.contains('@') && service.name() == name))
            .collect();
        match called.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(NotASaying::NoService(name.chars().take(80).collect())),
            several => {
                let names: Vec<&str> = several.iter().map(|service| service.as_str()).collect();
                Err(NotASaying::WhichService(name.to_owned(), names.join(" or ")))
            }
        }
    }

    fn needed(&self, form: &'static str) -> Result<String, NotASaying> {
        self.reason.clone().filter(|reason| !reason.is_empty()).ok_or(NotASaying::NoReason(form))
    }

    fn given(&self) -> String {
        self.reason.clone().filter(|reason| !reason.is_empty()).unwrap_or_else(|| "said in the chat".into())
    }

    fn rollback(&self) -> Result<Saying, NotASaying> {
        let (service, to, serving) = match self.words {
            [service] => (service, None, None),
            [service, "to", to] => (service, Some(*to), None),
            [service, "serving", serving] => (service, None, Some(*serving)),
            [service, "to", to, "serving", serving] => (service, Some(*to), Some(*serving)),
            _ => return Err(NotASaying::Form(HELP[4])),
        };
        let (to, serving) = (to.map(ReleaseId::new), serving.map(ReleaseId::new));
        Ok(Saying::Rollback { service: self.service(service)?, to, serving, reason: self.needed(HELP[4])? })
    }

    /// A yes. Whoever gives it alone says so by a word of its own, so that a reason that is only friendly breaks no glass.
    fn approve(&self) -> Result<Saying, NotASaying> {
        let wrong = || NotASaying::Form(HELP[6]);
        let (id, words) = self.words.split_first().ok_or_else(wrong)?;
        let (alone, words) = match words {
            [words @ .., "alone"] => (Some(self.needed(HELP[6])?), words),
            _ if self.reason.is_some() => return Err(wrong()),
            words => (None, words),
        };
        let (irreversible, plan) = match words {
            [] => (false, None),
            [word] if *word == IRREVERSIBLE => (true, None),
            [plan] => (false, Some(*plan)),
            [plan, word] if *word == IRREVERSIBLE => (true, Some(*plan)),
            _ => return Err(wrong()),
        };
        if plan.is_some_and(|plan| [IRREVERSIBLE, "alone"].contains(&plan)) {
            return Err(wrong());
        }
        Ok(Saying::Approve { case: case(id)?, plan: plan.map(Digest::new), irreversible, alone })
    }

    fn deny(&self) -> Result<Saying, NotASaying> {
        match self.words {
            [id] => Ok(Saying::Deny { case: case(id)?, plan: None }),
            [id, plan] => Ok(Saying::Deny { case: case(id)?, plan: Some(Digest::new(*plan)) }),
            _ => Err(NotASaying::Form(HELP[7])),
        }
    }

    fn settle(&self) -> Result<Saying, NotASaying> {
        let words = self.exactly(2, HELP[11])?;
        let how = Settlement::parse(words[1]).ok_or(NotASaying::Form(HELP[11]))?;
        Ok(Saying::Settle(case(words[0])?, how))
    }

    fn freeze(&self) -> Result<Saying, NotASaying> {
        let (service, length) = match self.words {
            [service] => (service, FREEZE),
            [service, length] => (service, length::parse(length).map_err(|_| NotASaying::Form(HELP[12]))?),
            _ => return Err(NotASaying::Form(HELP[12])),
        };
        Ok(Saying::Freeze { service: self.service(service)?, length, reason: self.needed(HELP[12])? })
    }

    fn mark(&self) -> Result<Saying, NotASaying> {
        let words = self.exactly(3, HELP[16])?;
        let good = match words[0] {
            "good" => true,
            "bad" => false,
            _ => return Err(NotASaying::Form(HELP[16])),
        };
        let (service, release) = (self.service(words[1])?, ReleaseId::new(words[2]));
        Ok(Saying::Mark { service, release, good, reason: self.given() })
    }
}

fn case(id: &str) -> Result<CaseId, NotASaying> {
    let case = CaseId::new(id);
    match ServiceId::parse(case.service().as_str()) {
        Some(_) if id.contains('.') => Ok(case),
        _ => Err(NotASaying::NoCase(id.chars().take(80).collect())),
    }
}
