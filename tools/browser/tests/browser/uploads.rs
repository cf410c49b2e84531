//! The files of a hashed roll: uploaded one by one by the script of the page, and all at once
//! without it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::accounts::OFFICIAL;
use crate::browser::{Browser, Setup};
use crate::elections;
use crate::language::Language;
use crate::site::Site;
use crate::steps::{SUBMIT, Step};
use crate::walk::Walk;

const PAGE: &[Step] = &[Step::Open("/officials/elections/future/roll")];

/// The roll of the page's election, hashed by itself.
const HASHED: &str = "hashed-future";

const FOCUSED: &str = "document.activeElement.id === 'files'";

/// A site with a folder that contains the hashed roll.
fn site() -> Result<Site> {
    let site = Site::open()?;
    let hash = ["hashgen", elections::ROLL, "--law", "future", "--out", HASHED];
    let pepper = ["--pepper-file", "demo/referendum.pepper"];
    site.run(&[&hash[..], &pepper].concat())?;
    Ok(site)
}

/// The files of the hashed roll.
fn hashed(site: &Site) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(site.path(HASHED))?;
    let files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    ensure!(files.len() > 1, "a manifest and a shard: {files:?}");
    Ok(files)
}

/// Chooses files in the form.
async fn choose(browser: &Browser, files: &[PathBuf]) -> Result<()> {
    let paths: Option<Vec<_>> = files.iter().map(|file| file.to_str()).collect();
    let paths = paths.context("a path that is not text")?.join("\n");
    Ok(browser.find("#files").await?.send_keys(&paths).await?)
}

#[tokio::test]
async fn a_script_uploads_file_by_file_and_shows_a_refusal_at_the_field() -> Result<()> {
    let site = site()?;
    let browser = Browser::open().await?;
    let mut walk = Walk::new(&site, &browser, Language::English)?;
    walk.perform(&[Step::UseAccount(OFFICIAL)]).await?;
    walk.perform(PAGE).await?;
    choose(&browser, &[site.path(elections::ROLL)]).await?;
    browser.mark_page().await?;
    browser.find(SUBMIT).await?.click().await?;
    browser.until_shown("#files-error").await?;
    let shown = browser.text("#files-error").await?;
    ensure!(shown.contains("roll.csv") && shown.contains("hashgen"), "{shown}");
    browser.until("the focus at the field", FOCUSED).await?;
    browser.until("the same page", "window.isLeft && !document.querySelector('.summary')").await?;
    walk.perform(PAGE).await?;
    choose(&browser, &hashed(&site)?).await?;
    browser.press(SUBMIT).await?;
    browser.until_shown(".notice.done").await?;
    let uploaded = browser.text("section[aria-labelledby=uploaded]").await?;
    ensure!(uploaded.contains("manifest.json"), "{uploaded}");
    browser.close().await
}

#[tokio::test]
async fn a_form_without_scripts_uploads_the_same() -> Result<()> {
    let site = site()?;
    let browser =
        Browser::open_with(Setup { is_without_scripts: true, ..Setup::default() }).await?;
    let mut walk = Walk::new(&site, &browser, Language::French)?;
    walk.perform(&[Step::UseAccount(OFFICIAL)]).await?;
    walk.perform(PAGE).await?;
    choose(&browser, &[site.path(elections::ROLL)]).await?;
    browser.press(SUBMIT).await?;
    let shown = browser.text("#files-error").await?;
    ensure!(shown.contains("roll.csv") && shown.contains("hashgen"), "{shown}");
    walk.perform(PAGE).await?;
    choose(&browser, &hashed(&site)?).await?;
    browser.press(SUBMIT).await?;
    browser.until_shown(".notice.done").await?;
    browser.close().await
}
