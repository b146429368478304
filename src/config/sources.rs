//! `[sources.NAME]`: who may tell us that something is wrong, what proves it, and what it may speak about.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::conditions::matchers;
use super::credential::{Credential, SeenSecrets, Way, credential};
use super::fault::quoted;
use super::mapping::mapping;
use super::read::{At, Page, Table};
use super::server::public_url;
use super::sns::{SnsSettings, sns};
use super::spell;
use crate::case::heartbeat::Heartbeat;
use crate::case::id::{Duration, ServiceId, SourceName, covers};
use crate::case::mapping::Mapping;
use crate::case::matcher::Matcher;
use crate::case::settings::Mode;

/// How late an alarm tells, where nobody says better.
const LAG: Duration = Duration::from_mins(5);

/// What comes oftener is taken for the same delivery told twice.
const HEARTBEAT_MIN: Duration = Duration::from_secs(1);

/// A source of signals.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceSettings {
    /// Its name, and the last part of its route.
    pub name: SourceName,
    /// What it speaks.
    pub kind: SourceKind,
    /// What proves a delivery. `None` where that is a fault, and for SNS, which has none.
    pub credential: Option<Credential>,
    /// Patterns of the services that it may speak about and cause to be changed.
    pub services: Vec<String>,
    /// Its own table, where labels cannot say: the value of any label, to the service.
    pub map: BTreeMap<String, ServiceId>,
    /// How long its alarms take to fire, where the alert does not say.
    pub lag: Duration,
    /// The Prometheus that knows when its alerts really began.
    pub prometheus_url: Option<String>,
    /// The alert that always fires there.
    pub heartbeat: Option<Heartbeat>,
}

/// What a source speaks.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceKind {
    /// Alertmanager's webhook.
    Alertmanager,
    /// Grafana's contact point "Webhook".
    Grafana,
    /// PagerDuty's V3 webhooks.
    PagerDuty,
    /// Amazon SNS, with CloudWatch's alarms in it.
    Sns(SnsSettings),
    /// EventBridge's API destinations.
    EventBridge,
    /// Datadog's webhooks.
    Datadog,
    /// New Relic's workflow webhooks.
    NewRelic,
    /// Anybody's JSON, by a mapping.
    Generic(Arc<Mapping>),
}

/// The kinds of sources that the contract names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Alertmanager,
    Grafana,
    PagerDuty,
    Sns,
    EventBridge,
    Datadog,
    NewRelic,
    Generic,
}

const KINDS: [(&str, Kind); 8] = [
    ("alertmanager", Kind::Alertmanager),
    ("grafana", Kind::Grafana),
    ("pagerduty", Kind::PagerDuty),
    ("sns", Kind::Sns),
    ("eventbridge", Kind::EventBridge),
    ("datadog", Kind::Datadog),
    ("newrelic", Kind::NewRelic),
    ("generic", Kind::Generic),
];

/// Reads `[sources.NAME]`. `services` are the configured ones, `mode` the outer mode.
pub(super) fn sources(
    root: &Table<'_>,
    mode: Mode,
    services: &[ServiceId],
    seen: &mut SeenSecrets,
) -> Vec<SourceSettings> {
    let mut sources: Vec<SourceSettings> = Vec::new();
    for (name, table) in root.named_tables("sources") {
        source_name(table.page(), &name);
        let kind = table.word("kind", &KINDS).map(|kind| kind.value);
        if !table.has("kind") {
            table.missing("kind", "write kind = \"alertmanager\"");
        }
        let whose = format!("source {}", quoted(name.value));
        let prometheus_url = (kind == Some(Kind::Alertmanager)).then(|| prometheus_url(&table)).flatten();
        let (kind, credential) = spoken(&table, kind, seen, &whose);
        let scope = scope(&table, mode, services);
        sources.push(SourceSettings {
            name: SourceName::new(name.value),
            kind,
            credential,
            heartbeat: heartbeat(&table, &scope),
            services: scope,
            map: map(&table, services),
            lag: table.length("lag").map_or(LAG, |lag| lag.value),
            prometheus_url,
        });
    }
    sources
}

/// What the source speaks, and what it must show: the keys that differ from kind to kind.
fn spoken(
    table: &Table<'_>,
    kind: Option<Kind>,
    seen: &mut SeenSecrets,
    whose: &str,
) -> (SourceKind, Option<Credential>) {
    let mut shown = |ways: &[Way]| credential(table, ways, seen, whose);
    match kind {
        Some(Kind::Alertmanager) => (SourceKind::Alertmanager, shown(&[Way::Bearer, Way::Basic])),
        Some(Kind::Grafana) => (SourceKind::Grafana, shown(&[Way::Secrets, Way::Bearer, Way::Basic])),
        Some(Kind::PagerDuty) => (SourceKind::PagerDuty, shown(&[Way::Secrets, Way::Bearer])),
        // Its messages are signed by AWS, and no secret is shared with it.
        Some(Kind::Sns) => (SourceKind::Sns(sns(table)), None),
        Some(Kind::EventBridge) => (SourceKind::EventBridge, shown(&[Way::Bearer, Way::Basic])),
        Some(Kind::Datadog) => (SourceKind::Datadog, shown(&[Way::Bearer, Way::Basic])),
        Some(Kind::NewRelic) => (SourceKind::NewRelic, shown(&[Way::Bearer, Way::Basic])),
        Some(Kind::Generic) => {
            let credential = shown(&[Way::Bearer, Way::Basic, Way::Secrets]);
            let unnamed = matches!(&credential, Some(Credential::Signed { signature_header: None, .. }));
            if unnamed && !table.has("signature_header") {
                table.missing("signature_header", "name the header that holds the signature");
            }
            // Without a mapping there is a fault, and nothing is served.
            match mapping(table) {
                Some(mapping) => (SourceKind::Generic(Arc::new(mapping)), credential),
                None => (SourceKind::Alertmanager, credential),
            }
        }
        None => {
            table.leave_unchecked();
            (SourceKind::Alertmanager, None)
        }
    }
}

/// A name is part of a route, of log lines and of metrics; two names are ours.
pub(super) fn source_name(page: Page<'_>, name: &At<&str>) {
    let sound = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.value.is_empty() || name.value.len() > 64 || !name.value.chars().all(sound) {
        page.fault(
            name.span.clone(),
            format!("{} cannot be part of a route", quoted(name.value)),
            "name the source in letters, digits, `-` and `_`, at most 64 of them",
        );
    }
    if [SourceName::probe(), SourceName::provider()].iter().any(|own| own.as_str() == name.value) {
        page.fault(
            name.span.clone(),
            format!("{} is the name of our own source", quoted(name.value)),
            "give the source another name",
        );
    }
}

/// `heartbeat`: the alert by which the silence of the source is told from quiet.
fn heartbeat(table: &Table<'_>, services: &[String]) -> Option<Heartbeat> {
    let inner = table.table("heartbeat")?;
    let matchers: Vec<Matcher> = matchers(&inner, "match").into_iter().map(|(_, matcher)| matcher).collect();
    if matchers.is_empty() && inner.texts("match").is_none_or(|list| list.value.is_empty()) {
        // Without a condition every alert would be one, and no trouble would be heard.
        inner.missing("match", "write match = ['alertname=\"Watchdog\"']");
    }
    let every = inner.some_length("every");
    if !inner.has("every") {
        inner.missing("every", "write every = \"5m\", as often as its sender repeats it");
    }
    let every = every?;
    if every.value < HEARTBEAT_MIN {
        let fault = format!("a heartbeat every {:#} is more than a sender keeps up with", every.value);
        inner.page().fault(every.span, fault, format!("write {HEARTBEAT_MIN:#} or more"));
    }
    (!matchers.is_empty()).then(|| Heartbeat { matchers, every: every.value, services: services.to_vec() })
}

/// `prometheus_url`: who knows each alert's `activeAt`.
fn prometheus_url(table: &Table<'_>) -> Option<String> {
    let url = table.text("prometheus_url")?;
    public_url(table.page(), &url)
}

/// `services`: what the source may speak about. Everything at once is not allowed where Snapback acts.
fn scope(table: &Table<'_>, mode: Mode, services: &[ServiceId]) -> Vec<String> {
    if !table.has("services") {
        table.missing("services", "write services = [\"*@ENVIRONMENT\"], or name them one by one");
        return Vec::new();
    }
    let Some(patterns) = table.texts("services") else { return Vec::new() };
    for pattern in patterns.value.iter().filter(|pattern| is_everything(pattern.value) && mode == Mode::Live)
    {
        table.page().fault(
            pattern.span.clone(),
            "a source may speak about everything, in mode live",
            "name the environment, such as \"*@production\", or use mode = \"shadow\"",
        );
    }
    scope_of(table, services)
}

/// `*`, `*@*` and their like.
fn is_everything(pattern: &str) -> bool {
    let environment = pattern.split_once('@').map_or("*", |(_, environment)| environment);
    environment.chars().all(|c| c == '*') && pattern.starts_with('*')
}

/// The patterns of `services`, each checked.
pub(super) fn scope_of(table: &Table<'_>, services: &[ServiceId]) -> Vec<String> {
    let Some(patterns) = table.texts("services") else { return Vec::new() };
    let page = table.page();
    if patterns.value.is_empty() {
        page.fault(patterns.span.clone(), "it may speak about nothing", "name services, or leave it out");
    }
    for pattern in patterns.value.iter().filter(|pattern| !is_everything(pattern.value)) {
        known_pattern(page, pattern, services);
    }
    patterns.value.iter().map(|pattern| pattern.value.to_owned()).collect()
}

/// Checks that a pattern such as `*@production` has the form of a service and covers one that is configured.
pub(super) fn known_pattern(page: Page<'_>, pattern: &At<&str>, services: &[ServiceId]) {
    let stand_in = pattern.value.replace('*', "x");
    if ServiceId::parse(&stand_in).is_none() {
        page.fault(
            pattern.span.clone(),
            format!("{} names no service", quoted(pattern.value)),
            "write \"NAME@ENVIRONMENT\"; `*` stands for any run of characters",
        );
        return;
    }
    if services.iter().any(|service| covers(pattern.value, service.as_str())) {
        return;
    }
    if pattern.value.contains('*') {
        page.warning(
            pattern.span.clone(),
            format!("{} covers no configured service", quoted(pattern.value)),
            "add the [[service]], or take the pattern out",
        );
    } else {
        unknown_service(page, pattern, services);
    }
}

/// Checks that a service is configured.
pub(super) fn known_service(page: Page<'_>, name: &At<&str>, services: &[ServiceId]) -> Option<ServiceId> {
    let found = services.iter().find(|service| service.as_str() == name.value).cloned();
    if found.is_none() {
        unknown_service(page, name, services);
    }
    found
}

fn unknown_service(page: Page<'_>, name: &At<&str>, services: &[ServiceId]) {
    let remedy = match spell::nearest(name.value, services.iter().map(ServiceId::as_str)) {
        Some(near) => format!("write \"{near}\""),
        None => "add its [[service]], or name one that is configured as \"NAME@ENVIRONMENT\"".into(),
    };
    page.fault(name.span.clone(), format!("no service is called {}", quoted(name.value)), remedy);
}

/// `map`: the source's own table.
pub(super) fn map(table: &Table<'_>, services: &[ServiceId]) -> BTreeMap<String, ServiceId> {
    let Some(inner) = table.table("map") else { return BTreeMap::new() };
    let mut map = BTreeMap::new();
    for (from, item) in inner.open_entries() {
        let Some(to) = inner.text_of(from.value, item) else { continue };
        if let Some(service) = known_service(inner.page(), &to, services) {
            map.insert(from.value.to_owned(), service);
        }
    }
    map
}
