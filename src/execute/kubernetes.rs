//! Provider `kubernetes`: a Deployment, a StatefulSet, a DaemonSet or Argo's Rollout back to a revision that its history still holds.
//!
//! Kubernetes has no call that rolls back; `kubectl rollout undo` writes the old pod template into the object, and so do we, by
//! one JSON Patch that counts only for the object and the generation that were read. Our mark stands in an annotation of the
//! object, beside the release that it led to. The act is of class A: a late copy meets another generation and is refused. A Rollout
//! that is still going out is aborted instead, and a Flagger canary's candidate is taken back by Flagger, which asks us.
//!
//! Facts: the API conventions and the workload controllers of Kubernetes 1.33 to 1.37, kubectl's `rollout`, as told in the
//! comments where they matter.

mod abort;
mod argo;
mod begin;
mod by_hand;
mod cluster;
mod diagnosis;
mod flagger;
mod history;
mod lookout;
mod owner;
mod pods;
mod rights;
mod rollout;
mod search;
pub(in crate::execute) mod template;
mod work;
mod workload;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Clock, Deployer, Finding, Sighting, Target};
use crate::case::command::Progress;
use crate::case::deployment::Picture;
use crate::case::exhibit::Exhibit;
use crate::case::id::{Duration, Handle, ReleaseId, Timestamp};
use crate::case::permit::Permit;
use crate::case::plan::Proposal;
use crate::case::step::Order;
use crate::outbound::Trouble;

pub(in crate::execute) use self::cluster::{Cluster, FIELD_MANAGER};
pub(in crate::execute) use self::lookout::Selection;
use self::work::{Receipt, Work};
pub use self::workload::Kind;

/// `[providers.NAME]` of this kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who we are and where the API is. `None`: as kubectl finds it, and in a pod the pod's own account.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; `None`: its current one.
    pub context: Option<String>,
    /// How long after a request's last moment "not there" is no proof that it never took effect.
    pub quarantine: Duration,
}

/// A workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// Its namespace.
    pub namespace: String,
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind.word(), self.namespace, self.name)
    }
}

/// The provider.
pub struct Kubernetes {
    settings: Settings,
    clock: Clock,
    cluster: Arc<Cluster>,
    /// The version of each selection up to which its changes were told: as many as there are services.
    seen: Mutex<BTreeMap<Selection, String>>,
}

impl std::fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubernetes").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Kubernetes {
    /// A provider by this clock, which must be the one that permits are written by.
    pub fn new(settings: Settings, clock: Clock) -> Kubernetes {
        Kubernetes { cluster: Arc::new(Cluster::new(&settings)), settings, clock, seen: Mutex::default() }
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The API, for who keeps something else there.
    pub(super) fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    fn seen(&self, of: &Selection) -> Option<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(of).cloned()
    }

    fn remember(&self, of: &Selection, version: Option<String>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match version.filter(|version| !version.is_empty()) {
            Some(version) => seen.insert(of.clone(), version),
            None => seen.remove(of),
        };
    }

    fn site(of: &Target) -> Result<&Site, Trouble> {
        if let super::Site::Kubernetes(site) = &of.site { Ok(site) } else { Err(super::of_another_kind(of)) }
    }
}

impl Deployer for Kubernetes {
    async fn describe(&self, of: &Target, _since: Timestamp) -> Result<Picture, Trouble> {
        self.picture(&of.service, Kubernetes::site(of)?).await
    }

    async fn changed(&self, of: &Target) -> Result<(), Trouble> {
        self.next_change_of(&Kubernetes::site(of)?.selection()).await
    }

    async fn propose(&self, of: &Target, from: &ReleaseId, to: &ReleaseId) -> Result<Proposal, Trouble> {
        self.proposal(Kubernetes::site(of)?, from, to).await
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
        self.diagnosis(Kubernetes::site(of)?).await
    }

    async fn check(&self, of: &Target) -> Vec<Finding> {
        match Kubernetes::site(of) {
            Ok(site) => self.rights(&of.service, site).await,
            Err(trouble) => {
                vec![Finding { says: trouble.to_string(), remedy: "see `snapback check`".into() }]
            }
        }
    }
}
