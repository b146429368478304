//! A pretend Slack workspace over HTTP: the Web API under `/api/…` with what it keeps and refuses, `response_url`s under
//! `/hooks/…`, and the people who click and give commands. It keeps its own record of everything that was posted: tests
//! judge by that, and `tests/slack/judge.py` drives and reads it with Slack's own library, so that it is no private dialect.
//!
//! This file owns the workspace as tests hold it: its door, its clock, who is there, and its faults. `state` keeps, `methods` posts,
//! `reading` reads, `blocks` refuses, `hooks` takes answers, `people` click by a `knock`, `rendered` is what they see, `seen` what
//! tests see, `wire` speaks HTTP.
//!
//! ```ignore
//! let slack = Workspace::start().await;                    // or Workspace::open() where nothing is async
//! slack.person("U0001ANA", Kind::Member);
//! slack.group("S0001SRE", "sre", &["U0001ANA"]);
//! let program = Program::start(&config(&slack.api_url()), RULES);
//! slack.deliver_to(&program.listen());
//! let asked = slack.wait_for_message("a question", |message| message.labels().contains(&"Roll back")).await;
//! let answered = slack.click(&asked, "rollback", "U0001ANA").await;
//! assert!(answered.in_time());
//! ```

#![allow(dead_code, unused_imports, reason = "each test uses the part of the workspace that it is about")]

mod blocks;
mod hooks;
pub(crate) mod knock;
mod methods;
mod pace;
mod people;
mod reading;
mod rendered;
mod rich;
mod seen;
pub(crate) mod state;
mod wire;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use snapback::case::id::Timestamp;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub(crate) use knock::{Answered, Knock, Sealed};
pub(crate) use state::{
    APP, BOT, BOT_USER, Channel, DEPLOYS, Group, Kind, Message, Person, Reach, RootGone, State, TEAM, Whisper,
};
pub(crate) use wire::{Fault, Gate};

/// How long anything here may take before the test says what was missing.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The workspace, as tests hold it.
pub(crate) struct Workspace {
    state: Mutex<State>,
    faults: Mutex<VecDeque<(String, Fault)>>,
    /// Counts the changes: whoever waits looks again.
    changed: watch::Sender<u64>,
    /// Where a test put the clock; `None`: the real one.
    clock: Mutex<Option<Timestamp>>,
    door: Mutex<Door>,
    address: SocketAddr,
    signing_secret: Mutex<String>,
    /// Where the product listens.
    product: Mutex<Option<String>>,
    handle: Handle,
}

/// Whether anybody listens.
enum Door {
    Open(JoinHandle<()>),
    /// The port is kept, so that nobody else gets it, and refuses connections.
    Closed(TcpSocket),
    /// It opens or closes right now.
    Moving,
}

/// Being there.
impl Workspace {
    /// Opens a workspace on a free port of the loopback, by the real clock.
    #[expect(clippy::unused_async, reason = "whoever is async starts it like the rest of its world")]
    pub(crate) async fn start() -> Arc<Workspace> {
        Workspace::open()
    }

    /// The same, where nothing is async. It lives on threads of its own until the test ends.
    pub(crate) fn open() -> Arc<Workspace> {
        let (told, handle) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let runtime = runtime.expect("a runtime");
            told.send(runtime.handle().clone()).expect("told");
            runtime.block_on(std::future::pending::<()>());
        });
        let handle: Handle = handle.recv().expect("it runs");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener");
        let workspace = Arc::new(Workspace {
            state: Mutex::default(),
            faults: Mutex::default(),
            changed: watch::channel(0).0,
            clock: Mutex::default(),
            door: Mutex::new(Door::Moving),
            address: listener.local_addr().expect("an address"),
            signing_secret: Mutex::new("e6b19c573432dcc6b075501d51b51bb8".into()),
            product: Mutex::default(),
            handle,
        });
        let entered = workspace.handle.enter();
        let listener = TcpListener::from_std(listener).expect("a listener");
        drop(entered);
        workspace.listen(listener);
        workspace
    }

    fn listen(self: &Arc<Self>, listener: TcpListener) {
        let workspace = Arc::clone(self);
        let serving = self.handle.spawn(async move {
            // All of them end with this task.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((stream, _)) = accepted else { return };
                        connections.spawn(wire::converse(Arc::clone(&workspace), stream));
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        *self.door.lock().expect("the door") = Door::Open(serving);
    }

    fn takes_the_door(&self) -> Door {
        std::mem::replace(&mut *self.door.lock().expect("the door"), Door::Moving)
    }

    /// Nobody listens any more: open connections end, new ones are refused.
    pub(crate) async fn away(self: &Arc<Self>) {
        let Door::Open(serving) = self.takes_the_door() else { panic!("it is away already") };
        serving.abort();
        let _ = serving.await;
        let entered = self.handle.enter();
        let kept = TcpSocket::new_v4().expect("a socket");
        kept.set_reuseaddr(true).expect("a socket");
        kept.bind(self.address).expect("its port");
        drop(entered);
        *self.door.lock().expect("the door") = Door::Closed(kept);
    }

    /// It listens again, on the same port.
    pub(crate) async fn back(self: &Arc<Self>) {
        let Door::Closed(kept) = self.takes_the_door() else { panic!("it is here") };
        let entered = self.handle.enter();
        let listener = kept.listen(1024).expect("it listens");
        drop(entered);
        self.listen(listener);
    }

    /// Where `slack.api_url` points.
    pub(crate) fn api_url(&self) -> String {
        format!("{}/api", self.url())
    }

    /// Its root, below which `response_url`s are.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The bot's token.
    pub(crate) fn token(&self) -> String {
        self.state().token.clone()
    }

    /// What it signs with.
    pub(crate) fn signing_secret(&self) -> String {
        self.signing_secret.lock().expect("the secret").clone()
    }

    /// It signs with another secret from now on.
    pub(crate) fn sign_with(&self, secret: &str) {
        secret.clone_into(&mut self.signing_secret.lock().expect("the secret"));
    }

    /// Where the product's public listener is: `host:port`, with or without `http://`.
    pub(crate) fn deliver_to(&self, address: &str) {
        let address = address.trim_start_matches("http://").trim_end_matches('/');
        *self.product.lock().expect("the product") = Some(address.to_owned());
    }

    fn product(&self) -> String {
        let product = self.product.lock().expect("the product").clone();
        product.expect("say where the product is: Workspace::deliver_to")
    }

    /// Waits for something of the workspace where nothing is async.
    pub(crate) fn block_on<T>(&self, what: impl Future<Output = T>) -> T {
        self.handle.block_on(what)
    }
}

/// Its clock.
impl Workspace {
    pub(crate) fn now(&self) -> Timestamp {
        let standing = *self.clock.lock().expect("the clock");
        #[expect(clippy::disallowed_methods, reason = "a pretend service has a clock of its own")]
        standing.unwrap_or_else(Timestamp::now)
    }

    /// The clock stands here.
    pub(crate) fn stand_at(&self, at: Timestamp) {
        *self.clock.lock().expect("the clock") = Some(at);
    }

    /// Moves the clock, which stands from now on.
    pub(crate) fn pass(&self, milliseconds: i64) {
        let then = self.now().as_millisecond() + milliseconds;
        self.stand_at(Timestamp::from_millisecond(then).expect("a moment"));
    }
}

/// Who and what is there.
impl Workspace {
    /// The state, to be looked at or changed by a test.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes whoever waits.
    pub(crate) fn changes<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.changed.send_modify(|changes| *changes += 1);
        changed
    }

    /// Somebody; named by the letters at the end of the id.
    pub(crate) fn person(&self, id: &str, kind: Kind) -> Person {
        let name = id.trim_start_matches(|c: char| c == 'U' || c == 'W' || c.is_ascii_digit()).to_lowercase();
        let name = if name.is_empty() { id.to_lowercase() } else { name };
        let person = Person { id: id.to_owned(), name, kind };
        self.changes(|state| state.people.insert(id.to_owned(), person.clone()));
        person
    }

    /// A user group with these members.
    pub(crate) fn group(&self, id: &str, handle: &str, members: &[&str]) {
        let members = members.iter().map(|&member| member.to_owned()).collect();
        let group = Group { handle: handle.to_owned(), members, disabled: false };
        self.changes(|state| state.groups.insert(id.to_owned(), group));
    }

    /// A channel; the bot and everybody are in it.
    pub(crate) fn channel(&self, id: &str, name: &str, reach: Reach) {
        self.changes(|state| state.channels.insert(id.to_owned(), Channel::new(name, reach)));
    }

    /// Changes a channel.
    pub(crate) fn in_channel(&self, id: &str, change: impl FnOnce(&mut Channel)) {
        self.changes(|state| change(state.channels.get_mut(id).expect("a channel")));
    }

    /// Takes a scope from the app.
    pub(crate) fn revoke(&self, scope: &str) {
        let held = self.changes(|state| state.scopes.remove(scope));
        assert!(held, "the app never had the scope {scope}");
    }

    /// Somebody writes a message, in a thread or not.
    pub(crate) fn say(&self, user: &str, channel: &str, text: &str, root: Option<&str>) -> Message {
        let now = self.now();
        self.changes(|state| methods::say_as(state, (channel, user), (text, Vec::new()), root, now))
    }

    /// Somebody deletes a message; above replies, a tombstone stays.
    pub(crate) fn delete(&self, message: &Message) {
        self.changes(|state| hooks::delete(state, &message.channel, &message.ts));
    }

    /// From now on the pace counts: about one message a second in a channel after so many at once, and Tier 3 for changes.
    pub(crate) fn keep_pace(&self, burst: u32) {
        self.changes(|state| state.pace = Some(pace::Pace::new(burst)));
    }
}

/// What goes wrong.
impl Workspace {
    /// The next `count` calls of this method meet this fault; `hooks` are the `response_url`s, `*` is any method.
    pub(crate) fn fault(&self, method: &str, count: usize, fault: &Fault) {
        let mut faults = self.faults.lock().expect("the faults");
        faults.extend((0..count).map(|_| (method.to_owned(), fault.clone())));
    }

    /// The next call of this method is done, and its answer waits until the gate is opened.
    pub(crate) fn slow(&self, method: &str) -> Arc<Gate> {
        let gate = Gate::new();
        self.fault(method, 1, &Fault::Slow(Arc::clone(&gate)));
        gate
    }

    /// The next call of this method is done when the gate is opened, even if nobody waits for its answer any more.
    pub(crate) fn late(&self, method: &str) -> Arc<Gate> {
        let gate = Gate::new();
        self.fault(method, 1, &Fault::Late(Arc::clone(&gate)));
        gate
    }

    /// No fault that is still ordered comes any more; gives how many there were.
    pub(crate) fn heal(&self) -> usize {
        let mut faults = self.faults.lock().expect("the faults");
        let left = faults.len();
        faults.clear();
        left
    }

    fn next_fault(&self, method: &str) -> Option<Fault> {
        let mut faults = self.faults.lock().expect("the faults");
        let nth = faults.iter().position(|(of, _)| of == method || of == "*")?;
        faults.remove(nth).map(|(_, fault)| fault)
    }

    fn reached(&self, method: &str) {
        self.changes(|state| state.calls.push(method.to_owned()));
    }
}

/// Until a sign is given, or the deadline says which one was missing.
async fn in_time(what: &str, mut sign: watch::Receiver<bool>) {
    let given = tokio::time::timeout(DEADLINE, sign.wait_for(|given| *given)).await;
    assert!(given.is_ok(), "waited {} s for {what}", DEADLINE.as_secs());
}
