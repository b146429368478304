//! Guards: built-in checks that can weaken a verdict and never strengthen it, and the gate, which is the last of
//! them and the only one that is truth: it runs in the transaction that writes the intent.

use super::decide::Verdict;

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
}

impl GuardName {
    /// Every guard, in the order in which they are shown.
    pub const ALL: [GuardName; 29] = [
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
        GuardName::UnsureOnset,
        GuardName::Chronic,
        GuardName::ManyServices,
        GuardName::LedgerIncomplete,
        GuardName::NotLatest,
        GuardName::Dependency,
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
            GuardName::UnsureOnset => "unsure_onset",
            GuardName::Chronic => "chronic_signal",
            GuardName::ManyServices => "one_change_many_services",
            GuardName::LedgerIncomplete => "ledger_incomplete",
            GuardName::NotLatest => "suspect_not_current",
            GuardName::Dependency => "dependency",
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
