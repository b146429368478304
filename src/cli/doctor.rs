//! `snapback doctor`: everything that is connected, tried by the running server; without one, what needs none.

use std::path::Path;

use clap::Args;
use serde_json::json;
use snapback::admin::shapes::{CheckOutcome, CheckShape, DoctorShape};
use snapback::config::{Severity, load};
use snapback::server::examine;

use super::client::{Client, ServerFlags, runtime, shaped};
use super::failure::{Failure, Finished, print, print_json};
use super::table::{plain, table};
use super::{ConfigFlags, Output};

#[derive(Debug, Args)]
pub(super) struct DoctorFlags {
    #[command(flatten)]
    config: ConfigFlags,
    #[command(flatten)]
    server: ServerFlags,
    /// Also asks somebody to press a button in the chat, and waits so long for it
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "60")]
    click: Option<u32>,
}

pub(super) fn run(flags: &DoctorFlags) -> Result<Finished, Failure> {
    let client = Client::patient(&flags.server)?;
    let asks = json!({ "click_seconds": flags.click });
    let checks = match client.post(&["v1", "doctor"], &asks) {
        Ok(answer) => shaped::<DoctorShape>(&answer)?.checks,
        Err(failure) if failure.is_unreachable() => {
            let away = CheckShape::ill(
                "server",
                "running",
                failure.says(),
                "start it with `snapback serve`, or name its admin address with --url; what needs it was left out",
            );
            std::iter::once(away).chain(without_server(&flags.config.config)?).collect()
        }
        Err(failure) => return Err(failure),
    };
    let ill = checks.iter().filter(|check| check.outcome == CheckOutcome::Ill).count();
    match flags.server.output {
        Output::Json => print_json(&json!(DoctorShape { checks }))?,
        Output::Table => print(&drawn(&checks))?,
    };
    match ill {
        0 => Ok(Finished),
        ill => Err(Failure::failed(
            format!("{ill} of what was looked at is not well"),
            "do what each line says, and ask again",
        )),
    }
}

/// What can be tried here: the configuration, its secrets, and everything that it names.
fn without_server(config: &Path) -> Result<Vec<CheckShape>, Failure> {
    let loaded = load(config);
    let mut found: Vec<CheckShape> = loaded
        .all_faults()
        .into_iter()
        .filter(|fault| fault.severity == Severity::Fault)
        .chain(loaded.missing_secrets.iter().cloned())
        .map(|fault| {
            let place = format!("{}:{}:{}", fault.file, fault.line, fault.column);
            CheckShape::ill("configuration", place, fault.message, fault.remedy)
        })
        .collect();
    match loaded.settings {
        Some(settings) => {
            if found.is_empty() {
                found.push(CheckShape::well(
                    "configuration",
                    config.display().to_string(),
                    "nothing is wrong",
                ));
            }
            found.extend(runtime()?.block_on(examine(settings)));
        }
        None => found.push(CheckShape::left_out(
            "everything",
            "else",
            "nothing can be tried by a faulty configuration",
            "mend it first",
        )),
    }
    Ok(found)
}

fn drawn(checks: &[CheckShape]) -> String {
    let mut rows = table(&["", "what", "which", "how it is", "next"]);
    // What has to be mended first.
    for outcome in [CheckOutcome::Ill, CheckOutcome::LeftOut, CheckOutcome::Note, CheckOutcome::Well] {
        for check in checks.iter().filter(|check| check.outcome == outcome) {
            let word = match outcome {
                CheckOutcome::Ill => "ILL",
                CheckOutcome::LeftOut => "left out",
                CheckOutcome::Note => "note",
                CheckOutcome::Well => "well",
            };
            let next = check.next.as_deref().map_or_else(String::new, plain);
            rows.add_row([
                word.to_owned(),
                plain(&check.area),
                plain(&check.name),
                plain(&check.cause),
                next,
            ]);
        }
    }
    rows.to_string()
}
