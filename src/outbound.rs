//! How we call out: what can go wrong with a call, sorted by what follows from it. Leaves to each room what it
//! calls, and to the engine when a call is made again: nothing here retries.

pub mod api;
pub mod http;
pub mod process;

use std::error::Error;
use std::io;

use aws_sdk_codedeploy::config::SharedHttpClient;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::case::id::Duration;

/// The client of the AWS SDKs: TLS by the provider that everything here uses, no redirects, and no proxy that happens to
/// stand in the environment. How long a call may take its user says.
pub fn aws_http_client() -> SharedHttpClient {
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https()
}

/// What went wrong with a call. Four kinds, because four different things follow.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It surely was not done. The same attempt may go again until its permit's wire deadline.
    #[error("not now: {why}")]
    Busy {
        /// Why.
        why: String,
        /// Not before so long, where the other side says.
        after: Option<Duration>,
    },
    /// The other side will not, and said why. It was not done, and asking again gives the same answer.
    #[error("refused: {0}")]
    Refused(String),
    /// Something else serves than the order expects; what. Nothing was done; the case is planned again.
    #[error("something else serves: {0}")]
    Moved(String),
    /// It may or may not have been done, or could not be read. A mutation is looked for before anything else; a
    /// read counts as `Busy`.
    #[error(transparent)]
    Unclear(#[from] CallError),
}

/// Why nobody can tell how a call ended.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The operating system said no.
    #[error("{doing}")]
    Io {
        /// What was done, to what.
        doing: String,
        /// What it said.
        source: io::Error,
    },
    /// No answer came within the call's deadline.
    #[error("{doing}: no answer within {within:#}")]
    Deadline {
        /// What was done, to what.
        doing: String,
        /// The deadline.
        within: Duration,
    },
    /// What came back is no answer, or none that says what became of the call.
    #[error("{doing}: {said}")]
    Answer {
        /// What was done, to what.
        doing: String,
        /// What came back, or did not.
        said: String,
    },
    /// The work ended without an answer: the process is stopping, or the work itself has a fault.
    #[error("{doing}: ended without an answer")]
    Lost {
        /// What was done, to what.
        doing: String,
    },
}

impl CallError {
    /// For `map_err`: names what was done when the operating system said no.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> CallError {
        let doing = doing.into();
        |source| CallError::Io { doing, source }
    }
}

/// An error with everything below it: the cause is what people need.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    chain(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// An error and everything below it.
pub fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let this = next?;
        next = this.source();
        Some(this)
    })
}
