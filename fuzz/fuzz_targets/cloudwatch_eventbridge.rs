#![no_main]
//! Bodies of `cloudwatch_eventbridge`.

use snapback::intake::SourceKind;

libfuzzer_sys::fuzz_target!(|body: &[u8]| snapback_fuzz::body(SourceKind::EventBridge, body));
