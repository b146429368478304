//! A check by PromQL: an instant query (prometheus/prometheus `docs/querying/api.md`), each of whose samples must be as expected.
//! A query that fails, finds nothing, or is answered with a warning tells nothing: no data is not broken, and part of it is not well.

use std::time::Duration;

use reqwest::Client;
use serde::Deserialize;

use super::{NO_AUTHORITIES, body, client};
use crate::case::expectation::Expectation;
use crate::case::probe::Health;
use crate::outbound::causes;

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
            // Of a store that is away Prometheus, and what speaks like it, warns beside the samples that it has.
            Ok((_, warnings)) if !warnings.is_empty() => {
                Health::Unknown(format!("the answer may be incomplete: {}", capped(&warnings.join("; "))))
            }
            Ok((samples, _)) => self.judge(&samples),
            Err(why) => Health::Unknown(format!("the query could not be made: {why}")),
        }
    }

    async fn ask(&self) -> Result<(Vec<Sample>, Vec<String>), String> {
        let http = self.http.as_ref().ok_or(NO_AUTHORITIES)?;
        let said = |error: reqwest::Error| causes(&error.without_url());
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
            Answer::Success { data, warnings } => Ok((data.samples(), warnings)),
            Answer::Error { error } => Err(capped(&error)),
        }
    }

    /// All samples must be as expected; without one, or with one that is no number, nobody can say.
    fn judge(&self, samples: &[Sample]) -> Health {
        if samples.is_empty() {
            return Health::Unknown("the query finds nothing: no data is not broken".into());
        }
        // Before anything is compared: NaN is even different from every number.
        let (unsaid, said): (Vec<&Sample>, Vec<&Sample>) =
            samples.iter().partition(|sample| sample.value.is_nan());
        let wrong: Vec<&Sample> =
            said.into_iter().filter(|sample| !self.expected.holds(sample.value)).collect();
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

/// What a server says of a query, as far as people read it.
fn capped(said: &str) -> String {
    said.chars().take(500).collect()
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
    Success {
        data: Data,
        #[serde(default)]
        warnings: Vec<String>,
    },
    Error {
        error: String,
    },
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
