//! The session of an account on the pages of officials and members: when it ends, and the warning
//! before its end.

use super::assets;
use super::lang::Lang;

/// The time after its last request for which a session of the pages is valid.
const IDLE_SECONDS: u64 = 30 * 60;

/// The session behind a page.
pub(crate) struct AccountSession {
    pub(crate) seconds: u64,
    /// The address of the page that renews the session, for a script that asks for it.
    pub(crate) page: String,
    /// The effect of the end of the session on the typed values.
    pub(crate) detail: &'static str,
    /// The text once it has ended.
    pub(crate) over: &'static str,
    /// The script that warns before the end.
    pub(crate) script: &'static str,
}

impl AccountSession {
    /// The session of an official, whose pages have long forms.
    pub(crate) fn for_official(lang: Lang) -> Self {
        let texts = (lang.official_session_detail(), lang.official_session_over());
        Self::new(lang, "/officials", texts)
    }

    /// The session of a member. Its page renews the ballot session at the same browser too.
    pub(crate) fn for_member(lang: Lang) -> Self {
        let texts = (lang.session_warning_detail(), lang.member_session_over());
        Self::new(lang, "/members", texts)
    }

    fn new(lang: Lang, page: &str, (detail, over): (&'static str, &'static str)) -> Self {
        Self {
            seconds: IDLE_SECONDS,
            page: format!("/{}{page}", lang.code()),
            detail,
            over,
            script: assets::account_script(),
        }
    }
}
