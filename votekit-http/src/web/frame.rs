//! The common parts of all pages: title, language, banner, menu, footer.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use votekit_node::{ElectionView, Node};

use super::account_session::AccountSession;
use super::assets;
use super::lang::Lang;
use super::page_path::ReturnPath;
use crate::published;
use crate::sessions::LIFETIME_SECONDS;

/// The characters that are encoded in a value of a query.
const QUERY_VALUE: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'@');

/// The part of a page around its content.
pub(crate) struct Frame {
    pub(crate) lang: Lang,
    pub(crate) title: String,
    /// Whether the title begins with the word for an error.
    pub(crate) is_error: bool,
    /// The path of the page after its language: the other language has the same page.
    pub(crate) path: String,
    /// The parameters of the address that the page reads, for the same page in the other language.
    pub(crate) query: String,
    /// Whether the page is about an election that is not binding.
    pub(crate) is_test: bool,
    /// Whether the page is not about a single election, and an election is not binding.
    pub(crate) has_tests: bool,
    pub(crate) organisation: String,
    pub(crate) contact: String,
    pub(crate) has_session: bool,
    pub(crate) session_seconds: u64,
    pub(crate) sign_out_token: String,
    pub(crate) extend_token: String,
    /// The session of the account for which the page is. Its warning replaces that of a ballot
    /// session, which ends at the same time, and the same button extends both.
    pub(crate) account: Option<AccountSession>,
    pub(crate) css: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) script: &'static str,
    /// The script of the pages of a session.
    pub(crate) session_script: &'static str,
}

impl Frame {
    /// The frame of a page that is about no single election.
    pub(crate) fn new(node: &Node, lang: Lang, title: &str, path: &str) -> Self {
        let pages = &node.config().pages;
        let organisation = match lang {
            Lang::Fr => &pages.organisation_fr,
            Lang::En => &pages.organisation_en,
        };
        Self {
            lang,
            title: title.to_owned(),
            is_error: false,
            path: path.to_owned(),
            query: String::new(),
            is_test: false,
            has_tests: published::elections(node).iter().any(|election| !election.binding),
            organisation: organisation.clone(),
            contact: pages.contact.clone(),
            has_session: false,
            session_seconds: LIFETIME_SECONDS,
            sign_out_token: String::new(),
            extend_token: String::new(),
            account: None,
            css: assets::style(),
            icon: assets::icon(),
            script: assets::page_script(),
            session_script: assets::session_script(),
        }
    }

    /// Makes the page one about this election.
    pub(crate) fn about(self, election: &ElectionView) -> Self {
        Self { is_test: !election.binding, has_tests: false, ..self }
    }

    /// Makes the page one for the holder of an account.
    pub(crate) fn for_account(self, account: AccountSession) -> Self {
        Self { account: Some(account), ..self }
    }

    /// Marks the page as a report of an error.
    pub(crate) fn with_error(self, is_error: bool) -> Self {
        Self { is_error, ..self }
    }

    /// Keeps a parameter of the address in the other language. A page names the parameters that it
    /// reads: other parts of an address may be a password or a NAS, and no page repeats them.
    pub(crate) fn keeping(self, name: &str, value: &str) -> Self {
        if value.is_empty() {
            return self;
        }
        let mark = if self.query.is_empty() { '?' } else { '&' };
        let value = utf8_percent_encode(value, QUERY_VALUE);
        Self { query: format!("{}{mark}{name}={value}", self.query), ..self }
    }

    /// The address of the sign-in that leads back to this page, if it is a page of officials.
    pub(crate) fn sign_in_href(&self) -> String {
        ReturnPath::parse(&self.path).sign_in_href(self.lang)
    }

    /// The address of the script that reads a personal link.
    pub(crate) fn link_script(&self) -> &'static str {
        assets::link_script()
    }

    /// When the session ends, for readers without a script that warns of it.
    pub(crate) fn session_note(&self) -> String {
        self.lang.session_note(self.session_seconds / 60)
    }

    /// The text of the banner, in the language of the page or in the other language.
    pub(crate) fn banner(&self, is_other: bool) -> &'static str {
        let lang = if is_other { self.lang.other() } else { self.lang };
        if self.is_test { lang.test_banner() } else { lang.test_banner_some() }
    }
}
