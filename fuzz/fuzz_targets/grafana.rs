#![no_main]
//! Bodies of `grafana`.

use snapback::intake::SourceKind;

libfuzzer_sys::fuzz_target!(|body: &[u8]| snapback_fuzz::body(SourceKind::Grafana, body));
