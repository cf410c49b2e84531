//! The session of a voter: its cookie, its end, and the warning before it.

use anyhow::{Context as _, Result, ensure};
use fantoccini::key::Key;

use crate::browser::{Browser, Setup};
use crate::elections::LAW;
use crate::keyboard;
use crate::language::Language;
use crate::site::Site;
use crate::steps::Step;
use crate::walk::Walk;

const SHORTEN_TIMER: &str = include_str!("scripts/shorten_timer.js");

/// Signs in, and compares the one cookie.
async fn check_cookie(site: &Site, name: &str, is_secure: bool) -> Result<()> {
    let setup = Setup { accepts_any_certificate: is_secure, ..Setup::default() };
    let browser = Browser::open_with(setup).await?;
    Walk::new(site, &browser, Language::French)?.perform(&[Step::SignIn(LAW)]).await?;
    let cookies = browser.cookies().await?;
    ensure!(cookies.len() == 1, "one cookie is enough: {cookies:?}");
    let cookie = cookies.first().context("no cookie")?;
    ensure!(cookie.name() == name && cookie.path() == Some("/"), "{cookie:?}");
    ensure!(cookie.http_only() == Some(true), "scripts can read it");
    ensure!(cookie.secure() == Some(is_secure), "Secure is {:?}", cookie.secure());
    let same_site = cookie.same_site().map(|same_site| same_site.to_string());
    ensure!(same_site.as_deref() == Some("Strict"), "SameSite is {same_site:?}");
    ensure!(cookie.expires().is_none(), "it outlives the browser");
    browser.close().await
}

#[tokio::test]
async fn the_cookie_is_for_this_host_alone_and_no_script() -> Result<()> {
    check_cookie(&Site::open()?, "votekit-local", false).await
}

#[tokio::test]
async fn the_cookie_over_tls_is_bound_to_host_and_tls() -> Result<()> {
    check_cookie(&Site::open_with_tls()?, "__Host-votekit", true).await
}

#[tokio::test]
async fn a_sign_out_leaves_nothing_in_the_browser() -> Result<()> {
    let site = Site::open()?;
    let browser = Browser::open().await?;
    let mut walk = Walk::new(&site, &browser, Language::French)?;
    walk.perform(&[Step::SignIn(LAW)]).await?;
    // The pages store nothing: this shows that `Clear-Site-Data` is obeyed.
    browser.run("localStorage.setItem('left', 'behind');").await?;
    walk.perform(&[Step::Press("form[action$=sign-out] button")]).await?;
    ensure!(browser.cookies().await?.is_empty(), "a cookie is left");
    ensure!(browser.run("return localStorage.length;").await? == 0, "storage is left");
    // `no-store`: the ballot is asked for again, and refused.
    browser.client.back().await?;
    browser.until("the sign-in", "document.querySelector('#nas')").await?;
    ensure!(browser.run("return document.querySelector('.choices');").await?.is_null(), "a ballot");
    browser.close().await
}

#[tokio::test]
async fn a_warning_comes_before_the_end_and_one_press_extends_the_session() -> Result<()> {
    let site = Site::open()?;
    let browser = Browser::open().await?;
    browser.run_in_each_page(SHORTEN_TIMER).await?;
    let mut walk = Walk::new(&site, &browser, Language::French)?;
    let steps = [Step::SignIn(LAW), Step::Open("/elections#soon"), Step::Await(".session-warning")];
    walk.perform(&steps).await?;
    let before = browser.cookies().await?;
    let button = browser.find(".session-warning button").await?;
    ensure!(
        browser.client.active_element().await?.element_id() == button.element_id(),
        "the focus is not on the button that extends"
    );
    keyboard::press(&browser, &Key::Enter.to_string()).await?;
    let extended = "document.querySelector('.session-warning').hidden \
         && document.querySelector('[data-session-status][role=status]').textContent !== '' \
         && !document.querySelector('.session-warning').contains(document.activeElement)";
    browser.until("the extended session", extended).await?;
    let after = browser.cookies().await?;
    ensure!(after.len() == 1 && before[0].value() != after[0].value(), "the cookie is the same");
    browser.close().await
}
