//! What a commit says of itself: its author, trailers of its message, and whether the repository still has it.

use std::sync::PoisonError;

use serde_json::Value;

use super::asking::{denied, no_such};
use super::{GitHub, Site};
use crate::execute::trailers::Trailers;
use crate::outbound::Trouble;

/// Commits that are remembered: the histories of some hundred services.
const KNOWN_MAX: usize = 5000;

/// What a commit says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) author: Option<String>,
    pub(super) link: Option<String>,
    pub(super) trailers: Trailers,
    /// The repository has it no more.
    pub(super) is_gone: bool,
}

impl Said {
    fn read(told: &Value, sha: &str) -> Option<Said> {
        if !told["sha"].as_str().is_some_and(|told| told.eq_ignore_ascii_case(sha)) {
            return None;
        }
        let text = |of: &Value| of.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        Some(Said {
            author: text(&told["author"]["login"]).or_else(|| text(&told["commit"]["author"]["name"])),
            link: text(&told["html_url"]),
            trailers: Trailers::of(told["commit"]["message"].as_str().unwrap_or_default()),
            is_gone: false,
        })
    }
}

impl GitHub {
    /// What a commit says of itself.
    pub(super) async fn said(&self, site: &Site, sha: &str) -> Result<Said, Trouble> {
        let key = format!("{} {sha}", site.repository);
        let known = self.commits.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let doing = format!("read what commit {sha} of {} says", site.repository);
        let said = match self.read(&doing, &site.path(&format!("/commits/{sha}?per_page=1"))).await? {
            Ok(told) => Said::read(&told, sha).ok_or_else(|| no_such(&doing))?,
            // "No commit found for SHA". Not remembered: somebody may push it again.
            Err(denial) if denial.status == 422 => return Ok(Said { is_gone: true, ..Said::default() }),
            Err(denial) => return Err(denied(&doing, denial, self.now())),
        };
        let mut known = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        while known.len() >= KNOWN_MAX {
            known.pop_first();
        }
        known.insert(key, said.clone());
        Ok(said)
    }
}
