//! A case as the API shows it.

use serde::{Deserialize, Serialize};

use crate::case::exhibit::Exhibit;
use crate::case::id::Timestamp;
use crate::case::ledger::Ledger;
use crate::case::phase::{CountdownClock, Phase};
use crate::case::plan::{Companion, Plan};
use crate::case::release::Release;
use crate::case::step::{Doer, Step};
use crate::case::story::Case;
use crate::case::words::{event_text, from_to, step_says};

/// `GET /v1/cases`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CasesShape {
    /// The newest first.
    pub cases: Vec<CaseShape>,
    /// Where the next page begins; opaque. `None`: this is the last.
    pub next: Option<String>,
}

/// `GET /v1/cases/{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseShape {
    /// Its id.
    pub id: String,
    /// The service that would be changed.
    pub service: String,
    /// Where it stands.
    pub phase: String,
    /// How it ended; `None` while it is open.
    pub outcome: Option<String>,
    /// Who began it: `signal`, `person` or `drill`.
    pub origin: String,
    /// Whether it may act: `shadow` or `live`.
    pub mode: String,
    /// When it opened.
    pub opened_at: Timestamp,
    /// What was decided last.
    pub verdict: Option<String>,
    /// By which row.
    pub rule: Option<String>,
    /// The suspicion that the row compared.
    pub suspicion: Option<f64>,
    /// The deployment that is to blame.
    pub suspect: Option<SuspectShape>,
    /// What leaves, once there is a plan.
    pub from: Option<ReleaseShape>,
    /// What returns, once there is a plan.
    pub to: Option<ReleaseShape>,
    /// Its signals.
    pub signals: Vec<CaseSignalShape>,
    /// The plan.
    pub plan: Option<CasePlanShape>,
    /// Why there is none.
    pub no_plan: Option<String>,
    /// Votes that count, as long as the plan is the same.
    pub votes: Vec<VoteShape>,
    /// When the open question, countdown or other waiting ends, where it has an end.
    pub until: Option<Timestamp>,
    /// When each stage was reached.
    pub clock: ClockShape,
    /// A link to its thread.
    pub thread: Option<String>,
    /// What the provider showed before anything was done.
    #[serde(default)]
    pub evidence: Vec<ExhibitShape>,
    /// Everything that happened, oldest first.
    pub events: Vec<CaseEventShape>,
}

/// The deployment that is to blame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuspectShape {
    /// The provider's name for it.
    pub deployment: String,
    /// Its release.
    pub release: String,
    /// When it began.
    pub started_at: Timestamp,
}

/// A release at one end of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseShape {
    /// Its artifact.
    pub release: String,
    /// What people call it.
    pub version: Option<String>,
    /// What it was built from.
    pub commit: Option<String>,
    /// What the ledger holds of it: for `to` when it was planned, for `from` now.
    pub ledger: String,
}

/// Something that the provider showed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExhibitShape {
    /// What it is, in a few words.
    pub name: String,
    /// What it says; foreign text.
    pub text: String,
}

/// A signal of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseSignalShape {
    /// Who told it.
    pub source: String,
    /// Its name.
    pub name: String,
    /// Which alert.
    pub fingerprint: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it cleared.
    pub cleared_at: Option<Timestamp>,
    /// What its sender says about it.
    pub summary: Option<String>,
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CasePlanShape {
    /// What is approved: this and nothing else. `None` in a preview, which nobody can approve.
    pub digest: Option<String>,
    /// What is done, in order.
    pub steps: Vec<StepShape>,
    /// What goes back together with it, in order.
    #[serde(default)]
    pub with: Vec<CompanionShape>,
    /// Every release that goes with it, newest first.
    pub undone: Vec<String>,
    /// Who may say yes: the name of the policy.
    pub approval: String,
    /// When it stops being valid.
    pub expires_at: Option<Timestamp>,
    /// What must be typed with a yes to it: over an irreversible release.
    #[serde(default)]
    pub confirm: Option<String>,
}

/// A service that goes back together with the plan's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompanionShape {
    /// Which.
    pub service: String,
    /// What leaves there.
    pub from: String,
    /// What returns there.
    pub to: String,
    /// What its ledger holds of that.
    pub ledger: String,
}

/// What a request would lead to: nothing of it is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreviewShape {
    /// `preview`.
    pub status: String,
    /// From which release to which.
    pub says: String,
    /// The plan that would be asked about; a request that names its digest is a yes to it and to no other.
    pub plan: CasePlanShape,
}

impl PreviewShape {
    /// Of this plan.
    pub fn of(plan: &Plan) -> PreviewShape {
        PreviewShape { status: "preview".into(), says: from_to(plan), plan: CasePlanShape::of(plan) }
    }
}

/// One part of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepShape {
    /// What is done, in a sentence.
    pub text: String,
    /// Who does it: `provider`, `ledger` or `user`.
    pub by: String,
    /// What a late copy of its request does: `A` refused, `B` the same again, `C` new work.
    pub class: String,
    /// How long it may take, in seconds.
    pub deadline: f64,
}

/// A vote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VoteShape {
    /// Who.
    pub by: String,
    /// Yes or no.
    pub yes: bool,
    /// When.
    pub at: Timestamp,
}

/// When each stage was reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockShape {
    /// The first signal, or the request, reached us.
    pub received_at: Timestamp,
    /// First judged.
    pub judged_at: Option<Timestamp>,
    /// People were asked.
    pub asked_at: Option<Timestamp>,
    /// Enough of them said yes.
    pub approved_at: Option<Timestamp>,
    /// The first intent was written.
    pub started_at: Option<Timestamp>,
    /// The target served.
    pub done_at: Option<Timestamp>,
    /// The verification ended.
    pub verified_at: Option<Timestamp>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseEventShape {
    /// When.
    pub at: Timestamp,
    /// What, in a word.
    pub kind: String,
    /// What, in a sentence.
    pub text: String,
}

impl CaseShape {
    /// A case, with what its service's ledger holds of its releases where that is at hand.
    pub fn of(case: &Case, ledger: Option<&Ledger>) -> CaseShape {
        let decision = case.decision.as_deref();
        let plan = case.plan.as_deref();
        let outcome =
            if let Phase::Closed(outcome) = case.phase { Some(outcome.word().to_owned()) } else { None };
        CaseShape {
            id: case.id.to_string(),
            service: case.id.service().to_string(),
            phase: case.phase.word().to_owned(),
            outcome,
            origin: case.origin.word().to_owned(),
            mode: case.mode.word().to_owned(),
            opened_at: case.opened_at,
            verdict: decision.map(|decision| decision.verdict.word().to_owned()),
            rule: decision.and_then(|decision| decision.rule.as_ref()).map(ToString::to_string),
            suspicion: decision.map(|decision| decision.suspicion),
            suspect: case.suspect.as_ref().map(|suspect| SuspectShape {
                deployment: suspect.deployment.id.to_string(),
                release: suspect.release.id.to_string(),
                started_at: suspect.deployment.started_at,
            }),
            from: plan.map(|plan| {
                let grade = ledger.map_or("unknown", |ledger| ledger.grade(&plan.from.id).word());
                ReleaseShape::of(&plan.from, grade)
            }),
            to: plan.map(|plan| ReleaseShape::of(&plan.to, plan.to_grade.word())),
            signals: case.signals.values().map(CaseSignalShape::of).collect(),
            plan: plan.map(CasePlanShape::of),
            no_plan: case.no_plan.as_ref().map(|none| none.why.clone()),
            votes: votes(case),
            until: until(&case.phase),
            clock: ClockShape::of(case),
            thread: case.thread.as_ref().map(ToString::to_string).filter(|place| place.starts_with("http")),
            evidence: evidence(case),
            events: events(case),
        }
    }
}

/// When a phase ends by itself, where it has such an end.
fn until(phase: &Phase) -> Option<Timestamp> {
    match phase {
        Phase::Gathering { until } | Phase::Planning { until, .. } | Phase::AwaitingApproval { until } => {
            Some(*until)
        }
        Phase::Countdown { clock: CountdownClock::Counting { until } } => Some(*until),
        Phase::Weighing { recheck } => *recheck,
        Phase::Countdown { clock: CountdownClock::Untold { .. } | CountdownClock::Suspended }
        | Phase::Ready { .. }
        | Phase::Intended { .. }
        | Phase::Running { .. }
        | Phase::Verifying(_)
        | Phase::NeedsHuman { .. }
        | Phase::Closed(_) => None,
    }
}

fn votes(case: &Case) -> Vec<VoteShape> {
    let vote = |vote: &crate::case::approval::Vote| VoteShape {
        by: vote.by.to_string(),
        yes: vote.yes,
        at: vote.at,
    };
    case.votes.iter().map(vote).collect()
}

fn evidence(case: &Case) -> Vec<ExhibitShape> {
    let shape = |exhibit: &Exhibit| ExhibitShape { name: exhibit.name.clone(), text: exhibit.text.clone() };
    case.evidence().into_iter().flat_map(|collected| &collected.exhibits).map(shape).collect()
}

fn events(case: &Case) -> Vec<CaseEventShape> {
    let event = |stamped: &crate::case::event::Stamped| CaseEventShape {
        at: stamped.at,
        kind: stamped.event.word().to_owned(),
        text: event_text(case, stamped),
    };
    case.events.iter().map(event).collect()
}

impl ReleaseShape {
    fn of(release: &Release, grade: &str) -> ReleaseShape {
        ReleaseShape {
            release: release.id.to_string(),
            version: release.version.clone(),
            commit: release.commit.clone(),
            ledger: grade.to_owned(),
        }
    }
}

impl CaseSignalShape {
    fn of(signal: &crate::case::story::CaseSignal) -> CaseSignalShape {
        CaseSignalShape {
            source: signal.source.to_string(),
            name: signal.name.to_string(),
            fingerprint: signal.fingerprint.to_string(),
            started_at: signal.started_at,
            cleared_at: signal.cleared_at,
            summary: signal.summary.clone(),
        }
    }
}

impl CasePlanShape {
    /// A plan that stands.
    pub fn of(plan: &Plan) -> CasePlanShape {
        CasePlanShape {
            digest: Some(plan.digest.to_string()),
            expires_at: Some(plan.expires),
            ..CasePlanShape::preview(plan)
        }
    }

    /// A plan that is only shown.
    pub fn preview(plan: &Plan) -> CasePlanShape {
        CasePlanShape {
            digest: None,
            steps: plan.steps.iter().map(|step| StepShape::of(plan, step)).collect(),
            with: plan.with.iter().map(CompanionShape::of).collect(),
            undone: plan.undone.iter().map(|undone| undone.release.to_string()).collect(),
            approval: plan.approval.name.to_string(),
            expires_at: None,
            confirm: plan.confirmation().map(str::to_owned),
        }
    }
}

impl CompanionShape {
    fn of(one: &Companion) -> CompanionShape {
        CompanionShape {
            service: one.service.to_string(),
            from: one.from.id.to_string(),
            to: one.to.id.to_string(),
            ledger: one.to_grade.word().to_owned(),
        }
    }
}

impl StepShape {
    fn of(plan: &Plan, step: &Step) -> StepShape {
        let by = match &step.doer {
            Doer::Provider(_) => "provider",
            Doer::Ledger(_) => "ledger",
            Doer::User => "user",
        };
        StepShape {
            text: step_says(plan, step),
            by: by.to_owned(),
            class: step.act.class.letter().to_owned(),
            deadline: step.deadline.as_secs_f64(),
        }
    }
}

impl ClockShape {
    fn of(case: &Case) -> ClockShape {
        let clock = &case.clock;
        ClockShape {
            received_at: clock.received_at,
            judged_at: clock.judged_at,
            asked_at: clock.asked_at,
            approved_at: clock.approved_at,
            started_at: clock.started_at,
            done_at: clock.done_at,
            verified_at: clock.verified_at,
        }
    }
}
