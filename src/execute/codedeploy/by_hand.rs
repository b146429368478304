//! What a person runs where Snapback is away: the request of an act as a command of the AWS CLI. Its options are the members of
//! the service model of API version 2014-10-06, in the CLI's spelling.

use serde_json::json;

use super::revision::Pinned;
use super::work::{Create, Doing};
use super::{CodeDeploy, Site};
use crate::case::step::Act;
use crate::execute::shell;

/// The revision that a person has to name.
const REVISION: &str = "REVISION";

impl CodeDeploy {
    pub(in crate::execute) fn by_hand(&self, act: &Act, reason: &str) -> Result<String, String> {
        let unreadable = |trouble: crate::outbound::Trouble| trouble.to_string();
        let site = Site::of(act).map_err(unreadable)?;
        match Doing::of(act).map_err(unreadable)? {
            Doing::Stop { deployment, back } => {
                let back = if back { "--auto-rollback-enabled" } else { "--no-auto-rollback-enabled" };
                self.aws(["stop-deployment", "--deployment-id", &deployment, back])
            }
            Doing::Create(create) => self.create_by_hand(&site, &create, reason),
        }
    }

    fn create_by_hand(&self, site: &Site, create: &Create, reason: &str) -> Result<String, String> {
        let revision = as_json(&create.revision).to_string();
        let description = format!("rolled back by hand: {reason}");
        let mut words = vec![
            "create-deployment",
            "--application-name",
            &site.application,
            "--deployment-group-name",
            &site.group,
            "--revision",
            &revision,
            "--description",
            &description,
            "--auto-rollback-configuration",
            "enabled=false",
        ];
        if let Some(config) = &create.config {
            words.extend(["--deployment-config-name", config]);
        }
        if create.mute_alarms {
            words.extend(["--override-alarm-configuration", "enabled=false,ignorePollAlarmFailure=false"]);
        }
        if create.on_machines {
            words.extend(["--ignore-application-stop-failures", "--no-update-outdated-instances-only"]);
        }
        if let Some(behaviour) = &create.file_exists {
            words.extend(["--file-exists-behavior", behaviour]);
        }
        self.aws(words)
    }

    pub(in crate::execute) fn by_hand_unplanned(&self, site: &Site, reason: &str) -> Vec<String> {
        let group = ["--application-name", &site.application, "--deployment-group-name", &site.group];
        let description = format!("rolled back by hand: {reason}");
        let list =
            ["list-deployments"].into_iter().chain(group).chain(["--include-only-statuses", "Succeeded"]);
        let create = ["create-deployment"].into_iter().chain(group).chain([
            "--revision",
            REVISION,
            "--description",
            &description,
            "--auto-rollback-configuration",
            "enabled=false",
        ]);
        [self.aws(list), self.aws(["get-deployment", "--deployment-id", "DEPLOYMENT"]), self.aws(create)]
            .into_iter()
            .filter_map(Result::ok)
            .collect()
    }

    fn aws<'a>(&'a self, words: impl IntoIterator<Item = &'a str>) -> Result<String, String> {
        let endpoint = self.settings.endpoint_url.as_deref().map(|url| ["--endpoint-url", url]);
        let of_region = ["--region", &self.settings.region];
        shell(
            ["aws", "deploy"].into_iter().chain(words).chain(of_region).chain(endpoint.into_iter().flatten()),
        )
    }
}

/// As the CLI takes it.
fn as_json(revision: &Pinned) -> serde_json::Value {
    match revision {
        Pinned::S3 { bucket, key, version, e_tag, bundle } => {
            let mut location = json!({ "bucket": bucket, "key": key });
            for (name, value) in [("version", version), ("eTag", e_tag), ("bundleType", bundle)] {
                if let Some(value) = value {
                    location[name] = value.as_str().into();
                }
            }
            json!({ "revisionType": "S3", "s3Location": location })
        }
        Pinned::GitHub { repository, commit } => json!({
            "revisionType": "GitHub", "gitHubLocation": { "repository": repository, "commitId": commit },
        }),
        Pinned::AppSpec { content, sha256 } => json!({
            "revisionType": "AppSpecContent", "appSpecContent": { "content": content, "sha256": sha256 },
        }),
    }
}
