//! Snapback.
fn main() {}
