//! A keyboard: presses keys, and checks that the Tab key reaches every control of a page.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::key::Key;
use serde_json::json;

use crate::browser::Browser;

const TAB_STOPS: &str = include_str!("scripts/tab_stops.js");
const FOCUS: &str = include_str!("scripts/focus.js");

/// The most presses of Tab from one control to another: more than a page has controls.
const TABS_MAX: usize = 60;

/// Presses between the last control of a page and its first: the browser's own stops.
const STOPS_BETWEEN: usize = 3;

/// The stops of the browser within a field for date and time: its parts, and its calendar.
const STOPS_IN_DATE: usize = 8;

/// Presses and releases each key in turn.
pub(crate) async fn press(browser: &Browser, keys: &str) -> Result<()> {
    let mut actions = KeyActions::new("keyboard".to_owned());
    for value in keys.chars() {
        actions = actions.then(KeyAction::Down { value }).then(KeyAction::Up { value });
    }
    Ok(browser.client.perform_actions(actions).await?)
}

/// Presses Tab.
pub(crate) async fn tab(browser: &Browser) -> Result<()> {
    press(browser, &Key::Tab.to_string()).await
}

/// Presses Tab until an element that matches a selector has the focus.
pub(crate) async fn tab_to(browser: &Browser, selector: &str) -> Result<()> {
    const HAS_FOCUS: &str = "return document.activeElement.matches(arguments[0]);";
    for _ in 0..TABS_MAX {
        tab(browser).await?;
        if browser.run_with(HAS_FOCUS, vec![json!(selector)]).await? == true {
            return Ok(());
        }
    }
    let path = browser.path().await?;
    bail!("Tab does not reach {selector} at {path}");
}

/// Presses Enter, and waits for the page that follows.
pub(crate) async fn enter(browser: &Browser) -> Result<()> {
    browser.mark_page().await?;
    press(browser, &Key::Enter.to_string()).await?;
    browser.await_next_page().await
}

/// Presses Tab through the whole page: each control must be reached, in the order of the page, and
/// show that it has the focus.
pub(crate) async fn tab_faults(browser: &Browser) -> Result<Vec<String>> {
    let stops: Vec<String> = serde_json::from_value(browser.run(TAB_STOPS).await?)?;
    ensure!(!stops.is_empty(), "the page has no control");
    let mut faults = Vec::new();
    let mut missed: BTreeSet<usize> = (0..stops.len()).collect();
    let mut previous = None;
    let dates = stops.iter().filter(|stop| stop.contains("datetime-local")).count();
    for _ in 0..stops.len() + dates * STOPS_IN_DATE + STOPS_BETWEEN {
        tab(browser).await?;
        let (stop, has_ring): (i64, bool) = serde_json::from_value(browser.run(FOCUS).await?)?;
        let Ok(stop) = usize::try_from(stop) else { continue };
        if !missed.remove(&stop) {
            continue;
        }
        if !has_ring {
            faults.push(format!("no ring shows the focus of {}", stops[stop]));
        }
        if previous.is_some_and(|previous| stop != (previous + 1) % stops.len()) {
            faults.push(format!("Tab reaches {} out of order", stops[stop]));
        }
        previous = Some(stop);
    }
    faults.extend(missed.into_iter().map(|stop| format!("Tab does not reach {}", stops[stop])));
    Ok(faults)
}
