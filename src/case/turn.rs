//! A turn: what many inputs lead to, for one transaction. Made by the engine's desk, written by the journal, and only
//! then true. Owns how the gate's answers become events, so that both sides apply exactly the same.

use std::sync::Arc;

use super::dossier::Dossier;
use super::event::{Event, Stamped};
use super::gate::{GateAsk, Why};
use super::id::{AnswerUrl, CaseId, DeliveryId, Duration, Place, ServiceId, Timestamp};
use super::permit::Permit;
use super::standing::StandingEvent;

/// What one transaction writes.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// When it was made.
    pub at: Timestamp,
    /// The services that changed, with their events.
    pub changes: Vec<Change>,
    /// What changes the standing beside what the gates write.
    pub standing: Vec<StandingEvent>,
    /// What the gate is asked in the same transaction, in order.
    pub gates: Vec<GateAsk>,
    /// How each delivery that this turn took ended.
    pub dispositions: Vec<(DeliveryId, Vec<Disposition>)>,
    /// Dead letters that were read after all, each with the request for it.
    pub replays: Vec<(DeliveryId, DeliveryId)>,
    /// Every delivery up to this one is decided.
    pub cursor: Option<DeliveryId>,
    /// What people are told of a service beside any case, once this is true. Not stored: it is about the moment.
    pub bulletins: Vec<Bulletin>,
    /// What people are answered once this is true. Not stored: an answer that is lost is asked for again.
    pub whispers: Vec<Whisper>,
}

/// Something that people should know of a service, and no case tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bulletin {
    /// The service.
    pub service: ServiceId,
    /// What; the first line stands alone.
    pub lines: Vec<String>,
}

/// An answer to one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whisper {
    /// Where.
    pub to: AnswerUrl,
    /// What.
    pub says: String,
    /// Who reads it.
    pub manner: Manner,
}

/// Who reads an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Whoever asked, beside what they see.
    Private,
    /// Whoever asked, in the place of what they were asked back.
    Replacing,
    /// Everybody where it was said: in this thread, or in the channel. Something changed.
    Public(Option<Place>),
}

/// One service's change.
#[derive(Clone, Debug)]
pub struct Change {
    /// The service as it is after its events. Shared: desk, writer and whoever takes a refusal back hold the same one.
    pub dossier: Arc<Dossier>,
    /// What happened, with the case that it belongs to.
    pub events: Vec<(Option<CaseId>, Stamped)>,
    /// Cases that changed and have since left the dossier, told to the end: their last shape, for readers.
    pub departed: Vec<super::story::Case>,
}

/// What became of one signal, click or request. Every one has exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Taken by this service.
    Taken(ServiceId),
    /// The same report again, or older than what is known.
    Repeated(ServiceId),
    /// A clear of something that was not firing, or no news.
    Idle(ServiceId),
    /// No service is known for it; why.
    Unmapped(String),
    /// Its source may not speak about this service.
    OutOfScope(ServiceId),
    /// Authentic, and about nothing that is judged, such as a ping; what it is.
    Aside(String),
    /// Authentic, and unreadable; why. A dead letter.
    Dead(String),
    /// Beyond a limit; which.
    TooMany(String),
    /// A request was carried out; what follows, in a sentence.
    Done(String),
    /// Whoever asked may not; why.
    Forbidden(String),
    /// It cannot be done as things stand; why.
    Conflict(String),
}

/// The gate's answer to one ask.
#[derive(Debug)]
pub enum Gated {
    /// It passed, is on disk, and the request may leave.
    Passed(Permit),
    /// It did not; why.
    Barred(CaseId, Why),
}

/// How long until a waiting step asks the gate again.
pub const GATE_AGAIN: Duration = Duration::from_secs(5);

impl Turn {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
            && self.standing.is_empty()
            && self.gates.is_empty()
            && self.dispositions.is_empty()
            && self.cursor.is_none()
    }

    /// Makes the gate's answers part of the turn: an intent or a refusal, as an event of its service.
    ///
    /// Called by the journal inside the transaction, before the rows are written.
    pub fn settle(&mut self, answers: &[Result<(), Why>]) {
        for (ask, answer) in self.gates.iter().zip(answers) {
            let step = ask.order.step;
            let event = match answer {
                Ok(()) => Event::Intended { step, attempt: ask.order.attempt },
                Err(why) => Event::Barred { step, why: why.clone(), again_at: self.at + GATE_AGAIN },
            };
            // The case's own service: what a step changes may be a companion's.
            let of = ask.order.case.service();
            let Some(change) = self.changes.iter_mut().find(|c| c.dossier.service == of) else { continue };
            let stamped = Stamped { at: self.at, event };
            if Arc::make_mut(&mut change.dossier).apply(&stamped).is_ok() {
                change.events.push((Some(ask.order.case.clone()), stamped));
            }
        }
    }
}
