//! The commits between two releases: what going back from the one to the other takes away. Facts: the schema `commit-comparison` of GitHub's
//! description; docs.github.com, "Compare two commits".

use serde_json::Value;

use super::asking::no_such;
use super::deployment::short;
use super::{GitHub, Site};
use crate::case::commits::{Commit, Commits};
use crate::case::id::ReleaseId;
use crate::outbound::Trouble;

/// Pages that are read, each of a hundred commits: who puts out more at once knows it without us.
const PAGES_MAX: usize = 3;
/// Commits on one page, the largest.
const PAGE: usize = 100;
/// Of a message so much is kept: its first lines, and trailers of any that is not a book.
const MESSAGE_MAX: usize = 4000;

impl GitHub {
    /// The commits that are in one release and not in the other, oldest first.
    pub(super) async fn range(
        &self,
        site: &Site,
        before: &ReleaseId,
        after: &ReleaseId,
    ) -> Result<Commits, Trouble> {
        let doing = format!("compare commits of {}", site.repository);
        let mut commits = Commits { read: Vec::new(), all: 0 };
        for page in 1..=PAGES_MAX {
            let path = site.path(&format!("/compare/{before}...{after}?per_page={PAGE}&page={page}"));
            let told = self.must_read(&doing, &path).await?;
            let all = told["total_commits"].as_u64().ok_or_else(|| no_such(&doing))?;
            commits.all = u32::try_from(all).unwrap_or(u32::MAX);
            let shown = told["commits"].as_array().ok_or_else(|| no_such(&doing))?;
            commits.read.extend(shown.iter().map(commit));
            if shown.len() < PAGE {
                break;
            }
        }
        Ok(commits)
    }
}

fn commit(told: &Value) -> Commit {
    let text = |of: &Value| of.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let message = told["commit"]["message"].as_str().unwrap_or_default();
    Commit {
        called: short(told["sha"].as_str().unwrap_or_default()).to_owned(),
        author: text(&told["author"]["login"]).or_else(|| text(&told["commit"]["author"]["name"])),
        message: message.chars().take(MESSAGE_MAX).collect(),
    }
}
