//! A check by a program of the user's own, such as a smoke test: ended with status 0 it passes, with another one, or killed at
//! its deadline, it fails, and says by the end of its output why. One that cannot be started tells nothing.

use std::path::PathBuf;
use std::time::Duration;

use super::Health;
use crate::outbound::process::{Group, How, follow, spawn};

/// Of a failing run so many characters are told, which is what a case keeps of them.
const TOLD_MAX: usize = 4096;
/// Of the program's own words so many, in case somebody writes a script into them.
const NAMED_MAX: usize = 200;

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
        let program: String =
            self.argv.first().into_iter().flat_map(|word| word.chars()).take(NAMED_MAX).collect();
        let child = match spawn(&self.argv, &self.folder) {
            Ok(child) => child,
            Err(error) => return Health::Unknown(format!("{program} could not be started: {error}")),
        };
        let group = Group::of(&child);
        let ended = follow(child, Some(group), self.within, TOLD_MAX).await;
        match ended.how {
            How::Exited(status) if status.success() => Health::Passing,
            how @ (How::Exited(_) | How::Killed(_)) => {
                Health::Failing(told(&format!("{program} {how}\n"), ended.output.trim_end()))
            }
            how @ How::Unknown(_) => Health::Unknown(format!("{program} {how}")),
        }
    }
}

/// How it ended, and as much as there is room for of the end of what it wrote: there programs say what went wrong.
fn told(how: &str, output: &str) -> String {
    let room = TOLD_MAX.saturating_sub(how.chars().count());
    let excess = output.chars().count().saturating_sub(room);
    let end: String = output.chars().skip(excess).collect();
    format!("{how}{end}").trim_end().to_owned()
}
