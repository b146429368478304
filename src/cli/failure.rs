//! How a command ends when it does not end well: the thing, the cause, the next step, and the exit code.

use std::io::{self, Write};
use std::process::ExitCode;

/// A command did what it was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finished;

/// A command did not.
#[derive(Debug)]
pub(super) struct Failure {
    end: End,
    says: String,
    next: Option<String>,
}

/// Which exit code a failure has (product §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Failed,
    /// The server was not reached, so that it surely did nothing.
    Unreachable,
    /// Wrong use, or a faulty configuration.
    Wrong,
    /// Whoever may say no said it: a rule, a guard, a gate, or the person who was asked.
    Refused,
    /// The reader of our output went away: nothing is left to say, and nobody to say it to.
    Silent,
}

impl Failure {
    /// It could not be done: the thing and the cause, then the next step.
    pub(super) fn failed(says: impl Into<String>, next: impl Into<String>) -> Failure {
        Failure { end: End::Failed, says: says.into(), next: Some(next.into()) }
    }

    /// The server was not reached, and was asked for nothing that it could have done.
    pub(super) fn unreachable(says: impl Into<String>, next: impl Into<String>) -> Failure {
        Failure { end: End::Unreachable, says: says.into(), next: Some(next.into()) }
    }

    /// Whether the server was not reached.
    pub(super) fn is_unreachable(&self) -> bool {
        self.end == End::Unreachable
    }

    /// Whether the command was used wrongly.
    pub(super) fn is_wrong_use(&self) -> bool {
        self.end == End::Wrong
    }

    /// What it says, without the next step.
    pub(super) fn says(&self) -> &str {
        &self.says
    }

    /// The command was used wrongly.
    pub(super) fn wrong(says: impl Into<String>, next: impl Into<String>) -> Failure {
        Failure { end: End::Wrong, says: says.into(), next: Some(next.into()) }
    }

    /// The answer is no.
    pub(super) fn refused(says: impl Into<String>, next: impl Into<String>) -> Failure {
        Failure { end: End::Refused, says: says.into(), next: Some(next.into()) }
    }

    /// The configuration is faulty; every fault was shown.
    pub(super) fn faulty(says: impl Into<String>) -> Failure {
        Failure { end: End::Wrong, says: says.into(), next: None }
    }

    /// Says it on standard error, and gives the exit code.
    pub(super) fn tell(self) -> ExitCode {
        if self.end != End::Silent {
            let mut to = io::stderr().lock();
            // Where even standard error is gone, the code still says it.
            let _ = writeln!(to, "snapback: {}", self.says);
            if let Some(next) = &self.next {
                let _ = writeln!(to, "  next: {next}");
            }
        }
        match self.end {
            End::Failed | End::Unreachable => ExitCode::from(1),
            End::Wrong => ExitCode::from(2),
            End::Refused => ExitCode::from(3),
            End::Silent => ExitCode::SUCCESS,
        }
    }
}

/// Writes to standard output. A reader that closes its end early, such as `head`, is not a failure.
pub(super) fn print(text: &str) -> Result<Finished, Failure> {
    let mut to = io::stdout().lock();
    let written = to.write_all(text.as_bytes()).and_then(|()| match text.ends_with('\n') {
        true => Ok(()),
        false => to.write_all(b"\n"),
    });
    match written.and_then(|()| to.flush()) {
        Ok(()) => Ok(Finished),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Err(Failure { end: End::Silent, says: String::new(), next: None })
        }
        Err(error) => Err(Failure::failed(format!("standard output: {error}"), "see where the output goes")),
    }
}

/// Writes a line to standard output, as far as somebody reads it.
pub(super) fn print_line(line: &str) {
    let mut to = io::stdout().lock();
    let _ = writeln!(to, "{line}").and_then(|()| to.flush());
}

/// Writes to standard error, as far as somebody reads it.
pub(super) fn print_error(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes a value as JSON.
pub(super) fn print_json(value: &impl serde::Serialize) -> Result<Finished, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| {
        Failure::failed(format!("the answer as JSON: {error}"), "report this: it is a fault of snapback")
    })?;
    print(&text)
}
