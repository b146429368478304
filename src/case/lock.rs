//! The lock: a release that was rolled back may not go out again until somebody unlocks it. Owns what a pipeline is answered that asks
//! before it puts a release out; leaves to `carry` and `ask` who locks and unlocks.

use super::id::ReleaseId;
use super::ledger::{Ledger, Page};

/// The fewest characters by which a commit is known: what git shows by itself.
const COMMIT_MIN: usize = 7;

/// Whether a release may go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It may.
    Free,
    /// It is locked.
    Locked {
        /// What `unlock` takes.
        release: ReleaseId,
        /// Why.
        why: String,
    },
    /// Nobody has heard of it: it may.
    Unknown,
}

impl Ledger {
    /// Whether what a pipeline calls so may go out: by its artifact, its version or its commit. Where several are called so, one that is
    /// locked counts.
    pub fn passage(&self, called: &str) -> Passage {
        let mut named = self.pages.values().filter(|page| is_called(page, called)).peekable();
        if named.peek().is_none() {
            return Passage::Unknown;
        }
        let locked = named.find_map(|page| Some((page.release.id.clone(), page.lock.clone()?)));
        locked.map_or(Passage::Free, |(release, why)| Passage::Locked { release, why })
    }
}

fn is_called(page: &Page, called: &str) -> bool {
    let release = &page.release;
    let by_commit = |commit: &String| {
        let (commit, called) = (commit.to_ascii_lowercase(), called.to_ascii_lowercase());
        commit == called || (called.len() >= COMMIT_MIN && commit.starts_with(&called))
    };
    release.id.as_str() == called
        || release.version.as_deref() == Some(called)
        || release.commit.as_ref().is_some_and(by_commit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::ledger::Grade;
    use crate::case::release::Release;

    fn ledger(pages: &[(&str, Option<&str>, &str, bool)]) -> Ledger {
        let mut ledger = Ledger::default();
        for (id, version, commit, locked) in pages {
            let release = Release {
                version: version.map(str::to_owned),
                commit: Some((*commit).to_owned()),
                ..Release::bare(ReleaseId::new(id))
            };
            let lock = locked.then(|| "rolled back in case checkout@production.1".to_owned());
            let page = Page { release, grade: Grade::Bad, why: String::new(), lock, tainted_at: None };
            ledger.pages.insert(ReleaseId::new(id), page);
        }
        ledger
    }

    #[test]
    fn a_release_is_known_by_artifact_version_and_commit() {
        let ledger = ledger(&[
            ("sha256:bad", Some("v42"), "c0ffee1234567890", true),
            ("sha256:good", Some("v41"), "beef00aa11223344", false),
        ]);
        for called in ["sha256:bad", "v42", "c0ffee1234567890", "C0FFEE1", "c0ffee123"] {
            assert!(matches!(ledger.passage(called), Passage::Locked { .. }), "{called}");
        }
        for called in ["sha256:good", "v41", "beef00a"] {
            assert_eq!(ledger.passage(called), Passage::Free, "{called}");
        }
        // Too short to be a commit, a part of a version, and what nobody knows.
        for called in ["c0ffee", "v4", "v43", ""] {
            assert_eq!(ledger.passage(called), Passage::Unknown, "{called}");
        }
    }

    /// One artifact under two numbers, or one commit built twice: what is locked counts.
    #[test]
    fn of_several_of_one_name_a_locked_one_counts() {
        let ledger = ledger(&[("a", Some("v1"), "c0ffee1234", false), ("b", Some("v2"), "c0ffee1234", true)]);
        assert!(
            matches!(ledger.passage("c0ffee1"), Passage::Locked { release, .. } if release.as_str() == "b")
        );
        assert_eq!(ledger.passage("v1"), Passage::Free);
    }
}
