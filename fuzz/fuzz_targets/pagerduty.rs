#![no_main]
//! Bodies of `pagerduty`.

libfuzzer_sys::fuzz_target!(|body: &[u8]| snapback_fuzz::body(snapback::intake::SourceKind::PagerDuty, body));
