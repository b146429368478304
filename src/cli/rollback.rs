//! `snapback rollback`: shows the plan as the server would make it, asks, and has it done; where the server cannot be reached, the
//! provider's own commands for the same plan, for a person to run.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use snapback::admin::shapes::{PreviewShape, ServiceShape};
use snapback::case::id::{ReleaseId, ServiceId};
use snapback::config::load;
use snapback::server::{ByHand, by_hand};

use super::act::{ActFlags, Door, service_path};
use super::client::{runtime, shaped};
use super::failure::{Failure, Finished, print, print_error};
use super::table::plain;
use super::{CONFIG, decision};

#[derive(Debug, Args)]
pub(super) struct RollbackFlags {
    #[command(flatten)]
    act: ActFlags,
    /// The service, such as checkout@production
    service: String,
    /// To this release; without it, the newest that has proven itself
    #[arg(long, value_name = "RELEASE")]
    to: Option<String>,
    /// Why, for the thread and the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// What must be typed over an irreversible release; without it, it is asked for on a terminal
    #[arg(long, value_name = "TEXT")]
    confirm: Option<String>,
    /// The server's configuration; read only where the server cannot be reached, for the commands that a person runs then
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

pub(super) fn run(flags: &RollbackFlags) -> Result<Finished, Failure> {
    let door = Door::new(&flags.act)?;
    let service: ServiceShape = match door.client.get(&service_path(&flags.service, None), &[]) {
        Err(failure) if failure.is_unreachable() => return without_the_server(flags, failure),
        read => shaped(&read?)?,
    };
    let path = service_path(&flags.service, Some("rollback"));
    let mut body = json!({ "to": flags.to, "reason": flags.reason, "preview": true });
    let shown: PreviewShape = shaped(&door.client.post(&path, &body)?)?;
    let mut means = vec![format!("roll {} back: {}", plain(&flags.service), plain(&shown.says))];
    means.extend(decision::steps(&shown.plan));
    means.extend(service.ready.reasons.iter().map(|why| format!("  in its way: {}", plain(why))));
    // A yes to what was shown, and to nothing else.
    body["preview"] = false.into();
    body["plan"] = shown.plan.digest.clone().into();
    door.ask_about(&shown.plan, flags.confirm.as_deref(), &path, &means, body)
}

/// Prints the commands; nothing is done.
fn without_the_server(flags: &RollbackFlags, away: Failure) -> Result<Finished, Failure> {
    print_error(&format!("{}\n", away.says()));
    let file = flags.config.display();
    let Some(settings) = load(&flags.config).settings else {
        return Err(Failure::failed(
            format!("{file}: without the server its configuration is needed here, and it cannot be read"),
            "name it with --config, or start the server; `snapback check` shows its faults",
        ));
    };
    let service = ServiceId::new(&flags.service);
    let to = flags.to.as_ref().map(ReleaseId::new);
    let known = runtime()?.block_on(by_hand(settings, &service, to, &flags.reason));
    let known = known.map_err(|why| Failure::failed(why, format!("see the services of {file}")))?;
    print_error(&format!("{}\n", told(flags, &known).join("\n")));
    // One command: what comes after a step that failed is not run.
    print(&known.commands.join(" &&\n"))?;
    Err(Failure::failed(
        format!("{}: nothing was done", plain(&flags.service)),
        "read the commands above and run them; Snapback sees what they did when it is back",
    ))
}

/// What is known, and what is not.
fn told(flags: &RollbackFlags, known: &ByHand) -> Vec<String> {
    let service = plain(&flags.service);
    let says = plain(&known.says);
    let mut lines = vec![match known.planned {
        true => format!("{service}: by hand, {says}:"),
        false => format!("{service}: {says}; the commands have words in capitals that you must fill in:"),
    }];
    if flags.to.is_none() {
        lines.push(match known.by_store {
            _ if !known.planned => "which release was good cannot be known without the server".to_owned(),
            true => "which release was good is told by the store of the server on this machine".to_owned(),
            false => "which release was good cannot be known without the server: this is by the provider's history alone; \
                      name one with --to"
                .to_owned(),
        });
    }
    lines.push(
        "nobody is asked, no guard is judged, and whether a case is open or everything is paused is not known".to_owned(),
    );
    lines
}
