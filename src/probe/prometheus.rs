//! Prometheus, asked for an alert's `activeAt`: the moment at which its expression first held, before its `for:` (prometheus/
//! prometheus `docs/querying/api.md`, "Alerts"). One call, under its deadline, bounded, to a host of the configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Client;
use reqwest::header::DATE;
use serde::Deserialize;

use super::{NO_AUTHORITIES, body, client};
use crate::case::id::Timestamp;
use crate::case::signal::Signal;
use crate::outbound::{CallError, Trouble, causes};

/// A call may take so long: what is asked has to be there before a case is judged.
const WITHIN: Duration = Duration::from_secs(5);
/// On its way through Alertmanager's API a moment is cut to milliseconds (go-openapi/strfmt `DateTime`), and `activeAt` is not: without a
/// `for:` both are one moment.
const ROUNDED: crate::case::id::Duration = crate::case::id::Duration::from_millis(1);
/// The longest answer: some 20,000 alerts.
const ANSWER_MAX: usize = 16 << 20;

/// One Prometheus server.
#[derive(Debug)]
pub struct Prometheus {
    url: String,
    /// `None`: no certificate authorities are installed here.
    http: Option<Client>,
    /// One answer is in memory at a time, however many alerts are asked about.
    one: tokio::sync::Mutex<()>,
}

impl Prometheus {
    /// The server at this address.
    pub fn new(url: String) -> Prometheus {
        let http = client(&url, WITHIN);
        Prometheus { url, http, one: tokio::sync::Mutex::default() }
    }

    /// Whether its alerts can be read, and what time it is there.
    ///
    /// # Errors
    /// Whatever keeps from reading them.
    pub async fn check(&self) -> Result<Option<Timestamp>, Trouble> {
        self.alerts().await.map(|(_, date)| date)
    }

    /// When the trouble of this alert began. `None`: no alert there is surely this one.
    ///
    /// # Errors
    /// Whatever keeps from knowing.
    pub async fn onset(&self, signal: &Signal) -> Result<Option<Timestamp>, Trouble> {
        let (alerts, _) = self.alerts().await?;
        Ok(of(signal, &alerts))
    }

    /// Its alerts, and the moment of its answer.
    async fn alerts(&self) -> Result<(Vec<Alert>, Option<Timestamp>), Trouble> {
        let none = || Trouble::Refused(NO_AUTHORITIES.into());
        let failed = |said: String| {
            Trouble::Unclear(CallError::Answer { doing: format!("read the alerts of {}", self.url), said })
        };
        let _turn = self.one.lock().await;
        let get = self.http.as_ref().ok_or_else(none)?.get(format!("{}/api/v1/alerts", self.url));
        let answer = get.send().await.map_err(|error| failed(causes(&error.without_url())))?;
        if !answer.status().is_success() {
            return Err(failed(format!("it answers {}", answer.status())));
        }
        let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok()).and_then(moment);
        let body = body(answer, ANSWER_MAX).await.map_err(|error| failed(causes(&error.without_url())))?;
        let body = body.ok_or_else(|| failed("its answer is longer than 16 MiB".into()))?;
        let answer: Answer = serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))?;
        Ok((answer.data.alerts, date))
    }
}

/// The moment of an answer, as HTTP writes it (RFC 9110 §5.6.7).
fn moment(date: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()
}

/// The onset of the one alert that this signal surely is: it fires, and all of its labels are the signal's. A signal may have more:
/// external labels are added on the way. Two that fit with different beginnings are no answer.
fn of(signal: &Signal, alerts: &[Alert]) -> Option<Timestamp> {
    let is_it = |alert: &&Alert| {
        alert.state == "firing"
            && alert.labels.get("alertname").is_some_and(|name| name == signal.name.as_str())
            && alert.labels.iter().all(|(name, value)| signal.labels.get(name) == Some(value))
    };
    let fitting: Vec<&Alert> = alerts.iter().filter(is_it).collect();
    let whole = fitting.iter().any(|alert| alert.labels.len() == signal.labels.len());
    let fitting = fitting.into_iter().filter(|alert| !whole || alert.labels.len() == signal.labels.len());
    let mut moments: Vec<Option<Timestamp>> = fitting.map(|alert| alert.active_at).collect();
    moments.sort_unstable();
    moments.dedup();
    match moments[..] {
        // What began after the sender says that it did is another run.
        [Some(one)] if one <= signal.started_at + ROUNDED => Some(one.min(signal.started_at)),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    alerts: Vec<Alert>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Alert {
    labels: BTreeMap<String, String>,
    state: String,
    active_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::signal::{Lag, SignalState};

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_772_442_000 + minute * 60).expect("a moment")
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn alert(pairs: &[(&str, &str)], state: &str, minute: i64) -> Alert {
        Alert { labels: labels(pairs), state: state.into(), active_at: Some(at(minute)) }
    }

    #[test]
    fn only_what_is_surely_this_alert_says_when_it_began() {
        let signal = Signal {
            source: "prometheus".into(),
            name: "High".into(),
            fingerprint: "f".into(),
            state: SignalState::Firing,
            labels: labels(&[("alertname", "High"), ("job", "a"), ("cluster", "eu")]).into(),
            annotations: BTreeMap::new().into(),
            started_at: at(10),
            received_at: at(11),
            lag: Lag::Assumed(crate::case::id::Duration::from_mins(5)),
            incomplete: false,
            link: None,
        };
        let this = [("alertname", "High"), ("job", "a")];
        let whole = [("alertname", "High"), ("job", "a"), ("cluster", "eu")];
        for (what, alerts, expected) in [
            ("it", vec![alert(&this, "firing", 5)], Some(at(5))),
            ("none", vec![], None),
            ("another job", vec![alert(&[("alertname", "High"), ("job", "b")], "firing", 5)], None),
            (
                "more labels than the signal has",
                vec![alert(&[("alertname", "High"), ("job", "a"), ("pod", "x")], "firing", 5)],
                None,
            ),
            ("another name", vec![alert(&[("alertname", "Low"), ("job", "a")], "firing", 5)], None),
            ("no name", vec![alert(&[("job", "a")], "firing", 5)], None),
            ("pending", vec![alert(&this, "pending", 5)], None),
            (
                "two beginnings",
                vec![alert(&this, "firing", 5), alert(&[("alertname", "High")], "firing", 6)],
                None,
            ),
            (
                "two of one beginning",
                vec![alert(&this, "firing", 5), alert(&[("alertname", "High")], "firing", 5)],
                Some(at(5)),
            ),
            (
                "the whole one among two",
                vec![alert(&this, "firing", 5), alert(&whole, "firing", 6)],
                Some(at(6)),
            ),
            ("two whole ones", vec![alert(&whole, "firing", 5), alert(&whole, "firing", 6)], None),
            ("no beginning", vec![Alert { active_at: None, ..alert(&this, "firing", 5) }], None),
            (
                "the same moment, not cut to milliseconds",
                vec![Alert {
                    active_at: Some(at(10) + crate::case::id::Duration::from_nanos(999_999)),
                    ..alert(&this, "firing", 10)
                }],
                Some(at(10)),
            ),
            ("a later run", vec![alert(&this, "firing", 12)], None),
        ] {
            assert_eq!(of(&signal, &alerts), expected, "{what}");
        }
    }
}
