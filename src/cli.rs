//! The command line (product §3): flags, commands, what the terminal shows and how the process ends. One file per
//! command; thinking and doing are the library's.

mod act;
mod audit;
mod cases;
mod check;
mod client;
mod decision;
mod demo;
mod deployments;
mod doctor;
mod explain;
mod failure;
mod gate;
mod healthcheck;
mod rollback;
mod schema;
mod serve;
mod services;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use failure::{Failure, Finished};

/// Where the configuration lies when nobody says otherwise.
const CONFIG: &str = "config/snapback.toml";

/// Hears alerts, finds the deployment that caused them, rolls it back once, checks that it helped, and says why.
#[derive(Debug, Parser)]
#[command(name = "snapback", version, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong use or faulty configuration, 3 refused.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::ServeFlags),
    /// Watch a bad release go back, with nothing but this binary
    Demo(demo::DemoFlags),
    /// Show every fault of configuration and rules at once
    Check(check::CheckFlags),
    /// Show the whole decision about a payload; nothing is done and nobody is asked
    Explain(explain::ExplainFlags),
    /// Cases of the running server
    Cases(cases::CasesFlags),
    /// Services of the running server
    Services(services::ServicesFlags),
    /// Roll a service back, if whoever may decide says yes
    Rollback(rollback::RollbackFlags),
    /// Put out again what was rolled back last: shows what is meant, and asks
    Rollforward(act::RollforwardFlags),
    /// Hold a release for good or for bad
    Mark(act::MarkFlags),
    /// Nothing automatic on a service, for a while
    Freeze(act::FreezeFlags),
    /// Lift a freeze
    Unfreeze(act::UnfreezeFlags),
    /// Nothing automatic on any service
    Pause(act::PauseFlags),
    /// Lift a pause, or a hold
    Resume(act::ResumeFlags),
    /// Let a release go out again that was rolled back
    Unlock(act::UnlockFlags),
    /// May this release go out? For pipelines: 0 yes, 3 no; whatever nobody says no to is let through
    Gate(gate::GateFlags),
    /// Try everything that is connected, without effect: each with its cause and the next step
    Doctor(doctor::DoctorFlags),
    /// Ask a server whether it is ready: 0 yes, 1 no; for containers
    Healthcheck(healthcheck::HealthcheckFlags),
    /// The audit in the store; needs no running server
    Audit(audit::AuditFlags),
    /// The JSON Schema of a file, for editors
    Schema(schema::SchemaFlags),
}

/// Which configuration.
#[derive(Debug, Args)]
struct ConfigFlags {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

/// How something that is listed is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// Reads the flags, does what they say, and ends with the code that says how it went.
pub(crate) fn main() -> ExitCode {
    // The one provider of cryptography; a second call could only find the same one installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(Finished) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn run(command: Command) -> Result<Finished, Failure> {
    match command {
        Command::Serve(flags) => serve::run(&flags),
        Command::Demo(flags) => demo::run(&flags),
        Command::Check(flags) => check::run(&flags),
        Command::Explain(flags) => explain::run(&flags),
        Command::Cases(flags) => cases::run(&flags),
        Command::Services(flags) => services::run(&flags),
        Command::Rollback(flags) => rollback::run(&flags),
        Command::Mark(flags) => act::mark(&flags),
        Command::Freeze(flags) => act::freeze(&flags),
        Command::Rollforward(flags) => act::rollforward(&flags),
        Command::Unfreeze(flags) => act::unfreeze(&flags),
        Command::Pause(flags) => act::pause(&flags),
        Command::Resume(flags) => act::resume(&flags),
        Command::Unlock(flags) => act::unlock(&flags),
        Command::Gate(flags) => gate::run(&flags),
        Command::Doctor(flags) => doctor::run(&flags),
        Command::Healthcheck(flags) => healthcheck::run(&flags),
        Command::Audit(flags) => audit::run(&flags),
        Command::Schema(flags) => schema::run(&flags),
    }
}
