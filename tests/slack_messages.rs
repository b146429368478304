//! What each kind of message looks like in Slack: as JSON and as a person reads it, kept in `fixtures/slack/`. Write them anew
//! with `UPDATE_GOLDEN=1 cargo test --test slack_messages`.

mod samples;
mod slack;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use slack::{DEPLOYS, Message, Workspace};
use snapback::case::event::{Direction, Event, Origin, Stamped};
use snapback::case::face::Face;
use snapback::case::gate::Why;
use snapback::case::id::{Duration, NoteNo, StepNo, Timestamp};
use snapback::case::phase::{Barred, CountdownClock, Outcome, Phase, Verifying};
use snapback::case::settings::{Mode, VerifyPolicy};
use snapback::case::story::Case;
use snapback::case::words::Note;
use snapback::report::slack::blocks;

fn at(second: i64) -> Timestamp {
    "2026-03-02T09:00:00Z".parse::<Timestamp>().expect("a moment") + Duration::from_secs(second)
}

/// A live case in this phase, as it is with a plan and its votes.
fn live(phase: Phase) -> Case {
    let case = samples::case(phase);
    let mut plan = case.plan.as_deref().expect("a plan").clone();
    plan.to.version = Some("4.1".into());
    Case { mode: Mode::Live, snoozed_until: None, no_plan: None, plan: Some(Arc::new(plan)), ..case }
}

fn closed(outcome: Outcome) -> Case {
    let mut case = live(Phase::Closed(outcome));
    let why = format!("this is why it ended as {}", outcome.word());
    case.events.push(Stamped { at: at(60), event: Event::Closed { outcome, why } });
    case
}

fn kinds() -> Vec<(String, Case)> {
    let until = at(900);
    let counting = |clock| live(Phase::Countdown { clock });
    let asked = || live(Phase::AwaitingApproval { until });
    let by_hand = Origin::Person {
        by: "slack:U0001ANA".into(),
        reason: "the basket is empty".into(),
        to: None,
        direction: Direction::Back,
        shown: None,
    };
    let barred = Barred { why: Why::Hold("the store is older than its witness".into()), again_at: at(5) };
    let verifying = |clear_since| {
        let policy = VerifyPolicy::default();
        live(Phase::Verifying(Verifying { done_at: at(30), policy, clear_since, adopted: false }))
    };
    let ready = |barred| live(Phase::Ready { step: StepNo(0), attempt: 1, sent: 0, barred });
    let why = "whether the switch took effect cannot be read".to_owned();
    let mut kinds = vec![
        ("gathering", live(Phase::Gathering { until: at(10) })),
        ("watched", live(Phase::Weighing { recheck: None })),
        ("shadow", Case { mode: Mode::Shadow, ..live(Phase::Weighing { recheck: None }) }),
        ("snoozed", Case { snoozed_until: Some(until), ..live(Phase::Weighing { recheck: None }) }),
        ("asked", asked()),
        ("asked-by-hand", Case { origin: by_hand, ..asked() }),
        ("countdown", counting(CountdownClock::Counting { until: at(30) })),
        ("countdown-untold", counting(CountdownClock::Untold { latest: at(15) })),
        ("countdown-stopped", counting(CountdownClock::Suspended)),
        ("ready", ready(None)),
        ("barred", ready(Some(barred))),
        ("intended", live(Phase::Intended { step: StepNo(0), attempt: 1, sent: 0, since: at(31), looks: 0 })),
        ("verifying", verifying(None)),
        ("verifying-clear", verifying(Some(at(50)))),
        ("needs-human", live(Phase::NeedsHuman { step: StepNo(0), attempt: 1, why, since: at(40) })),
    ]
    .into_iter()
    .map(|(name, case)| (name.to_owned(), case))
    .collect::<Vec<_>>();
    kinds.extend(Outcome::ALL.map(|outcome| (outcome.word().replace('_', "-"), closed(outcome))));
    kinds
}

fn message(content: &Value) -> Message {
    Message {
        channel: DEPLOYS.into(),
        ts: "1772442845.003900".into(),
        thread_ts: None,
        user: "U0123SNAP".into(),
        text: content["text"].as_str().unwrap_or_default().into(),
        blocks: content["blocks"].as_array().cloned().unwrap_or_default(),
        metadata: None,
        versions: Vec::new(),
        broadcast: false,
        deleted: false,
    }
}

/// The kept file is as what is made now; or becomes it, when that is asked for.
#[expect(clippy::disallowed_methods, reason = "how the fixtures are written anew")]
fn kept(name: &str, made: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/slack").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(&file, made).expect("written");
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(known, made, "{} is not what is made now", file.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_message_is_as_it_is_kept() {
    let workspace = Workspace::start().await;
    for (name, case) in kinds() {
        let content = serde_json::to_value(blocks::face(&Face::of(&case))).expect("JSON");
        kept(&format!("{name}.json"), &format!("{content:#}\n"));
        let seen = workspace.rendered(&message(&content));
        kept(&format!("{name}.txt"), &format!("{seen}\n"));
        let mut lines = seen.lines();
        let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        assert!(first.contains("checkout@production: 4.2 \u{2192} 4.1, "), "{name}: {seen}");
        assert!(!second.is_empty() && !second.starts_with(['\u{2022}', '|', '[']), "{name}: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_case_fits_into_a_message() {
    let workspace = Workspace::start().await;
    let long = "\u{1f525}<!channel>".repeat(2000);
    let mut case = live(Phase::AwaitingApproval { until: at(900) });
    let one = case.signals.values().next().cloned().expect("a signal");
    for number in 0..200 {
        let key = snapback::case::signal::EpisodeKey {
            source: "prometheus".into(),
            fingerprint: number.to_string().as_str().into(),
        };
        let name = long.as_str().into();
        case.signals.insert(
            key,
            snapback::case::story::CaseSignal { name, summary: Some(long.clone()), ..one.clone() },
        );
    }
    let lines = vec![long; 100];
    let note = Note { case: case.id.clone(), number: NoteNo(1), lines, at: at(0), people: BTreeSet::new() };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::new();
    for content in [blocks::face(&Face::of(&case)), blocks::note(&note)] {
        let mut body = serde_json::to_value(content).expect("JSON");
        body["channel"] = json!(DEPLOYS);
        let posting = client.post(format!("{}/chat.postMessage", workspace.api_url()));
        let answer = posting.bearer_auth(workspace.token()).json(&body).send().await.expect("an answer");
        let answer: Value = answer.json().await.expect("JSON");
        assert_eq!(answer["ok"], true, "{answer:#}");
    }
}
