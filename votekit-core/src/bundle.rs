//! The publication bundle: one folder with which anyone can verify an election offline, and its
//! verifier.
//!
//! ```text
//! leaves.jsonl  checkpoint  policy  manifests/<sha256>.json   what happened, and who signed it
//!       │
//!       └─▶ Account ─▶ results.json  results.csv  results.nist.json  README.md  index.json
//!                                                             all follow from the log alone
//! ```
//!
//! [`Writer`] makes the files; [`verify`](verify::verify) reads them through a [`Source`], makes
//! every derived file again, and lists everything that is wrong. [`check_receipt`] checks a voter's
//! receipt. Each gives a [`Verdict`]. None touches a disk; with the feature `fs` a `FolderSource`
//! reads a folder. Sections 9 to 13 of `docs/formats.md` specify the format.

mod account;
mod failure;
#[cfg(feature = "fs")]
mod folder;
mod index;
mod readme;
mod table;
mod write;
pub mod verify;
mod receipt;

#[cfg(any(test, feature = "test-support"))]
pub mod sample;

use std::collections::BTreeMap;
use std::io::{self, Read};

pub use account::Account;
pub use failure::{Failure, Failures, Rule, Verdict};
#[cfg(feature = "fs")]
pub use folder::{FolderSource, is_system_file};
pub use index::{Index, IndexError, IndexRow};
pub use receipt::{
    ReceiptError, ReceiptFault, ReceiptInBundle, ReceiptVerdict, RecordedDecision, check_receipt,
    find_receipt,
};
pub use write::{BundleFile, WriteError, Writer};

/// The source of a bundle's files: a folder, an archive, memory. Names are relative, with `/`
/// between folder and file.
pub trait Source {
    /// The names of all regular files, in any order.
    ///
    /// # Errors
    /// When the files cannot be listed.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Objects that cannot belong to a bundle, by name, each with its kind: a link, a device, an
    /// empty folder. Most sources have none.
    ///
    /// # Errors
    /// When the files cannot be listed.
    fn irregular(&self) -> io::Result<Vec<(String, &'static str)>> {
        Ok(Vec::new())
    }

    /// Opens a file that [`Source::names`] has listed.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>>;
}

/// Files in memory.
pub type MemorySource = BTreeMap<String, Vec<u8>>;

impl Source for MemorySource {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        let bytes = self.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(bytes.as_slice()))
    }
}

/// The file names of a bundle.
pub mod file {
    use crate::id::Digest;

    /// The list of all other files, with their digests.
    pub const INDEX: &str = "index.json";
    /// A description of each file, for people.
    pub const README: &str = "README.md";
    /// The log, one leaf per line.
    pub const LEAVES: &str = "leaves.jsonl";
    /// The signed head of the log.
    pub const CHECKPOINT: &str = "checkpoint";
    /// The policy: who must have signed the checkpoint.
    pub const POLICY: &str = "policy";
    /// Results for programs.
    pub const RESULTS_JSON: &str = "results.json";
    /// Results for spreadsheets.
    pub const RESULTS_CSV: &str = "results.csv";
    /// Results as NIST SP 1500-100.
    pub const RESULTS_NIST: &str = "results.nist.json";

    /// The name of a manifest's file.
    #[must_use]
    pub fn manifest(digest: &Digest) -> String {
        format!("manifests/{digest}.json")
    }
}
