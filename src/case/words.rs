//! Every sentence that a thread ever says, derived from a case's events and never stored. Pure; what a note looks
//! like in Slack or on a terminal is `report`'s. Text of senders stays data: it is never markup here.

use std::collections::BTreeSet;

use super::commits::TakenBack;
use super::decide::{Decision, Verdict};
use super::event::{Direction, Event, Origin, Stamped};
use super::id::{CaseId, Duration, NoteNo, PersonId, ServiceId, Timestamp};
use super::ledger::Grade;
use super::phase::Outcome;
use super::plan::Plan;
use super::release::Release;
use super::step::Step;
use super::story::Case;

/// One thing said in the thread of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The case.
    pub case: CaseId,
    /// Its place in the thread; 0 opens it.
    pub number: NoteNo,
    /// What is said; the first line stands alone.
    pub lines: Vec<String>,
    /// When what it tells happened.
    pub at: Timestamp,
    /// People who are named in it: whoever shows it may show them as people.
    pub people: BTreeSet<PersonId>,
}

/// The lowest note of a case that was not said yet.
pub fn due(case: &Case) -> Option<NoteNo> {
    let spoken = tell(case).count();
    (usize::try_from(case.said.0).unwrap_or(usize::MAX) < spoken).then_some(case.said)
}

/// How many notes of a case were not said yet.
pub fn unsaid(case: &Case) -> usize {
    tell(case).count().saturating_sub(usize::try_from(case.said.0).unwrap_or(usize::MAX))
}

/// Everybody who did something in a case, as far as its events name them.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other events are nobody's doing")]
pub fn people(case: &Case) -> BTreeSet<PersonId> {
    let by = |stamped: &Stamped| match &stamped.event {
        Event::Opened { origin: Origin::Person { by, .. }, .. }
        | Event::VoteRefused { by, .. }
        | Event::Snoozed { by, .. }
        | Event::Exonerated { by, .. }
        | Event::Settled { by, .. } => Some(by.clone()),
        Event::VoteHeard(vote) | Event::Voted(vote) => Some(vote.by.clone()),
        // A person who ends a case is the first word of why.
        Event::Closed { outcome: Outcome::Cancelled | Outcome::Superseded, why } => {
            let by_person = why.ends_with(" cancelled it") || why.ends_with(" began a rollback by hand");
            why.split(' ').next().filter(|_| by_person).map(PersonId::new)
        }
        _ => None,
    };
    case.events.iter().filter_map(by).collect()
}

/// Since when a question, or the announcement of an act, waits to be said.
pub(super) fn waiting_since(case: &Case) -> Option<Timestamp> {
    let unsaid = tell(case).skip(usize::try_from(case.said.0).unwrap_or(usize::MAX));
    let waits = |event: &Event| matches!(event, Event::Asked { .. } | Event::CountdownAnnounced { .. });
    unsaid.into_iter().find(|(stamped, _)| waits(&stamped.event)).map(|(stamped, _)| stamped.at)
}

/// The note of this number.
pub fn note(case: &Case, number: NoteNo) -> Option<Note> {
    let nth = usize::try_from(number.0).ok()?;
    let (stamped, lines) = tell(case).nth(nth)?;
    Some(Note { case: case.id.clone(), number, lines, at: stamped.at, people: people(case) })
}

/// Whether this note announces a countdown, which starts when it was said.
pub fn announces_countdown(case: &Case, number: NoteNo) -> bool {
    let told = usize::try_from(number.0).ok().and_then(|nth| tell(case).nth(nth));
    told.is_some_and(|(stamped, _)| matches!(stamped.event, Event::CountdownAnnounced { .. }))
}

/// What a case's event list says, as `events` in the API: each event in a short sentence.
pub fn event_text(case: &Case, stamped: &Stamped) -> String {
    let before = case.events.iter().take_while(|earlier| !std::ptr::eq(*earlier, stamped));
    let judged_before = before.into_iter().any(|earlier| matches!(earlier.event, Event::Weighed(_)));
    let lines = say(case, stamped, judged_before);
    lines.into_iter().next().unwrap_or_else(|| stamped.event.word().replace('_', " "))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "every other event is told by its words alone")]
fn tell(case: &Case) -> impl Iterator<Item = (&Stamped, Vec<String>)> {
    let mut spoken = false;
    let mut last: Option<(&Decision, Vec<String>)> = None;
    let mut last_barred = String::new();
    case.events.iter().filter_map(move |stamped| match &stamped.event {
        Event::Weighed(decision) => {
            let lines = say(case, stamped, spoken);
            let silent = decision.verdict == Verdict::Ignore && !spoken && !knows_nothing(decision);
            let same = last
                .as_ref()
                .is_some_and(|(earlier, said)| same_to_people(earlier, decision) || *said == lines);
            last = Some((decision, lines.clone()));
            if silent || same {
                return None;
            }
            spoken = true;
            Some((stamped, lines))
        }
        Event::Barred { why, .. } => {
            let says = why.says();
            if says == last_barred {
                return None;
            }
            last_barred = says;
            Some((stamped, say(case, stamped, spoken)))
        }
        Event::Opened { origin: Origin::Person { .. } | Origin::Drill, .. } => {
            spoken = true;
            Some((stamped, say(case, stamped, spoken)))
        }
        _ => {
            let lines = say(case, stamped, spoken);
            (spoken && !lines.is_empty()).then_some((stamped, lines))
        }
    })
}

/// Nothing is known of what was deployed, so that nobody can say who is to blame: people are told at least that.
fn knows_nothing(decision: &Decision) -> bool {
    decision.suspect.is_none() && decision.brief.facts.ledger_incomplete
}

/// Whether people learn nothing new from the second decision.
fn same_to_people(earlier: &Decision, later: &Decision) -> bool {
    earlier.verdict == later.verdict
        && earlier.rule == later.rule
        && earlier.suspect == later.suspect
        && earlier.stopped == later.stopped
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the other events are nothing that people need to read")]
fn say(case: &Case, stamped: &Stamped, spoken: bool) -> Vec<String> {
    let service = case.id.service();
    let one = |line: String| vec![line];
    match &stamped.event {
        Event::Opened { origin: Origin::Person { by, reason, to, direction, .. }, .. } => {
            let to = to.as_ref().map_or("the last good release".to_owned(), |to| to.to_string());
            let wish = match direction {
                Direction::Back => format!("{service}: {by} asks for a rollback to {to}"),
                Direction::Forward => format!("{service}: {by} asks to put {to} out again"),
            };
            vec![wish, format!("reason: {reason}")]
        }
        Event::Opened { origin: Origin::Drill, .. } => one(format!("{service}: a drill began")),
        Event::Joined { signals } => {
            one(format!("{} more signals point at the same deployment", signals.len()))
        }
        Event::Weighed(decision) => weighed(case, &service, decision, spoken),
        Event::NotPlanned { why, .. } => one(format!("no plan: {why}")),
        Event::Collected(collected) => collected.lines(),
        Event::WouldAct { .. } => would_act(case, stamped.at),
        Event::Asked { why, until } => asked(case, stamped.at, why.as_deref(), *until),
        Event::CountdownAnnounced { .. } => countdown(case, stamped.at),
        Event::AllCleared if !case_acted_before(case, stamped.at) => {
            one("all signals cleared: nothing is done unless one fires again".to_owned())
        }
        Event::FiredAgain if !case_acted_before(case, stamped.at) => one("a signal fires again".to_owned()),
        Event::Withdrawn { why, .. } => one(format!("not going on: {why}")),
        Event::Voted(vote) => {
            let word = if vote.yes { "yes" } else { "no" };
            let glass =
                vote.break_glass.as_ref().map_or(String::new(), |why| format!(", breaking the glass: {why}"));
            one(format!("{} says {word}{glass}", vote.by))
        }
        Event::Readied { automatic: false, .. } => one("approved: enough people said yes".to_owned()),
        Event::Snoozed { by, until } => {
            one(format!("{by} snoozed it; judged again in {}", length(until.duration_since(stamped.at))))
        }
        Event::Exonerated { by, deployment } => one(format!("{by} says that {deployment} is not to blame")),
        Event::Barred { why, .. } => one(format!("not yet: {}", why.says())),
        Event::Intended { step, attempt } => {
            let says = plan_before(case, stamped.at)
                .and_then(|plan| plan.step(*step).map(|step| step_says(plan, step)))
                .unwrap_or_else(|| format!("step {step}"));
            let again = if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
            one(format!("now: {says}{again}"))
        }
        Event::Absent { .. } => {
            one("the provider surely never took the request; it is sent once more".to_owned())
        }
        Event::StepFailed { why, .. } => one(format!("failed: {why}")),
        Event::StepDone { says, .. } => one(format!("done: {says}")),
        Event::NeedsHuman { why, .. } => vec![
            format!("{service} needs a person: {why}"),
            format!("settle it: snapback cases settle {} look-again, took-effect or give-up", case.id),
        ],
        Event::Settled { by, how } => one(format!("{by}: {}", how.word())),
        Event::VerifyBegan { policy, adopted } => {
            let who = match (*adopted, case.goes_forward()) {
                (true, _) => "somebody else went back",
                (false, true) => "rolled forward",
                (false, false) => "rolled back",
            };
            one(format!(
                "{who}; watching whether it helps: signals must stay clear for {}, within {}",
                length(policy.clear_for),
                length(policy.within)
            ))
        }
        Event::Closed { outcome, why } => closed(case, &service, *outcome, why, stamped.at),
        Event::Paged { pager, cause: Some(cause), .. } => {
            one(format!("{pager} was told to wake people: {}", cause.says()))
        }
        Event::NotPaged { pager, cause: Some(cause), why, .. } => {
            one(format!("{pager} could not be told to wake people ({}): {why}", cause.says()))
        }
        _ => Vec::new(),
    }
}

fn weighed(case: &Case, service: &ServiceId, decision: &Decision, spoken: bool) -> Vec<String> {
    let brief = &decision.brief;
    let mut names: Vec<&str> = brief.signals.iter().map(|signal| signal.name.as_str()).collect();
    names.dedup();
    let signals = names.join(", ");
    if knows_nothing(decision) {
        return vec![format!(
            "{service}: {signals} fires, and the provider cannot be read: what was deployed is not known, and nothing is done"
        )];
    }
    let Some(suspect) = brief.suspect_facts() else {
        return vec![format!("{service}: {signals} fires, and no deployment is to blame")];
    };
    let called = suspect.told();
    let mut lines = Vec::new();
    if spoken {
        lines.push(format!("judged again: {}", verdict_in_words(decision)));
    } else {
        lines.push(format!(
            "{service}: {signals} points at {called}, suspicion {:.2}; {}",
            decision.suspicion,
            verdict_in_words(decision)
        ));
        lines.extend(case.signals.values().filter_map(|signal| signal.summary.clone()).take(3));
    }
    let weakening = decision.guards.iter().filter(|guard| guard.outcome.ceiling() < decision.proposed);
    lines.extend(weakening.map(|guard| format!("{}: {}", guard.name.word(), guard.reason)));
    lines
}

fn verdict_in_words(decision: &Decision) -> String {
    let by = decision.rule.as_ref().map_or("no rule".to_owned(), |rule| format!("rule \"{rule}\""));
    match decision.verdict {
        Verdict::Ignore => format!("ignored by {by}"),
        Verdict::Notify if decision.proposed > Verdict::Notify => {
            format!("{by} says {}, but only this word is said", decision.proposed.word())
        }
        Verdict::Notify => format!("told by {by}"),
        Verdict::Approve => format!("people are asked, by {by}"),
        Verdict::Rollback => format!("to be rolled back, by {by}"),
    }
}

/// From which release to which, and what the ledger holds of that; the same of what goes along.
pub fn from_to(plan: &Plan) -> String {
    let of = |from: &Release, to: &Release, grade: Grade| {
        format!("{} \u{2192} {} ({})", from.called(), to.called(), grade.word())
    };
    let with = plan
        .with
        .iter()
        .map(|one| format!(", with {} {}", one.service, of(&one.from, &one.to, one.to_grade)));
    of(&plan.from, &plan.to, plan.to_grade) + &with.collect::<String>()
}

/// From where to where, with the names of what goes along.
pub(super) fn leads(plan: &Plan) -> String {
    let own = format!("{} \u{2192} {}", plan.from.called(), plan.to.called());
    let with: Vec<&str> = plan.with.iter().map(|one| one.service.as_str()).collect();
    if with.is_empty() { own } else { format!("{own} with {}", with.join(", ")) }
}

fn steps(plan: &Plan) -> impl Iterator<Item = String> + '_ {
    plan_steps(plan).map(|step| format!("  {step}"))
}

/// The steps of a plan, numbered.
pub fn plan_steps(plan: &Plan) -> impl Iterator<Item = String> + '_ {
    plan.steps.iter().enumerate().map(|(nth, step)| format!("{}. {}", nth + 1, step_says(plan, step)))
}

/// What a step does, in a sentence; on which service, where that is a companion.
pub fn step_says(plan: &Plan, step: &Step) -> String {
    let companion = step.doer.provider().filter(|of| plan.service() != Some(*of));
    let on = companion.map_or(String::new(), |of| format!("{of}: "));
    format!("{on}{}", step.act.says)
}

/// Which commits a plan takes back, and that nobody knows where nobody reads them.
fn taken_back(case: &Case, plan: &Plan) -> Option<String> {
    let unknown =
        || "which commits it takes back, and whether one of them mends something, is not known".to_owned();
    (!case.goes_forward()).then(|| plan.taken_back.as_ref().map_or_else(unknown, TakenBack::says))
}

fn would_act(case: &Case, at: Timestamp) -> Vec<String> {
    let Some(plan) = plan_before(case, at) else { return Vec::new() };
    let mut lines = vec![format!("shadow: would roll back {}; nothing is done", from_to(plan))];
    lines.extend(taken_back(case, plan));
    lines.extend(steps(plan));
    lines
}

fn asked(case: &Case, at: Timestamp, why: Option<&str>, until: Timestamp) -> Vec<String> {
    let Some(plan) = plan_before(case, at) else { return Vec::new() };
    let groups: Vec<String> = plan.approval.groups().iter().map(|group| group.to_string()).collect();
    let who = if groups.is_empty() { "nobody is named who".to_owned() } else { groups.join(", ") };
    let mut lines = vec![format!(
        "{} {}? {who} may say yes, for {}",
        if case.goes_forward() { "roll forward" } else { "roll back" },
        from_to(plan),
        length(until.duration_since(at))
    )];
    lines.extend(why.map(|why| format!("asked because {why}")));
    lines.extend(taken_back(case, plan));
    lines.extend(steps(plan));
    lines
}

fn countdown(case: &Case, at: Timestamp) -> Vec<String> {
    let Some(plan) = plan_before(case, at) else { return Vec::new() };
    let countdown = case.decision.as_ref().map_or(Duration::ZERO, |decision| decision.terms.countdown);
    let mut lines = vec![format!("rolling back {} in {} unless cancelled", from_to(plan), length(countdown))];
    lines.extend(taken_back(case, plan));
    lines.extend(steps(plan));
    lines
}

fn closed(case: &Case, service: &ServiceId, outcome: Outcome, why: &str, at: Timestamp) -> Vec<String> {
    let took = length(at.duration_since(case.clock.received_at));
    let head = match outcome {
        Outcome::Recovered => format!("{service} recovered in {took}: {why}"),
        Outcome::NotRecovered => format!("{service} did not recover: {why}"),
        Outcome::Unverified => format!("{service}: whether it helped is not known: {why}"),
        Outcome::Failed => format!("{service}: the rollback failed: {why}"),
        Outcome::Superseded => format!("{service}: superseded: {why}"),
        Outcome::Adopted => format!("{service} recovered without Snapback: {why}"),
        Outcome::Cancelled => format!("{service}: cancelled: {why}"),
        Outcome::Denied => format!("{service}: denied: {why}"),
        Outcome::Expired => format!("{service}: expired: {why}"),
        Outcome::Cleared => format!("{service}: cleared: {why}"),
        Outcome::LeftAlone => format!("{service}: left alone: {why}"),
    };
    let next = match outcome {
        Outcome::NotRecovered => {
            Some("the release is freed of blame and unlocked; there is no second automatic act".to_owned())
        }
        Outcome::Unverified => Some("nobody is exonerated, and the lock stays: please look".to_owned()),
        Outcome::Recovered => case
            .plan
            .as_ref()
            .filter(|_| !case.goes_forward())
            .map(|plan| format!("{} stays locked until somebody unlocks it", plan.from.called())),
        Outcome::Failed
        | Outcome::Superseded
        | Outcome::Adopted
        | Outcome::Cancelled
        | Outcome::Denied
        | Outcome::Expired
        | Outcome::Cleared
        | Outcome::LeftAlone => None,
    };
    std::iter::once(head).chain(next).collect()
}

/// The plan as it was at this moment: later plans do not change what was said.
fn plan_before(case: &Case, at: Timestamp) -> Option<&Plan> {
    case.events.iter().rev().filter(|stamped| stamped.at <= at).find_map(|stamped| {
        if let Event::Planned(plan) = &stamped.event { Some(plan.as_ref()) } else { None }
    })
}

fn case_acted_before(case: &Case, at: Timestamp) -> bool {
    case.clock.started_at.is_some_and(|started| started <= at)
}

/// A length as people say it: `45 s`, `12.3 s`, `15 min`, `2 h`.
pub fn length(length: Duration) -> String {
    let seconds = length.as_secs_f64();
    if seconds < 60.0 {
        let tenths = (seconds * 10.0).round() / 10.0;
        return if tenths.fract() == 0.0 { format!("{tenths:.0} s") } else { format!("{tenths:.1} s") };
    }
    let minutes = length.as_secs() / 60;
    let rest = length.as_secs() % 60;
    match (minutes, rest) {
        (minutes, 0) if minutes % 60 == 0 => format!("{} h", minutes / 60),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, rest) if minutes < 60 => format!("{minutes} min {rest} s"),
        (minutes, _) => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}
