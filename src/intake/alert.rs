//! An alert of any sender, as it becomes a signal of ours: what a sender's file is told beside the body, the limits of
//! names, values and links, and the fingerprint where a sender gives none. Leaves to each sender's file what its fields
//! mean.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

use crate::case::id::{Duration, Fingerprint, SignalName, SourceName, Timestamp};
use crate::case::signal::{Labels, Lag, Signal, SignalState};

/// The longest value of a label or annotation; what is beyond is cut and shown as cut.
pub(super) const VALUE_MAX: usize = 8 << 10;

/// The longest name of a label, an annotation or an alert.
pub(super) const NAME_MAX: usize = 256;

/// The longest link; browsers and chats take no more either.
const LINK_MAX: usize = 2 << 10;

/// The longest reason that is stored: it may quote the sender.
pub(super) const REASON_MAX: usize = 300;

/// Stands before a fingerprint of our own. No sender's fingerprint holds a colon.
const OWN_FINGERPRINT: &str = "labels:";

/// An authentic message that cannot be read; why, for the dead letters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(String);

impl Unreadable {
    pub(super) fn new(why: impl fmt::Display) -> Unreadable {
        Unreadable(cut(&why.to_string(), REASON_MAX))
    }
}

/// What is known of a message beside its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    /// Who sent it.
    pub(super) source: &'a SourceName,
    /// How late its alarms tell, where the alert does not say better.
    pub(super) lag: Duration,
    /// When it reached us.
    pub(super) received_at: Timestamp,
}

/// One alert of a sender whose fields have names of their own.
#[derive(Debug)]
pub(super) struct Alert {
    /// Its name; rules match it as the label `alertname`.
    pub(super) name: String,
    /// What is the same from firing to clear, and in no other run of no other alert of this source.
    pub(super) episode: String,
    /// What it says.
    pub(super) state: SignalState,
    /// What maps and rules look at.
    pub(super) labels: Labels,
    /// What people read.
    pub(super) annotations: Labels,
    /// When the sender says that it began.
    pub(super) started_at: Timestamp,
    /// How late it tells, where the sender says.
    pub(super) lag: Option<Lag>,
    /// Where a person can look.
    pub(super) link: Option<String>,
}

impl Alert {
    /// The signal. What is too long is cut and shown as cut: of the labels of these senders, each value is one field, and
    /// none is a list that a rule could read in part.
    pub(super) fn signal(self, told: Told<'_>) -> Signal {
        let name = cut(&self.name, NAME_MAX);
        let short = |labels: Labels| -> Labels {
            labels
                .into_iter()
                .filter(|(_, text)| !text.is_empty())
                .map(|(n, text)| (n, value(text)))
                .collect()
        };
        let mut labels = short(self.labels);
        labels.insert("alertname".into(), name.clone());
        Signal {
            source: told.source.clone(),
            name: SignalName::new(name),
            fingerprint: fingerprint(Some(&self.episode), [("episode", &*self.episode)].into_iter()),
            state: self.state,
            labels: labels.into(),
            annotations: short(self.annotations).into(),
            started_at: self.started_at,
            received_at: told.received_at,
            lag: self.lag.unwrap_or(Lag::Assumed(told.lag)),
            incomplete: false,
            link: self.link.and_then(link),
        }
    }
}

/// The sender's fingerprint, or one of our own over the sorted labels where it gives none (Alertmanager before 0.19) or
/// none that could be one.
pub(super) fn fingerprint<'a>(
    told: Option<&str>,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
) -> Fingerprint {
    let sound = |text: &&str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if let Some(text) = told.filter(sound) {
        return Fingerprint::new(text);
    }
    let mut context = Context::new(&SHA256);
    for part in labels.flat_map(|(name, value)| [name, value]) {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part.as_bytes());
    }
    let digest = context.finish();
    let mut text = OWN_FINGERPRINT.to_owned();
    for byte in &digest.as_ref()[..8] {
        use fmt::Write;
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Fingerprint::new(text)
}

/// The value of a label or annotation.
pub(super) fn value(text: String) -> String {
    if text.len() <= VALUE_MAX { text } else { cut(&text, VALUE_MAX) }
}

/// At most so many bytes of a text, with a sign where it was cut.
pub(super) fn cut(text: &str, most: usize) -> String {
    const SIGN: &str = "…";
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most - SIGN.len());
    format!("{}{SIGN}", &text[..end])
}

/// A link that a person may follow: the web, and nothing that a browser would do something else with.
pub(super) fn link(url: String) -> Option<String> {
    let web = ["http://", "https://"]
        .iter()
        .any(|scheme| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let plain = !url.chars().any(|c| c.is_control() || c.is_whitespace());
    (web && plain && url.len() <= LINK_MAX).then_some(url)
}
