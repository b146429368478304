//! Snapback hears alerts, finds the deployment that caused them, rolls it back once, checks that it helped, and
//! says why.

pub mod case;
