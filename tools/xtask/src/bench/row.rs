//! One line of the result: a figure and its target.

use std::fmt;

use super::paired::median;

/// A figure, the median of several values, and its target.
pub(crate) struct Row {
    name: String,
    values: Vec<f64>,
    target: Target,
    detail: String,
}

enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// Reported without a target.
    None,
}

impl Row {
    /// A figure with a lower limit.
    pub(crate) fn at_least(
        name: impl Into<String>,
        values: Vec<f64>,
        target: f64,
        detail: String,
    ) -> Self {
        Self { name: name.into(), values, target: Target::AtLeast(target), detail }
    }

    /// A figure with an upper limit.
    pub(crate) fn at_most(
        name: impl Into<String>,
        values: Vec<f64>,
        target: f64,
        detail: String,
    ) -> Self {
        Self { name: name.into(), values, target: Target::AtMost(target), detail }
    }

    /// A figure without a target.
    pub(crate) fn reported(name: impl Into<String>, values: Vec<f64>, detail: String) -> Self {
        Self { name: name.into(), values, target: Target::None, detail }
    }
}

/// The table header.
pub(crate) fn header() -> String {
    format!(
        "{:<30} {:>9} {:>17} {:>9} {:>5}  {}",
        "benchmark", "median", "lowest–highest", "target", "holds", "detail"
    )
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let middle = median(self.values.clone());
        let (lowest, highest) =
            self.values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(*value), high.max(*value))
            });
        let (target, holds) = match self.target {
            Target::AtLeast(target) => {
                (format!("≥ {target}"), if middle >= target { "yes" } else { "NO" })
            }
            Target::AtMost(target) => {
                (format!("≤ {target}"), if middle <= target { "yes" } else { "NO" })
            }
            Target::None => ("–".to_owned(), "–"),
        };
        let range = format!("{lowest:.3}–{highest:.3}");
        write!(
            formatter,
            "{:<30} {middle:>9.3} {range:>17} {target:>9} {holds:>5}  {}",
            self.name, self.detail
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_states_whether_its_median_holds() {
        let row = Row::at_least("rate", vec![0.4, 0.6, 0.7], 0.5, "detail".to_owned()).to_string();
        assert!(
            row.contains("0.600") && row.contains("0.400–0.700") && row.contains("yes"),
            "{row}"
        );
        assert!(Row::at_most("time", vec![2.0], 1.0, String::new()).to_string().contains("NO"));
    }
}
