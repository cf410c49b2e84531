//! A text stands once: the `Display` of an error does not have the words of a sentence of this
//! catalogue. Compares the sources, so that a new variant needs no row here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The crates whose errors have their sentences here.
const CRATES: [&str; 3] = ["votekit-core", "votekit-store", "votekit-node"];

/// A text with fewer words is only a form, such as `line {line}: {rule}`.
const WORDS_MIN: usize = 2;

/// Stands for a parameter among the words of a text.
const PARAMETER: &str = "{}";

#[test]
fn no_error_displays_the_words_of_a_sentence() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sentences = BTreeMap::new();
    for (_, source) in sources(&root.join("votekit-messages/src")) {
        sentences.extend(literals(&source).into_iter().map(|text| (words(&text), text)));
    }
    let mut count = 0;
    let mut doubled = Vec::new();
    for (file, source) in CRATES.iter().flat_map(|name| sources(&root.join(name).join("src"))) {
        for text in displays(&source) {
            count += 1;
            let words = words(&text);
            let is_form = words.iter().filter(|word| *word != PARAMETER).count() < WORDS_MIN;
            if !is_form && let Some(sentence) = sentences.get(&words) {
                doubled.push(format!("{file}: '{text}' is the sentence '{sentence}'"));
            }
        }
    }
    assert!(count > 200 && sentences.len() > 200, "{count} texts, {} sentences", sentences.len());
    assert!(doubled.is_empty(), "name what failed and its parameters:\n{}", doubled.join("\n"));
}

#[test]
fn texts_are_compared_by_their_words() {
    let source =
        "#[error(\n    \"the log of {law_id} does not \\\n     end: {0:?}\"\n)]\n// \"no\"\n";
    assert_eq!(displays(source), literals(source));
    assert_eq!(words(&displays(source)[0]), words("log of {}, does not end {reason}"));
    assert_ne!(words("log of {law_id}"), words("log of L1"));
}

/// The sources in a folder, without those of tests, each with its path.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("readable").path();
        let name = path.display().to_string();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") && !name.ends_with("_test.rs") {
            found.push((name, fs::read_to_string(&path).expect("a source")));
        }
    }
    found
}

/// The texts that errors display.
fn displays(source: &str) -> Vec<String> {
    let attributes = source.split("#[error(").skip(1);
    attributes
        .filter_map(|attribute| Some(literal(attribute.trim_start().strip_prefix('"')?).0))
        .collect()
}

/// The texts in quotation marks, except in comments.
fn literals(source: &str) -> Vec<String> {
    let code: Vec<&str> =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    let mut rest = code.as_str();
    while let Some((_, begun)) = rest.split_once('"') {
        let (text, after) = literal(begun);
        found.push(text);
        rest = after;
    }
    found
}

/// The text before the closing quotation mark, and the rest. Escapes, as of a line end, only
/// separate words.
fn literal(code: &str) -> (String, &str) {
    let mut text = String::new();
    let mut is_escaped = false;
    for (at, character) in code.char_indices() {
        match character {
            _ if is_escaped => {
                text.push(' ');
                is_escaped = false;
            }
            '\\' => is_escaped = true,
            '"' => return (text, &code[at + 1..]),
            _ => text.push(character),
        }
    }
    (text, "")
}

/// The words of a text in lower case, without articles, and its parameters.
fn words(text: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut depth = 0_usize;
    for character in text.chars() {
        match character {
            '{' => {
                depth += 1;
                plain.push_str(" {} ");
            }
            '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(character),
            _ => {}
        }
    }
    plain
        .to_lowercase()
        .split(|character: char| !character.is_alphanumeric() && !"{}".contains(character))
        .filter(|word| !matches!(*word, "" | "a" | "an" | "the"))
        .map(str::to_owned)
        .collect()
}
