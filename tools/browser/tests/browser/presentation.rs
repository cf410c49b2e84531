//! The requirements of the system settings, the printer and the width of the window on a page.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::accounts::OFFICIAL;
use crate::browser::Browser;
use crate::elections::LAW;
use crate::language::Language;
use crate::site::Site;
use crate::steps::{SUBMIT, Step};
use crate::view::{Theme, View};
use crate::walk::Walk;

/// The pages with the widest content.
const WIDE_PAGES: &[&str] = &[
    "/elections",
    "/session",
    "/results/official",
    "/help",
    "/officials",
    "/officials/accounts",
    "/officials/new",
    "/officials/elections/second",
    "/officials/elections/closed",
    "/officials/elections/future/roll",
];

/// By how many pixels the page is wider than its window, and the cards that their content leaves.
const OVERFLOW: &str = "\
    const root = document.documentElement; \
    const cards = [...document.querySelectorAll('.card, .notice, .summary')]; \
    return [ \
        root.scrollWidth - root.clientWidth, \
        cards.filter(card => card.scrollWidth > card.clientWidth) \
            .map(card => card.textContent.trim().slice(0, 40)), \
    ];";

#[tokio::test]
async fn no_text_overflows_its_card_at_any_width() -> Result<()> {
    let site = Site::open()?;
    let browser = Browser::open().await?;
    let mut walk = Walk::new(&site, &browser, Language::French)?;
    walk.perform(&[Step::UseAccount(OFFICIAL)]).await?;
    let mut faults = Vec::new();
    for &path in WIDE_PAGES {
        walk.perform(&[Step::Open(path)]).await?;
        for width in (320..=1280).step_by(60) {
            browser.set_view(View { width, theme: Theme::Light }).await?;
            let found = browser.run(OVERFLOW).await?;
            let (overflow, cards): (i64, Vec<String>) = serde_json::from_value(found)?;
            if overflow > 0 || !cards.is_empty() {
                faults.push(format!("{path} at {width}: {overflow} pixels, {cards:?}"));
            }
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    browser.close().await
}

#[tokio::test]
async fn a_printed_confirmation_has_the_outcome_and_no_controls() -> Result<()> {
    const SHOWN: &str = "\
        const shown = selector => [...document.querySelectorAll(selector)] \
            .some(element => element.checkVisibility({ visibilityProperty: true })); \
        const { backgroundColor, color } = getComputedStyle(document.body); \
        return [arguments[0].filter(shown), arguments[1].filter(shown), backgroundColor, color];";
    let controls = [".menu", ".foot", ".toggle", ".skip", "main .actions", "[data-print]"];
    let content = [".banner", ".brand", ".outcome.good h1", ".support", "#receipt"];
    let site = Site::open()?;
    let browser = Browser::open().await?;
    let mut walk = Walk::new(&site, &browser, Language::French)?;
    let (choose, cast) = (Step::Select("#choice-0"), Step::Press(SUBMIT));
    walk.perform(&[Step::SignIn(LAW), choose, cast, cast]).await?;
    // A reader with the dark theme prints on white paper too.
    let dark = json!([{ "name": "prefers-color-scheme", "value": "dark" }]);
    browser.set_media(json!({ "media": "print", "features": dark })).await?;
    let found = browser.run_with(SHOWN, vec![json!(controls), json!(content)]).await?;
    let (printed, kept, paper, ink): (Vec<String>, Vec<String>, String, String) =
        serde_json::from_value(found)?;
    ensure!(printed.is_empty(), "these are printed: {printed:?}");
    ensure!(kept == content, "only these are printed: {kept:?}");
    ensure!(paper == "rgb(255, 255, 255)" && ink == "rgb(0, 0, 0)", "{ink} on {paper}");
    browser.close().await
}

#[tokio::test]
async fn reduced_motion_disables_animations() -> Result<()> {
    const DURATION: &str =
        "return getComputedStyle(document.querySelector('.bar rect')).transitionDuration;";
    let site = Site::open()?;
    let browser = Browser::open().await?;
    let mut walk = Walk::new(&site, &browser, Language::French)?;
    walk.perform(&[Step::Open("/results/L2025-001")]).await?;
    for (value, expected) in [("reduce", "0s"), ("no-preference", "0.3s")] {
        let motion = json!([{ "name": "prefers-reduced-motion", "value": value }]);
        browser.set_media(json!({ "features": motion })).await?;
        let duration = browser.run(DURATION).await?;
        ensure!(duration == expected, "with {value} the bars move for {duration}");
    }
    browser.close().await
}

#[tokio::test]
async fn times_are_local_with_the_name_of_the_zone_and_in_utc() -> Result<()> {
    const CLOSES: &str = "return [...document.querySelectorAll('time')] \
         .find(time => time.dateTime.startsWith('2099-01-02')).textContent;";
    let site = Site::open()?;
    let browser = Browser::open().await?;
    browser.set_time_zone("America/Toronto").await?;
    for (language, date, zone, utc) in [
        (
            Language::French,
            "2 janvier 2099",
            "heure normale de l",
            "(2 janvier 2099, 13\u{a0}h\u{a0}00 UTC)",
        ),
        (
            Language::English,
            "January 2, 2099",
            "Eastern Standard Time",
            "(January 2, 2099, 13:00 UTC)",
        ),
    ] {
        let mut walk = Walk::new(&site, &browser, language)?;
        walk.perform(&[Step::Open("/elections")]).await?;
        let shown = browser.run(CLOSES).await?;
        let shown = shown.as_str().unwrap_or_default();
        ensure!(
            shown.starts_with(date) && shown.contains(zone) && shown.ends_with(utc),
            "the time is shown as {shown:?}"
        );
        ensure!(shown.contains('8'), "the hour is not that of the zone: {shown:?}");
    }
    browser.close().await
}
