//! Senders in intake's words: what each configured source and feed speaks, and what it must show. Leaves the rest of the
//! configuration to `handout`.

use std::sync::Arc;

use secrecy::SecretString;

use crate::config;
use crate::intake::{Certificates, Confirm, Credential, Scheme, Secret, Sns, SourceKind, Versions};

/// What a source speaks, in intake's words.
pub fn spoken(kind: &config::SourceKind) -> SourceKind {
    match kind {
        config::SourceKind::Alertmanager => SourceKind::Alertmanager,
        config::SourceKind::Grafana => SourceKind::Grafana,
        config::SourceKind::PagerDuty => SourceKind::PagerDuty,
        config::SourceKind::Sns(_) => SourceKind::Sns,
        config::SourceKind::EventBridge => SourceKind::EventBridge,
        config::SourceKind::Datadog => SourceKind::Datadog,
        config::SourceKind::NewRelic => SourceKind::NewRelic,
        config::SourceKind::Generic(mapping) => SourceKind::Generic(mapping.clone()),
    }
}

/// What a source must show. `None`: the configuration names nothing, which is a fault.
pub(super) fn credential(source: &config::SourceSettings) -> Option<Credential> {
    if let config::SourceKind::Sns(settings) = &source.kind {
        return Some(sns(settings));
    }
    let shown = source.credential.as_ref()?;
    Some(match shown {
        config::Credential::Bearer(_) | config::Credential::Basic { .. } => plain(shown)?,
        config::Credential::Signed { secrets, signature_header, timestamp_header, prefix } => {
            let named = |name: &Option<String>| name.as_ref().and_then(|name| name.parse().ok());
            let scheme = match &source.kind {
                config::SourceKind::PagerDuty => Scheme::PagerDuty,
                config::SourceKind::Grafana => {
                    let signature = named(signature_header).unwrap_or(Scheme::GRAFANA);
                    Scheme::Grafana { signature, timestamp: named(timestamp_header) }
                }
                config::SourceKind::Generic(_) => Scheme::Header {
                    signature: named(signature_header)?,
                    prefix: prefix.clone().unwrap_or_default(),
                },
                config::SourceKind::Alertmanager
                | config::SourceKind::Sns(_)
                | config::SourceKind::EventBridge
                | config::SourceKind::Datadog
                | config::SourceKind::NewRelic => return None,
            };
            Credential::Signed { scheme, secrets: secrets.iter().map(secret).collect() }
        }
    })
}

/// What a feed speaks, in intake's words.
pub(super) fn told(kind: &config::FeedKind) -> SourceKind {
    match kind {
        config::FeedKind::GitHub => SourceKind::GitHub,
        config::FeedKind::ArgoCd => SourceKind::ArgoCd,
        config::FeedKind::CdEvents => SourceKind::CdEvents,
        config::FeedKind::CodeDeployTriggers(_) => SourceKind::CodeDeployTriggers,
        config::FeedKind::CodeDeployEvents => SourceKind::CodeDeployEvents,
        config::FeedKind::Generic => SourceKind::Deployments,
    }
}

/// What a feed must show. `None`: the configuration names nothing, which is a fault.
pub(super) fn of_feed(feed: &config::FeedSettings) -> Option<Credential> {
    if let config::FeedKind::CodeDeployTriggers(settings) = &feed.kind {
        return Some(sns(settings));
    }
    let shown = feed.credential.as_ref()?;
    if let config::Credential::Signed { secrets, .. } = shown {
        let secrets = secrets.iter().map(secret).collect();
        return Some(Credential::Signed { scheme: Scheme::GitHub, secrets });
    }
    plain(shown)
}

/// A token, or a name and a password.
fn plain(shown: &config::Credential) -> Option<Credential> {
    match shown {
        config::Credential::Bearer(tokens) => Some(Credential::Bearer(tokens.iter().map(secret).collect())),
        config::Credential::Basic { user, passwords } => {
            Some(Credential::Basic { user: user.clone(), passwords: passwords.iter().map(secret).collect() })
        }
        config::Credential::Signed { .. } => None,
    }
}

fn sns(settings: &config::SnsSettings) -> Credential {
    let certificates = match &settings.certificates {
        Some(files) => Certificates::laid_down(files.iter().map(|(name, pem)| (&**name, &**pem))),
        None => Certificates::fetched(),
    };
    let versions = if settings.second_only { Versions::Second } else { Versions::Both };
    Credential::Sns {
        proof: Arc::new(Sns::new(settings.topics.clone(), versions, certificates)),
        confirm: Arc::new(Confirm::new(settings.confirms, settings.endpoint_url.clone())),
    }
}

pub(super) fn secret(secret: &config::Secret) -> Secret {
    secret.value.clone().map_or(Secret::Missing, |value: SecretString| Secret::Loaded(value))
}
