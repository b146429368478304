//! `snapback schema`: the JSON Schema of the configuration or of the rules.

use clap::{Args, ValueEnum};
use snapback::config::{SchemaOf, schema};

use super::failure::{Failure, Finished, print_json};

#[derive(Debug, Args)]
pub(super) struct SchemaFlags {
    /// Of which file
    of: Of,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Of {
    /// snapback.toml
    Config,
    /// rules.toml
    Rules,
}

pub(super) fn run(flags: &SchemaFlags) -> Result<Finished, Failure> {
    print_json(&schema(match flags.of {
        Of::Config => SchemaOf::Config,
        Of::Rules => SchemaOf::Rules,
    }))
}
