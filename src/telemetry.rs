//! Logs of the process: their format, their level, and that they go to standard error. Leaves to each room what it
//! logs; fields are spelled the same everywhere: `case.id`, `service`, `provider`, `step`, `attempt`. What can be measured is
//! below: `catalogue` names it, `label` closes the sets, `metrics` tells it.

pub mod catalogue;
mod counts;
pub mod label;
pub mod metrics;
mod series;
mod stage;

use std::io;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

pub use counts::{Counts, Tally};
pub use series::CONTENT_TYPE;

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text for people.
    Text,
    /// Text for people at a terminal that shows colours.
    ColouredText,
    /// One JSON object a line.
    Json,
}

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryFault {
    /// The filter has a fault.
    #[error("read the log filter {filter:?}")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Logs were set up already in this process.
    #[error("set up logs a second time")]
    Twice(#[source] tracing::subscriber::SetGlobalDefaultError),
}

/// Sets up the logs of this process, once. A filter is a level, such as `info`, or a list such as
/// `info,snapback::execute=debug`.
///
/// # Errors
/// When the filter has a fault, or logs were set up already.
pub fn start(format: Format, filter: &str) -> Result<(), TelemetryFault> {
    let subscriber = subscriber(format, filter, io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(TelemetryFault::Twice)
}

fn subscriber<W>(
    format: Format,
    filter: &str,
    out: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryFault>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder()
        .parse(filter)
        .map_err(|source| TelemetryFault::Filter { filter: filter.to_owned(), source })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(out);
    Ok(match format {
        Format::Text => Box::new(lines.with_ansi(false).finish()),
        Format::ColouredText => Box::new(lines.with_ansi(true).finish()),
        Format::Json => Box::new(lines.json().flatten_event(true).finish()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, filter: &str, log: impl FnOnce()) -> String {
        let page = Page::default();
        let out = page.clone();
        let subscriber = subscriber(format, filter, move || out.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_is_one_object_a_line_whatever_is_in_it() {
        let text = logged(Format::Json, "info", || {
            tracing::info!(service = "checkout@production", "two\nlines \u{1b}[2J\"");
            tracing::debug!("not at this level");
        });
        assert_eq!(text.lines().count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["service"], "checkout@production");
        assert_eq!(line["message"], "two\nlines \u{1b}[2J\"");
    }

    #[test]
    fn text_has_no_colour_unless_asked_for() {
        let text = logged(Format::Text, "info", || tracing::warn!(step = 1, "a step"));
        assert!(text.contains("a step step=1"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(logged(Format::ColouredText, "info", || tracing::warn!("x")).contains('\u{1b}'));
    }

    #[test]
    fn a_filter_with_a_fault_is_told() {
        let fault = subscriber(Format::Text, "info,=nonsense=", io::stderr).err().unwrap();
        assert_eq!(fault.to_string(), "read the log filter \"info,=nonsense=\"");
    }
}
