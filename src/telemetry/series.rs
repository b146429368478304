//! Series: the numbers of one scrape under the names of the catalogue, and their text for Prometheus. Owns how a number
//! with its labels is written; which numbers there are is `metrics`'s.

use std::fmt::{Debug, Error};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::catalogue::Metric;
use super::counts::Counts;
use super::label::Labels;

/// What the text is, for whoever scrapes it.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// The labels of one series.
pub(super) type Pairs = Vec<(&'static str, String)>;

/// The numbers of one scrape, in the order in which they are told.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    registry: Registry,
}

/// One metric's series, in order: the same state gives the same text.
#[derive(Debug)]
struct Series<M> {
    each: Vec<(Pairs, M)>,
    kind: MetricType,
}

impl<M: EncodeMetric> EncodeMetric for Series<M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), Error> {
        for (labels, number) in &self.each {
            number.encode(encoder.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        self.kind
    }
}

impl Sheet {
    /// A counter of a closed set.
    pub(super) fn counted<L: Labels>(&mut self, metric: &Metric, counts: &Counts<L>) {
        self.counters(metric, L::ALL.iter().map(|label| (owned(label.pairs()), counts.get(*label))));
    }

    /// A counter of any series.
    pub(super) fn counters(&mut self, metric: &Metric, each: impl Iterator<Item = (Pairs, u64)>) {
        let each = each.map(|(labels, number)| (labels, ConstCounter::new(number))).collect();
        self.add(metric, Series { each, kind: MetricType::Counter });
    }

    /// A gauge of a closed set.
    pub(super) fn standing<L: Labels>(&mut self, metric: &Metric, number: impl Fn(L) -> u64) {
        self.gauges(metric, L::ALL.iter().map(|label| (owned(label.pairs()), float(number(*label)))));
    }

    /// A gauge of any series.
    pub(super) fn gauges(&mut self, metric: &Metric, each: impl Iterator<Item = (Pairs, f64)>) {
        let each = each.map(|(labels, number)| (labels, ConstGauge::new(number))).collect();
        self.add(metric, Series { each, kind: MetricType::Gauge });
    }

    /// A gauge of one series.
    pub(super) fn gauge(&mut self, metric: &Metric, number: f64) {
        self.gauges(metric, std::iter::once((Pairs::new(), number)));
    }

    /// Histograms of a closed set.
    pub(super) fn histograms<L: Labels>(&mut self, metric: &Metric, each: &[(L, Histogram)]) {
        let each = each.iter().map(|(label, times)| (owned(label.pairs()), times.clone())).collect();
        self.add(metric, Series { each, kind: MetricType::Histogram });
    }

    fn add<M: EncodeMetric + Debug + Send + Sync + 'static>(&mut self, metric: &Metric, series: Series<M>) {
        self.registry.register(metric.stem(), metric.help, series);
    }

    /// All of it as text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = prometheus_text::encode(&mut text, &self.registry);
        text
    }
}

fn owned(pairs: Vec<(&'static str, &'static str)>) -> Pairs {
    pairs.into_iter().map(|(key, word)| (key, word.to_owned())).collect()
}

/// Numbers of things stay far below the 2^53 from which on a float counts no longer exactly.
#[expect(clippy::cast_precision_loss, reason = "no count comes near 2^53")]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}
