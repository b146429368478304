//! Providers: whoever puts releases on services and can take them back. Owns the one shape that all of them have and
//! the choice among them; each provider has its own file, which begins with how it carries our mark. Leaves to the
//! engine when to ask and how often: nothing in here retries or waits.
//!
//! `begin` takes effect at most once for a permit; `find` tells, after a lost answer, whether it did; `watch` follows
//! what began. Only `begin` changes anything that serves.

pub mod argocd;
pub mod codedeploy;
pub mod directory;
pub mod github;
pub mod helm;
pub mod kubernetes;
pub mod own;
pub mod spinnaker;
pub mod step;
mod trailers;

use std::sync::Arc;

use crate::case::command::Progress;
use crate::case::deployment::Picture;
use crate::case::exhibit::Exhibit;
use crate::case::id::{Handle, ReleaseId, ServiceId, Timestamp};
use crate::case::permit::Permit;
use crate::case::plan::Proposal;
use crate::case::step::{Act, Order};
use crate::outbound::{CallError, Trouble};

/// Tells what time it is. Handed in, so that a provider reads the same clock as whoever counts its deadlines.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A configured provider, `[providers.NAME]`.
#[derive(Debug)]
pub enum Provider {
    /// Releases side by side in a directory.
    Directory(directory::Directory),
    /// AWS CodeDeploy.
    CodeDeploy(Box<codedeploy::CodeDeploy>),
    /// Workloads of a Kubernetes cluster.
    Kubernetes(Box<kubernetes::Kubernetes>),
    /// Releases of Helm.
    Helm(Box<helm::Helm>),
    /// Applications of Argo CD.
    ArgoCd(Box<argocd::ArgoCd>),
    /// Applications of Spinnaker.
    Spinnaker(Box<spinnaker::Spinnaker>),
    /// Environments of GitHub, by a workflow.
    GitHub(Box<github::GitHub>),
    /// A deployer of the user's own, by a program or over HTTP.
    Own(Box<own::Own>),
}

/// A service as its provider knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The service.
    pub service: ServiceId,
    /// Where it lives there.
    pub site: Site,
}

/// Where a service lives at its provider; one variant for each provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Site {
    /// In a directory.
    Directory(directory::Site),
    /// In a deployment group.
    CodeDeploy(codedeploy::Site),
    /// As a workload.
    Kubernetes(kubernetes::Site),
    /// As a release of Helm.
    Helm(helm::Site),
    /// As an Application.
    ArgoCd(argocd::Site),
    /// In an application of Spinnaker.
    Spinnaker(spinnaker::Site),
    /// As an environment of a repository.
    GitHub(github::Site),
    /// At a deployer of the user's own.
    Own(own::Site),
}

/// For a provider that is asked about a service of another one.
fn of_another_kind(of: &Target) -> Trouble {
    Trouble::Refused(format!("{} lives at a provider of another kind", of.service))
}

/// What a search for work under our mark finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// It was taken.
    Found(Handle),
    /// It surely was not, and no late copy of it is on its way.
    Absent,
    /// Nobody can tell before this moment.
    TooEarly(Timestamp),
}

/// Something that would keep a provider from acting, found by looking and not by trying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong, in a sentence.
    pub says: String,
    /// What to do about it.
    pub remedy: String,
}

/// Words as a shell reads them. A character that a terminal obeys is in no command that a person is given.
fn shell<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<String, String> {
    let words: Vec<&str> = words.into_iter().collect();
    if words.iter().any(|word| word.chars().any(char::is_control)) {
        return Err("a name in it holds control characters".to_owned());
    }
    shlex::try_join(words).map_err(|error| error.to_string())
}

/// What was read before a request, or after its refusal: where that failed, the request surely did nothing, and the same attempt may go
/// again.
fn unsent<T>(read: Result<T, Trouble>) -> Result<T, Trouble> {
    read.map_err(|trouble| match trouble {
        Trouble::Unclear(error) => Trouble::Busy { why: CallError::to_string(&error), after: None },
        other @ (Trouble::Busy { .. } | Trouble::Refused(_) | Trouble::Moved(_)) => other,
    })
}

/// What every provider can do. Dispatched by [`Provider`], never by a pointer.
pub(crate) trait Deployer {
    async fn describe(&self, of: &Target, since: Timestamp) -> Result<Picture, Trouble>;
    /// A provider that can be watched overrides this.
    async fn changed(&self, _of: &Target) -> Result<(), Trouble> {
        std::future::pending().await
    }
    async fn propose(&self, of: &Target, from: &ReleaseId, to: &ReleaseId) -> Result<Proposal, Trouble>;
    async fn find(&self, order: &Order) -> Result<Sighting, Trouble>;
    async fn begin(&self, permit: Permit) -> Result<Handle, Trouble>;
    async fn watch(&self, handle: &Handle) -> Result<Progress, Trouble>;
    async fn evidence(&self, of: &Target, handle: Option<&Handle>) -> Result<Vec<Exhibit>, Trouble>;
    async fn check(&self, of: &Target) -> Vec<Finding>;
}

/// Calls the method of whichever provider it is.
macro_rules! dispatch {
    ($provider:expr, $method:ident($($argument:expr),*)) => {
        match $provider {
            Provider::Directory(provider) => provider.$method($($argument),*).await,
            Provider::CodeDeploy(provider) => provider.$method($($argument),*).await,
            Provider::Kubernetes(provider) => provider.$method($($argument),*).await,
            Provider::Helm(provider) => provider.$method($($argument),*).await,
            Provider::ArgoCd(provider) => provider.$method($($argument),*).await,
            Provider::Spinnaker(provider) => provider.$method($($argument),*).await,
            Provider::GitHub(provider) => provider.$method($($argument),*).await,
            Provider::Own(provider) => provider.$method($($argument),*).await,
        }
    };
}

impl Provider {
    /// Its kind, as the configuration calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Provider::Directory(_) => "directory",
            Provider::CodeDeploy(_) => "codedeploy",
            Provider::Kubernetes(_) => "kubernetes",
            Provider::Helm(_) => "helm",
            Provider::ArgoCd(_) => "argocd",
            Provider::Spinnaker(_) => "spinnaker",
            Provider::GitHub(_) => "github-actions",
            Provider::Own(provider) => provider.kind(),
        }
    }

    /// Whether Flagger, which asks for this canary, shall go back by this act that is under way. An act that is none of a gate: no.
    pub async fn flagger_shall_go_back(&self, act: &Act) -> Result<bool, Trouble> {
        let Provider::Kubernetes(provider) = self else { return Ok(false) };
        provider.flagger_shall_go_back(act).await
    }

    /// What [`Provider::check`] tried where it finds nothing, and what it left untried, in words for people.
    pub fn tried(&self) -> &'static str {
        match self {
            Provider::Directory(_) => {
                "its releases can be read, and what a switch writes can be written; nothing was switched or restarted"
            }
            Provider::CodeDeploy(_) => {
                "what a rollback reads can be read; nothing was written: whether deployments may be created and stopped was not tried"
            }
            Provider::Kubernetes(_) => {
                "what a rollback reads can be read, the right to patch is there, and a dry run was let in"
            }
            Provider::Helm(_) => {
                "its records can be read, the rights to write them are there, and helm reads the release; whether it may write what the chart holds was not tried"
            }
            Provider::ArgoCd(_) => {
                "what a rollback reads can be read, and by Argo CD's own word its account may sync and update; nothing was written"
            }
            Provider::Spinnaker(_) => {
                "what a rollback reads can be read, its pipelines take what they are given, and nothing that Gate says keeps its account from it; nothing was run"
            }
            Provider::GitHub(_) => {
                "what a rollback reads can be read, and the workflow can be started and found again by what its file says; nothing was started or written: of a token, GitHub does not tell what it may write"
            }
            Provider::Own(_) => {
                "it answers what serves, what went out, and that it knows no rollback that there never was; none was asked for"
            }
        }
    }

    /// What serves there, what went out since that moment and before, and the releases that this names. Reads only.
    ///
    /// # Errors
    /// `Unclear` when it cannot be read whole; never half a picture.
    pub async fn describe(&self, of: &Target, since: Timestamp) -> Result<Picture, Trouble> {
        dispatch!(self, describe(of, since))
    }

    /// Ends when something changed there, or may have: then reading is worth while. Never ends where the provider cannot be
    /// watched.
    ///
    /// # Errors
    /// When it cannot be watched now.
    pub async fn changed(&self, of: &Target) -> Result<(), Trouble> {
        dispatch!(self, changed(of))
    }

    /// The acts that lead from one release to another, pinned in full. Reads only.
    ///
    /// # Errors
    /// `Refused` when no way leads there; why.
    pub async fn propose(&self, of: &Target, from: &ReleaseId, to: &ReleaseId) -> Result<Proposal, Trouble> {
        dispatch!(self, propose(of, from, to))
    }

    /// Looks for what an earlier `begin` of this order did. Changes nothing that serves.
    ///
    /// # Errors
    /// `Moved` when it was not done and something else serves by now; `Unclear` when it cannot be read.
    pub async fn find(&self, order: &Order) -> Result<Sighting, Trouble> {
        dispatch!(self, find(order))
    }

    /// Does what the permit says, at most once, and gives the receipt. Already there is done.
    ///
    /// # Errors
    /// `Busy` when it surely was not done, after the wire deadline as well; `Refused` and `Moved` likewise, for good;
    /// `Unclear` when `find` has to tell.
    pub async fn begin(&self, permit: Permit) -> Result<Handle, Trouble> {
        dispatch!(self, begin(permit))
    }

    /// How work stands that began. Reads only.
    ///
    /// # Errors
    /// `Unclear` when it cannot be read; `Refused` for a receipt that is not this provider's.
    pub async fn watch(&self, handle: &Handle) -> Result<Progress, Trouble> {
        dispatch!(self, watch(handle))
    }

    /// What the provider shows of a service, or of work of ours there that failed or hangs. Reads only.
    ///
    /// # Errors
    /// `Unclear` when it cannot be read.
    pub async fn evidence(&self, of: &Target, handle: Option<&Handle>) -> Result<Vec<Exhibit>, Trouble> {
        dispatch!(self, evidence(of, handle))
    }

    /// The command by which a person does this act with the provider's own tools: one line of a POSIX shell. It carries no mark
    /// of ours, because nobody would know it.
    ///
    /// # Errors
    /// Why it cannot be written as one.
    pub fn by_hand(&self, act: &Act, to: &ReleaseId, reason: &str) -> Result<String, String> {
        match self {
            Provider::Directory(_) => directory::by_hand(act, to),
            Provider::CodeDeploy(provider) => provider.by_hand(act, reason),
            Provider::Kubernetes(provider) => provider.by_hand(act),
            Provider::Helm(provider) => provider.by_hand(act, to),
            Provider::ArgoCd(provider) => provider.by_hand(act, to),
            Provider::Spinnaker(provider) => provider.by_hand(act, to),
            Provider::GitHub(provider) => provider.by_hand(act, to, reason),
            Provider::Own(provider) => provider.by_hand(act, to),
        }
    }

    /// The commands for a service of which nothing could be read; words in capitals are for a person to fill in.
    pub fn by_hand_unplanned(&self, of: &Target, to: Option<&ReleaseId>, reason: &str) -> Vec<String> {
        match (self, &of.site) {
            (Provider::Directory(_), Site::Directory(site)) => directory::by_hand_unplanned(site, to),
            (Provider::CodeDeploy(provider), Site::CodeDeploy(site)) => {
                provider.by_hand_unplanned(site, reason)
            }
            (Provider::Kubernetes(provider), Site::Kubernetes(site)) => provider.by_hand_unplanned(site),
            (Provider::Helm(provider), Site::Helm(site)) => provider.by_hand_unplanned(site),
            (Provider::ArgoCd(provider), Site::ArgoCd(site)) => provider.by_hand_unplanned(site),
            (Provider::Spinnaker(provider), Site::Spinnaker(site)) => provider.by_hand_unplanned(site, to),
            (Provider::GitHub(provider), Site::GitHub(site)) => provider.by_hand_unplanned(site, to, reason),
            (Provider::Own(provider), Site::Own(site)) => provider.by_hand_unplanned(&of.service, site),
            // It lives at a provider of another kind.
            _ => Vec::new(),
        }
    }

    /// Looks whether everything is in reach and allowed that a rollback would need. Reads only; nothing found is well.
    pub async fn check(&self, of: &Target) -> Vec<Finding> {
        dispatch!(self, check(of))
    }
}
