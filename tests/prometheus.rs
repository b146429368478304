//! The whole way with the real Prometheus and the real Alertmanager: a small service goes bad, is scraped, the alert
//! fires through the real Alertmanager into the real binary, the link goes back, the alert resolves, and the case
//! closes as recovered. Their programs come from `scripts/test`; `cargo test` alone says loudly that it left this out.

mod prometheus_stage;

use prometheus_stage::{Stage, tools};

#[test]
fn a_bad_release_goes_back_through_the_real_alertmanager() {
    let Some(tools) = tools() else { return };
    let mut stage = Stage::lay(&tools);
    stage.start_snapback();
    stage.start_prometheus();
    stage.wait_until_good("v1");
    stage.deploy("v2");
    let case = stage.wait_for_closed_case();
    // Five minutes are what the lag is assumed to be: the real `activeAt` alone says that it began after the deployment.
    assert_eq!(case["outcome"], "recovered", "{case:#}");
    assert_eq!((case["from"]["release"].as_str(), case["to"]["release"].as_str()), (Some("v2"), Some("v1")));
    assert_eq!(stage.serving(), "v1");
    assert_eq!(stage.switches_by_snapback(), 1);
    // The real Prometheus scrapes the story, as anybody's would.
    stage.wait_for_answer(r#"snapback_cases_closed_total{outcome="recovered"} == 1"#);
    stage.wait_for_answer(r#"snapback_stage_duration_seconds_count{stage="done_to_verified"} == 1"#);
}

#[test]
fn an_alert_told_while_snapback_was_away_is_delivered_by_alertmanagers_retry() {
    let Some(tools) = tools() else { return };
    let mut stage = Stage::lay(&tools);
    stage.start_snapback();
    stage.start_prometheus();
    stage.wait_until_good("v1");
    stage.stop_snapback();
    stage.deploy("v2");
    stage.wait_for_failed_notification();
    stage.start_snapback();
    let case = stage.wait_for_closed_case();
    assert_eq!(case["outcome"], "recovered", "{case:#}");
    assert_eq!(stage.serving(), "v1");
    assert_eq!(stage.switches_by_snapback(), 1);
}
