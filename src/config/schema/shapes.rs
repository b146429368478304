//! The shape of `snapback.toml`.
#![expect(dead_code, reason = "the shapes are only described, never filled")]

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::later::{Evidence, Plan, Probe};
use super::pages::Page;
use super::policies::{Approval, Group, Guards, Times, Verify};
use super::services::{Feed, Provider, Service, Source};
use super::slack::Slack;

/// Configuration of Snapback. Unknown keys are faults.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Config {
    /// Whether anything acts at all; also for a service and a row, the strictest wins. Default shadow.
    mode: Option<Mode>,
    /// The rule files beside this one, in order. Default rules.toml.
    rules: Option<OneOrMany<String>>,
    /// Where the server listens.
    server: Option<Server>,
    /// Principals: who may speak to the admin routes.
    tokens: Option<BTreeMap<String, Token>>,
    /// How much a listener bears.
    limits: Option<Limits>,
    /// What is kept, and where.
    store: Option<Store>,
    /// Which labels of an alert name its service; the first that is there counts.
    labels: Option<Labels>,
    /// Where cases are told beside the log.
    slack: Option<Slack>,
    /// Waking people. Not built yet.
    pages: Option<BTreeMap<String, Page>>,
    /// Groups of people.
    groups: Option<BTreeMap<String, Group>>,
    /// Who may say yes. `default` serves where nothing else is named.
    approvals: Option<BTreeMap<String, Approval>>,
    /// How recovery is judged. `default` serves where nothing else is named.
    verify: Option<BTreeMap<String, Verify>>,
    /// Named times of the week, as in Alertmanager's time intervals.
    times: Option<BTreeMap<String, Times>>,
    /// The limits of the guards.
    guards: Option<Guards>,
    /// Who may tell that something is wrong.
    sources: Option<BTreeMap<String, Source>>,
    /// Deployment notices. Not built yet.
    feeds: Option<BTreeMap<String, Feed>>,
    /// Whoever puts releases on services.
    providers: Option<BTreeMap<String, Provider>>,
    /// What is deployed and rolled back as one.
    service: Option<Vec<Service>>,
    /// Our own checks. Not built yet.
    probes: Option<BTreeMap<String, Probe>>,
    /// Steps of one's own. Not built yet.
    plans: Option<BTreeMap<String, Plan>>,
    /// Evidence. Not built yet.
    evidence: Option<Evidence>,
}

/// A length of time: whole numbers with units, largest first, such as `30s`, `10m`, `2h`, `90d`, `1h30m`.
#[derive(JsonSchema)]
pub(super) struct Length(
    #[schemars(regex(pattern = r"^(?:\d+d)?(?:\d+h)?(?:\d+m)?(?:\d+s)?(?:\d+ms)?$"), length(min = 2))] String,
);

/// One, or a list.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

/// A secret: never a literal.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Secret {
    Variable(SecretVariable),
    File(SecretFile),
}

/// A secret in a variable of the environment.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct SecretVariable {
    /// The variable.
    env: String,
}

/// A secret in a file.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct SecretFile {
    /// The file; a relative path lies beside the configuration.
    file: String,
}

/// Whether Snapback may act.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub(super) enum Mode {
    Shadow,
    Live,
}

/// Where the server listens.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Server {
    /// For senders: an address and a port. Default 127.0.0.1:8080.
    listen: Option<String>,
    /// For people and their tools. Default 127.0.0.1:8081.
    admin: Option<String>,
    /// What links begin with.
    public_url: Option<String>,
    /// Blocks of addresses that stand for many senders.
    trusted_proxies: Option<Vec<String>>,
    /// `behind-proxy`: listens off loopback without TLS, because a proxy in front ends it.
    plain_http: Option<PlainHttp>,
    /// TLS on `listen`; both files are read again when they change.
    tls: Option<Tls>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum PlainHttp {
    BehindProxy,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Tls {
    /// The file with the certificate chain, PEM, the server's own certificate first.
    certificate: String,
    /// The file with the private key, PEM, without a password.
    key: String,
}

/// A principal.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Token {
    /// What proves it.
    token: Secret,
    /// What it may do.
    role: Role,
    /// The groups that it belongs to.
    groups: Option<Vec<String>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Role {
    Viewer,
    Operator,
    Admin,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Limits {
    /// Connections at a time. Default 2000.
    #[schemars(range(min = 1, max = 60000))]
    connections: Option<u32>,
    /// Connections at a time from one address. Default 64.
    #[schemars(range(min = 1, max = 60000))]
    per_address: Option<u32>,
    /// More dead letters within an hour wake people, by pages whose `on` names dead_letters. Default 20.
    #[schemars(range(min = 1, max = 1000))]
    dead_letters: Option<u32>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Store {
    /// `sqlite:PATH`. Default sqlite:data/snapback.db.
    url: Option<String>,
    /// How long things are kept; the audit is kept for ever.
    keep: Option<Keep>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Keep {
    /// Deliveries that were decided. Default 90d.
    deliveries: Option<Length>,
    /// Not built yet.
    evidence: Option<Length>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Labels {
    /// Labels that hold a service's name.
    service: Option<OneOrMany<String>>,
    /// Labels that hold its environment.
    environment: Option<OneOrMany<String>>,
    /// Labels that hold its region, a part of the environment.
    region: Option<OneOrMany<String>>,
}
