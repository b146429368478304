//! The commits that going back takes away, and which of them mend a fault of security or an incident: by ids that everybody writes alike,
//! by trailers, and by the words of `guards.fix_words`. Leaves to providers where commits are read, and to `guard` what follows.

/// So many of those who made them, and of those that mend something, are named.
const NAMED_MAX: usize = 5;
/// Of a commit's first line so much is told.
const SUBJECT_MAX: usize = 100;
/// Trailers that say so by their names.
const TRAILERS: [&str; 3] = ["Fixes-Incident", "Incident", "Security"];
/// How ids of faults begin that are known to everybody: at MITRE, and at GitHub.
const IDS: [&str; 2] = ["cve-", "ghsa-"];

/// A commit as its repository tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The beginning of its id, as people read it.
    pub called: String,
    /// Who made it.
    pub author: Option<String>,
    /// Its message.
    pub message: String,
}

/// The commits between two releases, as far as they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commits {
    /// Those that were read, oldest first.
    pub read: Vec<Commit>,
    /// How many there are.
    pub all: u32,
}

/// What a rollback takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenBack {
    /// So many commits.
    pub commits: u32,
    /// So many of them were not read.
    pub unread: u32,
    /// Who made them.
    pub authors: Vec<String>,
    /// Those that mend a fault of security or an incident, in words.
    pub fixes: Vec<String>,
}

impl TakenBack {
    /// Of these commits; `words` mark one that mends something.
    pub fn of(commits: &Commits, words: &[String]) -> TakenBack {
        let mut authors: Vec<String> = Vec::new();
        for author in commits.read.iter().filter_map(|commit| commit.author.as_ref()) {
            if authors.len() < NAMED_MAX && !authors.contains(author) {
                authors.push(author.clone());
            }
        }
        let fixes = commits.read.iter().filter(|commit| mends(&commit.message, words)).map(told);
        let read = u32::try_from(commits.read.len()).unwrap_or(u32::MAX);
        TakenBack {
            commits: commits.all.max(read),
            unread: commits.all.saturating_sub(read),
            authors,
            fixes: fixes.take(NAMED_MAX).collect(),
        }
    }

    /// For people, in a line.
    pub fn says(&self) -> String {
        let by =
            if self.authors.is_empty() { String::new() } else { format!(" by {}", self.authors.join(", ")) };
        let unread =
            if self.unread > 0 { format!(", of which {} were not read", self.unread) } else { String::new() };
        let fixes = if self.fixes.is_empty() {
            String::new()
        } else {
            format!("; with them what mends something: {}", self.fixes.join(", "))
        };
        let commits = if self.commits == 1 { "commit" } else { "commits" };
        format!("it takes back {} {commits}{by}{unread}{fixes}", self.commits)
    }
}

/// Whether a message says that it mends a fault of security, or an incident.
fn mends(message: &str, words: &[String]) -> bool {
    let is_trailer = |line: &str| {
        let name =
            line.split_once(':').filter(|(_, value)| !value.trim().is_empty()).map(|(name, _)| name.trim());
        name.is_some_and(|name| TRAILERS.iter().any(|trailer| name.eq_ignore_ascii_case(trailer)))
    };
    let told = message.to_lowercase();
    // An id holds dashes; a word stands between them too, as in `security-fix`.
    let mut whole = told.split(|c: char| !c.is_alphanumeric() && c != '-');
    whole.any(|joined| {
        let is_id = IDS.iter().any(|id| joined.strip_prefix(id).is_some_and(|rest| !rest.is_empty()));
        let known = |word: &str| words.iter().any(|known| known.to_lowercase() == word);
        is_id || known(joined) || joined.split('-').any(known)
    }) || message.lines().any(is_trailer)
}

fn told(commit: &Commit) -> String {
    let subject: String =
        commit.message.lines().next().unwrap_or_default().chars().take(SUBJECT_MAX).collect();
    format!("{} \"{subject}\"", commit.called)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(messages: &[&str], all: u32) -> TakenBack {
        let read = messages.iter().enumerate().map(|(nth, message)| Commit {
            called: format!("c{nth}"),
            author: Some(["ann", "ben"][nth % 2].to_owned()),
            message: (*message).to_owned(),
        });
        TakenBack::of(&Commits { read: read.collect(), all }, &["security".into(), "incident".into()])
    }

    #[test]
    fn what_mends_something_is_known_by_ids_trailers_and_words() {
        for mends in [
            "bump openssl (CVE-2026-1234)",
            "GHSA-xxxx-yyyy: escape names",
            "retry\n\nFixes-Incident: INC-7",
            "close a Security hole",
            "after incident 12",
            "security-fix: escape names",
            "post-incident cleanup",
        ] {
            assert_eq!(taken(&[mends], 1).fixes.len(), 1, "{mends}");
        }
        for other in ["a change", "secure the lid", "incidental", "securityless", "cve-", "Fixes: #7"] {
            assert_eq!(taken(&[other], 1).fixes, Vec::<String>::new(), "{other}");
        }
    }

    #[test]
    fn people_read_how_many_by_whom_and_what_was_not_read() {
        assert_eq!(taken(&["a change"], 1).says(), "it takes back 1 commit by ann");
        let told = taken(&["a change", "mend CVE-2026-1\nmore", "a change"], 300).says();
        assert_eq!(
            told,
            "it takes back 300 commits by ann, ben, of which 297 were not read; with them what mends something: c1 \"mend CVE-2026-1\""
        );
    }
}
