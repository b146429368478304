//! Everything that Snapback thinks. Pure: no clock, no socket, no database, no randomness, nothing asynchronous.
//! Facts come in, events and commands go out; the engine writes the former down before it carries out the latter.

pub mod id;

pub mod deployment;
pub mod habit;
pub mod ledger;
pub mod permit;
pub mod plan;
pub mod release;
pub mod settings;
pub mod signal;
pub mod standing;
pub mod step;

pub mod approval;
pub mod brief;
pub mod decide;
pub mod gate;
pub mod guard;

pub mod command;
pub mod dossier;
pub mod event;
pub mod phase;
pub mod story;
pub mod turn;

pub mod digest;
