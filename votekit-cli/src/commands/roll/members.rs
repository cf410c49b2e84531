//! `votekit roll members`: credentials for an association that has members and no electoral roll.

mod credentials;
mod links;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use votekit_core::credential::AccessCode;
use votekit_core::id::ElectionId;
use votekit_core::roll::{MemberList, read_members};

use self::credentials::{MEMBERS_MAX, draw, roll};
use self::links::{LinkForm, LinkLang, PagesUrl};
use super::refuse_repeated;
use crate::argument;
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
/// The list is a CSV file in UTF-8, with commas or semicolons, whose first line names the columns:
/// email, name, id, at least one of them. Every row is checked; any bad row is reported with its
/// line, and nothing is written.
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
    #[arg(
        long = "law", value_name = "ID", required = true,
        value_parser = argument::parse::<ElectionId>
    )]
    laws: Vec<ElectionId>,

    /// Address of the pages on which they vote, such as `https://vote.example.ca`
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

/// Runs `votekit roll members`.
pub(super) fn run(args: &MembersArgs, context: &Context) -> Result<(), CommandError> {
    refuse_repeated(&args.laws)?;
    refuse_occupied(&args.out)?;
    interruption::sweep_when_interrupted()?;
    let list = read(&args.list)?;
    let drawn = draw(list.members.len(), usize::from(args.code_length))?;
    let form = LinkForm { url: &args.url, lang: args.lang, laws: &args.laws };
    let (roll, links) = (roll(&drawn, &args.laws), form.table(&list, &drawn)?);
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

/// Reads the whole list, if there are enough numbers for its credentials.
fn read(path: &Path) -> Result<MemberList, CommandError> {
    let (name, list) = read_list(path, "nothing was written")?;
    let count = list.members.len();
    if count > MEMBERS_MAX {
        let message = format!("{name}: {count} members are more than the maximum of {MEMBERS_MAX}");
        return Err(CommandError::bad_input(message));
    }
    Ok(list)
}

/// Reads a whole list of members, and returns the name of the file with it. Fails if any row is
/// bad, or there is none; `outcome` states the consequence.
pub(in crate::commands) fn read_list(
    path: &Path,
    outcome: &str,
) -> Result<(String, MemberList), CommandError> {
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
    BadRows { files: &files, outcome, hint }.refuse()?;
    if list.members.is_empty() {
        let message = format!("{name}: the list has a header but no member");
        return Err(CommandError::bad_input(message));
    }
    Ok((name, list))
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
