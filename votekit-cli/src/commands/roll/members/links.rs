//! The personal links of members, as a table for a mail merge.

use std::fmt::Write as _;
use std::str::FromStr;

use votekit_core::export::csv::escape_formula;
use votekit_core::id::ElectionId;
use votekit_core::roll::{MemberList, MemberRow};
use zeroize::Zeroizing;

use super::credentials::Drawn;
use crate::error::CommandError;

/// The language of the page that a link opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LinkLang {
    Fr,
    En,
}

/// The address of the pages, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PagesUrl(String);

/// The common parts of all links.
pub(super) struct LinkForm<'a> {
    pub(super) url: &'a PagesUrl,
    pub(super) lang: LinkLang,
    pub(super) laws: &'a [ElectionId],
}

impl LinkForm<'_> {
    /// The links: one row a member, with one link a law.
    pub(super) fn table(
        &self,
        list: &MemberList,
        drawn: &[Drawn],
    ) -> Result<Zeroizing<Vec<u8>>, CommandError> {
        let failed = |error: String| CommandError::internal(format!("cannot make links: {error}"));
        let mut writer =
            csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        let mut write = |row: &[Zeroizing<String>]| {
            let fields = row.iter().map(|field| field.as_bytes());
            writer.write_record(fields).map_err(|error| failed(error.to_string()))
        };
        let column = |law: &ElectionId| match self.laws.len() {
            1 => "link".to_owned(),
            _ => format!("link_{law}"),
        };
        let named = [list.has_ids.then_some("id"), Some("email"), Some("name")];
        let named = named.into_iter().flatten().map(str::to_owned);
        let header: Vec<_> =
            named.chain(self.laws.iter().map(column)).map(Zeroizing::new).collect();
        write(&header)?;
        for (member, drawn) in list.members.iter().zip(drawn) {
            let mut row = cells(member, list.has_ids);
            row.extend(self.laws.iter().map(|law| self.link(law, drawn)));
            write(&row)?;
        }
        let rows = Zeroizing::new(writer.into_inner().map_err(|error| failed(error.to_string()))?);
        // The byte-order mark makes spreadsheets read the file as UTF-8.
        Ok(Zeroizing::new([&b"\xef\xbb\xbf"[..], rows.as_slice()].concat()))
    }

    fn link(&self, law: &ElectionId, drawn: &Drawn) -> Zeroizing<String> {
        let (PagesUrl(url), lang) = (self.url, self.lang.code());
        let mut link = Zeroizing::new(String::with_capacity(url.len() + 128));
        link.push_str(url);
        // Writing to a text does not fail.
        let _ = write!(link, "/{lang}/vote/{law}#c=");
        link.extend(drawn.number.iter().map(|digit| char::from(*digit)));
        link.push('-');
        link.push_str(&drawn.code);
        link
    }
}

fn cells(member: &MemberRow, has_ids: bool) -> Vec<Zeroizing<String>> {
    let email = member.email.as_ref().map_or("", |email| email.as_str());
    let cells = [has_ids.then_some(member.id.as_str()), Some(email), Some(member.name.as_str())];
    cells
        .into_iter()
        .flatten()
        .map(|cell| Zeroizing::new(escape_formula(cell).into_owned()))
        .collect()
}

impl LinkLang {
    fn code(self) -> &'static str {
        match self {
            Self::Fr => "fr",
            Self::En => "en",
        }
    }
}

impl FromStr for PagesUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "give scheme and host of the pages, such as https://vote.example.ca";
        const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
        let text = text.strip_suffix('/').unwrap_or(text);
        let (scheme, host) = text.split_once("://").ok_or(FORM)?;
        let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_of_host) {
            return Err(FORM);
        }
        let is_local = LOCAL.iter().any(|local| {
            host.strip_prefix(local).is_some_and(|port| port.is_empty() || port.starts_with(':'))
        });
        match scheme {
            "https" => Ok(Self(text.to_owned())),
            "http" if is_local => Ok(Self(text.to_owned())),
            "http" => Err("the pages must be served over https: a code is typed there"),
            _ => Err(FORM),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_pages_is_scheme_and_host() {
        for (text, address) in [
            ("https://vote.example.ca/", "https://vote.example.ca"),
            ("https://vote.example.ca:8443", "https://vote.example.ca:8443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ] {
            assert_eq!(text.parse(), Ok(PagesUrl(address.to_owned())));
        }
        for wrong in [
            "vote.example.ca",
            "https://",
            "https://a/b",
            "https://a?b",
            "https://a#b",
            "https://user@a",
            "ftp://a",
            "http://vote.example.ca",
            "http://localhost.example.ca",
        ] {
            assert!(wrong.parse::<PagesUrl>().is_err(), "{wrong}");
        }
    }
}
