//! A deployment of GitHub's with its statuses, read; and how it stands by them. GitHub keeps no state of a deployment but the list of what
//! was said of it. Facts: the schemas `deployment` and `deployment-status` of GitHub's description; docs.github.com, "Deployments".

use serde_json::Value;

use crate::case::id::Timestamp;
use crate::case::release::{MigrationMarks, RollbackMark};
use crate::execute::trailers::rollback_mark;

/// What puts something back, by its own word.
pub(super) const ROLLBACK: &str = "rollback";
/// The task of a deployment that changes a schema (docs.github.com, "Create a deployment").
const MIGRATES: &str = "deploy:migrations";

/// A deployment as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) id: u64,
    pub(super) sha: String,
    /// A branch, a tag or a commit.
    pub(super) reference: String,
    pub(super) task: String,
    pub(super) payload: Value,
    pub(super) by: Option<String>,
    pub(super) at: Timestamp,
}

/// Something that was said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) id: u64,
    pub(super) state: State,
    pub(super) at: Timestamp,
    /// Where its output is.
    pub(super) url: Option<String>,
    pub(super) says: String,
}

/// What was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It waits for its turn, or for somebody.
    Waits,
    InProgress,
    Success,
    /// It failed, or it could not be done.
    Failure,
    /// Something else took its place.
    Inactive,
    /// A word that is not known here.
    Other,
}

const STATES: [(&str, State); 8] = [
    ("pending", State::Waits),
    ("queued", State::Waits),
    ("waiting", State::Waits),
    ("in_progress", State::InProgress),
    ("success", State::Success),
    ("failure", State::Failure),
    ("error", State::Failure),
    ("inactive", State::Inactive),
];

/// How a deployment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// It has not begun, or never did.
    NotBegun,
    GoingOut,
    /// It went out whole, at that time.
    Succeeded(Timestamp),
    /// It ended otherwise, at that time.
    Failed(Timestamp),
}

fn text(of: &Value) -> Option<String> {
    of.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn moment(of: &Value) -> Option<Timestamp> {
    of.as_str()?.parse().ok()
}

/// The list of an environment's deployments. `None`: it is none.
pub(super) fn deployments(told: &Value) -> Option<Vec<Made>> {
    told.as_array()?.iter().map(Made::read).collect()
}

/// What was said of one, oldest first. `None`: it is no such list.
pub(super) fn statuses(told: &Value) -> Option<Vec<Status>> {
    let mut all: Vec<Status> = told.as_array()?.iter().map(Status::read).collect::<Option<_>>()?;
    all.sort_by_key(|status| (status.at, status.id));
    Some(all)
}

impl Made {
    /// Reads one.
    pub(super) fn read(told: &Value) -> Option<Made> {
        // Whoever wrote it as a text meant an object, mostly.
        let payload = match told["payload"].as_str() {
            Some(text) => serde_json::from_str(text).unwrap_or_default(),
            None => told["payload"].clone(),
        };
        Some(Made {
            id: told["id"].as_u64()?,
            sha: text(&told["sha"])?,
            reference: text(&told["ref"]).unwrap_or_default(),
            task: text(&told["task"]).unwrap_or_default(),
            payload,
            by: text(&told["creator"]["login"]),
            at: moment(&told["created_at"])?,
        })
    }

    /// Something that people put into its payload.
    pub(super) fn told(&self, name: &str) -> Option<String> {
        let told = &self.payload[name];
        told.as_number().map(ToString::to_string).or_else(|| text(told))
    }

    /// What it says about going back over it.
    pub(super) fn marks(&self) -> MigrationMarks {
        let number = |name: &str| self.told(name).and_then(|number| number.parse().ok());
        let own = MigrationMarks {
            rollback: self.told("rollback").map(|word| rollback_mark(&word)),
            schema_version: number("schema_version"),
            min_compatible_schema: number("min_compatible_schema"),
        };
        // That it migrates says nothing of how: what it takes may be missed.
        let migrates = self.task == MIGRATES && own == MigrationMarks::default();
        if migrates { MigrationMarks { rollback: Some(RollbackMark::Contract), ..own } } else { own }
    }

    /// The tag that it was made from, or the version that somebody told; a branch says nothing of what was put out.
    pub(super) fn version(&self) -> String {
        let number = self.reference.strip_prefix('v').unwrap_or(&self.reference);
        let is_tag = number.starts_with(|c: char| c.is_ascii_digit()) && number.contains('.');
        let tag = (is_tag && self.reference.len() <= 64).then(|| self.reference.clone());
        self.told("version").or(tag).unwrap_or_else(|| short(&self.sha).to_owned())
    }
}

/// The beginning of a commit, as people read it.
pub(super) fn short(sha: &str) -> &str {
    sha.get(..8).unwrap_or(sha)
}

/// Whether this is a whole commit.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Status {
    fn read(told: &Value) -> Option<Status> {
        let state = told["state"].as_str()?;
        Some(Status {
            id: told["id"].as_u64()?,
            state: STATES.iter().find(|(word, _)| *word == state).map_or(State::Other, |(_, state)| *state),
            at: moment(&told["created_at"])?,
            url: text(&told["log_url"]).or_else(|| text(&told["target_url"])),
            says: text(&told["description"]).unwrap_or_default(),
        })
    }
}

/// How a deployment stands by what was said of it, oldest first; one of which nothing was said has not begun.
pub(super) fn stands(made: &Made, said: &[Status]) -> Stands {
    let first = |state: State| said.iter().find(|status| status.state == state);
    if let Some(success) = first(State::Success) {
        return Stands::Succeeded(success.at);
    }
    let Some(last) = said.last() else { return Stands::NotBegun };
    let has_begun = first(State::InProgress).is_some();
    match last.state {
        State::Failure if has_begun || first(State::Waits).is_none() => Stands::Failed(last.at),
        // Nobody let it begin.
        State::Failure => Stands::NotBegun,
        State::Inactive if has_begun => Stands::Failed(last.at),
        // GitHub says so of what had gone out; who cleans up may leave nothing else.
        State::Inactive if said.iter().all(|status| status.state == State::Inactive) => {
            Stands::Succeeded(made.at)
        }
        State::Inactive => Stands::NotBegun,
        State::Waits | State::InProgress | State::Success | State::Other if has_begun => Stands::GoingOut,
        State::Waits | State::InProgress | State::Success | State::Other => Stands::NotBegun,
    }
}

/// When it began to go out, as far as it was said.
pub(super) fn began_at(made: &Made, said: &[Status]) -> Timestamp {
    said.iter().find(|status| status.state == State::InProgress).map_or(made.at, |status| status.at)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made() -> Made {
        let told = json!({
            "id": 1, "sha": "1".repeat(40), "ref": "main", "task": "deploy", "payload": "{\"version\": \"4.2\"}",
            "creator": { "login": "ann" }, "created_at": "2026-03-02T09:00:00Z",
        });
        Made::read(&told).expect("a deployment")
    }

    fn stands_after(states: &[&str]) -> Stands {
        let said = states.iter().enumerate().map(|(nth, state)| {
            json!({ "id": nth, "state": state, "created_at": format!("2026-03-02T09:00:{nth:02}Z"), "log_url": "" })
        });
        // GitHub tells the newest first.
        let said = statuses(&Value::Array(said.rev().collect())).expect("statuses");
        stands(&made(), &said)
    }

    fn at(second: i64) -> Timestamp {
        made().at + crate::case::id::Duration::from_secs(second)
    }

    #[test]
    fn what_was_said_tells_how_it_stands() {
        assert_eq!(stands_after(&[]), Stands::NotBegun);
        assert_eq!(stands_after(&["waiting", "queued"]), Stands::NotBegun);
        assert_eq!(stands_after(&["queued", "in_progress"]), Stands::GoingOut);
        // Whatever is said later: it went out.
        assert_eq!(stands_after(&["in_progress", "success", "inactive"]), Stands::Succeeded(at(1)));
        assert_eq!(stands_after(&["success"]), Stands::Succeeded(at(0)));
        assert_eq!(stands_after(&["inactive"]), Stands::Succeeded(at(0)));
        assert_eq!(stands_after(&["in_progress", "inactive"]), Stands::Failed(at(1)));
        assert_eq!(stands_after(&["in_progress", "error"]), Stands::Failed(at(1)));
        assert_eq!(stands_after(&["failure"]), Stands::Failed(at(0)));
        // A review that was refused.
        assert_eq!(stands_after(&["waiting", "failure"]), Stands::NotBegun);
    }

    #[test]
    fn a_payload_is_read_as_a_text_too() {
        assert_eq!(made().version(), "4.2");
        let tagged = Made { payload: Value::Null, reference: "v1.42.0".into(), ..made() };
        assert_eq!(tagged.version(), "v1.42.0");
        let migrates = Made { payload: Value::Null, task: MIGRATES.into(), ..made() };
        assert_eq!(
            (migrates.version().as_str(), migrates.marks().rollback),
            ("11111111", Some(RollbackMark::Contract))
        );
        let says = Made { payload: json!({ "rollback": "expand", "schema_version": 7 }), ..migrates };
        assert_eq!(
            (says.marks().rollback, says.marks().schema_version),
            (Some(RollbackMark::Expand), Some(7))
        );
    }
}
