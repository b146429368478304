//! The way back, proposed: what still goes out is cancelled, and then the rollback, pinned. Reads only.

use serde_json::Value;

use super::history::Scene;
use super::run::{Run, called};
use super::work::{Doing, Work};
use super::{AGAIN, Site, Spinnaker, Way};
use crate::case::id::ReleaseId;
use crate::case::plan::Proposal;
use crate::case::step::Act;
use crate::outbound::Trouble;

/// Executions of the suspect that one plan cancels: more of them at once are somebody's mistake, and a person's business.
const CANCELS_MAX: usize = 5;

impl Spinnaker {
    pub(super) async fn proposal(
        &self,
        site: &Site,
        from: &ReleaseId,
        to: &ReleaseId,
    ) -> Result<Proposal, Trouble> {
        let scene = self.scene(site).await?;
        if let Some(other) = scene.open().find(|run| run.release.as_ref() != Some(from) || run.mark.is_some())
        {
            let why = format!("{} of {site} is on its way (execution {})", other.called(), other.id);
            return Err(Trouble::Busy { why, after: Some(AGAIN) });
        }
        let goes_out: Vec<&Run> = scene.open().collect();
        if goes_out.is_empty() && scene.current().as_ref() != Some(from) {
            return Err(Trouble::Moved(scene.called()));
        }
        if goes_out.len() > CANCELS_MAX {
            let why = format!("{} executions of {} are on their way", goes_out.len(), called(from.as_str()));
            return Err(Trouble::Refused(format!("{why}: cancel them by hand")));
        }
        let doing = self.back(site, &scene, to).await?;
        let mut acts: Vec<Act> = goes_out.into_iter().map(|run| cancel(site, run, to)).collect();
        let says = says(site, &doing, to);
        acts.push(Work { site: site.clone(), doing, to: to.clone() }.act(self.class(), says));
        Ok(Proposal { expected_time: took(&scene), ..Proposal::of(acts) })
    }

    /// What leads there, pinned.
    async fn back(&self, site: &Site, scene: &Scene, to: &ReleaseId) -> Result<Doing, Trouble> {
        match &site.way {
            Way::Pipeline { .. } => {
                if scene.went_out(to).is_none() {
                    let called = called(to.as_str());
                    return Err(Trouble::Refused(format!("{site} tells of no {called} that went out whole")));
                }
                self.takes(site, to).await?;
                Ok(Doing::Run)
            }
            Way::Manifest { .. } => match self.revision_of(site, to).await? {
                Some(revision) => Ok(Doing::Undo(revision)),
                None => Err(Trouble::Refused(format!(
                    "Gate shows no revision of {site} that runs {to}: its ReplicaSet is gone, or not read yet"
                ))),
            },
        }
    }

    /// Whether the rollback pipeline is there and takes what it is given.
    pub(super) async fn takes(&self, site: &Site, to: &ReleaseId) -> Result<(), Trouble> {
        let Way::Pipeline { pipeline, .. } = &site.way else { return Ok(()) };
        let Some(config) = self.pipeline(site, pipeline).await? else {
            return Err(Trouble::Refused(format!("{site} has no pipeline {pipeline}")));
        };
        match unfit(site, &config, Some(to)) {
            Some(why) => Err(Trouble::Refused(why)),
            None => Ok(()),
        }
    }
}

/// What keeps a rollback pipeline from being run with this release, or with any.
pub(super) fn unfit(site: &Site, config: &Value, to: Option<&ReleaseId>) -> Option<String> {
    let Way::Pipeline { pipeline, rollback_id_parameter } = &site.way else { return None };
    if config["disabled"] == Value::Bool(true) {
        return Some(format!("the pipeline {pipeline} is disabled"));
    }
    let declared: Vec<&Value> = config["parameterConfig"].as_array().into_iter().flatten().collect();
    let ours = [site.version_parameter.as_str(), rollback_id_parameter];
    if let Some(missing) = ours.iter().find(|name| !declared.iter().any(|one| one["name"] == **name)) {
        return Some(format!("the pipeline {pipeline} declares no parameter {missing}"));
    }
    let is_open = |one: &&&Value| {
        let has_default = one["default"].as_str().is_some_and(|default| !default.is_empty());
        let is_ours = one["name"].as_str().is_some_and(|name| ours.contains(&name));
        one["required"] == Value::Bool(true) && !has_default && !is_ours
    };
    if let Some(open) = declared.iter().find(is_open) {
        let name = open["name"].as_str().unwrap_or_default();
        return Some(format!(
            "the pipeline {pipeline} asks for {name}, which nobody here knows: give it a default"
        ));
    }
    let version = declared.iter().find(|one| one["name"] == site.version_parameter.as_str())?;
    let options = version["options"].as_array().filter(|_| version["hasOptions"] == Value::Bool(true))?;
    let to = to?;
    let is_one = options.iter().any(|option| option["value"] == to.as_str());
    (!is_one).then(|| {
        format!("the pipeline {pipeline} takes no {} {to}: it is none of its options", site.version_parameter)
    })
}

fn cancel(site: &Site, run: &Run, to: &ReleaseId) -> Act {
    let says =
        format!("cancel execution {} of {}, which puts {} out", run.id, site.deploy_pipeline, run.called());
    let doing = Doing::Cancel { execution: run.id.clone() };
    Work { site: site.clone(), doing, to: to.clone() }.act(crate::case::step::Class::A, says)
}

fn says(site: &Site, doing: &Doing, to: &ReleaseId) -> String {
    let called = called(to.as_str());
    match (doing, &site.way) {
        (Doing::Undo(revision), Way::Manifest { deployment, location, .. }) => format!(
            "undo the rollout of deployment {deployment} in {location} to revision {} ({called})",
            revision.number
        ),
        (_, Way::Pipeline { pipeline, .. }) => {
            format!("run the pipeline {pipeline} of {site} with {} {to}", site.version_parameter)
        }
        (_, Way::Manifest { .. }) => String::new(),
    }
}

/// How long the last rollback took, else the last that went out.
fn took(scene: &Scene) -> Option<crate::case::id::Duration> {
    let whole = |run: &&Run| run.is_whole();
    let last_back = scene.runs.iter().rfind(|run| whole(run) && run.kind == super::run::Kind::Rollback);
    let run = last_back.or_else(|| scene.runs.iter().rfind(whole))?;
    let took = run.ended?.duration_since(run.began);
    (!took.is_negative() && !took.is_zero()).then_some(took)
}
