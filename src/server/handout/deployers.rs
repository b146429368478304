//! Providers as the configuration says: their settings, and where services live.

use std::sync::Arc;

use crate::case::id::Duration;
use crate::clock::Clock;
use crate::config;
use crate::execute::argocd::{self, ArgoCd};
use crate::execute::codedeploy::{self, CodeDeploy, Credentials};
use crate::execute::directory;
use crate::execute::github::{self, GitHub};
use crate::execute::helm::{self, Helm};
use crate::execute::kubernetes::{self, Kubernetes};
use crate::execute::own::{self, Own};
use crate::execute::spinnaker::{self, Spinnaker};
use crate::execute::{Provider, Site};

/// A restart that takes longer is killed; every service manager's own limit is shorter.
const RESTART_TIMEOUT: Duration = Duration::from_mins(2);

/// A provider with these settings. Directories have one, whatever it is called: what it began it remembers.
pub(super) fn provider(settings: &config::ProviderSettings, directory: &Arc<Provider>) -> Arc<Provider> {
    Arc::new(match settings {
        config::ProviderSettings::Directory => return directory.clone(),
        config::ProviderSettings::CodeDeploy(settings) => codedeploy(settings),
        config::ProviderSettings::Kubernetes(settings) => kubernetes(settings),
        config::ProviderSettings::Helm(settings) => helm(settings),
        config::ProviderSettings::ArgoCd(settings) => argocd(settings),
        config::ProviderSettings::Spinnaker(settings) => spinnaker(settings),
        config::ProviderSettings::GitHub(settings) => github(settings),
        config::ProviderSettings::Own(settings) => own(settings),
    })
}

fn codedeploy(settings: &config::CodeDeploySettings) -> Provider {
    let settings = codedeploy::Settings {
        region: settings.region.clone(),
        endpoint_url: settings.endpoint_url.clone(),
        quarantine: settings.quarantine,
    };
    Provider::CodeDeploy(Box::new(CodeDeploy::new(
        settings,
        Credentials::Surroundings,
        Arc::new(|| Clock.now()),
    )))
}

fn kubernetes(settings: &config::KubernetesSettings) -> Provider {
    let settings = kubernetes::Settings {
        kubeconfig: settings.kubeconfig.clone(),
        context: settings.context.clone(),
        quarantine: settings.quarantine,
    };
    Provider::Kubernetes(Box::new(Kubernetes::new(settings, Arc::new(|| Clock.now()))))
}

fn helm(settings: &config::HelmSettings) -> Provider {
    let settings = helm::Settings {
        kubeconfig: settings.kubeconfig.clone(),
        context: settings.context.clone(),
        program: settings.program.clone(),
        home: settings.home.clone(),
        keep: match settings.driver {
            config::HelmDriver::Secret => helm::Keep::Secrets,
            config::HelmDriver::ConfigMap => helm::Keep::ConfigMaps,
        },
        timeout: settings.timeout,
        history_max: settings.history_max,
        quarantine: settings.quarantine,
    };
    Provider::Helm(Box::new(Helm::new(settings, Arc::new(|| Clock.now()))))
}

fn argocd(settings: &config::ArgoCdSettings) -> Provider {
    let settings = argocd::Settings {
        url: settings.url.clone(),
        token: settings.token.value.clone(),
        quarantine: settings.quarantine,
    };
    Provider::ArgoCd(Box::new(ArgoCd::new(settings, Arc::new(|| Clock.now()))))
}

fn spinnaker(settings: &config::SpinnakerSettings) -> Provider {
    let identity = match &settings.identity {
        config::GateIdentity::Nobody => spinnaker::Identity::Nobody,
        config::GateIdentity::Token(token) => spinnaker::Identity::Token(token.value.clone()),
        config::GateIdentity::Certificate { chain, key, .. } => {
            spinnaker::Identity::Certificate { chain: chain.clone(), key: key.value.clone() }
        }
    };
    let settings = spinnaker::Settings {
        url: settings.url.clone(),
        deck_url: settings.deck_url.clone(),
        identity,
        refuses_duplicates: settings.refuses_duplicates,
        quarantine: settings.quarantine,
    };
    Provider::Spinnaker(Box::new(Spinnaker::new(settings, Arc::new(|| Clock.now()))))
}

fn github(settings: &config::GitHubSettings) -> Provider {
    let who = match &settings.who {
        config::GitHubWho::Token(token) => github::Who::Token(token.value.clone()),
        config::GitHubWho::App { id, installation, key } => {
            github::Who::App { id: id.clone(), installation: *installation, key: key.value.clone() }
        }
    };
    let settings = github::Settings { url: settings.url.clone(), who, quarantine: settings.quarantine };
    Provider::GitHub(Box::new(GitHub::new(settings, Arc::new(|| Clock.now()))))
}

fn own(settings: &config::OwnSettings) -> Provider {
    let way = match &settings.way {
        config::OwnWay::Command { environment, timeout } => own::Way::Command {
            environment: environment
                .iter()
                .map(|(name, secret)| (name.clone(), secret.value.clone()))
                .collect(),
            timeout: *timeout,
        },
        config::OwnWay::Http { secret } => {
            own::Way::Http { secret: secret.as_ref().and_then(|secret| secret.value.clone()) }
        }
    };
    let settings = own::Settings { way, deadline: settings.deadline, quarantine: settings.quarantine };
    Provider::Own(Box::new(Own::new(settings, Arc::new(|| Clock.now()))))
}

/// Where a service lives, as its provider reads it.
pub(super) fn site(site: &config::SiteSettings) -> Site {
    match site {
        config::SiteSettings::Directory(site) => Site::Directory(directory::Site {
            root: site.root.clone(),
            restart: site.restart.clone(),
            restart_timeout: RESTART_TIMEOUT,
        }),
        config::SiteSettings::CodeDeploy(site) => Site::CodeDeploy(codedeploy::Site {
            application: site.application.clone(),
            group: site.group.clone(),
            rollback_config: site.rollback_config.clone(),
        }),
        config::SiteSettings::Kubernetes(site) => Site::Kubernetes(kubernetes::Site {
            namespace: site.namespace.clone(),
            kind: match site.kind {
                config::WorkloadKind::Deployment => kubernetes::Kind::Deployment,
                config::WorkloadKind::StatefulSet => kubernetes::Kind::StatefulSet,
                config::WorkloadKind::DaemonSet => kubernetes::Kind::DaemonSet,
                config::WorkloadKind::Rollout => kubernetes::Kind::Rollout,
            },
            name: site.name.clone(),
        }),
        config::SiteSettings::Helm(site) => {
            Site::Helm(helm::Site { namespace: site.namespace.clone(), release: site.release.clone() })
        }
        config::SiteSettings::Own(config::OwnSite::Program { argv, folder }) => {
            Site::Own(own::Site::Program { argv: argv.clone(), folder: folder.clone() })
        }
        config::SiteSettings::Own(config::OwnSite::Url(url)) => Site::Own(own::Site::Url(url.clone())),
        config::SiteSettings::Spinnaker(site) => Site::Spinnaker(spinnaker::Site {
            application: site.application.clone(),
            deploy_pipeline: site.deploy_pipeline.clone(),
            version_parameter: site.version_parameter.clone(),
            artifact: site.artifact.clone(),
            way: match &site.way {
                config::GateWay::Pipeline { pipeline, rollback_id_parameter } => spinnaker::Way::Pipeline {
                    pipeline: pipeline.clone(),
                    rollback_id_parameter: rollback_id_parameter.clone(),
                },
                config::GateWay::Manifest { account, location, deployment } => spinnaker::Way::Manifest {
                    account: account.clone(),
                    location: location.clone(),
                    deployment: deployment.clone(),
                },
            },
        }),
        config::SiteSettings::GitHub(site) => Site::GitHub(github::Site {
            repository: site.repository.clone(),
            workflow: site.workflow.clone(),
            branch: site.branch.clone(),
            environment: site.environment.clone(),
            repeatable: site.repeatable,
            record: site.record,
        }),
        config::SiteSettings::ArgoCd(site) => Site::ArgoCd(argocd::Site {
            application: site.application.clone(),
            namespace: site.namespace.clone(),
            project: site.project.clone(),
            prune: site.prune,
        }),
    }
}
