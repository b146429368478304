//! What is written reads back equal, whatever the row holds.

use std::collections::BTreeMap;

use crate::case::dossier::Dossier;
use crate::case::event::{Event, Stamped};
use crate::case::id::{Duration, ServiceId, Timestamp};
use crate::case::signal::{Lag, Signal, SignalState};
use crate::case::standing::{Hold, Pause, Standing};

fn now() -> Timestamp {
    "2026-03-02T09:00:00.123456789Z".parse().expect("a moment")
}

#[test]
fn a_dossier_with_an_open_episode_reads_back_equal() {
    let signal = Signal {
        source: "prometheus".into(),
        name: "HighErrorRate".into(),
        fingerprint: "f1".into(),
        state: SignalState::Firing,
        labels: BTreeMap::from([("service".to_owned(), "checkout \u{1f4a5}\n".to_owned())]).into(),
        annotations: BTreeMap::new().into(),
        started_at: now(),
        received_at: now(),
        lag: Lag::Bound(Duration::from_millis(1500)),
        incomplete: true,
        link: Some("https://prometheus.example.com/graph".into()),
    };
    let mut dossier = Dossier::new(ServiceId::of("checkout", "production"));
    let opened = Stamped { at: now(), event: Event::EpisodeOpened(Box::new(signal)) };
    dossier.apply(&opened).expect("an episode opens");
    let written = super::write(&dossier).expect("written");
    let read: Dossier = super::read(&written).expect("read");
    assert_eq!(read, dossier);
}

#[test]
fn the_standing_reads_back_equal() {
    let standing = Standing {
        pause: Some(Pause { by: "token:ann".into(), reason: "a storm".into(), at: now(), everything: true }),
        hold: Some(Hold { reasons: vec!["restored".into()], since: now() }),
        ..Standing::default()
    };
    let written = super::write(&standing).expect("written");
    let read: Standing = super::read(&written).expect("read");
    assert_eq!(read, standing);
}
