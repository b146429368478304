//! The voice: says what a case has to say to people. Leaves to `case::words` and `case::face` what is said, and to the
//! engine when and in which order.

pub mod log;
pub mod pager;
pub mod rollcall;
pub mod slack;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::case::id::PagerName;
use log::Log;
use pager::Pager;
use slack::Slack;

/// Where people read: the process's own log, always, and Slack where it is configured. Pagers wake them.
#[derive(Clone)]
pub struct Voice {
    /// The log, and the terminal.
    pub log: Arc<Log>,
    /// Slack.
    pub slack: Option<Arc<Slack>>,
    /// Who wakes people.
    pub pagers: BTreeMap<PagerName, Arc<Pager>>,
}

impl Voice {
    /// The log alone.
    pub fn log(log: Log) -> Voice {
        Voice { log: Arc::new(log), slack: None, pagers: BTreeMap::new() }
    }
}
