//! The history of a release: its records as they lie in the cluster, and the picture that they give. Leaves to `record` what one says.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::record::{Record, Status};
use super::{Helm, Keep, Site};
use crate::case::deployment::{
    ChangeKind, Deployment, DeploymentOrigin, DeploymentStatus, Owner, Picture, Report,
};
use crate::case::id::{ChangeId, DeploymentId, Mark, ReleaseId, ServiceId, Timestamp};
use crate::case::release::{MigrationMarks, Release, RollbackMark};
use crate::case::signal::Labels;
use crate::execute::kubernetes::{self, Kind};
use crate::execute::kubernetes::{FIELD_MANAGER, template};
use crate::outbound::{CallError, Trouble};

/// Stands before every annotation of ours.
const PREFIX: &str = "snapback.dev/";
/// The annotation of a record that a rollback of ours wrote.
pub(super) const MARK: &str = "snapback.dev/rollback-mark";
const MARK_AT: &str = "/metadata/annotations/snapback.dev~1rollback-mark";
/// Workloads of one release that are looked at: the first of the manifest.
const WORKLOADS_MAX: usize = 5;

/// A record, and the object that holds it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) record: Record,
    pub(super) release: ReleaseId,
    pub(super) began_at: Timestamp,
    /// When it was written last, to the second.
    modified_at: Option<Timestamp>,
    uid: String,
    mark: Option<Mark>,
    /// When the reading began that shows it so.
    read_from: Timestamp,
    /// A rollback of ours that was to write it had ended by then.
    was_over: bool,
}

impl Kept {
    fn of(object: &Value, keep: Keep, reading: &Reading) -> Result<Kept, String> {
        let field = object.pointer("/data/release").and_then(Value::as_str).ok_or("it holds no release")?;
        let record = match keep {
            Keep::Secrets => {
                let field = STANDARD.decode(field).map_err(|error| error.to_string())?;
                Record::unpack(&field)?
            }
            Keep::ConfigMaps => Record::unpack(field.as_bytes())?,
        };
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let mark = text(MARK_AT).map(Mark::new);
        let began_at = record.began_at()?;
        Ok(Kept {
            release: record.release_id(),
            began_at,
            modified_at: modified_at(object, began_at),
            uid: text("/metadata/uid").unwrap_or_default().to_owned(),
            mark: mark.or_else(|| marked(&record)),
            read_from: reading.from,
            was_over: record.is_rollback()
                && reading.over_after.is_some_and(|newest| record.version == newest + 1),
            record,
        })
    }

    pub(super) fn version(&self) -> i64 {
        self.record.version
    }

    pub(super) fn status(&self) -> Status {
        self.record.status()
    }

    /// Whether a rollback may lead to it: it ended well once.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.status(), Status::Deployed | Status::Superseded)
    }

    /// `web.v3`, and which of those that were ever called so.
    fn id(&self) -> DeploymentId {
        let which: String = self.uid.chars().take(8).collect();
        DeploymentId::new(format!("{}.v{}@{which}", self.record.name, self.version()))
    }

    /// What people call it: the chart, and the images of its workloads.
    pub(super) fn called(&self) -> String {
        self.told().called().to_owned()
    }

    /// The release with what chart and workloads say of it. The chart's own annotations count more.
    fn told(&self) -> Release {
        let templates = self.record.objects().into_iter().filter(|object| Kind::of_object(object).is_some());
        let workloads: Vec<Release> =
            templates.map(|object| template::release(&object["spec"]["template"])).collect();
        let chart = self.record.chart();
        let mut release = Release::bare(self.release.clone());
        for workload in &workloads {
            release.commit = release.commit.or_else(|| workload.commit.clone());
            release.author = release.author.or_else(|| workload.author.clone());
            release.change = release.change.or_else(|| workload.change.clone());
            release.marks = release.marks.stricter(workload.marks);
        }
        let images: Vec<&str> = workloads.iter().filter_map(|of| of.version.as_deref()).collect();
        let chart_called = format!("{}-{}", chart.name, chart.version);
        release.version =
            Some([&[chart_called.as_str()][..], &images].concat().join(" ").chars().take(200).collect());
        let ours = |name: &str| chart.annotations.get(&format!("{PREFIX}{name}")).cloned();
        let number = |name: &str| ours(name).and_then(|text| text.parse().ok());
        release.commit = ours("commit").or(release.commit);
        release.author = ours("author").or(release.author);
        let change = ours("change").or_else(|| ours("commit")).map(ChangeId::new);
        release.change = change.or(release.change);
        release.links = ours("link").into_iter().collect();
        // A word that is none must not let somebody go back who may not.
        let rollback =
            ours("rollback").map(|word| RollbackMark::parse(&word).unwrap_or(RollbackMark::Irreversible));
        release.marks = MigrationMarks {
            rollback: rollback.or(release.marks.rollback),
            schema_version: number("schema-version").or(release.marks.schema_version),
            min_compatible_schema: number("min-compatible-schema").or(release.marks.min_compatible_schema),
        };
        release
    }

    /// The workloads of its manifest, in its namespace.
    pub(super) fn workloads(&self, namespace: &str) -> Vec<kubernetes::Site> {
        let site = |object: &Value| {
            let own = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or(namespace);
            let name = object.pointer("/metadata/name")?.as_str()?.to_owned();
            (own == namespace).then_some(())?;
            Some(kubernetes::Site { namespace: namespace.to_owned(), kind: Kind::of_object(object)?, name })
        };
        self.record.objects().iter().filter_map(site).take(WORKLOADS_MAX).collect()
    }
}

/// What was so before the records were asked for. What they show may be older than anything that is seen after it.
#[derive(Clone, Copy, Debug)]
struct Reading {
    from: Timestamp,
    /// A rollback of ours, begun after this revision, had ended.
    over_after: Option<i64>,
}

/// When a record was written last. Helm's own label `modifiedAt` is copied from the revision before by some (4.1.4 and 3.8.1 do): one
/// from before the record began tells nothing, and who wrote the object when does (`managedFields`).
fn modified_at(object: &Value, began_at: Timestamp) -> Option<Timestamp> {
    let label = object.pointer("/metadata/labels/modifiedAt").and_then(Value::as_str);
    let label = label.and_then(|seconds| Timestamp::from_second(seconds.parse().ok()?).ok());
    // Both are whole seconds.
    let from = Timestamp::from_second(began_at.as_second()).unwrap_or(began_at);
    let fields = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    let others = fields.into_iter().flatten().filter(|entry| entry["manager"] != FIELD_MANAGER);
    let written = || others.filter_map(|entry| entry["time"].as_str()?.parse::<Timestamp>().ok()).max();
    label.filter(|label| *label >= from).or_else(written).filter(|at| *at >= from)
}

/// The mark in a description, where Helm takes one of ours.
fn marked(record: &Record) -> Option<Mark> {
    let description = record.description();
    let (_, mark) = description.rsplit_once("(snapback/")?;
    let mark = mark.strip_suffix(')')?;
    Some(Mark::new(format!("snapback/{mark}")))
}

impl Helm {
    /// The records of a release, oldest first. One that cannot be read leaves the history unread: what it says may count.
    pub(super) async fn records(&self, site: &Site) -> Result<Vec<Kept>, Trouble> {
        let resource = self.settings.keep.resource();
        let path = format!("/api/v1/namespaces/{}/{resource}", site.namespace);
        let selector = format!("owner=helm,name={}", site.release);
        let reading = Reading { from: self.now(), over_after: self.children.over_after(site) };
        let listed = self.cluster().list(&path, &selector).await?;
        let keep = self.settings.keep;
        let site = site.clone();
        // Unpacking takes long enough to be felt by whoever shares the thread.
        let read = tokio::task::spawn_blocking(move || {
            let mut records = Vec::new();
            for object in &listed {
                let kept = Kept::of(object, keep, &reading).map_err(|said| {
                    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
                    CallError::Answer { doing: format!("read the record {name}"), said }
                })?;
                if kept.record.name == site.release {
                    records.push(kept);
                }
            }
            records.sort_by_key(Kept::version);
            Ok::<_, CallError>(records)
        });
        let doing = "read the records of a release".to_owned();
        let read = read.await.map_err(|error| CallError::Answer { doing, said: error.to_string() })?;
        Ok(read?)
    }

    /// The same, of a release that must be there.
    pub(super) async fn records_there(&self, site: &Site) -> Result<Vec<Kept>, Trouble> {
        let records = self.records(site).await?;
        if records.is_empty() {
            return Err(Trouble::Refused(format!(
                "there is no {site}: no {} of it are in the namespace",
                self.settings.keep.resource()
            )));
        }
        Ok(records)
    }

    /// A pending record that nobody is at any more: its Helm was ours and had ended before it was read, or it was older than any
    /// operation may last.
    pub(super) fn is_stale(&self, site: &Site, kept: &Kept) -> bool {
        if kept.status() != Status::Pending || self.children.is_at(site) {
            return false;
        }
        kept.was_over || kept.read_from > kept.began_at + self.settings.longest()
    }

    pub(super) async fn picture(&self, service: &ServiceId, site: &Site) -> Result<Picture, Trouble> {
        // A picture is as old as its first look: what was written since is not in it.
        let at = self.now();
        let records = self.records_there(site).await?;
        let newest = &records[records.len() - 1];
        let mut releases: BTreeMap<ReleaseId, Release> = BTreeMap::new();
        for kept in &records {
            let told = kept.told();
            releases.entry(told.id.clone()).and_modify(|known| known.learn(&told)).or_insert(told);
        }
        let deployments: Vec<Deployment> =
            records.iter().map(|kept| self.deployment(service, site, kept)).collect();
        let in_flight = deployments.iter().find(|deployment| deployment.is_going_out());
        let in_flight = in_flight.map(|deployment| deployment.id.clone());
        let owner = self.owner(site, newest).await?;
        let reports = self.reports(service, site, newest, &deployments[deployments.len() - 1]).await?;
        Ok(Picture {
            at,
            // What was applied last, whole or not.
            current: (newest.status() != Status::Uninstalled).then(|| newest.release.clone()),
            in_flight,
            owner: owner.map_or(Owner::Nobody, Owner::Other),
            deployments,
            releases: releases.into_values().collect(),
            figures: BTreeMap::new(),
            // `--atomic` is not written down anywhere.
            provider_judges: false,
            reports,
        })
    }

    fn deployment(&self, service: &ServiceId, site: &Site, kept: &Kept) -> Deployment {
        let status = match kept.status() {
            Status::Deployed | Status::Superseded => DeploymentStatus::Finished,
            Status::Failed => DeploymentStatus::Failed,
            Status::Pending if self.is_stale(site, kept) => DeploymentStatus::Failed,
            Status::Pending => DeploymentStatus::GoingOut,
            Status::Uninstalled => DeploymentStatus::Stopped,
        };
        // Of a record that was superseded it is when the next one came.
        let ended = matches!(kept.record.status_word(), "deployed" | "failed");
        let mark = kept.mark.clone().or_else(|| self.children.mark_of(site, kept));
        Deployment {
            id: kept.id(),
            service: service.clone(),
            release: kept.release.clone(),
            started_at: kept.began_at,
            traffic_at: None,
            finished_at: kept.modified_at.filter(|_| ended).map(|end| end.max(kept.began_at)),
            status,
            by: None,
            origin: match mark {
                Some(mark) => DeploymentOrigin::Ours(mark),
                None if kept.record.is_rollback() => DeploymentOrigin::Rollback,
                None => DeploymentOrigin::Ordinary,
            },
            change: ChangeKind::Code,
            labels: labels(site, kept),
            our_clock: false,
        }
    }

    /// Who would undo a rollback: whoever else is named on the first workload that is there. Helm itself is no one else.
    pub(super) async fn owner(&self, site: &Site, newest: &Kept) -> Result<Option<String>, Trouble> {
        let own = format!("Helm release {}/{}", site.namespace, site.release);
        for workload in newest.workloads(&site.namespace) {
            let owner = match self.kubernetes.owner_of(&workload).await {
                Ok(owner) => owner,
                // Who may not read workloads rolls back all the same; the doctor says what is not seen.
                Err(Trouble::Refused(_)) => return Ok(None),
                Err(other) => return Err(other),
            };
            if let Some(owner) = owner
                && owner != own
            {
                return Ok(Some(owner));
            }
        }
        Ok(None)
    }

    /// What Helm and the workloads report of the newest. Our own is followed by its case.
    async fn reports(
        &self,
        service: &ServiceId,
        site: &Site,
        newest: &Kept,
        deployment: &Deployment,
    ) -> Result<Vec<Report>, Trouble> {
        if deployment.origin != DeploymentOrigin::Ordinary {
            return Ok(Vec::new());
        }
        let report = |since, says| vec![Report { deployment: deployment.id.clone(), since, says }];
        if self.is_stale(site, newest) {
            let says = format!(
                "revision {} is {} since {}, and nobody finishes it",
                newest.version(),
                newest.record.status_word(),
                newest.began_at
            );
            return Ok(report(newest.began_at, says));
        }
        if newest.status() == Status::Failed {
            return Ok(report(newest.modified_at.unwrap_or(newest.began_at), newest.record.description()));
        }
        for workload in newest.workloads(&site.namespace) {
            match self.kubernetes.reports_of(service, &workload).await {
                Ok(told) => {
                    if let Some(first) = told.into_iter().find(|told| told.since >= newest.began_at) {
                        return Ok(report(first.since, format!("{workload}: {}", first.says)));
                    }
                }
                Err(Trouble::Refused(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(Vec::new())
    }
}

fn labels(site: &Site, kept: &Kept) -> Labels {
    let chart = kept.record.chart();
    [
        ("namespace", site.namespace.clone()),
        ("release", site.release.clone()),
        ("chart", format!("{}-{}", chart.name, chart.version)),
        ("app_version", chart.app_version.clone()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
