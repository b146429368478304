//! Configuration: the only reader of files and variables. Finds every fault at once, each with its place and what to
//! write instead; hands each room its own small settings; tells when the files change. Leaves to the rooms what their
//! settings do.
//!
//! The reading never stops at the first fault: each file is parsed into a document that remembers where everything
//! stands, and a cursor walks over it and notes what is wrong (`read`). Keys of the contract that this version does
//! not honour are faults too (`later`): nothing is silently ignored.

mod argocd;
mod compile;
mod conditions;
mod credential;
mod fault;
mod feeds;
mod github;
mod guards;
mod helm;
mod kubernetes;
mod later;
mod listener;
mod mapping;
mod own;
mod pages;
mod people;
mod plans;
mod probes;
mod providers;
mod quote;
mod read;
mod render;
mod rules;
mod schema;
mod secret;
mod server;
mod services;
mod slack;
mod sns;
mod sources;
mod spell;
mod spinnaker;
mod times;
mod tls;
mod watch;

pub use crate::case::length::{LengthFault, parse as length};
pub use argocd::{ArgoCdSettings, ArgoCdSite};
pub use credential::Credential;
pub use fault::{Fault, Severity, SourceText};
pub use feeds::{FeedKind, FeedSettings};
pub use github::{GitHubSettings, GitHubSite, GitHubWho};
pub use helm::{HelmDriver, HelmSettings, HelmSite};
pub use kubernetes::{KubernetesSettings, KubernetesSite, WorkloadKind};
pub use listener::{Listener, ListenerUnknown, listener};
pub use own::{OwnSettings, OwnSite, OwnWay};
pub use pages::{PageKind, PageSettings};
pub use people::GroupSettings;
pub use plans::PlanSettings;
pub use probes::{CheckSettings, ProbeSettings};
pub use providers::{CodeDeploySettings, CodeDeploySite, DirectorySite, ProviderSettings, SiteSettings};
pub use render::{Style, json, render};
pub use schema::{SchemaOf, schema};
pub use secret::{Secret, SecretOrigin};
pub use server::{LimitSettings, Network, Role, ServerSettings, StoreSettings, TokenSettings};
pub use services::ServiceEntry;
pub use slack::SlackSettings;
pub use sns::SnsSettings;
pub use sources::{SourceKind, SourceSettings};
pub use spinnaker::{GateIdentity, GateWay, SpinnakerSettings, SpinnakerSite};
pub use tls::TlsSettings;
pub use watch::{Watch, WatchError};

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use crate::case::digest::Canon;
use crate::case::id::{Digest, GroupName, ProbeName, ServiceId};
use crate::case::map::Equivalents;
use crate::case::pager::Pagers;
use crate::case::rules::RuleTable;
use crate::case::settings::{Mode, SharedSettings};
use fault::Findings;
use read::{Page, Table};

/// No file of a configuration is larger: 50,000 rows fit.
const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// What the files say, checked and taken apart for the rooms.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether anything acts at all.
    pub mode: Mode,
    /// Where the server listens.
    pub server: ServerSettings,
    /// Who may speak to its admin routes.
    pub tokens: Vec<TokenSettings>,
    /// How much it bears.
    pub limits: LimitSettings,
    /// Where it stores.
    pub store: StoreSettings,
    /// Which labels name a service.
    pub labels: Equivalents,
    /// Who belongs to which group, as far as the file tells.
    pub groups: BTreeMap<GroupName, GroupSettings>,
    /// Where cases are told beside the log.
    pub slack: Option<SlackSettings>,
    /// Who wakes people.
    pub pages: Vec<PageSettings>,
    /// The rule table.
    pub rules: Arc<RuleTable>,
    /// The text of all rule files, kept beside the decisions that name it.
    pub rules_text: String,
    /// Guards and policies.
    pub shared: SharedSettings,
    /// Who may tell us that something is wrong.
    pub sources: Vec<SourceSettings>,
    /// Who may tell us what was deployed.
    pub feeds: Vec<FeedSettings>,
    /// The providers by name.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// The probes by name.
    pub probes: BTreeMap<ProbeName, ProbeSettings>,
    /// The secrets of the steps of the user's own.
    pub step_secrets: Vec<Secret>,
    /// What is deployed and rolled back as one, in the order of the file.
    pub services: Vec<ServiceEntry>,
    /// The digest over the text of all files.
    pub digest: Digest,
}

/// What a reading gave: everything that is wrong, and the settings when nothing is.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings; `None` when there is a fault.
    pub settings: Option<Settings>,
    /// Faults and warnings, by file and place.
    pub faults: Vec<Fault>,
    /// Secrets that are not there, as warnings: to `check` they are, to `serve` they are faults.
    pub missing_secrets: Vec<Fault>,
    /// The files that were read, in order, for drawing faults.
    pub texts: Vec<SourceText>,
    /// The paths of the files that were read or should have been.
    pub files: Vec<PathBuf>,
    /// The files that hold secrets, and those of `server.tls`.
    pub secret_files: Vec<PathBuf>,
    /// The digest over the text of all files.
    pub digest: Digest,
    /// The digest over what the secret files hold; a rotated secret or certificate changes it, and no other digest.
    pub secrets: Digest,
}

impl Loaded {
    /// Everything that `check` shows: faults, warnings and missing secrets, by file and place.
    pub fn all_faults(&self) -> Vec<Fault> {
        let place = |fault: &Fault| {
            let file = self.texts.iter().position(|text| text.name == fault.file);
            (file.unwrap_or(usize::MAX), fault.span.start, fault.severity)
        };
        let mut all: Vec<Fault> = self.faults.iter().chain(&self.missing_secrets).cloned().collect();
        all.sort_by_key(place);
        all
    }

    /// The settings to serve with.
    ///
    /// # Errors
    /// Every fault, a missing secret among them: without it a source could not prove anybody.
    pub fn for_serving(self) -> Result<Settings, Vec<Fault>> {
        if self.missing_secrets.is_empty() {
            let faults = self.faults;
            return self.settings.ok_or(faults);
        }
        let mut all = self.all_faults();
        let missing = &self.missing_secrets;
        for fault in all.iter_mut().filter(|fault| missing.contains(fault)) {
            fault.severity = Severity::Fault;
        }
        Err(all)
    }
}

/// Reads a configuration and the rule files that it names.
#[expect(clippy::disallowed_methods, reason = "the configuration is the only reader of the environment")]
pub fn load(path: &Path) -> Loaded {
    load_with(path, &|name| std::env::var(name).ok())
}

/// The same, with these variables in place of the environment's.
pub fn load_with(path: &Path, variables: &dyn Fn(&str) -> Option<String>) -> Loaded {
    load_noting(path, variables).0
}

/// The same, with the path of every key that was asked for.
fn load_noting(path: &Path, variables: &dyn Fn(&str) -> Option<String>) -> (Loaded, BTreeSet<String>) {
    let findings = Findings::default();
    let surroundings =
        Surroundings { beside: path.parent().unwrap_or(Path::new("")), variables, findings: &findings };
    let main = FileText::read(path, &findings);
    let (settings, rule_files) = read_all(&main, surroundings);
    let files: Vec<FileText> = std::iter::once(main).chain(rule_files).collect();
    let digest = digest(&files);
    let names: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
    let texts = files
        .iter()
        .map(|file| SourceText { name: file.name.clone(), text: findings.masked(&file.name, &file.text) })
        .collect();
    let (secret_files, secrets) = findings.secrets();
    let (faults, missing_secrets, asked) = findings.into_parts(&names);
    let sound = faults.iter().all(|fault| fault.severity == Severity::Warning);
    let settings = settings.filter(|_| sound).map(|settings| Settings { digest: digest.clone(), ..settings });
    let loaded = Loaded {
        settings,
        faults,
        missing_secrets,
        texts,
        files: files.into_iter().map(|file| file.path).collect(),
        secret_files,
        digest,
        secrets,
    };
    (loaded, asked)
}

/// Every fault of a configuration, secrets that are missing as warnings, and the texts to draw them under.
pub fn check(path: &Path) -> (Vec<Fault>, Vec<SourceText>) {
    let loaded = load(path);
    (loaded.all_faults(), loaded.texts)
}

/// What every file of one reading shares.
#[derive(Clone, Copy)]
struct Surroundings<'a> {
    beside: &'a Path,
    variables: &'a dyn Fn(&str) -> Option<String>,
    findings: &'a Findings,
}

impl<'a> Surroundings<'a> {
    fn page(self, file: &'a FileText) -> Page<'a> {
        Page {
            file: &file.name,
            text: &file.text,
            beside: self.beside,
            variables: self.variables,
            findings: self.findings,
        }
    }
}

/// A file as it was read; empty where it could not be, which is noted.
struct FileText {
    name: String,
    path: PathBuf,
    text: String,
    /// It was read: what is missing in an empty text would only follow from that.
    is_there: bool,
}

impl FileText {
    fn read(path: &Path, findings: &Findings) -> FileText {
        let name = path.display().to_string();
        let read = read_text(path);
        if let Err(cause) = &read {
            findings.push(Fault {
                file: name.clone(),
                line: 1,
                column: 1,
                severity: Severity::Fault,
                message: format!("the file cannot be read: {cause}"),
                remedy: "put it there, or name another with --config or `rules`".into(),
                witness: None,
                span: 0..0,
            });
        }
        FileText { name, path: path.to_owned(), is_there: read.is_ok(), text: read.unwrap_or_default() }
    }

    /// The document in the text; every error of its syntax is noted, and then there is none.
    fn parse<'a>(&'a self, page: Page<'a>) -> Option<DeTable<'a>> {
        let (document, errors) = DeTable::parse_recoverable(&self.text);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            hide_secret_line(page, span.start);
            page.fault(
                span,
                error.message().to_owned(),
                "write TOML: key = \"value\", [table], [[list of tables]]",
            );
        }
        (errors.is_empty() && self.is_there).then(|| document.into_inner())
    }
}

/// A line that cannot be read as TOML may still hold a secret, and it is about to be shown.
fn hide_secret_line(page: Page<'_>, at: usize) {
    let at = at.min(page.text.len());
    let bytes = page.text.as_bytes();
    let start = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let end = bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |newline| at + newline);
    let line = &bytes[start..end];
    if let Some(equals) = line.iter().position(|byte| *byte == b'=')
        && read::sounds_secret(&String::from_utf8_lossy(&line[..equals]))
    {
        page.findings.mask(page.file, start + equals + 1..end);
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err("it is larger than 32 MiB".into());
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".into())
}

/// The digest over the texts, each with its place in the order; names do not count, so a copy has the same digest.
fn digest(files: &[FileText]) -> Digest {
    let mut canon = Canon::new("configuration");
    for file in files {
        canon.text("file", &file.text);
    }
    canon.digest()
}

/// Reads the main file, and the rule files that it names.
fn read_all(main: &FileText, surroundings: Surroundings<'_>) -> (Option<Settings>, Vec<FileText>) {
    let page = surroundings.page(main);
    let Some(document) = main.parse(page) else { return (None, Vec::new()) };
    let root = Table::root(page, &document);
    let rule_files: Vec<FileText> =
        rule_paths(&root).iter().map(|path| FileText::read(path, surroundings.findings)).collect();
    let settings = settings(&root, &rule_files, surroundings);
    (Some(settings), rule_files)
}

/// `rules`: one file or several, in order; beside the main file.
fn rule_paths(root: &Table<'_>) -> Vec<PathBuf> {
    let page = root.page();
    let Some(names) = root.text_or_texts("rules") else { return vec![page.path("rules.toml")] };
    let mut paths: Vec<PathBuf> = Vec::new();
    for name in names.value {
        let path = page.path(name.value);
        if paths.contains(&path) {
            page.fault(name.span, "this rule file is named twice", "name each file once, in order");
        } else {
            paths.push(path);
        }
    }
    paths
}

/// Reads every section. Names come before what refers to them.
fn settings(root: &Table<'_>, rule_files: &[FileText], surroundings: Surroundings<'_>) -> Settings {
    let mode = root
        .word("mode", &[("shadow", Mode::Shadow), ("live", Mode::Live)])
        .map_or(Mode::Shadow, |m| m.value);
    let server = server::server(root);
    let tokens = server::tokens(root);
    let limits = server::limits(root);
    let store = server::store(root);
    let labels = server::labels(root);
    let slack = slack::slack(root);
    let groups = people::groups(root, &tokens);
    people::heard(root, &groups);
    let approvals = people::approvals(root, &groups);
    let verify = guards::verify(root);
    let times = times::times(root);
    let guards = guards::guards(root, &times);
    let providers = providers::providers(root);
    let drafts = services::drafts(root);
    let probes = probes::probes(root);
    let plans = plans::plans(root);
    let names = services::Names {
        mode,
        plans: &plans,
        providers: &providers,
        approvals: &approvals,
        verify: &verify,
        probes: &probes,
    };
    let services = services::services(&drafts, &names);
    let ids: Vec<ServiceId> = drafts.iter().map(|draft| draft.id.clone()).collect();
    let mut seen = credential::SeenSecrets::new();
    let sources = sources::sources(root, mode, &ids, &mut seen);
    let tiers = drafts.iter().filter_map(services::Draft::tier).collect();
    let pages = pages::pages(root, &tiers);
    let told = sources.iter().filter(|source| source.prometheus_url.is_some());
    let tell_onset = told.map(|source| source.name.clone()).collect();
    let beats = sources.iter().filter_map(|source| Some((source.name.clone(), source.heartbeat.clone()?)));
    let heartbeats = beats.collect();
    let dead_letters_max = limits.dead_letters;
    let feeds = feeds::feeds(root, &ids, &mut seen);
    later::evidence(root);

    let names =
        rules::RuleNames { services: &ids, tiers, approvals: &approvals, verify: &verify, times: &times };
    let files: Vec<Page<'_>> = rule_files.iter().map(|file| surroundings.page(file)).collect();
    let documents: Vec<_> = rule_files.iter().zip(&files).map(|(file, page)| file.parse(*page)).collect();
    let mut rows = Vec::new();
    let mut whole = true;
    for (page, document) in files.iter().zip(&documents) {
        let Some(document) = document else {
            whole = false;
            continue;
        };
        whole &= rules::rows(&Table::root(*page, document), &names, &mut rows);
    }
    compile::rows(&rows);
    // What no row does may be what a row does that could not be read.
    if whole {
        compile::reach(&rows, &drafts);
        people::answered(root.page(), &rows, &approvals);
    }
    let approvals = approvals.into_iter().map(|(name, (policy, _))| (name, policy)).collect();
    let rules = RuleTable::new(rows.iter().map(rules::Row::rule).collect(), times);
    let rules_text = rule_files.iter().map(|file| file.text.as_str()).collect();
    Settings {
        mode,
        rules: Arc::new(rules),
        rules_text,
        server,
        tokens,
        limits,
        store,
        labels,
        groups,
        slack,
        shared: SharedSettings {
            guards,
            approvals,
            verify,
            pagers: pagers(&pages),
            tell_onset,
            dead_letters_max,
            heartbeats,
        },
        pages,
        sources,
        feeds,
        providers: providers
            .into_iter()
            .filter_map(|(name, (_, settings))| Some((name, settings?)))
            .collect(),
        probes: probes.into_iter().filter_map(|(name, probe)| Some((name, probe?))).collect(),
        step_secrets: plans.into_values().flat_map(|plan| plan.secrets).collect(),
        services,
        digest: Digest::new(""),
    }
}

fn pagers(pages: &[PageSettings]) -> Pagers {
    pages.iter().map(|page| (page.name.clone(), page.pager.clone())).collect()
}
