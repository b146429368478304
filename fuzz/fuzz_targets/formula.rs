#![no_main]
//! Expressions of a mapping, as somebody writes them.

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = snapback::case::mapping::Formula::parse(text);
});
