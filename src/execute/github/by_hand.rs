//! The commands by which a person does the same, with GitHub's own `gh`.

use super::work::{Doing, Work};
use super::{GitHub, Site};
use crate::case::id::ReleaseId;
use crate::case::step::Act;
use crate::execute::shell;

/// A key of the moment at which it is run: nobody looks for it, and a workflow that refuses known ones takes it.
const KEY: &str = "-f rollback_id=by-hand-\"$(date +%s)\"";

impl GitHub {
    pub(in crate::execute) fn by_hand(
        &self,
        act: &Act,
        to: &ReleaseId,
        reason: &str,
    ) -> Result<String, String> {
        let work = Work::read(act, to).map_err(|trouble| trouble.to_string())?;
        let site = &work.site;
        match work.doing {
            Doing::Cancel { run, .. } => {
                let run = run.to_string();
                shell(["gh", "run", "cancel", &run, "--repo", &self.repo(site)])
            }
            Doing::Dispatch => self.started(site, to.as_str(), reason),
            Doing::Record => self.written_by_hand(site, to.as_str()),
            Doing::Confirm => {
                let path = format!("repos/{}/deployments/DEPLOYMENT-ID/statuses", site.repository);
                shell(self.api_words(&[path.as_str(), "-f", "state=success"]).iter().map(String::as_str))
            }
        }
    }

    /// For a service of which nothing could be read.
    pub(in crate::execute) fn by_hand_unplanned(
        &self,
        site: &Site,
        to: Option<&ReleaseId>,
        reason: &str,
    ) -> Vec<String> {
        let to = to.map_or("COMMIT", ReleaseId::as_str);
        let history = format!(
            "repos/{}/deployments?environment={}",
            site.repository,
            form_urlencoded::byte_serialize(site.environment.as_bytes()).collect::<String>()
        );
        let lines = [
            shell(
                self.api_words(&[history.as_str(), "--jq", ".[] | [.id, .sha, .created_at] | @tsv"])
                    .iter()
                    .map(String::as_str),
            ),
            self.started(site, to, reason),
        ];
        lines.into_iter().filter_map(Result::ok).collect()
    }

    fn started(&self, site: &Site, to: &str, reason: &str) -> Result<String, String> {
        let (sha, environment) = (format!("sha={to}"), format!("environment={}", site.environment));
        let reason = format!("reason={reason}");
        let repo = self.repo(site);
        let words = ["gh", "workflow", "run", &site.workflow, "--repo", &repo, "--ref", &site.branch];
        let inputs = ["-f", &sha, "-f", &environment, "-f", &reason];
        Ok(format!("{} {KEY}", shell(words.into_iter().chain(inputs))?))
    }

    fn written_by_hand(&self, site: &Site, to: &str) -> Result<String, String> {
        let path = format!("repos/{}/deployments", site.repository);
        let (commit, environment) = (format!("ref={to}"), format!("environment={}", site.environment));
        let fields = ["-f", &commit, "-f", &environment, "-f", "task=rollback"];
        let rest = ["-F", "auto_merge=false", "-F", "required_contexts[]"];
        let words = self.api_words(&[&[path.as_str()], &fields[..], &rest[..]].concat());
        shell(words.iter().map(String::as_str))
    }

    fn api_words(&self, rest: &[&str]) -> Vec<String> {
        let mut words = vec!["gh".to_owned(), "api".to_owned()];
        words.extend(self.host().map(|host| ["--hostname".to_owned(), host]).into_iter().flatten());
        words.extend(rest.iter().map(|word| (*word).to_owned()));
        words
    }

    /// The repository as `gh` takes it: with its host where that is not GitHub's own.
    fn repo(&self, site: &Site) -> String {
        match self.host() {
            Some(host) => format!("{host}/{}", site.repository),
            None => site.repository.clone(),
        }
    }

    fn host(&self) -> Option<String> {
        let web = self.web();
        let host = web.split("://").nth(1).unwrap_or(&web).to_owned();
        (host != "github.com").then_some(host)
    }
}
