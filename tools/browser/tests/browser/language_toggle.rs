//! The link to the other language keeps the page: its parameters, and the part that is shown.

use anyhow::{Result, ensure};

use crate::accounts::OFFICIAL;
use crate::browser::Browser;
use crate::language::Language;
use crate::site::Site;
use crate::steps::Step;
use crate::walk::Walk;

const TOGGLE: Step = Step::Press("a.toggle");

/// The part of the address after the host.
async fn address(browser: &Browser) -> Result<String> {
    let url = browser.client.current_url().await?;
    Ok(url[url::Position::BeforePath..].to_owned())
}

#[tokio::test]
async fn the_toggle_keeps_the_query_and_the_part_of_a_page() -> Result<()> {
    let site = Site::open()?;
    let browser = Browser::open().await?;
    let mut walk = Walk::new(&site, &browser, Language::French)?;
    walk.perform(&[Step::Open("/help#closed"), TOGGLE]).await?;
    let shown = address(&browser).await?;
    ensure!(shown == "/en/help#closed", "the part of the page is lost: {shown}");
    walk.perform(&[TOGGLE]).await?;
    let shown = address(&browser).await?;
    ensure!(shown == "/fr/help#closed", "there and back again: {shown}");
    let accounts = Step::Open("/officials/accounts?after=a@example.com");
    walk.perform(&[Step::UseAccount(OFFICIAL), accounts, TOGGLE]).await?;
    let shown = address(&browser).await?;
    ensure!(shown == "/en/officials/accounts?after=a@example.com", "the query is lost: {shown}");
    ensure!(browser.find("html").await?.attr("lang").await?.as_deref() == Some("en"), "lang");
    browser.close().await
}

#[tokio::test]
async fn a_personal_link_opens_in_the_other_language_too() -> Result<()> {
    const FILLED: &str = "document.querySelector('#nas').value === '123456789' \
         && document.querySelector('#code').value === 'ABCD2345' && location.hash === ''";
    let site = Site::open()?;
    let browser = Browser::open().await?;
    let mut walk = Walk::new(&site, &browser, Language::French)?;
    walk.perform(&[Step::Open("/vote/L2025-001#c=123456789-ABCD2345")]).await?;
    browser.until("the fields of the link", FILLED).await?;
    walk.perform(&[TOGGLE]).await?;
    browser.until("the fields in English", FILLED).await?;
    let shown = address(&browser).await?;
    ensure!(shown == "/en/vote/L2025-001", "the code is still in the address: {shown}");
    browser.close().await
}
