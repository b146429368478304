//! A plan: data with nothing left to choose. Suspect, target, expected current, steps, and a digest over all of that
//! and the approval policy; whoever approves approves exactly this.

use std::sync::Arc;

use super::approval::ApprovalPolicy;
use super::commits::{Commits, TakenBack};
use super::digest::Canon;
use super::id::{
    CaseId, DeploymentId, Digest, Duration, Mark, PersonId, ReleaseId, ServiceId, StepNo, Timestamp,
};
use super::ledger::Grade;
use super::release::{MigrationMarks, Release, RollbackMark};
use super::step::{Act, Class, Doer, OnFailure, Step};

/// What the core asks a provider to propose acts for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Choice {
    /// The case.
    pub case: CaseId,
    /// The service that is changed.
    pub service: ServiceId,
    /// The deployment to be undone. `None` in a person's case against a release that no deployment tells of.
    pub suspect: Option<DeploymentId>,
    /// What serves, or is going out.
    pub from: ReleaseId,
    /// What shall serve.
    pub to: ReleaseId,
    /// What goes back with it, in order.
    pub with: Vec<Leg>,
}

/// The way of a companion.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leg {
    /// Which.
    pub service: ServiceId,
    /// What serves there, or is going out.
    pub from: ReleaseId,
    /// What shall serve there.
    pub to: ReleaseId,
}

/// What a provider proposes for a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// What is done there, in order; pinned in full.
    pub acts: Vec<Act>,
    /// Each act may take so long from its intent to its end; then a person is asked.
    pub within: Duration,
    /// The old fleet is still alive, so that going back is a switch; else a redeploy.
    pub fast: bool,
    /// How long it usually takes, where the provider's history tells.
    pub expected_time: Option<Duration>,
    /// What is proposed for each companion of the choice, in order.
    pub with: Vec<Proposal>,
    /// The commits that going back takes away, where the provider knows of commits.
    pub commits: Option<Commits>,
}

impl Proposal {
    /// Acts that end soon, and of which nothing more is known.
    pub fn of(acts: Vec<Act>) -> Proposal {
        Proposal { acts, within: ACT_MAX, fast: false, expected_time: None, commits: None, with: Vec::new() }
    }
}

/// An act may take so long where its provider says nothing else.
const ACT_MAX: Duration = Duration::from_mins(30);

/// The word that is typed with a yes over an irreversible release (product §8).
pub const IRREVERSIBLE: &str = "irreversible";

/// A plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The deployment that is undone.
    pub suspect: Option<DeploymentId>,
    /// The release that leaves; it must serve, or be going out, when the plan begins.
    pub from: Release,
    /// The release that returns.
    pub to: Release,
    /// What the ledger holds of the target.
    pub to_grade: Grade,
    /// What goes back with it, in order.
    pub with: Vec<Companion>,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// Every release after the target up to the suspect, newest first: all of it is undone.
    pub undone: Vec<Undone>,
    /// The old fleet is still alive, so that going back is a switch; else a redeploy.
    pub fast: bool,
    /// How long it usually takes, where somebody knows.
    pub expected_time: Option<Duration>,
    /// The commits that it takes away, where the provider knows of commits; no part of the digest, since they follow from both releases.
    pub taken_back: Option<TakenBack>,
    /// Who may say yes to it.
    pub approval: Arc<ApprovalPolicy>,
    /// When it stops being valid; not part of the digest, so that the same plan made again keeps its votes.
    pub expires: Timestamp,
    /// Over everything above but `expires` and `taken_back`.
    pub digest: Digest,
}

/// A service that goes back together with the plan's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Companion {
    /// Which.
    pub service: ServiceId,
    /// What leaves there.
    pub from: Release,
    /// What returns there.
    pub to: Release,
    /// What its ledger holds of that.
    pub to_grade: Grade,
    /// What is undone there, newest first.
    pub undone: Vec<Undone>,
}

/// A release that a rollback takes away.
#[derive(Clone, Debug, PartialEq)]
pub struct Undone {
    /// The release.
    pub release: ReleaseId,
    /// What people call it.
    pub called: String,
    /// Who made it.
    pub author: Option<String>,
    /// What it says about going back over it.
    pub marks: MigrationMarks,
}

impl Plan {
    /// Puts the digest on a plan; call it last.
    pub fn sealed(mut self) -> Plan {
        self.digest = self.compute_digest();
        self
    }

    /// The step of this number.
    pub fn step(&self, step: StepNo) -> Option<&Step> {
        self.steps.get(usize::from(step.0))
    }

    /// The service that it is about: the first that a provider changes.
    pub fn service(&self) -> Option<&ServiceId> {
        self.steps.iter().find_map(|step| step.doer.provider())
    }

    /// The ways of its companions.
    pub fn legs(&self) -> Vec<Leg> {
        let leg = |one: &Companion| Leg {
            service: one.service.clone(),
            from: one.from.id.clone(),
            to: one.to.id.clone(),
        };
        self.with.iter().map(leg).collect()
    }

    /// The companion that this step changes.
    pub fn companion(&self, step: StepNo) -> Option<&Companion> {
        let service = self.step(step)?.doer.provider()?;
        self.with.iter().find(|one| one.service == *service)
    }

    /// Whether the provider of its own service was asked for something before this step.
    pub fn has_begun_before(&self, step: StepNo) -> bool {
        let own =
            |planned: &Step| planned.doer.provider().is_some() && planned.doer.provider() == self.service();
        self.steps.iter().take(usize::from(step.0)).any(own)
    }

    /// Whether this step is the first that asks a provider for something: before it nothing was rolled back.
    pub fn is_first_act(&self, step: StepNo) -> bool {
        self.step(step).is_some_and(|at| at.doer.provider().is_some()) && !self.has_begun_before(step)
    }

    /// The steps of the user's own, in order.
    pub fn own_steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.doer == Doer::User)
    }

    /// Whether everything that the provider of its own service does comes before this step.
    pub fn is_back_before(&self, step: StepNo) -> bool {
        let own =
            |planned: &Step| planned.doer.provider().is_some() && planned.doer.provider() == self.service();
        !self.steps.iter().skip(usize::from(step.0)).any(own)
    }

    /// Who made the release that leaves, where that is said as a principal (`slack:U0123ABCD`, `token:alice`). A bare name could be
    /// anybody, so that its author is as unknown as one that nobody names.
    pub fn author(&self) -> Option<PersonId> {
        self.from.author.as_ref().filter(|author| author.contains(':')).map(PersonId::new)
    }

    /// Whether it goes back over a release that says that nobody can.
    pub fn is_irreversible(&self) -> bool {
        let with = self.with.iter().flat_map(|one| &one.undone);
        self.undone.iter().chain(with).any(|undone| undone.marks.rollback == Some(RollbackMark::Irreversible))
    }

    /// The least number of votes that the plan itself asks for: two over an irreversible release.
    pub fn votes_at_least(&self) -> u32 {
        if self.is_irreversible() { 2 } else { 0 }
    }

    /// What is typed with a yes to this plan, where it takes a typed confirmation: over an irreversible release.
    pub fn confirmation(&self) -> Option<&'static str> {
        self.is_irreversible().then_some(IRREVERSIBLE)
    }

    /// Our sign for one step: the same for each attempt, different for every case and step.
    pub fn mark(case: &CaseId, step: StepNo, digest: &Digest) -> Mark {
        let mut canon = Canon::new("mark");
        canon.text("case", case.as_str()).number("step", i64::from(step.0)).text("plan", digest.as_str());
        Mark::new(format!("snapback/{}", &canon.digest().as_str()[..24]))
    }

    /// Whether this is spelled as [`Plan::mark`] spells: what somebody else calls so is no mark of ours.
    pub fn is_mark(text: &str) -> bool {
        let digits = text.strip_prefix("snapback/").unwrap_or_default();
        digits.len() == 24 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    }

    fn compute_digest(&self) -> Digest {
        let mut canon = Canon::new("plan");
        canon.option("suspect", self.suspect.as_ref().map(DeploymentId::as_str));
        canon_release(&mut canon, "from", &self.from);
        canon_release(&mut canon, "to", &self.to);
        canon.text("to_grade", self.to_grade.word());
        for one in &self.with {
            canon.text("with", one.service.as_str());
            canon_release(&mut canon, "from", &one.from);
            canon_release(&mut canon, "to", &one.to);
            canon.text("to_grade", one.to_grade.word());
            canon_undone(&mut canon, &one.undone);
        }
        for step in &self.steps {
            canon_step(&mut canon, step);
        }
        canon_undone(&mut canon, &self.undone);
        canon.flag("fast", self.fast);
        canon.number("expected_s", self.expected_time.map_or(-1, |time| time.as_secs()));
        canon_policy(&mut canon, &self.approval);
        canon.digest()
    }
}

fn canon_release(canon: &mut Canon, name: &str, release: &Release) {
    canon
        .text(name, release.id.as_str())
        .option("version", release.version.as_deref())
        .option("commit", release.commit.as_deref())
        .option("author", release.author.as_deref());
    canon_marks(canon, &release.marks);
}

fn canon_undone(canon: &mut Canon, undone: &[Undone]) {
    for undone in undone {
        canon.text("undone", undone.release.as_str()).option("author", undone.author.as_deref());
        canon_marks(canon, &undone.marks);
    }
}

fn canon_marks(canon: &mut Canon, marks: &MigrationMarks) {
    canon
        .option("rollback", marks.rollback.map(|mark| mark.word()))
        .option("schema", marks.schema_version.map(|v| v.to_string()).as_deref())
        .option("min_schema", marks.min_compatible_schema.map(|v| v.to_string()).as_deref());
}

fn canon_step(canon: &mut Canon, step: &Step) {
    match &step.doer {
        Doer::Provider(service) => canon.text("provider", service.as_str()),
        Doer::Ledger(release) => canon.text("ledger", release.as_str()),
        Doer::User => canon.text("user", ""),
    };
    let Act { kind, arguments, class, says } = &step.act;
    canon.text("kind", kind).text("class", class.letter()).text("says", says);
    for (name, value) in arguments {
        canon.text(name, value);
    }
    canon.number("deadline_ms", i64::try_from(step.deadline.as_millis()).unwrap_or(i64::MAX));
    canon.text(
        "on_failure",
        match step.on_failure {
            OnFailure::Stop => "stop",
            OnFailure::Continue => "continue",
        },
    );
}

fn canon_policy(canon: &mut Canon, policy: &ApprovalPolicy) {
    canon.text("approval", policy.name.as_str()).number("quorum", i64::from(policy.quorum));
    for clause in &policy.from {
        canon.number("clause", i64::try_from(clause.len()).unwrap_or(i64::MAX));
        for group in clause {
            canon.text("group", group.as_str());
        }
    }
    canon.flag("not_the_author", policy.not_the_author);
    canon.number("expires_ms", i64::try_from(policy.expires.as_millis()).unwrap_or(i64::MAX));
    canon.text(
        "on_expiry",
        match policy.on_expiry {
            super::approval::OnExpiry::Notify => "notify",
            super::approval::OnExpiry::Rollback => "rollback",
        },
    );
    for group in &policy.break_glass {
        canon.text("break_glass", group.as_str());
    }
}

/// The step that locks the bad release: ours, in the ledger, after everything else.
pub fn lock_step(bad: &Release) -> Step {
    Step {
        doer: Doer::Ledger(bad.id.clone()),
        act: Act {
            kind: "lock".into(),
            arguments: std::iter::once(("release".to_owned(), bad.id.to_string())).collect(),
            class: Class::B,
            says: format!("lock {} so that it does not go out again unseen", bad.called()),
        },
        deadline: Duration::from_secs(10),
        on_failure: OnFailure::Continue,
    }
}
