//! Provider `helm`: a release back to a revision that its history still holds.
//!
//! History is read from Helm's own records; what changes anything is the program `helm`, told its revision: without a number it means
//! "the one before", which after one rollback is the bad release. A rollback writes a new revision with what the old one held, so
//! that it is found again by that: newer than the newest that was planned from, and the release that was wanted. The act is of class B:
//! a late copy leads to the same revision. Our mark stands in the record's description where Helm takes one, else in an annotation of
//! the record, written when Helm has ended.
//!
//! Facts: Helm 3.8 and 4.1 as they run, and their sources, as told in the comments where they matter.

mod history;
mod program;
pub mod record;
mod rollback;
mod work;

use std::path::PathBuf;
use std::sync::Arc;

use super::kubernetes::{self, Cluster, Kubernetes};
use super::{Clock, Deployer, Finding, Sighting, Target};
use crate::case::command::Progress;
use crate::case::deployment::Picture;
use crate::case::exhibit::Exhibit;
use crate::case::id::{Duration, Handle, ReleaseId, ServiceId, Timestamp};
use crate::case::permit::Permit;
use crate::case::plan::Proposal;
use crate::case::step::Order;
use crate::outbound::Trouble;

use self::program::{Children, Program};
use self::work::{Receipt, Work};

/// Records that are shown to people, the newest.
const SHOWN_MAX: usize = 10;

/// `[providers.NAME]` of this kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who we are and where the API is. `None`: the pod's own account.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; `None`: its current one.
    pub context: Option<String>,
    /// The program: a path, or a name that is looked for.
    pub program: String,
    /// What it finds as HOME; `None`: nothing.
    pub home: Option<PathBuf>,
    /// What holds the records.
    pub keep: Keep,
    /// Helm waits so long for each hook, and for what it applied.
    pub timeout: Duration,
    /// So many revisions are kept.
    pub history_max: u32,
    /// How long after a request's last moment "not there" is no proof that it never took effect.
    pub quarantine: Duration,
}

/// What holds the records (Helm's `HELM_DRIVER`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Secrets, as Helm does by itself.
    Secrets,
    /// ConfigMaps.
    ConfigMaps,
}

impl Keep {
    fn resource(self) -> &'static str {
        match self {
            Keep::Secrets => "secrets",
            Keep::ConfigMaps => "configmaps",
        }
    }
}

/// A release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub release: String,
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Helm release {}/{}", self.namespace, self.release)
    }
}

/// The provider.
pub struct Helm {
    settings: Settings,
    clock: Clock,
    /// Reads what a release consists of.
    kubernetes: Kubernetes,
    program: Program,
    children: Children,
}

impl std::fmt::Debug for Helm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Helm").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Helm {
    /// A provider by this clock, which must be the one that permits are written by.
    pub fn new(settings: Settings, clock: Clock) -> Helm {
        let of_cluster = kubernetes::Settings {
            kubeconfig: settings.kubeconfig.clone(),
            context: settings.context.clone(),
            quarantine: settings.quarantine,
        };
        let kubernetes = Kubernetes::new(of_cluster, clock.clone());
        Helm { settings, clock, kubernetes, program: Program::default(), children: Children::default() }
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn cluster(&self) -> &Cluster {
        self.kubernetes.cluster()
    }

    /// For who writes a mark after this call is over.
    fn noting(&self) -> Arc<Cluster> {
        self.kubernetes.cluster().clone()
    }

    fn site(of: &Target) -> Result<&Site, Trouble> {
        if let super::Site::Helm(site) = &of.site { Ok(site) } else { Err(super::of_another_kind(of)) }
    }

    /// The history, and what Kubernetes shows of the workloads of the newest revision.
    async fn diagnosis(&self, site: &Site) -> Result<Vec<Exhibit>, Trouble> {
        let records = self.records(site).await?;
        let lines = records.iter().rev().take(SHOWN_MAX).map(|kept| {
            let (word, called) = (kept.record.status_word(), kept.called());
            format!("{} {} {word} {called} {}", kept.version(), kept.began_at, kept.record.description())
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        let mut shown = vec![Exhibit { name: format!("history of {site}"), text }];
        for workload in records.last().map(|kept| kept.workloads(&site.namespace)).unwrap_or_default() {
            match self.kubernetes.diagnosis(&workload).await {
                Ok(exhibits) => shown.extend(exhibits),
                // Who may not read workloads still sees the history.
                Err(Trouble::Refused(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(shown)
    }

    /// Whether the records can be read, and Helm comes to them by its own way.
    async fn reach(&self, service: &ServiceId, site: &Site) -> Vec<Finding> {
        let finding = |says: String, remedy: &str| vec![Finding { says, remedy: remedy.to_owned() }];
        let resource = self.settings.keep.resource();
        let rights = ["get", "list", "watch", "create", "update", "patch", "delete"];
        let mut missing = Vec::new();
        for verb in rights {
            match self.kubernetes.may_in(&site.namespace, (verb, "", resource, "")).await {
                Ok(true) => {}
                Ok(false) => missing.push(verb),
                Err(trouble) => {
                    return finding(
                        trouble.to_string(),
                        "see the address and the credentials of its kubeconfig",
                    );
                }
            }
        }
        if !missing.is_empty() {
            let says = format!("may not {} {resource} in namespace {}", missing.join(", "), site.namespace);
            return finding(says, "give the rights of deploy/helm-role.yaml in its namespace");
        }
        if let Err(trouble) = self.picture(service, site).await {
            return finding(trouble.to_string(), "see that its namespace, release and `driver` are right");
        }
        let remedy = "see that `program` names a Helm, and that `kubeconfig` and `home` are what it needs";
        match self.settings.runs(&["status", &site.release, "--namespace", &site.namespace]).await {
            Ok(ran) if ran.well => Vec::new(),
            Ok(ran) => finding(format!("helm status of {site}: {}", ran.says), remedy),
            Err(why) => finding(why, remedy),
        }
    }
}

impl Deployer for Helm {
    async fn describe(&self, of: &Target, _since: Timestamp) -> Result<Picture, Trouble> {
        self.picture(&of.service, Helm::site(of)?).await
    }

    async fn changed(&self, of: &Target) -> Result<(), Trouble> {
        let Site { namespace, release } = Helm::site(of)?;
        let records = kubernetes::Selection {
            path: format!("/api/v1/namespaces/{namespace}/{}", self.settings.keep.resource()),
            by: ("labelSelector", format!("owner=helm,name={release}")),
        };
        self.kubernetes.next_change_of(&records).await
    }

    async fn propose(&self, of: &Target, from: &ReleaseId, to: &ReleaseId) -> Result<Proposal, Trouble> {
        self.proposal(Helm::site(of)?, from, to).await
    }

    async fn find(&self, order: &Order) -> Result<Sighting, Trouble> {
        self.search(&Work::of(&order.act, &order.to)?, order).await
    }

    async fn begin(&self, permit: Permit) -> Result<Handle, Trouble> {
        let work = Work::of(&permit.order().act, &permit.order().to)?;
        self.send(&work, &permit).await
    }

    async fn watch(&self, handle: &Handle) -> Result<Progress, Trouble> {
        self.follow(&Receipt::read(handle)?).await
    }

    async fn evidence(&self, of: &Target, _handle: Option<&Handle>) -> Result<Vec<Exhibit>, Trouble> {
        self.diagnosis(Helm::site(of)?).await
    }

    async fn check(&self, of: &Target) -> Vec<Finding> {
        match Helm::site(of) {
            Ok(site) => self.reach(&of.service, site).await,
            Err(trouble) => {
                vec![Finding { says: trouble.to_string(), remedy: "see `snapback check`".into() }]
            }
        }
    }
}
