//! The distribution of a set of times, and how a time is shown.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The distribution of a set of times, in microseconds, to 3 significant digits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Distribution {
    /// Number of times.
    pub count: u64,
    /// The minimum.
    pub min: u64,
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: u64,
    /// The 90th percentile.
    pub p90: u64,
    /// The 95th percentile.
    pub p95: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The 99.9th percentile.
    #[serde(rename = "p99.9")]
    pub p99_9: u64,
    /// The maximum.
    pub max: u64,
}

impl Distribution {
    pub(crate) fn from_histogram(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| {
            if histogram.is_empty() {
                0
            } else {
                histogram.value_at_quantile(quantile).min(histogram.max())
            }
        };
        Self {
            count: histogram.len(),
            min: if histogram.is_empty() { 0 } else { histogram.min() },
            mean: histogram.mean().round(),
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p99_9: at(0.999),
            max: if histogram.is_empty() { 0 } else { histogram.max() },
        }
    }
}

/// Displays a time with a suitable unit.
pub(crate) struct Microseconds(pub(crate) u64);

impl fmt::Display for Microseconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_000 => write!(formatter, "{} µs", self.0),
            1_000..1_000_000 => write!(formatter, "{:.1} ms", self.0 as f64 / 1e3),
            _ => write!(formatter, "{:.2} s", self.0 as f64 / 1e6),
        }
    }
}
