//! Waits for the next change of what a selection holds, by a watch that goes on where the last one ended. What changed is not read off it: it only
//! says that reading is worth while. Facts: API concepts, "Efficient detection of changes" (bookmarks, 410 Gone).

use http_body_util::BodyExt;
use serde_json::Value;

use super::{Kubernetes, Site};
use crate::outbound::{CallError, Trouble};

/// The API ends a watch by itself after so long, and it is begun again where it was.
const WATCH_SECONDS: u32 = 240;
/// No event is longer: objects are 1.5 MiB at most.
const LINE_MAX: usize = 4 << 20;

/// What one line of a watch says.
enum Told {
    /// Something changed; the version of it.
    Changed(String),
    /// Nothing did until this version.
    Bookmark(String),
    /// What was is gone: the API has forgotten the version.
    Gone,
    /// Nothing that is known.
    Other,
}

/// What is waited for: a list, and a selector of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::execute) struct Selection {
    /// The list's path.
    pub(in crate::execute) path: String,
    /// `fieldSelector` or `labelSelector`, and what it says.
    pub(in crate::execute) by: (&'static str, String),
}

impl Site {
    /// The workload alone.
    pub(super) fn selection(&self) -> Selection {
        Selection {
            path: self.list(self.kind.root(), self.kind.resource()),
            by: ("fieldSelector", format!("metadata.name={}", self.name)),
        }
    }
}

impl Kubernetes {
    /// Ends when something of the selection changed, or may have.
    pub(in crate::execute) async fn next_change_of(&self, of: &Selection) -> Result<(), Trouble> {
        let Some(since) = self.seen(of) else {
            // What is there now has not been told yet.
            let version = self.cluster.version_of(&of.path, &[(of.by.0, &of.by.1)]).await?;
            self.remember(of, Some(version));
            return Ok(());
        };
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("watch", "1")
            .append_pair(of.by.0, &of.by.1)
            .append_pair("resourceVersion", &since)
            .append_pair("allowWatchBookmarks", "true")
            .append_pair("timeoutSeconds", &WATCH_SECONDS.to_string())
            .finish();
        let path = format!("{}?{query}", of.path);
        let doing = format!("watch {} {}", of.path, of.by.1);
        let mut body = match self.cluster.stream(&doing, &path).await {
            Ok(body) => body,
            Err(super::cluster::Refusal::Gone) => {
                self.remember(of, None);
                return Ok(());
            }
            Err(other) => return Err(other.trouble(&doing)),
        };
        let mut line = Vec::new();
        while let Some(frame) = body.frame().await {
            let broken = |said: String| Trouble::from(CallError::Answer { doing: doing.clone(), said });
            let frame = frame.map_err(|error| broken(error.to_string()))?;
            for byte in frame.into_data().unwrap_or_default() {
                if byte != b'\n' {
                    if line.len() >= LINE_MAX {
                        return Err(broken("an event without an end".into()));
                    }
                    line.push(byte);
                    continue;
                }
                match read(&std::mem::take(&mut line)) {
                    Told::Changed(version) => {
                        self.remember(of, Some(version));
                        return Ok(());
                    }
                    Told::Bookmark(version) => self.remember(of, Some(version)),
                    Told::Gone => {
                        self.remember(of, None);
                        return Ok(());
                    }
                    Told::Other => {}
                }
            }
        }
        // It was over, and nothing changed: whoever waits goes on from there.
        Ok(())
    }
}

fn read(line: &[u8]) -> Told {
    let Ok(event) = serde_json::from_slice::<Value>(line) else { return Told::Other };
    let version = version(&event["object"]);
    match event["type"].as_str() {
        Some("ADDED" | "MODIFIED" | "DELETED") => Told::Changed(version),
        Some("BOOKMARK") => Told::Bookmark(version),
        Some("ERROR") => Told::Gone,
        _ => Told::Other,
    }
}

fn version(object: &Value) -> String {
    object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default().to_owned()
}
