//! A service, its releases and its deployments as the API shows them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::case::deployment::{Deployment, DeploymentOrigin};
use crate::case::dossier::Dossier;
use crate::case::id::{ReleaseId, Timestamp};
use crate::case::ledger::{Ledger, Page};
use crate::case::readiness::obstacles;
use crate::case::settings::ServiceSettings;
use crate::case::standing::Standing;

/// `GET /v1/services`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServicesShape {
    /// By name.
    pub services: Vec<ServiceShape>,
    /// Services are never more than fit one page.
    pub next: Option<String>,
}

/// `GET /v1/services/{service}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceShape {
    /// Its name and environment.
    pub service: String,
    /// Its provider.
    pub provider: String,
    /// Whether it may be acted on: `shadow` or `live`.
    pub mode: String,
    /// What serves.
    pub current: Option<String>,
    /// What is known of its releases, the newest first.
    pub releases: Vec<ServiceReleaseShape>,
    /// Whether it could be rolled back.
    pub ready: ReadyShape,
    /// Nothing automatic until then.
    pub freeze: Option<FreezeShape>,
    /// The open case.
    pub open_case: Option<String>,
}

/// A release of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceReleaseShape {
    /// Its artifact.
    pub release: String,
    /// What people call it.
    pub version: Option<String>,
    /// What it was built from.
    pub commit: Option<String>,
    /// What the ledger holds of it.
    pub ledger: String,
    /// Why.
    pub why: String,
    /// When it was last put out.
    pub deployed_at: Option<Timestamp>,
    /// Whether it may not go out again.
    pub locked: bool,
}

/// Whether a service could be rolled back right now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadyShape {
    /// It could.
    pub now: bool,
    /// What stands in the way.
    pub reasons: Vec<String>,
}

/// Nothing automatic until then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FreezeShape {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Until when.
    pub until: Timestamp,
}

/// `GET /v1/deployments`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeploymentsShape {
    /// The newest first.
    pub deployments: Vec<DeploymentShape>,
    /// Where the next page begins; opaque. `None`: this is the last.
    pub next: Option<String>,
}

/// A deployment, in the words of the deployments file, so that `explain --deployments` reads what this gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeploymentShape {
    /// The provider's name for it.
    pub deployment: String,
    /// Where.
    pub service: String,
    /// What.
    pub release: String,
    /// What people call it.
    pub version: Option<String>,
    /// What it was built from.
    pub commit: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// `code`, `config`, `flag` or `infra`.
    pub change: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it had gone out.
    pub finished_at: Option<Timestamp>,
    /// `going_out`, `finished`, `failed` or `stopped`.
    pub status: String,
    /// Who began it.
    pub by: Option<String>,
    /// Why: `ordinary`, `ours` or `rollback`.
    pub origin: String,
    /// What the release says about going back over it.
    pub rollback: Option<String>,
    /// The schema that it brings.
    pub schema_version: Option<i64>,
    /// Where a person can read about it.
    pub links: Vec<String>,
}

impl ServiceShape {
    /// A service, as it is known and configured; `trouble` is why its provider cannot be read, if it cannot.
    pub fn of(
        dossier: &Dossier,
        settings: &ServiceSettings,
        standing: &Standing,
        trouble: Option<&str>,
        now: Timestamp,
    ) -> ServiceShape {
        let reasons = obstacles(dossier, settings, standing, trouble, now);
        ServiceShape {
            service: dossier.service.to_string(),
            provider: settings.provider.clone(),
            mode: settings.mode.word().to_owned(),
            current: dossier.ledger.current.as_ref().map(ToString::to_string),
            releases: releases(&dossier.ledger),
            ready: ReadyShape { now: reasons.is_empty(), reasons },
            freeze: dossier.freeze.as_ref().filter(|freeze| freeze.until > now).map(|freeze| FreezeShape {
                by: freeze.by.to_string(),
                reason: freeze.reason.clone(),
                until: freeze.until,
            }),
            open_case: dossier.open.as_ref().map(|case| case.id.to_string()),
        }
    }
}

fn releases(ledger: &Ledger) -> Vec<ServiceReleaseShape> {
    let mut last: BTreeMap<&ReleaseId, Timestamp> = BTreeMap::new();
    for deployment in &ledger.deployments {
        // Oldest first, so the last one stays.
        last.insert(&deployment.release, deployment.started_at);
    }
    let mut pages: Vec<(&Page, Option<Timestamp>)> =
        ledger.pages.iter().map(|(id, page)| (page, last.get(id).copied())).collect();
    pages.sort_by_key(|(_, deployed_at)| std::cmp::Reverse(*deployed_at));
    pages.into_iter().map(|(page, deployed_at)| ServiceReleaseShape::of(page, deployed_at)).collect()
}

impl ServiceReleaseShape {
    fn of(page: &Page, deployed_at: Option<Timestamp>) -> ServiceReleaseShape {
        ServiceReleaseShape {
            release: page.release.id.to_string(),
            version: page.release.version.clone(),
            commit: page.release.commit.clone(),
            ledger: page.grade.word().to_owned(),
            why: page.why.clone(),
            deployed_at,
            locked: page.lock.is_some(),
        }
    }
}

impl DeploymentShape {
    /// A deployment, with what its ledger knows of its release.
    pub fn of(deployment: &Deployment, ledger: &Ledger) -> DeploymentShape {
        let release = ledger.release_of(deployment);
        let origin = match &deployment.origin {
            DeploymentOrigin::Ordinary => "ordinary",
            DeploymentOrigin::Ours(_) => "ours",
            DeploymentOrigin::Rollback => "rollback",
        };
        DeploymentShape {
            deployment: deployment.id.to_string(),
            service: deployment.service.to_string(),
            release: deployment.release.to_string(),
            version: release.and_then(|release| release.version.clone()),
            commit: release.and_then(|release| release.commit.clone()),
            author: release.and_then(|release| release.author.clone()),
            change: deployment.change.word().to_owned(),
            started_at: deployment.started_at,
            finished_at: deployment.finished_at,
            status: deployment.status.word().to_owned(),
            by: deployment.by.clone(),
            origin: origin.to_owned(),
            rollback: release.and_then(|release| release.marks.rollback).map(|mark| mark.word().to_owned()),
            schema_version: release.and_then(|release| release.marks.schema_version),
            links: release.map(|release| release.links.clone()).unwrap_or_default(),
        }
    }
}
