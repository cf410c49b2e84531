//! A person at a browser, who takes steps.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use anyhow::{Context as _, Result, bail};

use crate::accounts::{self, Holder};
use crate::browser::Browser;
use crate::language::Language;
use crate::site::Site;
use crate::steps::{SUBMIT, Step};
use crate::voters::{Voter, Voters};

/// More wrong codes than the throttle allows without a wait.
const WRONG_CODES_MAX: usize = 20;

/// A code that no letter has: codes of sample rolls have eight characters.
const WRONG_CODE: &str = "WRONG";

/// One person, one browser, one language.
pub(crate) struct Walk<'a> {
    browser: &'a Browser,
    url: String,
    voters: Rc<Voters>,
    language: Language,
    voter: Option<Voter>,
    /// The people with accounts, by their e-mail addresses.
    holders: HashMap<String, Holder>,
    /// The paths of all pages seen, without their language.
    pub(crate) seen: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    /// A person who has done nothing yet.
    pub(crate) fn new(site: &Site, browser: &'a Browser, language: Language) -> Result<Self> {
        Ok(Self {
            browser,
            url: site.url.clone(),
            voters: Rc::clone(&site.voters),
            language,
            voter: None,
            holders: accounts::holders(&site.accounts)?,
            seen: BTreeSet::new(),
        })
    }

    /// From the next step on the pages are in this language; sessions stay.
    pub(crate) fn set_language(&mut self, language: Language) {
        self.language = language;
    }

    /// Performs steps, one after the other.
    pub(crate) async fn perform<'s>(
        &mut self,
        steps: impl IntoIterator<Item = &'s Step>,
    ) -> Result<()> {
        for step in steps {
            self.step(*step).await.with_context(|| format!("{step:?}"))?;
            self.seen.insert(self.browser.path().await?);
        }
        Ok(())
    }

    async fn step(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Open(path) => self.open(path).await,
            Step::Type(name, text) => self.browser.fill(name, text).await,
            Step::Press(selector) => self.browser.press(selector).await,
            Step::Select(selector) => Ok(self.browser.find(selector).await?.click().await?),
            Step::SignIn(law) => {
                self.voter = Some(self.voters.next(law)?);
                self.sign_in(law).await
            }
            Step::AddElection(law) => {
                let before = self.voter.as_ref().context("no voter has signed in")?;
                self.voter = Some(self.voters.in_election(law, &before.nas)?);
                self.sign_in(law).await
            }
            Step::SendCredential => self.send_credential().await,
            Step::SendWrongCodes(law) => self.send_wrong_codes(law).await,
            Step::OpenLink(email) => {
                let link = self.holder(email)?.link.clone();
                self.open(&link).await
            }
            Step::ChoosePassword(email) => {
                let browser = self.browser;
                self.holder(email)?.choose_password(browser).await
            }
            Step::UseAccount(email) => self.use_account(email).await,
            Step::ClearCookies => self.browser.clear_cookies().await,
            Step::SignInAccount(email) => {
                let browser = self.browser;
                self.holder(email)?.sign_in(browser).await
            }
            Step::PostFromElsewhere(path) => {
                let address = self.address(path);
                let page = format!(
                    "data:text/html,<form method=post action='{address}'><button>send</button>"
                );
                self.browser.open_page(&page).await?;
                self.browser.press("button").await
            }
            Step::Await(selector) => self.browser.until_shown(selector).await,
        }
    }

    async fn open(&self, path: &str) -> Result<()> {
        self.browser.open_page(&self.address(path)).await
    }

    fn holder(&mut self, email: &str) -> Result<&mut Holder> {
        self.holders.get_mut(email).with_context(|| format!("{email} has no account"))
    }

    async fn use_account(&mut self, email: &'static str) -> Result<()> {
        let browser = self.browser;
        self.open("/").await?;
        if self.holder(email)?.resume(browser).await? {
            return Ok(());
        }
        if !self.holder(email)?.has_password() {
            let link = self.holder(email)?.link.clone();
            self.open(&link).await?;
            self.holder(email)?.choose_password(browser).await?;
        }
        self.open("/accounts/sign-in").await?;
        self.holder(email)?.sign_in(browser).await
    }

    async fn sign_in(&self, law: &str) -> Result<()> {
        self.open(&format!("/vote/{law}")).await?;
        self.send_credential().await
    }

    async fn send_credential(&self) -> Result<()> {
        let voter = self.voter.as_ref().context("no voter has signed in")?;
        self.browser.fill("nas", &voter.nas).await?;
        self.browser.fill("code", &voter.code).await?;
        self.browser.press(SUBMIT).await
    }

    async fn send_wrong_codes(&mut self, law: &str) -> Result<()> {
        const STATUS: &str = "return performance.getEntriesByType('navigation')[0].responseStatus;";
        let voter = self.voters.next(law)?;
        self.open(&format!("/vote/{law}")).await?;
        for _ in 0..WRONG_CODES_MAX {
            self.browser.fill("nas", &voter.nas).await?;
            self.browser.fill("code", WRONG_CODE).await?;
            self.browser.press(SUBMIT).await?;
            if self.browser.run(STATUS).await? == 429 {
                return Ok(());
            }
        }
        bail!("the node looked at {WRONG_CODES_MAX} wrong codes for one NAS");
    }

    fn address(&self, path: &str) -> String {
        format!("{}/{}{path}", self.url, self.language.code())
    }
}
