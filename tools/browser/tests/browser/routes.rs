//! The pages that the node serves, by its table of routes: each must be in the table of states.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// The table of routes: a file, or a folder of files beside it.
const ROUTES: &str = "../../votekit-http/src/routes";

/// The prefix of the path of a page in the table of routes.
const PAGE: &str = "\"/{lang}/";

/// Addresses below the language that answer GET with something else than a page: downloads.
const NO_PAGES: [&str; 2] =
    ["/officials/elections/{law_id}/results/{format}", "/officials/elections/{law_id}/bundle.zip"];

/// The pages that answer GET and whose paths are not among those seen, which lack the language.
pub(crate) fn unseen(seen: &BTreeSet<String>) -> Result<Vec<String>> {
    let is_seen = |page: &String| seen.iter().any(|path| matches(page, path));
    let pages = pages(&table()?).into_iter();
    Ok(pages.filter(|page| !NO_PAGES.contains(&page.as_str()) && !is_seen(page)).collect())
}

fn table() -> Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(ROUTES);
    let file = folder.with_extension("rs");
    let mut table = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    // There is no such folder as long as one file is enough.
    for entry in fs::read_dir(&folder).into_iter().flatten() {
        table += &fs::read_to_string(entry?.path())?;
    }
    Ok(table)
}

/// The paths of the pages in a table, without their language.
fn pages(table: &str) -> Vec<String> {
    let mut pages = Vec::new();
    for part in table.split(PAGE).skip(1) {
        let Some((path, after)) = part.split_once('"') else { continue };
        let handlers = after.trim_start_matches([',', ' ', '\n']);
        if handlers.starts_with("get(") {
            pages.push(format!("/{path}"));
        }
    }
    pages
}

/// Whether a path is one of a route, whose parameters are in braces.
fn matches(route: &str, path: &str) -> bool {
    let (mut route, mut path) = (route.split('/'), path.split('/'));
    loop {
        match (route.next(), path.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given || wanted.starts_with('{') => {}
            _ => return false,
        }
    }
}

#[test]
fn the_pages_are_those_of_the_table_of_routes() -> Result<()> {
    let pages = pages(&table()?);
    for page in ["/", "/elections", "/vote/{law_id}/ballot", "/votes/{request_id}"] {
        assert!(pages.iter().any(|known| known == page), "{page} is not in {pages:?}");
    }
    assert!(!pages.iter().any(|page| page == "/sign-out"), "it answers no GET: {pages:?}");
    assert!(matches("/vote/{law_id}/ballot", "/vote/second/ballot"));
    assert!(!matches("/vote/{law_id}", "/vote/second/ballot") && !matches("/", "/help"));
    let seen = BTreeSet::from(["/".to_owned(), "/vote/second/ballot".to_owned()]);
    let unseen = unseen(&seen)?;
    assert!(unseen.iter().any(|page| page == "/elections"), "{unseen:?}");
    assert!(!unseen.iter().any(|page| page == "/vote/{law_id}/ballot"), "{unseen:?}");
    Ok(())
}
