//! The golden table: every phase of a case against every event, with the phase that follows, `-` where it stays,
//! `.` where the event is not the case's, and `illegal`. `fixtures/phases.golden` is read by people; this test holds
//! it to the code. Write it anew with `UPDATE_GOLDEN=1 cargo test --test phases`.

mod samples;

use std::fmt::Write;

use samples::{events, phases, stamped};
use snapback::case::event::{Event, Settlement};
use snapback::case::phase::{Outcome, Phase};
use snapback::case::transition::{Move, after};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/phases.golden");

#[test]
fn the_golden_table_is_what_the_code_does() {
    let table = table();
    #[expect(clippy::disallowed_methods, reason = "the switch that writes the table anew")]
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    if update {
        std::fs::write(GOLDEN, &table).expect("write the table");
    }
    let golden = std::fs::read_to_string(GOLDEN).expect("read fixtures/phases.golden");
    assert!(golden == table, "fixtures/phases.golden differs from the code; the code says:\n{table}");
}

/// A case that may have acted never closes as if nothing had happened, and a closed case takes nothing.
#[test]
fn what_may_have_acted_never_ends_as_if_it_had_not() {
    let harmless =
        [Outcome::Cancelled, Outcome::Denied, Outcome::Expired, Outcome::Cleared, Outcome::LeftAlone];
    for (name, phase) in phases() {
        for outcome in harmless {
            let closed = after(&phase, &stamped(Event::Closed { outcome, why: String::new() }));
            assert_eq!(
                matches!(closed, Move::To(_)),
                phase.is_before_the_act(),
                "{name} closing as {}",
                outcome.word()
            );
        }
    }
    for event in events() {
        let moved = after(&Phase::Closed(Outcome::Recovered), &stamped(event.clone()));
        assert!(matches!(moved, Move::Illegal | Move::Beside), "{} moves a closed case", event.word());
    }
}

/// Only an intent leads to the phase from which a request may leave, and only from ready.
#[test]
fn no_request_without_a_written_intent() {
    for (name, phase) in phases() {
        for event in events() {
            if let Move::To(Phase::Running { .. }) = after(&phase, &stamped(event.clone())) {
                assert_eq!((name, event.word()), ("intended", "accepted"));
            }
            if let Move::To(Phase::Intended { looks: 0, .. }) = after(&phase, &stamped(event.clone())) {
                assert!(matches!((name, event.word()), ("ready", "intended") | ("needs_human", "settled")));
            }
        }
    }
}

fn table() -> String {
    let phases = phases();
    let mut text = String::from(
        "# Every phase (across) against every event (down): the phase that follows; - it stays; . not the case's; illegal.\n",
    );
    let _ = write!(text, "{:<22}", "event");
    for (name, _) in &phases {
        let _ = write!(text, "{name:<19}");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    for event in events() {
        let mut line = format!("{:<22}", label(&event));
        for (_, phase) in &phases {
            let cell = match after(phase, &stamped(event.clone())) {
                Move::To(phase) => phase.word().to_owned(),
                Move::Stay => "-".into(),
                Move::Beside => ".".into(),
                Move::Illegal => "illegal".into(),
            };
            let _ = write!(line, "{cell:<19}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[expect(clippy::wildcard_enum_match_arm, reason = "every other event is its word")]
fn label(event: &Event) -> String {
    match event {
        Event::Closed { outcome, .. } => format!("closed {}", outcome.word()),
        Event::VerifyBegan { adopted: true, .. } => "verify_began adopted".into(),
        Event::Settled { how: Settlement::LookAgain, .. } => "settled look-again".into(),
        Event::Settled { how: Settlement::TookEffect, .. } => "settled took-effect".into(),
        event => event.word().into(),
    }
}
