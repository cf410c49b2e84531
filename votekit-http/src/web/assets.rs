//! The style sheet and the scripts of the pages: part of the program, under names that contain
//! their digest, so that a browser keeps them and a new version has another name.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderMap, Response};
use sha2::{Digest as _, Sha256};

use crate::api::PathText;
use crate::guard::representation::{IMMUTABLE, Representation};
use crate::problem::Problem;

/// A file that pages load.
struct Asset {
    /// Its address.
    path: String,
    bytes: &'static [u8],
    content_type: &'static str,
}

impl Asset {
    fn new(name: &str, extension: &str, bytes: &'static [u8], content_type: &'static str) -> Self {
        let digest = const_hex::encode(&Sha256::digest(bytes)[..8]);
        Self { path: format!("/static/{name}-{digest}.{extension}"), bytes, content_type }
    }
}

const SCRIPT_TYPE: &str = "text/javascript; charset=utf-8";

static ASSETS: LazyLock<[Asset; 10]> = LazyLock::new(|| {
    let style = include_bytes!("static/votekit.css");
    [
        Asset::new("votekit", "css", style, "text/css; charset=utf-8"),
        Asset::new("page", "js", include_bytes!("static/page.js"), SCRIPT_TYPE),
        Asset::new("results", "js", include_bytes!("static/results.js"), SCRIPT_TYPE),
        Asset::new("icon", "svg", include_bytes!("static/icon.svg"), "image/svg+xml"),
        Asset::new("session", "js", include_bytes!("static/session.js"), SCRIPT_TYPE),
        Asset::new("elections", "js", include_bytes!("static/elections.js"), SCRIPT_TYPE),
        Asset::new("link", "js", include_bytes!("static/link.js"), SCRIPT_TYPE),
        Asset::new("account", "js", include_bytes!("static/account.js"), SCRIPT_TYPE),
        Asset::new("outcome", "js", include_bytes!("static/outcome.js"), SCRIPT_TYPE),
        Asset::new("upload", "js", include_bytes!("static/upload.js"), SCRIPT_TYPE),
    ]
});

/// The address of the style sheet.
pub(crate) fn style() -> &'static str {
    &ASSETS[0].path
}

/// The address of the script of every page.
pub(crate) fn page_script() -> &'static str {
    &ASSETS[1].path
}

/// The address of the script for live results.
pub(crate) fn results_script() -> &'static str {
    &ASSETS[2].path
}

/// The address of the icon.
pub(crate) fn icon() -> &'static str {
    &ASSETS[3].path
}

/// The address of the script that warns before the end of a session.
pub(crate) fn session_script() -> &'static str {
    &ASSETS[4].path
}

/// The address of the script for the list of elections.
pub(crate) fn elections_script() -> &'static str {
    &ASSETS[5].path
}

/// The address of the script that reads a personal link.
pub(crate) fn link_script() -> &'static str {
    &ASSETS[6].path
}

/// The address of the script that warns before the end of an account's session.
pub(crate) fn account_script() -> &'static str {
    &ASSETS[7].path
}

/// The address of the script that waits for the decision on a vote.
pub(crate) fn outcome_script() -> &'static str {
    &ASSETS[8].path
}

/// The address of the script that uploads the files of a roll one by one.
pub(crate) fn upload_script() -> &'static str {
    &ASSETS[9].path
}

/// `GET /static/{name}`.
pub(crate) async fn asset(
    PathText(name): PathText<String>,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let asset = ASSETS
        .iter()
        .find(|asset| asset.path.strip_prefix("/static/") == Some(name.as_str()))
        .ok_or(Problem::UnknownRoute)?;
    let content = Representation::plain(asset.bytes, asset.content_type);
    Ok(content.answer(&headers, IMMUTABLE, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_the_digest_of_the_content() {
        for asset in ASSETS.iter() {
            let digest = const_hex::encode(&Sha256::digest(asset.bytes)[..8]);
            assert!(asset.path.contains(&digest), "{}", asset.path);
        }
        assert!(style().ends_with(".css") && page_script().ends_with(".js"));
        assert!(results_script().starts_with("/static/results-") && icon().ends_with(".svg"));
        assert!(link_script().starts_with("/static/link-"));
        assert!(outcome_script().starts_with("/static/outcome-"));
        assert!(session_script().starts_with("/static/session-"));
        assert!(elections_script().starts_with("/static/elections-"));
        assert!(account_script().starts_with("/static/account-"));
        assert!(upload_script().starts_with("/static/upload-"));
    }

    #[test]
    fn pages_load_nothing_from_other_origins() {
        for asset in ASSETS.iter() {
            let text = std::str::from_utf8(asset.bytes).expect("UTF-8");
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for outside in ["http://", "https://", "@import", "url(", "import("] {
                assert!(!text.contains(outside), "{}: {outside}", asset.path);
            }
        }
    }
}
