//! What a commit says about the release that it makes: its author, its tags, and trailers of its message, which only its repository
//! knows and Argo CD tells.

use std::sync::PoisonError;

use serde_json::Value;

use super::application::{Content, Entry, is_commit};
use super::{ArgoCd, Site};
use crate::case::id::ChangeId;
use crate::case::release::{MigrationMarks, Release};
use crate::execute::trailers::Trailers;
use crate::outbound::{CallError, Trouble};

/// Commits that are remembered: the histories of some hundred Applications.
const KNOWN_MAX: usize = 2000;
/// What git says of a commit that is not in the repository any more, naming it. Anything else that fails says nothing of the commit: a
/// repository that cannot be reached, a history that is not there yet.
const GONE: [&str; 5] =
    ["unknown revision", "bad object", "not our ref", "unable to resolve", "not a valid object name"];

/// What a commit says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Metadata {
    author: Option<String>,
    tag: Option<String>,
    change: Option<ChangeId>,
    marks: MigrationMarks,
    /// The repository has it no more.
    is_gone: bool,
}

impl Metadata {
    fn of(told: &Value) -> Metadata {
        let text = |name: &str| told[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let message = text("message").unwrap_or_default();
        let Trailers { change, marks } = Trailers::of(&message);
        Metadata {
            author: text("author"),
            tag: told["tags"].as_array().and_then(|tags| tags.first()?.as_str()).map(str::to_owned),
            change,
            marks,
            is_gone: false,
        }
    }
}

impl ArgoCd {
    /// The release of a history entry, or of an operation, which has no number.
    pub(super) async fn release_of(
        &self,
        site: &Site,
        content: &Content,
        entry: Option<&Entry>,
    ) -> Result<Release, Trouble> {
        let mut release = Release::bare(content.release());
        release.version = Some(content.called());
        release.commit = content.commit().map(str::to_owned);
        let mut is_whole = true;
        for (nth, revision) in content.revisions.iter().enumerate() {
            if !is_commit(revision) {
                continue;
            }
            let of_many = content.revisions.len() > 1;
            let told = self.metadata(site, revision, nth, entry.map(|entry| entry.id)).await?;
            release.author = release.author.or(told.author);
            release.change = release.change.or(told.change);
            release.marks = release.marks.stricter(told.marks);
            if let (false, Some(tag)) = (of_many, told.tag) {
                release.version = Some(tag);
            }
            is_whole &= !told.is_gone;
        }
        // Of what is not in the history Argo CD asks the repository of today, which need not be the one it came from.
        let looked = entry.is_some() && content.revisions.iter().any(|one| is_commit(one));
        release.artifact_exists = looked.then_some(is_whole);
        Ok(release)
    }

    async fn metadata(
        &self,
        site: &Site,
        revision: &str,
        source: usize,
        entry: Option<i64>,
    ) -> Result<Metadata, Trouble> {
        let key = format!("{site} {revision} {source}");
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let doing = format!("read what commit {revision} of {site} says");
        let (source, entry) = (source.to_string(), entry.map(|entry| entry.to_string()));
        // By its entry the repository is asked from which it was put out.
        let mut query = vec![("sourceIndex", source.as_str())];
        query.extend(entry.as_deref().map(|entry| ("versionId", entry)));
        let path = site.path(&format!("/revisions/{revision}/metadata"), &query);
        let told = match self.api.get(&doing, &path).await? {
            Ok(told) if told.is_object() => Metadata::of(&told),
            Ok(_) => {
                return Err(CallError::Answer { doing, said: "the answer is none".into() }.into());
            }
            // Not remembered: a commit may come back.
            Err(denial)
                if denial.said.contains(revision) && GONE.iter().any(|word| denial.said.contains(word)) =>
            {
                return Ok(Metadata { is_gone: true, ..Metadata::default() });
            }
            Err(denial) => return Err(super::denied(&doing, denial)),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        while known.len() >= KNOWN_MAX {
            known.pop_first();
        }
        known.insert(key, told.clone());
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::case::release::RollbackMark;

    #[test]
    fn a_commit_says_what_it_does_to_the_schema() {
        let message = "drop the old column\n\nSnapback-Rollback: contract\nsnapback-schema-version: 7\nSnapback-Change: C-1\n";
        let told =
            Metadata::of(&json!({ "author": "ann <ann@example.com>", "message": message, "tags": ["v3"] }));
        assert_eq!(told.marks.rollback, Some(RollbackMark::Contract));
        assert_eq!((told.marks.schema_version, told.change), (Some(7), Some(ChangeId::new("C-1"))));
        assert_eq!(
            (told.tag.as_deref(), told.author.as_deref()),
            (Some("v3"), Some("ann <ann@example.com>"))
        );
        let other = Metadata::of(&json!({ "message": "x\n\nSnapback-Rollback: perhaps" }));
        assert_eq!(other.marks.rollback, Some(RollbackMark::Irreversible));
        assert_eq!(Metadata::of(&json!({ "message": "rollback: safe" })).marks.rollback, None);
    }
}
