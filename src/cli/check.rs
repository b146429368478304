//! `snapback check`: every fault of configuration and rules at once, drawn for people or as JSON.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use snapback::config::{Severity, Style, json, load, render};

use super::ConfigFlags;
use super::failure::{Failure, Finished, print, print_json};

#[derive(Debug, Args)]
pub(super) struct CheckFlags {
    #[command(flatten)]
    config: ConfigFlags,
    /// How faults are shown
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Drawn under the text
    Text,
    /// `{"faults": [...]}`
    Json,
}

pub(super) fn run(flags: &CheckFlags) -> Result<Finished, Failure> {
    let loaded = load(&flags.config.config);
    let faults = loaded.all_faults();
    let path = flags.config.config.display();
    match flags.format {
        Format::Json => print_json(&json(&faults))?,
        Format::Text if faults.is_empty() => print(&format!("{path}: nothing is wrong"))?,
        Format::Text => print(&render(&faults, &loaded.texts, style()))?,
    };
    if faults.iter().any(|fault| fault.severity == Severity::Fault) {
        return Err(Failure::faulty(format!("{path}: the configuration is faulty; nothing starts with it")));
    }
    Ok(Finished)
}

/// Colours for a terminal alone.
pub(super) fn style() -> Style {
    if std::io::stdout().is_terminal() { Style::Styled } else { Style::Plain }
}
