//! The public queries of a node: the status of a request, its receipt, results by policy, the log's
//! tiles; [`health`], and subscriptions.
//!
//! Only durable decisions are reported: they are read from the ledger.

pub(crate) mod bundle;
pub(crate) mod status_view;
pub(crate) mod witness_view;
pub(crate) mod cluster_view;
mod decision_wait;
pub(crate) mod election_watch;
pub(crate) mod health;
mod membership;
pub(crate) mod official_view;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use votekit_core::decision::Decision;
use votekit_core::election::{ResultsPolicy, State};
use votekit_core::election_log::leaves_of_block;
use votekit_core::envelope::VoterToken;
use votekit_core::id::{Digest, ElectionId, RequestId};
use votekit_core::log::checkpoint::SignedCheckpoint;
use votekit_core::log::leaf::Leaf;
use votekit_core::log::merkle::{
    ProveError, TileReader, TreeHash, prove_consistency, prove_inclusion,
};
use votekit_core::log::proof::Proof;
use votekit_core::log::tile::{self, TILE_WIDTH, Tile};
use votekit_core::results::Results;
use votekit_store::{EngineError, Hint};

use crate::election::ElectionView;
use crate::election::{Committed, ElectionHandle, read_witnessed};
use crate::node::Node;

/// The status of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoteStatus {
    /// Issued, not recorded yet.
    Pending {
        /// The hint, once the registry has given one.
        expected: Option<Hint>,
    },
    /// Recorded in the log.
    Decided(Decision),
}

/// Why something about a log cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
// Exhaustive: votekit-http gives each variant its problem.
pub enum ReadError {
    /// A fault halted the election, and its log cannot be read on this node. For a request: no
    /// readable log has it, so it may be in the unreadable log.
    #[error("a log cannot be read on this node")]
    Halted,
    /// A part of the stored log is missing, or cannot be decoded.
    #[error("{reason}")]
    Damaged {
        /// The part, and its fault.
        reason: String,
    },
    /// An engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Why there is no receipt.
#[derive(Debug, Clone, thiserror::Error)]
// Exhaustive: votekit-http gives each variant its problem.
pub enum ReceiptError {
    /// The request was never issued.
    #[error("no such request was issued")]
    Unknown,
    /// The request is not recorded yet.
    #[error("the request is not recorded yet")]
    Pending,
    /// As [`ReadError::Halted`].
    #[error("a log cannot be read on this node")]
    Halted,
    /// A part of the stored log is missing, or cannot be decoded.
    #[error("{reason}")]
    Damaged {
        /// The part, and its fault.
        reason: String,
    },
    /// An engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Why results are not shown.
#[derive(Debug, Clone, thiserror::Error)]
// Exhaustive: votekit-http gives each variant its problem.
pub enum ResultsError {
    /// No such election.
    #[error("there is no such election")]
    UnknownElection,
    /// The policy withholds them.
    #[error("the results of this election are withheld")]
    Withheld {
        /// The policy.
        policy: ResultsPolicy,
        /// The state of the election.
        state: State,
    },
    /// This node follows the log and does not decide: it has no running counts that the log does
    /// not open.
    #[error("this node does not know the running counts of this election")]
    NotHere,
    /// A fault halted the election, and its log cannot be read on this node.
    #[error("the log of this election cannot be read on this node")]
    Halted,
    /// As [`ReadError::Damaged`].
    #[error("{reason}")]
    Damaged {
        /// The part, and its fault.
        reason: String,
    },
    /// An engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<ReadError> for ReceiptError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Halted => Self::Halted,
            ReadError::Damaged { reason } => Self::Damaged { reason },
            ReadError::Engine(error) => Self::Engine(error),
        }
    }
}

impl From<ReadError> for ResultsError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Halted => Self::Halted,
            ReadError::Damaged { reason } => Self::Damaged { reason },
            ReadError::Engine(error) => Self::Engine(error),
        }
    }
}

impl Node {
    /// Returns the status of a request. `None` if it was never issued here and is in no log.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn status(&self, request: RequestId) -> Result<Option<VoteStatus>, ReadError> {
        let Some((election, index)) = self.find(&request).await else {
            return match self.context.pending.hint_of(&request) {
                Some(expected) => Ok(Some(VoteStatus::Pending { expected })),
                // It may have been sealed between the two lookups.
                None if self.find(&request).await.is_some() => {
                    Ok(Some(VoteStatus::Pending { expected: None }))
                }
                None if self.has_damaged() => Err(ReadError::Halted),
                None => Ok(None),
            };
        };
        if index >= election.committed().size() {
            // Decided, but not durable yet.
            return Ok(Some(VoteStatus::Pending {
                expected: self.context.pending.hint_of(&request).flatten(),
            }));
        }
        let leaf = self.leaf(&election, index).await?;
        match Leaf::parse(&leaf) {
            Ok(Leaf::Entry(entry)) if entry.request == request => {
                Ok(Some(VoteStatus::Decided(entry.decision)))
            }
            _ => Err(damaged(&election, index)),
        }
    }

    /// As [`Node::status`], after waiting at most `wait` for the decision.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn wait(
        &self,
        request: RequestId,
        wait: Duration,
    ) -> Result<Option<VoteStatus>, ReadError> {
        if let Some(decided) = self.context.pending.decided(&request) {
            let durable = async {
                let _ = decided.await;
                // A node that follows resolves the requests of a block before it shows the block.
                self.durable(&request).await;
            };
            // After a timeout too, `status` returns the present state.
            tokio::select! {
                _ = tokio::time::timeout(wait, durable) => {}
                () = self.context.hurried() => {}
            }
        }
        self.status(request).await
    }

    /// Returns a receipt: the tlog-proof that the decision on a request is recorded.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub async fn receipt(&self, request: RequestId) -> Result<Vec<u8>, ReceiptError> {
        let Some((election, index)) = self.find(&request).await else {
            return Err(match self.context.pending.hint_of(&request) {
                Some(_) => ReceiptError::Pending,
                None if self.has_damaged() => ReceiptError::Halted,
                None => ReceiptError::Unknown,
            });
        };
        let committed = election.committed();
        if index >= committed.size() {
            return Err(ReceiptError::Pending);
        }
        let leaf = self.leaf(&election, index).await?;
        let path = self.inclusion_path(&election, &committed, index).await?;
        let checkpoint = SignedCheckpoint::parse(&committed.checkpoint)
            .map_err(|_| damaged(&election, index))?;
        Ok(Proof::new(&leaf, index, path, checkpoint).to_string().into_bytes())
    }

    /// The elections of this node.
    #[must_use]
    pub fn elections(&self) -> Vec<ElectionView> {
        let read = self.context.elections();
        let damaged = self.context.damaged_elections();
        let mut views: Vec<_> = read
            .iter()
            .map(|election| ElectionView::from_handle(election))
            .chain(damaged.iter().map(|election| ElectionView::from_damaged(election)))
            .collect();
        views.sort_by(|one, other| one.law_id.cmp(&other.law_id));
        views
    }

    /// One election.
    #[must_use]
    pub fn election(&self, law_id: &ElectionId) -> Option<ElectionView> {
        match self.context.election(law_id) {
            Some(election) => Some(ElectionView::from_handle(&election)),
            None => {
                let damaged = self.context.damaged(law_id)?;
                Some(ElectionView::from_damaged(&damaged))
            }
        }
    }

    /// Whether an election is a draft: created, and never opened. `false` for an election whose log
    /// cannot be read, and for an election that does not exist.
    #[must_use]
    pub fn is_draft(&self, law_id: &ElectionId) -> bool {
        let election = self.context.election(law_id);
        election.is_some_and(|election| election.committed().state() == State::Draft)
    }

    /// The voter token returned with the answer to a vote under `after_vote`: a request id is no
    /// secret, as the log publishes it. `None` under other policies.
    #[must_use]
    pub fn voter_token(&self, law_id: &ElectionId, request: &RequestId) -> Option<VoterToken> {
        let election = self.context.election(law_id)?;
        (election.committed().results.definition.results == ResultsPolicy::AfterVote)
            .then(|| election.voter_token(request))
            .flatten()
    }

    /// Returns the results, if the policy shows them. Under `after_vote` the request id of an
    /// accepted vote and its voter token are the key.
    ///
    /// # Errors
    /// [`ResultsError`].
    pub async fn results(
        &self,
        law_id: &ElectionId,
        voter: Option<(RequestId, VoterToken)>,
    ) -> Result<Results, ResultsError> {
        let Some(election) = self.context.election(law_id) else {
            let damaged = self.context.damaged(law_id);
            return Err(damaged.map_or(ResultsError::UnknownElection, |_| ResultsError::Halted));
        };
        let committed = election.committed();
        let shown = match committed.results.definition.results {
            _ if committed.state() >= State::Closed => true,
            ResultsPolicy::Live => true,
            ResultsPolicy::AfterVote => match voter {
                Some((request, token))
                    // `status` searches all elections: the request must be in the log of this
                    // election.
                    if election.voter_token(&request) == Some(token)
                        && election.log().decisions().requests().contains(&request) =>
                {
                    matches!(
                        self.status(request).await?,
                        Some(VoteStatus::Decided(Decision::Accepted { .. }))
                    )
                }
                _ => false,
            },
            _ => false,
        };
        shown_results(&committed, shown)
    }

    /// Returns the results for electors who have voted. The caller must not show them to others.
    ///
    /// # Errors
    /// [`ResultsError`].
    pub fn results_for_voters(&self, law_id: &ElectionId) -> Result<Results, ResultsError> {
        let election = self.readable(law_id)?.ok_or(ResultsError::UnknownElection)?;
        let committed = election.committed();
        let policy = committed.results.definition.results;
        let shown = committed.state() >= State::Closed
            || matches!(policy, ResultsPolicy::Live | ResultsPolicy::AfterVote);
        shown_results(&committed, shown)
    }

    /// Returns the signed checkpoint of an election's log, without outside witnesses.
    #[must_use]
    pub fn checkpoint(&self, law_id: &ElectionId) -> Option<Vec<u8>> {
        self.context.election(law_id).map(|election| election.committed().checkpoint.clone())
    }

    /// Returns the signed checkpoint of an election's log, with the cosignatures of the outside
    /// witnesses that are known. They are read from the ledger once a second at most; if the ledger
    /// does not answer, the checkpoint is returned without them.
    pub async fn witnessed_checkpoint(&self, law_id: &ElectionId) -> Option<Vec<u8>> {
        let election = self.context.election(law_id)?;
        let committed = election.committed();
        let policy = &election.signer.policy;
        if policy.witness_quorum() == 0 {
            return Some(committed.checkpoint.clone());
        }
        if let Some(note) = election.witnessed.get(&committed.checkpoint) {
            return Some(note);
        }
        let ledger = &*self.context.ledger;
        match read_witnessed(ledger, policy, law_id, &committed.checkpoint).await {
            Ok(read) => Some(election.witnessed.set(&committed.checkpoint, &read)),
            Err(error) => {
                tracing::debug!(
                    event = "witness_lines_not_read",
                    %law_id,
                    %error,
                    "lines of outside witnesses not read"
                );
                Some(committed.checkpoint.clone())
            }
        }
    }

    /// Returns the policy of an election.
    #[must_use]
    pub fn policy(&self, law_id: &ElectionId) -> Option<Vec<u8>> {
        self.context.election(law_id).map(|election| election.signer.policy.as_bytes().to_vec())
    }

    /// Returns a manifest that the log of an election names.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn manifest(
        &self,
        law_id: &ElectionId,
        digest: &Digest,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(election) = self.readable(law_id)? else { return Ok(None) };
        let is_named = election.log().named_manifests().any(|named| named == digest);
        if !is_named {
            return Ok(None);
        }
        Ok(self.context.ledger.manifest(digest).await?)
    }

    /// Returns a tile of hashes, if the log is large enough for it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn tile(
        &self,
        law_id: &ElectionId,
        tile: Tile,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(election) = self.readable(law_id)? else { return Ok(None) };
        let committed = election.committed();
        match Tile::in_tree(committed.size(), tile.level(), tile.index()) {
            Some(there) if there.width() >= tile.width() => {
                let hashes = self.tile_hashes(&election, &committed, tile).await?;
                Ok(hashes.map(|hashes| tile::encode_hashes(&hashes[..usize::from(tile.width())])))
            }
            _ => Ok(None),
        }
    }

    /// Returns a bundle of leaves, named by the level-0 tile that contains their hashes.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn entry_bundle(
        &self,
        law_id: &ElectionId,
        tile: Tile,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(election) = self.readable(law_id)? else { return Ok(None) };
        let span = tile.index().checked_mul(u64::from(TILE_WIDTH)).and_then(|first| {
            let end = first.checked_add(u64::from(tile.width()))?;
            (tile.level() == 0 && end <= election.committed().size()).then_some((first, end))
        });
        let Some((first, end)) = span else { return Ok(None) };
        // An entry bundle is length-prefixed leaves, as the ledger returns them.
        let count = u32::try_from(end - first).unwrap_or(u32::MAX);
        let bundle = self.context.ledger.leaves(law_id, first, count).await?;
        Ok(Some(bundle.ok_or_else(|| damaged(&election, first))?))
    }

    /// An election whose log can be read; `None` for an unknown id.
    fn readable(&self, law_id: &ElectionId) -> Result<Option<Arc<ElectionHandle>>, ReadError> {
        match (self.context.election(law_id), self.context.damaged(law_id)) {
            (None, Some(_)) => Err(ReadError::Halted),
            (election, _) => Ok(election),
        }
    }

    /// Whether there is an election whose log cannot be read.
    fn has_damaged(&self) -> bool {
        !self.context.damaged.read().is_empty()
    }

    async fn find(&self, request: &RequestId) -> Option<(Arc<ElectionHandle>, u64)> {
        for election in self.context.elections() {
            let index = election.log().decisions().requests().get(request);
            if let Some(index) = index {
                return Some((election, index));
            }
        }
        None
    }

    async fn leaf(&self, election: &ElectionHandle, index: u64) -> Result<Vec<u8>, ReadError> {
        let bytes = self
            .context
            .ledger
            .leaves(election.law_id(), index, 1)
            .await?
            .ok_or_else(|| damaged(election, index))?;
        let leaf = leaves_of_block(&bytes).next().flatten().map(<[u8]>::to_vec);
        leaf.ok_or_else(|| damaged(election, index))
    }

    async fn inclusion_path(
        &self,
        election: &ElectionHandle,
        committed: &Committed,
        index: u64,
    ) -> Result<Vec<TreeHash>, ReadError> {
        let size = committed.size();
        self.prove(election, committed, index, |tiles| prove_inclusion(tiles, index, size)).await
    }

    /// The proof that the tree of a log begins with its first `old_size` leaves.
    pub(crate) async fn consistency_path(
        &self,
        election: &ElectionHandle,
        committed: &Committed,
        old_size: u64,
    ) -> Result<Vec<TreeHash>, ReadError> {
        let size = committed.size();
        self.prove(election, committed, old_size, |tiles| prove_consistency(tiles, old_size, size))
            .await
    }

    /// Makes a proof. It walks the tree synchronously; each missing tile is fetched and the walk
    /// starts again, at most once a level. An error names the leaf that the proof is about.
    async fn prove(
        &self,
        election: &ElectionHandle,
        committed: &Committed,
        index: u64,
        proof: impl Fn(&Fetched<'_>) -> Result<Vec<TreeHash>, ProveError<NotFetched>> + Send,
    ) -> Result<Vec<TreeHash>, ReadError> {
        let mut tiles = Fetched { committed, full: HashMap::new() };
        loop {
            match proof(&tiles) {
                Ok(path) => return Ok(path),
                Err(ProveError::Read { tile, .. }) => {
                    let hashes = self
                        .tile_hashes(election, committed, tile)
                        .await?
                        .ok_or_else(|| damaged(election, index))?;
                    // A tile that is missing although it was fetched would repeat the walk forever.
                    if tiles.full.insert((tile.level(), tile.index()), hashes).is_some() {
                        return Err(damaged(election, index));
                    }
                }
                Err(_) => return Err(damaged(election, index)),
            }
        }
    }

    async fn tile_hashes(
        &self,
        election: &ElectionHandle,
        committed: &Committed,
        tile: Tile,
    ) -> Result<Option<Vec<TreeHash>>, ReadError> {
        if let Some(partial) = partial_tile(committed, tile) {
            return Ok(Some(partial));
        }
        let bytes = self.context.ledger.tile(election.law_id(), tile.level(), tile.index()).await?;
        bytes
            .map(|bytes| {
                tile::decode_hashes(&bytes)
                    .map_err(|error| ReadError::Damaged { reason: format!("{tile}: {error}") })
            })
            .transpose()
    }
}

/// The results, if they are shown and this node knows them.
fn shown_results(committed: &Committed, shown: bool) -> Result<Results, ResultsError> {
    match (shown, committed.knows_counts) {
        (true, true) => Ok(committed.results.clone()),
        (true, false) => Err(ResultsError::NotHere),
        (false, _) => {
            let policy = committed.results.definition.results;
            Err(ResultsError::Withheld { policy, state: committed.state() })
        }
    }
}

/// The hashes of a tile on the right edge, which are kept in memory.
fn partial_tile(committed: &Committed, tile: Tile) -> Option<Vec<TreeHash>> {
    let edge = Tile::in_tree(committed.size(), tile.level(), tile.index())?;
    (edge.width() < TILE_WIDTH).then(|| committed.tree.partial_tile(tile.level()).to_vec())
}

struct Fetched<'a> {
    committed: &'a Committed,
    full: HashMap<(u8, u64), Vec<TreeHash>>,
}

/// The tile must be fetched first.
#[derive(Debug)]
struct NotFetched;

impl TileReader for Fetched<'_> {
    type Error = NotFetched;

    fn hashes(&self, tile: Tile) -> Result<Vec<TreeHash>, NotFetched> {
        partial_tile(self.committed, tile)
            .or_else(|| self.full.get(&(tile.level(), tile.index())).cloned())
            .ok_or(NotFetched)
    }
}

fn damaged(election: &ElectionHandle, index: u64) -> ReadError {
    let reason = format!("leaf {index} of {} in the ledger cannot be read", election.law_id());
    ReadError::Damaged { reason }
}
