//! A decision with every reason, as the API and `explain` show it.

use serde::{Deserialize, Serialize};

use super::case::CasePlanShape;
use crate::case::brief::{Brief, CandidateFacts};
use crate::case::decide::{Answer, Candidate, Decision, Part, RowTrace, explain_rows};
use crate::case::explain::flip;
use crate::case::guard::GuardAnswer;
use crate::case::id::Timestamp;
use crate::case::rules::RuleTable;

/// `GET /v1/cases/{id}/explanation`, `explain --output json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplanationShape {
    /// The service that would be changed.
    pub service: String,
    /// Whether anything may be done about it: `shadow` or `live`, the strictest of all that say so.
    pub mode: String,
    /// What is to be done, after the guards.
    pub verdict: String,
    /// What the rows said, before the guards.
    pub proposed: String,
    /// Why no act is allowed at all, not even by approval.
    pub stopped: Option<String>,
    /// The row that governs.
    pub rule: Option<String>,
    /// The rows in order.
    pub rows: Vec<RowShape>,
    /// Rows that were passed over together, with the reason that they share; empty where `rows` is the full list.
    pub passed_over: Vec<PassedOverShape>,
    /// What a shadow row would have said.
    pub shadow: Option<ShadowShape>,
    /// Every guard.
    pub guards: Vec<GuardShape>,
    /// Every candidate, the most suspect first.
    pub candidates: Vec<CandidateShape>,
    /// The candidate that the verdict is about.
    pub suspect: Option<String>,
    /// The suspicion that the rows compared.
    pub suspicion: f64,
    /// The plan, or its preview.
    pub plan: Option<CasePlanShape>,
    /// The smallest change that would have flipped the verdict.
    pub flip: Option<String>,
    /// When it is judged again if nothing changes.
    pub recheck: Option<Timestamp>,
    /// What was used.
    pub digests: DigestsShape,
    /// The version of the logic.
    pub logic: u32,
    /// When it was decided.
    pub at: Timestamp,
}

/// How a row answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowShape {
    /// The row.
    pub name: String,
    /// `yes`, `no`, `not_yet` or `not_reached`.
    pub answer: String,
    /// The first condition that does not hold.
    pub failed: Option<String>,
    /// When it will, if nothing changes.
    pub until: Option<Timestamp>,
}

/// Rows that share a reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassedOverShape {
    /// The reason.
    pub reason: String,
    /// How many.
    pub rows: u32,
}

/// What a shadow row would have said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShadowShape {
    /// The row.
    pub rule: String,
    /// Its verdict.
    pub verdict: String,
}

/// A guard's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuardShape {
    /// The guard.
    pub name: String,
    /// `pass`, `approve`, `notify`, `stop` or `unknown`.
    pub outcome: String,
    /// Why.
    pub reason: String,
}

/// A deployment that may be to blame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CandidateShape {
    /// The deployment; `None` is "none of them".
    pub deployment: Option<String>,
    /// What it put out.
    pub release: Option<String>,
    /// What people call that.
    pub version: Option<String>,
    /// From 0 to 1; all together make 1.
    pub suspicion: f64,
    /// What it is made of.
    pub parts: Vec<PartShape>,
}

/// A part of a suspicion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartShape {
    /// Its name.
    pub name: String,
    /// The factor that it brings; 1 changes nothing.
    pub factor: f64,
    /// Why, in a sentence.
    pub text: String,
}

/// What a decision used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DigestsShape {
    /// The rule table.
    pub rules: String,
    /// Everything that was looked at.
    pub brief: String,
}

impl ExplanationShape {
    /// A decision with the rows that were stored with it.
    pub fn of(decision: &Decision, plan: Option<CasePlanShape>) -> ExplanationShape {
        let passed_over = decision.passed_over.iter();
        let passed_over =
            passed_over.map(|(reason, rows)| PassedOverShape { reason: reason.clone(), rows: *rows });
        ExplanationShape {
            passed_over: passed_over.collect(),
            ..ExplanationShape::with(decision, &decision.rows, None, plan)
        }
    }

    /// A decision with every row of the table that made it.
    pub fn in_full(decision: &Decision, rules: &RuleTable, plan: Option<CasePlanShape>) -> ExplanationShape {
        ExplanationShape::with(decision, &explain_rows(&decision.brief, rules), Some(rules), plan)
    }

    fn with(
        decision: &Decision,
        rows: &[RowTrace],
        rules: Option<&RuleTable>,
        plan: Option<CasePlanShape>,
    ) -> ExplanationShape {
        ExplanationShape {
            service: decision.brief.service.to_string(),
            mode: decision.brief.mode.min(decision.terms.mode).word().to_owned(),
            verdict: decision.verdict.word().to_owned(),
            proposed: decision.proposed.word().to_owned(),
            stopped: decision.stopped.clone(),
            rule: decision.rule.as_ref().map(ToString::to_string),
            rows: rows.iter().map(RowShape::of).collect(),
            passed_over: Vec::new(),
            shadow: decision.shadow.as_ref().map(|(rule, verdict)| ShadowShape {
                rule: rule.to_string(),
                verdict: verdict.word().to_owned(),
            }),
            guards: decision.guards.iter().map(GuardShape::of).collect(),
            candidates: decision
                .candidates
                .iter()
                .map(|candidate| CandidateShape::of(candidate, &decision.brief))
                .collect(),
            suspect: decision.suspect.as_ref().map(ToString::to_string),
            suspicion: decision.suspicion,
            plan,
            flip: flip(decision, rows, rules),
            recheck: decision.recheck,
            digests: DigestsShape {
                rules: decision.rules.to_string(),
                brief: decision.brief.digest().to_string(),
            },
            logic: decision.logic,
            at: decision.at,
        }
    }
}

impl RowShape {
    fn of(row: &RowTrace) -> RowShape {
        let (failed, until) = match &row.answer {
            Answer::Yes | Answer::NotReached => (None, None),
            Answer::No(failed) => (Some(failed.clone()), None),
            Answer::NotYet { failed, until } => (Some(failed.clone()), Some(*until)),
        };
        RowShape { name: row.name.to_string(), answer: row.answer.word().to_owned(), failed, until }
    }
}

impl GuardShape {
    fn of(guard: &GuardAnswer) -> GuardShape {
        GuardShape {
            name: guard.name.word().to_owned(),
            outcome: guard.outcome.word().to_owned(),
            reason: guard.reason.clone(),
        }
    }
}

impl CandidateShape {
    fn of(candidate: &Candidate, brief: &Brief) -> CandidateShape {
        let is_it = |facts: &&CandidateFacts| candidate.deployment.as_ref() == Some(&facts.deployment);
        let facts = brief.candidates.iter().find(is_it);
        CandidateShape {
            release: facts.map(|facts| facts.release.to_string()),
            version: facts.and_then(|facts| facts.version.clone()),
            deployment: candidate.deployment.as_ref().map(ToString::to_string),
            suspicion: candidate.suspicion,
            parts: candidate.parts.iter().map(PartShape::of).collect(),
        }
    }
}

impl PartShape {
    fn of(part: &Part) -> PartShape {
        PartShape { name: part.name.word().to_owned(), factor: part.factor, text: part.says.clone() }
    }
}
