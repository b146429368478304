#![no_main]
//! Any JSON, by a mapping.

libfuzzer_sys::fuzz_target!(|body: &[u8]| snapback_fuzz::body(snapback_fuzz::generic(), body));
