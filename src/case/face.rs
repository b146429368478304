//! The face of a case: what the first message of its thread shows now, whoever reads it at three in the morning: what, from
//! where to where, what to press, until when, and why. Derived from the case and never stored; `words` says what happened,
//! in order, and `report` how either looks.

use std::collections::BTreeSet;

use super::approval::Question;
use super::decide::{Decision, Verdict};
use super::digest::Canon;
use super::event::Origin;
use super::id::{CaseId, Digest, PersonId, Place, ServiceId, Timestamp};
use super::phase::{CountdownClock, Outcome, Phase, Verifying};
use super::plan::Plan;
use super::saying::Saying;
use super::settings::Mode;
use super::story::Case;
use super::words::{leads, length, people, plan_steps, step_says};

/// The most reasons shown; the others are in the explanation.
const REASONS_MAX: usize = 6;
/// The most signals named.
const SIGNALS_MAX: usize = 5;

/// What the first message of a thread shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Face {
    /// The case.
    pub case: CaseId,
    /// How it stands, for the eye.
    pub mood: Mood,
    /// What, from where to where, and how it stands: `checkout@production: v42 → v41, people are asked`.
    pub headline: String,
    /// What happens now, and what to press.
    pub now: String,
    /// Until when that holds.
    pub until: Option<Timestamp>,
    /// Why: the rule, the suspicion, the signals, what weakened the verdict.
    pub why: Vec<String>,
    /// Who may decide, and who did.
    pub who: Vec<String>,
    /// The steps of the plan, in order.
    pub steps: Vec<String>,
    /// Each stage that was reached, and when.
    pub clock: Vec<(&'static str, Timestamp)>,
    /// What can be pressed now.
    pub buttons: Vec<Button>,
    /// People who are named in it: whoever shows it may show them as people.
    pub people: BTreeSet<PersonId>,
}

/// How a case stands, for the eye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It is looked at.
    Looking,
    /// People are asked.
    Asking,
    /// It is about to act by itself.
    Counting,
    /// It acts.
    Acting,
    /// Whether it helped is watched.
    Watching,
    /// It needs a person.
    Stuck,
    /// It ended well.
    Well,
    /// It ended, and the trouble may go on.
    Unwell,
    /// It ended without an act.
    Over,
}

/// Something to press.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    /// Which.
    pub label: Label,
    /// What pressing it says, as if typed.
    pub says: Saying,
    /// What is asked back before it counts; nothing where a slip does no harm.
    pub confirm: Option<String>,
}

/// The words on the buttons (product §11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// Yes to the plan, or a rollback by hand.
    RollBack,
    /// Something else is to blame.
    NotThisDeployment,
    /// Do not.
    Cancel,
    /// Not now.
    Snooze,
    /// Put the newer release out again.
    RollForward,
    /// The release that left was good.
    MarkGood,
    /// It was bad.
    MarkBad,
    /// What was typed is meant so.
    Confirm,
}

impl Label {
    /// The words.
    pub fn words(self) -> &'static str {
        match self {
            Label::RollBack => "Roll back",
            Label::NotThisDeployment => "Not this deployment",
            Label::Cancel => "Cancel",
            Label::Snooze => "Snooze 15 min",
            Label::RollForward => "Roll forward",
            Label::MarkGood => "Mark good",
            Label::MarkBad => "Mark bad",
            Label::Confirm => "Do it",
        }
    }

    /// A name for it where each must be another's.
    pub fn name(self) -> &'static str {
        match self {
            Label::RollBack => "roll_back",
            Label::NotThisDeployment => "not_this_deployment",
            Label::Cancel => "cancel",
            Label::Snooze => "snooze",
            Label::RollForward => "roll_forward",
            Label::MarkGood => "mark_good",
            Label::MarkBad => "mark_bad",
            Label::Confirm => "confirm",
        }
    }
}

/// Whether the first message shows something else than the case is now. Only a thread can be edited; a log cannot.
pub(super) fn is_stale(case: &Case) -> bool {
    let edited = case.thread.as_ref().is_some_and(Place::is_thread);
    edited && case.shown.as_ref() != Some(&Face::of(case).digest())
}

impl Face {
    /// The face of this case, as it stands.
    pub fn of(case: &Case) -> Face {
        let service = case.id.service();
        let (mood, state) = state(case);
        let (now, until) = now(case);
        Face {
            case: case.id.clone(),
            mood,
            headline: format!("{service}: {}{state}", moves(case)),
            now,
            until,
            why: why(case),
            who: who(case),
            steps: case.plan.as_deref().map(|plan| plan_steps(plan).collect()).unwrap_or_default(),
            clock: clock(case),
            buttons: buttons(case, &service),
            people: people(case),
        }
    }

    /// A digest over everything that it shows.
    pub fn digest(&self) -> Digest {
        let mut canon = Canon::new("face");
        canon.text("headline", &self.headline).text("now", &self.now);
        canon.option("until", self.until.map(|until| until.to_string()).as_deref());
        for line in self.why.iter().chain(&self.who).chain(&self.steps) {
            canon.text("line", line);
        }
        for (stage, at) in &self.clock {
            canon.text("stage", stage).text("at", &at.to_string());
        }
        for button in &self.buttons {
            canon.text("button", button.label.name()).text("says", &button.says.to_string());
        }
        canon.digest()
    }
}

/// From where to where, as far as that is known.
fn moves(case: &Case) -> String {
    if let Some(plan) = &case.plan {
        return format!("{}, ", leads(plan));
    }
    match &case.suspect {
        Some(suspect) => format!("{} is suspected, ", suspect.release.called()),
        None => String::new(),
    }
}

fn state(case: &Case) -> (Mood, &'static str) {
    let shadow = case.mode == Mode::Shadow;
    match &case.phase {
        Phase::Gathering { .. } => (Mood::Looking, "being looked at"),
        Phase::Weighing { .. } if case.snoozed_until.is_some() => (Mood::Looking, "snoozed"),
        Phase::Weighing { .. } if shadow => (Mood::Looking, "watched in shadow mode"),
        Phase::Weighing { .. } => (Mood::Looking, "watched"),
        Phase::Planning { .. } => (Mood::Looking, "being planned"),
        Phase::AwaitingApproval { .. } => (Mood::Asking, "people are asked"),
        Phase::Countdown { clock: CountdownClock::Suspended } => (Mood::Looking, "countdown stopped"),
        Phase::Countdown { .. } => (Mood::Counting, "counting down"),
        Phase::Ready { barred: Some(_), .. } => (Mood::Counting, "waiting"),
        Phase::Ready { .. } => (Mood::Acting, "about to begin"),
        Phase::Intended { .. } | Phase::Running { .. } if case.goes_forward() => {
            (Mood::Acting, "rolling forward")
        }
        Phase::Verifying(_) if case.goes_forward() => (Mood::Watching, "rolled forward, being watched"),
        Phase::Intended { .. } | Phase::Running { .. } => (Mood::Acting, "rolling back"),
        Phase::Verifying(_) => (Mood::Watching, "rolled back, being watched"),
        Phase::NeedsHuman { .. } => (Mood::Stuck, "needs a person"),
        Phase::Closed(outcome) => (mood_of(*outcome), outcome.says()),
    }
}

fn mood_of(outcome: Outcome) -> Mood {
    match outcome {
        Outcome::Recovered | Outcome::Adopted | Outcome::Cleared => Mood::Well,
        Outcome::NotRecovered | Outcome::Unverified | Outcome::Failed | Outcome::Expired => Mood::Unwell,
        Outcome::Superseded | Outcome::Cancelled | Outcome::Denied | Outcome::LeftAlone => Mood::Over,
    }
}

/// What happens now and what to press, and until when.
fn now(case: &Case) -> (String, Option<Timestamp>) {
    let words = |text: &str| (text.to_owned(), None);
    match &case.phase {
        Phase::Gathering { until } => {
            ("The provider is asked what serves; judged at the latest".into(), Some(*until))
        }
        Phase::Weighing { recheck } => weighing(case, *recheck),
        Phase::Planning { until, .. } => ("The provider is asked how it would go back".into(), Some(*until)),
        Phase::AwaitingApproval { until } => {
            let votes = case.plan.as_deref().map_or(String::new(), |plan| votes_needed(case, plan, *until));
            let typed = case.plan.as_deref().and_then(Plan::confirmation);
            if let Some(word) = typed {
                let yes = format!("/snapback approve {} {word}", case.id);
                return (format!("It is irreversible: type \"{yes}\" to say yes{votes}, or press \"Cancel\"; open"), Some(*until));
            }
            (format!("Press \"{}\" to say yes{votes}, or \"Cancel\"; open", yes_label(case).words()), Some(*until))
        }
        Phase::Countdown { clock: CountdownClock::Untold { latest } } => {
            ("Rolls back by itself after a countdown, which begins now: press \"Cancel\" to stop it; counted at the latest from".into(), Some(*latest))
        }
        Phase::Countdown { clock: CountdownClock::Counting { until } } => {
            ("Rolls back by itself unless somebody presses \"Cancel\"".into(), Some(*until))
        }
        Phase::Countdown { clock: CountdownClock::Suspended } => {
            words("All signals cleared: nothing is done unless one fires again")
        }
        Phase::Ready { barred: Some(barred), .. } => {
            (format!("Not yet: {}; asked again", barred.why.says()), Some(barred.again_at))
        }
        Phase::Ready { .. } => words("Everything is there; the last check is made"),
        Phase::Intended { step, .. } | Phase::Running { step, .. } => {
            let plan = case.plan.as_deref();
            let of = plan.map_or(0, |plan| plan.steps.len());
            let says = plan.and_then(|plan| Some(step_says(plan, plan.step(*step)?))).unwrap_or_default();
            (format!("Step {} of {of}: {says}", usize::from(step.0) + 1), None)
        }
        Phase::Verifying(verifying) => watching(verifying),
        Phase::NeedsHuman { why, .. } => {
            (format!("{why}. Settle it: /snapback settle {} look-again, took-effect or give-up", case.id), None)
        }
        Phase::Closed(_) => (closed_because(case), None),
    }
}

fn weighing(case: &Case, recheck: Option<Timestamp>) -> (String, Option<Timestamp>) {
    if let Some(until) = case.snoozed_until {
        return ("Snoozed; judged again".into(), Some(until));
    }
    if let Some(no_plan) = &case.no_plan {
        return (format!("There is no plan: {}", no_plan.why), no_plan.until);
    }
    let verdict = case.decision.as_deref().map(|decision| decision.verdict);
    let text = match (verdict, case.mode) {
        (Some(Verdict::Notify), Mode::Live) if case.suspect.is_some() => {
            "Nothing is done by itself. Press \"Roll back\" to ask for it, or \"Not this deployment\""
        }
        (Some(Verdict::Rollback | Verdict::Approve), Mode::Shadow) => {
            "Shadow mode: this is what would be done; nothing is"
        }
        (Some(_), _) => "Watched until its signals clear or its window ends",
        (None, _) => "Being judged",
    };
    (text.to_owned(), recheck.filter(|_| verdict.is_none()))
}

fn watching(verifying: &Verifying) -> (String, Option<Timestamp>) {
    let policy = &verifying.policy;
    let until = verifying.done_at + policy.settle + policy.within;
    let signals = match verifying.clear_since {
        Some(_) => format!("its signals are clear, and must stay so for {}", length(policy.clear_for)),
        None => "its signals still fire".to_owned(),
    };
    (format!("Rolled back; {signals}. Told how it ended at the latest"), Some(until))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "one event is looked for")]
fn closed_because(case: &Case) -> String {
    let why = case.events.iter().rev().find_map(|stamped| match &stamped.event {
        super::event::Event::Closed { why, .. } => Some(why.as_str()),
        _ => None,
    });
    let why = why.unwrap_or_default();
    if why.split(' ').next().is_some_and(|first| first.contains(':')) {
        // It begins with a person, who is spelled as they are.
        return why.to_owned();
    }
    let mut chars = why.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn votes_needed(case: &Case, plan: &Plan, now: Timestamp) -> String {
    let author = plan.author();
    let (author, at_least) = (author.as_ref(), plan.votes_at_least());
    let asked = Question { digest: &plan.digest, author, at_least, confirm: plan.confirmation(), now };
    let needed = plan.approval.needed(&asked);
    let yes = case.votes.iter().filter(|vote| vote.yes && vote.digest == plan.digest).count();
    if needed > 1 { format!(" ({yes} of {needed} votes so far)") } else { String::new() }
}

fn why(case: &Case) -> Vec<String> {
    let mut lines = Vec::new();
    if let Origin::Person { by, reason, .. } = &case.origin {
        lines.push(format!("{by} asked for it: {reason}"));
    }
    if let Some(decision) = case.decision.as_deref() {
        lines.extend(reasons(case, decision));
    }
    let shown = case.signals.values().take(SIGNALS_MAX);
    lines.extend(shown.map(|signal| {
        let cleared = if signal.cleared_at.is_some() { " (clear)" } else { "" };
        let summary = signal.summary.as_ref().map_or(String::new(), |summary| format!(": {summary}"));
        format!("{}{cleared}{summary}", signal.name)
    }));
    let left = case.signals.len().saturating_sub(SIGNALS_MAX);
    if left > 0 {
        lines.push(format!("and {left} signals more"));
    }
    lines
}

fn reasons(case: &Case, decision: &Decision) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(suspect) = &case.suspect {
        let rule = decision.rule.as_ref().map_or("no rule".to_owned(), |rule| format!("rule \"{rule}\""));
        let told = suspect.told();
        lines.push(format!("{told} is suspected with {:.2}; {rule}", decision.suspicion));
    } else {
        lines.push("no deployment is to blame".to_owned());
    }
    let weakening = decision.guards.iter().filter(|guard| guard.outcome.ceiling() < decision.proposed);
    lines.extend(weakening.map(|guard| format!("{}: {}", guard.name.word(), guard.reason)));
    lines.truncate(REASONS_MAX);
    lines
}

fn who(case: &Case) -> Vec<String> {
    let Some(plan) = case.plan.as_deref() else { return Vec::new() };
    let mut lines = Vec::new();
    let clauses: Vec<String> = plan
        .approval
        .from
        .iter()
        .map(|clause| clause.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "))
        .collect();
    let from = if clauses.is_empty() { "nobody".to_owned() } else { clauses.join(", and one of ") };
    if !matches!(case.phase, Phase::Closed(_)) {
        lines.push(format!("{from} may decide"));
    }
    lines.extend(case.votes.iter().filter(|vote| vote.digest == plan.digest).map(|vote| {
        let word = if vote.yes { "yes" } else { "no" };
        let glass = vote.break_glass.as_ref().map_or(String::new(), |why| format!(", alone: {why}"));
        format!("{} said {word}{glass}", vote.by)
    }));
    lines
}

fn clock(case: &Case) -> Vec<(&'static str, Timestamp)> {
    let clock = &case.clock;
    let stages = [
        ("received", Some(clock.received_at)),
        ("judged", clock.judged_at),
        ("asked", clock.asked_at),
        ("approved", clock.approved_at),
        ("started", clock.started_at),
        ("done", clock.done_at),
        ("verified", clock.verified_at),
    ];
    stages.into_iter().filter_map(|(stage, at)| Some((stage, at?))).collect()
}

/// What can be pressed: never a button that does nothing, and in shadow none that acts.
fn buttons(case: &Case, service: &ServiceId) -> Vec<Button> {
    let id = &case.id;
    let plain = |label, says| Button { label, says, confirm: None };
    let cancel = || plain(Label::Cancel, Saying::Cancel(id.clone()));
    let snooze = || plain(Label::Snooze, Saying::Snooze(id.clone()));
    let innocent = || Button {
        label: Label::NotThisDeployment,
        says: Saying::Exonerate(id.clone()),
        confirm: Some("It is not asked about again for these signals.".into()),
    };
    match &case.phase {
        _ if case.mode == Mode::Shadow => Vec::new(),
        Phase::Weighing { .. } if case.suspect.is_some() && case.snoozed_until.is_none() => {
            let by_hand = by_hand(case, service);
            by_hand.into_iter().chain([innocent(), snooze()]).collect()
        }
        Phase::AwaitingApproval { .. } => {
            let yes = case.plan.as_deref().map(|plan| yes(id, plan, yes_label(case)));
            let not_now = matches!(case.origin, Origin::Signal).then(snooze);
            yes.into_iter()
                .chain(case.suspect.as_ref().filter(|_| !case.goes_forward()).map(|_| innocent()))
                .chain([cancel()])
                .chain(not_now)
                .collect()
        }
        Phase::Countdown { .. } => vec![cancel(), innocent(), snooze()],
        Phase::Ready { .. } if case.phase.is_before_the_act() => vec![cancel()],
        Phase::Closed(outcome) => afterwards(case, service, *outcome),
        Phase::Gathering { .. }
        | Phase::Weighing { .. }
        | Phase::Planning { .. }
        | Phase::Ready { .. }
        | Phase::Intended { .. }
        | Phase::Running { .. }
        | Phase::Verifying(_)
        | Phase::NeedsHuman { .. } => Vec::new(),
    }
}

/// What a yes does: back, or forward again.
fn yes_label(case: &Case) -> Label {
    if case.goes_forward() { Label::RollForward } else { Label::RollBack }
}

fn yes(case: &CaseId, plan: &Plan, label: Label) -> Button {
    let short: String = plan.digest.as_str().chars().take(8).collect();
    let plan_digest = Some(plan.digest.clone());
    let says = Saying::Approve { case: case.clone(), plan: plan_digest, irreversible: false, alone: None };
    let what = format!("{}, plan {short}.", leads(plan));
    Button { label, says, confirm: Some(what) }
}

/// Only told, so far: a person may begin it by hand.
fn by_hand(case: &Case, service: &ServiceId) -> Option<Button> {
    let told = case.decision.as_deref().is_some_and(|decision| decision.verdict == Verdict::Notify);
    told.then(|| Button {
        label: Label::RollBack,
        says: Saying::Rollback {
            service: service.clone(),
            to: None,
            serving: case.suspect.as_ref().map(|suspect| suspect.release.id.clone()),
            reason: format!("pressed in the thread of {}", case.id),
        },
        confirm: Some("A rollback by hand to the last good release; whoever may approve is asked.".into()),
    })
}

/// After an act people say what they think of the release that left.
fn afterwards(case: &Case, service: &ServiceId, outcome: Outcome) -> Vec<Button> {
    let Some(plan) = case.plan.as_deref().filter(|_| case.acted() && !case.goes_forward()) else {
        return Vec::new();
    };
    let (service, release) = (service.clone(), plan.from.id.clone());
    let forward = Button {
        label: Label::RollForward,
        says: Saying::Rollforward {
            service: service.clone(),
            serving: Some(plan.to.id.clone()),
            reason: format!("pressed in the thread of {}", case.id),
        },
        confirm: Some(format!("{} goes out again; whoever may approve is asked.", plan.from.called())),
    };
    let mark = |good| Saying::Mark {
        service: service.clone(),
        release: release.clone(),
        good,
        reason: format!("pressed in the thread of {}", case.id),
    };
    let good = Button { label: Label::MarkGood, says: mark(true), confirm: None };
    let bad = Button { label: Label::MarkBad, says: mark(false), confirm: None };
    match outcome {
        Outcome::NotRecovered => vec![forward, bad],
        Outcome::Unverified => vec![forward, good, bad],
        Outcome::Recovered | Outcome::Adopted => vec![forward, good],
        Outcome::Failed
        | Outcome::Superseded
        | Outcome::Cancelled
        | Outcome::Denied
        | Outcome::Expired
        | Outcome::Cleared
        | Outcome::LeftAlone => Vec::new(),
    }
}
