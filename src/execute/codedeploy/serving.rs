//! What serves, told by whoever really carries the traffic: the primary task set on ECS, the alias on Lambda; on EC2
//! CodeDeploy's own last success is all that anybody knows.

use std::collections::BTreeMap;

use aws_sdk_codedeploy::types::{DeploymentInfo, DeploymentStyle, DeploymentType};

use super::appspec::{Puts, task_definition, version};
use super::group::{Group, Platform};
use super::{CodeDeploy, Site};
use crate::case::id::ReleaseId;
use crate::outbound::Trouble;

/// What serves.
pub(super) struct Serving {
    /// `None`: nobody can tell.
    pub(super) release: Option<ReleaseId>,
    /// Nothing else gets a part of the traffic, as far as anybody tells.
    pub(super) whole: bool,
    /// Figures for the rules.
    pub(super) figures: BTreeMap<String, f64>,
}

impl Serving {
    fn unknown() -> Serving {
        Serving { release: None, whole: false, figures: BTreeMap::new() }
    }
}

/// A Lambda alias, as it is.
pub(super) struct Alias {
    pub(super) function: String,
    pub(super) version: String,
    /// The share of the traffic that other versions get.
    pub(super) shifted: f64,
}

impl CodeDeploy {
    /// What serves in a group.
    pub(super) async fn serving(&self, site: &Site, group: &Group) -> Result<Serving, Trouble> {
        match group.platform() {
            Platform::Server => self.on_machines(site, group).await,
            Platform::Ecs => self.on_ecs(group).await,
            Platform::Lambda => self.on_lambda(site, group).await,
        }
    }

    async fn on_machines(&self, site: &Site, group: &Group) -> Result<Serving, Trouble> {
        let shifted = group.under_way().filter(|deployment| has_traffic(deployment));
        let Some(serves) = shifted.or_else(|| group.last_successful()) else {
            return Ok(Serving::unknown());
        };
        let release = match serves.revision() {
            Some(revision) => Some(self.artifact(site, revision).await?.release),
            None => None,
        };
        let overview = group.deployments.last().and_then(|newest| newest.deployment_overview());
        let figures = overview.into_iter().flat_map(|of| {
            [("instances_succeeded", of.succeeded()), ("instances_failed", of.failed())]
                .map(|(name, count)| (name.to_owned(), count as f64))
        });
        Ok(Serving { release, whole: true, figures: figures.collect() })
    }

    async fn on_ecs(&self, group: &Group) -> Result<Serving, Trouble> {
        let Some(of) = group.info.ecs_services().first() else {
            return Ok(Serving::unknown());
        };
        let (name, cluster) = (of.service_name().unwrap_or_default(), of.cluster_name());
        let clients = self.account.clients().await;
        let doing = format!("read the ECS service {name}");
        let asked = clients.ecs.describe_services().set_cluster(cluster.map(str::to_owned)).services(name);
        let answer = match asked.send().await {
            Ok(answer) => answer,
            Err(error) => return Err(self.account.sorted(&doing, error).await),
        };
        let Some(service) = answer.services().first() else {
            return Err(Trouble::Refused(format!("{doing}: there is none")));
        };
        // Under CodeDeploy a service has task sets, of which the primary one serves.
        let primary = service.task_sets().iter().find(|set| set.status() == Some("PRIMARY"));
        let serves = primary.and_then(|set| set.task_definition()).or_else(|| service.task_definition());
        let figures = [
            ("replicas".to_owned(), f64::from(service.desired_count())),
            ("replicas_ready".to_owned(), f64::from(service.running_count())),
        ];
        Ok(Serving {
            release: serves.map(|arn| ReleaseId::new(task_definition(arn))),
            whole: true,
            figures: BTreeMap::from(figures),
        })
    }

    async fn on_lambda(&self, site: &Site, group: &Group) -> Result<Serving, Trouble> {
        let Some(alias) = self.alias(site, group).await? else {
            return Ok(Serving::unknown());
        };
        Ok(Serving {
            release: Some(version(&alias.function, &alias.version)),
            whole: alias.shifted <= 0.0,
            figures: BTreeMap::from([("shifted".to_owned(), alias.shifted)]),
        })
    }

    /// The alias that a group moves, by the newest AppSpec that names one.
    pub(super) async fn alias(&self, site: &Site, group: &Group) -> Result<Option<Alias>, Trouble> {
        for deployment in group.releases().rev() {
            let Some(revision) = deployment.revision() else { continue };
            let puts = self.artifact(site, revision).await?.puts();
            if let Some(Puts::Version { function, alias, .. }) = puts {
                return self.read_alias(function, &alias).await.map(Some);
            }
        }
        Ok(None)
    }

    async fn read_alias(&self, function: String, name: &str) -> Result<Alias, Trouble> {
        let clients = self.account.clients().await;
        let doing = format!("read the alias {name} of {function}");
        match clients.lambda.get_alias().function_name(&function).name(name).send().await {
            Ok(answer) => {
                let weights =
                    answer.routing_config().and_then(|routing| routing.additional_version_weights());
                let shifted = weights.map_or(0.0, |weights| weights.values().sum());
                Ok(Alias {
                    version: answer.function_version().unwrap_or_default().to_owned(),
                    function,
                    shifted,
                })
            }
            Err(error) => Err(self.account.sorted(&doing, error).await),
        }
    }
}

/// In a blue/green deployment: the traffic is on the new fleet, and the old one waits for its end (the service model's
/// `instanceTerminationWaitTimeStarted`).
pub(super) fn has_traffic(deployment: &DeploymentInfo) -> bool {
    deployment.instance_termination_wait_time_started()
}

/// The old fleet stays alive while the new one takes over.
pub(super) fn is_blue_green(deployment: &DeploymentInfo) -> bool {
    let kind = deployment.deployment_style().and_then(DeploymentStyle::deployment_type);
    kind == Some(&DeploymentType::BlueGreen)
}
