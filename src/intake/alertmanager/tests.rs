//! What a message says, field by field.

use super::super::alert::{REASON_MAX, VALUE_MAX};
use super::*;
use crate::case::id::{Duration, SourceName, Timestamp};

const NOW: &str = "2026-03-02T09:30:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

fn read_text(body: &str) -> Result<Vec<Signal>, Unreadable> {
    read_bytes(&Proven::before(Bytes::from(body.to_owned())))
}

fn read_bytes(body: &Proven<Bytes>) -> Result<Vec<Signal>, Unreadable> {
    let source = SourceName::new("prometheus");
    read(body, Told { source: &source, lag: Duration::from_mins(5), received_at: at(NOW) })
}

/// The one signal of an alert with these fields.
fn one(alert: &str) -> Signal {
    let mut signals = read_text(&format!(r#"{{"alerts":[{{{alert}}}]}}"#)).expect("a readable message");
    assert_eq!(signals.len(), 1, "{alert}");
    signals.remove(0)
}

fn why(body: &str) -> String {
    read_text(body).expect_err(body).to_string()
}

#[test]
fn an_alert_of_nothing_is_a_signal() {
    let signal = one("");
    assert_eq!(signal.name.as_str(), "unnamed");
    assert_eq!(signal.state, SignalState::Firing);
    assert_eq!(signal.started_at, at(NOW));
    assert_eq!(signal.lag, Lag::Assumed(Duration::from_mins(5)));
    assert!(signal.labels.is_empty() && signal.annotations.is_empty() && signal.link.is_none());
    let nulls = r#""status":null,"labels":null,"annotations":null,"startsAt":null,"endsAt":null,
        "generatorURL":null,"fingerprint":null"#;
    assert_eq!(one(nulls), signal);
}

#[test]
fn the_state_is_the_alerts_own() {
    let past = r#""endsAt":"2026-03-02T09:10:00Z""#;
    let future = r#""endsAt":"2026-03-02T19:10:00Z""#;
    let zero = r#""endsAt":"0001-01-01T00:00:00Z""#;
    let ended = SignalState::Cleared(at("2026-03-02T09:10:00Z"));
    for (alert, expected) in [
        (format!(r#""status":"firing",{past}"#), SignalState::Firing),
        (format!(r#""status":"resolved",{past}"#), ended),
        (format!(r#""status":"resolved",{zero}"#), SignalState::Cleared(at(NOW))),
        (format!(r#""status":"",{past}"#), ended),
        (past.to_owned(), ended),
        (future.to_owned(), SignalState::Firing),
        (zero.to_owned(), SignalState::Firing),
    ] {
        assert_eq!(one(&alert).state, expected, "{alert}");
    }
    let reason = why(r#"{"alerts":[{},{"status":"suppressed"}]}"#);
    assert_eq!(reason, "alert 2: its status is neither firing nor resolved");
}

#[test]
fn the_groups_status_is_not_the_alerts() {
    let body = r#"{"status":"resolved","alerts":[{"status":"firing"}],"commonLabels":{"service":"other"}}"#;
    let signals = read_text(body).expect("a readable message");
    assert_eq!(signals[0].state, SignalState::Firing);
    assert!(signals[0].labels.is_empty(), "common labels are true of the listed alerts only");
}

#[test]
fn a_resolved_alert_and_its_firing_twin_keep_their_order() {
    let body = r#"{"alerts":[
        {"status":"resolved","fingerprint":"f0","startsAt":"2026-03-02T09:00:00Z","endsAt":"2026-03-02T09:05:00Z"},
        {"status":"firing","fingerprint":"f0","startsAt":"2026-03-02T09:20:00Z"}]}"#;
    let states: Vec<SignalState> =
        read_text(body).expect("readable").iter().map(|signal| signal.state).collect();
    assert_eq!(states, [SignalState::Cleared(at("2026-03-02T09:05:00Z")), SignalState::Firing]);
}

#[test]
fn a_missing_fingerprint_is_made_of_all_labels_in_any_order() {
    let own = |labels: &str, told: &str| {
        one(&format!(r#""labels":{{{labels}}},"fingerprint":{told}"#)).fingerprint.as_str().to_owned()
    };
    let made = own(r#""a":"1","b":"2""#, r#""""#);
    assert_eq!(made.len(), "labels:".len() + 16, "{made}");
    assert_eq!(made, own(r#""b":"2","a":"1","c":"""#, "null"), "order and empty labels do not matter");
    assert_ne!(made, own(r#""a":"12","b":"""#, r#""""#));
    assert_eq!(own(r#""a":"1""#, r#""b2a1f0c9d4e37a55""#), "b2a1f0c9d4e37a55");
    for odd in [r#""labels:0011""#, r#""a b""#, r#""ü""#] {
        assert_eq!(own(r#""a":"1","b":"2""#, odd), made, "{odd}");
    }
}

#[test]
fn truncation_marks_every_signal() {
    let read = |count: &str| read_text(&format!(r#"{{"alerts":[{{}},{{}}],"truncatedAlerts":{count}}}"#));
    assert!(read("47").expect("readable").iter().all(|signal| signal.incomplete));
    assert!(read("0").expect("readable").iter().all(|signal| !signal.incomplete));
    assert!(read("null").expect("readable").iter().all(|signal| !signal.incomplete));
    assert!(read("-1").is_err() && read(r#""many""#).is_err());
}

#[test]
fn an_alerts_own_lag_is_a_bound() {
    for (text, expected) in [
        ("90s", Lag::Bound(Duration::from_secs(90))),
        ("1h30m", Lag::Bound(Duration::from_mins(90))),
        ("soon", Lag::Assumed(Duration::from_mins(5))),
        ("-5m", Lag::Assumed(Duration::from_mins(5))),
    ] {
        assert_eq!(one(&format!(r#""annotations":{{"snapback_lag":"{text}"}}"#)).lag, expected, "{text}");
    }
}

#[test]
fn only_the_web_is_linked() {
    for (url, linked) in [
        ("https://prometheus.example.net/graph?g0.expr=up", true),
        ("HTTP://prometheus/graph", true),
        ("javascript:alert(1)", false),
        ("https://x/\\u000aSet", false),
        ("https://x y", false),
        ("", false),
    ] {
        assert_eq!(one(&format!(r#""generatorURL":"{url}""#)).link.is_some(), linked, "{url}");
    }
}

#[test]
fn long_values_are_cut_at_a_character() {
    let signal = one(&format!(
        r#""labels":{{"a":"{}"}},"annotations":{{"{}":"x"}}"#,
        "ü".repeat(5000),
        "n".repeat(300)
    ));
    let value = &signal.labels["a"];
    assert!(
        value.len() <= VALUE_MAX && value.len() > VALUE_MAX - 4 && value.ends_with("ü…"),
        "{}",
        value.len()
    );
    assert!(signal.annotations.is_empty(), "an annotation of an absurd name is left out");
}

#[test]
fn too_many_labels_are_never_left_out_in_silence() {
    let many = |count: usize| {
        let pairs: Vec<String> = (0..count).map(|number| format!(r#""l{number}":"x""#)).collect();
        pairs.join(",")
    };
    assert_eq!(one(&format!(r#""labels":{{{}}}"#, many(64))).labels.len(), 64);
    assert_eq!(one(&format!(r#""annotations":{{{}}}"#, many(65))).annotations.len(), 64);
    assert_eq!(
        why(&format!(r#"{{"alerts":[{{"labels":{{{}}}}}]}}"#, many(65))),
        "alert 1: more than 64 labels"
    );
}

#[test]
fn messages_without_alerts_are_alertmanagers_when_they_look_so() {
    for body in [
        r#"{"alerts":[]}"#,
        r#"{"alerts":null,"receiver":"team\\.a","status":"firing"}"#,
        r#"{"groupKey":"{}:{}"}"#,
    ] {
        assert_eq!(read_text(body).expect(body), [], "{body}");
    }
    for body in ["{}", r#"{"text":"the build is red"}"#, r#"{"alerts":null}"#] {
        assert!(why(body).contains("not a message of Alertmanager's"), "{body}");
    }
}

#[test]
fn other_versions_and_unknown_fields_are_read() {
    for version in [r#""4""#, r#""5""#, "4", "null", r#"{"major":4}"#] {
        let body = format!(
            r#"{{"version":{version},"alerts":[{{"new":[1,{{}}]}}],"notification_reason":"unknown"}}"#
        );
        assert_eq!(read_text(&body).expect("readable").len(), 1, "{version}");
    }
}

#[test]
fn what_is_half_understood_is_a_dead_letter() {
    let deep = format!(r#"{{"alerts":[],"x":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    for (body, reason) in [
        ("", "empty"),
        ("\u{feff}{}", "byte order mark"),
        (deep.as_str(), "nests deeper than 32"),
        (r#"{"alerts":[{"#, "EOF while parsing"),
        ("[[]]", "expected a map"),
        (r#"{"alerts":[["firing"]]}"#, "expected a map"),
        (r#"{"alerts":[]} {}"#, "trailing characters"),
        (r#"{"alerts":{}}"#, "a list of alerts"),
        (r#"{"alerts":[],"alerts":[]}"#, "duplicate field"),
        (r#"{"alerts":[{"status":"firing","status":"resolved"}]}"#, "duplicate field"),
        (r#"{"alerts":[{"labels":{"service":"a","service":"b"}}]}"#, "twice in one map"),
        (r#"{"alerts":[{"labels":{"service":7}}]}"#, "expected a text"),
        (r#"{"alerts":[{"startsAt":"yesterday"}]}"#, "not a moment"),
        (r#"{"alerts":[{"fingerprint":"\ud800"}]}"#, "hex escape"),
    ] {
        let told = why(body);
        assert!(told.contains(reason), "{body}: {told}");
        assert!(told.len() <= REASON_MAX, "{told}");
    }
    let body = Proven::before(Bytes::from_static(b"{\"alerts\":[\xff]}"));
    let told = read_bytes(&body).expect_err("not UTF-8");
    assert_eq!(told.to_string(), "the body is not UTF-8");
}

#[test]
fn a_message_has_at_most_so_many_alerts() {
    let list = |count: usize| format!(r#"{{"alerts":[{}]}}"#, vec!["{}"; count].join(","));
    assert_eq!(read_text(&list(ALERTS_MAX)).expect("readable").len(), ALERTS_MAX);
    assert!(why(&list(ALERTS_MAX + 1)).contains("more than 20,000 alerts"));
}
