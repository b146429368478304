//! A check by a program of the user's own, such as a smoke test: ended with status 0 it passes, with another one, or killed at
//! its deadline, it fails, and says by the end of its output why. One that cannot be started tells nothing.

use std::path::PathBuf;
use std::time::Duration;

use super::Health;
use crate::outbound::process::{Group, How, follow, spawn};

/// Output that is kept, from its end, where programs say what went wrong.
const OUTPUT_MAX: usize = 4096;

/// A program, that must end with status 0.
#[derive(Debug)]
pub struct CommandCheck {
    argv: Vec<String>,
    folder: PathBuf,
    within: Duration,
}

impl CommandCheck {
    /// Runs these words in this folder, without a shell, and kills everything that they began after so long.
    pub fn new(argv: Vec<String>, folder: PathBuf, within: Duration) -> CommandCheck {
        CommandCheck { argv, folder, within }
    }

    pub(super) async fn run(&self) -> Health {
        let program = self.argv.first().map_or("", String::as_str);
        let child = match spawn(&self.argv, &self.folder) {
            Ok(child) => child,
            Err(error) => return Health::Unknown(format!("{program} could not be started: {error}")),
        };
        // What it leaves behind goes with it, and all of it goes when nobody waits any more.
        let group = Group::of(&child);
        let ended = follow(child, self.within, OUTPUT_MAX).await;
        drop(group);
        match ended.how {
            How::Exited(status) if status.success() => Health::Passing,
            how @ (How::Exited(_) | How::Killed(_)) => {
                Health::Failing(format!("{program} {how}\n{}", ended.output).trim_end().to_owned())
            }
            how @ How::Unknown(_) => Health::Unknown(format!("{program} {how}")),
        }
    }
}
