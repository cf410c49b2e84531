//! The session of a member: the warning before its end on the pages under `/members`.

use anyhow::{Result, ensure};
use fantoccini::cookies::Cookie;
use fantoccini::key::Key;

use crate::accounts::MEMBER;
use crate::browser::Browser;
use crate::keyboard;
use crate::language::Language;
use crate::site::Site;
use crate::steps::Step;
use crate::walk::Walk;

const SHORTEN_TIMER: &str = include_str!("scripts/shorten_timer.js");

const EXTENDED: &str = "document.querySelector('.session-warning').hidden \
     && document.querySelector('[data-account-status][role=status]').textContent !== '' \
     && document.activeElement === document.getElementById('content')";

/// The value of the ballot session's cookie.
fn ballot_session(cookies: &[Cookie<'static>]) -> Option<String> {
    let ballot = cookies.iter().find(|cookie| !cookie.name().contains("account"));
    ballot.map(|cookie| cookie.value().to_owned())
}

#[tokio::test]
async fn one_press_extends_the_session_of_a_member() -> Result<()> {
    let site = Site::open()?;
    let browser = Browser::open().await?;
    browser.run_in_each_page(SHORTEN_TIMER).await?;
    let mut walk = Walk::new(&site, &browser, Language::French)?;
    // With a ballot session too: one warning is for both.
    let steps = [
        Step::UseAccount(MEMBER),
        Step::Open("/members/M2025-001"),
        Step::Open("/members#soon"),
        Step::Await(".session-warning"),
    ];
    walk.perform(&steps).await?;
    let warnings = browser.run("return document.querySelectorAll('.session-warning').length;");
    ensure!(warnings.await? == 1, "several warnings lie on each other");
    let button = browser.find(".session-warning button").await?;
    ensure!(
        browser.client.active_element().await?.element_id() == button.element_id(),
        "the focus is not on the button that extends"
    );
    let before = ballot_session(&browser.cookies().await?);
    ensure!(before.is_some(), "no ballot session");
    keyboard::press(&browser, &Key::Enter.to_string()).await?;
    browser.until("the extended session", EXTENDED).await?;
    ensure!(ballot_session(&browser.cookies().await?) != before, "the ballot session is the same");
    browser.close().await
}

#[tokio::test]
async fn a_member_whose_session_has_ended_is_led_to_the_sign_in_and_back() -> Result<()> {
    let site = Site::open()?;
    let browser = Browser::open().await?;
    browser.run_in_each_page(SHORTEN_TIMER).await?;
    let mut walk = Walk::new(&site, &browser, Language::English)?;
    let steps = [
        Step::UseAccount(MEMBER),
        // From the same page it would be a jump within it.
        Step::Open("/help"),
        Step::Open("/members#soon"),
        Step::Await(".session-warning"),
        Step::ClearCookies,
    ];
    walk.perform(&steps).await?;
    // The press finds that the session is gone, and the page says so without leaving.
    browser.find(".session-warning button").await?.click().await?;
    let over = "!document.querySelector('.session-warning').hidden \
         && document.querySelector('.session-warning button').hidden \
         && document.activeElement === document.querySelector('.session-warning a')";
    browser.until("the end of the session", over).await?;
    walk.perform(&[Step::Press(".session-warning a"), Step::SignInAccount(MEMBER)]).await?;
    let url = browser.client.current_url().await?;
    ensure!(url.path() == "/en/members", "the sign-in led to {url}");
    browser.close().await
}
