//! Every state of every page in both languages: in one view each, or in all of them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::axe::Axe;
use crate::browser::Browser;
use crate::checks;
use crate::language::Language;
use crate::routes;
use crate::site::Site;
use crate::states::{self, State};
use crate::view::View;
use crate::walk::Walk;

/// Ends the first long timer of a page at once, if its address ends with #soon.
const SHORTEN_TIMER: &str = include_str!("scripts/shorten_timer.js");

/// Offset of the views in English: a state is seen in another view than in French.
const ENGLISH_VIEW_OFFSET: usize = 4;

#[tokio::test]
async fn every_state_in_french_is_accessible() -> Result<()> {
    check_every_state(Language::French, 0).await
}

#[tokio::test]
async fn every_state_in_english_is_accessible() -> Result<()> {
    check_every_state(Language::English, ENGLISH_VIEW_OFFSET).await
}

async fn check_every_state(language: Language, offset: usize) -> Result<()> {
    let (site, axe) = (Site::open()?, Axe::load()?);
    let browser = Browser::open().await?;
    browser.run_in_each_page(SHORTEN_TIMER).await?;
    let mut walk = Walk::new(&site, &browser, language)?;
    let mut faults = Vec::new();
    for (index, state) in states::states().enumerate() {
        let check = StateCheck { browser: &browser, axe: &axe, language, state };
        let views = View::selected(index + offset);
        let found = check.run(&mut walk, &views).await.unwrap_or_else(|error| {
            // A failed step or check is a fault of the page like any other.
            vec![format!("{error:#}")]
        });
        faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", state.name)));
    }
    let unseen = routes::unseen(&walk.seen)?;
    faults.extend(unseen.iter().map(|page| format!("no state shows the page {page}")));
    browser.close().await?;
    let report = faults.join("\n  ");
    ensure!(faults.is_empty(), "{} faults in {language:?}:\n  {report}", faults.len());
    Ok(())
}

/// One state in one language.
struct StateCheck<'a> {
    browser: &'a Browser,
    axe: &'a Axe,
    language: Language,
    state: &'a State,
}

impl StateCheck<'_> {
    async fn run(&self, walk: &mut Walk<'_>, views: &[View]) -> Result<Vec<String>> {
        self.browser.clear_cookies().await?;
        self.browser.set_view(View::PHONE).await?;
        walk.perform(self.state.steps.iter().copied().flatten()).await?;
        let mut faults = checks::state_faults(self.browser, self.language, self.state).await?;
        for view in views {
            self.browser.set_view(*view).await?;
            let found = checks::view_faults(self.browser, self.axe).await?;
            faults.extend(found.into_iter().map(|fault| format!("{view}: {fault}")));
            self.keep_screenshot(*view).await?;
        }
        faults.extend(checks::use_faults(self.browser).await?);
        Ok(faults)
    }

    async fn keep_screenshot(&self, view: View) -> Result<()> {
        let name = format!("{}-{}-{view}.png", self.state.name, self.language.code());
        Ok(fs::write(screenshots()?.join(name), self.browser.screenshot().await?)?)
    }
}

/// `target/browser`: beside the folder that cargo names.
pub(crate) fn screenshots() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("browser");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
