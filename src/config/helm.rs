//! Helm in the configuration: how its program is run and reaches its cluster, and which release a service is.

use std::path::PathBuf;

use super::kubernetes::{api, quarantine, sound};
use super::read::Table;
use crate::case::id::Duration;

/// Helm's own default of `--timeout`.
const TIMEOUT: Duration = Duration::from_mins(5);
/// Helm's own default of `--history-max`.
const HISTORY_MAX: u32 = 10;

/// What holds the records of releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelmDriver {
    /// Secrets.
    Secret,
    /// ConfigMaps.
    ConfigMap,
}

/// `[providers.NAME]` of kind `helm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelmSettings {
    /// Who we are and where the API is. `None`: the pod's own account.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; `None`: its current one.
    pub context: Option<String>,
    /// The program: a path, or a name that is looked for.
    pub program: String,
    /// What it finds as HOME, where a kubeconfig's credential plugin needs one.
    pub home: Option<PathBuf>,
    /// What holds the records.
    pub driver: HelmDriver,
    /// How long Helm waits for each hook, and for what it applied.
    pub timeout: Duration,
    /// How many revisions are kept.
    pub history_max: u32,
    /// How long after a lost reply "not there" is no proof.
    pub quarantine: Duration,
    /// The address of its API, as far as the file tells.
    pub server: Option<String>,
}

/// Where a service of kind `helm` lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelmSite {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub release: String,
}

/// Reads `[providers.NAME]`.
pub(super) fn helm(table: &Table<'_>) -> Option<HelmSettings> {
    let words = [("secret", HelmDriver::Secret), ("configmap", HelmDriver::ConfigMap)];
    let driver = table.word("driver", &words).map_or(HelmDriver::Secret, |driver| driver.value);
    let program = table.text("program");
    let home = table.text("home").map(|home| table.page().path(home.value));
    let timeout = table.some_length("timeout");
    let history_max = table.whole("history_max", 1..=1000);
    let api = api(table)?;
    let quarantine = quarantine(table, api.server.as_deref(), "might begin a rollback twice")?;
    let program = match program {
        Some(program) if program.value.is_empty() => {
            table.page().fault(program.span, "`program` is empty", "write the path of helm, or leave it out");
            return None;
        }
        // A path is read from this file; a name is looked for.
        Some(program) if program.value.contains('/') => {
            table.page().path(program.value).display().to_string()
        }
        Some(program) => program.value.to_owned(),
        None => "helm".to_owned(),
    };
    Some(HelmSettings {
        kubeconfig: api.kubeconfig,
        context: api.context,
        program,
        home,
        driver,
        timeout: timeout.map_or(TIMEOUT, |length| length.value),
        history_max: history_max.and_then(|most| u32::try_from(most.value).ok()).unwrap_or(HISTORY_MAX),
        quarantine,
        server: api.server,
    })
}

/// `{ namespace, release }`.
pub(super) fn release(target: &Table<'_>) -> Option<HelmSite> {
    let (namespace, release) = (target.text("namespace"), target.text("release"));
    if !target.has("namespace") {
        target.missing("namespace", "write namespace = \"shop\"");
    }
    if !target.has("release") {
        target.missing("release", "write release = \"NAME\", as `helm list` shows it");
    }
    let namespace = sound(target, &namespace?, 63)?;
    // Helm's own limit of a release's name.
    let release = sound(target, &release?, 53)?;
    Some(HelmSite { namespace, release })
}
