//! The commands by which a person does the same, with Argo CD's own `argocd`.

use super::work::{Doing, Off, Work};
use super::{ArgoCd, Site};
use crate::case::id::ReleaseId;
use crate::case::step::Act;
use crate::execute::shell;

impl ArgoCd {
    pub(in crate::execute) fn by_hand(&self, act: &Act, to: &ReleaseId) -> Result<String, String> {
        let work = Work::read(act, to).map_err(|trouble| trouble.to_string())?;
        let site = &work.site;
        match &work.doing {
            Doing::Prepare { off: Off::Already, .. } => self.line(&["get"], site, &[]),
            Doing::Prepare { off: Off::Switched, .. } => {
                self.line(&["patch"], site, &patch("{\"enabled\":false}"))
            }
            Doing::Prepare { off: Off::TakenOut, .. } => self.line(&["patch"], site, &patch("null")),
            // It returns before the operation has ended, and a rollback would be refused until then.
            Doing::Terminate { .. } => {
                let wait = self.line(&["wait"], site, &["--operation".to_owned()])?;
                Ok(format!("{} && {wait}", self.line(&["terminate-op"], site, &[])?))
            }
            Doing::Rollback { entry, .. } => {
                let entry = entry.to_string();
                let mut words = vec![entry];
                words.extend(site.prune.then(|| "--prune".to_owned()));
                self.line(&["rollback"], site, &words)
            }
            Doing::Resume { automated, .. } => {
                let mut automated = automated.clone();
                if let Some(fields) = automated.as_object_mut() {
                    fields.insert("enabled".to_owned(), true.into());
                }
                self.line(&["patch"], site, &patch(&automated.to_string()))
            }
        }
    }

    /// For a service of which nothing could be read.
    pub(in crate::execute) fn by_hand_unplanned(&self, site: &Site) -> Vec<String> {
        let lines = [
            self.line(&["history"], site, &[]),
            self.line(&["patch"], site, &patch("{\"enabled\":false}")),
            self.line(&["rollback"], site, &["ID".to_owned()]),
            self.line(&["wait"], site, &["--health".to_owned()]),
        ];
        lines.into_iter().filter_map(Result::ok).collect()
    }

    fn line(&self, verb: &[&str], site: &Site, rest: &[String]) -> Result<String, String> {
        let server = self.settings.url.split("://").nth(1).unwrap_or(&self.settings.url);
        let name = match &site.namespace {
            Some(namespace) => format!("{namespace}/{}", site.application),
            None => site.application.clone(),
        };
        let mut words: Vec<&str> = vec!["argocd", "app"];
        words.extend(verb);
        words.push(&name);
        words.extend(rest.iter().map(String::as_str));
        words.extend(["--server", server]);
        if self.settings.url.starts_with("http:") {
            words.push("--plaintext");
        }
        shell(words)
    }
}

/// A merge patch of auto-sync.
fn patch(automated: &str) -> Vec<String> {
    let patch = format!("{{\"spec\":{{\"syncPolicy\":{{\"automated\":{automated}}}}}}}");
    ["--type".to_owned(), "merge".to_owned(), "--patch".to_owned(), patch].to_vec()
}
