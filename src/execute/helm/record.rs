//! A release record of Helm's, read natively: how it is kept, what it says, and which release it is. Leaves to `history` where records
//! are found.
//!
//! Facts: a record is JSON, gzipped or plain (magic `1f 8b 08`), in base64, in the field `release` of a Secret of type
//! `helm.sh/release.v1` (whose fields are base64 once more) or of a ConfigMap; Helm's `pkg/storage/driver`, and what Helm 3.8 and 4.1
//! write. Who made it, when and how it ended is in `info`; a rollback copies chart, values, manifest and hooks of the revision it
//! leads to.
//!
//! The identity of a release is a digest over its chart's name and version, its values, its manifest and its hooks: images and
//! configuration are in the manifest as they were rendered. Values are never shown: they hold secrets.

use std::io::Read;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::case::id::{ReleaseId, Timestamp};

/// A record unpacked: the API keeps 1 MiB of it at most, packed, and text packs by ten. What is larger is no release but a bomb.
pub const UNPACKED_MAX: u64 = 32 << 20;
/// Words of a record that are shown.
const TOLD_MAX: usize = 300;

/// What a record says.
#[derive(Clone, Debug, Deserialize)]
pub struct Record {
    /// The release's name.
    pub name: String,
    /// Its revision: 1 is the first.
    pub version: i64,
    info: Info,
    #[serde(default)]
    chart: Chart,
    #[serde(default)]
    config: Value,
    #[serde(default)]
    manifest: String,
    #[serde(default)]
    hooks: Option<Vec<Hook>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Info {
    status: String,
    #[serde(default)]
    description: String,
    last_deployed: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Chart {
    #[serde(default)]
    metadata: ChartMetadata,
}

/// `Chart.yaml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChartMetadata {
    /// The chart's name.
    #[serde(default)]
    pub name: String,
    /// The chart's version.
    #[serde(default)]
    pub version: String,
    /// The version of what it installs, where it says.
    #[serde(default)]
    pub app_version: String,
    /// Its annotations.
    #[serde(default)]
    pub annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Hook {
    #[serde(default)]
    path: String,
    #[serde(default)]
    manifest: String,
    #[serde(default)]
    events: Vec<String>,
}

/// How the operation that wrote a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It ended well, and is the one that counts.
    Deployed,
    /// It ended well, and another one came.
    Superseded,
    /// It failed, whatever came after.
    Failed,
    /// Somebody is at it, or was when they died.
    Pending,
    /// The release is taken away, or was.
    Uninstalled,
}

impl Record {
    /// Reads the field `release`, as it is after Kubernetes' own base64.
    ///
    /// # Errors
    /// Why it is no record.
    pub fn unpack(field: &[u8]) -> Result<Record, String> {
        let packed = STANDARD.decode(field.trim_ascii()).map_err(|error| format!("no base64: {error}"))?;
        let plain = if packed.starts_with(&[0x1f, 0x8b, 0x08]) {
            let mut plain = Vec::new();
            let read = GzDecoder::new(&*packed).take(UNPACKED_MAX + 1).read_to_end(&mut plain);
            read.map_err(|error| format!("no gzip: {error}"))?;
            if plain.len() as u64 > UNPACKED_MAX {
                return Err(format!("it unpacks to more than {UNPACKED_MAX} bytes"));
            }
            plain
        } else {
            packed
        };
        let record: Record = serde_json::from_slice(&plain).map_err(|error| error.to_string())?;
        record.began_at()?;
        Ok(record)
    }

    /// When its operation began.
    ///
    /// # Errors
    /// When the moment cannot be read.
    pub fn began_at(&self) -> Result<Timestamp, String> {
        self.info.last_deployed.parse().map_err(|error| format!("last_deployed: {error}"))
    }

    /// How it stands. A failed revision that a rollback left behind is called `superseded` (helm/helm#3952): what it says of itself stays.
    pub fn status(&self) -> Status {
        match self.info.status.as_str() {
            "deployed" => Status::Deployed,
            "superseded" if self.says_that_it_failed() => Status::Failed,
            "superseded" => Status::Superseded,
            "pending-install" | "pending-upgrade" | "pending-rollback" => Status::Pending,
            "uninstalled" | "uninstalling" => Status::Uninstalled,
            _ => Status::Failed,
        }
    }

    /// Helm's word for it.
    pub fn status_word(&self) -> &str {
        &self.info.status
    }

    /// `Upgrade "web" failed: …`, `Release "web" failed: …`, `Rollback "web" failed: …`; and what an operation says that never ended.
    fn says_that_it_failed(&self) -> bool {
        let says = self.info.description.as_str();
        let of = ["Upgrade", "Release", "Rollback"];
        let failed = of.iter().any(|of| says.starts_with(&format!("{of} \"{}\" failed", self.name)));
        failed || says == "Preparing upgrade" || says == "Initial install underway"
    }

    /// What it says of itself.
    pub fn description(&self) -> String {
        self.info.description.chars().take(TOLD_MAX).collect()
    }

    /// Whether it was written by a rollback, as far as it says.
    pub fn is_rollback(&self) -> bool {
        self.info.status == "pending-rollback" || self.info.description.starts_with("Rollback ")
    }

    /// `Chart.yaml`.
    pub fn chart(&self) -> &ChartMetadata {
        &self.chart.metadata
    }

    /// The release that it is.
    pub fn release_id(&self) -> ReleaseId {
        let hooks: Vec<Value> =
            self.hooks.iter().flatten().map(|hook| json!([hook.path, hook.manifest, hook.events])).collect();
        let mut config = self.config.clone();
        // No values and an empty map of them are the same.
        if config.is_null() {
            config = json!({});
        }
        let chart = self.chart();
        let mut whole = json!([chart.name, chart.version, config, self.manifest, hooks]);
        whole.sort_all_objects();
        let digest = digest(&SHA256, whole.to_string().as_bytes());
        let hex: String = digest.as_ref()[..12].iter().map(|byte| format!("{byte:02x}")).collect();
        ReleaseId::new(format!("helm:{hex}"))
    }

    /// The objects of its manifest; none where it cannot be read.
    pub fn objects(&self) -> Vec<Value> {
        serde_saphyr::from_multiple::<Value>(&self.manifest).unwrap_or_default()
    }

    /// Whether its rollback runs hooks.
    pub fn hooks_of_rollback(&self) -> usize {
        let is_one = |hook: &&Hook| hook.events.iter().any(|event| event.ends_with("-rollback"));
        self.hooks.iter().flatten().filter(is_one).count()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn record(status: &str, description: &str) -> Value {
        json!({
            "name": "web", "namespace": "shop", "version": 3,
            "info": { "status": status, "description": description, "last_deployed": "2026-03-02T09:00:00.123456789+01:00" },
            "chart": { "metadata": { "name": "shop", "version": "1.2.3", "appVersion": "7" }, "values": { "a": 1 } },
            "config": { "image": "shop:2" },
            "manifest": "---\n# Source: shop/templates/a.yaml\nkind: ConfigMap\n---\nkind: Deployment\nmetadata: { name: web }\n",
        })
    }

    fn gzipped(of: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(of).expect("packed");
        encoder.finish().expect("packed")
    }

    fn read(of: &Value) -> Record {
        Record::unpack(STANDARD.encode(of.to_string()).as_bytes()).expect("a record")
    }

    #[test]
    fn both_formats_are_read_and_are_the_same_release() {
        let of = record("deployed", "Upgrade complete");
        let plain = read(&of);
        let packed = Record::unpack(STANDARD.encode(gzipped(of.to_string().as_bytes())).as_bytes());
        let packed = packed.expect("a record");
        assert_eq!(plain.release_id(), packed.release_id());
        assert_eq!(plain.objects().len(), 2);
        assert_eq!(plain.chart().app_version, "7");
        assert_eq!(plain.began_at(), Ok("2026-03-02T08:00:00.123456789Z".parse().expect("a moment")));
    }

    #[test]
    fn a_bomb_is_no_record() {
        let bomb = gzipped(&vec![b' '; usize::try_from(UNPACKED_MAX).expect("a size") + 2]);
        let said = Record::unpack(STANDARD.encode(bomb).as_bytes()).expect_err("a bomb");
        assert!(said.contains("unpacks to more"), "{said}");
        for none in ["", "!", "e30=", "bnVsbA=="] {
            Record::unpack(none.as_bytes()).expect_err(none);
        }
    }

    #[test]
    fn what_failed_stays_failed_behind_superseded() {
        for (status, description, expected) in [
            ("deployed", "Upgrade complete", Status::Deployed),
            ("superseded", "Upgrade complete", Status::Superseded),
            ("superseded", "Rollback to 1", Status::Superseded),
            ("superseded", "our own words", Status::Superseded),
            ("superseded", "Upgrade \"web\" failed: timed out", Status::Failed),
            ("superseded", "Rollback \"web\" failed: timed out", Status::Failed),
            ("superseded", "Release \"web\" failed: timed out", Status::Failed),
            ("superseded", "Preparing upgrade", Status::Failed),
            ("failed", "Upgrade \"web\" failed: timed out", Status::Failed),
            ("pending-rollback", "Rollback to 1", Status::Pending),
            ("uninstalled", "Uninstallation complete", Status::Uninstalled),
            ("unknown", "", Status::Failed),
        ] {
            assert_eq!(read(&record(status, description)).status(), expected, "{status}: {description}");
        }
    }

    #[test]
    fn chart_values_manifest_and_hooks_make_a_release() {
        let of = record("deployed", "Upgrade complete");
        let own = read(&of).release_id();
        let with = |change: &dyn Fn(&mut Value)| {
            let mut other = of.clone();
            change(&mut other);
            read(&other).release_id()
        };
        assert_eq!(with(&|of| of["info"]["status"] = "superseded".into()), own);
        assert_eq!(with(&|of| of["version"] = 9.into()), own, "a revision's number is no release");
        assert_ne!(with(&|of| of["chart"]["metadata"]["version"] = "1.2.4".into()), own);
        assert_ne!(with(&|of| of["config"]["image"] = "shop:3".into()), own);
        assert_ne!(with(&|of| of["manifest"] = "kind: Secret".into()), own);
        let hook = json!([{ "path": "a.yaml", "manifest": "kind: Job", "events": ["pre-rollback"], "last_run": { "phase": "" } }]);
        let hooked = with(&|of| of["hooks"] = hook.clone());
        assert_ne!(hooked, own);
        assert_eq!(
            with(&|of| {
                of["hooks"] = hook.clone();
                of["hooks"][0]["last_run"]["phase"] = "Succeeded".into();
            }),
            hooked,
            "that a hook ran is no other release"
        );
    }
}
