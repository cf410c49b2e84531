//! The session of an official: the way back after a sign-in, and the warning before its end.

use anyhow::{Result, ensure};
use fantoccini::key::Key;

use crate::accounts::OFFICIAL;
use crate::browser::Browser;
use crate::keyboard;
use crate::language::Language;
use crate::site::Site;
use crate::steps::Step;
use crate::walk::Walk;

const SHORTEN_TIMER: &str = include_str!("scripts/shorten_timer.js");

#[tokio::test]
async fn an_official_comes_back_to_the_page_that_was_asked_for() -> Result<()> {
    let site = Site::open()?;
    let browser = Browser::open().await?;
    let mut walk = Walk::new(&site, &browser, Language::French)?;
    let asked = "/officials/elections/second/close";
    walk.perform(&[Step::UseAccount(OFFICIAL), Step::ClearCookies, Step::Open(asked)]).await?;
    ensure!(browser.path().await? == "/accounts/sign-in", "no sign-in comes first");
    browser.find(".notice + form").await?;
    // The other language leads back to the same page.
    walk.perform(&[Step::Press("a.toggle"), Step::SignInAccount(OFFICIAL)]).await?;
    let url = browser.client.current_url().await?;
    ensure!(url.path() == format!("/en{asked}"), "the sign-in led to {url}");
    browser.find("#confirm").await?;
    // The last page that an official left open asks for a sign-in and leads back too.
    let link = browser.find(".session-warning a").await?.attr("href").await?;
    let expected = format!("/en/accounts/sign-in?next={asked}");
    ensure!(link.as_deref() == Some(expected.as_str()), "{link:?}");
    browser.close().await
}

#[tokio::test]
async fn a_link_to_the_sign_in_leads_to_no_other_site() -> Result<()> {
    let site = Site::open()?;
    let browser = Browser::open().await?;
    let mut walk = Walk::new(&site, &browser, Language::English)?;
    walk.perform(&[Step::UseAccount(OFFICIAL)]).await?;
    for next in ["//127.0.0.1:9/officials/new", "https:%2F%2F127.0.0.1:9%2F", "/%5C127.0.0.1:9/"] {
        browser.open_page(&format!("{}/en/accounts/sign-in?next={next}", site.url)).await?;
        let url = browser.client.current_url().await?;
        ensure!(url.as_str() == format!("{}/en/officials", site.url), "{next} led to {url}");
    }
    browser.close().await
}

#[tokio::test]
async fn one_press_extends_the_session_of_an_official() -> Result<()> {
    let site = Site::open()?;
    let browser = Browser::open().await?;
    browser.run_in_each_page(SHORTEN_TIMER).await?;
    let mut walk = Walk::new(&site, &browser, Language::French)?;
    let steps = [
        Step::UseAccount(OFFICIAL),
        Step::Open("/officials/new#soon"),
        Step::Await(".session-warning"),
    ];
    walk.perform(&steps).await?;
    browser.fill("law_id", "L2030-001").await?;
    browser.run("document.querySelector('.session-warning button').focus();").await?;
    keyboard::press(&browser, &Key::Enter.to_string()).await?;
    let extended = "document.querySelector('.session-warning').hidden \
         && document.querySelector('[data-account-status][role=status]').textContent !== '' \
         && document.activeElement === document.getElementById('content')";
    browser.until("the extended session", extended).await?;
    // The page is the same: what was typed is still there.
    let typed = browser.run("return document.getElementById('law_id').value;").await?;
    ensure!(typed == "L2030-001", "the extension lost what was typed: {typed}");
    browser.close().await
}
