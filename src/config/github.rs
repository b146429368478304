//! GitHub Actions in the configuration: where GitHub's API is and who we are there, and which workflow takes a service back.

use super::fault::quoted;
use super::providers::{endpoint, quarantine, some_text};
use super::read::{At, Table};
use super::secret::{Secret, secret};
use crate::case::id::Duration;

/// Where the API of github.com is.
const URL: &str = "https://api.github.com";
/// A run shows some seconds after it was asked for (failure model §4).
const QUARANTINE: Duration = Duration::from_secs(90);

/// `[providers.NAME]` of kind `github-actions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitHubSettings {
    /// Where its API is, without a slash at the end.
    pub url: String,
    /// Who we are there.
    pub who: GitHubWho,
    /// How long after a lost reply "not there" is no proof.
    pub quarantine: Duration,
}

/// Who we are at GitHub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitHubWho {
    /// Whoever this token belongs to.
    Token(Secret),
    /// A GitHub App where it is installed.
    App {
        /// The App's id, or its client id.
        id: String,
        /// The installation.
        installation: u64,
        /// The App's private key.
        key: Secret,
    },
}

/// Where a service of kind `github-actions` lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitHubSite {
    /// `OWNER/NAME`.
    pub repository: String,
    /// The workflow's file name.
    pub workflow: String,
    /// The branch whose workflow is run.
    pub branch: String,
    /// The environment of the deployments.
    pub environment: String,
    /// A second run under one `rollback_id` does nothing.
    pub repeatable: bool,
    /// Snapback writes what was put out into the deployments.
    pub record: bool,
}

/// Reads `[providers.NAME]`.
pub(super) fn github(table: &Table<'_>) -> Option<GitHubSettings> {
    let url = match table.text("url") {
        Some(url) => endpoint(table, "url", &url),
        None => (!table.has("url")).then(|| URL.to_owned()),
    };
    let token = secret(table, "token");
    let app = table.table("app").map(|app| app_of(&app));
    if table.has("token") && table.has("app") {
        table.page().fault(table.key_span("app"), "`app` beside `token`", "keep one of them");
        return None;
    }
    if !table.has("token") && !table.has("app") {
        table.missing(
            "token",
            "write app = { id = \"123456\", installation = \"7890123\", private_key = { file = \"app.pem\" } }, or token = { env = \"GITHUB_TOKEN\" }",
        );
    }
    let quarantine = quarantine(table, QUARANTINE, ("url", url.as_deref()), "might start a rollback twice");
    let who = match (token, app) {
        (Some(token), _) => GitHubWho::Token(token.value),
        (None, Some(app)) => app?,
        (None, None) => return None,
    };
    Some(GitHubSettings { url: url?, who, quarantine: quarantine? })
}

/// `{ id, installation, private_key }`.
fn app_of(app: &Table<'_>) -> Option<GitHubWho> {
    let id = some_text(app, "id");
    let installation = some_text(app, "installation");
    let key = secret(app, "private_key");
    if !app.has("private_key") {
        app.missing(
            "private_key",
            "write private_key = { file = \"app.pem\" }, the PEM file that GitHub gave out",
        );
    }
    let installation = installation?;
    let Ok(number) = installation.value.parse::<u64>() else {
        app.page().fault(
            installation.span,
            format!("{} is no installation", quoted(installation.value)),
            "write the number at the end of the address of the installation's page",
        );
        return None;
    };
    Some(GitHubWho::App { id: id?.value.to_owned(), installation: number, key: key?.value })
}

/// `{ repository, workflow, ref, github_environment, repeatable, record }`.
pub(super) fn environment(target: &Table<'_>, of_service: &str) -> Option<GitHubSite> {
    let repository = some_text(target, "repository").and_then(|text| repository(target, &text));
    let workflow = some_text(target, "workflow").and_then(|text| workflow(target, &text));
    let branch = some_text(target, "ref").and_then(|text| branch(target, &text));
    let environment = if target.has("github_environment") {
        some_text(target, "github_environment").map(|text| text.value.to_owned())
    } else {
        Some(of_service.to_owned())
    };
    let repeatable = target.flag("repeatable").is_some_and(|flag| flag.value);
    let record = target.flag("record").is_none_or(|flag| flag.value);
    Some(GitHubSite {
        repository: repository?,
        workflow: workflow?,
        branch: branch?,
        environment: environment?,
        repeatable,
        record,
    })
}

/// A name as GitHub lets owners, repositories and files have it; nothing else is put into an address.
fn is_name(text: &str) -> bool {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text.len() <= 100 && text.chars().all(sound) && text.chars().any(|c| c != '.')
}

fn repository(target: &Table<'_>, text: &At<&str>) -> Option<String> {
    let is_one = text.value.split_once('/').is_some_and(|(owner, name)| is_name(owner) && is_name(name));
    if !is_one {
        target.page().fault(
            text.span.clone(),
            format!("{} is no repository", quoted(text.value)),
            "write it as OWNER/NAME, such as \"acme/checkout\"",
        );
    }
    is_one.then(|| text.value.to_owned())
}

fn workflow(target: &Table<'_>, text: &At<&str>) -> Option<String> {
    let is_one = is_name(text.value) && [".yml", ".yaml"].iter().any(|end| text.value.ends_with(end));
    if !is_one {
        target.page().fault(
            text.span.clone(),
            format!("{} is no workflow's file", quoted(text.value)),
            "write the file's name in .github/workflows, such as \"rollback.yml\"",
        );
    }
    is_one.then(|| text.value.to_owned())
}

fn branch(target: &Table<'_>, text: &At<&str>) -> Option<String> {
    let is_commit = text.value.len() == 40 && text.value.bytes().all(|byte| byte.is_ascii_hexdigit());
    if text.value.starts_with("refs/") || is_commit || text.value.chars().any(|c| c.is_control() || c == ' ')
    {
        target.page().fault(
            text.span.clone(),
            format!("{} is no branch", quoted(text.value)),
            "write the name of a protected branch, such as \"main\": GitHub starts a workflow from nothing else that can be kept in its place",
        );
        return None;
    }
    Some(text.value.to_owned())
}
