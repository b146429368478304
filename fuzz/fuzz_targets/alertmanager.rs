#![no_main]
//! Bodies of `alertmanager`.

libfuzzer_sys::fuzz_target!(|body: &[u8]| snapback_fuzz::body(snapback::intake::SourceKind::Alertmanager, body));
