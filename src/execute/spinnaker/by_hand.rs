//! The commands by which a person does the same, with `curl` at Gate. Who a person is stands in variables of their own, and in no command.

use serde_json::{Value, json};

use super::gate::segment;
use super::run::UNDO;
use super::work::{Doing, Work};
use super::{Identity, Site, Spinnaker, Way};
use crate::case::id::ReleaseId;
use crate::case::step::Act;
use crate::execute::shell;

/// What a person's own run keeps in the place of our mark: nobody looks for it.
const BY_HAND: &str = "by-hand";

impl Spinnaker {
    pub(in crate::execute) fn by_hand(&self, act: &Act, to: &ReleaseId) -> Result<String, String> {
        let work = Work::read(act, to).map_err(|trouble| trouble.to_string())?;
        match &work.doing {
            Doing::Cancel { execution } => self.line("PUT", &format!("/pipelines/{execution}/cancel"), None),
            Doing::Run => self.runs(&work.site, to.as_str()),
            Doing::Undo(revision) => self.undoes(&work.site, &revision.number.to_string()),
        }
    }

    /// For a service of which nothing could be read.
    pub(in crate::execute) fn by_hand_unplanned(&self, site: &Site, to: Option<&ReleaseId>) -> Vec<String> {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("pipelineName", site.deploy_pipeline.as_str()), ("size", "10")])
            .finish();
        let search = format!("/applications/{}/executions/search?{query}", segment(&site.application));
        let back = match &site.way {
            Way::Pipeline { .. } => self.runs(site, to.map_or("RELEASE", ReleaseId::as_str)),
            Way::Manifest { .. } => self.undoes(site, "REVISION"),
        };
        [self.line("GET", &search, None), back].into_iter().filter_map(Result::ok).collect()
    }

    fn runs(&self, site: &Site, version: &str) -> Result<String, String> {
        let Way::Pipeline { pipeline, rollback_id_parameter } = &site.way else {
            return Err("it goes back by no pipeline".to_owned());
        };
        let mut parameters = serde_json::Map::new();
        parameters.insert(site.version_parameter.clone(), version.into());
        parameters.insert(rollback_id_parameter.clone(), BY_HAND.into());
        let path = format!("/pipelines/v2/{}/{}", segment(&site.application), segment(pipeline));
        self.line("POST", &path, Some(&json!({ "type": "manual", "parameters": parameters })))
    }

    fn undoes(&self, site: &Site, revision: &str) -> Result<String, String> {
        let Way::Manifest { account, location, deployment } = &site.way else {
            return Err("it goes back by no revision".to_owned());
        };
        let task = json!({
            "application": site.application,
            "description": format!("Undo the rollout of {deployment}"),
            "job": [{
                "type": UNDO, "cloudProvider": "kubernetes", "account": account, "location": location,
                "manifestName": format!("deployment {deployment}"), "revision": revision,
            }],
        });
        self.line("POST", "/tasks", Some(&task))
    }

    fn line(&self, method: &str, path: &str, body: Option<&Value>) -> Result<String, String> {
        let who = match &self.settings.identity {
            Identity::Nobody => "",
            Identity::Token(_) => " --header \"Authorization: Bearer $GATE_TOKEN\"",
            Identity::Certificate { .. } => " --cert \"$GATE_CERTIFICATE\" --key \"$GATE_KEY\"",
        };
        let url = format!("{}{path}", self.settings.url);
        let body = body.map(Value::to_string);
        let mut words = vec!["--request", method];
        words.extend(body.iter().flat_map(|body| ["--json", body.as_str()]));
        words.push(&url);
        Ok(format!("curl --fail-with-body{who} {}", shell(words)?))
    }
}
