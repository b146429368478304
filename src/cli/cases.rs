//! `snapback cases`: the cases of a running server, one of them as a timeline, why it was decided so, and what a person
//! decides about it.

use clap::{Args, Subcommand};
use snapback::admin::shapes::{CaseShape, CasesShape, ExplanationShape, ReleaseShape};

use super::Output;
use super::act::{ActFlags, Door, How};
use super::client::{Client, shaped};
use super::decision;
use super::failure::{Failure, Finished, print, print_json};
use super::table::{after, moment, or_dash, plain, table};

#[derive(Debug, Args)]
pub(super) struct CasesFlags {
    #[command(flatten)]
    act: ActFlags,
    #[command(flatten)]
    list: ListFlags,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Default, Args)]
struct ListFlags {
    /// Of this service alone, such as checkout@production
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// Only those that are not closed
    #[arg(long)]
    open: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List them, the newest first
    List(ListFlags),
    /// One case, from its first signal to its last word
    Show {
        /// The case
        id: String,
    },
    /// Why it was decided so
    Explain {
        /// The case
        id: String,
    },
    /// Vote yes on its plan
    Approve {
        /// The case
        id: String,
        /// Decide alone, where the policy lets your group, for this reason
        #[arg(long, value_name = "REASON")]
        break_glass: Option<String>,
        /// What must be typed over an irreversible release; without it, it is asked for on a terminal
        #[arg(long, value_name = "TEXT")]
        confirm: Option<String>,
    },
    /// Vote no on its plan
    Deny {
        /// The case
        id: String,
    },
    /// Call it off, before the provider was asked
    Cancel {
        /// The case
        id: String,
    },
    /// Leave it alone for a quarter of an hour
    Snooze {
        /// The case
        id: String,
    },
    /// It was not the deployment
    Exonerate {
        /// The case
        id: String,
    },
    /// Say what became of an act that nobody can tell
    Settle {
        /// The case
        id: String,
        /// How
        #[arg(value_enum)]
        how: How,
    },
}

pub(super) fn run(flags: &CasesFlags) -> Result<Finished, Failure> {
    let door = Door::new(&flags.act)?;
    let (client, output) = (&door.client, door.output);
    let listed = flags.list.open || flags.list.service.is_some();
    match &flags.what {
        None => list(client, output, &flags.list),
        Some(_) if listed => Err(Failure::wrong(
            "--service and --open belong to a list",
            "write them behind `cases list`, or leave them out",
        )),
        Some(What::List(list_flags)) => list(client, output, list_flags),
        Some(What::Show { id }) => show(client, output, id),
        Some(What::Explain { id }) => explain(client, output, id),
        Some(What::Approve { id, break_glass, confirm }) => {
            door.approve(id, break_glass.as_deref(), confirm.as_deref())
        }
        Some(What::Deny { id }) => door.deny(id),
        Some(What::Cancel { id }) => door.of_case(id, "cancel", "call it off"),
        Some(What::Snooze { id }) => door.of_case(id, "snooze", "leave it alone for a quarter of an hour"),
        Some(What::Exonerate { id }) => door.of_case(id, "exonerate", "it was not the deployment"),
        Some(What::Settle { id, how }) => door.settle(id, *how),
    }
}

fn list(client: &Client, output: Output, flags: &ListFlags) -> Result<Finished, Failure> {
    let mut query = Vec::new();
    query.extend(flags.service.as_deref().map(|service| ("service", service)));
    query.extend(flags.open.then_some(("open", "true")));
    let answer = client.list(&["v1", "cases"], &query, "cases")?;
    if output == Output::Json {
        return print_json(&answer);
    }
    let CasesShape { cases, next } = shaped(&answer)?;
    if cases.is_empty() {
        return print(if flags.open { "no case is open" } else { "no case yet" });
    }
    let mut rows = table(&["case", "opened", "state", "verdict", "suspect", "suspicion", "from → to"]);
    for case in &cases {
        rows.add_row([
            plain(&case.id),
            moment(case.opened_at),
            state(case),
            or_dash(case.verdict.as_deref()),
            or_dash(case.suspect.as_ref().map(|suspect| suspect.release.as_str())),
            case.suspicion.map_or_else(|| "-".to_owned(), |suspicion| format!("{suspicion:.2}")),
            way(case),
        ]);
    }
    let more = next.map_or("", |_| "\nthere are older ones: narrow them with --service or --open");
    print(&format!("{rows}{more}"))
}

/// The outcome of a closed case, the phase of an open one.
fn state(case: &CaseShape) -> String {
    plain(case.outcome.as_deref().unwrap_or(&case.phase))
}

fn way(case: &CaseShape) -> String {
    match (&case.from, &case.to) {
        (Some(from), Some(to)) => format!("{} → {}", called(from), called(to)),
        _ => "-".to_owned(),
    }
}

fn called(release: &ReleaseShape) -> String {
    plain(release.version.as_deref().unwrap_or(&release.release))
}

fn show(client: &Client, output: Output, id: &str) -> Result<Finished, Failure> {
    let answer = client.get(&["v1", "cases", id], &[])?;
    if output == Output::Json {
        return print_json(&answer);
    }
    print(&told(&shaped(&answer)?))
}

/// One case in lines.
fn told(case: &CaseShape) -> String {
    let mut lines = vec![format!(
        "{}: {} ({}, {}, begun by a {})",
        plain(&case.id),
        state(case),
        plain(&case.service),
        plain(&case.mode),
        plain(&case.origin)
    )];
    lines.extend(case.until.map(|at| format!("until: {}", moment(at))));
    if let Some(suspect) = &case.suspect {
        let suspicion = case.suspicion.unwrap_or_default();
        lines.push(format!(
            "suspect: {} (deployment {}, begun {}), suspicion {suspicion:.2}",
            plain(&suspect.release),
            plain(&suspect.deployment),
            moment(suspect.started_at)
        ));
    }
    if let Some(verdict) = &case.verdict {
        let by = case.rule.as_ref().map_or("no row".to_owned(), |rule| format!("row \"{}\"", plain(rule)));
        lines.push(format!("verdict: {} by {by}", plain(verdict)));
    }
    lines.extend(plan(case));
    lines.push("signals:".to_owned());
    for signal in &case.signals {
        let cleared = signal.cleared_at.map_or("firing".to_owned(), |at| format!("cleared {}", moment(at)));
        let from = moment(signal.started_at);
        lines.push(format!(
            "  {} from {}: since {from}, {cleared}",
            plain(&signal.name),
            plain(&signal.source)
        ));
    }
    for vote in &case.votes {
        let word = if vote.yes { "yes" } else { "no" };
        lines.push(format!("vote: {word} by {} at {}", plain(&vote.by), moment(vote.at)));
    }
    lines.push(format!("events, from {}:", moment(case.clock.received_at)));
    // What has no words of its own moved the case and says nothing to people; the JSON has it.
    let told = case.events.iter().filter(|event| event.text != event.kind.replace('_', " "));
    for event in told {
        lines.push(format!("  {:>10}  {}", after(case.clock.received_at, event.at), plain(&event.text)));
    }
    for exhibit in &case.evidence {
        lines.push(format!("{}:", plain(&exhibit.name)));
        lines.extend(exhibit.text.lines().map(|line| format!("  {}", plain(line))));
    }
    lines.push(format!("why: snapback cases explain {}", plain(&case.id)));
    lines.join("\n")
}

fn plan(case: &CaseShape) -> Vec<String> {
    let (Some(plan), Some(from), Some(to)) = (&case.plan, &case.from, &case.to) else {
        return case.no_plan.iter().map(|why| format!("no plan: {}", plain(why))).collect();
    };
    let head = format!("plan: {} → {} ({})", called(from), called(to), plain(&to.ledger));
    std::iter::once(head).chain(decision::steps(plan)).collect()
}

fn explain(client: &Client, output: Output, id: &str) -> Result<Finished, Failure> {
    let answer = client.get(&["v1", "cases", id, "explanation"], &[])?;
    if output == Output::Json {
        return print_json(&answer);
    }
    let explanation: ExplanationShape = shaped(&answer)?;
    print(&decision::told(&explanation))
}
