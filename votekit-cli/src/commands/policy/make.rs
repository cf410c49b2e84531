//! `votekit policy make`.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use serde::Serialize;
use votekit_core::authority::{
    AuthorityMember, AuthoritySet, AuthoritySetError, AuthoritySetRule, SetWitness,
};
use votekit_core::log::note::KeyName;
use votekit_messages::InWords as _;

use super::LINE_HINT;
use crate::argument;
use crate::atomic_output::{Secrecy, write_new};
use crate::context::Context;
use crate::error::CommandError;

/// Make the file of the authorities from their lines
///
/// Each line is made on the machine of its authority by `votekit authority keygen`. A file may have
/// several lines; lines that begin with '#' are ignored, and a line `base NAME` is compared with
/// --base. The order of the lines is that of the file.
///
/// The quorum is the number of authorities that must accept and sign every block: more than half of
/// them. With four authorities and a quorum of three, one may be down, and a false decision needs
/// three that lie.
///
/// With --witness the file names outside witnesses: servers of others that run C2SP tlog-witness.
/// They cosign the head of every log too, and a result is certified once enough of them have. Each
/// is fed by one authority, whose log key it is configured with: `votekit witness request` prints
/// what its operator needs.
///
/// The command prints the SHA-256 of the file. Copy the file to DATA/authorities on every machine,
/// and compare the fingerprint there with `votekit authority show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit policy make --quorum 3 --base elections.example.ca a.line b.line c.line d.line
  votekit policy make --quorum 2 --base elections.example.ca -o authorities lines.txt
  votekit policy make --quorum 3 --base elections.example.ca --witness-quorum 1 \\
    --witness north=witness.example+1a2b3c4d+BA...,https://witness.example/,a \\
    --witness south=other.example+5e6f7a8b+BB...,https://other.example/,b lines.txt")]
pub(super) struct Args {
    /// Number of authorities that must accept and sign every block
    #[arg(long, value_name = "N")]
    quorum: usize,

    /// Name that all logs begin with: the one given to every `votekit authority keygen`
    #[arg(long, value_parser = argument::parse::<KeyName>)]
    base: KeyName,

    /// Outside witness: its name, its verifier key, the prefix of its addresses, and the authority
    /// that feeds it; without an authority, the witnesses are spread over them in order
    #[arg(long = "witness", value_name = "NAME=VKEY,URL[,AUTHORITY]", requires = "witness_quorum")]
    witnesses: Vec<String>,

    /// Number of outside witnesses that must have cosigned before a result is certified
    #[arg(long, value_name = "N", requires = "witnesses")]
    witness_quorum: Option<usize>,

    /// File to create
    #[arg(short, long, value_name = "FILE", default_value = "authorities")]
    output: PathBuf,

    /// File with lines of authorities, or one line in quotation marks
    #[arg(required = true, value_name = "LINE")]
    lines: Vec<String>,
}

/// A line, and where it was given.
struct GivenLine {
    source: String,
    member: AuthorityMember,
}

#[derive(Serialize)]
struct Report {
    fingerprint: String,
    file: PathBuf,
    base: String,
    quorum: usize,
    authorities: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    witnesses: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    witness_quorum: Option<usize>,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.fingerprint)
    }
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let mut lines = Vec::new();
    for (number, given) in (1..).zip(&args.lines) {
        lines.extend(read(given, number, &args.base)?);
    }
    check_distinct(&lines)?;
    check_quorum(args.quorum, lines.len())?;
    let members = lines.iter().map(|line| line.member.clone()).collect();
    let set = AuthoritySet::new(args.base, args.quorum, members)
        .map_err(|error| refused(&error, &lines))?;
    let set = with_witnesses(set, &args.witnesses, args.witness_quorum.unwrap_or(0))?;
    if let Some(name) = set.can_lock_witnesses() {
        context.output.warning(format_args!(
            "{name} alone can keep the witnesses from cosigning: if it signed a false head as the \
             log, those that it feeds would cosign no other, and fewer than {} would be left; \
             spread them over the authorities, or ask for fewer",
            set.witness_quorum()
        ));
    }
    write_new(&args.output, Secrecy::Public, set.as_bytes())?;
    let (count, quorum) = (set.members().len(), set.quorum());
    context.output.note(format_args!(
        "wrote {}: {count} authorities, quorum {quorum}, so that {} may be down; copy it to \
         DATA/authorities on every machine, and compare this fingerprint there",
        args.output.display(),
        count - quorum
    ));
    context.output.result(&Report {
        fingerprint: set.fingerprint().to_hex(),
        file: args.output,
        base: set.base().to_string(),
        quorum,
        authorities: set.members().iter().map(|member| member.name.to_string()).collect(),
        witnesses: set.witnesses().iter().map(|witness| witness.name.to_string()).collect(),
        witness_quorum: args.witness_quorum,
    })
}

/// Adds the outside witnesses that are given on the command line.
fn with_witnesses(
    set: AuthoritySet,
    given: &[String],
    quorum: usize,
) -> Result<AuthoritySet, CommandError> {
    /// The number of the first authority's line in the file.
    const FIRST_LINE: usize = 4;
    let members = set.members();
    let witnesses = given
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let feeder = &members[index % members.len()].name;
            parse_witness(text, feeder).map_err(|rule| {
                CommandError::bad_input(format!("--witness {text}: {}", rule.in_words()))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let first_line = FIRST_LINE + members.len();
    set.with_witnesses(witnesses, quorum).map_err(|error| {
        let AuthoritySetError::Malformed { line, rule } = &error else {
            return CommandError::bad_input(error.in_words());
        };
        let text = line.checked_sub(first_line).and_then(|index| given.get(index));
        let source = text.map_or("--witness-quorum".to_owned(), |text| format!("--witness {text}"));
        CommandError::bad_input(format!("{source}: {}", rule.in_words()))
    })
}

/// Parses `NAME=VKEY,URL[,AUTHORITY]`. Without an authority it is fed by `feeder`.
fn parse_witness(text: &str, feeder: &KeyName) -> Result<SetWitness, AuthoritySetRule> {
    let (name, rest) = text.split_once('=').ok_or(AuthoritySetRule::WitnessForm)?;
    let mut parts = rest.splitn(3, ',');
    let (Some(key), Some(url)) = (parts.next(), parts.next()) else {
        return Err(AuthoritySetRule::WitnessForm);
    };
    let fed_by = parts.next().unwrap_or(feeder.as_str());
    SetWitness::parse_line(&format!("witness {name} {key} {url} {fed_by}"))
}

/// Reads the lines of a file, or a line given on the command line.
fn read(given: &str, number: usize, base: &KeyName) -> Result<Vec<GivenLine>, CommandError> {
    if given.starts_with("authority ") {
        return parse(given, &format!("argument {number}"), base);
    }
    let text = fs::read_to_string(given)
        .map_err(|error| CommandError::reading(given.as_ref(), &error).hint(LINE_HINT))?;
    parse(&text, given, base)
}

fn parse(text: &str, from: &str, base: &KeyName) -> Result<Vec<GivenLine>, CommandError> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_end();
        let source = format!("{from}, line {number}");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(other) = line.strip_prefix("base ") {
            check_base(other, base, &source)?;
            continue;
        }
        let member = AuthorityMember::parse_line(line).map_err(|rule| {
            CommandError::bad_input(format!("{source}: {}", rule.in_words())).hint(LINE_HINT)
        })?;
        found.push(GivenLine { source, member });
    }
    if found.is_empty() {
        return Err(
            CommandError::bad_input(format!("{from} has no line of an authority")).hint(LINE_HINT)
        );
    }
    Ok(found)
}

fn check_base(other: &str, base: &KeyName, source: &str) -> Result<(), CommandError> {
    if other == base.as_str() {
        return Ok(());
    }
    Err(CommandError::bad_input(format!(
        "{source}: this authority has the base {other}, and --base is {base}"
    ))
    .hint(
        "all authorities of an installation have one base: give that one, or make the keys again \
         in a new folder with `votekit authority keygen --base`",
    ))
}

/// Checks that each name and each key is given once. The message names both sources.
fn check_distinct(lines: &[GivenLine]) -> Result<(), CommandError> {
    for (index, line) in lines.iter().enumerate() {
        let name = &line.member.name;
        if let Some(first) = lines[..index].iter().find(|first| first.member.name == *name) {
            return Err(CommandError::bad_input(format!(
                "{} and {} are both the line of {name}",
                first.source, line.source
            ))
            .hint("give each authority a different name, and each line once"));
        }
        for (key, bytes) in keys(&line.member) {
            let shared = lines[..=index].iter().find_map(|first| {
                let mut keys = keys(&first.member).into_iter();
                let other = keys.find(|(other, value)| {
                    *value == bytes && !(first.member.name == *name && *other == key)
                })?;
                Some((first, other.0))
            });
            if let Some((first, other)) = shared {
                return Err(CommandError::bad_input(format!(
                    "{}: the {key} key of {name} is also the {other} key of {} ({})",
                    line.source, first.member.name, first.source
                ))
                .hint("each authority makes its own keys with `votekit authority keygen`"));
            }
        }
    }
    Ok(())
}

fn keys(member: &AuthorityMember) -> [(&'static str, [u8; 32]); 4] {
    [
        ("log", member.log),
        ("cosigner", member.cosigner),
        ("statement", member.statement),
        ("transport", member.transport),
    ]
}

fn check_quorum(quorum: usize, count: usize) -> Result<(), CommandError> {
    let most = AuthoritySet::COUNT_MAX;
    if count > most {
        return Err(CommandError::bad_input(format!(
            "{count} authorities are given; at most {most} are possible"
        )));
    }
    let min = count / 2 + 1;
    if (min..=count).contains(&quorum) {
        return Ok(());
    }
    let hint = if quorum < min {
        format!(
            "the smallest quorum allowed is {min}: with fewer, two groups of authorities could \
             certify two different logs"
        )
    } else {
        format!("the largest quorum is {count}: every authority then has to be up")
    };
    Err(CommandError::usage(format!(
        "--quorum {quorum}: the quorum of {count} authorities is from {min} to {count}"
    ))
    .hint(hint))
}

/// The error of a line that breaks a rule of the file, with the source of the line.
fn refused(error: &AuthoritySetError, lines: &[GivenLine]) -> CommandError {
    /// The number of the first authority's line in the file.
    const FIRST_LINE: usize = 4;
    let AuthoritySetError::Malformed { line, rule } = error else {
        return CommandError::bad_input(error.in_words()).hint(LINE_HINT);
    };
    let line = line.checked_sub(FIRST_LINE).and_then(|index| lines.get(index));
    let source = line.map_or("the file would break a rule", |line| line.source.as_str());
    CommandError::bad_input(format!("{source}: {}", rule.in_words())).hint(LINE_HINT)
}
