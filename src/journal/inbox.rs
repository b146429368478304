//! The inbox: where whoever hears something hands it over, and waits until it is stored and synced. Owns the
//! bounds of what waits and the set of lately stored bodies. Leaves the storing to whoever owns [`Arrivals`].

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::record;
use crate::case::command::Request;
use crate::case::id::{DeliveryId, Duration, SourceName, Timestamp};
use crate::case::notice::Notice;
use crate::case::signal::Signal;

/// Deliveries that wait for the writer: at full speed some 50 ms of its work, so that a full channel means overload
/// and not a short burst.
pub const WAITING_MAX: usize = 8192;
/// Bodies that are remembered as stored: minutes of a storm's repeats, in some 6 MB.
pub const RECENT_MAX: usize = 65_536;
/// The same signals again within so long are told twice, and later they are the word that they still fire: Alertmanager and
/// its like send the same bytes at every interval for as long as nothing changes (signals §1). A second try that comes later
/// costs a row, and the engine knows it by its episodes. No heartbeat may be shorter.
const TOLD_TWICE: Duration = Duration::from_secs(1);
/// Stored deliveries that the engine has not decided: beyond it no more signals are accepted, so that what is accepted is
/// also judged while it matters. What people ask for is still taken: they are few, a pause is wanted most when everything
/// fires, and what is judged too late is refused then. [`WAITING_MAX`] bounds them too.
pub const UNDECIDED_MAX: u64 = 200_000;
/// The oldest of them may wait so long, for the same reason.
pub const UNDECIDED_AGE_MAX: Duration = Duration::from_secs(60);

/// One authentic message, as it reached us.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// When it reached us.
    pub received_at: Timestamp,
    /// Whose secret proved it.
    pub source: SourceName,
    /// What makes two deliveries the same; see [`ContentKey::of`].
    pub key: ContentKey,
    /// The bytes as they came: what is stored.
    pub body: Bytes,
    /// What they say.
    pub content: Content,
}

/// What a delivery says. It rides beside the body in memory, so that the body is parsed once.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Signals.
    Signals(Vec<Signal>),
    /// What a feed tells of deployments.
    Notices(Vec<Notice>),
    /// Authentic and readable, and about nothing that we judge, such as a ping; what it is.
    Aside(String),
    /// Authentic and unreadable; why. A dead letter.
    Dead(String),
    /// A request of a person.
    Asked(Box<Request>),
}

/// The source under which requests of people are stored; no configured source can be called so.
pub const PEOPLE: &str = "@people";

impl Delivery {
    /// A request, as a door hands it over.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn request(request: Request, received_at: Timestamp) -> Result<Delivery, NotStored> {
        let body = record::write(&request).map_err(|cause| NotStored::Storage(cause.to_string()))?;
        let (source, body) = (SourceName::new(PEOPLE), Bytes::from(body));
        let key = ContentKey::of(&source, &body);
        Ok(Delivery { received_at, source, key, body, content: Content::Asked(Box::new(request)) })
    }

    /// A request as a chat brought it: the same bytes again are the same request, whenever they come.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn spoken(request: Request, received_at: Timestamp, raw: &[u8]) -> Result<Delivery, NotStored> {
        let delivery = Delivery::request(request, received_at)?;
        let key = ContentKey::of(&delivery.source, raw);
        Ok(Delivery { key, ..delivery })
    }
}

impl Content {
    /// Reads a stored request again.
    pub fn of_request(body: &[u8]) -> Content {
        let read = std::str::from_utf8(body).map_err(|error| error.to_string());
        match read.and_then(|text| record::read(text).map_err(|error| error.to_string())) {
            Ok(request) => Content::Asked(Box::new(request)),
            Err(why) => Content::Dead(why),
        }
    }

    /// Why it cannot be read, where it cannot.
    pub fn dead(&self) -> Option<&str> {
        match self {
            Content::Signals(_) | Content::Notices(_) | Content::Asked(_) | Content::Aside(_) => None,
            Content::Dead(why) => Some(why),
        }
    }
}

/// The SHA-256 of source and body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentKey(pub [u8; 32]);

impl ContentKey {
    /// The key of this body from this source.
    pub fn of(source: &SourceName, body: &[u8]) -> ContentKey {
        let mut context = Context::new(&SHA256);
        // The length keeps apart what would read alike when joined.
        context.update(&(source.as_str().len() as u64).to_le_bytes());
        context.update(source.as_str().as_bytes());
        context.update(body);
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        ContentKey(key)
    }
}

/// A delivery is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Stored and synced under this number.
    New(DeliveryId),
    /// The same body from the same source was stored a short while ago.
    Seen,
}

/// A delivery is not stored; its sender should come again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStored {
    /// More waits than may wait.
    #[error("more deliveries wait than may wait: send it again later")]
    Overloaded,
    /// The store refused it, or cannot be trusted any more; why.
    #[error("the delivery could not be stored: {0}")]
    Storage(String),
    /// Snapback is stopping.
    #[error("Snapback is stopping: send it again later")]
    Closing,
}

/// Where deliveries are handed over. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Inbox {
    waiting: mpsc::Sender<Arrival>,
    known: Arc<Mutex<Known>>,
}

/// The writer's end of an inbox.
#[derive(Debug)]
pub struct Arrivals {
    waiting: mpsc::Receiver<Arrival>,
    known: Arc<Mutex<Known>>,
}

/// A delivery that waits to be stored, with somebody who waits for the answer.
#[derive(Debug)]
pub struct Arrival {
    /// The delivery.
    pub delivery: Delivery,
    answer: oneshot::Sender<Result<Received, NotStored>>,
}

impl Inbox {
    /// An inbox and the end that empties it.
    pub fn new() -> (Inbox, Arrivals) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let known = Arc::new(Mutex::new(Known::default()));
        (Inbox { waiting: sender, known: Arc::clone(&known) }, Arrivals { waiting: receiver, known })
    }

    /// Hands a delivery over and waits until it is stored and synced.
    ///
    /// A caller that stops waiting loses the answer, never the delivery.
    pub async fn receive(&self, delivery: Delivery) -> Result<Received, NotStored> {
        {
            let mut known = lock(&self.known);
            if known.has_seen(&delivery) {
                return Ok(Received::Seen);
            }
            let of_people = matches!(delivery.content, Content::Asked(_));
            if !of_people && known.is_full(delivery.received_at) {
                return Err(NotStored::Overloaded);
            }
        }
        let (answer, answered) = oneshot::channel();
        self.waiting.try_send(Arrival { delivery, answer }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => NotStored::Overloaded,
            mpsc::error::TrySendError::Closed(_) => NotStored::Closing,
        })?;
        answered
            .await
            .unwrap_or_else(|_| Err(NotStored::Storage("the writer ended without an answer".into())))
    }

    /// Stored deliveries that are not decided.
    pub fn undecided(&self) -> u64 {
        lock(&self.known).undecided
    }
}

impl Arrivals {
    /// Waits for deliveries and takes up to `limit` of them; 0 when every inbox is gone.
    pub async fn take(&mut self, into: &mut Vec<Arrival>, limit: usize) -> usize {
        self.waiting.recv_many(into, limit).await
    }

    /// Takes up to `limit` deliveries that wait already.
    pub fn take_waiting(&mut self, into: &mut Vec<Arrival>, limit: usize) {
        while into.len() < limit {
            let Ok(arrival) = self.waiting.try_recv() else { return };
            into.push(arrival);
        }
    }

    /// Takes nothing new from now on; what waits can still be taken.
    pub fn close(&mut self) {
        self.waiting.close();
    }

    /// What an earlier process stored, and what counts as the same.
    pub fn known_before(&self, keys: Vec<[u8; 32]>) {
        let mut known = lock(&self.known);
        keys.into_iter().for_each(|key| known.remember(ContentKey(key), Timestamp::MIN));
    }

    /// Deliveries that an earlier process left undecided.
    pub fn left_over(&self, count: u64, last: DeliveryId) {
        lock(&self.known).stored(count, last, None);
    }

    /// These are stored and synced: their bodies are known from now on, and they wait for a decision.
    pub fn stored<'a>(&self, deliveries: impl Iterator<Item = (DeliveryId, &'a Delivery)>) {
        let mut known = lock(&self.known);
        let mut batch: Option<(u64, DeliveryId, Timestamp)> = None;
        for (id, delivery) in deliveries {
            known.remember(delivery.key, delivery.received_at);
            let (count, _, first) = batch.unwrap_or((0, id, delivery.received_at));
            batch = Some((count + 1, id, first));
        }
        if let Some((count, last, first)) = batch {
            known.stored(count, last, Some(first));
        }
    }

    /// Every delivery up to this one is decided.
    pub fn decided(&self, through: DeliveryId) {
        lock(&self.known).decided(through);
    }
}

impl Arrival {
    /// Tells whoever waits; gives the delivery back.
    pub fn answer(self, answer: Result<Received, NotStored>) -> Delivery {
        // Whoever waited may have gone: the record stays all the same.
        let _ = self.answer.send(answer);
        self.delivery
    }
}

/// What the inbox knows about what is stored.
#[derive(Debug, Default)]
struct Known {
    /// When each was stored last.
    recent: HashMap<[u8; 32], Timestamp>,
    order: VecDeque<[u8; 32]>,
    undecided: u64,
    batches: VecDeque<Batch>,
}

/// Deliveries of one commit that are not decided.
#[derive(Debug)]
struct Batch {
    count: u64,
    last: DeliveryId,
    /// When the first of them came. `None`: it was left by an earlier process, and waits since the first arrival.
    since: Option<Timestamp>,
}

impl Known {
    fn is_full(&mut self, now: Timestamp) -> bool {
        if self.undecided >= UNDECIDED_MAX {
            return true;
        }
        let Some(oldest) = self.batches.front_mut() else { return false };
        let since = *oldest.since.get_or_insert(now);
        now.duration_since(since) > UNDECIDED_AGE_MAX
    }

    fn has_seen(&self, delivery: &Delivery) -> bool {
        let Some(stored_at) = self.recent.get(&delivery.key.0) else { return false };
        let tells_again = matches!(delivery.content, Content::Signals(_));
        !tells_again || delivery.received_at.duration_since(*stored_at) < TOLD_TWICE
    }

    fn remember(&mut self, key: ContentKey, stored_at: Timestamp) {
        if self.recent.insert(key.0, stored_at).is_none() {
            self.order.push_back(key.0);
        }
        while self.order.len() > RECENT_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.recent.remove(&oldest);
            }
        }
    }

    fn stored(&mut self, count: u64, last: DeliveryId, since: Option<Timestamp>) {
        if count > 0 {
            self.undecided += count;
            self.batches.push_back(Batch { count, last, since });
        }
    }

    fn decided(&mut self, through: DeliveryId) {
        while let Some(batch) = self.batches.front_mut() {
            // Numbers have no gaps: what is left of a batch is what lies behind the cursor.
            let left = batch.last.0.saturating_sub(through.0).min(batch.count);
            self.undecided = self.undecided.saturating_sub(batch.count - left);
            batch.count = left;
            if left > 0 {
                return;
            }
            self.batches.pop_front();
        }
    }
}

/// A panic of another holder leaves nothing half-done here that could mislead.
fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("a moment")
    }

    fn delivery(body: &'static str, second: i64) -> Delivery {
        let source = SourceName::new("prometheus");
        Delivery {
            received_at: at(second),
            key: ContentKey::of(&source, body.as_bytes()),
            source,
            body: Bytes::from_static(body.as_bytes()),
            content: Content::Signals(Vec::new()),
        }
    }

    fn pause(second: i64) -> Delivery {
        let (by, reason) = ("ann".into(), "everything fires".into());
        let request = Request::Pause { by, at: at(second), reason, everything: true };
        Delivery::request(request, at(second)).expect("written down")
    }

    async fn stores(
        inbox: &Inbox,
        arrivals: &mut Arrivals,
        delivery: Delivery,
    ) -> Result<Received, NotStored> {
        let mut handed = std::pin::pin!(inbox.receive(delivery));
        let stored = async {
            let mut batch = Vec::new();
            arrivals.take(&mut batch, 1).await;
            for (number, arrival) in (1..).zip(batch) {
                let id = DeliveryId(number);
                arrivals.stored(std::iter::once((id, &arrival.delivery)));
                arrival.answer(Ok(Received::New(id)));
            }
        };
        tokio::select! {
            // What is refused or known already never comes to be stored.
            at_once = &mut handed => return at_once,
            () = stored => {}
        }
        handed.await
    }

    #[tokio::test]
    async fn a_body_is_seen_only_after_it_was_stored() {
        let (inbox, mut arrivals) = Inbox::new();
        let first = stores(&inbox, &mut arrivals, delivery("a", 0)).await;
        assert_eq!(first, Ok(Received::New(DeliveryId(1))));
        assert_eq!(inbox.receive(delivery("a", 0)).await, Ok(Received::Seen));
        assert_eq!(inbox.undecided(), 1);
        arrivals.decided(DeliveryId(1));
        assert_eq!(inbox.undecided(), 0);
        assert_eq!(
            inbox.receive(delivery("a", 0)).await,
            Ok(Received::Seen),
            "a decided body is still known"
        );
    }

    #[tokio::test]
    async fn an_old_undecided_delivery_turns_new_ones_away() {
        let (inbox, mut arrivals) = Inbox::new();
        stores(&inbox, &mut arrivals, delivery("a", 0)).await.expect("stored");
        assert_eq!(inbox.receive(delivery("b", 61)).await, Err(NotStored::Overloaded));
        arrivals.decided(DeliveryId(1));
        assert!(stores(&inbox, &mut arrivals, delivery("b", 61)).await.is_ok());
    }

    #[tokio::test]
    async fn what_an_earlier_process_left_waits_from_the_first_arrival() {
        let (inbox, mut arrivals) = Inbox::new();
        arrivals.left_over(3, DeliveryId(3));
        assert!(stores(&inbox, &mut arrivals, delivery("a", 5000)).await.is_ok());
        assert_eq!(inbox.receive(delivery("b", 5061)).await, Err(NotStored::Overloaded));
    }

    #[tokio::test]
    async fn too_many_undecided_turn_new_ones_away() {
        let (inbox, arrivals) = Inbox::new();
        arrivals.left_over(UNDECIDED_MAX, DeliveryId(UNDECIDED_MAX));
        assert_eq!(inbox.receive(delivery("a", 0)).await, Err(NotStored::Overloaded));
    }

    #[tokio::test]
    async fn what_people_ask_for_is_taken_when_signals_are_turned_away() {
        let (inbox, mut arrivals) = Inbox::new();
        arrivals.left_over(UNDECIDED_MAX, DeliveryId(UNDECIDED_MAX));
        assert_eq!(inbox.receive(delivery("a", 0)).await, Err(NotStored::Overloaded), "too many");
        assert!(stores(&inbox, &mut arrivals, pause(0)).await.is_ok());

        let (inbox, mut arrivals) = Inbox::new();
        stores(&inbox, &mut arrivals, delivery("a", 0)).await.expect("stored");
        assert_eq!(inbox.receive(delivery("b", 61)).await, Err(NotStored::Overloaded), "too old");
        assert!(stores(&inbox, &mut arrivals, pause(61)).await.is_ok());
    }

    #[tokio::test]
    async fn a_full_channel_turns_away_and_a_closed_one_says_so() {
        let (inbox, mut arrivals) = Inbox::new();
        let bodies: Vec<String> = (0..WAITING_MAX).map(|n| n.to_string()).collect();
        let mut waiting = Vec::new();
        for body in bodies {
            let source = SourceName::new("prometheus");
            let (key, body) = (ContentKey::of(&source, body.as_bytes()), Bytes::from(body));
            let content = Content::Signals(Vec::new());
            let delivery = Delivery { received_at: at(0), source, key, body, content };
            let mut receiving = Box::pin(inbox.receive(delivery));
            assert!(futures_poll(receiving.as_mut()).is_none());
            waiting.push(receiving);
        }
        assert_eq!(inbox.receive(delivery("one more", 0)).await, Err(NotStored::Overloaded));
        arrivals.close();
        assert_eq!(inbox.receive(delivery("too late", 0)).await, Err(NotStored::Closing));
    }

    fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn the_recent_set_is_bounded_and_forgets_the_oldest() {
        let mut known = Known::default();
        for number in 0..=RECENT_MAX {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&(number as u64).to_le_bytes());
            known.remember(ContentKey(key), at(0));
        }
        assert_eq!(known.recent.len(), RECENT_MAX);
        assert!(!known.recent.contains_key(&[0; 32]));
    }

    #[tokio::test]
    async fn the_same_signals_later_say_that_they_still_fire() {
        let (inbox, mut arrivals) = Inbox::new();
        for (second, stored) in [(0, true), (0, false), (1, true), (1, false), (50, true), (50, false)] {
            let delivery = delivery("still firing", second);
            let became = match stored {
                true => stores(&inbox, &mut arrivals, delivery).await,
                false => inbox.receive(delivery).await,
            };
            assert_eq!(became == Ok(Received::Seen), !stored, "at {second} s");
        }
        // What people ask for is asked once, whenever the same bytes come.
        let asked = pause(0);
        assert!(stores(&inbox, &mut arrivals, asked.clone()).await.is_ok());
        let later = Delivery { received_at: at(3600), ..asked };
        assert_eq!(inbox.receive(later).await, Ok(Received::Seen));
    }
}
