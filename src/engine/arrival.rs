//! An arrival: one thing that reaches the desk, from a sender, from the rim or from this process itself. Leaves to the desk
//! what comes of it.

use crate::case::approval::Roster;
use crate::case::command::{Command, Ending, Input, Request};
use crate::case::id::{DeliveryId, ServiceId, SourceName};
use crate::case::notice::Notice;
use crate::case::signal::Signal;
use crate::case::standing::StandingEvent;

/// What arrives at the desk.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// A stored delivery, in the order of its number.
    Delivery {
        /// Its number.
        id: DeliveryId,
        /// Its source.
        source: SourceName,
        /// What it says.
        content: Content,
    },
    /// Something for one service that came with no delivery: a tick, a notice, a restart.
    To(ServiceId, Box<Input>),
    /// A command ended.
    Ended(Command, Box<Ending>),
    /// The provider of this service could not be read; why.
    Unreadable(ServiceId, String),
    /// The provider of this service shows that something changed there.
    Moved(ServiceId),
    /// The standing changes.
    Standing(StandingEvent),
    /// Who belongs to which group, as it was read now.
    Roster(Roster),
}

/// What a delivery says.
#[derive(Clone, Debug)]
pub enum Content {
    /// Signals, in the sender's order.
    Signals(Vec<Signal>),
    /// Notices of deployments, in the feed's order.
    Notices(Vec<Notice>),
    /// Nothing that is judged, such as a ping; what it is.
    Aside(String),
    /// Nothing that can be read; why.
    Dead(String),
    /// A request of a person.
    Asked(Box<Request>),
    /// A person wants a dead letter to be read again.
    Replayed(Replay),
}

/// A dead letter, as it reads now.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Which.
    pub letter: DeliveryId,
    /// Whose it is, and what it says now. `None`: there is no such letter, or it was replayed already.
    pub reads: Option<(SourceName, Box<Content>)>,
}
