//! A check by HTTP: a GET whose answer must have one status. Whoever cannot be reached, or does not answer in time, fails: that is
//! what a broken service looks like from outside.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use reqwest::Client;
use rustix::io::Errno;

use super::{NO_AUTHORITIES, body, client};
use crate::case::probe::Health;
use crate::outbound::{causes, chain};

/// What a failing answer said is kept in so many bytes; a page of errors has its message at its beginning.
const KEPT: usize = 4096;

/// A healthy answer is read so far.
const READ_MAX: usize = 64 << 10;

/// A GET, and the status that it must have.
#[derive(Debug)]
pub struct HttpCheck {
    url: String,
    expected: u16,
    http: Option<Client>,
}

impl HttpCheck {
    /// Asks this address, and is answered with this status within so long. A redirection is a status like any other.
    pub fn new(url: String, expected: u16, within: Duration) -> HttpCheck {
        let http = client(&url, within);
        HttpCheck { url, expected, http }
    }

    pub(super) async fn run(&self) -> Health {
        let Some(http) = &self.http else { return Health::Unknown(NO_AUTHORITIES.into()) };
        let mut answer = match http.get(&self.url).send().await {
            Ok(answer) => answer,
            Err(error) if error.is_timeout() => return Health::Failing("no answer in time".into()),
            Err(error) => return unanswered(&error.without_url()),
        };
        let status = answer.status().as_u16();
        if status == self.expected {
            // An answer that breaks off is none; one that is long is one.
            return match body(answer, READ_MAX).await {
                Ok(_) => Health::Passing,
                Err(error) => {
                    Health::Failing(format!("the answer breaks off: {}", causes(&error.without_url())))
                }
            };
        }
        let mut said = Vec::new();
        while let Ok(Some(piece)) = answer.chunk().await {
            said.extend_from_slice(&piece);
            if said.len() >= KEPT {
                break;
            }
        }
        said.truncate(KEPT);
        let said = String::from_utf8_lossy(&said);
        Health::Failing(format!("answered {status}, not {}\n{said}", self.expected).trim_end().to_owned())
    }
}

/// What a call says that brought no answer.
fn unanswered(error: &reqwest::Error) -> Health {
    if error.is_builder() {
        return Health::Unknown(format!("this address cannot be asked: {}", causes(error)));
    }
    match shortage(error) {
        Some(ours) => Health::Unknown(format!("nobody can be asked from here: {ours}")),
        None => Health::Failing(format!("no answer: {}", causes(error))),
    }
}

/// What keeps us from a call because this process, or this machine, has no more to give: then it says nothing of whoever would have
/// been asked, and all checks fail together. A name that cannot be looked up for this reason is told as one that is not known, so
/// that we look ourselves whether a socket can still be had.
fn shortage(error: &(dyn Error + 'static)) -> Option<String> {
    const OURS: [Errno; 5] = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS, Errno::ADDRNOTAVAIL];
    let is_ours = |error: &io::Error| Errno::from_io_error(error).is_some_and(|errno| OURS.contains(&errno));
    if let Some(ours) = chain(error).filter_map(|error| error.downcast_ref()).find(|error| is_ours(error)) {
        return Some(ours.to_string());
    }
    let ours = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).err().filter(is_ours);
    ours.map(|error| error.to_string())
}
