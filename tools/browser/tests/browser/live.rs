//! Pages whose node restarts: results, a ballot, a choice made.

use anyhow::{Result, ensure};

use crate::browser::Browser;
use crate::elections::LAW;
use crate::language::Language;
use crate::site::Site;
use crate::steps::{SUBMIT, Step};
use crate::walk::Walk;

/// The page says, in its mark and to screen readers, that its figures may be old: the connection is
/// gone, or the node has said that it stops.
const IS_LOST: &str = "window.isLeft && (({ dataset, textContent }) => \
     [dataset.lost, dataset.away].includes(textContent) \
     && document.querySelector('[data-said][role=status]').textContent === textContent)\
     (document.querySelector('[data-live]'))";

/// The page says that its figures are new again.
const IS_BACK: &str = "window.isLeft && (({ dataset, textContent }) => \
     textContent === dataset.live \
     && document.querySelector('[data-said][role=status]').textContent === dataset.back)\
     (document.querySelector('[data-live]'))";

#[tokio::test]
async fn results_recover_from_a_restart_of_the_node_and_say_so() -> Result<()> {
    let mut site = Site::open()?;
    let browser = Browser::open().await?;
    let mut walk = Walk::new(&site, &browser, Language::French)?;
    walk.perform(&[Step::Open("/results/L2025-001"), Step::Await("[data-live]")]).await?;
    browser.mark_page().await?;
    site.stop()?;
    browser.until("the lost connection", IS_LOST).await?;
    site.start()?;
    browser.until("the connection", IS_BACK).await?;
    let voter = Browser::open().await?;
    Walk::new(&site, &voter, Language::English)?
        .perform(&[
            Step::SignIn(LAW),
            Step::Select("#choice-1"),
            Step::Press(SUBMIT),
            Step::Press(SUBMIT),
        ])
        .await?;
    let moved = "window.isLeft && document.querySelector('[data-count=non]').textContent === '1'";
    browser.until("the new results", moved).await?;
    voter.close().await?;
    browser.close().await
}

#[tokio::test]
async fn a_form_waits_while_the_node_is_away_and_says_so() -> Result<()> {
    const IS_AWAY: &str = "window.isLeft && (({ dataset, textContent }) => \
         textContent === dataset.away)(document.querySelector('[data-connection][role=status]')) \
         && document.querySelector('#choice-1').checked";
    let mut site = Site::open()?;
    let browser = Browser::open().await?;
    let mut walk = Walk::new(&site, &browser, Language::French)?;
    walk.perform(&[Step::SignIn(LAW), Step::Select("#choice-1")]).await?;
    browser.mark_page().await?;
    site.stop()?;
    browser.find(SUBMIT).await?.click().await?;
    browser.until("what keeps the form", IS_AWAY).await?;
    site.start()?;
    // The session ended with the node; the choice did not, and the button works again.
    walk.perform(&[Step::Press(SUBMIT), Step::SendCredential]).await?;
    browser.find(".button.final").await?;
    browser.find("[name=choice][value=non]").await?;
    browser.close().await
}

#[tokio::test]
async fn a_choice_outlives_a_restart_of_the_node() -> Result<()> {
    let mut site = Site::open()?;
    let browser = Browser::open().await?;
    let mut walk = Walk::new(&site, &browser, Language::French)?;
    walk.perform(&[Step::SignIn(LAW), Step::Select("#choice-1"), Step::Press(SUBMIT)]).await?;
    let choice = browser.text(".chosen").await?;
    // The keys of sessions are held in memory: every session ends.
    site.stop()?;
    site.start()?;
    walk.perform(&[Step::Press(SUBMIT)]).await?;
    browser.find("#nas").await?;
    browser.find(".notice.caution").await?;
    walk.perform(&[Step::SendCredential]).await?;
    ensure!(browser.text(".chosen").await? == choice, "the choice is lost");
    walk.perform(&[Step::Press(SUBMIT)]).await?;
    browser.find(".outcome.good").await?;
    browser.close().await
}
