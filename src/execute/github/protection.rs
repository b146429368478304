//! Whether a branch is protected: who can change it changes what a rollback runs, with all the rights of its environment. A tag is none:
//! whether a ruleset keeps it in its place is told by no single answer.

use serde_json::Value;

use super::asking::denied;
use super::{GitHub, Site, segment};
use crate::outbound::Trouble;

/// Rules by which nobody changes a branch but by a review, or not at all (schema `repository-rule`).
const KEEPS: [&str; 2] = ["pull_request", "update"];

impl GitHub {
    /// Why the branch is none to run a rollback from; `None`: it is well.
    pub(super) async fn unprotected(&self, site: &Site) -> Result<Option<String>, Trouble> {
        let (branch, repository) = (&site.branch, &site.repository);
        let doing = format!("read the branch {branch} of {repository}");
        let told = match self.read(&doing, &site.path(&format!("/branches/{}", segment(branch)))).await? {
            Ok(told) => told,
            Err(denial) if denial.status == 404 => {
                return Ok(Some(format!(
                    "{repository} has no branch {branch}: let `ref` name a protected branch, which a tag is not"
                )));
            }
            Err(denial) => return Err(denied(&doing, denial, self.now())),
        };
        if told["protected"] == Value::Bool(true) {
            return Ok(None);
        }
        // A ruleset protects too.
        let doing = format!("read the rules for the branch {branch} of {repository}");
        let rules = self
            .must_read(&doing, &site.path(&format!("/rules/branches/{}?per_page=100", segment(branch))))
            .await?;
        let mut rules = rules.as_array().into_iter().flatten();
        let keeps = rules.any(|rule| rule["type"].as_str().is_some_and(|rule| KEEPS.contains(&rule)));
        Ok((!keeps).then(|| {
            format!(
                "the branch {branch} of {repository} is not protected: whoever pushes there changes what a rollback runs; protect it, or let `ref` name one that is"
            )
        }))
    }
}
