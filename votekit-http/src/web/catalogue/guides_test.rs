//! The guides of officials in `docs/`: their texts in bold are texts of the pages, in the language
//! of the guide; both languages have the same commands; French has its spaces before punctuation.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::every_message;
use super::problems::Audience;
use crate::web::lang::Lang;

/// Each guide in English and in French, below `docs/`.
const GUIDES: [(&str, &str); 4] = [
    ("officials.md", "fr/responsables.md"),
    ("officials-pages.md", "fr/responsables-pages.md"),
    ("members.md", "fr/membres.md"),
    ("sign-in.md", "fr/ouverture-de-session.md"),
];

/// With fewer labels, a guide is not in the form parsed here.
const LABELS_MIN: usize = 30;

/// The characters that may follow a label in bold, or the first sentence of a longer text of a
/// page.
const FINAL_MARKS: [char; 5] = ['.', ',', ':', ';', '\u{a0}'];

#[test]
fn the_guides_name_buttons_and_fields_as_the_pages_do() {
    let mut french = files_of("fr");
    french.sort();
    let guides = french.into_iter().map(|file| (Lang::Fr, file));
    let english = (Lang::En, docs().join("officials-pages.md"));
    for (lang, file) in guides.chain([english]) {
        let texts = texts(lang);
        let guide = prose(&read(&file));
        let labels: Vec<_> = guide.lines().flat_map(|line| in_bold(&file, line)).collect();
        for label in &labels {
            assert!(
                texts.iter().any(|text| begins(text, label)),
                "{}: no page has the text {label:?}",
                file.display()
            );
        }
        let is_of_pages = file.to_string_lossy().ends_with("-pages.md");
        assert!(!is_of_pages || labels.len() >= LABELS_MIN, "{}: {labels:?}", file.display());
    }
}

#[test]
fn the_guides_have_the_same_commands_in_both_languages() {
    for (english, french) in GUIDES {
        let (en, fr) = (read(&docs().join(english)), read(&docs().join(french)));
        let (en, fr) = (code(&en), code(&fr));
        let missing: Vec<_> = en.difference(&fr).collect();
        assert!(missing.is_empty(), "{french} lacks {missing:#?}");
        let more: Vec<_> = fr.difference(&en).filter(|line| line.contains("votekit")).collect();
        assert!(more.is_empty(), "{english} lacks {more:#?}");
    }
}

#[test]
fn the_guides_in_french_have_no_break_spaces_and_their_apostrophes() {
    for file in files_of("fr") {
        for line in prose(&read(&file)).lines() {
            let place = || format!("{}: {line}", file.display());
            for mark in [":", ";", "?", "!", "»", "%"] {
                assert!(!line.contains(&format!(" {mark}")), "{}", place());
            }
            for mark in [':', '»'] {
                let bare = line.match_indices(mark).any(|(at, _)| !has_space(line, at));
                assert!(!bare, "{}", place());
            }
            let opened = line.matches('«').count();
            assert_eq!(line.matches("«\u{a0}").count(), opened, "{}", place());
            assert!(!line.contains('\''), "{}", place());
        }
    }
}

/// Whether a no-break space precedes the mark, unless the mark is part of an address or a time.
fn has_space(line: &str, at: usize) -> bool {
    let next = line[at..].chars().nth(1);
    let is_inside = next.is_some_and(|next| next == '/' || next.is_ascii_digit());
    line[..at].ends_with('\u{a0}') || is_inside
}

/// Whether the label is the whole text, or its beginning up to a mark.
fn begins(text: &str, label: &str) -> bool {
    let label = label.trim_end_matches(FINAL_MARKS);
    let rest = text.strip_prefix(label);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(FINAL_MARKS))
}

fn in_bold<'a>(file: &Path, line: &'a str) -> impl Iterator<Item = &'a str> {
    let pairs = line.matches("**").count();
    assert!(pairs.is_multiple_of(2), "{}: {line}", file.display());
    line.split("**").skip(1).step_by(2)
}

/// Every text of the pages in one language.
fn texts(lang: Lang) -> Vec<&'static str> {
    let of_lang = |(fr, en): (&'static str, &'static str)| match lang {
        Lang::Fr => fr,
        Lang::En => en,
    };
    let mut texts: Vec<_> = every_message().into_iter().map(of_lang).collect();
    for audience in [Audience::Voters, Audience::Officials, Audience::Programs] {
        let problems = lang.problems_of(audience);
        texts.extend(problems.flat_map(|(_, problem)| [problem.title, problem.advice]));
    }
    texts
}

/// The text of a guide without its code, which a letter replaces, and without the marks of
/// pictures.
fn prose(guide: &str) -> String {
    let mut is_code = false;
    let mut prose = String::new();
    for line in guide.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            let parts: Vec<_> = line.split('`').step_by(2).collect();
            prose.push_str(&parts.join("x").replace("![", "["));
            prose.push('\n');
        }
    }
    prose
}

/// The lines of code of a guide.
fn code(guide: &str) -> BTreeSet<&str> {
    let mut is_code = false;
    let mut lines = BTreeSet::new();
    for line in guide.lines().map(str::trim) {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            lines.insert(line);
        }
    }
    lines
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// The pages of a folder below `docs/`.
fn files_of(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(docs().join(folder)).expect("the folder is readable");
    let files = entries.map(|entry| entry.expect("an entry").path());
    files.filter(|file| file.extension().is_some_and(|name| name == "md")).collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
