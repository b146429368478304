//! Names, numbers and moments: the small types that everything else is spoken in. Owns no behaviour but
//! spelling; what the things behind the names are is told in the files of their nouns.

use std::fmt;
use std::sync::Arc;

/// A moment in UTC. The core is always told what time it is; it never asks.
pub use jiff::Timestamp;

/// A length of time, signed, so that differences of moments need no second type.
pub type Duration = jiff::SignedDuration;

/// Makes a cheap-to-clone text type: one kind of name is never mistaken for another.
macro_rules! text_ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is; what is allowed in it is checked where it enters.
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(Arc::from(text.as_ref()))
            }
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }
    )*};
}

text_ids! {
    /// What is deployed and rolled back as one, `name@environment`. Made by [`ServiceId::parse`] or [`ServiceId::of`].
    ServiceId
    /// A case: `service.number`, so that its owner can be read from it. Opaque to people.
    CaseId
    /// A deployment: the provider's own name for the event of putting a release on a service.
    DeploymentId
    /// A release, by the identity of its artifact: digest, template hash, S3 version, commit or folder.
    ReleaseId
    /// A configured source of signals, `[sources.NAME]`; `probe` and `provider` are our own.
    SourceName
    /// The name of an alert: `alertname` in Alertmanager's words.
    SignalName
    /// One alert, again and again: the sender's hash over the whole label set.
    Fingerprint
    /// One row of the rule table.
    RuleName
    /// A group of people, `[groups.NAME]` or a token's group.
    GroupName
    /// Somebody who acts: `slack:U0123ABCD`, `token:alice`.
    PersonId
    /// Who wakes people, `[pages.NAME]`.
    PagerName
    /// A probe, `[probes.NAME]`.
    ProbeName
    /// A change that may carry several deployments: a commit, a pull request, a pipeline run.
    ChangeId
    /// The provider's receipt for work begun; opaque, stored, given back to `watch`.
    Handle
    /// Our sign at the provider: `snapback/` and the digest of service, case, step and attempt.
    Mark
    /// Where a note was said: a thread's address, or the log.
    Place
    /// Where one person is answered privately, for a while: whoever has it may answer.
    AnswerUrl
    /// A name of a reusable policy: `[approvals.NAME]`, `[verify.NAME]`, `[times.NAME]`, `[plans.NAME]`.
    PolicyName
    /// A SHA-256 over canonical bytes, in lower-case hexadecimal.
    Digest
}

impl Place {
    /// A note that was said in the log and nowhere else.
    pub fn log() -> Place {
        Place::new("log")
    }

    /// Whether it is a thread, whose first message can be edited; its link.
    pub fn is_thread(&self) -> bool {
        self.as_str().contains("://")
    }
}

impl ServiceId {
    /// The service of this name in this environment.
    pub fn of(name: &str, environment: &str) -> ServiceId {
        ServiceId::new(format!("{name}@{environment}"))
    }

    /// Reads `name@environment`; both halves are needed, each of letters, digits, `-`, `_`, `.`, `/`.
    pub fn parse(text: &str) -> Option<ServiceId> {
        let (name, environment) = text.split_once('@')?;
        let sound = |half: &str| {
            !half.is_empty()
                && half.len() <= 128
                && half.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        };
        (sound(name) && sound(environment)).then(|| ServiceId::new(text))
    }

    /// The half before the `@`.
    pub fn name(&self) -> &str {
        self.as_str().split_once('@').map_or(self.as_str(), |(name, _)| name)
    }

    /// The half after the `@`; a region is part of it.
    pub fn environment(&self) -> &str {
        self.as_str().split_once('@').map_or("", |(_, environment)| environment)
    }
}

impl CaseId {
    /// The `number`-th case of this service.
    pub fn of(service: &ServiceId, number: u64) -> CaseId {
        CaseId::new(format!("{service}.{number}"))
    }

    /// The service that the case belongs to.
    pub fn service(&self) -> ServiceId {
        ServiceId::new(self.as_str().rsplit_once('.').map_or(self.as_str(), |(service, _)| service))
    }
}

impl SourceName {
    /// The name under which what a feed tells is kept; no source can be called so.
    pub fn feed(name: &str) -> SourceName {
        SourceName::new(format!("@feeds/{name}"))
    }

    /// The source of signals that our own probes raise.
    pub fn probe() -> SourceName {
        SourceName::new("probe")
    }
    /// The source of signals that a provider's own failure reports raise.
    pub fn provider() -> SourceName {
        SourceName::new("provider")
    }
}

/// The number of a step in its plan, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepNo(pub u16);

/// The number of an attempt at a step, from 1.
pub type Attempt = u8;

/// The number of a note in its case's thread, from 0, which is the root message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoteNo(pub u32);

/// The number of a stored delivery: its place in the journal, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub u64);

impl fmt::Display for StepNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Whether a pattern such as `*@production` or `payments@*` covers a text. `*` stands for any run of
/// characters; everything else is itself. No other wildcard exists.
pub fn covers(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
    for piece in middle {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_needs_both_halves() {
        assert!(ServiceId::parse("checkout@production").is_some());
        for bad in ["checkout", "@production", "checkout@", "a@b@c", "che ckout@p", ""] {
            assert!(ServiceId::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_case_knows_its_service() {
        let service = ServiceId::of("a.b", "prod");
        assert_eq!(CaseId::of(&service, 7).service(), service);
    }

    #[test]
    fn patterns_cover_by_stars_alone() {
        for (pattern, text, expected) in [
            ("*@production", "checkout@production", true),
            ("*@production", "checkout@production-eu", false),
            ("payments@*", "payments@x", true),
            ("*", "anything", true),
            ("checkout@production", "checkout@production", true),
            ("checkout@production", "checkout@productionx", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
            ("ab*b", "ab", false),
        ] {
            assert_eq!(covers(pattern, text), expected, "{pattern} {text}");
        }
    }
}
