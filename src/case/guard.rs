//! Guards: built-in checks that can weaken a verdict and never strengthen it. All of them are asked and shown; the
//! strictest wins. Leaves to `gate` the last check, the only one that is truth: it runs in the transaction that writes
//! the intent.

use super::brief::{Brief, CandidateFacts};
use super::decide::{Candidate, Verdict};
use super::rules::Rule;

mod circumstance;
mod companions;
mod evidence;
mod target;

/// Asks every guard, in the order of [`GuardName::ALL`]. `candidates` are what correlation made of the brief.
pub fn judge(
    brief: &Brief,
    candidates: &[Candidate],
    suspect: Option<&CandidateFacts>,
    row: Option<&Rule>,
) -> Vec<GuardAnswer> {
    let evidence = evidence::Evidence::of(brief, candidates, suspect, row);
    let answer = |name: GuardName| {
        let (outcome, reason) = match name {
            GuardName::Hold => circumstance::hold(brief),
            GuardName::PauseEverything => circumstance::pause_everything(brief),
            GuardName::TargetMissing => target::missing(brief),
            GuardName::NotCurrent => target::current_moved(brief, suspect),
            GuardName::TargetIsSuspect => target::is_suspect(brief, suspect),
            GuardName::NoTarget => target::none(brief, suspect),
            GuardName::Stale => evidence.stale(),
            GuardName::OlderThanSuspect => evidence.older_than_suspect(),
            GuardName::OwnRollback => circumstance::own_rollback(brief, suspect),
            GuardName::AlreadyRolledBack => circumstance::already_rolled_back(brief),
            GuardName::NewerDeployment => circumstance::newer_deployment(brief, suspect),
            GuardName::ProviderJudges => circumstance::provider_judges(brief, suspect),
            GuardName::OwnedElsewhere => circumstance::owned_elsewhere(brief),
            GuardName::NotUndoable => target::not_undoable(suspect),
            GuardName::SettledBefore => circumstance::settled_before(brief),
            GuardName::Freeze => circumstance::freeze(brief),
            GuardName::Pause => circumstance::pause(brief),
            GuardName::Calendar => circumstance::calendar(brief),
            GuardName::Cooldown => circumstance::cooldown(brief),
            GuardName::Budget => circumstance::budget(brief),
            GuardName::SharedOutage => circumstance::shared_outage(brief),
            GuardName::Unproven => target::unproven(brief),
            GuardName::BeyondMaxBack => target::beyond_max_back(brief),
            GuardName::Migration => target::migration(brief),
            GuardName::FixesUndone => target::fixes_undone(brief),
            GuardName::UnsureOnset => evidence.unsure_onset(),
            GuardName::Chronic => evidence.chronic(),
            GuardName::ManyServices => circumstance::many_services(brief),
            GuardName::LedgerIncomplete => circumstance::ledger_incomplete(brief),
            GuardName::NotLatest => target::not_latest(brief, suspect),
            GuardName::Dependency => evidence.dependency(),
            GuardName::Companions => companions::together(brief),
        };
        GuardAnswer { name, outcome, reason }
    };
    GuardName::ALL.into_iter().map(answer).collect()
}

/// What a guard found: what it allows, and why.
type Finding = (GuardOutcome, String);

fn pass(why: &str) -> Finding {
    (GuardOutcome::Pass, why.to_owned())
}

fn at_most(outcome: GuardOutcome, why: impl Into<String>) -> Finding {
    (outcome, why.into())
}

/// One guard's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardAnswer {
    /// The guard.
    pub name: GuardName,
    /// What it allows.
    pub outcome: GuardOutcome,
    /// Why, in a sentence.
    pub reason: String,
}

/// The guards, by the names that people read. What each allows is told in `docs/guards.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GuardName {
    /// Snapback forbids itself.
    Hold,
    /// Somebody paused everything.
    PauseEverything,
    /// The target's artifact cannot be put out again.
    TargetMissing,
    /// What serves is not what the plan expects.
    NotCurrent,
    /// The target is the suspect's own release.
    TargetIsSuspect,
    /// There is nothing to go back to.
    NoTarget,
    /// The signal was old when it arrived.
    Stale,
    /// The signal began before the suspect.
    OlderThanSuspect,
    /// The suspect is our own rollback.
    OwnRollback,
    /// This suspect was rolled back once already.
    AlreadyRolledBack,
    /// Somebody deployed after the suspect.
    NewerDeployment,
    /// The provider judges what is going out itself, and is given its time.
    ProviderJudges,
    /// Somebody else decides what should run there.
    OwnedElsewhere,
    /// No provider of ours can undo this change.
    NotUndoable,
    /// People ended a case of this suspect for good.
    SettledBefore,
    /// The service is frozen.
    Freeze,
    /// Somebody paused everything automatic.
    Pause,
    /// The calendar bars automatic acts.
    Calendar,
    /// A rollback happened lately.
    Cooldown,
    /// The budget of automatic acts is spent.
    Budget,
    /// Several services are in trouble at once.
    SharedOutage,
    /// Nothing proves the target good.
    Unproven,
    /// The target lies too far back.
    BeyondMaxBack,
    /// A migration lies between.
    Migration,
    /// Fixes would be undone.
    FixesUndone,
    /// It is unsure whether the trouble began after the suspect.
    UnsureOnset,
    /// The signal fires often anyway.
    Chronic,
    /// The same change is in trouble elsewhere.
    ManyServices,
    /// The provider could not be read in time.
    LedgerIncomplete,
    /// Newer releases would go back too.
    NotLatest,
    /// The suspect belongs to a dependency.
    Dependency,
    /// What goes back together with it cannot, or only with people's word.
    Companions,
}

impl GuardName {
    /// Every guard, in the order in which they are shown.
    pub const ALL: [GuardName; 32] = [
        GuardName::Hold,
        GuardName::PauseEverything,
        GuardName::TargetMissing,
        GuardName::NotCurrent,
        GuardName::TargetIsSuspect,
        GuardName::NoTarget,
        GuardName::Stale,
        GuardName::OlderThanSuspect,
        GuardName::OwnRollback,
        GuardName::AlreadyRolledBack,
        GuardName::NewerDeployment,
        GuardName::ProviderJudges,
        GuardName::OwnedElsewhere,
        GuardName::NotUndoable,
        GuardName::SettledBefore,
        GuardName::Freeze,
        GuardName::Pause,
        GuardName::Calendar,
        GuardName::Cooldown,
        GuardName::Budget,
        GuardName::SharedOutage,
        GuardName::Unproven,
        GuardName::BeyondMaxBack,
        GuardName::Migration,
        GuardName::FixesUndone,
        GuardName::UnsureOnset,
        GuardName::Chronic,
        GuardName::ManyServices,
        GuardName::LedgerIncomplete,
        GuardName::NotLatest,
        GuardName::Dependency,
        GuardName::Companions,
    ];

    /// The word in the API, tables and threads.
    pub fn word(self) -> &'static str {
        match self {
            GuardName::Hold => "hold",
            GuardName::PauseEverything => "pause_everything",
            GuardName::TargetMissing => "target_missing",
            GuardName::NotCurrent => "current_moved",
            GuardName::TargetIsSuspect => "target_is_suspect",
            GuardName::NoTarget => "no_target",
            GuardName::Stale => "stale_signal",
            GuardName::OlderThanSuspect => "older_than_suspect",
            GuardName::OwnRollback => "own_rollback",
            GuardName::AlreadyRolledBack => "already_rolled_back",
            GuardName::NewerDeployment => "newer_deployment",
            GuardName::ProviderJudges => "provider_judges",
            GuardName::OwnedElsewhere => "owned_elsewhere",
            GuardName::NotUndoable => "not_undoable",
            GuardName::SettledBefore => "settled_before",
            GuardName::Freeze => "freeze",
            GuardName::Pause => "pause",
            GuardName::Calendar => "calendar",
            GuardName::Cooldown => "cooldown",
            GuardName::Budget => "budget",
            GuardName::SharedOutage => "shared_outage",
            GuardName::Unproven => "unproven_target",
            GuardName::BeyondMaxBack => "beyond_max_back",
            GuardName::Migration => "migration_barrier",
            GuardName::FixesUndone => "fixes_undone",
            GuardName::UnsureOnset => "unsure_onset",
            GuardName::Chronic => "chronic_signal",
            GuardName::ManyServices => "one_change_many_services",
            GuardName::LedgerIncomplete => "ledger_incomplete",
            GuardName::NotLatest => "suspect_not_current",
            GuardName::Dependency => "dependency",
            GuardName::Companions => "companions",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<GuardName> {
        GuardName::ALL.into_iter().find(|name| name.word() == word)
    }
}

/// What a guard allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardOutcome {
    /// Nothing to say against it.
    Pass,
    /// It cannot tell, and weakens nothing.
    Unknown,
    /// People may act.
    Approve,
    /// People are told.
    Notify,
    /// No act, not even by approval.
    Stop,
}

impl GuardOutcome {
    /// The word in the API and tables.
    pub fn word(self) -> &'static str {
        match self {
            GuardOutcome::Pass => "pass",
            GuardOutcome::Unknown => "unknown",
            GuardOutcome::Approve => "approve",
            GuardOutcome::Notify => "notify",
            GuardOutcome::Stop => "stop",
        }
    }

    /// The most that it allows.
    pub fn ceiling(self) -> Verdict {
        match self {
            GuardOutcome::Pass | GuardOutcome::Unknown => Verdict::Rollback,
            GuardOutcome::Approve => Verdict::Approve,
            GuardOutcome::Notify | GuardOutcome::Stop => Verdict::Notify,
        }
    }
}
