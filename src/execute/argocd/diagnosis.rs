//! What Argo CD shows of an Application: how its last operation ended, its history, what it complains of, and the resources that are not
//! well.

use serde_json::Value;

use super::application::{Application, called};
use super::history::told;
use super::{ArgoCd, Site};
use crate::case::exhibit::Exhibit;
use crate::outbound::Trouble;

/// Entries of the history that are shown, the newest.
const ENTRIES_MAX: usize = 10;
/// Resources that are shown: they mostly fail alike.
const RESOURCES_MAX: usize = 8;

impl ArgoCd {
    pub(super) async fn diagnosis(&self, site: &Site) -> Result<Vec<Exhibit>, Trouble> {
        let application = self.application(site).await?;
        let mut shown = vec![shown_state(site, &application), shown_history(site, &application)];
        let conditions = application.conditions();
        if !conditions.is_empty() {
            shown.push(Exhibit { name: format!("conditions of {site}"), text: conditions.join("\n") });
        }
        let doing = format!("read the resources of {site}");
        match self.read(&doing, &site.path("/resource-tree", &[])).await {
            Ok(tree) => shown.extend(unwell(&tree)),
            // Whoever cannot read them still sees the rest.
            Err(trouble) => {
                shown.push(Exhibit { name: format!("resources of {site}"), text: trouble.to_string() });
            }
        }
        Ok(shown)
    }
}

fn shown_state(site: &Site, application: &Application) -> Exhibit {
    let (message, _) = application.health_told();
    let health = message.map_or_else(String::new, |message| format!(": {message}"));
    let mut lines = vec![format!("health {}{health}", application.health())];
    if let Some(operation) = application.operation() {
        let what = operation.content.as_ref().map_or_else(|| "something".to_owned(), |of| of.called());
        lines.push(format!("{} sync of {what}: {}", operation.started_at, told(&operation)));
    }
    Exhibit { name: site.to_string(), text: lines.join("\n") }
}

fn shown_history(site: &Site, application: &Application) -> Exhibit {
    let history = application.history();
    let lines = history.iter().rev().take(ENTRIES_MAX).map(|entry| {
        let by = entry.by.as_deref().unwrap_or("nobody who is named");
        format!("{} {} {} by {by}", entry.id, entry.finished_at, entry.content.called())
    });
    Exhibit { name: format!("history of {site}"), text: lines.collect::<Vec<_>>().join("\n") }
}

fn unwell(tree: &Value) -> Vec<Exhibit> {
    let nodes = tree["nodes"].as_array().into_iter().flatten();
    let shown = nodes.filter_map(|node| {
        let health = node.pointer("/health/status").and_then(Value::as_str)?;
        if matches!(health, "Healthy" | "Suspended") {
            return None;
        }
        let message = node.pointer("/health/message").and_then(Value::as_str).unwrap_or_default();
        let name = called(node, node["namespace"].as_str())?;
        Some(Exhibit { name, text: format!("{health}: {message}") })
    });
    shown.take(RESOURCES_MAX).collect()
}
