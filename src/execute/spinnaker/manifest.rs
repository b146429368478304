//! A Deployment as Spinnaker shows it: what its live manifest runs, and which revision runs an image. Numbers are read from the ReplicaSets
//! themselves, whose annotation `deployment.kubernetes.io/revision` is what a rollout is undone to.

use serde_json::Value;

use super::gate::segment;
use super::run::repository;
use super::{Site, Spinnaker, Way};
use crate::case::id::ReleaseId;
use crate::outbound::{CallError, Trouble};

/// The annotation, which Kubernetes writes.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// ReplicaSets of one image whose manifests are read, the newest: more revisions of one image are rare.
const READ_MAX: usize = 5;

/// A Deployment as it is live.
#[derive(Clone, Debug)]
pub(super) struct Live {
    /// What it runs; `None`: several images, of which nobody said which one counts.
    pub(super) release: Option<ReleaseId>,
    /// Whether its rollout is over and well, and what is said where it is not.
    pub(super) is_stable: bool,
    pub(super) says: String,
}

/// A revision that a rollout can be undone to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Revision {
    pub(super) number: i64,
    /// The ReplicaSet that has it.
    pub(super) replica_set: String,
}

impl Spinnaker {
    /// The live Deployment; nothing for a site that goes back by a pipeline.
    pub(super) async fn live(&self, site: &Site) -> Result<Option<Live>, Trouble> {
        let Way::Manifest { deployment, .. } = &site.way else { return Ok(None) };
        let name = format!("deployment {deployment}");
        let told = self.manifest(site, &name).await?;
        let status = |name: &str| &told["status"][name];
        let said =
            ["failed", "paused", "stable"].into_iter().find_map(|name| status(name)["message"].as_str());
        Ok(Some(Live {
            release: image(&told["manifest"], site).map(ReleaseId::new),
            is_stable: status("stable")["state"] == Value::Bool(true)
                && status("failed")["state"] != Value::Bool(true),
            says: said.unwrap_or_default().to_owned(),
        }))
    }

    /// The newest revision that runs this release.
    pub(super) async fn revision_of(
        &self,
        site: &Site,
        release: &ReleaseId,
    ) -> Result<Option<Revision>, Trouble> {
        let Way::Manifest { account, location, deployment } = &site.way else { return Ok(None) };
        let cluster = format!("deployment {deployment}");
        let doing = format!("read the ReplicaSets of {cluster}");
        let path = format!(
            "/applications/{}/clusters/{}/{}/serverGroups",
            segment(&site.application),
            segment(account),
            segment(&cluster)
        );
        let told = self.read(&doing, &path).await?;
        let no_list = || CallError::Answer { doing, said: "the answer is no list of server groups".into() };
        let mut candidates: Vec<(i64, &str)> = told
            .as_array()
            .ok_or_else(no_list)?
            .iter()
            .filter(|one| one["account"] == account.as_str() && one["region"] == location.as_str())
            .filter(|one| {
                let images = one["buildInfo"]["images"].as_array().into_iter().flatten();
                images.into_iter().any(|image| image == release.as_str())
            })
            .filter_map(|one| Some((one["createdTime"].as_i64().unwrap_or_default(), one["name"].as_str()?)))
            .filter(|(_, name)| name.starts_with("replicaSet "))
            .collect();
        candidates.sort_unstable_by(|one, other| other.cmp(one));
        let mut found: Option<Revision> = None;
        for (_, name) in candidates.into_iter().take(READ_MAX) {
            if let Some(number) = self.number_of(site, name, release).await?
                && found.as_ref().is_none_or(|known| known.number < number)
            {
                found = Some(Revision { number, replica_set: name.to_owned() });
            }
        }
        Ok(found)
    }

    /// The revision that a ReplicaSet has, by its own manifest. `None`: it is none of this Deployment, or runs something else.
    pub(super) async fn number_of(
        &self,
        site: &Site,
        name: &str,
        release: &ReleaseId,
    ) -> Result<Option<i64>, Trouble> {
        let Way::Manifest { deployment, .. } = &site.way else { return Ok(None) };
        let told = self.manifest(site, name).await?;
        let manifest = &told["manifest"];
        let owners = manifest.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let is_its = owners
            .into_iter()
            .flatten()
            .any(|owner| owner["kind"] == "Deployment" && owner["name"] == deployment.as_str());
        let runs_it = image(manifest, site).as_deref() == Some(release.as_str());
        let number = &manifest["metadata"]["annotations"][REVISION];
        let number =
            number.as_str().and_then(|number| number.parse::<i64>().ok()).filter(|number| *number > 0);
        Ok(number.filter(|_| is_its && runs_it))
    }

    async fn manifest(&self, site: &Site, name: &str) -> Result<Value, Trouble> {
        let Way::Manifest { account, location, .. } = &site.way else {
            return Err(Trouble::Refused(format!("{site} goes back by a pipeline")));
        };
        let doing = format!("read {name} in {location}");
        let path = format!("/manifests/{}/{}/{}", segment(account), segment(location), segment(name));
        let told = self.read(&doing, &path).await?;
        let named = |told: &Value| {
            let kind = told.pointer("/manifest/kind").and_then(Value::as_str).unwrap_or_default();
            let of = told.pointer("/manifest/metadata/name").and_then(Value::as_str).unwrap_or_default();
            format!("{kind} {of}").eq_ignore_ascii_case(name)
        };
        let other = || CallError::Answer { doing, said: "the answer is another manifest".into() };
        Ok(Some(told).filter(named).ok_or_else(other)?)
    }
}

/// The one image of a workload's pods, or the one of the name that the site tells.
fn image(manifest: &Value, site: &Site) -> Option<String> {
    let containers = manifest.pointer("/spec/template/spec/containers").and_then(Value::as_array)?;
    let images = containers.iter().filter_map(|one| one["image"].as_str());
    let mut fitting: Vec<&str> = images
        .filter(|image| site.artifact.as_deref().is_none_or(|named| repository(image) == named))
        .collect();
    fitting.dedup();
    match fitting[..] {
        [one] => Some(one.to_owned()),
        _ => None,
    }
}
