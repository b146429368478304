//! Provider `spinnaker`: a release back through Spinnaker's Gate, by a rollback pipeline of the user's own or by undoing a rollout to a
//! revision that is named.
//!
//! Our mark travels as a parameter of the pipeline and as the trigger's `correlationId`; it is looked for among the executions, and among the
//! tasks. Gate answers that it takes an execution before anything of it exists, and a copy that comes when the first is over starts another
//! one: the act is of class C, until an installation is shown to refuse copies. Never "the one before": Spinnaker chooses by position, and
//! after one rollback that is the bad release.
//!
//! Facts: Gate's `PipelineController`, `TaskController`, `ManifestController`; Echo's `ManualEventHandler`, `PipelineInitiator`; Orca's
//! `TaskController`, `OperationsController`, `ExecutionLauncher`; Clouddriver's `KubernetesUndoRolloutManifestOperation`.

mod begin;
mod by_hand;
mod diagnosis;
mod gate;
mod history;
mod manifest;
mod proposal;
mod reach;
mod run;
mod search;
mod watch;
mod work;

use secrecy::SecretString;

use self::work::{Receipt, Work};
use super::{Clock, Deployer, Finding, Sighting, Target};
use crate::case::command::Progress;
use crate::case::deployment::Picture;
use crate::case::exhibit::Exhibit;
use crate::case::id::{Duration, Handle, ReleaseId, Timestamp};
use crate::case::permit::Permit;
use crate::case::plan::Proposal;
use crate::case::step::{Class, Order};
use crate::outbound::Trouble;
use crate::outbound::api::{Api, Pair};

/// `[providers.NAME]` of this kind.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where Gate is, without a slash at the end.
    pub url: String,
    /// Where people look, without a slash at the end; `None`: nobody said.
    pub deck_url: Option<String>,
    /// Who we are there.
    pub identity: Identity,
    /// A copy of a request that comes late is refused there, even when the first is over.
    pub refuses_duplicates: bool,
    /// How long after a request's last moment "not there" is no proof that it never took effect.
    pub quarantine: Duration,
}

/// Who we are at Gate.
#[derive(Clone, Debug)]
pub enum Identity {
    /// Nobody: it asks for nothing.
    Nobody,
    /// Whoever has this token; `None`: the secret is not there.
    Token(Option<SecretString>),
    /// Whoever has this certificate.
    Certificate {
        /// The chain, as PEM.
        chain: String,
        /// Its key, as PEM; `None`: the secret is not there.
        key: Option<SecretString>,
    },
}

/// A service of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The application.
    pub application: String,
    /// The pipeline that puts releases out.
    pub deploy_pipeline: String,
    /// The parameter of both pipelines that says which release.
    pub version_parameter: String,
    /// The image by which a release is known, where that is no parameter: its name, without tag and digest.
    pub artifact: Option<String>,
    /// How it goes back.
    pub way: Way,
}

/// How a service goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a pipeline of the user's own.
    Pipeline {
        /// Its name.
        pipeline: String,
        /// Its parameter that keeps our mark.
        rollback_id_parameter: String,
    },
    /// By undoing the rollout of a Deployment, to a revision that is named.
    Manifest {
        /// The account, as Spinnaker calls it.
        account: String,
        /// The namespace.
        location: String,
        /// The Deployment.
        deployment: String,
    },
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Spinnaker application {}", self.application)
    }
}

/// The provider.
pub struct Spinnaker {
    settings: Settings,
    clock: Clock,
    api: Api,
}

impl std::fmt::Debug for Spinnaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spinnaker").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Spinnaker {
    /// A provider by this clock, which must be the one that permits are written by.
    pub fn new(settings: Settings, clock: Clock) -> Spinnaker {
        let url = settings.url.clone();
        let api = match &settings.identity {
            Identity::Nobody => Api::new(url, None),
            Identity::Token(token) => Api::new(url, token.clone()),
            Identity::Certificate { chain, key } => {
                Api::shown(url, Pair { chain: chain.clone(), key: key.clone() })
            }
        };
        Spinnaker { settings, clock, api }
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn site(of: &Target) -> Result<&Site, Trouble> {
        if let super::Site::Spinnaker(site) = &of.site { Ok(site) } else { Err(super::of_another_kind(of)) }
    }

    /// How often an act that puts something out may be tried.
    fn class(&self) -> Class {
        if self.settings.refuses_duplicates { Class::B } else { Class::C }
    }

    /// Where a person sees an execution; nothing where nobody said where people look.
    fn link(&self, application: &str, execution: &str) -> Option<String> {
        let deck = self.settings.deck_url.as_ref()?;
        Some(format!("{deck}/#/applications/{application}/executions/details/{execution}"))
    }

    /// Where a person sees the tasks of an application.
    fn tasks_link(&self, application: &str) -> Option<String> {
        let deck = self.settings.deck_url.as_ref()?;
        Some(format!("{deck}/#/applications/{application}/tasks"))
    }
}

/// What others have under way is asked about so often.
const AGAIN: Duration = Duration::from_secs(10);

impl Deployer for Spinnaker {
    async fn describe(&self, of: &Target, _since: Timestamp) -> Result<Picture, Trouble> {
        let site = Spinnaker::site(of)?;
        Ok(self.scene(site).await?.picture(&of.service, site))
    }

    async fn propose(&self, of: &Target, from: &ReleaseId, to: &ReleaseId) -> Result<Proposal, Trouble> {
        self.proposal(Spinnaker::site(of)?, from, to).await
    }

    async fn find(&self, order: &Order) -> Result<Sighting, Trouble> {
        self.search(&Work::of(order)?, order).await
    }

    async fn begin(&self, permit: Permit) -> Result<Handle, Trouble> {
        let work = Work::of(permit.order())?;
        self.send(&work, &permit).await
    }

    async fn watch(&self, handle: &Handle) -> Result<Progress, Trouble> {
        self.follow(&Receipt::read(handle)?).await
    }

    async fn evidence(&self, of: &Target, _handle: Option<&Handle>) -> Result<Vec<Exhibit>, Trouble> {
        self.diagnosis(Spinnaker::site(of)?).await
    }

    async fn check(&self, of: &Target) -> Vec<Finding> {
        match Spinnaker::site(of) {
            Ok(site) => self.reach(site).await,
            Err(trouble) => {
                vec![Finding { says: trouble.to_string(), remedy: "see `snapback check`".into() }]
            }
        }
    }
}
