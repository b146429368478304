//! Snapback hears alerts, finds the deployment that caused them, rolls it back once, checks that it helped, and
//! says why.
//!
//! Facts in, commands out. [`case`] thinks and is pure. [`intake`] hears, [`journal`] keeps, [`engine`] turns what
//! arrived into events and errands, [`execute`] acts through the system that deployed, [`report`] tells, [`admin`]
//! answers questions and hands over what people ask for. [`server`] wires them; [`config`] tells each what it needs.
//! `ARCHITECTURE.md` has the map.

/// Lets unit tests share the samples of the integration tests, which know this crate by its name.
#[cfg(test)]
extern crate self as snapback;

pub mod server;

pub mod case;

pub mod intake;
pub mod journal;

pub mod engine;

pub mod execute;
pub mod probe;
pub mod report;

pub mod admin;
pub mod config;

pub mod clock;
pub mod outbound;
pub mod telemetry;
