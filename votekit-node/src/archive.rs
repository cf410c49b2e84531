//! Read-only access to a data folder and its ledger, in the folder or on PostgreSQL, beside the
//! nodes that use them: for exports, recounts, results and reviews. Writes nothing and takes no
//! lock.

#[cfg(feature = "services")]
pub mod log_electors;
mod log_status;

use std::io::{self, BufReader, Read};
use std::path::Path;

use votekit_core::ballot::BallotSecretKey;
use votekit_core::batch::Batch;
use votekit_core::bundle::Account;
use votekit_core::election::State;
use votekit_core::election_log::{RollContent, leaves_of_block};
use votekit_core::id::{BatchNumber, Digest, ElectionId};
use votekit_core::log::checkpoint::SignedCheckpoint;
use votekit_core::log::leaf::{ElectionEvent, Leaf};
use votekit_core::log::merkle::empty_root;
use votekit_store::embedded::EmbeddedReadView;
#[cfg(feature = "services")]
use votekit_store::services::{postgres::PostgresReadView, url::ServiceAddress};
use votekit_store::{EngineError, Head, LogReader, ReviewNote, StoredBlock};

use self::log_status::LogStatus;
use crate::data_folder::{Belonging, DataFolder};
use crate::election::{CheckpointSigner, witness_names};
use crate::election::{ElectionView, NodeView};
use crate::error::NodeError;
use crate::roll_store::{self, RollView};

/// The first bytes of every leaf about the state of an election.
const ELECTION_LEAF: &[u8] = br#"{"leaf":"election","#;

/// The number of blocks read at once.
const READ_BATCH_LEN: usize = 64;

/// A data folder as of its opening.
#[derive(Debug)]
pub struct Archive {
    folder: DataFolder,
    ledger: Box<dyn LogReader>,
}

impl Archive {
    /// Opens the data folder of a running or stopped node.
    ///
    /// # Errors
    /// [`NodeError`] if it is not a data folder or cannot be read.
    pub fn open(path: &Path) -> Result<Self, NodeError> {
        let folder = DataFolder::peek(path)?;
        folder.check_belonging(&Belonging::Itself)?;
        Ok(Self { folder, ledger: Box::new(EmbeddedReadView::open(path)?) })
    }

    /// Opens the ledger of an installation on PostgreSQL, with the data folder of a node that has
    /// the installation's keys.
    ///
    /// # Errors
    /// [`NodeError`] if it is not a data folder, or the ledger is unavailable.
    #[cfg(feature = "services")]
    pub fn open_services(path: &Path, ledger: &ServiceAddress) -> Result<Self, NodeError> {
        Ok(Self {
            folder: DataFolder::peek(path)?,
            ledger: Box::new(PostgresReadView::open(ledger)?),
        })
    }

    /// The data folder.
    #[cfg(feature = "services")]
    pub(crate) fn folder(&self) -> &DataFolder {
        &self.folder
    }

    /// The elections, in the order of their creation.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn elections(&self) -> Result<Vec<ElectionId>, EngineError> {
        self.ledger.elections()
    }

    /// The head of an election's log.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn head(&self, law_id: &ElectionId) -> Result<Option<Head>, EngineError> {
        self.ledger.head(law_id)
    }

    /// Passes every leaf of a log to `each`, in order.
    ///
    /// # Errors
    /// [`NodeError`] if the log cannot be read, or the error of `each`.
    pub fn for_each_leaf<E: From<NodeError>>(
        &self,
        law_id: &ElectionId,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut height = 1;
        loop {
            let blocks = self.blocks(law_id, height, READ_BATCH_LEN).map_err(NodeError::Engine)?;
            let Some(last) = blocks.last() else { return Ok(()) };
            height = last.height + 1;
            for StoredBlock { height, leaves, .. } in &blocks {
                for leaf in leaves_of_block(leaves) {
                    each(leaf.ok_or_else(|| cut_short(law_id, *height))?)?;
                }
            }
        }
    }

    /// The log as lines, one leaf a line, as in the `leaves.jsonl` of a bundle.
    #[must_use]
    pub fn lines<'a>(&'a self, law_id: &'a ElectionId) -> BufReader<Lines<'a>> {
        BufReader::with_capacity(
            1 << 20,
            Lines { archive: self, law_id, height: 1, bytes: Vec::new(), read: 0 },
        )
    }

    /// Returns a batch of the evidence by its number; `None` if it is missing or has been
    /// destroyed.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn batch(
        &self,
        law_id: &ElectionId,
        number: BatchNumber,
    ) -> Result<Option<Batch>, EngineError> {
        self.ledger.batch(law_id, number)
    }

    /// Returns a loaded manifest by its digest.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>, EngineError> {
        self.ledger.manifest(digest)
    }

    /// The review notes on an election's requests, in the order in which they were made.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn review_notes(&self, law_id: &ElectionId) -> Result<Vec<ReviewNote>, EngineError> {
        self.ledger.review_notes(law_id)
    }

    fn blocks(
        &self,
        law_id: &ElectionId,
        from_height: u64,
        limit: usize,
    ) -> Result<Vec<StoredBlock>, EngineError> {
        self.ledger.blocks(law_id, from_height, limit)
    }

    /// The bytes of an election's policy.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn policy(&self, law_id: &ElectionId) -> Result<Vec<u8>, NodeError> {
        Ok(self.signer(law_id)?.policy.as_bytes().to_vec())
    }

    /// The signed checkpoint of an election's log, with the cosignatures of the outside witnesses
    /// that are in the ledger; `None` for an election without a log.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn checkpoint(&self, law_id: &ElectionId) -> Result<Option<Vec<u8>>, NodeError> {
        let Some(head) = self.head(law_id)? else { return Ok(None) };
        let policy = self.signer(law_id)?.policy;
        if policy.witness_quorum() == 0 {
            return Ok(Some(head.checkpoint));
        }
        let signed = SignedCheckpoint::parse(&head.checkpoint)
            .map_err(|_| cut_short(law_id, head.height))?;
        let names = witness_names(&policy);
        let lines = self.ledger.witness_lines(law_id, head.size, &head.root, &names)?;
        let lines = lines.iter().map(|stored| stored.line.as_slice());
        let witnessed = policy.with_witness_lines(&signed, lines);
        Ok(Some(witnessed.checkpoint.to_string().into_bytes()))
    }

    fn signer(&self, law_id: &ElectionId) -> Result<CheckpointSigner, NodeError> {
        let damaged = || cut_short(law_id, 1);
        let blocks = self.blocks(law_id, 1, 1)?;
        let first = blocks
            .first()
            .and_then(|block| leaves_of_block(&block.leaves).next())
            .flatten()
            .ok_or_else(damaged)?;
        let Ok(Leaf::Election(ElectionEvent::Draft { definition, .. })) = Leaf::parse(first) else {
            return Err(damaged());
        };
        CheckpointSigner::new(&self.folder, law_id, definition.binding)
    }

    /// The state of an election, from its log.
    ///
    /// # Errors
    /// [`NodeError`] if there is no such election, or its log cannot be read.
    pub fn state(&self, law_id: &ElectionId) -> Result<State, NodeError> {
        let mut state = None;
        self.for_each_leaf(law_id, |leaf| -> Result<(), NodeError> {
            // Only few leaves of a log are about the state: the others need no parsing.
            if leaf.starts_with(ELECTION_LEAF) {
                let Ok(Leaf::Election(event)) = Leaf::parse(leaf) else {
                    return Err(cut_short(law_id, 0));
                };
                let mut account = Account::default();
                account.take(&Leaf::Election(event), empty_root);
                state = account.state().or(state);
            }
            Ok(())
        })?;
        state.ok_or_else(|| cut_short(law_id, 1))
    }

    /// An election from its log, as [`crate::node::Node::election`] returns it on a running node.
    ///
    /// # Errors
    /// [`NodeError`] if its log cannot be read.
    pub fn election(&self, law_id: &ElectionId) -> Result<Option<ElectionView>, NodeError> {
        match LogStatus::read(self, law_id)? {
            None => Ok(None),
            Some(status) => {
                let signer =
                    CheckpointSigner::new(&self.folder, law_id, status.definition().binding)?;
                Ok(Some(status.election_view(&signer)))
            }
        }
    }

    /// The ingest nodes that an election's log admits, each with its epochs in the log. `answering`
    /// is always false: only a running node can know it.
    ///
    /// # Errors
    /// [`NodeError`] if its log cannot be read.
    pub fn nodes(&self, law_id: &ElectionId) -> Result<Option<Vec<NodeView>>, NodeError> {
        let names = self.folder.named_nodes()?;
        Ok(LogStatus::read(self, law_id)?.map(|status| status.node_views(&names)))
    }

    /// The kept rolls of the data folder, each with the elections whose logs name it.
    ///
    /// # Errors
    /// [`NodeError`] if a kept manifest or a log cannot be read.
    pub fn rolls(&self) -> Result<Vec<RollView>, NodeError> {
        let mut used = Vec::new();
        for law_id in self.elections()? {
            if let Some(status) = LogStatus::read(self, &law_id)? {
                used.push((law_id, status.manifests().to_vec()));
            }
        }
        Ok(roll_store::list(&self.folder, &used)?)
    }

    /// The content of a kept roll or supplement for an election; `None` if the folder does not keep
    /// it.
    ///
    /// # Errors
    /// [`NodeError`] if the kept files are damaged.
    pub fn roll(
        &self,
        manifest: &Digest,
        law_id: &ElectionId,
    ) -> Result<Option<RollContent>, NodeError> {
        if !self.folder.rolls()?.contains(manifest) {
            return Ok(None);
        }
        Ok(roll_store::content(&self.folder, manifest, law_id)?)
    }

    /// Returns the ballot key of an election; `None` once it has been destroyed.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn ballot_key(&self, law_id: &ElectionId) -> Result<Option<BallotSecretKey>, NodeError> {
        Ok(self.folder.ballot_key(law_id)?)
    }
}

/// The lines of a log: see [`Archive::lines`].
#[derive(Debug)]
pub struct Lines<'a> {
    archive: &'a Archive,
    law_id: &'a ElectionId,
    height: u64,
    bytes: Vec<u8>,
    read: usize,
}

impl Read for Lines<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.read == self.bytes.len() {
            self.read_on().map_err(io::Error::other)?;
        }
        let count = out.len().min(self.bytes.len() - self.read);
        out[..count].copy_from_slice(&self.bytes[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}

impl Lines<'_> {
    fn read_on(&mut self) -> Result<(), NodeError> {
        self.bytes.clear();
        self.read = 0;
        for StoredBlock { height, leaves, .. } in
            self.archive.blocks(self.law_id, self.height, READ_BATCH_LEN)?
        {
            for leaf in leaves_of_block(&leaves) {
                self.bytes.extend_from_slice(leaf.ok_or_else(|| cut_short(self.law_id, height))?);
                self.bytes.push(b'\n');
            }
            self.height = height + 1;
        }
        Ok(())
    }
}

fn cut_short(law_id: &ElectionId, height: u64) -> NodeError {
    NodeError::Undecodable { law_id: law_id.clone(), reason: format!("block {height}") }
}
