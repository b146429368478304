//! Whether a rollback could be done, found by reading: who we are, the workflow as it is on its branch, the branch's protection, the
//! environment, and the history.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{GitHub, Site, segment};
use crate::execute::{Finding, Target};
use crate::outbound::Trouble;

/// What the App needs (deploy/github-app-permissions.json), but for `metadata`, which each has.
const NEEDED: [(&str, &str); 3] = [("actions", "write"), ("contents", "read"), ("deployments", "write")];
/// The inputs that the workflow is told.
const INPUTS: [&str; 4] = ["sha", "environment", "rollback_id", "reason"];
const EXAMPLE: &str = "see deploy/rollback.github-actions.yaml";

impl GitHub {
    pub(super) async fn reach(&self, of: &Target, site: &Site) -> Vec<Finding> {
        let found = match self.looked(of, site).await {
            Ok(found) => found,
            Err(trouble) => vec![(trouble.to_string(), "see `url` and `token` or `app` of the provider, and its rights: deploy/github-app-permissions.json".to_owned())],
        };
        found.into_iter().map(|(says, remedy)| Finding { says, remedy }).collect()
    }

    async fn looked(&self, of: &Target, site: &Site) -> Result<Vec<(String, String)>, Trouble> {
        let mut found = Vec::new();
        let permissions = self.access.permissions(&self.api, self.now()).await?;
        found.extend(permissions.as_ref().and_then(lacks).map(|lacks| {
            (format!("the App may not {lacks}"), "give it the rights of deploy/github-app-permissions.json, and accept them where it is installed".to_owned())
        }));
        if let Some(why) = self.not_started(site).await? {
            found.push((why, EXAMPLE.to_owned()));
        }
        if let Some(why) = self.unprotected(site).await? {
            found.push((why, "protect the branch, by a rule or a ruleset".to_owned()));
        }
        found.extend(self.workflow_lacks(site).await?.into_iter().map(|says| (says, EXAMPLE.to_owned())));
        let environment = site.path(&format!("/environments/{}", segment(&site.environment)));
        let doing = format!("read the environment {}", site.environment);
        if let Err(denial) = self.read(&doing, &environment).await? {
            let says = format!("{doing} of {}: {} ({})", site.repository, denial.said, denial.status);
            found.push((says, "name it as `github_environment` in the service's `target`".to_owned()));
        }
        self.picture(&of.service, site).await?;
        Ok(found)
    }

    /// What the workflow's own file lacks, as it is on the branch.
    async fn workflow_lacks(&self, site: &Site) -> Result<Vec<String>, Trouble> {
        let doing = format!("read {} of {}", site.workflow, site.repository);
        let file = segment(&format!(".github/workflows/{}", site.workflow));
        let path = site.path(&format!("/contents/{file}?ref={}", segment(&site.branch)));
        let told = self.must_read(&doing, &path).await?;
        let text: String = told["content"].as_str().unwrap_or_default().split_whitespace().collect();
        let text = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let read = text.and_then(|text| serde_saphyr::from_str::<Value>(&text).ok());
        let Some(workflow) = read else {
            return Ok(vec![format!("{} on {} cannot be read as YAML", site.workflow, site.branch)]);
        };
        Ok(lacking(&workflow)
            .into_iter()
            .map(|what| format!("{} on {} {what}", site.workflow, site.branch))
            .collect())
    }
}

/// What a workflow lacks to be started and found again.
fn lacking(workflow: &Value) -> Vec<String> {
    // YAML 1.1 reads `on` as true.
    let on = workflow.get("on").or_else(|| workflow.get("true")).unwrap_or(&Value::Null);
    let Some(dispatch) = on.get("workflow_dispatch") else {
        return vec!["has no `workflow_dispatch`: nobody can start it".to_owned()];
    };
    let missing: Vec<&str> = INPUTS
        .into_iter()
        .filter(|input| dispatch.get("inputs").and_then(|all| all.get(input)).is_none())
        .collect();
    let mut lacks = Vec::new();
    if !missing.is_empty() {
        lacks.push(format!("takes no input {}: GitHub refuses what it does not take", missing.join(", ")));
    }
    let name = workflow["run-name"].as_str().unwrap_or_default();
    if !name.contains("inputs.rollback_id") {
        lacks.push("does not show `inputs.rollback_id` in its `run-name`: a run whose answer is lost is not found again".to_owned());
    }
    if !name.contains("inputs.sha") {
        lacks.push("does not show `inputs.sha` in its `run-name`: what its job's `environment` tells would have the commit of the branch".to_owned());
    }
    lacks
}

/// The rights that an App lacks.
fn lacks(permissions: &Value) -> Option<String> {
    let has = |name: &str, level: &str| {
        let has = permissions[name].as_str().unwrap_or_default();
        has == level || has == "write" || has == "admin"
    };
    let lacks: Vec<String> = NEEDED
        .iter()
        .filter(|(name, level)| !has(name, level))
        .map(|(name, level)| format!("{level} {name}"))
        .collect();
    (!lacks.is_empty()).then(|| lacks.join(" and "))
}
