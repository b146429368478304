//! Stories over HTTP: the real listener on a free port, bytes as senders write them.

#[path = "server/doors.rs"]
mod doors;
#[path = "server/feeds.rs"]
mod feeds;
#[path = "server/intake.rs"]
mod intake;
#[path = "server/pretend.rs"]
mod pretend;
#[path = "server/senders.rs"]
mod senders;
mod signing;
#[path = "server/sns.rs"]
mod sns;
#[path = "server/templates.rs"]
mod templates;
