//! `votekit roll members`: credentials for an association that has members and no electoral roll.

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;
use votekit_core::credential::AccessCode;
use votekit_core::export::csv::inert;
use votekit_core::id::ElectionId;
use votekit_core::roll::{MemberList, MemberRow, read_members};
use zeroize::Zeroizing;

use super::{ELECTORS_MAX, FREE_NUMBERS, refuse_repeated, unissued};
use crate::atomic_output::{Secrecy, StagedFolder, refuse_occupied};
use crate::context::Context;
use crate::error::CommandError;
use crate::interruption;
use crate::table_error::{self, BadRows, plural};

/// Draw credentials for the members of an association, on an offline machine
///
/// For an association that has members and no electoral roll. Each member gets a number of nine
/// digits, in the place of a NAS, and an access code, both from the machine's random numbers. The
/// number starts with 0, so that it is never a NAS that was issued; its check digit is right. The
/// code has none of the characters 0, 1, I, L and O, which are easily confused.
///
/// The list is a CSV file in UTF-8, with commas, whose first line names the columns: email, name,
/// id, at least one of them. Every row is checked; any bad row is reported with its line, and
/// nothing is written.
///
/// The output is a folder with two files that only you can read. roll.csv is an electoral roll for
/// `votekit hashgen`. links.csv has the personal link of each member, for a letter or a mail merge:
/// number and code stand behind the '#', which browsers send to no server. Anyone who has a link
/// can vote with it: delete links.csv once the links are sent. Cells that a spreadsheet would run
/// as a formula begin with an apostrophe.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit roll members members.csv --law BUDGET-2026 --url https://vote.example.ca --out members
  votekit hashgen members/roll.csv --out hashes --pepper-file assembly.pepper

  Two questions, and pages in English; each member gets one link a question:
    votekit roll members members.csv --law BUDGET-2026 --law BYLAW-7 --lang en \
    --url https://vote.example.ca --out members")]
pub(super) struct MembersArgs {
    /// List of members; '-' reads standard input
    #[arg(value_name = "MEMBERS.csv")]
    list: PathBuf,

    /// Law they vote on; may be repeated
    #[arg(long = "law", value_name = "ID", required = true)]
    laws: Vec<ElectionId>,

    /// Address of the pages on which they vote, such as https://vote.example.ca
    #[arg(long, value_name = "URL")]
    url: PagesUrl,

    /// Language of the page that a link opens
    #[arg(long, value_enum, default_value_t = LinkLang::Fr)]
    lang: LinkLang,

    /// Characters of each access code
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u8).range(8..=AccessCode::LENGTH_MAX as i64))]
    code_length: u8,

    /// Folder to create; must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LinkLang {
    Fr,
    En,
}

/// The address of the pages, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PagesUrl(String);

/// The characters of a code: none is easily taken for another.
const ALPHABET: &[u8; 31] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";

/// Members of one list. With more, numbers that are still free would become rare.
const MEMBERS_MAX: usize = ELECTORS_MAX as usize / 2;

/// Number and code of one member.
struct Drawn {
    number: [u8; 9],
    code: Zeroizing<String>,
}

/// Runs `votekit roll members`.
pub(super) fn run(args: &MembersArgs, context: &Context) -> Result<(), CommandError> {
    refuse_repeated(&args.laws)?;
    refuse_occupied(&args.out)?;
    interruption::sweep_when_interrupted()?;
    let list = read(&args.list)?;
    let drawn = draw(list.members.len(), usize::from(args.code_length))?;
    let (roll, links) = (roll(&drawn, &args.laws), links(args, &list, &drawn)?);
    let folder = StagedFolder::create(&args.out)?;
    folder.write_as("roll.csv", Secrecy::Private, &roll)?;
    folder.write_as("links.csv", Secrecy::Private, &links)?;
    folder.commit()?;
    context.output.result(&Report {
        members: list.members.len() as u64,
        laws: args.laws.clone(),
        roll: args.out.join("roll.csv"),
        links: args.out.join("links.csv"),
    })
}

/// Reads the whole list. Fails if any row is bad.
fn read(path: &Path) -> Result<MemberList, CommandError> {
    let is_stdin = path.as_os_str() == "-";
    let name = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
    let list = if is_stdin {
        read_members(io::stdin().lock())
    } else {
        let file = File::open(path).map_err(|error| CommandError::reading(path, &error))?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(CommandError::bad_input(format!("cannot read {name}: it is a folder")));
        }
        read_members(file)
    };
    let list = list.map_err(|error| table_error::unreadable(&name, &error))?;
    let files = [(name.as_str(), list.faults.as_slice())];
    let hint = "correct these rows";
    BadRows { files: &files, outcome: "nothing was written", hint }.refuse()?;
    match list.members.len() {
        0 => Err(CommandError::bad_input(format!("{name}: the list has a header but no member"))),
        count if count > MEMBERS_MAX => Err(CommandError::bad_input(format!(
            "{name}: {count} members are more than the maximum of {MEMBERS_MAX}"
        ))),
        _ => Ok(list),
    }
}

fn draw(members: usize, code_length: usize) -> Result<Vec<Drawn>, CommandError> {
    let mut known = HashSet::with_capacity(members);
    let mut drawn = Vec::with_capacity(members);
    while drawn.len() < members {
        let free = free_digits()?;
        // Nine zeros are left out: `hashgen --check-digit` refuses them.
        if free != 0 && known.insert(free) {
            drawn.push(Drawn { number: unissued(free), code: code(code_length)? });
        }
    }
    Ok(drawn)
}

/// Seven random digits, as a number.
fn free_digits() -> Result<u64, CommandError> {
    /// Random numbers from here on are drawn again: with them, small digits would be more likely.
    const EVEN_BELOW: u64 = (1 << 32) / FREE_NUMBERS * FREE_NUMBERS;
    loop {
        let random = u64::from(u32::from_be_bytes(*random_bytes::<4>()?));
        if random < EVEN_BELOW {
            return Ok(random % FREE_NUMBERS);
        }
    }
}

fn code(length: usize) -> Result<Zeroizing<String>, CommandError> {
    /// Random bytes from here on are skipped, as in [`free_digits`].
    const EVEN_BELOW: usize = 256 / ALPHABET.len() * ALPHABET.len();
    // Long enough from the start: no shorter copy of it is left in memory.
    let mut code = Zeroizing::new(String::with_capacity(length));
    loop {
        for byte in random_bytes::<32>()?.iter().map(|byte| usize::from(*byte)) {
            if code.len() == length {
                return Ok(code);
            }
            if byte < EVEN_BELOW {
                code.push(char::from(ALPHABET[byte % ALPHABET.len()]));
            }
        }
    }
}

fn random_bytes<const N: usize>() -> Result<Zeroizing<[u8; N]>, CommandError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|error| {
        CommandError::configuration(format!("the system returned no random numbers: {error}"))
    })?;
    Ok(bytes)
}

/// The electoral roll: one row a member and law, in the order of the list.
fn roll(drawn: &[Drawn], laws: &[ElectionId]) -> Zeroizing<Vec<u8>> {
    let mut rows = Zeroizing::new(b"nas,code,law_id\n".to_vec());
    for Drawn { number, code } in drawn {
        for law in laws {
            for part in [number.as_slice(), b",", code.as_bytes(), b",", law.as_str().as_bytes()] {
                rows.extend_from_slice(part);
            }
            rows.push(b'\n');
        }
    }
    rows
}

/// The links: one row a member, with one link a law.
fn links(
    args: &MembersArgs,
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
    let column = |law: &ElectionId| match args.laws.len() {
        1 => "link".to_owned(),
        _ => format!("link_{law}"),
    };
    let named = [list.has_ids.then_some("id"), Some("email"), Some("name")];
    let named = named.into_iter().flatten().map(str::to_owned);
    let header: Vec<_> = named.chain(args.laws.iter().map(column)).map(Zeroizing::new).collect();
    write(&header)?;
    for (member, drawn) in list.members.iter().zip(drawn) {
        let mut row = cells(member, list.has_ids);
        row.extend(args.laws.iter().map(|law| link(args, law, drawn)));
        write(&row)?;
    }
    let rows = Zeroizing::new(writer.into_inner().map_err(|error| failed(error.to_string()))?);
    // The byte-order mark makes spreadsheets read the file in the encoding of the list.
    let mark: &[u8] = if list.has_mark { b"\xef\xbb\xbf" } else { b"" };
    Ok(Zeroizing::new([mark, rows.as_slice()].concat()))
}

fn cells(member: &MemberRow, has_ids: bool) -> Vec<Zeroizing<String>> {
    let email = member.email.as_ref().map_or("", |email| email.as_str());
    let cells = [has_ids.then_some(member.id.as_str()), Some(email), Some(member.name.as_str())];
    cells.into_iter().flatten().map(|cell| Zeroizing::new(inert(cell).into_owned())).collect()
}

fn link(args: &MembersArgs, law: &ElectionId, drawn: &Drawn) -> Zeroizing<String> {
    let (PagesUrl(url), lang) = (&args.url, args.lang.code());
    let mut link = Zeroizing::new(String::with_capacity(url.len() + 128));
    link.push_str(url);
    // Writing to a text does not fail.
    let _ = write!(link, "/{lang}/vote/{law}#c=");
    link.extend(drawn.number.iter().map(|digit| char::from(*digit)));
    link.push('-');
    link.push_str(&drawn.code);
    link
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

#[derive(Serialize)]
struct Report {
    members: u64,
    laws: Vec<ElectionId>,
    roll: PathBuf,
    links: PathBuf,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (members, laws) = (self.members, self.laws.len() as u64);
        let (roll, links) = (self.roll.display(), self.links.display());
        writeln!(
            formatter,
            "{members} {}, {laws} {}",
            plural(members, "member"),
            plural(laws, "law")
        )?;
        writeln!(
            formatter,
            "wrote {roll}: hash it with 'votekit hashgen {roll} --out hashes --pepper-file PEPPER'"
        )?;
        writeln!(
            formatter,
            "wrote {links}: it holds secrets; send the links, then delete it, and tell members to \
             pass theirs to no one"
        )
    }
}

#[cfg(test)]
mod tests {
    use votekit_core::credential::Nas;

    use super::*;

    #[test]
    fn numbers_are_distinct_and_never_issued() {
        let drawn = draw(20_000, 8).expect("random numbers");
        let numbers: HashSet<_> = drawn.iter().map(|drawn| drawn.number).collect();
        assert_eq!(numbers.len(), 20_000);
        for number in numbers {
            assert_eq!(number[0], b'0');
            assert_eq!(Nas::parse(&number).expect("nine digits").check_issued(), Ok(()));
        }
    }

    #[test]
    fn codes_use_the_whole_alphabet_evenly_and_nothing_else() {
        let drawn = draw(2_000, 31).expect("random numbers");
        let mut counts = [0_u32; 31];
        for character in drawn.iter().flat_map(|drawn| drawn.code.bytes()) {
            let place = ALPHABET.iter().position(|known| *known == character);
            counts[place.expect("of the alphabet")] += 1;
        }
        // Each is expected 2,000 times; a deviation of 300 is one of more than six sigma.
        assert!(counts.iter().all(|count| (1_700..2_300).contains(count)), "{counts:?}");
        assert!(drawn.iter().all(|drawn| drawn.code.len() == 31));
    }

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
