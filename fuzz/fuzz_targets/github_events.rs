#![no_main]
//! Bodies of the feed `github_events`.

use snapback::intake::SourceKind;

libfuzzer_sys::fuzz_target!(|body: &[u8]| snapback_fuzz::body(SourceKind::GitHub, body));
