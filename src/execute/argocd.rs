//! Provider `argocd`: an Application back to an entry of its history, through Argo CD's API.
//!
//! Argo CD takes no sign of ours with a rollback. So a plan begins with a patch of the Application that keeps our mark in an annotation,
//! with the number of the newest history entry and the release that is wanted, and switches auto-sync off where it is on: Argo CD
//! refuses a rollback otherwise, because Git would put back what it takes away. The rollback follows, pinned to a history entry; the
//! first newer entry of that release is ours. Auto-sync goes on again only where Git asks for what serves then.
//!
//! Facts: Argo CD 3's `server/application/application.go`, `controller/state.go` and `pkg/apis/application/v1alpha1`; its documents.

pub(crate) mod application;
mod begin;
mod by_hand;
mod diagnosis;
mod history;
mod metadata;
mod proposal;
mod search;
mod watch;
mod work;

use std::collections::BTreeMap;
use std::sync::Mutex;

use secrecy::SecretString;
use serde_json::Value;

use self::application::Application;
use self::history::Stands;
use self::metadata::Metadata;
use self::work::{Receipt, Work};
use super::{Clock, Deployer, Finding, Sighting, Target};
use crate::case::command::Progress;
use crate::case::deployment::Picture;
use crate::case::exhibit::Exhibit;
use crate::case::id::{Duration, Handle, ReleaseId, Timestamp};
use crate::case::permit::Permit;
use crate::case::plan::Proposal;
use crate::case::step::Order;
use crate::outbound::api::{Api, Denial};
use crate::outbound::{CallError, Trouble};

/// `[providers.NAME]` of this kind.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where its API is, without a slash at the end.
    pub url: String,
    /// Who we are there; `None`: the secret is not there, and everything is refused.
    pub token: Option<SecretString>,
    /// How long after a request's last moment "not there" is no proof that it never took effect.
    pub quarantine: Duration,
}

/// An Application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// Its name.
    pub application: String,
    /// Its namespace, where that is not Argo CD's own.
    pub namespace: Option<String>,
    /// Its project: where it is named, another project's Application of that name is none.
    pub project: Option<String>,
    /// Whether a rollback deletes what the bad release added.
    pub prune: bool,
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "Argo CD application {namespace}/{}", self.application),
            None => write!(f, "Argo CD application {}", self.application),
        }
    }
}

impl Site {
    /// A path of its, with the query that says which one it is and whatever comes beside.
    fn path(&self, below: &str, query: &[(&str, &str)]) -> String {
        let own = [("appNamespace", self.namespace.as_deref()), ("project", self.project.as_deref())];
        let own = own.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(own.chain(query.iter().copied()))
            .finish();
        let question = if query.is_empty() { "" } else { "?" };
        format!("/api/v1/applications/{}{below}{question}{query}", self.application)
    }
}

/// The provider.
pub struct ArgoCd {
    settings: Settings,
    clock: Clock,
    api: Api,
    /// What commits say of themselves: it never changes.
    known: Mutex<BTreeMap<String, Metadata>>,
    /// How each stood when it was read last.
    seen: Mutex<BTreeMap<Site, Stands>>,
}

impl std::fmt::Debug for ArgoCd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArgoCd").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl ArgoCd {
    /// A provider by this clock, which must be the one that permits are written by.
    pub fn new(settings: Settings, clock: Clock) -> ArgoCd {
        let api = Api::new(settings.url.clone(), settings.token.clone());
        ArgoCd { settings, clock, api, known: Mutex::default(), seen: Mutex::default() }
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn site(of: &Target) -> Result<&Site, Trouble> {
        if let super::Site::ArgoCd(site) = &of.site { Ok(site) } else { Err(super::of_another_kind(of)) }
    }

    /// Where a person sees it.
    fn link(&self, site: &Site) -> String {
        let namespace = site.namespace.as_ref().map_or_else(String::new, |namespace| format!("{namespace}/"));
        format!("{}/applications/{namespace}{}", self.settings.url, site.application)
    }

    async fn application(&self, site: &Site) -> Result<Application, Trouble> {
        let doing = format!("read {site}");
        let object = self.read(&doing, &site.path("", &[])).await?;
        let other = || CallError::Answer { doing, said: "the answer is no Application".into() };
        Ok(Application::of(object).filter(|read| read.is_called(&site.application)).ok_or_else(other)?)
    }

    async fn read(&self, doing: &str, path: &str) -> Result<Value, Trouble> {
        self.api.get(doing, path).await?.map_err(|denial| denied(doing, denial))
    }

    /// Whether the account may do that to this Application, by Argo CD's own word.
    async fn may(&self, action: &str, site: &Site, project: &str) -> Result<bool, Trouble> {
        let name = match &site.namespace {
            Some(namespace) => format!("{project}/{namespace}/{}", site.application),
            None => format!("{project}/{}", site.application),
        };
        let path = format!("/api/v1/account/can-i/applications/{action}/{name}");
        let answer = self.read(&format!("ask whether it may {action} {site}"), &path).await?;
        Ok(answer["value"] == "yes")
    }

    /// Whether a rollback could be done: what it reads, and what its account may.
    async fn reach(&self, of: &Target, site: &Site) -> Vec<Finding> {
        let finding = |says: String, remedy: &str| vec![Finding { says, remedy: remedy.to_owned() }];
        let application = match self.application(site).await {
            Ok(application) => application,
            Err(trouble) => {
                return finding(
                    trouble.to_string(),
                    "see `url` and `token` of the provider, and the application's name, namespace and project",
                );
            }
        };
        let mut missing = Vec::new();
        for action in ["sync", "update"] {
            match self.may(action, site, application.project()).await {
                Ok(true) => {}
                Ok(false) => missing.push(action),
                Err(trouble) => return finding(trouble.to_string(), "see the token of the provider"),
            }
        }
        if !missing.is_empty() {
            let says = format!("its account may not {} {site}", missing.join(" and "));
            return finding(says, "give the rights of deploy/argocd-policy.csv to its role");
        }
        match self.picture(&of.service, site).await {
            Ok(_) => Vec::new(),
            Err(trouble) => finding(trouble.to_string(), "see that Argo CD reaches its repository"),
        }
    }
}

/// What an answer that is a no means (grpc-gateway's statuses of the codes that Argo CD gives).
fn denied(doing: &str, denial: Denial) -> Trouble {
    if denial.said.contains("another operation is already in progress") {
        return Trouble::Busy { why: format!("{doing}: {}", denial.said), after: Some(AGAIN) };
    }
    match denial.status {
        // Somebody wrote it at the same moment, and Argo CD has tried again itself.
        409 => Trouble::Busy { why: format!("{doing}: {}", denial.said), after: None },
        // Argo CD does not tell whether it is not there or may not be seen.
        403 | 404 => Trouble::Refused(format!(
            "{doing}: it is not there, or its account may not ({}: {})",
            denial.status, denial.said
        )),
        _ => denial.trouble(doing),
    }
}

/// An operation of somebody else's is asked about so often.
const AGAIN: Duration = Duration::from_secs(10);

impl Deployer for ArgoCd {
    async fn describe(&self, of: &Target, _since: Timestamp) -> Result<Picture, Trouble> {
        self.picture(&of.service, ArgoCd::site(of)?).await
    }

    async fn changed(&self, of: &Target) -> Result<(), Trouble> {
        self.next_change(ArgoCd::site(of)?).await
    }

    async fn propose(&self, of: &Target, from: &ReleaseId, to: &ReleaseId) -> Result<Proposal, Trouble> {
        self.proposal(ArgoCd::site(of)?, from, to).await
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
        self.diagnosis(ArgoCd::site(of)?).await
    }

    async fn check(&self, of: &Target) -> Vec<Finding> {
        match ArgoCd::site(of) {
            Ok(site) => self.reach(of, site).await,
            Err(trouble) => {
                vec![Finding { says: trouble.to_string(), remedy: "see `snapback check`".into() }]
            }
        }
    }
}
