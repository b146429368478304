#![no_main]
//! Heads that are signed, or bear a token.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| snapback_fuzz::signed(bytes));
