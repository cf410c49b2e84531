//! Checks a page: its state, a view of some width and theme, and its use.

use anyhow::Result;
use serde::Deserialize;
use serde_json::json;

use crate::axe::Axe;
use crate::browser::Browser;
use crate::keyboard;
use crate::language::Language;
use crate::states::State;

const FACTS: &str = include_str!("scripts/facts.js");

/// Whether an element is present, and whether the expected element has the focus.
const STATE: &str = "\
    const [shows, focus] = arguments; \
    const active = document.activeElement; \
    return [ \
        document.querySelector(shows) !== null, \
        focus === '' ? active === document.body : active.matches(focus), \
        active.outerHTML.slice(0, 80), \
    ];";

/// The facts that the script reads from a page.
#[derive(Deserialize)]
struct Facts {
    language: String,
    title: String,
    headings: u32,
    status: u16,
    /// By how many pixels the page is wider than its window.
    overflow: i64,
    /// The elements that end beyond the window.
    wide: Vec<String>,
    /// The links and buttons whose names lack their texts.
    misnamed: Vec<String>,
    /// The targets lower than 44 pixels.
    small: Vec<String>,
}

/// The faults of a page that a state has just led to.
pub(crate) async fn state_faults(
    browser: &Browser,
    language: Language,
    state: &State,
) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let found = browser.run_with(STATE, vec![json!(state.shows), json!(state.focus)]).await?;
    let (is_shown, has_focus, active): (bool, bool, String) = serde_json::from_value(found)?;
    if !is_shown {
        faults.push(format!("another state: it shows no {}", state.shows));
    }
    if !has_focus {
        faults.push(format!("the focus is at {active}, not at {:?}", state.focus));
    }
    let facts: Facts = serde_json::from_value(browser.run(FACTS).await?)?;
    if facts.status != state.status {
        faults.push(format!("status {}, not {}", facts.status, state.status));
    }
    if facts.language != language.code() {
        faults.push(format!("its language is {:?}", facts.language));
    }
    if facts.headings != 1 {
        faults.push(format!("{} headings h1", facts.headings));
    }
    if facts.title.starts_with(language.error_prefix()) != state.is_error {
        faults.push(format!("the title is {:?}", facts.title));
    }
    Ok(faults)
}

/// The faults of a page in the present view.
pub(crate) async fn view_faults(browser: &Browser, axe: &Axe) -> Result<Vec<String>> {
    let facts: Facts = serde_json::from_value(browser.run(FACTS).await?)?;
    let mut faults = Vec::new();
    if facts.overflow > 0 {
        let wide = facts.wide.join(", ");
        faults.push(format!("{} pixels wider than its window: {wide}", facts.overflow));
    }
    faults.extend(facts.small.into_iter().map(|target| format!("lower than 44 pixels: {target}")));
    let misnamed = facts.misnamed.into_iter();
    faults.extend(misnamed.map(|target| format!("its name lacks its text: {target}")));
    let violations = axe.violations(browser).await?;
    faults.extend(violations.into_iter().map(|violation| format!("axe: {violation}")));
    Ok(faults)
}

/// The faults that appear while the page is used: Tab moves through it, and its console has been
/// filled.
pub(crate) async fn use_faults(browser: &Browser) -> Result<Vec<String>> {
    let mut faults = keyboard::tab_faults(browser).await?;
    let errors = browser.console_errors().await?;
    faults.extend(errors.into_iter().map(|error| format!("console: {error}")));
    Ok(faults)
}
