//! The pictures of the guides of officials, of the pages in the language of the guide. The test
//! takes each anew, into `target/browser/guide`, which has the files and folders of docs/images;
//! after a change of a page they are copied from there, by `pngquant 128`.

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

/// Each guide below docs, with its language and the folder of its pictures below docs/images.
const GUIDES: [(Language, &str, &str); 2] = [
    (Language::English, "officials-pages.md", ""),
    (Language::French, "fr/responsables-pages.md", "fr/"),
];

#[tokio::test]
async fn the_guides_of_officials_show_their_pages() -> Result<()> {
    let site = Site::open()?;
    let browser = Browser::open().await?;
    let guide = matrix::screenshots()?.join("guide");
    let mut walk = Walk::new(&site, &browser, Language::English)?;
    walk.perform(&[Step::UseAccount(OFFICIAL)]).await?;
    for (language, _, folder) in GUIDES {
        fs::create_dir_all(guide.join(folder))?;
        walk.set_language(language);
        for &(name, path) in PICTURES {
            walk.perform(&[Step::Open(path)]).await?;
            browser.set_view(VIEW).await?;
            let picture = browser.content_screenshot(HEIGHT_MAX).await?;
            fs::write(guide.join(picture_file(folder, name)), picture)?;
        }
    }
    browser.close().await
}

#[test]
fn each_guide_has_its_pictures_and_none_is_large() -> Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for (_, guide, folder) in GUIDES {
        let text = fs::read_to_string(docs.join(guide))?;
        for (name, _) in PICTURES {
            let image = format!("images/{}", picture_file(folder, name));
            ensure!(text.contains(&format!("{image})")), "{guide} does not show {image}");
            let file = fs::metadata(docs.join(&image)).with_context(|| image.clone())?;
            ensure!(file.len() <= BYTES_MAX, "{image} has {} bytes", file.len());
        }
    }
    Ok(())
}

/// The file of a picture, below docs/images.
fn picture_file(folder: &str, name: &str) -> String {
    format!("{folder}officials-{name}.png")
}
