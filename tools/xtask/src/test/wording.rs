//! Words that hide a technical term, and the length of lines.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::sources;

/// Words that replace or hide a technical term. Any characters between two words count as a space.
const WORDS: [&str; 15] = [
    "whoever",
    "somebody",
    "nobody",
    "told",
    "tells",
    "so many",
    "how manieth",
    "from when on",
    "let go of",
    "lets go of",
    "held against",
    "come up to",
    "comes up to",
    "for good",
    "is no",
];

/// Maximum number of [`WORDS`] in a file.
const WORDS_MAX: usize = 3;

/// Maximum number of [`WORDS`] in a thousand lines of comments of a crate.
const WORDS_PER_THOUSAND_MAX: usize = 15;

/// Maximum number of columns in a line of Rust, unless it contains a string or a URL.
const COLUMNS_MAX: usize = 100;

/// This file: [`WORDS`] and its tests contain the words that are counted.
const WORD_LIST: &str = "tools/xtask/src/test/wording.rs";

/// The measure of one file.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Measure {
    words: usize,
    words_in_comments: usize,
    comment_lines: usize,
    long_lines: usize,
}

/// Fails for every file and crate that exceeds the limits.
pub(crate) fn check(root: &Path) -> Result<()> {
    let measures = survey(root)?;
    let faults = faults(&measures);
    ensure!(
        faults.is_empty(),
        "use other words or shorter lines:\n  {}\nWords counted: {}",
        faults.join("\n  "),
        WORDS.join(", ")
    );
    let words: usize = measures.values().map(|measure| measure.words).sum();
    println!("{} files; {words} of the words", measures.len());
    Ok(())
}

fn faults(measures: &BTreeMap<PathBuf, Measure>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut crates: BTreeMap<PathBuf, Measure> = BTreeMap::new();
    for (file, measure) in measures {
        if measure.words > WORDS_MAX {
            let words = measure.words;
            faults.push(format!("{}: {words} of the words, at most {WORDS_MAX}", file.display()));
        }
        if measure.long_lines > 0 {
            let lines = measure.long_lines;
            faults.push(format!("{}: {lines} lines over {COLUMNS_MAX} columns", file.display()));
        }
        let folder = file.ancestors().find(|folder| folder.ends_with("src"));
        let sum = crates.entry(folder.unwrap_or(Path::new("")).to_owned()).or_default();
        sum.words_in_comments += measure.words_in_comments;
        sum.comment_lines += measure.comment_lines;
    }
    for (folder, sum) in crates {
        if sum.words_in_comments * 1000 > WORDS_PER_THOUSAND_MAX * sum.comment_lines {
            let (words, lines) = (sum.words_in_comments, sum.comment_lines);
            faults.push(format!("{}: {words} words, {lines} comment lines", folder.display()));
        }
    }
    faults
}

fn survey(root: &Path) -> Result<BTreeMap<PathBuf, Measure>> {
    let mut files = sources::sources(root)?;
    for folder in ["", "docs"] {
        let Ok(entries) = fs::read_dir(root.join(folder)) else { continue };
        for entry in entries {
            let name = Path::new(folder).join(entry?.file_name());
            if name.extension().is_some_and(|extension| extension == "md") {
                files.push(name);
            }
        }
    }
    let mut measures = BTreeMap::new();
    for file in files.into_iter().filter(|file| file != Path::new(WORD_LIST)) {
        let text = fs::read_to_string(root.join(&file))
            .with_context(|| format!("reading {}", file.display()))?;
        let is_rust = file.extension().is_some_and(|extension| extension == "rs");
        measures.insert(file, measure(&text, is_rust));
    }
    Ok(measures)
}

/// The number of [`WORDS`] in a text.
fn count(text: &str) -> usize {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let occurrences = |phrase: &str| {
        let phrase: Vec<&str> = phrase.split(' ').collect();
        words.windows(phrase.len()).filter(|window| *window == phrase).count()
    };
    WORDS.iter().map(|phrase| occurrences(phrase)).sum()
}

fn measure(text: &str, is_rust: bool) -> Measure {
    let words = count(text);
    if !is_rust {
        return Measure { words, ..Measure::default() };
    }
    let is_long = |line: &&str| {
        line.chars().count() > COLUMNS_MAX && !line.contains('"') && !line.contains("://")
    };
    let comments: Vec<&str> = text
        .lines()
        .filter_map(|line| {
            Some(line.trim_start().strip_prefix("//")?.trim_start_matches(['/', '!']))
        })
        .collect();
    Measure {
        words,
        words_in_comments: count(&comments.join("\n")),
        comment_lines: comments.len(),
        long_lines: text.lines().filter(is_long).count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_across_lines_and_inside_names() {
        let text = "/// Whoever lets\n/// go of it.\nfn a_fault_is_told() {} // How-manieth?\n";
        let measured = measure(text, true);
        assert_eq!((measured.words, measured.words_in_comments, measured.comment_lines), (4, 2, 2));
        assert_eq!(count("retold, toldness, this nope"), 0);
    }

    #[test]
    fn long_lines_are_counted_unless_they_hold_a_string_or_an_address() {
        let long = "x".repeat(COLUMNS_MAX + 1);
        let text = format!("{long}\n\"{long}\"\n// https://{long}\n");
        assert_eq!(measure(&text, true).long_lines, 1);
        assert_eq!(measure(&"é".repeat(COLUMNS_MAX), true).long_lines, 0);
        assert_eq!(measure(&long, false).long_lines, 0, "a paragraph of Markdown is one line");
    }

    #[test]
    fn a_file_and_a_crate_have_limits() {
        let with = |words, words_in_comments, long_lines| Measure {
            words,
            words_in_comments,
            comment_lines: 1000,
            long_lines,
        };
        let faults_of = |measures: &[Measure]| {
            let file = |number: usize| PathBuf::from(format!("a/src/{number}.rs"));
            let files = measures.iter().enumerate();
            faults(&files.map(|(number, measure)| (file(number), *measure)).collect()).len()
        };
        assert_eq!(faults_of(&[with(3, 3, 0)]), 0, "three are allowed in a file");
        assert_eq!(faults_of(&[with(4, 3, 0)]), 1);
        assert_eq!(faults_of(&[with(0, 0, 1)]), 1);
        assert_eq!(faults_of(&[with(3, 15, 0), with(3, 15, 0)]), 0);
        assert_eq!(faults_of(&[with(3, 15, 0), with(3, 16, 0)]), 1);
    }
}
