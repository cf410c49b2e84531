//! The paired runner: runs two commands alternately, so that whatever slows the machine down slows
//! both.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use wait4::Wait4;

/// One command line, run without a shell.
pub(crate) struct Line(Vec<OsString>);

impl Line {
    /// A command without arguments.
    pub(crate) fn new(program: impl Into<OsString>) -> Self {
        Self(vec![program.into()])
    }

    /// Parses a command, split at spaces: no quoting.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let words: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
        ensure!(!words.is_empty(), "an empty command");
        Ok(Self(words))
    }

    /// Adds one argument.
    pub(crate) fn word(mut self, word: impl Into<OsString>) -> Self {
        self.0.push(word.into());
        self
    }

    /// Adds arguments; each run replaces `{input}` and `{output}` in them.
    pub(crate) fn words<const N: usize>(mut self, words: [&str; N]) -> Self {
        self.0.extend(words.map(OsString::from));
        self
    }

    fn command(&self, input: &Path, output: &Path) -> Command {
        let mut words = self.0.iter().map(|word| fill(word, input, output));
        let mut command = Command::new(words.next().expect("a line has a program"));
        command.args(words);
        command
    }
}

/// A word with its placeholders replaced. A word that is not UTF-8 has none.
fn fill(word: &OsStr, input: &Path, output: &Path) -> OsString {
    match word.to_str() {
        Some(text) if text.contains('{') => text
            .replace("{input}", &input.to_string_lossy())
            .replace("{output}", &output.to_string_lossy())
            .into(),
        _ => word.to_owned(),
    }
}

/// Two commands that do the same work on the same input.
pub(crate) struct Pair {
    pub(crate) input: PathBuf,
    pub(crate) ours: Line,
    pub(crate) beside: Line,
}

/// The samples of a pair's runs.
pub(crate) struct Comparison {
    ours: Vec<Sample>,
    beside: Vec<Sample>,
}

#[derive(Clone, Copy)]
struct Sample {
    seconds: f64,
    memory_bytes_max: u64,
}

/// Runs a pair `runs` times after one uncounted run of each; the two alternate in going first.
///
/// # Errors
/// When a command cannot be started or fails; the message contains its output.
pub(crate) fn measure(pair: &Pair, runs: u32, folder: &Path) -> Result<Comparison> {
    let mut comparison = Comparison { ours: Vec::new(), beside: Vec::new() };
    for run in 0..=runs {
        let (ours, beside);
        if run % 2 == 0 {
            ours = sample(&pair.ours, pair, folder)?;
            beside = sample(&pair.beside, pair, folder)?;
        } else {
            beside = sample(&pair.beside, pair, folder)?;
            ours = sample(&pair.ours, pair, folder)?;
        }
        // Run 0 warms the page cache for both.
        if run > 0 {
            comparison.ours.push(ours);
            comparison.beside.push(beside);
        }
    }
    Ok(comparison)
}

fn sample(line: &Line, pair: &Pair, folder: &Path) -> Result<Sample> {
    let output = folder.join("output");
    let log = folder.join("log");
    let written = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
    let mut command = line.command(&pair.input, &output);
    command.stdin(Stdio::null()).stdout(written.try_clone()?).stderr(written);

    let begun = Instant::now();
    let child = command.spawn().with_context(|| format!("starting {:?}", command.get_program()))?;
    let used = child.wait4()?;
    let took: Duration = begun.elapsed();

    ensure!(
        used.status.success(),
        "{command:?} failed: {}\n{}",
        used.status,
        fs::read_to_string(&log).unwrap_or_default()
    );
    if output.is_dir() {
        fs::remove_dir_all(&output)?;
    } else if output.exists() {
        fs::remove_file(&output)?;
    }
    Ok(Sample { seconds: took.as_secs_f64(), memory_bytes_max: used.rusage.maxrss })
}

impl Comparison {
    /// Our time divided by the other's, for each pair: below 1, votekit is faster.
    pub(crate) fn ratios(&self) -> Vec<f64> {
        self.ours
            .iter()
            .zip(&self.beside)
            .map(|(ours, beside)| ours.seconds / beside.seconds)
            .collect()
    }

    /// Our times.
    pub(crate) fn our_seconds(&self) -> Vec<f64> {
        self.ours.iter().map(|sample| sample.seconds).collect()
    }

    /// The medians of the times, and the memory peaks.
    pub(crate) fn detail(&self) -> String {
        let seconds =
            |samples: &[Sample]| median(samples.iter().map(|sample| sample.seconds).collect());
        let peak_mib = |samples: &[Sample]| {
            samples.iter().map(|sample| sample.memory_bytes_max).max().unwrap_or(0) >> 20
        };
        let (ours, beside) = (&self.ours[..], &self.beside[..]);
        format!(
            "{:.3} s beside {:.3} s; peak memory {} MiB beside {} MiB",
            seconds(ours),
            seconds(beside),
            peak_mib(ours),
            peak_mib(beside)
        )
    }
}

/// The median; NaN for no values.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn a_line_compares_medians_and_peaks() {
        let sample = |seconds, mib: u64| Sample { seconds, memory_bytes_max: mib << 20 };
        let comparison = Comparison {
            ours: vec![sample(1.0, 10), sample(3.0, 12)],
            beside: vec![sample(4.0, 5), sample(4.0, 6)],
        };
        assert_eq!(comparison.ratios(), [0.25, 0.75]);
        assert_eq!(comparison.detail(), "2.000 s beside 4.000 s; peak memory 12 MiB beside 6 MiB");
    }

    #[test]
    fn pairs_really_run_and_outputs_are_fresh() -> Result<()> {
        let folder = project::scratch("paired-test")?;
        let input = folder.join("input");
        fs::write(&input, "text")?;
        // mkdir fails if the last run's output still exists.
        let pair = Pair {
            input,
            ours: Line::new("mkdir").word("{output}"),
            beside: Line::parse("cp {input} {output}")?,
        };
        let comparison = measure(&pair, 3, &folder)?;
        assert_eq!((comparison.ours.len(), comparison.beside.len()), (3, 3));
        assert!(comparison.ours.iter().all(|sample| sample.memory_bytes_max > 0));
        Ok(())
    }

    #[test]
    fn a_failed_run_is_reported_with_its_output() -> Result<()> {
        let folder = project::scratch("paired-failure-test")?;
        let pair = Pair {
            input: folder.join("absent"),
            ours: Line::parse("cat {input}")?,
            beside: Line::new("true"),
        };
        let error = measure(&pair, 1, &folder).err().context("cat of nothing fails")?.to_string();
        assert!(error.contains("absent"), "{error}");
        Ok(())
    }
}
