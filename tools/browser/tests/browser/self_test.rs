//! The checks detect the faults that they are for: each is put into a sound page.

use anyhow::{Result, ensure};

use crate::axe::Axe;
use crate::browser::Browser;
use crate::checks;
use crate::language::Language;
use crate::site::Site;
use crate::states::VOTER_STATES;
use crate::steps::Step;
use crate::walk::Walk;

/// Scripts that break the start page, each with what must be reported.
const FAULTS: &[(&str, &str)] = &[
    ("document.documentElement.lang = 'de';", "its language is \"de\""),
    ("document.title = 'Erreur\u{a0}: ' + document.title;", "the title is"),
    ("document.querySelector('main').append(document.createElement('h1'));", "2 headings h1"),
    ("document.querySelector('#open-now').removeAttribute('id');", "another state"),
    ("document.querySelector('main').focus();", "the focus is at"),
    ("document.querySelector('main .button').tabIndex = -1;", "Tab does not reach"),
    ("document.querySelector('.toggle').tabIndex = 1;", "out of order"),
    ("document.querySelector('.toggle').style.outline = 'none';", "no ring shows the focus"),
    ("document.querySelector('main').style.width = '400px';", "pixels wider than its window"),
    (
        "Object.assign(document.querySelector('main .button').style, \
         { minHeight: '0', padding: '0' });",
        "lower than 44 pixels",
    ),
    (
        "document.querySelector('main .button').setAttribute('aria-label', 'another');",
        "its name lacks its text",
    ),
    ("document.querySelector('main .lead').style.color = '#aab';", "axe: color-contrast"),
    ("document.querySelector('main ul').append(document.createElement('p'));", "axe: list"),
    ("document.querySelector('.brand').replaceChildren();", "axe: link-name"),
    (
        "const style = document.createElement('style'); style.textContent = 'a { color: red }'; \
         document.head.append(style);",
        "console: ",
    ),
];

#[tokio::test]
async fn each_check_detects_its_fault() -> Result<()> {
    let (site, axe) = (Site::open()?, Axe::load()?);
    let browser = Browser::open().await?;
    let mut walk = Walk::new(&site, &browser, Language::French)?;
    let state = &VOTER_STATES[0];
    for (script, report) in [("", "")].iter().chain(FAULTS) {
        walk.perform(&[Step::Open("/")]).await?;
        browser.run(script).await?;
        let mut found = checks::state_faults(&browser, Language::French, state).await?;
        found.extend(checks::view_faults(&browser, &axe).await?);
        found.extend(checks::use_faults(&browser).await?);
        let is_expected = match *report {
            "" => found.is_empty(),
            report => found.iter().any(|fault| fault.contains(report)),
        };
        ensure!(is_expected, "{script} must be reported as {report:?}, not as {found:#?}");
    }
    browser.close().await
}
