//! Whether a rollback could be done: Gate answers, knows us, and lets us; the pipelines are there and take what they are given. Reads only.

use serde_json::Value;

use super::gate::segment;
use super::proposal::unfit;
use super::{Site, Spinnaker, Way};
use crate::execute::Finding;
use crate::outbound::Trouble;

fn finding(says: String, remedy: &str) -> Finding {
    Finding { says, remedy: remedy.to_owned() }
}

impl Spinnaker {
    pub(super) async fn reach(&self, site: &Site) -> Vec<Finding> {
        let user = match self.read("ask Gate who we are", "/auth/user").await {
            Ok(user) => user,
            // A Gate that lets everybody in need not say who.
            Err(Trouble::Refused(why)) if !why.contains("401") => {
                tracing::debug!(why, "Gate does not say who we are");
                Value::Null
            }
            Err(trouble) => {
                return vec![finding(
                    trouble.to_string(),
                    "see `url`, and `token` or `client`, of the provider",
                )];
            }
        };
        let path = format!("/applications/{}?expand=false", segment(&site.application));
        let application = match self.read(&format!("read {site}"), &path).await {
            Ok(application) => application,
            Err(trouble) => {
                return vec![finding(
                    trouble.to_string(),
                    "see `application`, and give READ on it to its account",
                )];
            }
        };
        let mut found: Vec<Finding> = self.missing_right(site, &user, &application).into_iter().collect();
        found.extend(self.pipelines(site).await);
        if found.is_empty() {
            found.extend(self.history_is_read(site).await);
        }
        found
    }

    /// As far as the application says who may, and Gate what roles we have.
    fn missing_right(&self, site: &Site, user: &Value, application: &Value) -> Option<Finding> {
        let right = if matches!(site.way, Way::Pipeline { .. }) { "EXECUTE" } else { "WRITE" };
        let permissions = application.pointer("/attributes/permissions").filter(|all| all.is_object())?;
        let named = permissions[right].as_array();
        // Fiat lets whoever may READ execute, where nobody is named for it (`defaultExecute`).
        let may = named.or_else(|| permissions["READ"].as_array().filter(|_| right == "EXECUTE"))?;
        let roles: Vec<&Value> = user["roles"].as_array()?.iter().collect();
        let alike = |one: &Value, other: &Value| {
            one.as_str().zip(other.as_str()).is_some_and(|(one, other)| one.eq_ignore_ascii_case(other))
        };
        let has_it = may.is_empty() || may.iter().any(|role| roles.iter().any(|of| alike(of, role)));
        if has_it || user["isAdmin"] == Value::Bool(true) {
            return None;
        }
        let who = user["username"].as_str().unwrap_or("its account");
        let says = format!("{who}, whom Gate takes us for, has no role that may {right} on {site}");
        Some(finding(says, "give it the rights of deploy/spinnaker-permissions.json"))
    }

    async fn pipelines(&self, site: &Site) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut names = vec![("deploy_pipeline", site.deploy_pipeline.as_str())];
        if let Way::Pipeline { pipeline, .. } = &site.way {
            names.push(("pipeline", pipeline));
        }
        for (key, name) in names {
            let remedy = format!("see `{key}` of the service's target");
            match self.pipeline(site, name).await {
                Err(trouble) => found.push(finding(trouble.to_string(), &remedy)),
                Ok(None) => found.push(finding(format!("{site} has no pipeline {name}"), &remedy)),
                Ok(Some(config)) if key == "pipeline" => found.extend(unfit(site, &config, None).map(|why| {
                    finding(why, "let it be as deploy/spinnaker-rollback-pipeline.json, or name its parameters in the target")
                })),
                Ok(Some(_)) => {}
            }
        }
        found
    }

    async fn history_is_read(&self, site: &Site) -> Option<Finding> {
        let scene = match self.scene(site).await {
            Ok(scene) => scene,
            Err(trouble) => {
                return Some(finding(
                    trouble.to_string(),
                    "see the service's target, and give READ on its account",
                ));
            }
        };
        let nameless = scene.runs.iter().all(|run| run.release.is_none()) && !scene.runs.is_empty();
        let says = format!("no execution of {} says which release it puts out", site.deploy_pipeline);
        let remedy = "give the pipeline the parameter `version_parameter` of the target, or name its image with `artifact`";
        if nameless {
            return Some(finding(says, remedy));
        }
        let current = scene.current()?;
        if matches!(site.way, Way::Manifest { .. }) {
            return match self.revision_of(site, &current).await {
                Ok(Some(_)) => None,
                Ok(None) => Some(finding(
                    format!("Gate shows no revision of {site} for what serves"),
                    "see `account`, `location` and `manifest`, and that Spinnaker caches ReplicaSets of the account",
                )),
                Err(trouble) => {
                    Some(finding(trouble.to_string(), "see `account`, `location` and `manifest`"))
                }
            };
        }
        None
    }
}
