//! A brief that nothing speaks against, for tables that change one fact of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use snapback::case::brief::{Brief, BriefSignal, CandidateFacts, GuardFacts, Limits, TargetFacts};
use snapback::case::commits::TakenBack;
use snapback::case::deployment::{ChangeKind, DeploymentOrigin};
use snapback::case::id::{Duration, Timestamp};
use snapback::case::ledger::Grade;
use snapback::case::plan::Undone;
use snapback::case::release::MigrationMarks;
use snapback::case::settings::{GuardSettings, MaxBack, Migrations, Mode};
use snapback::case::signal::Lag;

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("a moment")
}

/// v2 went out at 0, its signal began at 300, its onset at 240; now it is 310. v1 is proven.
pub(crate) fn calm() -> Brief {
    Brief {
        service: "checkout@production".into(),
        tier: None,
        mode: Mode::Live,
        now: at(310),
        signals: vec![BriefSignal {
            source: "prometheus".into(),
            name: "HighErrorRate".into(),
            fingerprint: "f".into(),
            labels: Arc::default(),
            about: "checkout@production".into(),
            started_at: at(300),
            onset: at(240),
            lag: Lag::Assumed(Duration::from_secs(60)),
            opened_at: at(305),
            firing: true,
            confirmed: false,
            unheard: None,
            episodes_day: 0,
            exonerated: Vec::new(),
        }],
        candidates: vec![CandidateFacts {
            deployment: "d-v2".into(),
            service: "checkout@production".into(),
            release: "v2".into(),
            version: None,
            commit: None,
            author: None,
            change: None,
            kind: ChangeKind::Code,
            started_at: at(-60),
            serving_from: at(-60),
            finished_at: Some(at(0)),
            is_current: true,
            going_out: false,
            origin: DeploymentOrigin::Ordinary,
            labels: BTreeMap::new(),
            our_clock: false,
        }],
        habits: BTreeMap::new(),
        figures: BTreeMap::new(),
        suspect: Some("d-v2".into()),
        target: Some(TargetFacts {
            release: "v1".into(),
            grade: Grade::Good,
            proven: true,
            releases_back: 1,
            deployed_at: Some(at(-86_400)),
            artifact_exists: Some(true),
            runs_on_schema: None,
            undone: vec![undone("v2", MigrationMarks::default())],
            taken_back: Some(TakenBack {
                commits: 1,
                unread: 0,
                authors: vec!["sam".into()],
                fixes: Vec::new(),
            }),
        }),
        with: Vec::new(),
        facts: GuardFacts { current: Some("v2".into()), services_raised: 1, ..GuardFacts::default() },
        limits: Limits {
            guards: GuardSettings::default(),
            max_back: MaxBack::default(),
            migrations: Migrations::Marked,
            window_min: None,
        },
    }
}

pub(crate) fn undone(release: &str, marks: MigrationMarks) -> Undone {
    Undone { release: release.into(), called: release.into(), author: Some("sam".into()), marks }
}
