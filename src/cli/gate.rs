//! `snapback gate`: may this release go out? For pipelines: it lets everything through that is not surely locked, because a pipeline must
//! not stand still for a server that is away, and a fix least of all.

use clap::Args;
use reqwest::StatusCode;

use super::Output;
use super::client::{Client, ServerFlags, Told, shaped};
use super::failure::{Failure, Finished, print, print_error, print_json};
use super::table::plain;
use snapback::admin::shapes::GateShape;

#[derive(Debug, Args)]
pub(super) struct GateFlags {
    /// The service, name@environment
    service: String,
    /// The release: its artifact, its version or its commit
    #[arg(long)]
    release: String,
    /// What is not known, and a server that does not answer, let nothing through: exit code 1
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    server: ServerFlags,
}

pub(super) fn run(flags: &GateFlags) -> Result<Finished, Failure> {
    let client = match Client::new(&flags.server) {
        Ok(client) => client,
        Err(failure) if failure.is_wrong_use() => return Err(failure),
        Err(failure) => return open(flags, failure.says()),
    };
    let told = match client.ask(&["v1", "gate", &flags.service], &[("release", &flags.release)]) {
        Ok(told) => told,
        Err(away) => return open(flags, away.says()),
    };
    let shape: Option<GateShape> = told.value.as_ref().and_then(|value| shaped(value).ok());
    match (told.status, shape) {
        (StatusCode::LOCKED, Some(shape)) => locked(flags, &shape),
        (StatusCode::OK, Some(shape)) if shape.allowed && shape.known => through(flags, &shape),
        (StatusCode::OK, Some(shape)) if shape.allowed => {
            open(flags, &plain(shape.detail.as_deref().unwrap_or("it is not known")))
        }
        _ => open(flags, &not_understood(&told)),
    }
}

fn locked(flags: &GateFlags, shape: &GateShape) -> Result<Finished, Failure> {
    if flags.server.output == Output::Json {
        // Whether anybody reads it or not, it may not go out.
        let _ = print_json(shape);
    }
    let why = plain(shape.detail.as_deref().unwrap_or("it is locked"));
    Err(Failure::refused(
        format!("{} may not go out on {}: {why}", flags.release, flags.service),
        "put out another release, or have this one unlocked by whoever decides there",
    ))
}

fn through(flags: &GateFlags, shape: &GateShape) -> Result<Finished, Failure> {
    if flags.server.output == Output::Json {
        return print_json(shape);
    }
    print(&format!("{} may go out on {}", flags.release, flags.service))
}

/// Nobody said no.
fn open(flags: &GateFlags, why: &str) -> Result<Finished, Failure> {
    if flags.strict {
        let next = "leave --strict out to let through what nobody says no to";
        return Err(Failure::failed(format!("the gate cannot tell: {why}"), next));
    }
    print_error(&format!("snapback: the gate cannot tell, and lets it through: {why}\n"));
    Ok(Finished)
}

fn not_understood(told: &Told) -> String {
    let title = told.value.as_ref().and_then(|value| value["title"].as_str()).map(plain);
    title.unwrap_or_else(|| format!("the answer is {}, and not as a snapback server gives it", told.status))
}
