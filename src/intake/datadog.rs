//! Datadog's webhooks (docs.datadoghq.com/integrations/webhooks; signals §6). Nothing of a body is Datadog's but the
//! vocabulary of its variables, so that a template of ours says which is where: `deploy/datadog-webhook.json`. The default
//! template tells neither state nor scope; it is kept, and refused with the name of ours. Tags become labels.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;

use super::alert::{Alert, NAME_MAX, Told, Unreadable, cut};
use super::json::{Object, Scalar, sound};
use super::moment::moment;
use super::proof::Proven;
use super::sender::Protocol;
use crate::case::id::Duration;
use crate::case::signal::{Labels, Lag, Signal, SignalState};
use crate::journal::inbox::Content;

/// A body is JSON, or a form where *Encode as form* is ticked. A 4xx is not sent again, and shows in Datadog beside the
/// webhook: whoever forgot the template has to see it.
pub(super) const PROTOCOL: Protocol = Protocol {
    media: &["application/json", "application/x-www-form-urlencoded"],
    body_max: 1 << 20,
    stored: StatusCode::OK,
    unreadable: StatusCode::UNPROCESSABLE_ENTITY,
};

/// Tags of one alert: hosts carry dozens, and none may be left out.
const TAGS_MAX: usize = 200;

/// Reads what one notification says.
///
/// # Errors
/// What is not our template, and what it does not say.
pub(super) fn read(body: &Proven<Bytes>, told: Told<'_>) -> Result<Content, Unreadable> {
    let text = sound(body.get()).map_err(Unreadable::new)?;
    let said = if text.trim_start().starts_with('{') {
        let Object(said): Object<Said> = serde_json::from_str(text).map_err(Unreadable::new)?;
        said
    } else {
        Said::of_form(text)?
    };
    let Some(transition) = said.transition.clone().and_then(told_of) else {
        return Err(Unreadable::new(
            "the body has no transition, so that nobody can tell whether anything fires: use the payload of deploy/datadog-webhook.json in the webhook's settings",
        ));
    };
    if said.title.as_ref().is_some_and(|title| title.0.contains("[TEST]")) {
        return Ok(Content::Aside("Datadog's test notification".into()));
    }
    said.signals(&transition, told).map(Content::Signals)
}

/// What our template writes.
#[derive(Default, Deserialize)]
struct Said {
    monitor_id: Option<Scalar>,
    cycle_key: Option<Scalar>,
    aggreg_key: Option<Scalar>,
    transition: Option<Scalar>,
    alert_type: Option<Scalar>,
    priority: Option<Scalar>,
    title: Option<Scalar>,
    text: Option<Scalar>,
    query: Option<Scalar>,
    scope: Option<Scalar>,
    tags: Option<Scalar>,
    hostname: Option<Scalar>,
    date: Option<Scalar>,
    link: Option<Scalar>,
}

impl Said {
    /// The same names in a form; a name twice is refused, as in JSON.
    fn of_form(text: &str) -> Result<Said, Unreadable> {
        let mut fields = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text.trim().as_bytes()) {
            if fields.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(Unreadable::new("a name stands twice in the form"));
            }
        }
        let mut field = |name: &str| fields.remove(name).map(Scalar);
        Ok(Said {
            monitor_id: field("monitor_id"),
            cycle_key: field("cycle_key"),
            aggreg_key: field("aggreg_key"),
            transition: field("transition"),
            alert_type: field("alert_type"),
            priority: field("priority"),
            title: field("title"),
            text: field("text"),
            query: field("query"),
            scope: field("scope"),
            tags: field("tags"),
            hostname: field("hostname"),
            date: field("date"),
            link: field("link"),
        })
    }

    fn signals(self, transition: &str, told: Told<'_>) -> Result<Vec<Signal>, Unreadable> {
        let at =
            self.date.and_then(told_of).map(|date| moment(&date)).transpose().map_err(Unreadable::new)?;
        let at = at.flatten().unwrap_or(told.received_at);
        let transition_word = transition.to_ascii_lowercase();
        // What is told again began earlier, and nothing says when: whoever hears only that must not take it for the beginning.
        let again = transition_word.starts_with("re-") || transition_word.starts_with("renotify");
        let (state, severity) = match transition_word.trim_start_matches("re-").trim() {
            of if of.starts_with("triggered") || of.starts_with("renotify") => {
                (SignalState::Firing, "critical")
            }
            of if of.starts_with("warn") => (SignalState::Firing, "warning"),
            of if of.starts_with("no data") => (SignalState::NoData, "warning"),
            of if of.starts_with("recovered") => (SignalState::Cleared(at), "critical"),
            _ => return Err(Unreadable::new(format_args!("the transition is {:?}", cut(transition, 50)))),
        };
        let (monitor, scope) = (self.monitor_id.and_then(told_of), self.scope.and_then(told_of));
        let episode = self.cycle_key.and_then(told_of).or_else(|| self.aggreg_key.and_then(told_of));
        let episode = episode
            .or_else(|| Some(format!("{}/{}", monitor.as_deref()?, scope.as_deref().unwrap_or_default())));
        let Some(episode) = episode else {
            return Err(Unreadable::new(
                "neither cycle_key, aggreg_key nor monitor_id says which alert it is",
            ));
        };
        let tags = [scope, self.tags.and_then(told_of)];
        let mut labels = labels(tags.iter().flatten().map(String::as_str))?;
        let mut annotations = Labels::new();
        let put = |into: &mut Labels, name: &str, value: Option<Scalar>| {
            into.extend(value.and_then(told_of).map(|value| (name.to_owned(), value)));
        };
        put(&mut labels, "priority", self.priority);
        put(&mut labels, "alert_type", self.alert_type);
        put(&mut labels, "hostname", self.hostname);
        put(&mut annotations, "summary", self.text);
        put(&mut annotations, "query", self.query);
        labels.extend(monitor.clone().map(|monitor| ("monitor_id".to_owned(), monitor)));
        let link = self.link.and_then(told_of);
        let title = self.title.and_then(told_of).map(|title| bare(&title)).filter(|title| !title.is_empty());
        let alert = |severity: &str| Alert {
            name: title.clone().or_else(|| monitor.clone()).unwrap_or_else(|| "Datadog monitor".into()),
            episode: of_severity(&episode, severity),
            state,
            labels: {
                let mut labels = labels.clone();
                labels.insert("severity".into(), severity.into());
                labels
            },
            annotations: annotations.clone(),
            started_at: at,
            lag: again.then_some(Lag::Bound(AGAIN_MAX.max(told.lag))),
            link: link.clone(),
        };
        // What recovered has recovered from a warning too.
        let severities: &[&str] = match state {
            SignalState::Cleared(_) => &SEVERITIES,
            SignalState::Firing | SignalState::NoData => &[severity],
        };
        Ok(severities.iter().map(|severity| alert(severity).signal(told)).collect())
    }
}

/// So much earlier may have begun what is heard of for the first time when it is told again. Longer than the windows of most
/// rows; how often Datadog tells again is each monitor's own.
const AGAIN_MAX: Duration = Duration::from_hours(2);

/// How grave a monitor's alert can be.
const SEVERITIES: [&str; 2] = ["critical", "warning"];

/// An alert that gets worse is another episode (product §7), and Datadog names both by one key.
fn of_severity(episode: &str, severity: &str) -> String {
    if severity == "critical" { episode.to_owned() } else { format!("{episode}-{severity}") }
}

/// A value that was told: not empty, and no variable that Datadog left as it stood in the template.
fn told_of(Scalar(text): Scalar) -> Option<String> {
    let is_variable = |name: &str| {
        let name = name.split('[').next().unwrap_or_default();
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    let left = text.trim().strip_prefix('$').is_some_and(is_variable);
    (!left && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// The title without what Datadog writes before it, such as `[P1] [Triggered on {env:production}] `: the same when it fires
/// and when it has recovered.
fn bare(title: &str) -> String {
    let mut rest = title.trim();
    while let Some(end) = rest.strip_prefix('[').and_then(|inner| inner.find(']')) {
        rest = rest[end + 2..].trim_start();
    }
    rest.to_owned()
}

/// Labels from lists of tags, `key:value` at the first colon. One key with two values names nothing, and is left out; tags
/// without a value too.
fn labels<'a>(lists: impl Iterator<Item = &'a str>) -> Result<Labels, Unreadable> {
    let mut found: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for tag in lists.flat_map(|list| list.split(',')) {
        let Some((key, value)) = tag.trim().split_once(':') else { continue };
        if key.is_empty() || value.is_empty() || key.len() > NAME_MAX {
            continue;
        }
        let known = found.entry(key).or_insert(Some(value));
        if *known != Some(value) {
            *known = None;
        }
    }
    if found.len() > TAGS_MAX {
        return Err(Unreadable::new("more than 200 tags"));
    }
    Ok(found.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect())
}
