//! What tests see of the workspace: calls, messages, threads and whispers as people read them, and waiting for them.

use std::path::Path;

use serde_json::Value;

use super::{DEADLINE, Message, State, Whisper, Workspace, rendered};

/// What came of it.
impl Workspace {
    /// How often this method was called, faults or not; `hooks` are the `response_url`s.
    pub(crate) fn calls(&self, method: &str) -> usize {
        self.state().calls.iter().filter(|called| *called == method).count()
    }

    /// Every call, in order.
    pub(crate) fn all_calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    /// Every message, as it is now, in the order of posting; tombstones left out.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.state().messages.iter().filter(|message| !message.deleted).cloned().collect()
    }

    /// The messages that are no replies.
    pub(crate) fn roots(&self) -> Vec<Message> {
        self.messages().into_iter().filter(|message| message.thread_ts.is_none()).collect()
    }

    /// A message as it is now.
    pub(crate) fn again(&self, message: &Message) -> Message {
        let now = self.state().message(&message.channel, &message.ts).cloned();
        now.unwrap_or_else(|| panic!("the message {} is gone", message.ts))
    }

    /// The replies below a root, the oldest first.
    pub(crate) fn replies(&self, root_ts: &str) -> Vec<Message> {
        let messages = self.messages();
        messages.into_iter().filter(|message| message.thread_ts.as_deref() == Some(root_ts)).collect()
    }

    /// A thread as people read it: the root, then its replies.
    pub(crate) fn thread(&self, root_ts: &str) -> Vec<String> {
        let root = self.messages().into_iter().filter(|message| message.ts == root_ts);
        root.chain(self.replies(root_ts)).map(|message| self.rendered(&message)).collect()
    }

    /// A message as a person sees it: buttons as `[Label]`.
    pub(crate) fn rendered(&self, message: &Message) -> String {
        rendered::rendered(&self.state(), &message.text, &message.blocks)
    }

    /// A whisper as its person sees it.
    pub(crate) fn rendered_whisper(&self, whisper: &Whisper) -> String {
        rendered::rendered(&self.state(), &whisper.text, &whisper.blocks)
    }

    /// What only this person sees now, the oldest first.
    pub(crate) fn whispers_to(&self, user: &str) -> Vec<Whisper> {
        self.state().whispers.iter().filter(|whisper| whisper.user == user).cloned().collect()
    }

    /// Every message that was ever posted or changed, whoever saw it, in order.
    pub(crate) fn everything_posted(&self) -> Vec<Value> {
        self.state().record.clone()
    }

    /// Writes what was ever posted to a file, one line of JSON each.
    pub(crate) fn write_posted(&self, file: &Path) {
        let lines: String = self.everything_posted().iter().map(|posted| format!("{posted}\n")).collect();
        std::fs::write(file, lines).expect("written");
    }

    /// Everything that people see, for a test that failed.
    pub(crate) fn transcript(&self) -> String {
        let mut shown = String::new();
        for message in self.messages() {
            let below = if message.thread_ts.is_some() { "  " } else { "" };
            let text = self.rendered(&message).replace('\n', &format!("\n{below}    "));
            shown.push_str(&format!("{below}{} {} {text}\n", message.ts, message.user));
        }
        for whisper in self.state().whispers.clone() {
            let text = self.rendered_whisper(&whisper);
            shown.push_str(&format!("{} only {} sees: {text}\n", whisper.ts, whisper.user));
        }
        shown
    }
}

/// Waiting: until it is so, or until the deadline says what was missing.
impl Workspace {
    /// Until the look finds something.
    pub(crate) async fn wait_for<T>(&self, what: &str, mut look: impl FnMut(&State) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        let found = tokio::time::timeout(DEADLINE, async {
            loop {
                changed.borrow_and_update();
                let found = look(&self.state());
                if let Some(found) = found {
                    return found;
                }
                changed.changed().await.expect("the workspace is there");
            }
        });
        found.await.unwrap_or_else(|_| {
            let calls = self.all_calls();
            let newest = &calls[calls.len().saturating_sub(20)..];
            let seconds = DEADLINE.as_secs();
            panic!(
                "waited {seconds} s for {what}; the newest calls are {newest:?}, and people see\n{}",
                self.transcript()
            )
        })
    }

    /// Until there is such a message.
    pub(crate) async fn wait_for_message(
        &self,
        what: &str,
        mut is_it: impl FnMut(&Message) -> bool,
    ) -> Message {
        self.wait_for(what, |state| {
            state.messages.iter().find(|message| !message.deleted && is_it(message)).cloned()
        })
        .await
    }

    /// Until this message has become so.
    pub(crate) async fn wait_until(
        &self,
        what: &str,
        message: &Message,
        mut is_so: impl FnMut(&Message) -> bool,
    ) -> Message {
        self.wait_for(what, |state| {
            state.message(&message.channel, &message.ts).filter(|message| is_so(message)).cloned()
        })
        .await
    }

    /// Until this person sees such a whisper.
    pub(crate) async fn wait_for_whisper(
        &self,
        user: &str,
        what: &str,
        mut is_it: impl FnMut(&Whisper) -> bool,
    ) -> Whisper {
        self.wait_for(what, |state| {
            state.whispers.iter().find(|whisper| whisper.user == user && is_it(whisper)).cloned()
        })
        .await
    }

    /// Until this method was called so often.
    pub(crate) async fn wait_for_calls(&self, method: &str, times: usize) {
        self.wait_for(&format!("{times} calls of {method}"), |state| {
            (state.calls.iter().filter(|called| *called == method).count() >= times).then_some(())
        })
        .await;
    }
}
