//! Stored shapes: how every noun of the core is written down, and the only place that says so. A row is
//! `{"v":1,"is":…}`; a shape that changes gets the next number and keeps its old reader. Owns no query.
//!
//! Each shape repeats the fields of its noun (`#[serde(remote)]`), so that a field that is added to a noun does not
//! compile until somebody decides here how it is stored, and how a row without it is read (`#[serde(default)]`).

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::case::command::Request;
use crate::case::dossier::Dossier;
use crate::case::event::Stamped;
use crate::case::standing::{Standing, StandingEvent};
use crate::case::story::Case;
use crate::case::turn::Disposition;

/// Makes a noun readable and writable by its shape, so that it may stand inside others.
macro_rules! stored {
    ($($noun:ty => $shape:ident),* $(,)?) => {$(
        impl serde::Serialize for $noun {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                $shape::serialize(self, to)
            }
        }
        impl<'de> serde::Deserialize<'de> for $noun {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $shape::deserialize(from)
            }
        }
    )*};
}

/// The same for names, which are texts.
macro_rules! stored_texts {
    ($($name:ident)*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from).map($name::new)
            }
        }
    )*};
}

pub(crate) mod audit;
mod case;
mod decision;
mod event;
mod exact;
mod ledger;
mod name;
mod pairs;
mod plan;
mod request;
mod signal;
mod standing;

/// The version that every shape is written in.
const VERSION: u32 = 1;

/// What can be a row of its own.
pub(crate) trait Row: Serialize + DeserializeOwned {
    /// What it is called where a row cannot be read.
    const KIND: &'static str;
}

impl Row for Dossier {
    const KIND: &'static str = "dossier";
}
impl Row for Case {
    const KIND: &'static str = "case";
}
impl Row for Stamped {
    const KIND: &'static str = "event";
}
impl Row for Standing {
    const KIND: &'static str = "standing";
}
impl Row for StandingEvent {
    const KIND: &'static str = "standing event";
}
impl Row for Request {
    const KIND: &'static str = "request";
}
impl Row for Vec<Disposition> {
    const KIND: &'static str = "disposition";
}

/// A row that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A newer Snapback wrote it.
    #[error(
        "a stored {kind} has version {found}, and this Snapback reads up to {VERSION}: start the newer one"
    )]
    Newer {
        /// What it is.
        kind: &'static str,
        /// The version that it has.
        found: u32,
    },
    /// Its text is not of the shape that its version promises.
    #[error("a stored {kind} cannot be read: {cause}")]
    Unreadable {
        /// What it is.
        kind: &'static str,
        /// Where, and what is wrong there.
        cause: serde_json::Error,
    },
    /// It cannot be written.
    #[error("a {kind} cannot be written down: {cause}")]
    Unwritable {
        /// What it is.
        kind: &'static str,
        /// What is wrong with it.
        cause: serde_json::Error,
    },
}

#[derive(Serialize)]
struct Written<'a, T> {
    v: u32,
    is: &'a T,
}

#[derive(Deserialize)]
struct Read<T> {
    is: T,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

/// The text of a row.
pub(crate) fn write<T: Row>(row: &T) -> Result<String, RecordError> {
    serde_json::to_string(&Written { v: VERSION, is: row })
        .map_err(|cause| RecordError::Unwritable { kind: T::KIND, cause })
}

/// Reads the text of a row.
pub(crate) fn read<T: Row>(text: &str) -> Result<T, RecordError> {
    let unreadable = |cause| RecordError::Unreadable { kind: T::KIND, cause };
    let Version { v } = serde_json::from_str(text).map_err(unreadable)?;
    if v > VERSION {
        return Err(RecordError::Newer { kind: T::KIND, found: v });
    }
    serde_json::from_str(text).map(|Read { is }| is).map_err(unreadable)
}

#[cfg(test)]
mod tests;
