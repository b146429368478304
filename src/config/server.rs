//! `[server]`, `[tokens.NAME]`, `[limits]`, `[store]` and `[labels]`: where the server listens and stores, who may
//! speak to it, and which labels name a service.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::fault::quoted;
use super::read::{At, Page, Table};
use super::secret::{Secret, secret};
use super::tls::{TlsSettings, tls};
use crate::case::id::{Duration, GroupName, PersonId};
use crate::case::map::Equivalents;

/// `[server]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerSettings {
    /// Where senders are heard.
    pub listen: SocketAddr,
    /// Where people and their tools are answered.
    pub admin: SocketAddr,
    /// What links begin with, without a slash at the end.
    pub public_url: Option<String>,
    /// Whose word on the true sender is taken, and who is exempt from the limit for each address.
    pub trusted_proxies: Vec<Network>,
    /// What senders are shown over TLS; without it the public listener speaks plain HTTP.
    pub tls: Option<TlsSettings>,
}

/// A block of addresses, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its first address, or any address in it.
    pub address: IpAddr,
    /// How many leading bits are common to the block.
    pub prefix: u8,
}

/// `[tokens.NAME]`: a principal.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenSettings {
    /// Who it is: `token:NAME`.
    pub person: PersonId,
    /// What proves it.
    pub token: Secret,
    /// What it may do.
    pub role: Role,
    /// The groups that it belongs to.
    pub groups: Vec<GroupName>,
}

/// What a principal may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Read.
    Viewer,
    /// Read, and act on cases and services.
    Operator,
    /// All of it, and pause and resume everything.
    Admin,
}

/// `[limits]`. The numbers are the failure model's (§6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Connections at a time.
    pub connections: u32,
    /// Connections at a time from one address; trusted proxies are exempt.
    pub per_address: u32,
    /// More dead letters within an hour wake people.
    pub dead_letters: u32,
}

/// `[store]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// The SQLite file.
    pub path: PathBuf,
    /// How long deliveries are kept after they were decided.
    pub keep_deliveries: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        ServerSettings {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin: SocketAddr::from(([127, 0, 0, 1], 8081)),
            public_url: None,
            trusted_proxies: Vec::new(),
            tls: None,
        }
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        LimitSettings { connections: 2000, per_address: 64, dead_letters: 20 }
    }
}

/// What to write where senders would be heard in plain HTTP from other machines.
const LISTEN_REMEDY: &str = "write tls = { certificate = \"FILE\", key = \"FILE\" }, or listen on 127.0.0.1, or write \
    plain_http = \"behind-proxy\" where a proxy in front ends TLS";
/// The same for the admin routes, which speak no TLS of their own.
const ADMIN_REMEDY: &str = "listen on 127.0.0.1, or write plain_http = \"behind-proxy\" where a proxy in front ends TLS; \
    `tls` is for `listen` alone";

/// Reads `[server]`.
pub(super) fn server(root: &Table<'_>) -> ServerSettings {
    let mut settings = ServerSettings::default();
    let Some(table) = root.table("server") else { return settings };
    let page = table.page();
    let behind_proxy = table.word("plain_http", &[("behind-proxy", ())]).is_some();
    settings.tls = tls(&table);
    let slots = [
        ("listen", &mut settings.listen, table.has("tls"), LISTEN_REMEDY),
        ("admin", &mut settings.admin, false, ADMIN_REMEDY),
    ];
    for (key, slot, secured, remedy) in slots {
        let Some(address) = address(&table, key) else { continue };
        if !address.value.ip().is_loopback() && !behind_proxy && !secured {
            page.fault(address.span, format!("`{key}` is off loopback and without TLS"), remedy);
        }
        *slot = address.value;
    }
    if settings.listen == settings.admin && settings.admin.port() != 0 {
        page.fault(
            table.key_span("admin"),
            "`listen` and `admin` are one address",
            "give each its own port: what senders reach must not reach the admin routes",
        );
    }
    settings.public_url = table.text("public_url").and_then(|url| public_url(page, &url));
    settings.trusted_proxies = networks(&table);
    settings
}

pub(super) fn address(table: &Table<'_>, key: &'static str) -> Option<At<SocketAddr>> {
    let text = table.text(key)?;
    match text.value.parse() {
        Ok(value) => Some(At { value, span: text.span }),
        Err(_) => {
            table.page().fault(
                text.span,
                format!("{} is no address to listen on", quoted(text.value)),
                "write an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"",
            );
            None
        }
    }
}

/// Checks a URL as far as links and calls need: scheme, host, no blanks, no user.
pub(super) fn public_url(page: Page<'_>, url: &At<&str>) -> Option<String> {
    let rest = ["https://", "http://"].iter().find_map(|scheme| url.value.strip_prefix(scheme));
    let host = rest.and_then(|rest| rest.split(['/', '\\', '?', '#']).next());
    let sound = host.is_some_and(|host| !host.is_empty() && !host.contains('@'))
        && !url.value.chars().any(|c| c.is_whitespace() || c.is_control())
        && reqwest::Url::parse(url.value).is_ok();
    if sound {
        return Some(url.value.trim_end_matches('/').to_owned());
    }
    let remedy = "write it like \"https://snapback.example.com\", without a user or a password in it";
    if url.value.contains('@') {
        // What stands before it may be a password.
        page.findings.mask(page.file, url.span.clone());
        page.fault(url.span.clone(), "this is no URL, or one with a user or a password in it", remedy);
    } else {
        page.fault(url.span.clone(), format!("{} is no URL", quoted(url.value)), remedy);
    }
    None
}

fn networks(table: &Table<'_>) -> Vec<Network> {
    let Some(list) = table.texts("trusted_proxies") else { return Vec::new() };
    let mut networks = Vec::new();
    for text in list.value {
        match network(text.value) {
            Some(network) => networks.push(network),
            None => table.page().fault(
                text.span,
                format!("{} is no block of addresses", quoted(text.value)),
                "write it like \"10.0.0.0/8\", or one address",
            ),
        }
    }
    networks
}

fn network(text: &str) -> Option<Network> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
    let address: IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.map_or(Some(bits), |prefix| prefix.parse().ok())?;
    (prefix <= bits).then_some(Network { address, prefix })
}

/// Reads `[tokens.NAME]`. Two principals with one secret cannot be told apart.
pub(super) fn tokens(root: &Table<'_>) -> Vec<TokenSettings> {
    let roles = [("viewer", Role::Viewer), ("operator", Role::Operator), ("admin", Role::Admin)];
    let mut tokens: Vec<TokenSettings> = Vec::new();
    for (name, table) in root.named_tables("tokens") {
        let page = table.page();
        let token = secret(&table, "token");
        let role = table.word("role", &roles);
        let groups = table.texts("groups").map(|groups| groups.value).unwrap_or_default();
        if !table.has("token") {
            table.missing("token", "write token = { env = \"NAME\" } or { file = \"PATH\" }");
        }
        if !table.has("role") {
            table.missing("role", "write role = \"viewer\", \"operator\" or \"admin\"");
        }
        let (Some(token), Some(role)) = (token, role) else { continue };
        if let Some(twin) = tokens.iter().find(|other| other.token.is_same(&token.value)) {
            page.fault(
                token.span.clone(),
                format!("this secret is that of {} too", twin.person),
                "give each principal its own: one secret cannot say who acts",
            );
        }
        tokens.push(TokenSettings {
            person: PersonId::new(format!("token:{}", name.value)),
            token: token.value,
            role: role.value,
            groups: groups.iter().filter_map(|group| super::people::group_name(page, group)).collect(),
        });
    }
    tokens
}

/// Reads `[limits]`.
pub(super) fn limits(root: &Table<'_>) -> LimitSettings {
    let mut settings = LimitSettings::default();
    let Some(table) = root.table("limits") else { return settings };
    // More connections than this need more file descriptors than a process is commonly given.
    for (key, slot) in
        [("connections", &mut settings.connections), ("per_address", &mut settings.per_address)]
    {
        if let Some(number) = table.whole(key, 1..=60_000) {
            *slot = u32::try_from(number.value).unwrap_or(u32::MAX);
        }
    }
    if let Some(number) = table.whole("dead_letters", 1..=1000) {
        settings.dead_letters = u32::try_from(number.value).unwrap_or(u32::MAX);
    }
    if settings.per_address > settings.connections {
        table.page().warning(
            table.key_span("per_address"),
            "`per_address` is above `connections`: it limits nobody",
            "write it below `connections`",
        );
    }
    settings
}

/// Reads `[store]`.
pub(super) fn store(root: &Table<'_>) -> StoreSettings {
    let page = root.page();
    let mut settings =
        StoreSettings { path: page.path("data/snapback.db"), keep_deliveries: Duration::from_hours(90 * 24) };
    let Some(table) = root.table("store") else { return settings };
    if let Some(url) = table.text("url") {
        if let Some(path) = url.value.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
            if path == ":memory:" || path.contains(['?', '%', '#']) {
                let message = format!("{} is no plain path of a file", quoted(path));
                page.fault(
                    url.span,
                    message,
                    "write url = \"sqlite:data/snapback.db\": a path, without options",
                );
                return settings;
            }
            settings.path = page.path(path);
        } else if url.value.starts_with("postgres://") || url.value.starts_with("postgresql://") {
            // A connection string may carry its password.
            page.findings.mask(page.file, url.span.clone());
            page.not_built(url.span, "a store on PostgreSQL", "write url = \"sqlite:data/snapback.db\"");
        } else {
            page.findings.mask(page.file, url.span.clone());
            page.fault(url.span, "`url` names no store", "write url = \"sqlite:data/snapback.db\"");
        }
    }
    if let Some(keep) = table.table("keep") {
        if let Some(length) = keep.some_length("deliveries") {
            settings.keep_deliveries = length.value;
        }
        if keep.length("evidence").is_some() {
            page.not_built(keep.key_span("evidence"), "evidence", "leave `evidence` out of `keep`");
        }
    }
    settings
}

/// Reads `[labels]`.
pub(super) fn labels(root: &Table<'_>) -> Equivalents {
    let mut settings = Equivalents::default();
    let Some(table) = root.table("labels") else { return settings };
    let slots = [
        ("service", &mut settings.service),
        ("environment", &mut settings.environment),
        ("region", &mut settings.region),
    ];
    for (key, slot) in slots {
        let Some(names) = table.text_or_texts(key) else { continue };
        for name in &names.value {
            if name.value.is_empty() {
                table.page().fault(name.span.clone(), "a label without a name", "write the label's name");
            }
        }
        *slot = names.value.iter().map(|name| name.value.to_owned()).collect();
    }
    settings
}
