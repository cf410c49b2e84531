//! A whole vote: by keyboard only, without scripts, in two browsers, and once.

use anyhow::{Result, ensure};
use fantoccini::key::Key;

use crate::browser::{Browser, Setup};
use crate::elections::LAW;
use crate::keyboard;
use crate::language::Language;
use crate::site::Site;
use crate::steps::{SUBMIT, Step};
use crate::walk::Walk;

const VOTE: &[Step] =
    &[Step::SignIn(LAW), Step::Select("#choice-0"), Step::Press(SUBMIT), Step::Press(SUBMIT)];

const RESULTS: &str = "/results/L2025-001";

#[tokio::test]
async fn a_vote_is_cast_by_keyboard_alone() -> Result<()> {
    let site = Site::open()?;
    let browser = Browser::open().await?;
    let voter = site.voters.next(LAW)?;
    browser.open_page(&format!("{}/fr/", site.url)).await?;
    keyboard::tab_to(&browser, ".skip").await?;
    keyboard::tab_to(&browser, "a.button[href='/fr/vote/L2025-001']").await?;
    keyboard::enter(&browser).await?;
    keyboard::tab_to(&browser, "#nas").await?;
    keyboard::press(&browser, &voter.nas).await?;
    keyboard::tab(&browser).await?;
    keyboard::press(&browser, &voter.code).await?;
    keyboard::enter(&browser).await?;
    // The arrows move within the group, and select.
    keyboard::tab_to(&browser, "#choice-0").await?;
    ensure!(!is_selected(&browser, "#choice-0").await?, "a choice is selected at first");
    keyboard::press(&browser, &Key::Down.to_string()).await?;
    ensure!(is_selected(&browser, "#choice-1").await?, "the arrow selects the second choice");
    keyboard::tab_to(&browser, SUBMIT).await?;
    keyboard::enter(&browser).await?;
    keyboard::tab_to(&browser, ".button.final").await?;
    keyboard::enter(&browser).await?;
    browser.find(".outcome.good").await?;
    ensure!(accepted(&site, &browser).await? == "1", "the vote is not counted");
    browser.close().await
}

#[tokio::test]
async fn a_vote_is_cast_without_scripts() -> Result<()> {
    let site = Site::open()?;
    let browser =
        Browser::open_with(Setup { is_without_scripts: true, ..Setup::default() }).await?;
    let mut walk = Walk::new(&site, &browser, Language::French)?;
    walk.perform(VOTE).await?;
    let heading = browser.find(".outcome.good h1").await?;
    ensure!(
        browser.client.active_element().await?.element_id() == heading.element_id(),
        "the focus is not on what became of the vote"
    );
    // The script of every page would show it.
    ensure!(!browser.find("[data-print]").await?.is_displayed().await?, "scripts have run");
    walk.perform(&[Step::Open(RESULTS)]).await?;
    ensure!(!browser.find("[data-live]").await?.is_displayed().await?, "nothing is live");
    ensure!(browser.find("[data-without-live]").await?.is_displayed().await?, "no advice");
    ensure!(browser.text("[data-figure=accepted]").await? == "1", "the vote is not counted");
    browser.close().await
}

#[tokio::test]
async fn a_vote_moves_the_results_in_another_browser() -> Result<()> {
    let site = Site::open()?;
    let (reader, voter) = (Browser::open().await?, Browser::open().await?);
    let mut reading = Walk::new(&site, &reader, Language::English)?;
    reading.perform(&[Step::Open(RESULTS), Step::Await("[data-live]")]).await?;
    // A page that is loaded again has lost its mark.
    reader.mark_page().await?;
    ensure!(reader.text("[data-count=oui]").await? == "0", "a result before the first vote");
    Walk::new(&site, &voter, Language::French)?.perform(VOTE).await?;
    let moved = "window.isLeft && document.querySelector('[data-count=oui]').textContent === '1' \
         && document.querySelector('[data-figure=accepted]').textContent === '1' \
         && document.querySelector('[data-bar=choice-oui]').getAttribute('width') === '100%' \
         && document.querySelector('[data-said][aria-live=polite]').textContent !== ''";
    reader.until("the new results", moved).await?;
    voter.close().await?;
    reader.close().await
}

#[tokio::test]
async fn back_and_again_casts_no_second_vote() -> Result<()> {
    let site = Site::open()?;
    let browser = Browser::open().await?;
    let mut walk = Walk::new(&site, &browser, Language::English)?;
    walk.perform(VOTE).await?;
    let outcome = browser.path().await?;
    browser.client.back().await?;
    // The check page was never stored: Chromium asks whether to send the choice again. A browser
    // that still had the page would show its button.
    match browser.find(".button.final").await {
        Ok(_) => browser.press(".button.final").await?,
        Err(_) => browser.client.refresh().await?,
    }
    browser.until_shown(".outcome.good").await?;
    let again = browser.path().await?;
    ensure!(again == outcome, "another vote: {again}");
    ensure!(accepted(&site, &browser).await? == "1", "one vote is counted");
    ensure!(browser.text("[data-figure=duplicate]").await? == "0", "no vote was repeated");
    browser.close().await
}

/// The number of accepted votes that the page with the results shows.
async fn accepted(site: &Site, browser: &Browser) -> Result<String> {
    browser.open_page(&format!("{}/en{RESULTS}", site.url)).await?;
    browser.text("[data-figure=accepted]").await
}

async fn is_selected(browser: &Browser, selector: &str) -> Result<bool> {
    Ok(browser.find(selector).await?.is_selected().await?)
}
