//! Makes a bundle: leaves stream through, all other files are returned at the end.

use sha2::{Digest as _, Sha256};

use super::{Account, Index, IndexRow, file, readme::readme};
use crate::export::{csv, json, nist};
use crate::id::Digest;
use crate::log::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::log::leaf::{Leaf, LeafError};
use crate::log::merkle::{RootHasher, TreeHash, leaf_hash};

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleFile {
    /// Its name in the bundle, with `/` between folder and file.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Why a bundle cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A leaf is malformed.
    #[error("leaf {index} of the log: {source}")]
    Leaf {
        /// Its index, from 0.
        index: u64,
        /// The error.
        source: LeafError,
    },
    /// The log does not begin with the definition of an election.
    #[error("the log defines no election")]
    NoDefinition,
    /// The checkpoint does not parse.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is of another log, or another size.
    #[error("the checkpoint is of {stated} leaves and another root than the {given} leaves given")]
    OtherTree {
        /// Leaves of the checkpoint.
        stated: u64,
        /// Leaves given.
        given: u64,
    },
    /// A manifest that the log names is not among those given.
    #[error("the manifest {digest}, which the log names, is missing")]
    ManifestMissing {
        /// Its digest.
        digest: Digest,
    },
}

/// Makes the files of a bundle from the log's leaves, its checkpoint, the policy and the manifests.
///
/// ```
/// use votekit_core::bundle::{WriteError, Writer};
/// let mut writer = Writer::new();
/// let mut lines = Vec::new();
/// let block = br#"{"leaf":"block","height":1,"term":1,"leader":"a","sealed_at":29000000}"#;
/// writer.leaf(block, &mut lines)?;
/// assert!(lines.ends_with(b"}\n"));
/// assert_eq!(writer.finish(b"", b"", &[]), Err(WriteError::NoDefinition));
/// # Ok::<(), WriteError>(())
/// ```
#[derive(Debug, Default)]
pub struct Writer {
    account: Account,
    root: RootHasher,
    digest: Sha256,
    size: u64,
}

impl Writer {
    /// A writer that has taken no leaf.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next leaf and appends its line of `leaves.jsonl` to `out`.
    ///
    /// # Errors
    /// [`WriteError::Leaf`].
    pub fn leaf(&mut self, leaf: &[u8], out: &mut Vec<u8>) -> Result<(), WriteError> {
        let index = self.account.leaves();
        let parsed = Leaf::parse(leaf).map_err(|source| WriteError::Leaf { index, source })?;
        self.root.push(leaf_hash(leaf));
        self.account.take(&parsed, || self.root.root());
        self.digest.update(leaf);
        self.digest.update(b"\n");
        self.size += leaf.len() as u64 + 1;
        out.extend_from_slice(leaf);
        out.push(b'\n');
        Ok(())
    }

    /// The account of the leaves so far.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// All other files, sorted by name, for a checkpoint of exactly the leaves taken. Manifests
    /// that the log does not name are left out.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn finish(
        self,
        checkpoint: &[u8],
        policy: &[u8],
        manifests: &[Vec<u8>],
    ) -> Result<Vec<BundleFile>, WriteError> {
        let definition = self.account.definition().ok_or(WriteError::NoDefinition)?;
        let signed = SignedCheckpoint::parse(checkpoint)?;
        let root = self.root.root();
        if signed.unverified().size() != self.account.leaves() || signed.unverified().root() != root
        {
            return Err(WriteError::OtherTree {
                stated: signed.unverified().size(),
                given: self.account.leaves(),
            });
        }
        let mut files = derived(&self.account, root);
        files.push(BundleFile { name: file::CHECKPOINT.to_owned(), bytes: checkpoint.to_vec() });
        files.push(BundleFile { name: file::POLICY.to_owned(), bytes: policy.to_vec() });
        for digest in self.account.manifests() {
            let bytes = manifests.iter().find(|bytes| Digest::compute(bytes) == *digest);
            let bytes = bytes.ok_or(WriteError::ManifestMissing { digest: *digest })?.clone();
            files.push(BundleFile { name: file::manifest(digest), bytes });
        }
        files.sort_by(|one, other| one.name.cmp(&other.name));
        files.dedup_by(|one, other| one.name == other.name);
        let leaves = IndexRow {
            file: file::LEAVES.to_owned(),
            size: self.size,
            sha256: Digest::from_bytes(self.digest.finalize().into()),
        };
        let rows = files.iter().map(|BundleFile { name, bytes }| IndexRow {
            file: name.clone(),
            size: bytes.len() as u64,
            sha256: Digest::compute(bytes),
        });
        let index =
            Index { law_id: definition.law_id.clone(), files: rows.chain([leaves]).collect() };
        files.push(BundleFile { name: file::INDEX.to_owned(), bytes: index.to_bytes() });
        Ok(files)
    }
}

/// The files that follow from the log alone: README and, once totals are opened, the results.
///
/// `results.json` of a closed election states the result as of the close, in state `closed`, so
/// that a `certified` leaf can state its digest; the other files state the current state of the
/// election.
pub(super) fn derived(account: &Account, root: TreeHash) -> Vec<BundleFile> {
    let Some(definition) = account.definition() else { return Vec::new() };
    let results = account.results(root);
    let readme = readme(account, definition, results.is_some());
    let mut files = vec![BundleFile { name: file::README.to_owned(), bytes: readme }];
    if let Some(results) = results {
        for (name, bytes) in [
            (file::RESULTS_JSON, json::to_json(&results.as_certified())),
            (file::RESULTS_CSV, csv::to_csv(&results)),
            (file::RESULTS_NIST, nist::to_nist(&results)),
        ] {
            files.push(BundleFile { name: name.to_owned(), bytes });
        }
    }
    files
}
