//! Answers: what is shown to somebody who typed a command in the chat. What only asks is answered from the store; what
//! would change something is shown as it was understood, with a button that says it. Changes nothing.

use std::sync::Arc;

use crate::case::dossier::Dossier;
use crate::case::explain::flip;
use crate::case::face::{Button, Face, Label};
use crate::case::id::{ReleaseId, Timestamp};
use crate::case::saying::{HELP, NotASaying, Saying};
use crate::case::story::Case;
use crate::case::words::{length, plan_steps};
use crate::clock::Clock;
use crate::journal::reader::{ReadError, Reader};
use crate::report::slack::ephemeral;

/// Deployments shown: a screen.
const DEPLOYMENTS_MAX: usize = 10;

/// What is shown: lines, and what can be pressed below them.
type Shown = (Vec<String>, Vec<Button>);

/// What is shown to whoever typed this.
pub(super) async fn answer(
    reader: Reader,
    command: Arc<str>,
    said: Result<Saying, NotASaying>,
) -> serde_json::Value {
    let said = match said {
        Ok(said) => said,
        Err(why) => return ephemeral(&[why.to_string()], &[]),
    };
    let looked = tokio::task::spawn_blocking(move || show(&reader, &command, &said, Clock.now())).await;
    match looked {
        Ok(Ok((lines, buttons))) => ephemeral(&lines, &buttons),
        Ok(Err(error)) => {
            tracing::error!(%error, "the store could not be read for an answer in the chat");
            ephemeral(&["the store cannot be read now: try again".to_owned()], &[])
        }
        Err(_) => ephemeral(&["that could not be looked up: try again".to_owned()], &[]),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what does not only ask would change something, and is asked back"
)]
fn show(reader: &Reader, command: &str, said: &Saying, now: Timestamp) -> Result<Shown, ReadError> {
    let only = |lines: Vec<String>| Ok((lines, Vec::new()));
    match said {
        Saying::Help => only(HELP.iter().map(|line| format!("{command} {line}")).collect()),
        Saying::Status(of) => {
            let dossiers = reader.dossiers()?;
            let standing = reader.standing()?;
            let mut lines = Vec::new();
            if let Some(pause) = &standing.pause {
                lines.push(format!("paused by {}: {}", pause.by, pause.reason));
            }
            lines.extend(
                standing.hold.iter().flat_map(|hold| &hold.reasons).map(|why| format!("hold: {why}")),
            );
            let shown = dossiers.iter().filter(|dossier| of.as_ref().is_none_or(|of| dossier.service == *of));
            lines.extend(shown.flat_map(|dossier| status(dossier, now)));
            if lines.is_empty() {
                lines.push("nothing is known of any service yet".to_owned());
            }
            only(lines)
        }
        Saying::Why(case) => only(match reader.case(case)? {
            Some(case) => why(&case),
            None => vec![format!("there is no case {case}")],
        }),
        Saying::Deployments(service) => only(match reader.dossier(service)? {
            Some(dossier) => deployments(&dossier),
            None => vec![format!("nothing was deployed to {service} as far as is known")],
        }),
        said => asked_back(reader, said),
    }
}

/// What was understood, and a button that says exactly that.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is about a case, or only asks, is answered elsewhere"
)]
fn asked_back(reader: &Reader, said: &Saying) -> Result<Shown, ReadError> {
    let confirm = |says: Saying| vec![Button { label: Label::Confirm, says, confirm: None }];
    if let Some(id) = said.case() {
        let Some(case) = reader.case(id)? else {
            return Ok((vec![format!("there is no case {id}")], Vec::new()));
        };
        return Ok(of_case(said, &case)
            .map_or_else(|why| (vec![why], Vec::new()), |(lines, says)| (lines, confirm(says))));
    }
    let line = match said {
        Saying::Rollback { service, to, reason, .. } => {
            let Some(dossier) = reader.dossier(service)? else {
                return Ok((vec![format!("nothing is known of {service} yet")], Vec::new()));
            };
            let from = dossier
                .ledger
                .current
                .as_ref()
                .map_or("what serves now".to_owned(), |id| called(&dossier, id));
            let to = to.as_ref().map_or("the last good release".to_owned(), |id| called(&dossier, id));
            format!("Roll {service} back from {from} to {to}, because: {reason}")
        }
        Saying::Rollforward { service, reason, .. } => {
            format!("Put out again on {service} what was rolled back last, because: {reason}")
        }
        Saying::Freeze { service, length: long, reason } => {
            format!("Nothing automatic on {service} for {}, because: {reason}", length(*long))
        }
        Saying::Unfreeze(service) => format!("Lift the freeze of {service}"),
        Saying::Pause { reason } => format!("Nothing automatic on any service, because: {reason}"),
        Saying::Resume => "End the pause".to_owned(),
        Saying::Mark { service, release, good, reason } => {
            let word = if *good { "good" } else { "bad" };
            format!("{release} of {service} is {word}, because: {reason}")
        }
        Saying::Unlock { service, release, reason } => {
            format!("{release} of {service} may go out again, because: {reason}")
        }
        said => said.to_string(),
    };
    Ok((vec![line], confirm(bound(said.clone(), reader)?)))
}

/// What would take something back counts as long as what serves now serves.
fn bound(mut said: Saying, reader: &Reader) -> Result<Saying, ReadError> {
    if let Saying::Rollback { service, serving, .. } | Saying::Rollforward { service, serving, .. } =
        &mut said
    {
        *serving = reader.dossier(service)?.and_then(|dossier| dossier.ledger.current);
    }
    Ok(said)
}

/// What a saying means for this case as it is; a vote is bound to the plan that is shown.
#[expect(clippy::wildcard_enum_match_arm, reason = "what is no vote is said as it was typed")]
fn of_case(said: &Saying, case: &Case) -> Result<(Vec<String>, Saying), String> {
    let face = Face::of(case);
    let mut lines = vec![face.headline];
    let plan = case.plan.as_deref();
    let vote = |word: &str| {
        let plan = plan.ok_or_else(|| format!("{} asks nothing now", case.id))?;
        Ok::<_, String>((format!("Say {word} to this plan:"), Some(plan.digest.clone()), plan))
    };
    let says = match said {
        Saying::Approve { case, irreversible, alone, .. } => {
            let (line, digest, plan) = vote("yes")?;
            if let Some(word) = plan.confirmation().filter(|_| !irreversible) {
                return Err(format!(
                    "What it takes back is irreversible. If you mean it, type it: approve {} {word}",
                    case
                ));
            }
            lines
                .extend(irreversible.then(|| "You know that what it takes back is irreversible.".to_owned()));
            lines.extend(
                alone.as_ref().map(|why| format!("You decide alone, and break the glass, because: {why}")),
            );
            lines.push(line);
            lines.extend(plan_steps(plan));
            let (irreversible, alone) = (*irreversible, alone.clone());
            Saying::Approve { case: case.clone(), plan: digest, irreversible, alone }
        }
        Saying::Deny { case, .. } => {
            let (line, digest, plan) = vote("no")?;
            lines.push(line);
            lines.extend(plan_steps(plan));
            Saying::Deny { case: case.clone(), plan: digest }
        }
        other => {
            lines.push(match other {
                Saying::Cancel(_) => "Call it off".to_owned(),
                Saying::Snooze(_) => "Ask again in 15 minutes".to_owned(),
                Saying::Exonerate(_) => "This deployment is not to blame".to_owned(),
                Saying::Settle(_, how) => format!("Settle it: {}", how.word()),
                said => said.to_string(),
            });
            other.clone()
        }
    };
    Ok((lines, says))
}

fn called(dossier: &Dossier, id: &ReleaseId) -> String {
    dossier.ledger.page(id).map_or(id.as_str(), |page| page.release.called()).to_owned()
}

fn status(dossier: &Dossier, now: Timestamp) -> Vec<String> {
    let serves = dossier.ledger.current.as_ref().map_or("not known".to_owned(), |id| {
        let grade = dossier.ledger.page(id).map_or("unknown", |page| page.grade.word());
        format!("{} ({grade})", called(dossier, id))
    });
    let frozen = dossier.freeze.as_ref().filter(|freeze| now < freeze.until);
    let frozen =
        frozen.map_or(String::new(), |freeze| format!(", frozen until {} by {}", freeze.until, freeze.by));
    let mut lines = vec![format!("{}: serves {serves}{frozen}", dossier.service)];
    lines.extend(dossier.open.as_deref().map(|case| {
        let face = Face::of(case);
        format!("    {}: {}", case.id, face.now)
    }));
    lines
}

fn why(case: &Case) -> Vec<String> {
    let face = Face::of(case);
    let mut lines = vec![face.headline, face.now];
    lines.extend(face.why);
    if let Some(decision) = case.decision.as_deref() {
        lines.extend(decision.rows.iter().map(|row| format!("row \"{}\": {}", row.name, row.answer.word())));
        lines.extend(
            flip(decision, &decision.rows, None).map(|flip| format!("what would have changed it: {flip}")),
        );
    }
    lines.extend(face.steps);
    lines
}

fn deployments(dossier: &Dossier) -> Vec<String> {
    let newest = dossier.ledger.deployments.iter().rev().take(DEPLOYMENTS_MAX);
    let lines: Vec<String> = newest
        .map(|deployment| {
            let page = dossier.ledger.page(&deployment.release);
            let grade = page.map_or("unknown", |page| page.grade.word());
            let locked = if page.is_some_and(|page| page.lock.is_some()) { ", locked" } else { "" };
            format!("{} {} ({grade}{locked})", deployment.started_at, called(dossier, &deployment.release))
        })
        .collect();
    if lines.is_empty() { vec![format!("nothing was deployed to {}", dossier.service)] } else { lines }
}
