//! What is true of Snapback as a whole, as the API shows it.

use serde::{Deserialize, Serialize};

use crate::case::id::{Digest, Timestamp};
use crate::case::settings::Mode;
use crate::case::standing::Standing;

/// `GET /v1/state`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateShape {
    /// Whether anything acts at all: `shadow` or `live`.
    pub mode: String,
    /// Somebody paused.
    pub paused: bool,
    /// Who, why, and how much.
    pub pause: Option<PauseShape>,
    /// Whether Snapback forbids itself.
    pub hold: HoldShape,
    /// The rule table in force.
    pub rules_digest: String,
    /// What is wrong with the configuration on disk, where the old one is kept for it.
    pub config_error: Option<String>,
    /// What waits.
    pub queues: QueuesShape,
    /// Sources whose heartbeat is missed: trouble that they would tell of is not heard.
    pub silent: Vec<SilentShape>,
}

/// A source whose heartbeat is missed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SilentShape {
    /// Which.
    pub source: String,
    /// When it was heard last.
    pub since: Timestamp,
    /// The services that it speaks about, as patterns.
    pub services: Vec<String>,
}

/// A pause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PauseShape {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// People's acts stop as well.
    pub everything: bool,
}

/// Whether Snapback forbids itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HoldShape {
    /// It does.
    pub on: bool,
    /// Why.
    pub reasons: Vec<String>,
}

/// What waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueuesShape {
    /// Deliveries that are stored and not decided.
    pub undecided: u64,
}

impl StateShape {
    /// The state, from what is stored and what the process knows.
    pub fn of(
        mode: Mode,
        standing: &Standing,
        rules: &Digest,
        config_error: Option<String>,
        undecided: u64,
    ) -> StateShape {
        StateShape {
            mode: mode.word().to_owned(),
            paused: standing.pause.is_some(),
            pause: standing.pause.as_ref().map(|pause| PauseShape {
                by: pause.by.to_string(),
                reason: pause.reason.clone(),
                at: pause.at,
                everything: pause.everything,
            }),
            hold: HoldShape {
                on: standing.hold.is_some(),
                reasons: standing.hold.as_ref().map(|hold| hold.reasons.clone()).unwrap_or_default(),
            },
            rules_digest: rules.to_string(),
            config_error,
            queues: QueuesShape { undecided },
            silent: standing
                .silent
                .iter()
                .map(|(source, silence)| SilentShape {
                    source: source.to_string(),
                    since: silence.since,
                    services: silence.services.clone(),
                })
                .collect(),
        }
    }
}
