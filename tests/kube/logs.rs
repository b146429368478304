//! What containers write, as `pods/NAME/log` answers it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::json::{count, list, text};
use super::status::Refusal;
use super::store::State;

/// The text that a container wrote.
pub(crate) fn read(state: &State, pod: &Value, query: &BTreeMap<String, String>) -> Result<String, Refusal> {
    let name = text(pod, "/metadata/name");
    let containers = list(pod, "/spec/containers");
    let wanted = query.get("container").map_or("", String::as_str);
    if wanted.is_empty() && containers.len() > 1 {
        let names: Vec<_> = containers.iter().map(|one| text(one, "/name")).collect();
        let names = names.join(" ");
        return Err(Refusal::bad(format!(
            "a container name must be specified for pod {name}, choose one of: [{names}]"
        )));
    }
    let found = containers.iter().find(|one| wanted.is_empty() || text(one, "/name") == wanted);
    let container =
        found.ok_or_else(|| Refusal::bad(format!("container {wanted} is not valid for pod {name}")))?;
    let (wanted, image) = (text(container, "/name"), text(container, "/image"));
    let status = list(pod, "/status/containerStatuses").iter().find(|one| text(one, "/name") == wanted);
    let status = status.unwrap_or(&Value::Null);
    let previous = query.get("previous").is_some_and(|said| said == "true");
    if previous && count(status, "/restartCount") == 0 {
        return Err(Refusal::bad(format!(
            "previous terminated container \"{wanted}\" in pod \"{name}\" not found"
        )));
    }
    let waits = text(status, "/state/waiting/reason");
    if matches!(waits, "ImagePullBackOff" | "ContainerCreating") {
        let why = if waits == "ContainerCreating" {
            "is waiting to start: ContainerCreating"
        } else {
            "is waiting to start: trying and failing to pull image"
        };
        return Err(Refusal::bad(format!("container \"{wanted}\" in pod \"{name}\" {why}")));
    }
    let default = format!("{wanted} of {image} starts\n{wanted} of {image} listens\n");
    let all = state.says.get(image).unwrap_or(&default);
    let lines: Vec<&str> = all.lines().collect();
    let tail = query.get("tailLines").and_then(|tail| tail.parse().ok()).unwrap_or(lines.len());
    let mut told: String =
        lines[lines.len().saturating_sub(tail)..].iter().map(|line| format!("{line}\n")).collect();
    if let Some(limit) = query.get("limitBytes").and_then(|limit| limit.parse().ok()) {
        told.truncate(told.floor_char_boundary(limit));
    }
    Ok(told)
}
