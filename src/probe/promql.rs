//! A check by PromQL: an instant query (prometheus/prometheus `docs/querying/api.md`), each of whose samples must be as expected.
//! A query that fails, or finds nothing, tells nothing: no data is not broken.

use std::time::Duration;

use reqwest::Client;
use serde::Deserialize;

use super::{NO_AUTHORITIES, body, client};
use crate::case::expectation::Expectation;
use crate::case::probe::Health;

/// A query may take so long.
const WITHIN: Duration = Duration::from_secs(10);
/// The longest answer: thousands of samples, where one is expected.
const ANSWER_MAX: usize = 1 << 20;
/// So many samples that are not as expected are named.
const NAMED_MAX: usize = 5;

/// A query, and what its samples must be.
#[derive(Debug)]
pub struct PromqlCheck {
    url: String,
    query: String,
    expected: Expectation,
    http: Option<Client>,
}

impl PromqlCheck {
    /// Asks this Prometheus this query, and expects this of each sample.
    pub fn new(url: String, query: String, expected: Expectation) -> PromqlCheck {
        let http = client(&url, WITHIN);
        PromqlCheck { url, query, expected, http }
    }

    pub(super) async fn run(&self) -> Health {
        match self.ask().await {
            Ok(samples) => self.judge(&samples),
            Err(why) => Health::Unknown(format!("the query could not be made: {why}")),
        }
    }

    async fn ask(&self) -> Result<Vec<Sample>, String> {
        let http = self.http.as_ref().ok_or(NO_AUTHORITIES)?;
        let said = |error: reqwest::Error| error.without_url().to_string();
        let mut url = reqwest::Url::parse(&format!("{}/api/v1/query", self.url.trim_end_matches('/')))
            .map_err(|error| error.to_string())?;
        url.query_pairs_mut().append_pair("query", &self.query);
        let answer = http.get(url).send().await.map_err(said)?;
        let status = answer.status();
        let body = body(answer, ANSWER_MAX).await.map_err(said)?.ok_or("its answer is longer than 1 MiB")?;
        let read: Answer = serde_json::from_slice(&body).map_err(|error| {
            if status.is_success() { error.to_string() } else { format!("it answers {status}") }
        })?;
        match read {
            Answer::Success { data } => Ok(data.samples()),
            Answer::Error { error } => Err(error.chars().take(500).collect()),
        }
    }

    /// All samples must be as expected; without one, or with one that is no number, nobody can say.
    fn judge(&self, samples: &[Sample]) -> Health {
        if samples.is_empty() {
            return Health::Unknown("the query finds nothing: no data is not broken".into());
        }
        let wrong: Vec<&Sample> =
            samples.iter().filter(|sample| !self.expected.holds(sample.value)).collect();
        let (unsaid, wrong): (Vec<&Sample>, Vec<&Sample>) =
            wrong.into_iter().partition(|sample| sample.value.is_nan());
        match (wrong.is_empty(), unsaid.is_empty()) {
            (true, true) => Health::Passing,
            (true, false) => Health::Unknown("the query gives NaN, which is no number".into()),
            (false, _) => {
                let named: Vec<String> = wrong.iter().take(NAMED_MAX).map(ToString::to_string).collect();
                let more = wrong.len().saturating_sub(NAMED_MAX);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                Health::Failing(format!("not {}: {}{more}", self.expected, named.join(", ")))
            }
        }
    }
}

/// One number, and what it is of.
#[derive(Debug)]
struct Sample {
    of: String,
    value: f64,
}

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.value, self.of)
    }
}

#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Answer {
    Success { data: Data },
    Error { error: String },
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Vector>),
    Scalar((f64, String)),
}

#[derive(Deserialize)]
struct Vector {
    metric: std::collections::BTreeMap<String, String>,
    value: (f64, String),
}

impl Data {
    fn samples(self) -> Vec<Sample> {
        // `+Inf`, `-Inf` and `NaN` are written as texts.
        let number = |text: &str| text.parse().unwrap_or(f64::NAN);
        match self {
            Data::Scalar((_, value)) => vec![Sample { of: String::new(), value: number(&value) }],
            Data::Vector(vector) => vector
                .into_iter()
                .map(|Vector { metric, value: (_, value) }| {
                    let labels: Vec<String> =
                        metric.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
                    let of = if labels.is_empty() {
                        String::new()
                    } else {
                        format!(" of {{{}}}", labels.join(","))
                    };
                    Sample { of, value: number(&value) }
                })
                .collect(),
        }
    }
}
