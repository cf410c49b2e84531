//! Thresholds of a load test, such as `p99>250ms` or `errors>0.1%`. A run that reaches one fails.

use std::fmt;
use std::str::FromStr;

use votekit_loadtests::report::OpenLoopReport;

/// A measurement, a comparison and a limit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Threshold {
    metric: Metric,
    comparison: Comparison,
    limit: f64,
    /// As typed.
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Metric {
    /// Time from the intended send to the answer that takes the vote, in microseconds.
    Mean,
    P50,
    P90,
    P95,
    P99,
    P99_9,
    Max,
    /// Share of votes without a 202.
    ErrorShare,
    /// Votes without a 202.
    Errors,
    /// Votes per second with a 202.
    Rate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    More,
    AtLeast,
    Less,
    AtMost,
}

/// Measurements of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured<'a> {
    pub(super) votes: u64,
    pub(super) taken: u64,
    /// Only in a run at a given rate.
    pub(super) open_loop: Option<&'a OpenLoopReport>,
}

impl Threshold {
    /// Whether only a run at a given rate measures this metric.
    pub(super) fn wants_rate(&self) -> bool {
        !matches!(self.metric, Metric::ErrorShare | Metric::Errors)
    }

    /// Describes the measurement if the run fails by this threshold.
    pub(super) fn reached(&self, measured: Measured<'_>) -> Option<String> {
        let found = self.measure(measured)?;
        let fails = match self.comparison {
            Comparison::More => found > self.limit,
            Comparison::AtLeast => found >= self.limit,
            Comparison::Less => found < self.limit,
            Comparison::AtMost => found <= self.limit,
        };
        fails.then(|| format!("{}: it was {}", self.text, self.in_words(found)))
    }

    fn measure(&self, measured: Measured<'_>) -> Option<f64> {
        let Measured { votes, taken, open_loop } = measured;
        let errors = votes.saturating_sub(taken) as f64;
        let times = open_loop.map(|report| &report.to_taken_us);
        // If no vote was taken, there are no times.
        let time = |pick: fn(&votekit_loadtests::report::Distribution) -> u64| {
            times.filter(|times| times.count > 0).map(|times| pick(times) as f64)
        };
        match self.metric {
            Metric::Mean => times.filter(|times| times.count > 0).map(|times| times.mean),
            Metric::P50 => time(|times| times.p50),
            Metric::P90 => time(|times| times.p90),
            Metric::P95 => time(|times| times.p95),
            Metric::P99 => time(|times| times.p99),
            Metric::P99_9 => time(|times| times.p99_9),
            Metric::Max => time(|times| times.max),
            Metric::Errors => Some(errors),
            Metric::ErrorShare if votes == 0 => None,
            Metric::ErrorShare => Some(errors / votes as f64),
            Metric::Rate => open_loop.map(|report| report.rate_taken),
        }
    }

    fn in_words(&self, found: f64) -> String {
        match self.metric {
            Metric::ErrorShare => format!("{:.3}%", found * 100.0),
            Metric::Errors => format!("{found}"),
            Metric::Rate => format!("{found:.1}"),
            _ if found < 1_000.0 => format!("{found} µs"),
            _ => format!("{:.1} ms", found / 1_000.0),
        }
    }
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text: String = text.chars().filter(|character| !character.is_whitespace()).collect();
        let at = text.find(['<', '>']).ok_or("expected a comparison, such as p99>250ms")?;
        let (name, rest) = text.split_at(at);
        let (comparison, limit) = [
            (">=", Comparison::AtLeast),
            ("<=", Comparison::AtMost),
            (">", Comparison::More),
            ("<", Comparison::Less),
        ]
        .into_iter()
        .find_map(|(sign, comparison)| Some((comparison, rest.strip_prefix(sign)?)))
        .ok_or("the comparisons are >, >=, < and <=")?;
        let (metric, limit) = match name {
            "errors" => match limit.strip_suffix('%') {
                Some(percent) => (Metric::ErrorShare, number(percent)? / 100.0),
                None => (Metric::Errors, number(limit)?),
            },
            "rate" => (Metric::Rate, number(limit)?),
            "mean" => (Metric::Mean, microseconds(limit)?),
            "p50" => (Metric::P50, microseconds(limit)?),
            "p90" => (Metric::P90, microseconds(limit)?),
            "p95" => (Metric::P95, microseconds(limit)?),
            "p99" => (Metric::P99, microseconds(limit)?),
            "p99.9" => (Metric::P99_9, microseconds(limit)?),
            "max" => (Metric::Max, microseconds(limit)?),
            _ => {
                return Err(format!(
                    "'{name}' is not measured: mean, p50, p90, p95, p99, p99.9, max, errors and rate are"
                ));
            }
        };
        Ok(Self { metric, comparison, limit, text })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

fn number(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| format!("'{text}' is not a number from 0 on"))
}

fn microseconds(text: &str) -> Result<f64, String> {
    let units = [("us", 1.0), ("µs", 1.0), ("ms", 1e3), ("s", 1e6)];
    let (digits, factor) = units
        .into_iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))
        .ok_or_else(|| format!("'{text}' is not a time with its unit, such as 250ms or 1.5s"))?;
    Ok(number(digits)? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Threshold {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_threshold_is_a_measurement_a_comparison_and_a_limit() {
        for (text, metric, comparison, limit) in [
            ("p99>250ms", Metric::P99, Comparison::More, 250_000.0),
            ("p99.9 >= 1.5s", Metric::P99_9, Comparison::AtLeast, 1_500_000.0),
            ("max>900us", Metric::Max, Comparison::More, 900.0),
            ("errors>0.5%", Metric::ErrorShare, Comparison::More, 0.005),
            ("errors>0", Metric::Errors, Comparison::More, 0.0),
            ("rate<1000", Metric::Rate, Comparison::Less, 1000.0),
            ("rate<=999.5", Metric::Rate, Comparison::AtMost, 999.5),
        ] {
            let found = parse(text);
            assert_eq!((found.metric, found.comparison), (metric, comparison), "{text}");
            assert!((found.limit - limit).abs() < 1e-9, "{text}: {}", found.limit);
            assert_eq!(found.wants_rate(), !text.starts_with("errors"));
        }
        for wrong in
            ["p99", "p99=1ms", "p98>1ms", "p99>250", "p99>ms", "errors>-1", "rate>inf", ">1"]
        {
            assert!(wrong.parse::<Threshold>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_run_fails_beyond_the_limit_and_not_at_it() {
        let measured = |votes, taken| Measured { votes, taken, open_loop: None };
        let share = parse("errors>1%");
        assert_eq!(share.reached(measured(100, 99)), None);
        assert_eq!(share.reached(measured(100, 98)).as_deref(), Some("errors>1%: it was 2.000%"));
        assert_eq!(share.reached(measured(0, 0)), None, "nothing was measured");
        assert!(parse("errors>=1").reached(measured(100, 99)).is_some());
        assert_eq!(parse("errors>1").reached(measured(100, 99)), None);
    }
}
