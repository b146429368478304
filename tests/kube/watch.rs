//! Watches: what a client is told as the store changes, from a version on, until it or the test has enough.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Cluster;
use super::kinds::Kind;
use super::select::Selector;
use super::status::Refusal;
use super::store::{Change, State};

/// What a watch is about.
pub(crate) struct Wanted {
    pub(crate) kind: &'static Kind,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) selector: Selector,
    /// The version from which on changes are told; nought: what is there comes first.
    pub(crate) since: u64,
    pub(crate) bookmarks: bool,
    /// What is there comes first, and a bookmark says where that ends.
    pub(crate) initial: bool,
    pub(crate) seconds: Option<u64>,
}

impl Wanted {
    fn about(&self, namespace: &str, name: &str, object: &Value) -> bool {
        self.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
            && self.name.as_deref().is_none_or(|wanted| wanted == name)
            && self.selector.matches(object)
    }

    /// The line that tells a change, if it is one for this watch.
    fn line(&self, change: &Change) -> Option<Bytes> {
        if change.key.kind != self.kind.qualified() {
            return None;
        }
        let fits = |object: &Option<Arc<Value>>| {
            object.as_ref().is_some_and(|object| self.about(&change.key.namespace, &change.key.name, object))
        };
        match (fits(&change.before), fits(&change.after)) {
            (false, true) => Some(line("ADDED", &change.shown)),
            (true, true) => Some(line("MODIFIED", &change.shown)),
            (true, false) => Some(line("DELETED", &change.shown)),
            (false, false) => None,
        }
    }

    fn bookmark(&self, version: u64, ends_initial: bool) -> Bytes {
        let mut metadata = json!({ "resourceVersion": version.to_string() });
        if ends_initial {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let object = json!({
            "kind": self.kind.kind, "apiVersion": self.kind.api_version(), "metadata": metadata,
        });
        line("BOOKMARK", &object)
    }

    /// What is told at once, and the version up to which everything is told then.
    fn begin(&self, state: &State) -> Result<(Vec<Bytes>, u64), Bytes> {
        if self.since != 0 && self.since < state.compacted {
            return Err(line("ERROR", &Refusal::expired(self.since, state.compacted).status()));
        }
        if self.since != 0 && !self.initial {
            return Ok((Vec::new(), self.since));
        }
        let mut lines: Vec<Bytes> = state
            .all(&self.kind.qualified(), self.namespace.as_deref())
            .iter()
            .filter(|(key, object)| self.about(&key.namespace, &key.name, object))
            .map(|(_, object)| line("ADDED", object))
            .collect();
        if self.initial && self.bookmarks {
            lines.push(self.bookmark(state.version, true));
        }
        Ok((lines, state.version))
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    format!("{}\n", json!({ "type": kind, "object": object })).into()
}

/// Starts a watch: its lines come as the cluster changes.
pub(crate) fn open(cluster: Arc<Cluster>, wanted: Wanted) -> Lines {
    let (send, lines) = mpsc::unbounded_channel();
    let seconds = wanted.seconds.unwrap_or(3600);
    let mut changed = cluster.changed.subscribe();
    let mut cut = cluster.cut.subscribe();
    let mut marks = cluster.marks.subscribe();
    let begun = wanted.begin(&cluster.state());
    tokio::spawn(async move {
        let mut told = match begun {
            Ok((lines, told)) => {
                lines.into_iter().for_each(|line| drop(send.send(line)));
                told
            }
            Err(gone) => {
                let _ = send.send(gone);
                return;
            }
        };
        let until = tokio::time::timeout(Duration::from_secs(seconds), async {
            loop {
                for line in news(&cluster, &wanted, &mut told) {
                    if send.send(line).is_err() {
                        return;
                    }
                }
                tokio::select! {
                    // What changed before a cut or a mark is told before it.
                    biased;
                    Ok(()) = changed.changed() => {}
                    Ok(()) = marks.changed() => {
                        if wanted.bookmarks && send.send(wanted.bookmark(told, false)).is_err() {
                            return;
                        }
                    }
                    _ = cut.changed() => return,
                    () = send.closed() => return,
                }
            }
        });
        if until.await.is_err() && wanted.bookmarks {
            let _ = send.send(wanted.bookmark(told, false));
        }
    });
    Lines(lines)
}

fn news(cluster: &Cluster, wanted: &Wanted, told: &mut u64) -> Vec<Bytes> {
    let state = cluster.state();
    let lines = state.changes.iter().filter(|change| change.version > *told);
    let lines = lines.filter_map(|change| wanted.line(change)).collect();
    *told = state.version.max(*told);
    lines
}

/// A body of which nothing ever comes.
pub(crate) fn silence() -> Lines {
    let (send, lines) = mpsc::unbounded_channel();
    std::mem::forget(send);
    Lines(lines)
}

/// The body of a watch.
pub(crate) struct Lines(mpsc::UnboundedReceiver<Bytes>);

impl Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}
