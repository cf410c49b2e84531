//! The pictures of docs/officials-pages.md. The test takes each anew, into `target/browser/guide`;
//! after a change of a page it is copied from there to docs/images, by `pngquant 128`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::accounts::OFFICIAL;
use crate::browser::Browser;
use crate::language::Language;
use crate::matrix;
use crate::site::Site;
use crate::steps::Step;
use crate::view::{Theme, View};
use crate::walk::Walk;

/// Each picture with the page that it shows.
const PICTURES: &[(&str, &str)] = &[
    ("list", "/officials"),
    ("create", "/officials/new"),
    ("roll", "/officials/elections/future/roll"),
    ("election", "/officials/elections/second"),
    ("open", "/officials/elections/future/open"),
    ("close", "/officials/elections/second/close"),
    ("accounts", "/officials/accounts"),
];

/// Where tables are tables.
const VIEW: View = View { width: 1024, theme: Theme::Light };

const HEIGHT_MAX: u32 = 760;

/// The largest file in docs/images: a repository keeps every version.
const BYTES_MAX: u64 = 60 * 1024;

#[tokio::test]
async fn the_guide_of_officials_shows_its_pages() -> Result<()> {
    let site = Site::open()?;
    let browser = Browser::open().await?;
    let folder = matrix::screenshots()?.join("guide");
    fs::create_dir_all(&folder)?;
    let mut walk = Walk::new(&site, &browser, Language::English)?;
    walk.perform(&[Step::UseAccount(OFFICIAL)]).await?;
    for &(name, path) in PICTURES {
        walk.perform(&[Step::Open(path)]).await?;
        browser.set_view(VIEW).await?;
        let picture = browser.content_screenshot(HEIGHT_MAX).await?;
        fs::write(folder.join(format!("{name}.png")), picture)?;
    }
    browser.close().await
}

#[test]
fn the_guide_has_each_picture_and_none_is_large() -> Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let guide = fs::read_to_string(docs.join("officials-pages.md"))?;
    for (name, _) in PICTURES {
        let image = format!("images/officials-{name}.png");
        ensure!(guide.contains(&format!("({image})")), "the guide does not show {image}");
        let file = fs::metadata(docs.join(&image)).with_context(|| image.clone())?;
        ensure!(file.len() <= BYTES_MAX, "{image} has {} bytes", file.len());
    }
    Ok(())
}
