//! Guards about the way back: from what, to what, and over what.

use super::{Finding, GuardOutcome, at_most, pass};
use crate::case::brief::{Brief, CandidateFacts, TargetFacts};
use crate::case::correlate::whole_seconds;
use crate::case::deployment::ChangeKind;
use crate::case::plan::Undone;
use crate::case::release::RollbackMark;
use crate::case::settings::Migrations;

const NO_TARGET: &str = "there is no target";
const NO_SUSPECT: &str = "there is no suspect";

pub(super) fn missing(brief: &Brief) -> Finding {
    let Some(target) = &brief.target else { return pass(NO_TARGET) };
    match target.artifact_exists {
        Some(true) => pass("the target's artifact is there"),
        Some(false) => at_most(GuardOutcome::Stop, format!("the artifact of {} is gone", target.release)),
        None => at_most(GuardOutcome::Unknown, "nobody looked whether the target's artifact is there"),
    }
}

pub(super) fn current_moved(brief: &Brief, suspect: Option<&CandidateFacts>) -> Finding {
    let Some(suspect) = suspect else { return pass(NO_SUSPECT) };
    if suspect.going_out {
        return pass("the suspect is still going out");
    }
    let Some(current) = &brief.facts.current else {
        return at_most(GuardOutcome::Unknown, "the provider does not tell what serves");
    };
    if *current == suspect.release {
        return pass("the suspect's release serves");
    }
    if brief.target.as_ref().is_some_and(|target| target.release == *current) {
        return at_most(GuardOutcome::Stop, format!("the target {current} serves already"));
    }
    let came_after = brief.candidates.iter().any(|other| {
        other.service == suspect.service
            && other.release == *current
            && other.started_at >= suspect.started_at
    });
    if came_after {
        return pass("a release serves that came after the suspect");
    }
    let why = format!("{current} serves, which is neither the suspect's release nor one that came after it");
    at_most(GuardOutcome::Stop, why)
}

pub(super) fn is_suspect(brief: &Brief, suspect: Option<&CandidateFacts>) -> Finding {
    match (&brief.target, suspect) {
        (Some(target), Some(suspect)) if target.release == suspect.release => {
            at_most(GuardOutcome::Stop, format!("the target {} is the suspect's own release", target.release))
        }
        (Some(_), Some(_)) => pass("the target is another release than the suspect's"),
        (None, _) => pass(NO_TARGET),
        (Some(_), None) => pass(NO_SUSPECT),
    }
}

pub(super) fn none(brief: &Brief, suspect: Option<&CandidateFacts>) -> Finding {
    match (&brief.target, suspect) {
        (Some(_), _) => pass("there is a release to go back to"),
        (None, Some(_)) => at_most(GuardOutcome::Notify, "there is no release to go back to"),
        (None, None) => pass("no deployment is suspected, so that no way back is looked for"),
    }
}

pub(super) fn not_undoable(suspect: Option<&CandidateFacts>) -> Finding {
    let Some(suspect) = suspect else { return pass(NO_SUSPECT) };
    match suspect.kind {
        ChangeKind::Code => pass("the suspect is a build, which a provider can undo"),
        ChangeKind::Config | ChangeKind::Flag | ChangeKind::Infra => at_most(
            GuardOutcome::Notify,
            format!(
                "the suspect is a change of kind {}, which no provider here can undo",
                suspect.kind.word()
            ),
        ),
    }
}

pub(super) fn unproven(brief: &Brief) -> Finding {
    let Some(target) = &brief.target else { return pass(NO_TARGET) };
    if target.proven {
        return pass("the target is proven good");
    }
    let why =
        format!("nothing proves {} good; the ledger holds it as {}", target.release, target.grade.word());
    at_most(GuardOutcome::Approve, why)
}

pub(super) fn beyond_max_back(brief: &Brief) -> Finding {
    let Some(target) = &brief.target else { return pass(NO_TARGET) };
    let limit = brief.limits.max_back;
    if target.releases_back > limit.releases {
        let why =
            format!("the target lies {} releases back, more than {}", target.releases_back, limit.releases);
        return at_most(GuardOutcome::Approve, why);
    }
    let Some(deployed_at) = target.deployed_at else {
        return at_most(GuardOutcome::Approve, "nobody knows when the target was last put out");
    };
    let age = whole_seconds(brief.now.duration_since(deployed_at));
    if age > limit.age {
        return at_most(
            GuardOutcome::Approve,
            format!("the target is {age:#} old, more than {:#}", limit.age),
        );
    }
    pass("the target lies near enough")
}

pub(super) fn not_latest(brief: &Brief, suspect: Option<&CandidateFacts>) -> Finding {
    let Some(suspect) = suspect else { return pass(NO_SUSPECT) };
    let undone = brief.target.as_ref().map_or(&[][..], |target| &target.undone);
    let others: Vec<String> =
        undone.iter().filter(|undone| undone.release != suspect.release).map(called_by).collect();
    if !suspect.is_current && !suspect.going_out {
        let with = if others.is_empty() { String::new() } else { format!(", with {}", others.join(", ")) };
        let why =
            format!("the suspect neither serves nor is going out: everything since the target goes{with}");
        return at_most(GuardOutcome::Approve, why);
    }
    if others.is_empty() {
        return pass("nothing but the suspect would be undone");
    }
    at_most(GuardOutcome::Approve, format!("it would also undo {}", others.join(", ")))
}

fn called_by(undone: &Undone) -> String {
    format!("{} by {}", undone.called, undone.author.as_deref().unwrap_or("an unknown author"))
}

/// Which commits go is known once a provider that reads commits has proposed a way; before, and with any other, nothing is weakened.
pub(super) fn fixes_undone(brief: &Brief) -> Finding {
    let Some(target) = &brief.target else { return pass(NO_TARGET) };
    let Some(taken) = &target.taken_back else {
        return at_most(GuardOutcome::Unknown, "nobody read which commits would be taken back");
    };
    if !taken.fixes.is_empty() {
        return at_most(
            GuardOutcome::Approve,
            format!("it would undo what mends something: {}", taken.fixes.join(", ")),
        );
    }
    if taken.unread > 0 {
        let why = format!("{} of {} commits that it would undo were not read", taken.unread, taken.commits);
        return at_most(GuardOutcome::Approve, why);
    }
    pass("no commit that it would undo mends a fault of security or an incident")
}

/// Every release after the target up to the suspect is gone over, and each may have changed the schema. Snapback never
/// touches the schema itself, so the target must run on what they left.
pub(super) fn migration(brief: &Brief) -> Finding {
    let Some(target) = &brief.target else { return pass(NO_TARGET) };
    if brief.limits.migrations == Migrations::None {
        return pass("the service has no schema");
    }
    let barriers: Vec<String> =
        target.undone.iter().filter_map(|undone| barrier(undone, target, brief.limits.migrations)).collect();
    if barriers.is_empty() {
        return pass("no migration lies between");
    }
    at_most(GuardOutcome::Approve, barriers.join("; "))
}

/// Why one release is a barrier, if it is one.
pub(super) fn barrier(undone: &Undone, target: &TargetFacts, unmarked: Migrations) -> Option<String> {
    let called = &undone.called;
    match undone.marks.rollback {
        Some(RollbackMark::Irreversible) => {
            return Some(format!("{called} is irreversible: it takes two votes and a typed confirmation"));
        }
        Some(RollbackMark::Contract) => {
            return Some(format!("{called} took something from the schema that the target may need"));
        }
        Some(RollbackMark::Safe | RollbackMark::Expand) | None => {}
    }
    match (undone.marks.schema_version, target.runs_on_schema) {
        (Some(left), Some(needed)) if left < needed => {
            return Some(format!("{called} left schema {left}, older than {needed}, which the target needs"));
        }
        (Some(left), needed) if undone.marks.rollback.is_none() && needed != Some(left) => {
            return Some(format!("{called} left schema {left}, and nothing says that the target runs on it"));
        }
        (Some(_) | None, _) => {}
    }
    let says_nothing = undone.marks.rollback.is_none() && undone.marks.schema_version.is_none();
    (says_nothing && unmarked == Migrations::Unknown)
        .then(|| format!("nobody marked whether {called} changed the schema"))
}
