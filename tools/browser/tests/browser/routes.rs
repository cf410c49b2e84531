//! The pages that the node serves, by its table of routes: each must be in the table of states.

use std::collections::BTreeSet;

const ROUTES: &str = include_str!("../../../../votekit-http/src/routes.rs");

/// What the path of a page in the table of routes begins with.
const PAGE: &str = "\"/{lang}/";

/// The pages that answer GET and whose paths are not among those seen, which lack the language.
pub(crate) fn unseen(seen: &BTreeSet<String>) -> Vec<String> {
    let pages = pages();
    let is_seen = |page: &String| seen.iter().any(|path| matches(page, path));
    pages.into_iter().filter(|page| !is_seen(page)).collect()
}

/// The paths of the pages, without their language.
fn pages() -> Vec<String> {
    let mut pages = Vec::new();
    for part in ROUTES.split(PAGE).skip(1) {
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
fn the_pages_are_those_of_the_table_of_routes() {
    let pages = pages();
    for page in ["/", "/elections", "/vote/{law_id}/ballot", "/votes/{request_id}"] {
        assert!(pages.iter().any(|known| known == page), "{page} is not in {pages:?}");
    }
    assert!(!pages.iter().any(|page| page == "/sign-out"), "it answers no GET: {pages:?}");
    assert!(matches("/vote/{law_id}/ballot", "/vote/second/ballot"));
    assert!(!matches("/vote/{law_id}", "/vote/second/ballot") && !matches("/", "/help"));
    let seen = BTreeSet::from(["/".to_owned(), "/vote/second/ballot".to_owned()]);
    let unseen = unseen(&seen);
    assert!(unseen.iter().any(|page| page == "/elections"), "{unseen:?}");
    assert!(!unseen.iter().any(|page| page == "/vote/{law_id}/ballot"), "{unseen:?}");
}
