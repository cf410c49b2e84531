//! People with accounts: the one-time link, the password, the second factor, and the session of the
//! pages, which outlives a state.

use std::collections::HashMap;

use anyhow::{Context as _, Result, ensure};
use fantoccini::cookies::Cookie;
use serde::Deserialize;

use crate::browser::Browser;
use crate::steps::SUBMIT;

/// The administrator whom the demo has invited.
pub(crate) const OFFICIAL: &str = "official@example.com";

/// The member whom the demo has invited, to vote in its election M2025-001.
pub(crate) const MEMBER: &str = "alice@example.com";

const PASSWORD: &str = "nuage fenêtre tortue lundi 47";

const TOTP: &str = include_str!("scripts/totp.js");

/// Names of cookies of accounts, with and without TLS.
const COOKIES: [&str; 2] = ["votekit-account-local", "__Host-votekit-account"];

/// A person with an account.
pub(crate) struct Holder {
    email: String,
    /// The path of the one-time link, without its language.
    pub(crate) link: String,
    has_password: bool,
    recovery_codes: Vec<String>,
    session: Option<Cookie<'static>>,
}

/// An account as the demo reports it.
#[derive(Deserialize)]
pub(crate) struct Invited {
    pub(crate) email: String,
    pub(crate) link: String,
}

/// The people whom the demo has invited, by their e-mail addresses.
pub(crate) fn holders(invited: &[Invited]) -> Result<HashMap<String, Holder>> {
    let mut holders = HashMap::new();
    for account in invited {
        holders.insert(account.email.clone(), Holder::new(account)?);
    }
    Ok(holders)
}

impl Holder {
    /// A person who has a link and has not followed it.
    fn new(invited: &Invited) -> Result<Self> {
        let (_, link) = invited.link.split_once("/fr/").context("a link to a page in French")?;
        Ok(Self {
            email: invited.email.clone(),
            link: format!("/{link}"),
            has_password: false,
            recovery_codes: Vec::new(),
            session: None,
        })
    }

    /// Whether the link was followed.
    pub(crate) fn has_password(&self) -> bool {
        self.has_password
    }

    /// Chooses the password on the page of the link, and sets up the second factor that an official
    /// must have.
    pub(crate) async fn choose_password(&mut self, browser: &Browser) -> Result<()> {
        const CODES: &str =
            "return [...document.querySelectorAll('.recovery-codes li')].map(li => li.innerText);";
        browser.fill("password", PASSWORD).await?;
        browser.fill("repeat", PASSWORD).await?;
        if self.email == OFFICIAL {
            let code = browser.run_async(TOTP, Vec::new()).await?;
            browser.fill("code", code.as_str().context("a code")?).await?;
        }
        browser.press(SUBMIT).await?;
        self.recovery_codes = serde_json::from_value(browser.run(CODES).await?)?;
        ensure!(self.recovery_codes.is_empty() != (self.email == OFFICIAL), "recovery codes");
        self.has_password = true;
        Ok(())
    }

    /// Signs in on the page for that, with a recovery code: each code of the app is used once, and
    /// the next one comes after half a minute.
    pub(crate) async fn sign_in(&mut self, browser: &Browser) -> Result<()> {
        browser.fill("email", &self.email).await?;
        browser.fill("password", PASSWORD).await?;
        if let Some(code) = self.recovery_codes.pop() {
            browser.fill("code", &code).await?;
        }
        browser.press(SUBMIT).await?;
        let cookies = browser.cookies().await?;
        let session = cookies.into_iter().find(|cookie| COOKIES.contains(&cookie.name()));
        self.session = Some(session.context("no session begins")?);
        Ok(())
    }

    /// Brings the session back into a browser that has forgotten it, on a page of the node.
    pub(crate) async fn resume(&self, browser: &Browser) -> Result<bool> {
        let Some(session) = &self.session else { return Ok(false) };
        browser.client.add_cookie(session.clone()).await?;
        Ok(true)
    }
}
