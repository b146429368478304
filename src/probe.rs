//! Probe: what Snapback asks of the world by itself. One run of a check of the user's own, within its deadline and bounded, by a
//! file for each kind; and, of Prometheus, when the trouble of an alert really began. Leaves when it runs and what follows
//! to `case::probe`.

mod command;
mod http;
pub mod prometheus;
mod promql;

use std::time::Duration;

pub use command::CommandCheck;
pub use http::HttpCheck;
pub use promql::PromqlCheck;
use reqwest::Client;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

use crate::case::obeyed::is_obeyed;
use crate::case::probe::Health;
use crate::outbound::http::{NO_AUTHORITIES, body};

/// So many checks run at once, of all services: a start of the process is no storm on what they check.
const AT_ONCE: usize = 16;
static SLOTS: Semaphore = Semaphore::const_new(AT_ONCE);

/// What a probe looks at.
#[derive(Debug)]
pub enum Check {
    /// A GET, and the status that it must have.
    Http(HttpCheck),
    /// A query, and what its samples must be.
    Promql(PromqlCheck),
    /// A program, that must end with status 0.
    Command(CommandCheck),
}

/// A probe: its check, which runs once at a time, whoever asks for it. What it says is data of others: bounded, and without control
/// characters.
#[derive(Debug)]
pub struct Probe {
    check: Check,
    alone: Mutex<()>,
}

impl Probe {
    /// A probe of this check.
    pub fn new(check: Check) -> Probe {
        Probe { check, alone: Mutex::new(()) }
    }

    /// Waits for its turn, which ends when what is given goes.
    pub async fn turn() -> Option<SemaphorePermit<'static>> {
        // Nobody ever closes it.
        SLOTS.acquire().await.ok()
    }

    /// Runs the check once, when no other run of it is under way. Cut in the middle it leaves nothing behind.
    pub async fn run(&self) -> Health {
        let _alone = self.alone.lock().await;
        let found = match &self.check {
            Check::Http(check) => check.run().await,
            Check::Promql(check) => check.run().await,
            Check::Command(check) => check.run().await,
        };
        match found {
            Health::Passing => Health::Passing,
            Health::Failing(said) => Health::Failing(harmless(&said)),
            Health::Unknown(why) => Health::Unknown(harmless(&why)),
        }
    }
}

/// A text of others without what could move a cursor or hide something.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if is_obeyed(c) && c != '\n' { ' ' } else { c }).collect()
}

/// A client for this address, whose calls end within so long.
fn client(url: &str, within: Duration) -> Option<Client> {
    crate::outbound::http::client(url, |client| client.timeout(within))
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn what_others_say_steers_nothing() {
        let said = "\u{1b}[31mred\u{202e}gnp.exe\u{2066}\nnext\ttab";
        assert_eq!(harmless(said), " [31mred gnp.exe \nnext tab");
    }
}
