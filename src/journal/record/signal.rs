//! Signals, episodes and habits.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::case::habit::Habit;
use crate::case::id::{CaseId, DeploymentId, Duration, Fingerprint, SignalName, SourceName, Timestamp};
use crate::case::signal::{Episode, EpisodeKey, EpisodeStanding, Labels, Lag, Signal, SignalState};

stored! {
    Signal => SignalV1,
    SignalState => SignalStateV1,
    Lag => LagV1,
    EpisodeKey => EpisodeKeyV1,
    Episode => EpisodeV1,
    EpisodeStanding => EpisodeStandingV1,
    Habit => HabitV1,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Signal")]
struct SignalV1 {
    source: SourceName,
    name: SignalName,
    fingerprint: Fingerprint,
    state: SignalState,
    labels: Arc<Labels>,
    annotations: Arc<Labels>,
    started_at: Timestamp,
    received_at: Timestamp,
    lag: Lag,
    incomplete: bool,
    link: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "SignalState", rename_all = "snake_case")]
enum SignalStateV1 {
    Firing,
    Cleared(Timestamp),
    NoData,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Lag", rename_all = "snake_case")]
enum LagV1 {
    Assumed(Duration),
    Bound(Duration),
    Exact(Timestamp),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "EpisodeKey")]
struct EpisodeKeyV1 {
    source: SourceName,
    fingerprint: Fingerprint,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Episode")]
struct EpisodeV1 {
    signal: Signal,
    started_at: Timestamp,
    opened_at: Timestamp,
    heard_at: Timestamp,
    standing: EpisodeStanding,
    exonerated: Vec<DeploymentId>,
    case: Option<CaseId>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "EpisodeStanding", rename_all = "snake_case")]
enum EpisodeStandingV1 {
    Firing,
    Settling { cleared_at: Timestamp, until: Timestamp },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Habit")]
struct HabitV1 {
    #[serde(with = "super::exact")]
    alone: f64,
    #[serde(with = "super::exact")]
    after_deployment: f64,
    #[serde(with = "super::exact")]
    days: f64,
    last_seen: Timestamp,
}
