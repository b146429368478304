//! Who somebody is in Slack, and who belongs to which user group. Leaves to `rollcall` what that grants.

use serde::Deserialize;

use super::Slack;
use super::client::Failed;
use crate::outbound::Trouble;

impl Slack {
    /// Who belongs to this user group: active people, by id.
    ///
    /// # Errors
    /// When Slack does not say.
    pub async fn members(&self, usergroup: &str) -> Result<Vec<String>, Trouble> {
        let parameters = vec![("usergroup", Some(usergroup))];
        let listed: Members =
            self.client.get("read a Slack user group", "usergroups.users.list", &parameters).await?;
        Ok(listed.users)
    }

    /// Whether this is a full member of our workspace: no guest, no bot, nobody from elsewhere, nobody who left.
    ///
    /// # Errors
    /// When Slack does not say.
    pub async fn is_full_member(&self, user: &str) -> Result<bool, Trouble> {
        let workspace = self.introduce().await?;
        let parameters = vec![("user", Some(user))];
        match self.client.get::<UserInfo>("read who somebody is in Slack", "users.info", &parameters).await {
            Ok(UserInfo { user }) => Ok(user.is_full_member(&workspace.team)),
            Err(Failed::Said(code)) if matches!(code.as_str(), "user_not_found" | "user_not_visible") => {
                Ok(false)
            }
            Err(failed) => Err(failed.into()),
        }
    }
}

#[derive(Deserialize)]
struct Members {
    users: Vec<String>,
}

#[derive(Deserialize)]
struct UserInfo {
    user: User,
}

/// As `users.info` tells (docs.slack.dev, "user object").
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct User {
    team_id: Option<String>,
    deleted: bool,
    is_bot: bool,
    is_restricted: bool,
    is_ultra_restricted: bool,
    is_stranger: bool,
    is_workflow_bot: bool,
    enterprise_user: Option<EnterpriseUser>,
}

#[derive(Deserialize)]
struct EnterpriseUser {
    #[serde(default)]
    teams: Vec<String>,
}

impl User {
    fn is_full_member(&self, team: &str) -> bool {
        let of_team = self.team_id.as_deref() == Some(team)
            || self.enterprise_user.as_ref().is_some_and(|user| user.teams.iter().any(|one| one == team));
        let less = self.deleted
            || self.is_bot
            || self.is_workflow_bot
            || self.is_restricted
            || self.is_ultra_restricted
            || self.is_stranger;
        of_team && !less
    }
}
