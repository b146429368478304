#![no_main]
//! Envelopes of SNS's: what is signed, and the address of the certificate.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| snapback_fuzz::sns(bytes));
