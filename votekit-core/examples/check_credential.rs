//! Whether a credential may vote: a roll's registry keys in memory, and attempts to use them.
//!
//! `cargo run -p votekit-core --example check_credential`
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::sync::Arc;

use votekit_core::credential::{Credential, CredentialHasher, Pepper, RegistryKey};
use votekit_core::electorate::{CredentialStatus, Electorate, KeyList};
use votekit_core::roll::read_roll;

/// One row per elector and law. No NAS that begins with 0 is issued.
const ROLL: &str = "nas,code,law_id
000000018,ABCD1234,L2025-001
000000026,ABCD1235,L2025-001
";

fn main() -> Result<(), Box<dyn Error>> {
    // The registry holds keyed hashes: only who has the pepper can compute them.
    let hasher = CredentialHasher::peppered(&Pepper::from_bytes([7; 32]));
    let key_of = |credential: &Credential| -> RegistryKey {
        hasher.registry_key(&credential.nas, &credential.code, &credential.law_id)
    };
    let roll = read_roll(ROLL.as_bytes())?;
    let mut keys: Vec<RegistryKey> = roll.iter().map(|row| key_of(&row.credential)).collect();
    keys.sort_unstable();
    let mut electorate = Electorate::default();
    electorate.add_roll(Arc::new(KeyList::new(keys)?))?;
    println!("{} electors registered", roll.len());

    // Spaces, hyphens and capitals do not matter; the code does.
    let attempts = [
        ("the right code", "abcd-1234"),
        ("the same code again", "ABCD 1234"),
        ("a wrong code", "ABCD1235"),
    ];
    for (what, code) in attempts {
        let credential = Credential::parse(b"000 000 018", code.as_bytes(), b"L2025-001")?;
        let answer = match electorate.attempt(&key_of(&credential)) {
            CredentialStatus::First => "the vote counts".to_owned(),
            CredentialStatus::Again { attempt } => format!("attempt {attempt}, not counted"),
            CredentialStatus::Revoked => "revoked".to_owned(),
            CredentialStatus::Unknown => "not registered".to_owned(),
        };
        println!("{what}: {answer}");
    }
    Ok(())
}
