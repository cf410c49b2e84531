//! Compares a voter's receipt with a bundle.

use std::io::{self, BufRead, BufReader, Read};

use super::{Failures, Rule, Source, file};
use crate::log::leaf::Leaf;
use crate::log::merkle::{RootHasher, leaf_hash};
use crate::log::proof::Proof;

/// The result of looking for a receipt in a bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiptInBundle {
    /// What does not agree; empty if the bundle holds what the receipt promised.
    pub failures: Failures,
}

/// Checks that the receipt's leaf is in `leaves.jsonl` at its index, and that the bundle's log
/// begins with the tree that the receipt's checkpoint signs. If the receipt itself is verified
/// under the pinned policy, this also proves the first leaves of the bundle.
///
/// # Errors
/// When the bundle cannot be read.
pub fn find_receipt(source: &dyn Source, receipt: &Proof) -> io::Result<ReceiptInBundle> {
    let checkpoint = receipt.checkpoint().unverified();
    let mut found = ReceiptInBundle::default();
    if !source.names()?.iter().any(|name| name == file::LEAVES) {
        found.failures.add(
            file::LEAVES,
            None,
            Rule::FileMissing,
            format_args!("the file is missing"),
        );
        return Ok(found);
    }
    let mut leaves = BufReader::with_capacity(1 << 20, source.open(file::LEAVES)?);
    let mut root = RootHasher::new();
    let mut line = Vec::new();
    while root.size() < checkpoint.size() {
        line.clear();
        leaves.by_ref().take(Leaf::LENGTH_MAX as u64 + 1).read_until(b'\n', &mut line)?;
        if line.pop_if(|last| *last == b'\n').is_none() {
            break;
        }
        if root.size() == receipt.index() && line != receipt.extra() {
            let line = Some(root.size() + 1);
            found.failures.add(
                file::LEAVES,
                line,
                Rule::Receipt,
                format_args!("another leaf stands where the receipt's should"),
            );
        }
        root.push(leaf_hash(&line));
    }
    let (size, stated) = (root.size(), checkpoint.size());
    if size < stated {
        let what =
            format_args!("the log ends after {size} leaves, the receipt was signed at {stated}");
        found.failures.add(file::LEAVES, Some(size + 1), Rule::Root, what);
    } else if root.root() != checkpoint.root() {
        let what = format_args!(
            "the first {stated} leaves are not those that the receipt's checkpoint signs"
        );
        found.failures.add(file::LEAVES, None, Rule::Root, what);
    }
    Ok(found)
}
