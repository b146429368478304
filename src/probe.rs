//! Probe: what Snapback asks of monitoring by itself. So far one question: when the trouble of an alert really began.

pub mod prometheus;
