//! What a pipeline is answered that asks whether a release may go out.

use serde::{Deserialize, Serialize};

use crate::case::id::ServiceId;
use crate::case::lock::Passage;

/// `GET /v1/gate/{service}?release=R`: with 200 it may go out, with 423 it may not. With 423 it is a problem of RFC 9457 as well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateShape {
    /// `urn:snapback:problem:locked`, where it may not go out.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The status of the answer, where it may not go out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why, where there is something to say.
    pub detail: Option<String>,
    /// The service that was asked about.
    pub service: String,
    /// The release, as it was asked about.
    pub release: String,
    /// Whether it may go out.
    pub allowed: bool,
    /// Whether service and release are known; what is not known may go out.
    pub known: bool,
}

/// The command, as a shell reads it.
fn unlock(service: &str, release: &str) -> String {
    let words = ["snapback", "unlock", service, "--release", release, "--reason", "TEXT"];
    shlex::try_join(words).unwrap_or_else(|_| "snapback unlock".to_owned())
}

impl GateShape {
    /// The answer. `passage`: nothing for a service that nobody knows.
    pub fn of(service: &str, release: &str, passage: Option<Passage>) -> GateShape {
        let free = GateShape {
            kind: None,
            title: None,
            status: None,
            detail: None,
            service: service.to_owned(),
            release: release.to_owned(),
            allowed: true,
            known: true,
        };
        let unknown = |what: &str| GateShape { detail: Some(what.to_owned()), known: false, ..free.clone() };
        match passage {
            Some(Passage::Free) => free,
            Some(Passage::Unknown) => unknown("no release of this name is known of this service"),
            None => unknown("no such service is known; write it as name@environment"),
            Some(Passage::Locked { release: locked, why }) => GateShape {
                kind: Some("urn:snapback:problem:locked".to_owned()),
                title: Some("this release may not go out again".to_owned()),
                status: Some(423),
                detail: Some(format!("{why}; `{}` lets it go", unlock(service, locked.as_str()))),
                allowed: false,
                ..free
            },
        }
    }

    /// The name of a service, where it is one.
    pub fn service(named: &str) -> Option<ServiceId> {
        ServiceId::parse(named)
    }
}
