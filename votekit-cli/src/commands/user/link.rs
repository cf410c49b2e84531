//! One-time links, and how they reach the official who passes them on: printed, or in a file.

use std::fmt;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use serde::Serialize;
use votekit_core::export::csv::inert;
use votekit_core::instant::UnixSeconds;
use votekit_store::{Account, Invitation, clock};
use zeroize::Zeroizing;

use crate::atomic_output::{Secrecy, StagedFile};
use crate::context::Context;
use crate::error::CommandError;
use crate::output::plain;
use crate::table_error::plural;

/// Path of the page on which the holder of a link chooses a password.
const PAGE: &str = "/fr/accounts/invitation";

/// Bytes of a token.
const TOKEN_BYTES: usize = 32;

/// Links: the address they begin with, how long they are valid, and where they are written
#[derive(Debug, Clone, clap::Args)]
pub(super) struct LinkArgs {
    /// Address of the pages, with which the links begin, such as https://vote.example.org
    #[arg(
        long, value_name = "URL", default_value = "http://127.0.0.1:8080",
        value_parser = BaseUrl::parse
    )]
    url: BaseUrl,

    /// Hours for which the links are valid
    #[arg(
        long, value_name = "N", default_value_t = 72,
        value_parser = clap::value_parser!(u64).range(1..=720)
    )]
    hours: u64,

    /// Write the links to a new CSV file that only you can read, with the columns email, role, link
    /// and expires; they are not printed then
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// The address of the pages, without a slash at its end.
#[derive(Debug, Clone)]
struct BaseUrl {
    text: String,
    is_encrypted: bool,
    /// Whether it leads to the machine on which it is opened.
    is_local: bool,
}

impl BaseUrl {
    fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        let has_more = url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty()
            || url.password().is_some();
        let Some(host) = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")) else {
            return Err("expected http:// or https:// and a host".to_owned());
        };
        if has_more {
            return Err("expected no user, no query and no fragment".to_owned());
        }
        let host = host.trim_matches(['[', ']']);
        let is_here =
            host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        Ok(Self {
            text: url.as_str().trim_end_matches('/').to_owned(),
            is_encrypted: url.scheme() == "https",
            is_local: is_here,
        })
    }
}

/// A link that was made for one account.
pub(super) struct Link {
    url: String,
    pub(super) invitation: Invitation,
}

/// A link with its account, as printed.
#[derive(Serialize)]
pub(super) struct Invited {
    email: String,
    role: &'static str,
    /// Absent from the output when it is in the file.
    link: Option<String>,
    expires: String,
}

/// The links that were made, and the file that has them.
#[derive(Serialize)]
pub(super) struct Report {
    accounts: Vec<Invited>,
    csv: Option<PathBuf>,
}

impl LinkArgs {
    /// Makes a link with a random token, valid from now on.
    pub(super) fn make(&self) -> Result<Link, CommandError> {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|error| {
            CommandError::configuration(format!("the system returned no random numbers: {error}"))
        })?;
        let token = URL_SAFE_NO_PAD.encode(bytes.as_slice());
        let expires = clock::now().seconds().0.saturating_add(self.hours * 3600);
        let invitation =
            Invitation { token: Invitation::digest_of(&token), expires: UnixSeconds(expires) };
        Ok(Link { url: format!("{}{PAGE}?token={token}", self.url.text), invitation })
    }

    /// Warns of links that work on one machine alone, or that others could read on their way.
    pub(super) fn warn(&self, context: &Context) {
        let rule = match self.url {
            BaseUrl { is_local: true, .. } => "leads to the machine on which it is opened",
            BaseUrl { is_encrypted: false, .. } => "is not encrypted: others could use the links",
            _ => return,
        };
        context.output.warning(format_args!(
            "{} {rule}; give the https:// address of the pages with --url",
            plain(&self.url.text)
        ));
    }

    /// Writes the file of links, which appears when it is committed.
    pub(super) fn stage(&self, invited: &[Invited]) -> Result<Option<StagedFile>, CommandError> {
        let Some(path) = &self.csv else { return Ok(None) };
        let mut file = StagedFile::create(path, Secrecy::Private)?;
        file.write_all(&to_csv(invited)?).map_err(|error| CommandError::writing(path, &error))?;
        Ok(Some(file))
    }

    /// Lets the file appear, once the accounts have the links.
    pub(super) fn finish(
        &self,
        file: Option<StagedFile>,
        mut accounts: Vec<Invited>,
    ) -> Result<Report, CommandError> {
        if let Some(file) = file {
            file.commit().map_err(|error| {
                error.hint(
                    "the accounts were stored, and their links are lost: give each a new one with \
                     `votekit user reset`",
                )
            })?;
            accounts.iter_mut().for_each(|invited| invited.link = None);
        }
        Ok(Report { accounts, csv: self.csv.clone() })
    }
}

impl Invited {
    pub(super) fn new(account: &Account, link: &Link) -> Self {
        Self {
            email: account.email.clone(),
            role: account.role.as_str(),
            link: Some(link.url.clone()),
            expires: link.invitation.expires.to_rfc3339(),
        }
    }
}

fn to_csv(invited: &[Invited]) -> Result<Vec<u8>, anyhow::Error> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(["email", "role", "link", "expires"])?;
    for Invited { email, role, link, expires } in invited {
        let (email, link) = (inert(email), inert(link.as_deref().unwrap_or_default()));
        writer.write_record([&*email, *role, &*link, expires.as_str()])?;
    }
    Ok(writer.into_inner()?)
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Invited { email, role, link, expires } in &self.accounts {
            if let Some(link) = link {
                writeln!(formatter, "{} ({role}), until {expires}:\n  {link}", plain(email))?;
            }
        }
        match &self.csv {
            None => Ok(()),
            Some(path) => {
                let count = self.accounts.len();
                let links = plural(count as u64, "link");
                writeln!(formatter, "{count} {links} written to {}", path.display())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_the_address_of_pages() {
        for (text, base, is_encrypted, is_local) in [
            ("https://vote.example.org", "https://vote.example.org", true, false),
            ("https://vote.example.org/", "https://vote.example.org", true, false),
            ("https://example.org/vote/", "https://example.org/vote", true, false),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", false, true),
            ("http://[::1]:8080", "http://[::1]:8080", false, true),
            ("http://vote.example.org", "http://vote.example.org", false, false),
        ] {
            let url = BaseUrl::parse(text).expect(text);
            let found = (url.text.as_str(), url.is_encrypted, url.is_local);
            assert_eq!(found, (base, is_encrypted, is_local));
        }
        for text in [
            "vote.example.org",
            "ftp://example.org",
            "https://a@example.org",
            "https://example.org?a",
            "https://example.org#a",
            "mailto:a@example.org",
        ] {
            assert!(BaseUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_cell_is_a_formula() {
        let invited = Invited {
            email: "=cmd|' /c calc'!a@example.org".to_owned(),
            role: "auditor",
            link: Some("https://vote.example.org/?token=-a".to_owned()),
            expires: "2026-11-21T08:00:00Z".to_owned(),
        };
        let text = String::from_utf8(to_csv(&[invited]).expect("written")).expect("UTF-8");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "email,role,link,expires");
        assert!(lines[1].starts_with("'=cmd|"), "{}", lines[1]);
    }
}
