//! From a roll to shards and manifest: what officials do on an offline machine.
//!
//! `cargo run -p votekit-core --features parallel --example hash_roll`
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;

use votekit_core::credential::Pepper;
use votekit_core::manifest::Manifest;
use votekit_core::roll::parallel::{HashOptions, HashRollError, hash_roll};
use votekit_core::shard::ShardFormat;

/// One row per elector and law. No NAS that begins with 0 is issued.
const ROLL: &str = "nas,code,law_id
000000018,ABCD1234,L2025-001
000000026,ABCD1235,L2025-001
000000034,ABCD1236,L2025-001
000000018,ABCD1237,L2025-002
";

fn main() -> Result<(), Box<dyn Error>> {
    // A real pepper is 32 random bytes, and as secret as the roll.
    let pepper = Pepper::from_bytes([7; 32]);
    let mut options = HashOptions::default();
    options.pepper = Some(&pepper);
    options.format = ShardFormat::Binary;

    let hashed = hash_roll(ROLL.as_bytes(), &options)?;
    for shard in &hashed.shards {
        println!("{}: {} bytes", shard.name, shard.bytes.len());
    }
    println!("{}: SHA-256 {}", Manifest::FILE_NAME, hashed.manifest.digest());
    for warning in &hashed.warnings {
        println!("warning: {warning}");
    }

    // Any bad row refuses the whole roll. A fault names line, field and rule, never a value.
    let bad = format!("{ROLL}00000004,ABCD1238,L2025-001\n");
    match hash_roll(bad.as_bytes(), &options) {
        Err(HashRollError::Faults { faults }) => println!("refused: {}", faults[0]),
        other => return Err(format!("a bad row was expected: {other:?}").into()),
    }

    let laws = &hashed.manifest.body().laws;
    let registered: u64 = laws.iter().map(|law| law.registered).sum();
    println!("{registered} credentials registered, for {} laws", laws.len());
    Ok(())
}
