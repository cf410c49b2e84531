//! `votekit roll`: synthetic rolls for trials, rolls of an association's members, and the rolls
//! that a node keeps.

#[cfg(feature = "node")]
mod kept;
pub(super) mod members;

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use votekit_core::id::ElectionId;

use crate::argument;
use crate::atomic_output::{Secrecy, StagedFile};
use crate::context::Context;
use crate::error::CommandError;
use crate::interruption;
use crate::progress;

/// Make rolls for trials and for members; list and discard the rolls that a node keeps
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Sample(SampleArgs),
    Members(members::MembersArgs),
    #[cfg(feature = "node")]
    List(kept::ListArgs),
    #[cfg(feature = "node")]
    Discard(kept::DiscardArgs),
}

/// Make a synthetic electoral roll
///
/// The roll has one row per elector and law, with a NAS that is never issued (its first digit is 0;
/// its check digit is right) and an access code of 8 letters and digits. The same options always
/// make the same roll, so nothing in it is secret: use it for trials only.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit roll sample --electors 1000 --law L2025-001 -o roll.csv
  votekit roll sample --electors 50 --law L2025-001 --law L2025-002 --seed 7 -o -")]
struct SampleArgs {
    /// Number of electors
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=ELECTORS_MAX))]
    electors: u64,

    /// Law they vote on; may be repeated
    #[arg(
        long = "law", value_name = "ID", required = true,
        value_parser = argument::parse::<ElectionId>
    )]
    laws: Vec<ElectionId>,

    /// Seed: another number makes another roll
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,

    /// File to create; '-' for standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Number of values of seven free digits.
const FREE_NUMBERS: u64 = 10_000_000;
/// Numbers that start with 0 and pass the Luhn check, except nine zeros.
const ELECTORS_MAX: u64 = FREE_NUMBERS - 1;

/// Runs `votekit roll`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    match args.action {
        Action::Sample(args) => sample(&args, context),
        Action::Members(args) => members::run(&args, context),
        #[cfg(feature = "node")]
        Action::List(args) => kept::list(&args, context),
        #[cfg(feature = "node")]
        Action::Discard(args) => kept::discard(&args, context),
    }
}

fn sample(args: &SampleArgs, context: &Context) -> Result<(), CommandError> {
    refuse_repeated(&args.laws)?;
    if args.output.as_os_str() == "-" {
        let mut stdout = io::stdout().lock();
        return match write_roll(args, &mut stdout) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(CommandError::writing("standard output".as_ref(), &error))
            }
            _ => Ok(()),
        };
    }
    interruption::sweep_when_interrupted()?;
    let mut file = StagedFile::create(&args.output, Secrecy::Public)?;
    write_roll(args, &mut file).map_err(|error| CommandError::writing(&args.output, &error))?;
    file.commit()?;
    let rows = args.electors * args.laws.len() as u64;
    context.output.note(format_args!(
        "wrote {}: {} electors, {rows} rows",
        args.output.display(),
        args.electors
    ));
    Ok(())
}

fn refuse_repeated(laws: &[ElectionId]) -> Result<(), CommandError> {
    match laws.iter().enumerate().find(|(index, law)| laws[..*index].contains(law)) {
        None => Ok(()),
        Some((_, law)) => Err(CommandError::usage(format!("the law {law} is given twice"))),
    }
}

fn write_roll(args: &SampleArgs, output: &mut impl Write) -> io::Result<()> {
    let mut output = BufWriter::with_capacity(1 << 20, output);
    let bar = progress::count("Making the roll", Some(args.electors));
    output.write_all(b"nas,code,law_id\n")?;
    let mut row = Vec::with_capacity(80);
    for elector in 0..args.electors {
        let nas = nas_of(elector, args.seed);
        for (index, law) in args.laws.iter().enumerate() {
            row.clear();
            row.extend_from_slice(&nas);
            row.push(b',');
            row.extend_from_slice(&code_of(elector, index as u64, args.seed));
            row.push(b',');
            row.extend_from_slice(law.as_str().as_bytes());
            row.push(b'\n');
            output.write_all(&row)?;
        }
        if elector % 65_536 == 0 {
            bar.set_position(elector);
        }
    }
    bar.finish_and_clear();
    output.flush()
}

/// Returns a distinct number for each elector: the seven free digits pass through an affine
/// permutation of 0..10^7, whose factor shares neither 2 nor 5 with the modulus.
fn nas_of(elector: u64, seed: u64) -> [u8; 9] {
    let image = |index: u64| (index * 7_654_321 + mix(seed) % FREE_NUMBERS) % FREE_NUMBERS;
    // The last index belongs to no elector: its number replaces nine zeros.
    let free = match image(elector) {
        0 => image(ELECTORS_MAX),
        free => free,
    };
    unissued(free)
}

/// The number with these seven free digits: it starts with 0, so that it is never issued, and its
/// check digit is right.
fn unissued(free: u64) -> [u8; 9] {
    let mut digits = [b'0'; 9];
    let mut rest = free;
    for digit in digits[1..8].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let sum: u32 = digits[..8]
        .iter()
        .enumerate()
        .map(|(index, byte)| luhn_term(index, u32::from(byte - b'0')))
        .sum();
    digits[8] = b'0' + ((10 - sum % 10) % 10) as u8;
    digits
}

/// Doubles every second digit and adds up the digits of the product (ISO/IEC 7812-1).
const fn luhn_term(index: usize, digit: u32) -> u32 {
    match (index % 2, digit) {
        (0, digit) => digit,
        (_, digit) if digit < 5 => 2 * digit,
        (_, digit) => 2 * digit - 9,
    }
}

fn code_of(elector: u64, law: u64, seed: u64) -> [u8; 8] {
    const ALPHABET: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut random = mix(mix(mix(seed) ^ elector) ^ law);
    std::array::from_fn(|_| {
        let letter = ALPHABET[(random % 36) as usize];
        random /= 36;
        letter
    })
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): spreads a counter over all 64 bits. Good
/// for samples, not for secrets.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use votekit_core::credential::Nas;

    use super::*;

    #[test]
    fn numbers_are_distinct_unissued_and_pass_their_check() {
        let numbers: HashSet<[u8; 9]> = (0..100_000).map(|elector| nas_of(elector, 42)).collect();
        assert_eq!(numbers.len(), 100_000);
        for number in numbers {
            assert_eq!(number[0], b'0');
            assert!(Nas::parse(&number).expect("nine digits").passes_check_digit());
        }
    }

    #[test]
    fn nine_zeros_are_no_electors_number() {
        let zero =
            |index: &u64| (index * 7_654_321 + mix(42) % FREE_NUMBERS).is_multiple_of(FREE_NUMBERS);
        let index = (0..FREE_NUMBERS).find(zero).expect("a permutation has every value");
        assert_ne!(nas_of(index, 42), *b"000000000");
        assert!(Nas::parse(&nas_of(index, 42)).expect("nine digits").check_issued().is_ok());
    }

    #[test]
    fn codes_differ_by_elector_law_and_seed() {
        let codes = [code_of(1, 0, 1), code_of(2, 0, 1), code_of(1, 1, 1), code_of(1, 0, 2)];
        assert_eq!(codes.iter().collect::<HashSet<_>>().len(), 4);
    }
}
