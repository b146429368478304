//! Everything that Snapback thinks. Pure: no clock, no socket, no database, no randomness, nothing asynchronous.
//! Facts come in, events and commands go out; the engine writes the former down before it carries out the latter.

// Nouns.
pub mod deployment;
pub mod habit;
pub mod heartbeat;
pub mod id;
pub mod ledger;
pub mod length;
pub mod notice;
pub mod own_step;
pub mod permit;
pub mod plan;
pub mod probe;
pub mod release;
pub mod settings;
mod settlement;
pub mod signal;
pub mod standing;
pub mod step;

// Thought: what a brief leads to.
pub mod approval;
pub mod brief;
pub mod calendar;
pub mod commits;
pub mod correlate;
pub mod decide;
pub mod digest;
pub mod expectation;
pub mod expression;
pub mod formula;
pub mod gate;
pub mod guard;
mod index;
pub mod lock;
pub mod map;
pub mod mapping;
pub mod matcher;
mod row;
pub mod rules;
pub mod verify;

// Life: how a service's dossier moves.
pub mod command;
pub mod companion;
pub mod dossier;
pub mod event;
pub mod exhibit;
pub mod explain;
pub mod live;
pub mod next;
pub mod obeyed;
pub mod origin;
pub mod pager;
pub mod phase;
pub mod readiness;
pub mod scribe;
pub mod story;
pub mod transition;
pub mod turn;
pub mod words;

mod apply;
mod ask;
mod carry;
mod choose;
mod grammar;
mod hear;
mod pursue;
mod question;
mod refresh;
mod report;
mod weigh;

// Speech.
pub mod face;
pub mod rehearsal;
pub mod saying;
pub mod thread;
