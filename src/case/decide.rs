//! The decision: what the rule table and the guards say about one brief, with every reason. A pure function: the
//! same brief and table give the same decision, for ever.

use std::sync::Arc;

use super::brief::{Brief, CandidateFacts};
use super::correlate::correlate;
use super::guard::{GuardAnswer, GuardName, GuardOutcome, judge};
use super::id::{DeploymentId, Digest, Duration, PolicyName, RuleName, Timestamp};
use super::row::Trial;
use super::rules::{Rule, RuleTable};
use super::settings::Mode;

/// Raised whenever the same brief may lead to another decision; an old record is then shown, not recomputed.
pub const LOGIC: u32 = 3;

/// Judges a brief by a rule table and the guards. The same brief and table give the same decision, for ever.
pub fn decide(brief: &Brief, rules: &RuleTable) -> Decision {
    let candidates = correlate(brief, rules.longest_window());
    let suspect = chosen(brief, &candidates);
    let facts = suspect.as_ref().and_then(|suspect| facts_of(brief, suspect));
    let suspicion = facts.map_or(0.0, |suspect| suspicion_with_undone(brief, &candidates, suspect));
    let trial = Trial::new(brief, rules, facts, suspicion);
    let reached = rules.reach(brief, trial.service());
    let ruling = trial.ask(reached.rows.iter().map(|position| *position as usize));
    let guards = judge(brief, &candidates, facts, ruling.row);
    let ceiling = guards.iter().map(|guard| guard.outcome.ceiling()).min().unwrap_or(Verdict::Rollback);
    let stopped = guards.iter().find(|guard| guard.outcome == GuardOutcome::Stop);
    let stopped = stopped.map(|guard| guard.reason.clone());
    let terms = terms(ruling.row, ruling.proposed, ceiling);
    Decision {
        verdict: ruling.proposed.min(ceiling),
        proposed: ruling.proposed,
        stopped,
        rule: ruling.row.map(|row| row.name.clone()),
        terms,
        rows: ruling.rows,
        passed_over: reached.passed_over,
        shadow: ruling.shadow,
        recheck: earliest(ruling.recheck, provider_judges_until(brief, &guards)),
        guards,
        candidates,
        suspect,
        suspicion,
        rules: rules.digest(),
        logic: LOGIC,
        at: brief.now,
        brief: Arc::new(brief.clone()),
    }
}

/// How every row of the table answers, those that the index passes over and those below the governing one included.
pub fn explain_rows(brief: &Brief, rules: &RuleTable) -> Vec<RowTrace> {
    let candidates = correlate(brief, rules.longest_window());
    let suspect = chosen(brief, &candidates).and_then(|suspect| facts_of(brief, &suspect));
    let suspicion = suspect.map_or(0.0, |suspect| suspicion_with_undone(brief, &candidates, suspect));
    Trial::new(brief, rules, suspect, suspicion).ask_all().rows
}

/// The suspect: the one that the case is about, else the one that the signals point at most.
fn chosen(brief: &Brief, candidates: &[Candidate]) -> Option<DeploymentId> {
    let most = || candidates.iter().find_map(|candidate| candidate.deployment.clone());
    brief.suspect.clone().or_else(most)
}

fn facts_of<'b>(brief: &'b Brief, suspect: &DeploymentId) -> Option<&'b CandidateFacts> {
    brief.candidates.iter().find(|candidate| candidate.deployment == *suspect)
}

/// The suspicion that rows compare: a rollback takes away every deployment after its target, so those of the same
/// service count with the suspect.
fn suspicion_with_undone(brief: &Brief, candidates: &[Candidate], suspect: &CandidateFacts) -> f64 {
    let goes_too = |facts: &CandidateFacts| {
        let Some(target) = &brief.target else { return false };
        facts.service == suspect.service
            && facts.release != target.release
            && (target.deployed_at.is_some_and(|at| facts.started_at > at)
                || target.undone.iter().any(|undone| undone.release == facts.release))
    };
    let counts = |candidate: &&Candidate| {
        candidate.deployment.as_ref().is_some_and(|deployment| {
            *deployment == suspect.deployment || facts_of(brief, deployment).is_some_and(goes_too)
        })
    };
    candidates.iter().filter(counts).map(|candidate| candidate.suspicion).sum::<f64>().min(1.0)
}

fn terms(row: Option<&Rule>, proposed: Verdict, ceiling: Verdict) -> Terms {
    let Some(row) = row else { return Terms::default() };
    let row_said_approve = proposed == Verdict::Approve && ceiling == Verdict::Rollback;
    Terms { row_said_approve, ..row.terms() }
}

/// When the provider's own judgement is over, where it is what weakens the verdict.
fn provider_judges_until(brief: &Brief, guards: &[GuardAnswer]) -> Option<Timestamp> {
    let judges = |guard: &GuardAnswer| {
        guard.name == GuardName::ProviderJudges && guard.outcome == GuardOutcome::Notify
    };
    brief.facts.provider_judges_until.filter(|_| guards.iter().any(judges))
}

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

/// What is to be done. Ordered: a guard can only lower it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Recorded, not told.
    Ignore,
    /// Told once, with a way for people to start.
    Notify,
    /// People are asked.
    Approve,
    /// Done after the countdown.
    Rollback,
}

impl Verdict {
    /// The word in files, tables and the API.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Ignore => "ignore",
            Verdict::Notify => "notify",
            Verdict::Approve => "approve",
            Verdict::Rollback => "rollback",
        }
    }
}

/// What a governing row says beside its verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// Who may say yes. `None`: the service's own policy.
    pub approval: Option<PolicyName>,
    /// How recovery is judged. `None`: the service's own policy.
    pub verify: Option<PolicyName>,
    /// How long an automatic act waits, in sight of people.
    pub countdown: Duration,
    /// What a resolve of all signals means before the act.
    pub on_resolve: OnResolve,
    /// The row's mode.
    pub mode: Mode,
    /// The row itself said approve, and no guard weakened anything: `on_expiry = "rollback"` may serve.
    pub row_said_approve: bool,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms {
            approval: None,
            verify: None,
            countdown: Duration::from_secs(30),
            on_resolve: OnResolve::Suspend,
            mode: Mode::Live,
            row_said_approve: false,
        }
    }
}

/// What a resolve of all signals means before the act, a row's `on_resolve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnResolve {
    /// The countdown stops; firing again starts it anew; settled, the case closes as cleared.
    Suspend,
    /// The case closes at once.
    Cancel,
    /// Nothing stops.
    Continue,
}

impl OnResolve {
    /// The word in files and tables.
    pub fn word(self) -> &'static str {
        match self {
            OnResolve::Suspend => "suspend",
            OnResolve::Cancel => "cancel",
            OnResolve::Continue => "continue",
        }
    }
}

/// How one row answered.
#[derive(Clone, Debug, PartialEq)]
pub struct RowTrace {
    /// The row.
    pub name: RuleName,
    /// Its answer.
    pub answer: Answer,
}

/// A row's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Every condition holds.
    Yes,
    /// A condition does not hold; which, in words.
    No(String),
    /// Everything else holds, and this may still: `firing_for` will at that moment if nothing changes, and more
    /// alerts are waited for until then.
    NotYet {
        /// What is waited for.
        failed: String,
        /// The earliest moment.
        until: Timestamp,
    },
    /// A row above governs.
    NotReached,
}

impl Answer {
    /// The word in tables and the API.
    pub fn word(&self) -> &'static str {
        match self {
            Answer::Yes => "yes",
            Answer::No(_) => "no",
            Answer::NotYet { .. } => "not_yet",
            Answer::NotReached => "not_reached",
        }
    }
}

/// A deployment that may be to blame, and how strongly.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The deployment. `None`: none of them.
    pub deployment: Option<DeploymentId>,
    /// From 0 to 1; all candidates together make 1.
    pub suspicion: f64,
    /// What it was made of.
    pub parts: Vec<Part>,
}

/// A named part of a suspicion.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Its name.
    pub name: PartName,
    /// The factor that it brings; 1 changes nothing.
    pub factor: f64,
    /// Why, in a sentence.
    pub says: String,
}

/// The parts of a suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartName {
    /// How soon after the deployment the trouble began.
    Time,
    /// The signalling service itself, or one that it depends on.
    Place,
    /// The signal was firing before the deployment began.
    AlreadyFiring,
    /// How often the signal fires when nothing was deployed.
    Habit,
    /// Trouble that no deployment explains: the weight of "none of them".
    Base,
}

impl PartName {
    /// Every part.
    pub const ALL: [PartName; 5] =
        [PartName::Time, PartName::Place, PartName::AlreadyFiring, PartName::Habit, PartName::Base];

    /// The word in the API, tables and threads.
    pub fn word(self) -> &'static str {
        match self {
            PartName::Time => "time",
            PartName::Place => "place",
            PartName::AlreadyFiring => "already_firing",
            PartName::Habit => "habit",
            PartName::Base => "base",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<PartName> {
        PartName::ALL.into_iter().find(|name| name.word() == word)
    }
}

/// The whole answer to one brief.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What is to be done, after the guards.
    pub verdict: Verdict,
    /// What the rows said, before the guards.
    pub proposed: Verdict,
    /// No act at all is allowed, not even by approval; why.
    pub stopped: Option<String>,
    /// The row that governs. `None`: no row did, and the default serves.
    pub rule: Option<RuleName>,
    /// What the governing row says beside its verdict.
    pub terms: Terms,
    /// The rows that were tried, in order.
    pub rows: Vec<RowTrace>,
    /// Rows that the index passed over, with the reason that they share.
    pub passed_over: Vec<(String, u32)>,
    /// What a shadow row would have said, beside the live verdict.
    pub shadow: Option<(RuleName, Verdict)>,
    /// Every guard's answer.
    pub guards: Vec<GuardAnswer>,
    /// Every candidate, the most suspect first; the one without a deployment is "none of them".
    pub candidates: Vec<Candidate>,
    /// The candidate that the verdict is about.
    pub suspect: Option<DeploymentId>,
    /// Its suspicion, with that of every newer deployment of the service that would go back too.
    pub suspicion: f64,
    /// When to judge again if nothing changes.
    pub recheck: Option<Timestamp>,
    /// The rule table that was used.
    pub rules: Digest,
    /// The version of this logic.
    pub logic: u32,
    /// When.
    pub at: Timestamp,
    /// Everything that was looked at.
    pub brief: Arc<Brief>,
}

impl Decision {
    /// The suspicion of one candidate, as it was shared out.
    pub fn candidate(&self, deployment: &DeploymentId) -> Option<&Candidate> {
        self.candidates.iter().find(|candidate| candidate.deployment.as_ref() == Some(deployment))
    }
}
