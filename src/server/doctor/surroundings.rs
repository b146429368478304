//! What lies below Snapback: the store's disk, the certificate that it shows, and whether what it needs sits behind what it guards.

use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use crate::admin::shapes::CheckShape;
use crate::clock::Clock;
use crate::config::{CheckSettings, PageKind, ProviderSettings, Settings};

/// A certificate that ends sooner is spoken of: there is time to renew it.
const ENDS_SOON_DAYS: i64 = 14;
/// `statfs(2)`: TMPFS_MAGIC and RAMFS_MAGIC. What lies there is gone after a power cut, whatever is synced.
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// Whether to sync means anything where the store lies.
pub(in crate::server) async fn store(settings: &Settings) -> Vec<CheckShape> {
    let path = settings.store.path.clone();
    let name = path.display().to_string();
    let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
    let synced = tokio::task::spawn_blocking(move || synced(&folder)).await;
    vec![match synced {
        Ok(Ok(())) => CheckShape::well("store", name, "what is written beside it reaches a disk"),
        Ok(Err(why)) => {
            CheckShape::ill("store", name, why, "keep it on a local disk that outlives this machine's power")
        }
        Err(error) => CheckShape::ill("store", name, error.to_string(), "see the log of the server"),
    }]
}

fn synced(folder: &Path) -> Result<(), String> {
    let said = |doing: &str| {
        let doing = doing.to_owned();
        move |error: std::io::Error| format!("{doing}: {error}")
    };
    let stat = rustix::fs::statfs(folder).map_err(|error| said("look at its file system")(error.into()))?;
    #[expect(clippy::useless_conversion, reason = "the number is narrower on other systems")]
    if IN_MEMORY.contains(&i64::from(stat.f_type)) {
        return Err("it lies in memory: to sync there means nothing, and a power cut takes it".to_owned());
    }
    let path = folder.join(".snapback-doctor");
    let written = std::fs::File::create(&path).and_then(|mut file| {
        file.write_all(b"doctor")?;
        file.sync_all()
    });
    let removed = std::fs::remove_file(&path);
    written.and(removed).map_err(said("write and sync a file beside it"))
}

/// The certificate that senders are shown.
pub(in crate::server) fn certificate(settings: &Settings) -> Vec<CheckShape> {
    let Some(tls) = &settings.server.tls else { return Vec::new() };
    let name = tls.certificate.display().to_string();
    let parsed = tls.pair.cert.first().and_then(|own| x509_parser::parse_x509_certificate(own).ok());
    let Some((_, own)) = parsed else {
        return vec![CheckShape::ill("certificate", name, "it cannot be read", "see docs/tls.md")];
    };
    let now = Clock.now().as_second();
    let begins = own.validity().not_before.timestamp();
    let left = (own.validity().not_after.timestamp() - now).div_euclid(24 * 3600);
    let mut found = vec![if begins > now {
        let begins = jiff::Timestamp::from_second(begins).map_or("later".to_owned(), |at| at.to_string());
        let cause = format!("it does not hold before {begins}: no sender trusts it yet");
        CheckShape::ill(
            "certificate",
            name.clone(),
            cause,
            "see this machine's clock, or renew it: docs/tls.md",
        )
    } else if left < 0 {
        CheckShape::ill("certificate", name, "it has ended: no sender trusts it", "renew it: docs/tls.md")
    } else if left < ENDS_SOON_DAYS {
        CheckShape::ill("certificate", name, format!("it ends in {left} days"), "renew it: docs/tls.md")
    } else {
        CheckShape::well("certificate", name, format!("it holds for {left} days"))
    }];
    found.extend(settings.server.public_url.as_deref().and_then(host).map(|host| named(&own, host)));
    found
}

/// Whether the certificate names the host by which others are told to call this server.
fn named(own: &X509Certificate<'_>, host: String) -> CheckShape {
    let names = own.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let mut known = Vec::new();
    for name in names {
        #[expect(clippy::wildcard_enum_match_arm, reason = "no sender looks at the other kinds of names")]
        match name {
            GeneralName::DNSName(name) => known.push((*name).to_lowercase()),
            GeneralName::IPAddress(bytes) => known.extend(address(bytes)),
            _ => {}
        }
    }
    if known.iter().any(|name| is_for(name, &host)) {
        return CheckShape::well("certificate", host, "it names the host of server.public_url");
    }
    let cause = format!(
        "it does not name the host of server.public_url, but {}: who calls that host here refuses it",
        if known.is_empty() { "nobody".to_owned() } else { known.join(", ") }
    );
    let next = "let it be issued for that name too; well so where a proxy before this server shows another one: docs/tls.md";
    CheckShape::note("certificate", host, cause, next)
}

/// RFC 6125 §6.4.3: a star stands for the whole first part of a name, and for that alone.
fn is_for(name: &str, host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    name == host
        || name
            .strip_prefix("*.")
            .zip(host.split_once('.'))
            .is_some_and(|(name, (first, host))| !first.is_empty() && name == host)
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    let address = four.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from));
    address.map(|address| address.to_string())
}

/// Whether what a rollback needs sits behind a service that it would roll back: then neither comes back.
pub(in crate::server) fn circles(settings: &Settings) -> Vec<CheckShape> {
    let mut needed: Vec<(String, &str)> = Vec::new();
    for (name, provider) in &settings.providers {
        let url = match provider {
            ProviderSettings::CodeDeploy(of) => of.endpoint_url.as_deref(),
            ProviderSettings::Kubernetes(of) => of.server.as_deref(),
            ProviderSettings::Helm(of) => of.server.as_deref(),
            ProviderSettings::ArgoCd(of) => Some(of.url.as_str()),
            ProviderSettings::Spinnaker(of) => Some(of.url.as_str()),
            ProviderSettings::GitHub(of) => Some(of.url.as_str()),
            ProviderSettings::Directory | ProviderSettings::Own(_) => None,
        };
        needed.extend(url.map(|url| (format!("provider {name}"), url)));
    }
    needed.extend(settings.slack.iter().map(|slack| ("slack".to_owned(), slack.api_url.as_str())));
    for page in &settings.pages {
        if matches!(page.kind, PageKind::PagerDuty { .. } | PageKind::Webhook { .. }) {
            needed.push((format!("pages {}", page.name), page.url.as_str()));
        }
    }
    let prometheus = settings.sources.iter().filter_map(|source| {
        Some((format!("prometheus_url of {}", source.name), source.prometheus_url.as_deref()?))
    });
    needed.extend(prometheus);
    let mut found = Vec::new();
    for (what, url) in &needed {
        let Some(host) = host(url) else { continue };
        let behind =
            settings.services.iter().find(|entry| guards(settings, entry.core.id.name(), &entry.core, &host));
        found.extend(behind.map(|entry| {
            CheckShape::ill(
                "circle",
                what.clone(),
                format!(
                    "{host} is what {} serves: while it is broken, it cannot help to roll it back",
                    entry.core.id
                ),
                "let what Snapback needs live elsewhere, or roll this service back by hand",
            )
        }));
    }
    if found.is_empty() {
        found.push(CheckShape::well(
            "circle",
            "none",
            "nothing that Snapback needs is what it guards, by name",
        ));
    }
    found
}

/// Whether this host is served by the service: it is called so, or a probe of the service looks there.
fn guards(
    settings: &Settings,
    name: &str,
    of: &crate::case::settings::ServiceSettings,
    needed: &str,
) -> bool {
    let probes = of.probes.iter().filter_map(|policy| settings.probes.get(&policy.name));
    let mut hosts = probes.filter_map(|probe| match &probe.check {
        CheckSettings::Http { url, .. } => host(url),
        CheckSettings::Promql { .. } | CheckSettings::Command { .. } => None,
    });
    let called_so = needed.split('.').next() == Some(name) && !is_a_vendors(needed);
    called_so || hosts.any(|host| host == needed && !is_this_machine(&host))
}

/// Hosts of those who run chats, pagers and clouds for everybody: `slack.com` is no service of ours that is called slack.
const VENDORS: [&str; 6] =
    ["slack.com", "pagerduty.com", "amazonaws.com", "amazonaws.com.cn", "github.com", "ghe.com"];

fn is_a_vendors(host: &str) -> bool {
    VENDORS.iter().any(|vendor| {
        host.strip_suffix(vendor).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    })
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn host(url: &str) -> Option<String> {
    reqwest::Url::parse(url).ok()?.host_str().map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::shapes::CheckOutcome;
    use crate::config::load_with;

    /// The circles of the shipped example with this beside it.
    fn found(more: &str, probes: &str) -> Vec<CheckShape> {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!(
            "mode = \"shadow\"\nrules = \"rules.toml\"\n[store]\nurl = \"sqlite:s.db\"\n{more}\n[providers.hosts]\nkind = \"directory\"\n\
             [[service]]\nname = \"chat\"\nenvironment = \"production\"\nprovider = \"hosts\"\ntarget = {{ root = \"/srv\" }}\n{probes}\n"
        );
        std::fs::write(folder.path().join("rules.toml"), "").expect("the rules");
        let path = folder.path().join("snapback.toml");
        std::fs::write(&path, text).expect("the configuration");
        let loaded = load_with(&path, &|_| Some("secret".into()));
        circles(&loaded.settings.unwrap_or_else(|| panic!("{:?}", loaded.faults)))
    }

    /// Which names a certificate is good for, as senders read them.
    #[test]
    fn a_star_stands_for_one_part_of_a_name() {
        for (name, host, good) in [
            ("snapback.example.com", "snapback.example.com", true),
            ("*.example.com", "snapback.example.com", true),
            ("*.example.com", "a.snapback.example.com", false),
            ("*.example.com", "example.com", false),
            ("example.com", "snapback.example.com", false),
            ("::1", "[::1]", true),
        ] {
            assert_eq!(is_for(name, host), good, "{name} {host}");
        }
    }

    /// What the world calls so is no service of ours.
    #[test]
    fn a_vendors_host_is_no_service_of_that_name() {
        for (host, vendors) in [
            ("slack.com", true),
            ("events.pagerduty.com", true),
            ("events.eu.pagerduty.com", true),
            ("codedeploy.eu-west-1.amazonaws.com", true),
            ("events.example.com", false),
            ("notslack.com", false),
        ] {
            assert_eq!(is_a_vendors(host), vendors, "{host}");
        }
        let slack = "[slack]\nbot_token = { env = \"T\" }\nsigning_secret = { env = \"S\" }\nchannel = \"C1\"\n\
             [pages.night]\nrouting_key = { env = \"K\" }\n\
             [[service]]\nname = \"slack\"\nenvironment = \"production\"\nprovider = \"hosts\"\ntarget = { root = \"/one\" }\n\
             [[service]]\nname = \"events\"\nenvironment = \"production\"\nprovider = \"hosts\"\ntarget = { root = \"/two\" }\n";
        let found = found(slack, "");
        assert!(found.iter().all(|check| check.outcome == CheckOutcome::Well), "{found:?}");
    }

    #[test]
    fn what_a_rollback_needs_may_not_sit_behind_what_is_rolled_back() {
        let slack = |url: &str| {
            format!(
                "[slack]\nbot_token = {{ env = \"T\" }}\nsigning_secret = {{ env = \"S\" }}\nchannel = \"C1\"\napi_url = \"{url}\""
            )
        };
        let pages = "[pages.night]\nkind = \"webhook\"\nurl = \"https://wake.example.com/up\"";
        let probe = "probes = [\"up\"]\n[probes.up]\nhttp = { url = \"https://wake.example.com/health\" }";
        for (what, more, probes, named) in [
            (
                "it is called as the service",
                slack("https://chat.example.com/api"),
                "",
                Some("chat.example.com"),
            ),
            ("a probe looks there", pages.to_owned(), probe, Some("wake.example.com")),
            ("another host", slack("https://slack.com/api"), probe, None),
            ("nothing is needed", String::new(), probe, None),
        ] {
            let found = found(&more, probes);
            let ill: Vec<&CheckShape> =
                found.iter().filter(|check| check.outcome == CheckOutcome::Ill).collect();
            match named {
                Some(host) => assert!(ill.len() == 1 && ill[0].cause.contains(host), "{what}: {found:?}"),
                None => assert!(ill.is_empty(), "{what}: {found:?}"),
            }
        }
    }
}
