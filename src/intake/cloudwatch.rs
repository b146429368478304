//! CloudWatch's alarms (AWS, "Acting on alarm changes"; signals §4), as SNS carries them in a message and as EventBridge does
//! in an event. A notice is a change of state: ALARM is firing, OK is clear, INSUFFICIENT_DATA is neither. The alarm's ARN is
//! the episode. Its dimensions become labels, each by its own name; one name with two values names nothing and is left out,
//! so that no alarm over several services is taken for one of them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::alert::{Alert, Told, Unreadable, cut};
use super::json::Object;
use super::moment::Spelled;
use crate::case::id::{Duration, Timestamp};
use crate::case::signal::{Labels, Lag, Signal, SignalState};

/// An alarm has at most 500 metrics by its quota of metric math, and 30 dimensions each; no more labels are made of them.
const DIMENSIONS_MAX: usize = 30;
/// Children of a composite alarm that can lead to a service; who has more writes the composite itself into the map.
const CHILDREN_MAX: usize = 10;
/// No window of an alarm is longer than a week (`Period` × `EvaluationPeriods` by PutMetricAlarm's limits).
const LAG_MAX: i64 = 7 * 24 * 3600;

/// Reads the message of an alarm's notice that was published in this region. `None`: it is none.
///
/// # Errors
/// An alarm's notice that cannot be understood.
pub(super) fn message(
    text: &str,
    region: Option<&str>,
    told: Told<'_>,
) -> Result<Option<Signal>, Unreadable> {
    let is_json = text.trim_start().starts_with('{');
    let known: Option<Object<Recognised>> = is_json.then(|| serde_json::from_str(text).ok()).flatten();
    if known.is_none_or(|Object(known)| known.alarm_name.is_none() || known.new_state_value.is_none()) {
        return Ok(None);
    }
    let Object(notice): Object<Notice> = serde_json::from_str(text).map_err(Unreadable::new)?;
    notice.alarm(region, told).map(|alarm| Some(alarm.signal(told)))
}

/// An alarm that changed, whoever told it.
pub(super) struct Alarm {
    pub(super) arn: Option<String>,
    /// Where it was told of: an alarm tells those of its own region alone. For one without an ARN.
    pub(super) told_in: Option<String>,
    pub(super) name: String,
    pub(super) account: String,
    pub(super) state: String,
    pub(super) changed_at: Timestamp,
    pub(super) reason: Option<String>,
    pub(super) description: Option<String>,
    pub(super) metrics: Vec<Measured>,
    pub(super) children: Vec<String>,
    pub(super) composite: bool,
    /// From the first point that the alarm looked at to its change.
    pub(super) lag: Option<Duration>,
    pub(super) more: Vec<(&'static str, String)>,
}

/// A metric that an alarm looks at.
pub(super) struct Measured {
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) dimensions: Vec<(String, String)>,
}

impl Alarm {
    /// What the state says; the sender's own words.
    ///
    /// # Errors
    /// A state of tomorrow.
    pub(super) fn checked(self) -> Result<Alarm, Unreadable> {
        match &*self.state {
            "ALARM" | "OK" | "INSUFFICIENT_DATA" => Ok(self),
            other => Err(Unreadable::new(format_args!("the alarm's state is {:?}", cut(other, 50)))),
        }
    }

    pub(super) fn signal(self, told: Told<'_>) -> Signal {
        let state = match &*self.state {
            "ALARM" => SignalState::Firing,
            "OK" => SignalState::Cleared(self.changed_at),
            _ => SignalState::NoData,
        };
        // arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME. `Region` itself is written in words for people.
        let region = self.arn.as_deref().and_then(|arn| arn.split(':').nth(3)).map(str::to_owned);
        let region = region.or(self.told_in).unwrap_or_default();
        // Two regions of an account may have alarms of one name.
        let episode = self.arn.clone().unwrap_or_else(|| format!("{region}:{}:{}", self.account, self.name));
        let mut labels = dimensions(&self.metrics);
        let namespaces = one(self.metrics.iter().filter_map(|metric| metric.namespace.as_deref()));
        let names = one(self.metrics.iter().filter_map(|metric| metric.name.as_deref()));
        let kind = if self.composite { "composite" } else { "metric" };
        let own = [
            ("alarm_arn", self.arn.clone().unwrap_or_default()),
            ("alarm_kind", kind.to_owned()),
            ("account", self.account.clone()),
            ("region", region.clone()),
            ("namespace", namespaces.unwrap_or_default()),
            ("metric", names.unwrap_or_default()),
        ];
        labels.extend(own.map(|(name, value)| (name.to_owned(), value)));
        let children = self.children.into_iter().take(CHILDREN_MAX).enumerate();
        labels.extend(children.map(|(nth, arn)| (format!("alarm_child_{nth}"), arn)));
        let told_of = [("description", self.description), ("reason", self.reason)];
        let told_of = told_of.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?)));
        let more = self.more.into_iter().map(|(name, text)| (name.to_owned(), text));
        Alert {
            link: console(&region, &self.name),
            name: self.name,
            episode,
            state,
            labels,
            annotations: told_of.chain(more).collect(),
            started_at: self.changed_at,
            lag: self.lag.map(Lag::Bound),
        }
        .signal(told)
    }
}

/// The alarm's page of the console, where a person can look.
fn console(region: &str, name: &str) -> Option<String> {
    let sound = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let is_code = !region.is_empty() && region.chars().all(sound) && !region.starts_with("cn-");
    let name: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    let name = name.replace('+', "%20");
    is_code.then(|| {
        format!(
            "https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#alarmsV2:alarm/{name}"
        )
    })
}

/// Each dimension that has one value over all metrics.
fn dimensions(metrics: &[Measured]) -> Labels {
    let mut found: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for (name, value) in metrics.iter().flat_map(|metric| &metric.dimensions) {
        let known = found.entry(name).or_insert(Some(value));
        if *known != Some(value) {
            *known = None;
        }
    }
    let single = found
        .into_iter()
        .filter_map(|(name, value)| Some((cut(name, super::alert::NAME_MAX), value?.to_owned())));
    single.take(DIMENSIONS_MAX).collect()
}

/// The text, where there is one alone.
fn one<'a>(mut texts: impl Iterator<Item = &'a str>) -> Option<String> {
    let first = texts.next()?;
    texts.all(|text| text == first).then(|| first.to_owned())
}

/// The length of so many seconds, so many times.
pub(super) fn window(period: Option<i64>, times: Option<i64>) -> Option<Duration> {
    let seconds = period?.checked_mul(times?)?;
    (1..=LAG_MAX).contains(&seconds).then(|| Duration::from_secs(seconds))
}

/// What tells an alarm's notice from whatever else a topic carries.
#[derive(Deserialize)]
struct Recognised {
    #[serde(rename = "AlarmName")]
    alarm_name: Option<serde::de::IgnoredAny>,
    #[serde(rename = "NewStateValue")]
    new_state_value: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notice {
    alarm_name: String,
    alarm_description: Option<String>,
    #[serde(rename = "AWSAccountId")]
    account: Option<String>,
    alarm_arn: Option<String>,
    action_executed_after_mute_window: Option<bool>,
    new_state_value: String,
    old_state_value: Option<String>,
    new_state_reason: Option<String>,
    state_change_time: Option<Spelled>,
    trigger: Option<Trigger>,
    alarm_rule: Option<String>,
    triggering_children: Option<Vec<Child>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Trigger {
    metric_name: Option<String>,
    namespace: Option<String>,
    dimensions: Option<Dimensions>,
    period: Option<i64>,
    evaluation_periods: Option<i64>,
    metrics: Option<Vec<Metric>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    metric_stat: Option<MetricStat>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricStat {
    metric: MetricId,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricId {
    metric_name: Option<String>,
    namespace: Option<String>,
    dimensions: Option<Dimensions>,
}

/// A list, or the empty text that stands for an empty one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Dimensions {
    Listed(Vec<Dimension>),
    Nothing(serde::de::IgnoredAny),
}

/// Lower case in notices, though the API writes capitals; emulators write them too.
#[derive(Deserialize)]
struct Dimension {
    #[serde(alias = "Name")]
    name: String,
    #[serde(alias = "Value")]
    value: String,
}

/// An object in truth, a text by the documents.
#[derive(Deserialize)]
#[serde(untagged)]
enum Child {
    Told {
        #[serde(rename = "Arn")]
        arn: String,
    },
    Named(String),
}

impl Notice {
    fn alarm(self, region: Option<&str>, told: Told<'_>) -> Result<Alarm, Unreadable> {
        let composite = self.alarm_rule.is_some();
        let (period, times) = self
            .trigger
            .as_ref()
            .map_or((None, None), |trigger| (trigger.period, trigger.evaluation_periods));
        let muted = self.action_executed_after_mute_window == Some(true);
        let more = [
            self.old_state_value.map(|was| ("previous_state", was)),
            muted.then(|| ("muted", "the change was held back by a mute rule and is told late".to_owned())),
        ];
        let children = self.triggering_children.unwrap_or_default().into_iter();
        Alarm {
            arn: self.alarm_arn,
            told_in: region.map(str::to_owned),
            name: self.alarm_name,
            account: self.account.unwrap_or_default(),
            state: self.new_state_value,
            changed_at: self.state_change_time.unwrap_or_default().0.unwrap_or(told.received_at),
            reason: self.new_state_reason,
            description: self.alarm_description,
            metrics: self.trigger.map(Trigger::measured).unwrap_or_default(),
            children: children
                .map(|child| match child {
                    Child::Told { arn } | Child::Named(arn) => arn,
                })
                .collect(),
            composite,
            lag: window(period, times),
            more: more.into_iter().flatten().collect(),
        }
        .checked()
    }
}

impl Trigger {
    fn measured(self) -> Vec<Measured> {
        let own = Measured {
            namespace: self.namespace,
            name: self.metric_name,
            dimensions: pairs(self.dimensions),
        };
        let listed = self.metrics.unwrap_or_default().into_iter().filter_map(|metric| {
            let MetricId { metric_name, namespace, dimensions } = metric.metric_stat?.metric;
            Some(Measured { namespace, name: metric_name, dimensions: pairs(dimensions) })
        });
        std::iter::once(own).filter(|own| own.name.is_some()).chain(listed).collect()
    }
}

fn pairs(dimensions: Option<Dimensions>) -> Vec<(String, String)> {
    match dimensions {
        Some(Dimensions::Listed(listed)) => listed.into_iter().map(|one| (one.name, one.value)).collect(),
        Some(Dimensions::Nothing(_)) | None => Vec::new(),
    }
}
