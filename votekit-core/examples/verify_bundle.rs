//! Verifies a published election offline, and a voter's receipt against it.
//!
//! `cargo run -p votekit-core --features fs --example verify_bundle [BUNDLE POLICY RECEIPT]`
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::fs;

use votekit_core::bundle::verify::{Options, Pin, verify};
use votekit_core::bundle::{FolderSource, ReceiptVerdict, check_receipt};

const ELECTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/election");

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut path = |name: &str| arguments.next().unwrap_or_else(|| format!("{ELECTION}/{name}"));
    let (bundle, policy, receipt) = (path("bundle"), path("bundle.policy"), path("receipt.txt"));

    // The policy must come from elsewhere than the bundle: it names the keys to trust.
    let pin = Pin::Policy(fs::read(policy)?);
    let bundle = FolderSource::open(bundle)?;
    let mut options = Options::default();
    options.pin = Some(pin.clone());

    let found = verify(&bundle, &options)?;
    for failure in found.failures.list() {
        println!("{failure}");
    }
    println!("{}", found.report);
    if let Some(results) = &found.results {
        for (choice, count) in results.definition.choices.iter().zip(&results.counts.choices) {
            println!("{count:>6}  {} / {}", choice.fr, choice.en);
        }
    }

    let checked = check_receipt(&fs::read(receipt)?, Some(&bundle), Some(&pin))?;
    match &checked {
        ReceiptVerdict::Proven(recorded) | ReceiptVerdict::Consistent(recorded) => {
            println!("receipt: leaf {}, {:?}", recorded.inclusion.index, recorded.entry.decision);
        }
        ReceiptVerdict::Failed(fault) => println!("receipt: {fault}"),
    }
    println!("bundle {}, receipt {}", found.verdict(), checked.verdict());
    Ok(())
}
