//! The handout: from the configuration to what each room is told. Nobody else sees the whole.

mod deployers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use self::deployers::site;
use super::senders::{credential, of_feed, secret, spoken, told};
use crate::admin::{Access, Role, Status, Token, host_of_url};
use crate::case::id::{Digest, Duration, PagerName, ServiceId, SourceName, Timestamp};
use crate::case::map::{Atlas, AtlasEntry};
use crate::case::settings::ServiceSettings;
use crate::clock::Clock;
use crate::config::{self, Settings};
use crate::engine::desk::{DeskSettings, SourceScope};
use crate::engine::lane::Lanes;
use crate::engine::rim::Rim;
use crate::execute::directory::Directory;
use crate::execute::step::Steps;
use crate::execute::{Provider, Target};
use crate::intake::{Identity, IntakeSettings, Limits, Secret, SourceSettings, Subnet};
use crate::journal::StoreSettings;
use crate::probe::prometheus::Prometheus;
use crate::probe::{Check, CommandCheck, HttpCheck, Probe, PromqlCheck};
use crate::report::Voice;
use crate::report::pager::{self, Pager};
use crate::report::rollcall::{self, Rollcall};
use crate::report::slack::{self, Slack};
use crate::telemetry::Tally;

/// The settings of the store: taken once, at the start.
pub(super) fn store(settings: &Settings) -> StoreSettings {
    StoreSettings { path: settings.store.path.clone(), keep: settings.store.keep_deliveries, max_bytes: None }
}

/// What is taken once, when the process starts.
struct AtStart {
    listen: SocketAddr,
    admin: SocketAddr,
    trusted_proxies: Vec<config::Network>,
    /// Whether senders speak TLS; which certificate they are shown may change.
    tls: bool,
    limits: config::LimitSettings,
    store: config::StoreSettings,
}

impl AtStart {
    fn of(settings: &Settings) -> AtStart {
        let server = &settings.server;
        AtStart {
            listen: server.listen,
            admin: server.admin,
            trusted_proxies: server.trusted_proxies.clone(),
            tls: server.tls.is_some(),
            // What wakes people is taken with every reading.
            limits: config::LimitSettings { dead_letters: 0, ..settings.limits.clone() },
            store: settings.store.clone(),
        }
    }
}

/// The configuration in force, and what lives through its changes.
pub(super) struct Handout {
    settings: Settings,
    taken_at: Timestamp,
    /// What became of the deliveries of each source: one for each configured source, through all reloads.
    tallies: BTreeMap<SourceName, Arc<Tally>>,
    at_start: AtStart,
    /// The last good one: a listener that speaks TLS goes on with it whatever the configuration says later.
    identity: Option<Identity>,
    voice: Voice,
    lanes: Arc<Lanes>,
    rollcall: Arc<Rollcall>,
    /// The providers by name. One whose settings stay lives through a reload: it knows what is being worked on.
    providers: BTreeMap<String, (config::ProviderSettings, Arc<Provider>)>,
    /// One for all directories: it knows which root is being worked on.
    directory: Arc<Provider>,
}

impl Handout {
    pub(super) fn new(settings: Settings, voice: Voice) -> Handout {
        let directory = Arc::new(Provider::Directory(Directory::new(Arc::new(|| Clock.now()))));
        let at_start = AtStart::of(&settings);
        let identity = identity(&settings);
        let (taken_at, tallies, providers) = (Clock.now(), BTreeMap::new(), BTreeMap::new());
        let mut handout = Handout {
            at_start,
            identity,
            taken_at,
            tallies,
            settings,
            voice,
            lanes: Arc::default(),
            rollcall: Arc::new(Rollcall::new(BTreeMap::new(), None)),
            providers,
            directory,
        };
        handout.make_providers();
        handout.make_voice();
        handout.make_tallies();
        handout
    }

    /// Makes the voice that the settings name, and whoever reads who belongs where. What was read is forgotten.
    fn make_voice(&mut self) {
        let channels = self.settings.services.iter();
        let channels = channels.filter_map(|entry| Some((entry.core.id.clone(), entry.channel.clone()?)));
        let wanted = self.settings.slack.as_ref().map(|settings| slack::Settings {
            bot_token: settings.bot_token.value.clone(),
            api_url: settings.api_url.clone(),
            channel: settings.channel.clone(),
            channels: channels.collect(),
        });
        self.voice.slack = wanted.map(|settings| Arc::new(Slack::new(settings, Clock.now())));
        self.voice.pagers = self.settings.pages.iter().map(pager).collect();
        let groups = self.settings.groups.iter().map(|(name, group)| {
            let group = rollcall::Group {
                principals: group.principals.clone(),
                users: group.users.clone(),
                usergroups: group.usergroups.clone(),
            };
            (name.clone(), group)
        });
        self.rollcall = Arc::new(Rollcall::new(groups.collect(), self.voice.slack.clone()));
    }

    /// Who reads who belongs where, and the chat that has to be asked.
    pub(super) fn people(&self) -> (Arc<Rollcall>, Option<Arc<Slack>>) {
        (self.rollcall.clone(), self.voice.slack.clone())
    }

    /// The chat and what is configured of it.
    pub(super) fn slack(&self) -> Option<(Arc<Slack>, &config::SlackSettings)> {
        self.voice.slack.clone().zip(self.settings.slack.as_ref())
    }

    /// What proves that the chat speaks.
    pub(super) fn signing_secrets(&self) -> Vec<Secret> {
        self.settings.slack.iter().flat_map(|slack| &slack.signing_secrets).map(secret).collect()
    }

    /// The services, in the order of the file.
    pub(super) fn service_ids(&self) -> Vec<ServiceId> {
        self.settings.services.iter().map(|entry| entry.core.id.clone()).collect()
    }

    /// Makes the providers that the settings name, and keeps those that are the same as before.
    fn make_providers(&mut self) {
        let mut before = std::mem::take(&mut self.providers);
        for (name, settings) in &self.settings.providers {
            let kept =
                before.remove(name).filter(|(known, _)| known == settings).map(|(_, provider)| provider);
            let provider = kept.unwrap_or_else(|| deployers::provider(settings, &self.directory));
            self.providers.insert(name.clone(), (settings.clone(), provider));
        }
    }

    /// Makes a tally for each source that has none, and lets those go that are not configured any more.
    fn make_tallies(&mut self) {
        let mut before = std::mem::take(&mut self.tallies);
        let sources = self.settings.sources.iter().map(|source| source.name.clone());
        let names = sources.chain(self.settings.feeds.iter().map(|feed| feed.name.clone()));
        self.tallies = names.map(|name| (name.clone(), before.remove(&name).unwrap_or_default())).collect();
    }

    /// Takes new settings. Addresses, limits of the listeners and the store stay as they were at the start: gives the
    /// keys among them that say something else now.
    pub(super) fn take(&mut self, settings: Settings) -> Vec<&'static str> {
        let (was, is) = (&self.at_start, AtStart::of(&settings));
        let changed = [
            ("server.listen", was.listen != is.listen),
            ("server.admin", was.admin != is.admin),
            ("server.trusted_proxies", was.trusted_proxies != is.trusted_proxies),
            ("server.tls", was.tls != is.tls),
            ("limits", was.limits != is.limits),
            ("store", was.store != is.store),
        ];
        self.identity = identity(&settings).or(self.identity.take());
        self.settings = settings;
        self.taken_at = Clock.now();
        self.make_providers();
        self.make_tallies();
        self.make_voice();
        changed.iter().filter(|(_, changed)| *changed).map(|(key, _)| *key).collect()
    }

    /// The configuration in force, for whoever tries everything that is in it.
    pub(super) fn settings(&self) -> Arc<Settings> {
        Arc::new(self.settings.clone())
    }

    pub(super) fn digest(&self) -> Digest {
        self.settings.digest.clone()
    }

    /// Whether anything acts at all: `shadow` or `live`.
    pub(super) fn mode(&self) -> &'static str {
        self.settings.mode.word()
    }

    /// How many services there are.
    pub(super) fn count(&self) -> usize {
        self.settings.services.len()
    }

    pub(super) fn rules_digest(&self) -> Digest {
        self.settings.rules.digest()
    }

    pub(super) fn rules_text(&self) -> String {
        self.settings.rules_text.clone()
    }

    fn services(&self) -> BTreeMap<ServiceId, Arc<ServiceSettings>> {
        let entries = self.settings.services.iter();
        entries.map(|entry| (entry.core.id.clone(), Arc::new(entry.core.clone()))).collect()
    }

    pub(super) fn desk(&self) -> Arc<DeskSettings> {
        let entries = self
            .settings
            .services
            .iter()
            .map(|entry| AtlasEntry { id: entry.core.id.clone(), matchers: entry.matchers.clone() });
        let sources = self.settings.sources.iter().map(|source| {
            (
                source.name.clone(),
                SourceScope { services: source.services.clone(), table: source.map.clone() },
            )
        });
        let feeds = self.settings.feeds.iter().map(|feed| {
            let scope = SourceScope { services: feed.services.clone(), table: self.table_of(feed) };
            (feed.name.clone(), scope)
        });
        Arc::new(DeskSettings {
            services: self.services(),
            shared: Arc::new(self.settings.shared.clone()),
            rules: self.settings.rules.clone(),
            atlas: Atlas::new(entries.collect(), self.settings.labels.clone()),
            sources: sources.chain(feeds).collect(),
        })
    }

    /// A feed's own table. What CodeDeploy tells leads by itself to the service that is put out there.
    fn table_of(&self, feed: &config::FeedSettings) -> BTreeMap<String, ServiceId> {
        let of_codedeploy =
            matches!(feed.kind, config::FeedKind::CodeDeployTriggers(_) | config::FeedKind::CodeDeployEvents);
        // A group's name is its own in one region alone; two accounts there cannot be told apart, and lead nowhere.
        let mut places: BTreeMap<String, Option<ServiceId>> = BTreeMap::new();
        for entry in self.settings.services.iter().filter(|_| of_codedeploy) {
            let provider = self.settings.providers.get(&entry.provider);
            let (
                config::SiteSettings::CodeDeploy(site),
                Some(config::ProviderSettings::CodeDeploy(provider)),
            ) = (&entry.site, provider)
            else {
                continue;
            };
            let named = format!("{}/{}", site.application, site.group);
            if feed.map.contains_key(&named) {
                // Somebody says otherwise.
                continue;
            }
            let place = format!("{}/{named}", provider.region);
            let id = &entry.core.id;
            let known = places.entry(place).or_insert_with(|| Some(id.clone()));
            *known = known.take().filter(|known| known == id);
        }
        let known = places.into_iter().filter_map(|(place, service)| Some((place, service?)));
        known.chain(feed.map.clone()).collect()
    }

    /// Who does the steps of the user's own.
    fn steps(&self) -> Steps {
        let secret = |secret: &config::Secret| Some((secret.origin.to_string(), secret.value.clone()?));
        let secrets = self.settings.step_secrets.iter().filter_map(secret);
        Steps::new(secrets.collect(), Arc::new(|| Clock.now()))
    }

    pub(super) fn rim(&self) -> Arc<Rim> {
        let services = self.settings.services.iter().filter_map(|entry| {
            let (_, provider) = self.providers.get(&entry.provider)?;
            let target = Target { service: entry.core.id.clone(), site: site(&entry.site) };
            Some((entry.core.id.clone(), (provider.clone(), target)))
        });
        Arc::new(Rim {
            services: services.collect(),
            steps: Arc::new(self.steps()),
            voice: self.voice.clone(),
            lanes: self.lanes.clone(),
            rollcall: self.rollcall.clone(),
            prometheus: self.settings.sources.iter().filter_map(prometheus).collect(),
            probes: self.settings.probes.iter().map(|(name, probe)| (name.clone(), check(probe))).collect(),
            clock: Clock,
        })
    }

    pub(super) fn intake(&self) -> IntakeSettings {
        let sources = self.settings.sources.iter().filter_map(|source| {
            let settings = SourceSettings {
                kind: spoken(&source.kind),
                credential: credential(source)?,
                lag: source.lag,
                tally: self.tallies.get(&source.name).cloned().unwrap_or_default(),
            };
            Some((source.name.clone(), settings))
        });
        let feeds = self.settings.feeds.iter().filter_map(|feed| {
            let settings = SourceSettings {
                kind: told(&feed.kind),
                credential: of_feed(feed)?,
                lag: Duration::ZERO,
                tally: self.tallies.get(&feed.name).cloned().unwrap_or_default(),
            };
            Some((feed.name.clone(), settings))
        });
        let limits = &self.settings.limits;
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        IntakeSettings {
            sources: sources.collect(),
            feeds: feeds.collect(),
            slack: None,
            limits: Limits {
                connections: count(limits.connections),
                per_address: count(limits.per_address),
                trusted_proxies: self.settings.server.trusted_proxies.iter().filter_map(subnet).collect(),
                ..Limits::default()
            },
            identity: self.identity.clone(),
        }
    }

    pub(super) fn status(
        &self,
        config_error: Option<String>,
        troubles: BTreeMap<ServiceId, String>,
    ) -> Status {
        Status {
            mode: self.settings.mode,
            rules: self.settings.rules.clone(),
            config_error,
            taken_at: self.taken_at,
            sources: self.tallies.clone(),
            heartbeats: self.settings.shared.heartbeats.keys().cloned().collect(),
            services: self.services(),
            troubles,
        }
    }

    pub(super) fn access(&self) -> Access {
        let tokens = self.settings.tokens.iter().map(|token| Token {
            person: token.person.clone(),
            role: match token.role {
                config::Role::Viewer => Role::Viewer,
                config::Role::Operator => Role::Operator,
                config::Role::Admin => Role::Admin,
            },
            groups: token.groups.iter().cloned().collect(),
            secret: token.token.value.clone(),
        });
        Access {
            tokens: tokens.collect(),
            public_host: self.settings.server.public_url.as_deref().and_then(host_of_url),
        }
    }
}

fn identity(settings: &Settings) -> Option<Identity> {
    settings.server.tls.as_ref().map(|tls| Identity(Arc::clone(&tls.pair)))
}

fn pager(page: &config::PageSettings) -> (PagerName, Arc<Pager>) {
    let kind = match &page.kind {
        config::PageKind::PagerDuty { routing_key } => {
            pager::Kind::PagerDuty { routing_key: routing_key.value.clone() }
        }
        config::PageKind::Webhook { bearer_token } => {
            pager::Kind::Webhook { bearer_token: bearer_token.as_ref().and_then(|token| token.value.clone()) }
        }
    };
    (page.name.clone(), Arc::new(Pager::new(&page.name, kind, page.url.clone())))
}

fn subnet(network: &config::Network) -> Option<Subnet> {
    format!("{}/{}", network.address, network.prefix).parse().ok()
}

fn prometheus(source: &config::SourceSettings) -> Option<(SourceName, Arc<Prometheus>)> {
    let url = source.prometheus_url.clone()?;
    Some((source.name.clone(), Arc::new(Prometheus::new(url))))
}

fn check(probe: &config::ProbeSettings) -> Arc<Probe> {
    let within = |timeout: Duration| timeout.unsigned_abs();
    Arc::new(Probe::new(match &probe.check {
        config::CheckSettings::Http { url, expect_status, timeout } => {
            Check::Http(HttpCheck::new(url.clone(), *expect_status, within(*timeout)))
        }
        config::CheckSettings::Promql { url, query, expect } => {
            Check::Promql(PromqlCheck::new(url.clone(), query.clone(), *expect))
        }
        config::CheckSettings::Command { argv, folder, timeout } => {
            Check::Command(CommandCheck::new(argv.clone(), folder.clone(), within(*timeout)))
        }
    }))
}

#[cfg(test)]
mod tests;
