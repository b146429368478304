#![no_main]
//! Bodies of the feed `codedeploy_events`.

use snapback::intake::SourceKind;

libfuzzer_sys::fuzz_target!(|body: &[u8]| snapback_fuzz::body(SourceKind::CodeDeployEvents, body));
