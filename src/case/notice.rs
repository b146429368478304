//! A notice: what a feed tells of one deployment. The provider's own history is the authority on what was put out; a notice
//! makes it be read at once, and adds what pipelines know of the release. A change that no provider lists (configuration, a
//! flag, infrastructure) is a deployment by its notice alone. Leaves to `refresh` what follows from one.

use super::brief::LINK;
use super::deployment::{ChangeKind, Deployment, DeploymentOrigin, DeploymentStatus};
use super::id::{DeploymentId, ReleaseId, ServiceId, SourceName, Timestamp};
use super::release::Release;
use super::signal::Labels;

/// Notices kept for one service: facts of releases that its provider does not show yet, and what late ones are compared with.
pub const NOTICES_MAX: usize = 64;

/// The shortest beginning of a commit that counts as one: git's own default is seven.
const COMMIT_MIN: usize = 7;

/// What a feed tells of one deployment, as far as it was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Who tells it.
    pub feed: SourceName,
    /// The feed's own name of the deployment: the same through all that is told of it.
    pub id: String,
    /// What leads to a service.
    pub labels: Labels,
    /// What is said of the release. Its id is the feed's word for it, and may be none that the provider knows.
    pub release: Release,
    /// What kind of change it is.
    pub change: ChangeKind,
    /// How it stands.
    pub status: DeploymentStatus,
    /// When it stood so, by the feed's clock.
    pub at: Timestamp,
    /// When it began, by the feed's clock.
    pub started_at: Option<Timestamp>,
    /// Who began it.
    pub by: Option<String>,
    /// It went back, by somebody else's hand.
    pub rollback: bool,
    /// When it reached us.
    pub received_at: Timestamp,
}

impl Notice {
    /// Whether both tell of one deployment.
    pub fn is_of(&self, other: &Notice) -> bool {
        self.feed == other.feed && self.id == other.id
    }

    /// Both together, in whatever order they came: an end is not taken back by an earlier word, the last end counts, and the
    /// first beginning; a mark is not taken back by a word that does not speak of it, or allows more.
    pub fn with(&self, other: &Notice) -> Notice {
        let newer = if self.rank() >= other.rank() { self } else { other };
        let older = if self.rank() >= other.rank() { other } else { self };
        let mut both = newer.clone();
        both.release = older.release.clone();
        both.release.learn(&newer.release);
        both.release.id = newer.release.id.clone();
        both.release.marks = self.release.marks.stricter(other.release.marks);
        both.started_at = [self.began(), other.began()].into_iter().min();
        both.by = newer.by.clone().or_else(|| older.by.clone());
        both.rollback |= older.rollback;
        both.received_at = self.received_at.max(other.received_at);
        both
    }

    /// What wins: an end over what is going on, then the later word.
    fn rank(&self) -> (bool, Timestamp, &'static str) {
        (self.status != DeploymentStatus::GoingOut, self.at, self.status.word())
    }

    /// When it began, as far as is known.
    pub fn began(&self) -> Timestamp {
        self.started_at.unwrap_or(self.at).min(self.at)
    }

    /// Whether it speaks of this release of the provider's: by artifact, by version, or by commit.
    pub fn names(&self, release: &Release) -> bool {
        let same = |mine: &Option<String>, theirs: &Option<String>| {
            mine.as_deref().zip(theirs.as_deref()).is_some_and(|(mine, theirs)| mine == theirs)
        };
        let commit = self.release.commit.as_deref().zip(release.commit.as_deref());
        self.release.id == release.id
            || same(&self.release.version, &release.version)
            || commit.is_some_and(|(mine, theirs)| is_one_commit(mine, theirs))
    }

    /// The deployment that a change of no provider's is.
    pub fn deployment(&self, service: &ServiceId) -> Deployment {
        let ended = self.status != DeploymentStatus::GoingOut;
        let link = self.release.links.first().map(|link| (LINK.to_owned(), link.clone()));
        Deployment {
            id: DeploymentId::new(format!("{}/{}", self.feed, self.id)),
            service: service.clone(),
            release: self.release.id.clone(),
            started_at: self.began(),
            traffic_at: None,
            finished_at: ended.then_some(self.at),
            status: self.status,
            by: self.by.clone(),
            origin: if self.rollback { DeploymentOrigin::Rollback } else { DeploymentOrigin::Ordinary },
            change: self.change,
            labels: self.labels.clone().into_iter().chain(link).collect(),
            our_clock: false,
        }
    }
}

/// What these notices say of a release, beside what its provider says: the provider's word stands, and of all marks the one
/// that allows less. Who took something back is not its author.
pub fn informed(release: &Release, notices: &[Notice]) -> Release {
    let mut told: Vec<&Notice> =
        notices.iter().filter(|notice| !notice.rollback && notice.names(release)).collect();
    told.sort_by_key(|notice| notice.rank());
    let mut informed = Release::bare(release.id.clone());
    let mut marks = release.marks;
    for notice in told {
        informed.learn(&notice.release);
        marks = marks.stricter(notice.release.marks);
    }
    informed.learn(release);
    informed.marks = marks;
    informed
}

fn is_one_commit(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    short.len() >= COMMIT_MIN
        && long.get(..short.len()).is_some_and(|start| start.eq_ignore_ascii_case(short))
}

/// The name of a release of which a feed says nothing better.
pub fn unnamed(feed: &SourceName, id: &str) -> ReleaseId {
    ReleaseId::new(format!("{feed}/{id}"))
}

#[cfg(test)]
mod tests {
    use super::super::release::{MigrationMarks, RollbackMark};
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_772_442_000 + minute * 60).expect("a moment")
    }

    fn notice(status: DeploymentStatus, minute: i64) -> Notice {
        let feed = SourceName::feed("flags");
        Notice {
            release: Release { author: Some("ana".into()), ..Release::bare(unnamed(&feed, "7")) },
            feed,
            id: "7".into(),
            labels: Labels::new(),
            change: ChangeKind::Flag,
            status,
            at: at(minute),
            started_at: None,
            by: None,
            rollback: false,
            received_at: at(60),
        }
    }

    /// Every order in which these can come.
    fn orders<T: Clone>(all: &[T]) -> Vec<Vec<T>> {
        if all.is_empty() {
            return vec![Vec::new()];
        }
        let each = (0..all.len()).flat_map(|first| {
            let mut rest = all.to_vec();
            let taken = rest.remove(first);
            orders(&rest).into_iter().map(move |order| [vec![taken.clone()], order].concat())
        });
        each.collect()
    }

    #[test]
    fn in_whatever_order_notices_come_they_say_the_same() {
        use DeploymentStatus::{Failed, Finished, GoingOut, Stopped};
        for told in [
            vec![notice(GoingOut, 1), notice(GoingOut, 2), notice(Finished, 5)],
            vec![notice(GoingOut, 1), notice(Finished, 5), notice(Finished, 5), notice(Failed, 6)],
            vec![notice(GoingOut, 9), notice(Finished, 5), notice(Stopped, 5), notice(GoingOut, 3)],
        ] {
            let mut seen: Vec<Notice> = Vec::new();
            for order in orders(&told) {
                let first = order[0].clone();
                let whole = order.iter().fold(first, |known, next| known.with(next));
                seen.push(whole);
            }
            assert!(seen.iter().all(|one| *one == seen[0]), "{seen:#?}");
        }
        let late = notice(Finished, 5).with(&notice(GoingOut, 9));
        assert_eq!((late.status, late.at), (Finished, at(5)), "an end is not taken back");
        assert_eq!(late.began(), at(5), "what began after its end began with it");
        let whole = notice(Finished, 5).with(&notice(GoingOut, 1));
        assert_eq!((whole.began(), whole.at), (at(1), at(5)));
    }

    /// A schema's number says nothing of the way back: it does not make it free.
    #[test]
    fn in_whatever_order_marks_come_the_strictest_counts() {
        let marked = |id: &str, minute, rollback, schema_version| {
            let marks = MigrationMarks { rollback, schema_version, min_compatible_schema: None };
            let release = Release { marks, ..Release::bare("42".into()) };
            Notice { id: id.into(), release, ..notice(DeploymentStatus::Finished, minute) }
        };
        let strictest = MigrationMarks {
            rollback: Some(RollbackMark::Contract),
            schema_version: Some(8),
            min_compatible_schema: None,
        };
        let told = [
            marked("7", 1, Some(RollbackMark::Contract), None),
            marked("7", 2, None, Some(8)),
            marked("7", 3, Some(RollbackMark::Safe), Some(7)),
            marked("7", 4, None, None),
        ];
        for order in orders(&told) {
            let first = order[0].clone();
            let whole = order.iter().fold(first, |known, next| known.with(next));
            assert_eq!(whole.release.marks, strictest, "of one deployment: {order:#?}");
        }
        // The same of four deployments of one release.
        let told: Vec<Notice> = told
            .into_iter()
            .zip(["a", "b", "c", "d"])
            .map(|(one, id)| Notice { id: id.into(), ..one })
            .collect();
        let schema = MigrationMarks { schema_version: Some(5), ..MigrationMarks::default() };
        for order in orders(&told) {
            let provider = Release { marks: schema, ..Release::bare("42".into()) };
            assert_eq!(informed(&provider, &order).marks, strictest, "of four: {order:#?}");
        }
    }

    #[test]
    fn a_release_is_known_by_artifact_version_or_commit() {
        let release = Release {
            version: Some("v42".into()),
            commit: Some("9f2c1ab04d5e6f708192a3b4c5d6e7f801234567".into()),
            ..Release::bare("42".into())
        };
        let told = |id: &str, version: Option<&str>, commit: Option<&str>| {
            let said = Release {
                version: version.map(Into::into),
                commit: commit.map(Into::into),
                ..Release::bare(id.into())
            };
            Notice { release: said, ..notice(DeploymentStatus::Finished, 1) }.names(&release)
        };
        assert!(told("42", None, None) && told("x", Some("v42"), None));
        assert!(told("x", None, Some("9f2c1ab04d5e6f708192a3b4c5d6e7f801234567")));
        assert!(
            told("x", None, Some("9F2C1AB")) && !told("x", None, Some("9f2c1a")),
            "seven letters of a commit"
        );
        assert!(!told("x", Some("v43"), Some("0000000")) && !told("x", None, None));
    }

    #[test]
    fn the_providers_word_stands_and_the_stricter_mark_counts() {
        let provider = Release {
            author: Some("sam".into()),
            marks: MigrationMarks { rollback: Some(RollbackMark::Expand), ..MigrationMarks::default() },
            ..Release::bare("42".into())
        };
        let mark = |rollback| MigrationMarks {
            rollback: Some(rollback),
            schema_version: Some(7),
            ..MigrationMarks::default()
        };
        let told = |rollback, back| Notice {
            release: Release {
                author: Some("ana".into()),
                commit: Some("9f2c1ab".into()),
                marks: mark(rollback),
                ..Release::bare("42".into())
            },
            rollback: back,
            ..notice(DeploymentStatus::Finished, 1)
        };
        use RollbackMark::{Contract, Expand, Safe};
        let safe = informed(&provider, &[told(Safe, false)]);
        assert_eq!((safe.author.as_deref(), safe.commit.as_deref()), (Some("sam"), Some("9f2c1ab")));
        assert_eq!((safe.marks.rollback, safe.marks.schema_version), (Some(Expand), Some(7)));
        assert_eq!(informed(&provider, &[told(Contract, false)]).marks.rollback, Some(Contract));
        assert_eq!(
            informed(&provider, &[told(Contract, true)]),
            provider,
            "who took it back says nothing of it"
        );
    }
}
