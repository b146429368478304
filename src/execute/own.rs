//! Providers `command` and `http`: a deployer of the user's own, asked by a program or over HTTP in one written contract of four
//! questions (`docs/providers/own.md`). Our mark is the key that travels with a rollback and with each question about it: a deployer that
//! remembers keys does the work of one key once, however often it is asked, and the act is of class B; one that does not is asked once.
//!
//! Facts: none of others. The contract is ours, after what such hooks have in common.

mod carrier;
mod contract;
mod history;
mod rollback;

use std::path::PathBuf;

use secrecy::SecretString;

use self::carrier::Carrier;
use super::{Clock, Deployer, Finding, Sighting, Target};
use crate::case::command::Progress;
use crate::case::deployment::Picture;
use crate::case::exhibit::Exhibit;
use crate::case::id::{Duration, Handle, ReleaseId, ServiceId, Timestamp};
use crate::case::permit::Permit;
use crate::case::plan::Proposal;
use crate::case::step::{Act, Order};
use crate::outbound::Trouble;

/// `[providers.NAME]` of these kinds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How it is asked.
    pub way: Way,
    /// A rollback may take so long from its beginning to its end.
    pub deadline: Duration,
    /// How long after a request's last moment "unknown" is no proof that it never took effect.
    pub quarantine: Duration,
}

/// How a deployer is asked.
#[derive(Clone, Debug)]
pub enum Way {
    /// By a program.
    Command {
        /// What it finds in its environment beside `PATH`.
        environment: Vec<(String, Option<SecretString>)>,
        /// A question that changes nothing is answered within so long.
        timeout: Duration,
    },
    /// Over HTTP.
    Http {
        /// What signs each request; nothing where none is configured.
        secret: Option<SecretString>,
    },
}

/// Where a service lives there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Site {
    /// The program and its words, and the folder in which it runs.
    Program {
        /// Its words.
        argv: Vec<String>,
        /// The folder.
        folder: PathBuf,
    },
    /// An address.
    Url(String),
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Site::Program { argv, .. } => f.write_str(argv.first().map_or("", String::as_str)),
            Site::Url(url) => f.write_str(url),
        }
    }
}

/// The provider.
pub struct Own {
    settings: Settings,
    clock: Clock,
    carrier: Carrier,
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Own").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Own {
    /// A provider by this clock, which must be the one that permits are written by.
    pub fn new(settings: Settings, clock: Clock) -> Own {
        let carrier = Carrier::new(&settings);
        Own { settings, clock, carrier }
    }

    /// Its kind, as the configuration calls it.
    pub fn kind(&self) -> &'static str {
        match self.settings.way {
            Way::Command { .. } => "command",
            Way::Http { .. } => "http",
        }
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn site(of: &Target) -> Result<&Site, Trouble> {
        if let super::Site::Own(site) = &of.site { Ok(site) } else { Err(super::of_another_kind(of)) }
    }

    async fn reach(&self, service: &ServiceId, site: &Site) -> Vec<Finding> {
        let finding = |says: String| {
            let remedy = "run deploy/own-deployer-check.py against it: it asks the same, and says what is not as docs/providers/own.md says";
            vec![Finding { says, remedy: remedy.to_owned() }]
        };
        match self.picture(service, site, self.now() - Duration::from_hours(24)).await {
            Err(trouble) => finding(trouble.to_string()),
            Ok(_) => match self.knows_a_key_that_never_was(service, site).await {
                Ok(false) => Vec::new(),
                Ok(true) => finding(format!("{site} knows a rollback that there never was")),
                Err(trouble) => finding(trouble.to_string()),
            },
        }
    }
}

impl Deployer for Own {
    async fn describe(&self, of: &Target, since: Timestamp) -> Result<Picture, Trouble> {
        self.picture(&of.service, Own::site(of)?, since).await
    }

    async fn propose(&self, of: &Target, from: &ReleaseId, to: &ReleaseId) -> Result<Proposal, Trouble> {
        self.proposal(&of.service, Own::site(of)?, from, to).await
    }

    async fn find(&self, order: &Order) -> Result<Sighting, Trouble> {
        self.search(order).await
    }

    async fn begin(&self, permit: Permit) -> Result<Handle, Trouble> {
        self.send(&permit).await
    }

    async fn watch(&self, handle: &Handle) -> Result<Progress, Trouble> {
        self.follow(handle).await
    }

    /// What it has to say of itself it says in its answers.
    async fn evidence(&self, _of: &Target, _handle: Option<&Handle>) -> Result<Vec<Exhibit>, Trouble> {
        Ok(Vec::new())
    }

    async fn check(&self, of: &Target) -> Vec<Finding> {
        match Own::site(of) {
            Ok(site) => self.reach(&of.service, site).await,
            Err(trouble) => {
                vec![Finding { says: trouble.to_string(), remedy: "see `snapback check`".into() }]
            }
        }
    }
}

impl Own {
    /// The command by which a person asks the same of it.
    #[expect(clippy::unused_self, reason = "of one shape with the other providers")]
    pub(in crate::execute) fn by_hand(&self, act: &Act, to: &ReleaseId) -> Result<String, String> {
        rollback::by_hand(act, to)
    }

    /// For a service of which nothing could be read.
    #[expect(clippy::unused_self, reason = "of one shape with the other providers")]
    pub(in crate::execute) fn by_hand_unplanned(&self, service: &ServiceId, site: &Site) -> Vec<String> {
        rollback::by_hand_unplanned(service, site)
    }
}
