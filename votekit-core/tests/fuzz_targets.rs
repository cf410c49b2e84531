//! Replays the committed seeds of every fuzz target, so that each property is checked in every test
//! run.
//!
//! The fuzzer itself is a separate workspace; it and this test compile the same file of targets.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../tools/fuzz/src/targets.rs"]
mod targets;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/fuzz/corpus")
}

#[test]
fn every_target_has_seeds_and_every_folder_a_target() {
    let folders: BTreeSet<String> = fs::read_dir(corpus())
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in ASCII"))
        .collect();
    let names: BTreeSet<String> =
        targets::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(folders, names);
}

#[test]
fn every_property_holds_on_the_seeds() {
    for (name, target) in targets::TARGETS {
        let mut read = 0;
        let mut refused = 0;
        for entry in fs::read_dir(corpus().join(name)).expect("a folder of seeds") {
            let seed = fs::read(entry.expect("an entry").path()).expect("a seed");
            if target(&seed) { read += 1 } else { refused += 1 }
        }
        // If all seeds of a target are refused, nothing was checked.
        assert!(
            read > 0 && refused > 0,
            "{name}: {read} seeds read and {refused} refused; there must be some of each"
        );
    }
}

#[test]
fn every_property_holds_when_a_seed_is_cut_or_changed() {
    for (name, target) in targets::TARGETS {
        for entry in fs::read_dir(corpus().join(name)).expect("a folder of seeds") {
            let seed = fs::read(entry.expect("an entry").path()).expect("a seed");
            for position in 0..seed.len().min(512) {
                target(&seed[..position]);
                let mut changed = seed.clone();
                changed[position] ^= 1;
                target(&changed);
            }
        }
    }
}
