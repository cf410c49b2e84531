//! A ratchet for words and line lengths: a file may not exceed its recorded numbers.
//!
//! The record, `tools/xtask/wording.txt`, lists the files that exceed the rules today. `cargo xtask
//! wording` writes it again, after files have improved.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::sources;
use crate::project;

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

/// Maximum number of columns in a line of Rust, unless it contains a string or a URL.
const COLUMNS_MAX: usize = 100;

const RECORD: &str = "tools/xtask/wording.txt";

/// This file: [`WORDS`] and its tests contain the words that are counted.
const WORD_LIST: &str = "tools/xtask/src/test/wording.rs";

/// The numbers by which a file exceeds the rules.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Excess {
    words: usize,
    long_lines: usize,
}

type Excesses = BTreeMap<String, Excess>;

/// Fails for every file that exceeds both the rules and its record.
pub(crate) fn check(root: &Path) -> Result<()> {
    let (found, recorded) = (survey(root)?, read(root)?);
    let worse = worse(&found, &recorded);
    ensure!(
        worse.is_empty(),
        "use other words or shorter lines:\n  {}\nWords counted: {}",
        worse.join("\n  "),
        WORDS.join(", ")
    );
    let better = recorded.iter().filter(|(file, before)| found.get(*file) != Some(before)).count();
    println!("{} files exceed the rules as recorded; {better} got better", found.len());
    Ok(())
}

/// Writes the record again.
///
/// # Errors
/// When a file cannot be read, or the record cannot be written.
pub(crate) fn record() -> Result<()> {
    let lines = survey(project::root())?
        .into_iter()
        .map(|(file, excess)| format!("{:>4} {:>4} {file}\n", excess.words, excess.long_lines));
    let path = project::root().join(RECORD);
    fs::write(&path, lines.collect::<String>()).with_context(|| format!("writing {RECORD}"))
}

fn survey(root: &Path) -> Result<Excesses> {
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
    let mut found = Excesses::new();
    for file in files {
        let text = fs::read_to_string(root.join(&file))
            .with_context(|| format!("reading {}", file.display()))?;
        let is_rust = file.extension().is_some_and(|extension| extension == "rs");
        let mut excess = measure(&text, is_rust);
        if file == Path::new(WORD_LIST) {
            excess.words = 0;
        }
        if excess != Excess::default() {
            found.insert(file.to_string_lossy().into_owned(), excess);
        }
    }
    Ok(found)
}

fn measure(text: &str, is_rust: bool) -> Excess {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let occurrences = |phrase: &str| {
        let phrase: Vec<&str> = phrase.split(' ').collect();
        words.windows(phrase.len()).filter(|window| *window == phrase).count()
    };
    let count: usize = WORDS.iter().map(|phrase| occurrences(phrase)).sum();
    let is_long = |line: &&str| {
        line.chars().count() > COLUMNS_MAX && !line.contains('"') && !line.contains("://")
    };
    Excess {
        words: if count > WORDS_MAX { count } else { 0 },
        long_lines: if is_rust { text.lines().filter(is_long).count() } else { 0 },
    }
}

fn worse(found: &Excesses, recorded: &Excesses) -> Vec<String> {
    let mut worse = Vec::new();
    for (file, now) in found {
        let before = recorded.get(file).copied().unwrap_or_default();
        if now.words > before.words {
            let most = before.words.max(WORDS_MAX);
            worse.push(format!("{file}: {} of the words, {most} at the most", now.words));
        }
        if now.long_lines > before.long_lines {
            let (now, before) = (now.long_lines, before.long_lines);
            worse.push(format!(
                "{file}: {now} lines over {COLUMNS_MAX} columns, {before} at the most"
            ));
        }
    }
    worse
}

fn read(root: &Path) -> Result<Excesses> {
    let text =
        fs::read_to_string(root.join(RECORD)).with_context(|| format!("reading {RECORD}"))?;
    let row = |line: &str| {
        let mut fields = line.split_whitespace();
        let words = fields.next()?.parse().ok()?;
        let long_lines = fields.next()?.parse().ok()?;
        Some((fields.next()?.to_owned(), Excess { words, long_lines }))
    };
    text.lines().map(|line| row(line).with_context(|| format!("{RECORD}: {line}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_across_lines_and_inside_names() {
        let text = "/// Whoever lets\n/// go of it.\nfn a_fault_is_told() {} // How-manieth?\n";
        assert_eq!(measure(text, true).words, 4);
        assert_eq!(measure("nobody told whoever", true), Excess::default(), "three are allowed");
        assert_eq!(measure("retold, toldness, this nope", true).words, 0);
    }

    #[test]
    fn long_lines_are_counted_unless_they_hold_a_string_or_an_address() {
        let long = "x".repeat(COLUMNS_MAX + 1);
        assert_eq!(
            measure(&format!("{long}\n\"{long}\"\n// https://{long}\n"), true).long_lines,
            1
        );
        assert_eq!(measure(&"é".repeat(COLUMNS_MAX), true).long_lines, 0);
        assert_eq!(measure(&long, false).long_lines, 0, "a paragraph of Markdown is one line");
    }

    #[test]
    fn a_file_may_only_get_better() {
        let of =
            |words, long_lines| Excesses::from([("a.rs".to_owned(), Excess { words, long_lines })]);
        assert!(worse(&of(5, 1), &of(5, 1)).is_empty());
        assert!(worse(&of(4, 0), &of(5, 1)).is_empty());
        assert_eq!(worse(&of(6, 1), &of(5, 1)), ["a.rs: 6 of the words, 5 at the most"]);
        assert_eq!(worse(&of(4, 2), &Excesses::new()).len(), 2);
    }
}
