//! `votekit-checker`: runs the check from the command line.
//!
//! Exit codes: 0 no violation, 1 violations found, 2 a file or the command line is invalid.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks to the person who runs it"
)]

use std::ffi::OsString;
use std::process::ExitCode;

use votekit_checker::{Inputs, check};

const USAGE: &str =
    "usage: votekit-checker --bundle DIR --roll FILE --policy FILE [--checkpoint FILE]… JOURNAL…";

fn main() -> ExitCode {
    let Some(inputs) = inputs(std::env::args_os().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match check(&inputs) {
        Ok(report) => {
            println!("{report}");
            ExitCode::from(u8::from(!report.violations.is_empty()))
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn inputs(mut arguments: impl Iterator<Item = OsString>) -> Option<Inputs> {
    let (mut bundle, mut roll, mut policy) = (None, None, None);
    let (mut journals, mut checkpoints) = (Vec::new(), Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--bundle") => bundle = Some(arguments.next()?.into()),
            Some("--roll") => roll = Some(arguments.next()?.into()),
            Some("--policy") => policy = Some(arguments.next()?.into()),
            Some("--checkpoint") => checkpoints.push(arguments.next()?.into()),
            Some(option) if option.starts_with('-') => return None,
            _ => journals.push(argument.into()),
        }
    }
    (!journals.is_empty()).then_some(())?;
    Some(Inputs { journals, bundle: bundle?, roll: roll?, policy: policy?, checkpoints })
}
