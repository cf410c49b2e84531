//! `docs/findings.md` names the tests of the findings of external reviews: verifies that each one
//! exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

const PAGE: &str = "docs/findings.md";

/// With fewer names, the page is not in the format parsed here.
const TESTS_MIN: usize = 80;

/// Fails for every test on the page whose file or function does not exist.
pub(crate) fn check(root: &Path) -> Result<()> {
    let page = fs::read_to_string(root.join(PAGE)).with_context(|| format!("reading {PAGE}"))?;
    let named = named_tests(&page);
    let count = named.len();
    ensure!(count >= TESTS_MIN, "{PAGE} names {count} tests, fewer than {TESTS_MIN}");
    let mut sources = BTreeMap::new();
    let missing: Vec<String> = named
        .into_iter()
        .filter(|(file, function)| {
            let source = sources
                .entry(*file)
                .or_insert_with(|| fs::read_to_string(root.join(file)).unwrap_or_default());
            !has_function(source, function)
        })
        .map(|(file, function)| format!("{file}::{function}"))
        .collect();
    ensure!(
        missing.is_empty(),
        "{PAGE} names tests that do not exist:\n  {}",
        missing.join("\n  ")
    );
    println!("{PAGE} names {count} tests in {} files, and each exists", sources.len());
    Ok(())
}

/// Every `path::function` in backticks, once each.
fn named_tests(page: &str) -> BTreeSet<(&str, &str)> {
    let in_backticks = page.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    in_backticks.filter_map(|text| text.rsplit_once("::")).collect()
}

/// Whether a source defines the function, ignoring comments.
fn has_function(source: &str, name: &str) -> bool {
    let start = format!("fn {name}");
    source.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
        line.split_once(&start).is_some_and(|(before, after)| {
            (before.is_empty() || before.ends_with(' ')) && after.starts_with(['(', '<'])
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_named_in_backticks_by_path_and_function() {
        let page = "| A1 | `a` is not b::c | `a/b.rs::one` (\"x\"); `a/b.rs::two` | |\n\
            | A2 | an odd ` | |\n| A3 | again | `a/b.rs::one`; `d.rs` | `e::f::g` |\n";
        let named = named_tests(page);
        assert_eq!(
            named.into_iter().collect::<Vec<_>>(),
            [("a/b.rs", "one"), ("a/b.rs", "two"), ("e::f", "g")]
        );
    }

    #[test]
    fn a_function_is_found_by_its_whole_name_outside_of_comments() {
        let source = "fn one() {}\n    async fn two<T>(of: T) {}\n// fn three() {}\n\
            fn four_more() {}\npub(crate) fn six(\n";
        for (name, is_there) in [
            ("one", true),
            ("two", true),
            ("three", false),
            ("four", false),
            ("more", false),
            ("five", false),
            ("six", true),
        ] {
            assert_eq!(has_function(source, name), is_there, "{name}");
        }
    }
}
