//! `snapback serve`: the server until SIGTERM or SIGINT; the configuration is read again on SIGHUP and on file change.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use snapback::clock::Clock;
use snapback::config::{Loaded, Settings, Severity, Watch, load, render};
use snapback::report::Voice;
use snapback::report::log::{Colour, Log};
use snapback::server::Server;
use snapback::telemetry::{self, Format};

use super::ConfigFlags;
use super::check::style;
use super::failure::{Failure, Finished, print_error};

#[derive(Debug, Args)]
pub(super) struct ServeFlags {
    #[command(flatten)]
    config: ConfigFlags,
    /// What is logged: a level, or a filter such as `info,snapback::execute=debug`
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
    /// How it is logged; without it, text on a terminal and JSON elsewhere
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

pub(super) fn run(flags: &ServeFlags) -> Result<Finished, Failure> {
    let path = &flags.config.config;
    let loaded = load(path);
    let texts = loaded.texts.clone();
    let first = loaded.clone();
    let settings = loaded.for_serving().map_err(|faults| {
        print_error(&render(&faults, &texts, style()));
        Failure::faulty(format!("{}: the configuration is faulty; nothing starts with it", path.display()))
    })?;
    let terminal = std::io::stderr().is_terminal();
    let format = match (flags.log_format, terminal) {
        (Some(LogFormat::Text), true) | (None, true) => Format::ColouredText,
        (Some(LogFormat::Text), false) => Format::Text,
        (Some(LogFormat::Json), _) | (None, false) => Format::Json,
    };
    telemetry::start(format, &flags.log)
        .map_err(|fault| Failure::wrong(fault.to_string(), "see --log in `snapback serve --help`"))?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        Failure::failed(format!("start the runtime: {error}"), "see the limits of this process")
    })?;
    runtime.block_on(serve(path, &first, settings))
}

async fn serve(path: &std::path::Path, first: &Loaded, settings: Settings) -> Result<Finished, Failure> {
    let started_at = Clock.now();
    tell_warnings(first);
    let server = Server::new(settings, voice()).await.map_err(|error| {
        Failure::failed(error.to_string(), "see `snapback check`, and who else uses the address or the store")
    })?;
    let (stopper, reloads) = (server.stopper(), server.reloads());
    let mut watch = Watch::begin(path, first)
        .map_err(|error| Failure::failed(error.to_string(), "see the limits of this process"))?;
    let watching = tokio::spawn(async move {
        while let Some(loaded) = watch.next().await {
            tell_warnings(&loaded);
            if reloads.send(loaded).await.is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        asked_to_stop().await;
        tracing::info!("asked to stop; what was accepted is finished");
        stopper.stop();
    });
    let ended = server.run().await;
    watching.abort();
    tracing::info!(up_s = Clock.now().duration_since(started_at).as_secs(), "stopped");
    ended.map(|()| Finished).map_err(|error| {
        Failure::failed(error.to_string(), "see the disk, then start it again: it looks before it acts")
    })
}

/// What works and perhaps not as meant, such as a certificate that has expired.
fn tell_warnings(loaded: &Loaded) {
    for warning in loaded.faults.iter().filter(|fault| fault.severity == Severity::Warning) {
        let place = format!("{}:{}:{}", warning.file, warning.line, warning.column);
        tracing::warn!(place, remedy = warning.remedy, "{}", warning.message);
    }
}

/// The log is the voice: readable lines for whoever watches the terminal, structured ones in any case.
fn voice() -> Voice {
    let terminal = std::io::stdout().is_terminal();
    Voice::log(if terminal { Log::with_lines(std::io::stdout(), Colour::Ansi) } else { Log::structured() })
}

async fn asked_to_stop() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            // Without it only Ctrl-C, or a kill, stops the process.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
