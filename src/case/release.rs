//! A release: what was put there, by the identity of its artifact, with what people and pipelines said about it.
//! Leaves to `ledger` whether it is good.

use super::id::{ChangeId, ReleaseId};

/// What was or will be put on a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// The artifact. Two deployments of one artifact are one release.
    pub id: ReleaseId,
    /// What people call it, such as `v42`.
    pub version: Option<String>,
    /// The commit that it was built from.
    pub commit: Option<String>,
    /// Who made it; unknown is not nobody.
    pub author: Option<String>,
    /// The change that it belongs to, shared by services that went out together.
    pub change: Option<ChangeId>,
    /// Where a person can read about it.
    pub links: Vec<String>,
    /// What it says about going back over it.
    pub marks: MigrationMarks,
    /// Whether the artifact can be put out again. `None`: nobody looked.
    pub artifact_exists: Option<bool>,
}

impl Release {
    /// A release of which nothing but its artifact is known.
    pub fn bare(id: ReleaseId) -> Release {
        Release {
            id,
            version: None,
            commit: None,
            author: None,
            change: None,
            links: Vec::new(),
            marks: MigrationMarks::default(),
            artifact_exists: None,
        }
    }

    /// What people call it: its version, else its artifact.
    pub fn called(&self) -> &str {
        self.version.as_deref().unwrap_or(self.id.as_str())
    }

    /// Fills what this knows not from what another notice of the same release says.
    pub fn learn(&mut self, other: &Release) {
        let fill = |mine: &mut Option<String>, theirs: &Option<String>| {
            if theirs.is_some() {
                mine.clone_from(theirs);
            }
        };
        fill(&mut self.version, &other.version);
        fill(&mut self.commit, &other.commit);
        fill(&mut self.author, &other.author);
        if other.change.is_some() {
            self.change.clone_from(&other.change);
        }
        for link in &other.links {
            if !self.links.contains(link) && self.links.len() < LINKS_MAX {
                self.links.push(link.clone());
            }
        }
        if other.marks != MigrationMarks::default() {
            self.marks = other.marks;
        }
        if other.artifact_exists.is_some() {
            self.artifact_exists = other.artifact_exists;
        }
    }
}

/// Links kept for one release: more would be a notice gone wrong.
const LINKS_MAX: usize = 8;

/// What a release says about its schema: the words of `release.toml`, annotations and notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MigrationMarks {
    /// Whether one can go back over this release.
    pub rollback: Option<RollbackMark>,
    /// The schema that it brings.
    pub schema_version: Option<i64>,
    /// The oldest schema that it can run on.
    pub min_compatible_schema: Option<i64>,
}

impl MigrationMarks {
    /// Of what two say about one release, each time what allows less; what only one says counts.
    pub fn stricter(self, other: MigrationMarks) -> MigrationMarks {
        MigrationMarks {
            rollback: self.rollback.max(other.rollback),
            schema_version: self.schema_version.max(other.schema_version),
            min_compatible_schema: self.min_compatible_schema.max(other.min_compatible_schema),
        }
    }
}

/// `rollback = "safe" | "expand" | "contract" | "irreversible"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RollbackMark {
    /// No migration, or one that old code does not see.
    Safe,
    /// Adds to the schema: old code runs on it.
    Expand,
    /// Takes from the schema: old code may miss what it took.
    Contract,
    /// Nothing leads back.
    Irreversible,
}

impl RollbackMark {
    /// The word as people write it.
    pub fn word(self) -> &'static str {
        match self {
            RollbackMark::Safe => "safe",
            RollbackMark::Expand => "expand",
            RollbackMark::Contract => "contract",
            RollbackMark::Irreversible => "irreversible",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<RollbackMark> {
        [RollbackMark::Safe, RollbackMark::Expand, RollbackMark::Contract, RollbackMark::Irreversible]
            .into_iter()
            .find(|mark| mark.word() == word)
    }
}
