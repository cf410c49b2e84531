//! The publication bundle of an election, read from the ledger twice: first to make every file but
//! the leaves, and to compute the sizes; then the leaves again, while they are sent.
//!
//! Nothing is written to the disk, and only a part of the log is in memory, so a client that
//! disconnects leaves nothing behind. Both passes end at the checkpoint that was current when the
//! first began.

use std::fmt;
use std::sync::Arc;

use votekit_core::bundle::{BundleFile, Writer};
use votekit_core::election::State;
use votekit_core::election_log::leaves_of_block;
use votekit_core::id::ElectionId;
use votekit_core::instant::UnixMinutes;
use votekit_core::log::checkpoint::SignedCheckpoint;
use votekit_store::{EngineError, LogStore};

use super::ReadError;
use crate::election::ElectionHandle;
use crate::node::Node;

/// The number of leaves per read. An entry has about 200 bytes, and a leaf at most 65,535.
const LEAVES_PER_READ: u32 = 1024;

/// Why a bundle cannot be made.
#[derive(Debug, Clone, thiserror::Error)]
// Exhaustive: votekit-http gives each variant its problem.
pub enum BundleError {
    /// No such election.
    #[error("there is no such election")]
    UnknownElection,
    /// The election is not closed: its log still grows and has no result.
    #[error("the election is {state}: a bundle is made after the close")]
    NotClosed {
        /// The state of the election.
        state: State,
    },
    /// Too few outside witnesses have cosigned the head of the log, and the log contains no reason
    /// for a certification without them: a verifier would refuse the bundle.
    #[error("{quorum} outside witnesses must cosign the log; missing: {}", missing.join(", "))]
    WitnessesMissing {
        /// How many must have cosigned.
        quorum: usize,
        /// The names of those that have not.
        missing: Vec<String>,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<EngineError> for BundleError {
    fn from(error: EngineError) -> Self {
        Self::Read(error.into())
    }
}

/// A bundle: every file but the leaves, and a reader of the leaves.
pub struct Bundle {
    /// All files but the leaves, sorted by name.
    pub files: Vec<BundleFile>,
    /// The length of the file of the leaves in bytes.
    pub leaves_bytes: u64,
    /// The content of the file of the leaves.
    pub lines: BundleLines,
    /// The minute of the last block.
    pub updated_at: Option<UnixMinutes>,
}

impl fmt::Debug for Bundle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Bundle({:?}, {} bytes)", self.lines, self.leaves_bytes)
    }
}

/// The lines of `leaves.jsonl`, read from the ledger in chunks.
pub struct BundleLines {
    ledger: Arc<dyn LogStore>,
    law_id: ElectionId,
    next: u64,
    end: u64,
}

impl fmt::Debug for BundleLines {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "BundleLines({}, {} of {})", self.law_id, self.next, self.end)
    }
}

impl Node {
    /// Checks that an election exists and is closed, without making its bundle: outside witnesses
    /// may still be missing.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn check_bundle(&self, law_id: &ElectionId) -> Result<(), BundleError> {
        self.closed_election(law_id).map(drop)
    }

    fn closed_election(&self, law_id: &ElectionId) -> Result<Arc<ElectionHandle>, BundleError> {
        let election = self.readable(law_id)?.ok_or(BundleError::UnknownElection)?;
        let state = election.committed().state();
        if state < State::Closed { Err(BundleError::NotClosed { state }) } else { Ok(election) }
    }

    /// Makes the bundle of a closed election, the same as `votekit export bundle` writes: reads the
    /// whole log, and passes the lines of `leaves.jsonl` to `observe` in chunks.
    ///
    /// # Errors
    /// [`BundleError`].
    pub async fn bundle(
        &self,
        law_id: &ElectionId,
        mut observe: impl FnMut(&[u8]) + Send,
    ) -> Result<Bundle, BundleError> {
        let election = self.closed_election(law_id)?;
        let unknown = || BundleError::UnknownElection;
        let checkpoint = self.witnessed_checkpoint(law_id).await.ok_or_else(unknown)?;
        let damaged = |what: &dyn fmt::Display| ReadError::Damaged {
            reason: format!("the log of {law_id}: {what}"),
        };
        let signed = SignedCheckpoint::parse(&checkpoint).map_err(|error| damaged(&error))?;
        let ledger = Arc::clone(&self.context.ledger);
        let end = signed.unverified().size();
        let mut lines = BundleLines { ledger, law_id: law_id.clone(), next: 0, end };
        let (mut writer, mut leaves_bytes) = (Writer::new(), 0);
        while let Some(leaves) = lines.read().await? {
            let (taken, text) = take_leaves(writer, leaves).await?;
            writer = taken.map_err(|error| damaged(&error))?;
            leaves_bytes += text.len() as u64;
            observe(&text);
        }
        let policy = &election.signer.policy;
        let witnessed = policy.with_witness_lines(&signed, std::iter::empty::<&[u8]>());
        if !witnessed.is_witnessed && writer.account().witness_waiver().is_none() {
            let missing = witnessed.missing.iter().map(ToString::to_string).collect();
            let quorum = policy.witness_quorum();
            return Err(BundleError::WitnessesMissing { quorum, missing });
        }
        let mut manifests = Vec::new();
        for digest in writer.account().manifests() {
            manifests.extend(self.context.ledger.manifest(digest).await?);
        }
        let updated_at = writer.account().updated_at();
        let files = writer.finish(&checkpoint, policy.as_bytes(), &manifests);
        let files = files.map_err(|error| damaged(&error))?;
        let lines = BundleLines { next: 0, ..lines };
        Ok(Bundle { files, leaves_bytes, lines, updated_at })
    }
}

/// Adds leaves, each preceded by its length, to a bundle, and returns their lines. It parses and
/// hashes each of them, so it runs on a blocking thread: the other threads serve voters.
async fn take_leaves(
    mut writer: Writer,
    leaves: Vec<u8>,
) -> Result<(Result<Writer, String>, Vec<u8>), ReadError> {
    let take = move || {
        let mut lines = Vec::with_capacity(leaves.len());
        for leaf in leaves_of_block(&leaves) {
            let Some(leaf) = leaf else { return (Err("a leaf is cut short".to_owned()), lines) };
            if let Err(error) = writer.leaf(leaf, &mut lines) {
                return (Err(error.to_string()), lines);
            }
        }
        (Ok(writer), lines)
    };
    let taken = tokio::task::spawn_blocking(take).await;
    taken.map_err(|_| ReadError::Damaged {
        reason: "a leaf of the log cannot be taken into a bundle".to_owned(),
    })
}

impl BundleLines {
    /// The next lines; `None` after the last line.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        let first = self.next;
        let Some(leaves) = self.read().await? else { return Ok(None) };
        let mut lines = Vec::with_capacity(leaves.len());
        for leaf in leaves_of_block(&leaves) {
            let leaf = leaf.ok_or_else(|| cut_short(&self.law_id, first))?;
            lines.extend_from_slice(leaf);
            lines.push(b'\n');
        }
        Ok(Some(lines))
    }

    /// The next leaves, each preceded by its length; `None` after the last leaf.
    async fn read(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        let left = u32::try_from(self.end - self.next).unwrap_or(u32::MAX);
        let count = left.min(LEAVES_PER_READ);
        if count == 0 {
            return Ok(None);
        }
        let leaves = self.ledger.leaves(&self.law_id, self.next, count).await?;
        let leaves = leaves.ok_or_else(|| cut_short(&self.law_id, self.next))?;
        self.next += u64::from(count);
        Ok(Some(leaves))
    }
}

fn cut_short(law_id: &ElectionId, index: u64) -> ReadError {
    ReadError::Damaged { reason: format!("the leaves of {law_id} from {index} on cannot be read") }
}
