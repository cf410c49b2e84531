//! The paths of pages, after their language: the path that a link can open, and the path to which a
//! sign-in leads back.

use votekit_store::AccountRole;

use super::lang::Lang;

/// The first page of officials. Their other pages are below it.
const OFFICIALS: &str = "/officials";

/// The same of members.
const MEMBERS: &str = "/members";

/// The longest path to which a sign-in leads back, in bytes: more than the longest page has.
const RETURN_BYTES_MAX: usize = 200;

/// The path of the page that a `GET` opens, for the address of any request for a page.
pub(super) fn shown_path(address: &str) -> &str {
    let path = address.get(3..).filter(|path| !path.is_empty()).unwrap_or("/");
    match path {
        "/sign-out" => "/",
        "/session/extend" => "/session",
        "/receipts/check" => "/receipts",
        "/accounts/sign-out" | "/accounts/invitation" => "/accounts/sign-in",
        _ if path.starts_with("/officials/accounts/") => "/officials/accounts",
        // Of an election: targets of forms and downloads are not pages.
        _ if path.starts_with("/officials/elections/") && path.ends_with("/roll/files") => {
            path.strip_suffix("/files").unwrap_or(path)
        }
        _ => {
            let page = path.strip_suffix("/cast").or_else(|| path.strip_suffix("/bundle.zip"));
            page.unwrap_or(path)
        }
    }
}

/// The page to which a sign-in leads back: a page of officials or members; empty for the first page
/// of the role.
///
/// The path comes with an address that anyone can make. So it has neither a host nor a query, and
/// the redirect puts a language of this node before it: no text leads to another site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReturnPath(String);

impl ReturnPath {
    /// Reads the path of an address or a form. Any other text is the empty path.
    pub(crate) fn parse(text: &str) -> Self {
        let is_below = |first: &str| {
            text.strip_prefix(first).is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
        let is_page = text.len() <= RETURN_BYTES_MAX
            && (is_below(OFFICIALS) || is_below(MEMBERS))
            && text.bytes().all(is_plain)
            && !text.contains("//");
        Self(if is_page { text.to_owned() } else { String::new() })
    }

    /// The page of a request without a session, by its address. Its query is dropped, because it
    /// may contain values that must not be repeated.
    pub(crate) fn from_request(address: &str) -> Self {
        let path = shown_path(address);
        match path.split('/').collect::<Vec<_>>()[..] {
            // A download would leave the browser on the sign-in.
            ["", "officials", "elections", law, "results", _] => {
                Self::parse(&format!("/officials/elections/{law}"))
            }
            _ => Self::parse(path),
        }
    }

    /// The path; empty for the first page of the role.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The address of the sign-in that leads back to the page.
    pub(crate) fn sign_in_href(&self, lang: Lang) -> String {
        let query = if self.0.is_empty() { "" } else { "?next=" };
        format!("/{}/accounts/sign-in{query}{}", lang.code(), self.0)
    }

    /// The address of the page for an account with this role: its first page, if the path belongs
    /// to another role.
    pub(crate) fn href(&self, lang: Lang, role: AccountRole) -> String {
        let first = if role == AccountRole::Voter { MEMBERS } else { OFFICIALS };
        let path = if self.0.starts_with(first) { self.0.as_str() } else { first };
        format!("/{}{path}", lang.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_leads_back_to_a_page_of_the_role() {
        let role = AccountRole::Auditor;
        for (text, official, member) in [
            ("/officials/new", "/fr/officials/new", "/fr/members"),
            ("/officials/elections/L2025-001.b_c/open", "", "/fr/members"),
            ("/members/M2025-001", "/fr/officials", "/fr/members/M2025-001"),
            ("/officials", "/fr/officials", "/fr/members"),
            ("", "/fr/officials", "/fr/members"),
        ] {
            let path = ReturnPath::parse(text);
            let expected = if official.is_empty() { format!("/fr{text}") } else { official.into() };
            assert_eq!(path.href(Lang::Fr, role), expected, "{text}");
            assert_eq!(path.href(Lang::Fr, AccountRole::Voter), member, "{text}");
        }
    }

    #[test]
    fn no_other_address_is_led_back_to() {
        for text in [
            "https://evil.example/officials/new",
            "//evil.example/officials/new",
            "/\\evil.example",
            "\\/evil.example",
            "/officials//evil.example",
            "/officials/\\evil.example",
            "/officials.evil.example/",
            "/officials@evil.example/",
            "/officials/new?next=//evil.example",
            "/officials/%2f%2fevil.example",
            "/officials/a\r\nset-cookie: x=1",
            "/officials/\u{202e}",
            "/officials/ ",
            "officials/new",
            "/vote/L2025-001",
            "/static/page.js",
            "javascript:alert(1)",
            "/officials/",
            &format!("/officials/{}", "a".repeat(200)),
        ] {
            let path = ReturnPath::parse(text);
            assert_eq!(path, ReturnPath::default(), "{text}");
            assert_eq!(path.sign_in_href(Lang::En), "/en/accounts/sign-in", "{text}");
        }
    }

    #[test]
    fn a_request_is_led_back_to_the_page_that_a_link_can_open() {
        for (address, expected) in [
            ("/fr/officials", ""),
            ("/en/members", ""),
            ("/fr/officials/new", "/officials/new"),
            ("/en/officials/elections/L1/close", "/officials/elections/L1/close"),
            ("/en/officials/elections/L1/results/csv", "/officials/elections/L1"),
            ("/en/officials/elections/results/close", "/officials/elections/results/close"),
            ("/en/officials/elections/L1/bundle.zip", "/officials/elections/L1"),
            ("/fr/officials/elections/L1/roll/files", "/officials/elections/L1/roll"),
            ("/fr/officials/accounts/00ff/disable", "/officials/accounts"),
            ("/fr/officials/elections/%2f%2fevil.example/open", ""),
        ] {
            assert_eq!(ReturnPath::from_request(address).as_str(), expected, "{address}");
        }
        let path = ReturnPath::parse("/officials/new");
        assert_eq!(path.sign_in_href(Lang::Fr), "/fr/accounts/sign-in?next=/officials/new");
    }
}
