//! Provider `codedeploy`: AWS CodeDeploy for EC2 in place and blue/green, ECS and Lambda.
//!
//! CodeDeploy has no idempotency token. Our mark stands at the beginning of the description of a deployment that we
//! create, the only field of ours that comes back; `find` lists the deployments since the intent and looks for it.
//! Creating is of class B: a late copy leads to the same pinned revision. Stopping a deployment that is still going out
//! is of class A: it is keyed by that deployment's id, and carries no mark. What CodeDeploy then puts back is its own new
//! deployment, followed by the id that the stopped one names.
//!
//! Facts: the service model of API version 2014-10-06 and the user guide, as told in the comments where they matter.

mod account;
mod appspec;
mod artifact;
mod begin;
mod by_hand;
mod description;
mod diagnosis;
mod group;
mod history;
mod proposal;
mod revision;
mod search;
mod serving;
mod watch;
mod work;

use std::sync::Mutex;

use secrecy::SecretString;

use super::{Clock, Deployer, Finding, Sighting, Target};
use crate::case::command::Progress;
use crate::case::deployment::Picture;
use crate::case::exhibit::Exhibit;
use crate::case::id::{Duration, Handle, ReleaseId, Timestamp};
use crate::case::permit::Permit;
use crate::case::plan::Proposal;
use crate::case::step::Order;
use crate::outbound::Trouble;

use self::account::Account;
use self::artifact::Looked;
use self::group::{Known, Listed};
use self::revision::Specs;
use self::work::{Receipt, Work};

/// `[providers.NAME]` of this kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The region that its groups are in.
    pub region: String,
    /// Another address than AWS's own, for every service that is asked.
    pub endpoint_url: Option<String>,
    /// How long after a request's last moment "not there" is no proof that it never took effect.
    pub quarantine: Duration,
}

/// Whose rights are used.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Those of the surroundings: environment, shared files, container or instance role.
    Surroundings,
    /// These.
    Given {
        /// The access key's id.
        id: String,
        /// The secret key.
        secret: SecretString,
    },
}

/// A deployment group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// The application.
    pub application: String,
    /// The group.
    pub group: String,
    /// The deployment configuration of a rollback, where the group's own would be too slow.
    pub rollback_config: Option<String>,
}

/// The provider.
pub struct CodeDeploy {
    settings: Settings,
    clock: Clock,
    account: Account,
    /// Deployments that are over: they do not change any more, and need not be read again.
    known: Known,
    /// What the lists of its groups held.
    listed: Listed,
    /// AppSpecs by digest.
    specs: Specs,
    /// Whether artifacts were there when they were looked at last.
    looked: Looked,
}

impl std::fmt::Debug for CodeDeploy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeDeploy").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl CodeDeploy {
    /// A provider by this clock, which must be the one that permits are written by.
    pub fn new(settings: Settings, credentials: Credentials, clock: Clock) -> CodeDeploy {
        CodeDeploy {
            account: Account::new(&settings, credentials),
            settings,
            clock,
            known: Mutex::default(),
            listed: Mutex::default(),
            specs: Mutex::default(),
            looked: Mutex::default(),
        }
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn site(of: &Target) -> Result<&Site, Trouble> {
        if let super::Site::CodeDeploy(site) = &of.site { Ok(site) } else { Err(super::of_another_kind(of)) }
    }

    /// Where a person sees a deployment.
    fn link(&self, deployment: &str) -> String {
        let region = &self.settings.region;
        format!(
            "https://{region}.console.aws.amazon.com/codesuite/codedeploy/deployments/{deployment}?region={region}"
        )
    }
}

impl Deployer for CodeDeploy {
    async fn describe(&self, of: &Target, since: Timestamp) -> Result<Picture, Trouble> {
        self.picture(&of.service, CodeDeploy::site(of)?, since).await
    }

    async fn propose(&self, of: &Target, from: &ReleaseId, to: &ReleaseId) -> Result<Proposal, Trouble> {
        self.proposal(CodeDeploy::site(of)?, from, to).await
    }

    async fn find(&self, order: &Order) -> Result<Sighting, Trouble> {
        self.search(&Work::of(order)?, order).await
    }

    async fn begin(&self, permit: Permit) -> Result<Handle, Trouble> {
        let work = Work::of(permit.order())?;
        self.send(&work, permit).await
    }

    async fn watch(&self, handle: &Handle) -> Result<Progress, Trouble> {
        self.follow(&Receipt::read(handle)?).await
    }

    async fn evidence(&self, of: &Target, handle: Option<&Handle>) -> Result<Vec<Exhibit>, Trouble> {
        match handle {
            Some(handle) => self.diagnosis(&Receipt::read(handle)?).await,
            None => self.shown_lately(CodeDeploy::site(of)?).await,
        }
    }

    async fn check(&self, of: &Target) -> Vec<Finding> {
        let found = |trouble: &Trouble, remedy: &str| {
            vec![Finding { says: trouble.to_string(), remedy: remedy.to_owned() }]
        };
        let site = match CodeDeploy::site(of) {
            Ok(site) => site,
            Err(trouble) => return found(&trouble, "see `snapback check`"),
        };
        match self.picture(&of.service, site, self.now()).await {
            Ok(_) => Vec::new(),
            Err(trouble) => {
                let remedy =
                    "give the rights of deploy/codedeploy-policy.json, and see that the names are right";
                found(&trouble, remedy)
            }
        }
    }
}
