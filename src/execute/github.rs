//! Provider `github-actions`: a service back to an earlier commit, by one run of a workflow of the user's own.
//!
//! A dispatch has no key: each copy of it is a run of its own. Our mark travels as the input `rollback_id`, and the workflow shows it in
//! its run's name, where a lost dispatch is looked for. What went out is told by GitHub's deployments, each by its commit; a job with an
//! `environment` makes one by itself, with the commit of the branch that its workflow was started on, so that of a run of the rollback
//! workflow the run's name tells which commit it put out. After the run Snapback writes that commit into the deployments, for everybody
//! who reads them.
//!
//! Facts: GitHub's published description of its API (npm `@octokit/openapi` 23.0.2) and docs.github.com.

mod access;
mod asking;
mod begin;
mod by_hand;
mod commit;
mod deployment;
mod diagnosis;
mod history;
mod proposal;
mod protection;
mod range;
mod reach;
mod record;
mod run;
mod scene;
mod search;
mod watch;
mod work;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use secrecy::SecretString;

use self::access::Access;
use self::asking::Memory;
use self::commit::Said;
use self::deployment::{Made, Status};
use self::run::Run;
use self::work::{Doing, Receipt, Work};
use super::{Clock, Deployer, Finding, Sighting, Target};
use crate::case::command::Progress;
use crate::case::deployment::Picture;
use crate::case::exhibit::Exhibit;
use crate::case::id::{Duration, Handle, ReleaseId, Timestamp};
use crate::case::permit::Permit;
use crate::case::plan::Proposal;
use crate::case::step::Order;
use crate::outbound::Trouble;
use crate::outbound::api::Api;

/// `[providers.NAME]` of this kind.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where its API is, without a slash at the end.
    pub url: String,
    /// Who we are there.
    pub who: Who,
    /// How long after a request's last moment "not there" is no proof that it never took effect.
    pub quarantine: Duration,
}

/// Who we are at GitHub. A secret that is `None` is not there, and everything is refused.
#[derive(Clone, Debug)]
pub enum Who {
    /// Whoever this token belongs to.
    Token(Option<SecretString>),
    /// A GitHub App where it is installed.
    App {
        /// The App's id, or its client id.
        id: String,
        /// The installation.
        installation: u64,
        /// The App's private key, PEM.
        key: Option<SecretString>,
    },
}

/// A workflow that takes one environment of a repository back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// `OWNER/NAME`.
    pub repository: String,
    /// The workflow's file name.
    pub workflow: String,
    /// The branch whose workflow is run.
    pub branch: String,
    /// The environment of the deployments.
    pub environment: String,
    /// A second run under one `rollback_id` does nothing.
    pub repeatable: bool,
    /// Snapback writes what was put out into the deployments; else the workflow does.
    pub record: bool,
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.environment, self.repository)
    }
}

impl Site {
    /// A path below the repository.
    fn path(&self, below: &str) -> String {
        format!("/repos/{}{below}", self.repository)
    }

    /// A path below the workflow.
    fn of_workflow(&self, below: &str) -> String {
        self.path(&format!("/actions/workflows/{}{below}", segment(&self.workflow)))
    }
}

/// One part of a path, as it travels.
fn segment(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// The provider.
pub struct GitHub {
    settings: Settings,
    clock: Clock,
    api: Api,
    access: Access,
    /// What its lists said when they were read last.
    lists: Lists,
    /// What commits say of themselves: it never changes.
    commits: Mutex<BTreeMap<String, Said>>,
    /// The server is older than `return_run_details`, and said so.
    tells_no_run: AtomicBool,
}

/// What is read again and again, and mostly has not changed.
#[derive(Default)]
struct Lists {
    deployments: Memory<Vec<Made>>,
    statuses: Memory<Vec<Status>>,
    runs: Memory<Vec<Run>>,
    /// Of deployments that are over.
    over: Mutex<BTreeMap<String, Vec<Status>>>,
    /// Runs that ended long ago.
    ended: Mutex<BTreeMap<String, Run>>,
}

impl std::fmt::Debug for GitHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GitHub").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl GitHub {
    /// A provider by this clock, which must be the one that permits are written by.
    pub fn new(settings: Settings, clock: Clock) -> GitHub {
        let api = Api::new(settings.url.clone(), None);
        let access = Access::of(&settings.who);
        GitHub {
            settings,
            clock,
            api,
            access,
            lists: Lists::default(),
            commits: Mutex::default(),
            tells_no_run: AtomicBool::new(false),
        }
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn site(of: &Target) -> Result<&Site, Trouble> {
        if let super::Site::GitHub(site) = &of.site { Ok(site) } else { Err(super::of_another_kind(of)) }
    }
}

impl Deployer for GitHub {
    async fn describe(&self, of: &Target, _since: Timestamp) -> Result<Picture, Trouble> {
        self.picture(&of.service, GitHub::site(of)?).await
    }

    async fn propose(&self, of: &Target, from: &ReleaseId, to: &ReleaseId) -> Result<Proposal, Trouble> {
        self.proposal(GitHub::site(of)?, from, to).await
    }

    async fn find(&self, order: &Order) -> Result<Sighting, Trouble> {
        self.search(&Work::of(order)?, order).await
    }

    async fn begin(&self, permit: Permit) -> Result<Handle, Trouble> {
        let work = Work::of(permit.order())?;
        match work.doing {
            Doing::Cancel { run, attempt } => self.cancel(&work, (run, attempt), &permit).await,
            Doing::Dispatch => self.dispatch(&work, &permit).await,
            Doing::Record => self.record(&work, &permit).await,
            Doing::Confirm => self.confirm(&work, &permit).await,
        }
    }

    async fn watch(&self, handle: &Handle) -> Result<Progress, Trouble> {
        self.follow(&Receipt::read(handle)?).await
    }

    async fn evidence(&self, of: &Target, _handle: Option<&Handle>) -> Result<Vec<Exhibit>, Trouble> {
        self.diagnosis(GitHub::site(of)?).await
    }

    async fn check(&self, of: &Target) -> Vec<Finding> {
        match GitHub::site(of) {
            Ok(site) => self.reach(of, site).await,
            Err(trouble) => {
                vec![Finding { says: trouble.to_string(), remedy: "see `snapback check`".into() }]
            }
        }
    }
}
