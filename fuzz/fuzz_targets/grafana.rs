#![no_main]
//! Bodies of `grafana`.

libfuzzer_sys::fuzz_target!(|body: &[u8]| snapback_fuzz::body(snapback::intake::SourceKind::Grafana, body));
