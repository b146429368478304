//! Commands that ask a running server for something: they show what is meant, ask where a person can answer, and end with
//! 3 where the server says no.

use std::io::{IsTerminal, Write};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use snapback::admin::shapes::{CasePlanShape, CaseShape, StateShape};
use snapback::config::length;

use super::Output;
use super::client::{Client, ServerFlags, shaped};
use super::decision;
use super::failure::{Failure, Finished, print, print_json};
use super::table::plain;

/// Which server, and whether anybody is asked first.
#[derive(Debug, Args)]
pub(super) struct ActFlags {
    #[command(flatten)]
    server: ServerFlags,
    /// Do it without asking first
    #[arg(long, global = true)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(super) struct RollforwardFlags {
    #[command(flatten)]
    act: ActFlags,
    /// The service
    service: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Args)]
pub(super) struct FreezeFlags {
    #[command(flatten)]
    act: ActFlags,
    /// The service
    service: String,
    /// For how long, such as 2h
    #[arg(long = "for", value_name = "LENGTH")]
    length: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Args)]
pub(super) struct UnfreezeFlags {
    #[command(flatten)]
    act: ActFlags,
    /// The service
    service: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mark {
    /// It is good
    Good,
    /// It is bad
    Bad,
}

#[derive(Debug, Args)]
pub(super) struct MarkFlags {
    #[command(flatten)]
    act: ActFlags,
    /// What it is
    #[arg(value_enum)]
    mark: Mark,
    /// The service
    service: String,
    /// Which release
    #[arg(long, value_name = "RELEASE")]
    release: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Args)]
pub(super) struct UnlockFlags {
    #[command(flatten)]
    act: ActFlags,
    /// The service
    service: String,
    /// Which release may go out again
    #[arg(long, value_name = "RELEASE")]
    release: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Args)]
pub(super) struct PauseFlags {
    #[command(flatten)]
    act: ActFlags,
    /// People's acts too, and not only what is automatic
    #[arg(long)]
    everything: bool,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Args)]
pub(super) struct ResumeFlags {
    #[command(flatten)]
    act: ActFlags,
    /// Lift a hold, after its reasons and the marks that nobody knows were shown
    #[arg(long)]
    hold: bool,
}

/// How a case is settled that needs a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum How {
    /// Look again
    LookAgain,
    /// It took effect
    TookEffect,
    /// Give up
    GiveUp,
}

pub(super) fn freeze(flags: &FreezeFlags) -> Result<Finished, Failure> {
    let length = length(&flags.length).map_err(|fault| {
        Failure::wrong(format!("--for {:?}: {fault}", flags.length), "write it like 30m or 2h")
    })?;
    let means = format!("nothing automatic on {} for {}", flags.service, flags.length);
    let body = json!({ "seconds": length.as_secs(), "reason": flags.reason });
    Door::new(&flags.act)?.of_service(&flags.service, "freeze", &means, &body)
}

pub(super) fn rollforward(flags: &RollforwardFlags) -> Result<Finished, Failure> {
    let means = format!("put out again on {} what was rolled back last", plain(&flags.service));
    Door::new(&flags.act)?.of_service(
        &flags.service,
        "rollforward",
        &means,
        &json!({ "reason": flags.reason }),
    )
}

pub(super) fn unfreeze(flags: &UnfreezeFlags) -> Result<Finished, Failure> {
    let means = format!("lift the freeze of {}", flags.service);
    Door::new(&flags.act)?.of_service(&flags.service, "unfreeze", &means, &json!({}))
}

pub(super) fn mark(flags: &MarkFlags) -> Result<Finished, Failure> {
    let good = flags.mark == Mark::Good;
    let word = if good { "good" } else { "bad" };
    let means = format!("hold {} of {} for {word}", flags.release, flags.service);
    let body = json!({ "good": good, "release": flags.release, "reason": flags.reason });
    Door::new(&flags.act)?.of_service(&flags.service, "mark", &means, &body)
}

pub(super) fn unlock(flags: &UnlockFlags) -> Result<Finished, Failure> {
    let means = format!("let {} of {} go out again", flags.release, flags.service);
    let body = json!({ "release": flags.release, "reason": flags.reason });
    Door::new(&flags.act)?.of_service(&flags.service, "unlock", &means, &body)
}

pub(super) fn pause(flags: &PauseFlags) -> Result<Finished, Failure> {
    let what = if flags.everything { "no act at all, people's included" } else { "nothing automatic" };
    let body = json!({ "everything": flags.everything, "reason": flags.reason });
    let means = format!("{what}, on any service, until it is resumed");
    Door::new(&flags.act)?.ask(&["v1", "pause"], &means, &body)
}

pub(super) fn resume(flags: &ResumeFlags) -> Result<Finished, Failure> {
    let door = Door::new(&flags.act)?;
    let means = if flags.hold {
        let state: StateShape = shaped(&door.client.get(&["v1", "state"], &[])?)?;
        let reasons = state.hold.reasons.iter().map(|reason| format!("  {}", plain(reason)));
        let head = "lift the hold; its reasons, each to be looked at first:".to_owned();
        std::iter::once(head).chain(reasons).collect::<Vec<_>>().join("\n")
    } else {
        "go on with what is automatic, on every service".to_owned()
    };
    door.ask(&["v1", "resume"], &means, &json!({ "hold": flags.hold }))
}

/// The server that is asked, and whether a person is asked first.
pub(super) struct Door {
    pub(super) client: Client,
    pub(super) output: Output,
    yes: bool,
}

impl Door {
    pub(super) fn new(flags: &ActFlags) -> Result<Door, Failure> {
        Ok(Door { client: Client::new(&flags.server)?, output: flags.server.output, yes: flags.yes })
    }

    /// A yes to what a case asks now: the plan is shown, and the yes is to exactly that.
    pub(super) fn approve(
        &self,
        id: &str,
        break_glass: Option<&str>,
        confirm: Option<&str>,
    ) -> Result<Finished, Failure> {
        let (mut means, plan) = self.asked("approve", id)?;
        let mut body = json!({ "plan": plan.digest });
        if let Some(reason) = break_glass {
            means.push(format!("and decide it alone: {}", plain(reason)));
            body["break_glass"] = reason.into();
        }
        self.ask_about(&plan, confirm, &["v1", "cases", id, "approve"], &means, body)
    }

    /// A no to what a case asks now.
    pub(super) fn deny(&self, id: &str) -> Result<Finished, Failure> {
        let (means, plan) = self.asked("deny", id)?;
        self.ask(&["v1", "cases", id, "deny"], &means.join("\n"), &json!({ "plan": plan.digest }))
    }

    /// What a case asks now, in words.
    fn asked(&self, verb: &str, id: &str) -> Result<(Vec<String>, CasePlanShape), Failure> {
        let case: CaseShape = shaped(&self.client.get(&["v1", "cases", id], &[])?)?;
        let Some(plan) = case.plan.filter(|plan| plan.digest.is_some()) else {
            let says = format!("{}: it has no plan to vote on", plain(id));
            return Err(Failure::refused(says, "see `snapback cases show`"));
        };
        let mut means = vec![format!("{verb} this plan of {}:", plain(&case.service))];
        means.extend(decision::steps(&plan));
        Ok((means, plan))
    }

    /// A yes to a plan, with what must be typed where the plan takes that: given, or asked for on a terminal.
    pub(super) fn ask_about(
        &self,
        plan: &CasePlanShape,
        confirm: Option<&str>,
        path: &[&str],
        means: &[String],
        mut body: Value,
    ) -> Result<Finished, Failure> {
        let mut means = means.to_vec();
        if let Some(word) = &plan.confirm {
            means.push(format!("what it takes back is {}", plain(word)));
        }
        agree(&means.join("\n"), self.yes)?;
        if let Some(word) = &plan.confirm {
            let typed = confirm.map_or_else(|| typed(&plain(word)), |given| Ok(given.to_owned()))?;
            body["confirm"] = typed.into();
        }
        self.hand_over(path, &body)
    }

    /// What needs no more than the case.
    pub(super) fn of_case(&self, id: &str, verb: &str, means: &str) -> Result<Finished, Failure> {
        self.ask(&["v1", "cases", id, verb], &format!("{}: {means}", plain(id)), &json!({}))
    }

    pub(super) fn settle(&self, id: &str, how: How) -> Result<Finished, Failure> {
        let means = match how {
            How::LookAgain => "look again at what the act did",
            How::TookEffect => "take the act for done",
            How::GiveUp => "give the act up",
        };
        // The API has the same words as the flag.
        let word = how.to_possible_value().map(|value| value.get_name().to_owned());
        self.ask(&["v1", "cases", id, "settle"], &format!("{}: {means}", plain(id)), &json!({ "how": word }))
    }

    fn of_service(&self, service: &str, verb: &str, means: &str, body: &Value) -> Result<Finished, Failure> {
        self.ask(&service_path(service, Some(verb)), means, body)
    }

    /// Says what is meant, asks, and hands it over.
    pub(super) fn ask(&self, path: &[&str], means: &str, body: &Value) -> Result<Finished, Failure> {
        agree(means, self.yes)?;
        self.hand_over(path, body)
    }

    fn hand_over(&self, path: &[&str], body: &Value) -> Result<Finished, Failure> {
        let answer = self.client.post(path, body)?;
        if answer["status"] == "accepted" {
            let says = plain(answer["says"].as_str().unwrap_or("not decided yet"));
            return Err(Failure::failed(says, "look at `snapback cases` before you ask again"));
        }
        if self.output == Output::Json {
            return print_json(&answer);
        }
        print(&plain(answer["says"].as_str().unwrap_or("done")))
    }
}

/// The route of a service. Its name may hold a slash, and the route takes it so.
pub(super) fn service_path<'a>(service: &'a str, verb: Option<&'a str>) -> Vec<&'a str> {
    ["v1", "services"].into_iter().chain(service.split('/')).chain(verb).collect()
}

/// Says what is meant, and asks on the terminal unless somebody agreed already. Where nobody can answer, the answer is no.
fn agree(means: &str, already: bool) -> Result<(), Failure> {
    say(&format!("{means}\n"))?;
    if already
        || (std::io::stdin().is_terminal() && matches!(answer("do it? [y/N] ")?.as_str(), "y" | "Y" | "yes"))
    {
        return Ok(());
    }
    let next = "answer y on a terminal, or give --yes";
    Err(Failure::refused("not done, because nobody agreed to it", next))
}

/// What somebody types on the terminal; a script has to give it.
fn typed(word: &str) -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        return answer(&format!("type {word} to go on: "));
    }
    let next = format!("give --confirm {word}, if you mean it");
    Err(Failure::refused(format!("not done: it takes back what is {word}, and that is typed"), next))
}

fn answer(question: &str) -> Result<String, Failure> {
    say(question)?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(unasked)?;
    Ok(line.trim().to_owned())
}

fn say(text: &str) -> Result<(), Failure> {
    let mut err = std::io::stderr();
    write!(err, "{text}").and_then(|()| err.flush()).map_err(unasked)
}

fn unasked(error: std::io::Error) -> Failure {
    Failure::failed(format!("the question: {error}"), "give --yes, and it is not asked")
}
