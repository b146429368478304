//! `[[service]]`: what is deployed and rolled back as one. Leaves to `providers` through whom, and where it lives there.

use std::collections::BTreeMap;

use super::conditions;
use super::fault::{Severity, quoted};
use super::people::Approvals;
use super::plans::{self, PlanSettings};
use super::probes::{self, Probes};
use super::providers::{Providers, SiteSettings, provider, target};
use super::read::{At, Page, Table};
use super::sources::known_service;
use super::spell;
use crate::case::id::{Duration, PolicyName, ServiceId};
use crate::case::matcher::Matcher;
use crate::case::settings::{MaxBack, Migrations, Mode, ServiceSettings, VerifyPolicy};

/// A configured service: what the core is told, and what the rooms at the rim are.
#[derive(Clone, Debug)]
pub struct ServiceEntry {
    /// What the core is told.
    pub core: ServiceSettings,
    /// The name of its provider, `[providers.NAME]`.
    pub provider: String,
    /// Where it lives there.
    pub site: SiteSettings,
    /// Its own channel in Slack.
    pub channel: Option<String>,
    /// Alertmanager matchers that name it where labels do not, all of which must hold.
    pub matchers: Vec<Matcher>,
}

/// What a service may refer to.
pub(super) struct Names<'n> {
    pub(super) mode: Mode,
    pub(super) providers: &'n Providers,
    pub(super) approvals: &'n Approvals,
    pub(super) verify: &'n BTreeMap<PolicyName, VerifyPolicy>,
    pub(super) probes: &'n Probes,
    pub(super) plans: &'n BTreeMap<String, PlanSettings>,
}

/// A service under reading: who it is, and its table.
pub(super) struct Draft<'a> {
    pub(super) id: ServiceId,
    table: Table<'a>,
}

impl Draft<'_> {
    /// Its tier.
    pub(super) fn tier(&self) -> Option<&str> {
        self.table.text("tier").map(|tier| tier.value)
    }

    /// Notes that no row can reach it.
    pub(super) fn unreached(&self) {
        self.table.page().warning(
            self.table.key_span("name"),
            format!("no row can reach {}: its signals are told at most once for a deployment", self.id),
            "add a row that names it or its tier, or one without `service` and `tier`",
        );
    }
}

/// The names of all `[[service]]` first, so that they can refer to each other.
pub(super) fn drafts<'a>(root: &Table<'a>) -> Vec<Draft<'a>> {
    let mut drafts: Vec<Draft<'a>> = Vec::new();
    for table in root.tables("service") {
        let name = table.text("name");
        let environment = table.text("environment");
        for key in ["name", "environment"] {
            if !table.has(key) {
                table.missing(key, format!("write {key} = \"…\": both make `name@environment`"));
            }
        }
        let Some((name, environment)) = name.zip(environment) else {
            table.leave_unchecked();
            continue;
        };
        let Some(id) = ServiceId::parse(&format!("{}@{}", name.value, environment.value)) else {
            table.page().fault(
                name.span,
                format!("{} in {} cannot be a service", quoted(name.value), quoted(environment.value)),
                "use letters, digits, `-`, `_`, `.` and `/` in both, at most 128 each",
            );
            table.leave_unchecked();
            continue;
        };
        if let Some(twin) = drafts.iter().find(|other| other.id == id) {
            let page = table.page();
            page.witnessed(
                Severity::Fault,
                name.span,
                format!("{id} is configured twice"),
                "keep one of them, or give one another environment",
                format!("{id} at {}", page.place(&twin.table.key_span("name"))),
            );
        }
        drafts.push(Draft { id, table });
    }
    drafts
}

/// Reads what the drafts say.
pub(super) fn services(drafts: &[Draft<'_>], names: &Names<'_>) -> Vec<ServiceEntry> {
    let ids: Vec<ServiceId> = drafts.iter().map(|draft| draft.id.clone()).collect();
    let mut sites: Vec<(String, SiteSettings, &Draft<'_>)> = Vec::new();
    let mut services = Vec::new();
    for draft in drafts {
        let entry = service(draft, names, &ids);
        if let Some(entry) = entry {
            one_site_each(draft, &entry, &mut sites);
            services.push(entry);
        }
    }
    services
}

/// Two services at one place would take each other's releases back.
fn one_site_each<'d, 'a>(
    draft: &'d Draft<'a>,
    entry: &ServiceEntry,
    sites: &mut Vec<(String, SiteSettings, &'d Draft<'a>)>,
) {
    let page = draft.table.page();
    let same = |(provider, site, _): &&(String, SiteSettings, &Draft<'_>)| match (site, &entry.site) {
        (SiteSettings::Directory(one), SiteSettings::Directory(other)) => one.root == other.root,
        (SiteSettings::CodeDeploy(one), SiteSettings::CodeDeploy(other)) => {
            *provider == entry.provider
                && (&one.application, &one.group) == (&other.application, &other.group)
        }
        (SiteSettings::Kubernetes(one), SiteSettings::Kubernetes(other)) => {
            *provider == entry.provider && one == other
        }
        (SiteSettings::Helm(one), SiteSettings::Helm(other)) => *provider == entry.provider && one == other,
        // One program or address may serve several: the question names the service.
        (SiteSettings::ArgoCd(one), SiteSettings::ArgoCd(other)) => {
            *provider == entry.provider
                && (&one.application, &one.namespace) == (&other.application, &other.namespace)
        }
        (SiteSettings::Spinnaker(one), SiteSettings::Spinnaker(other)) => {
            *provider == entry.provider && one.is_one_with(other)
        }
        (SiteSettings::GitHub(one), SiteSettings::GitHub(other)) => {
            // GitHub tells neither by the case of its letters.
            one.repository.eq_ignore_ascii_case(&other.repository)
                && one.environment.eq_ignore_ascii_case(&other.environment)
        }
        (
            SiteSettings::Directory(_)
            | SiteSettings::CodeDeploy(_)
            | SiteSettings::Kubernetes(_)
            | SiteSettings::Helm(_)
            | SiteSettings::ArgoCd(_)
            | SiteSettings::Spinnaker(_)
            | SiteSettings::GitHub(_)
            | SiteSettings::Own(_),
            _,
        ) => false,
    };
    if let Some((_, site, twin)) = sites.iter().find(same) {
        let (place, remedy) = match site {
            SiteSettings::Directory(_) => {
                ("folder", "give each service its own `root`: one link serves one release")
            }
            SiteSettings::CodeDeploy(_) => {
                ("deployment group", "give each service its own group, or keep one of them")
            }
            SiteSettings::Kubernetes(_) => ("workload", "give each service its own, or keep one of them"),
            SiteSettings::Helm(_) => ("release", "give each service its own, or keep one of them"),
            SiteSettings::ArgoCd(_) => ("application", "give each service its own, or keep one of them"),
            SiteSettings::Spinnaker(_) => {
                ("place of Spinnaker", "give each service its own pipelines, or keep one of them")
            }
            SiteSettings::GitHub(_) => {
                ("environment", "give each service its own `github_environment`, or keep one of them")
            }
            SiteSettings::Own(_) => ("place", "keep one of them"),
        };
        page.witnessed(
            Severity::Fault,
            draft.table.key_span("target"),
            format!("{} and {} live in one {place}", draft.id, twin.id),
            remedy,
            format!("{} at {}", twin.id, page.place(&twin.table.key_span("target"))),
        );
    }
    sites.push((entry.provider.clone(), entry.site.clone(), draft));
}

fn service(draft: &Draft<'_>, names: &Names<'_>, ids: &[ServiceId]) -> Option<ServiceEntry> {
    let table = &draft.table;
    let mode = table.word("mode", &[("shadow", Mode::Shadow), ("live", Mode::Live)]);
    let migrations = table.word(
        "migrations",
        &[("none", Migrations::None), ("marked", Migrations::Marked), ("unknown", Migrations::Unknown)],
    );
    let (provider, kind) = provider(table, names.providers).unzip();
    let settings = provider.as_ref().and_then(|name| names.providers.get(name)?.1.as_ref());
    let PlanSettings { before, after, .. } = plans::of_service(table, names.plans);
    let site = target(table, kind.flatten(), settings, draft.id.environment());
    let core = ServiceSettings {
        id: draft.id.clone(),
        provider: provider.clone().unwrap_or_default(),
        tier: table.text("tier").map(|tier| tier.value.to_owned()),
        mode: mode.map_or(Mode::Live, |mode| mode.value).min(names.mode),
        soak: table.some_length("soak").map_or(Duration::from_mins(30), |soak| soak.value),
        inherit_good: table.flag("inherit_good").is_some_and(|flag| flag.value),
        migrations: migrations.map_or(Migrations::Unknown, |word| word.value),
        depends_on: depends_on(draft, ids),
        with: companions(draft, ids),
        max_back: max_back(table),
        cadence: table.some_length("cadence").map(|length| length.value),
        approval: policy(table, "approval", names.approvals.keys()),
        verify: policy(table, "verify", names.verify.keys()),
        probes: probes::of_service(table, names.probes),
        before,
        after,
    };
    unbuilt(table);
    let matchers = conditions::matchers(table, "match").into_iter().map(|(_, matcher)| matcher).collect();
    let channel = table.text("channel").and_then(|channel| super::slack::channel(table, &channel));
    Some(ServiceEntry { core, provider: provider?, site: site?, channel, matchers })
}

/// Notes a name that nothing bears.
pub(super) fn unknown_name<'n>(
    page: Page<'_>,
    name: &At<&str>,
    what: &str,
    section: &str,
    known: impl Iterator<Item = &'n str>,
) {
    let known: Vec<&str> = known.collect();
    let remedy = match spell::nearest(name.value, known.iter().copied()) {
        Some(near) => format!("write \"{near}\""),
        None if known.is_empty() => format!("add [{section}.{}]", name.value),
        None => format!("add [{section}.{}], or name one of {}", name.value, super::read::listed(&known)),
    };
    page.fault(name.span.clone(), format!("no {what} is called {}", quoted(name.value)), remedy);
}

/// A policy by name; `default` where the service names none.
fn policy<'n>(
    table: &Table<'_>,
    key: &'static str,
    known: impl Iterator<Item = &'n PolicyName>,
) -> PolicyName {
    let Some(name) = table.text(key) else { return PolicyName::new("default") };
    let known: Vec<&str> = known.map(PolicyName::as_str).collect();
    if !known.contains(&name.value) {
        let section = if key == "approval" { "approvals" } else { key };
        unknown_name(table.page(), &name, "policy", section, known.into_iter());
    }
    PolicyName::new(name.value)
}

fn max_back(table: &Table<'_>) -> MaxBack {
    let mut max_back = MaxBack::default();
    let Some(inner) = table.table("max_back") else { return max_back };
    // The ledger keeps 200 releases of a service.
    if let Some(releases) = inner.whole("releases", 1..=200) {
        max_back.releases = u32::try_from(releases.value).unwrap_or(max_back.releases);
    }
    if let Some(age) = inner.some_length("age") {
        max_back.age = age.value;
    }
    max_back
}

fn depends_on(draft: &Draft<'_>, ids: &[ServiceId]) -> Vec<ServiceId> {
    let page = draft.table.page();
    let mut depends_on = Vec::new();
    for name in draft.table.texts("depends_on").map(|list| list.value).unwrap_or_default() {
        let Some(id) = known_service(page, &name, ids) else { continue };
        if id == draft.id {
            page.fault(name.span, format!("{id} depends on itself"), "take it out of `depends_on`");
        } else if !depends_on.contains(&id) {
            depends_on.push(id);
        }
    }
    if !depends_on.is_empty() {
        page.warning(
            draft.table.key_span("depends_on"),
            "suspects among the services that a service depends on are not built yet",
            "it may stay: until then only the service's own deployments are its suspects",
        );
    }
    depends_on
}

/// `with`: what goes back together with it.
fn companions(draft: &Draft<'_>, ids: &[ServiceId]) -> Vec<ServiceId> {
    let page = draft.table.page();
    let mut with = Vec::new();
    for name in draft.table.texts("with").map(|list| list.value).unwrap_or_default() {
        let Some(id) = known_service(page, &name, ids) else { continue };
        if id == draft.id {
            page.fault(name.span, format!("{id} goes back with itself"), "take it out of `with`");
        } else if with.contains(&id) {
            page.fault(name.span, format!("{id} is named twice"), "name each companion once, in order");
        } else {
            with.push(id);
        }
    }
    with
}

/// Keys of the contract that this version cannot honour.
fn unbuilt(table: &Table<'_>) {
    if let Some(drills) = table.table("drills") {
        drills.flag("allowed");
        drills.some_length("every");
        drills.flag("dry_run");
        table.page().not_built(table.key_span("drills"), "drills", "leave `drills` out");
    }
}
