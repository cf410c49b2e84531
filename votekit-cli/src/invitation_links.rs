//! One-time links of accounts, and how they reach the person who passes them on: printed, or in a
//! file.

use std::fmt;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::Serialize;
use votekit_core::export::csv::escape_formula;
use votekit_node::MemberInvitation;
use votekit_node::accounts::OneTimeLink;
use votekit_store::{Account, AccountRole};

use crate::atomic_output::{Secrecy, StagedFile};
use crate::context::Context;
use crate::error::CommandError;
use crate::output::plain;
use crate::table_error::plural;

/// Begins a file of links: spreadsheets then read it as UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The language of the page that a link opens; the page links to the other language.
const LANG: &str = "fr";

/// Where the links lead to, and where they are written
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LinkArgs {
    /// Address of the pages, with which the links begin, such as `https://vote.example.org`
    /// [default: `http://127.0.0.1:8080`]
    #[arg(long, value_name = "URL", value_parser = BaseUrl::parse)]
    url: Option<BaseUrl>,

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
        let is_local =
            host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        Ok(Self {
            text: url.as_str().trim_end_matches('/').to_owned(),
            is_encrypted: url.scheme() == "https",
            is_local,
        })
    }
}

/// The pages of a node that was started without options, on this machine.
impl Default for BaseUrl {
    fn default() -> Self {
        let text = "http://127.0.0.1:8080".to_owned();
        Self { text, is_encrypted: false, is_local: true }
    }
}

/// A link with its account, as printed.
#[derive(Serialize)]
pub(crate) struct Invited {
    email: String,
    role: &'static str,
    /// Absent from the output when it is in the file.
    link: Option<String>,
    expires: String,
}

/// The links that were made, and the file that has them.
#[derive(Serialize)]
pub(crate) struct Report {
    accounts: Vec<Invited>,
    csv: Option<PathBuf>,
}

impl LinkArgs {
    /// Whether an option was given: they have no effect without links.
    pub(crate) fn is_given(&self) -> bool {
        self.url.is_some() || self.csv.is_some()
    }

    /// Warns of links that work only on one machine, or that others could read on their way.
    pub(crate) fn warn(&self, context: &Context) {
        let url = self.base();
        let rule = match url {
            BaseUrl { is_local: true, .. } => "leads to the machine on which it is opened",
            BaseUrl { is_encrypted: false, .. } => "is not encrypted: others could use the links",
            _ => return,
        };
        context.output.warning(format_args!(
            "{} {rule}; give the https:// address of the pages with --url",
            plain(&url.text)
        ));
    }

    /// The link of an account.
    pub(crate) fn invited(&self, account: &Account, link: &OneTimeLink) -> Invited {
        Invited {
            email: account.email.clone(),
            role: account.role.as_str(),
            link: Some(self.absolute(&link.path(LANG))),
            expires: link.expires.to_rfc3339(),
        }
    }

    /// The link of a member, whose account a node has made.
    pub(crate) fn invited_member(&self, invitation: MemberInvitation) -> Invited {
        Invited {
            role: AccountRole::Voter.as_str(),
            link: Some(self.absolute(&invitation.path)),
            email: invitation.email,
            expires: invitation.expires,
        }
    }

    /// Writes the file of links, which appears when it is committed.
    pub(crate) fn stage(&self, invited: &[Invited]) -> Result<Option<StagedFile>, CommandError> {
        let Some(mut file) = self.create()? else { return Ok(None) };
        self.write(&mut file, invited)?;
        Ok(Some(file))
    }

    /// Creates the file of links, before there are any: a file that cannot be created is reported
    /// while nothing has changed.
    pub(crate) fn create(&self) -> Result<Option<StagedFile>, CommandError> {
        self.csv.as_deref().map(|path| StagedFile::create(path, Secrecy::Private)).transpose()
    }

    /// Writes the links to the file that was created.
    pub(crate) fn fill(
        &self,
        file: Option<StagedFile>,
        accounts: Vec<Invited>,
    ) -> Result<Report, CommandError> {
        let Some(mut file) = file else { return self.finish(None, accounts) };
        self.write(&mut file, &accounts).map_err(lost)?;
        self.finish(Some(file), accounts)
    }

    /// Lets the file appear, once the accounts have the links.
    pub(crate) fn finish(
        &self,
        file: Option<StagedFile>,
        mut accounts: Vec<Invited>,
    ) -> Result<Report, CommandError> {
        if let Some(file) = file {
            file.commit().map_err(lost)?;
            accounts.iter_mut().for_each(|invited| invited.link = None);
        }
        Ok(Report { accounts, csv: self.csv.clone() })
    }

    fn write(&self, file: &mut StagedFile, invited: &[Invited]) -> Result<(), CommandError> {
        let path = self.csv.as_deref().unwrap_or(Path::new(""));
        file.write_all(&to_csv(invited)?).map_err(|error| CommandError::writing(path, &error))
    }

    fn base(&self) -> BaseUrl {
        self.url.clone().unwrap_or_default()
    }

    fn absolute(&self, path: &str) -> String {
        format!("{}{path}", self.base().text)
    }
}

/// Adds advice about accounts whose links were not written.
fn lost(error: CommandError) -> CommandError {
    error.hint(
        "the accounts were stored, and their links are lost: give each a new one with `votekit \
         user reset`",
    )
}

fn to_csv(invited: &[Invited]) -> Result<Vec<u8>, anyhow::Error> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(BYTE_ORDER_MARK.to_vec());
    writer.write_record(["email", "role", "link", "expires"])?;
    for Invited { email, role, link, expires } in invited {
        let (email, link) =
            (escape_formula(email), escape_formula(link.as_deref().unwrap_or_default()));
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
        assert_eq!(lines[0], "\u{feff}email,role,link,expires");
        assert!(lines[1].starts_with("'=cmd|"), "{}", lines[1]);
    }
}
