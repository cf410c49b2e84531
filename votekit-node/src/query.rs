//! The public queries of a node: the status of a request, its receipt, results by policy, the log's
//! tiles, health.
//!
//! Only durable decisions are reported: they are read from the ledger.

mod decision_wait;
pub(crate) mod election_watch;
mod membership;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;
use votekit_core::decision::Decision;
use votekit_core::election::{ResultsPolicy, State};
use votekit_core::election_log::leaves_of_block;
use votekit_core::envelope::VoterToken;
use votekit_core::id::{Digest, ElectionId, RequestId};
use votekit_core::log::checkpoint::SignedCheckpoint;
use votekit_core::log::leaf::Leaf;
use votekit_core::log::merkle::{ProveError, TileReader, TreeHash, prove_inclusion};
use votekit_core::log::proof::Proof;
use votekit_core::log::tile::{self, TILE_WIDTH, Tile};
use votekit_core::results::Results;
use votekit_store::{EngineError, Hint};

use crate::config::Role;
use crate::context::NodeContext;
use crate::election::ElectionView;
use crate::election::{Committed, ElectionHandle};
use crate::node::Node;
use crate::watch;

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
    /// An engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// The state of a node and of its dependencies.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Health {
    /// Whether votes are accepted.
    pub healthy: bool,
    /// Each dependency: `ok`, or what is wrong.
    pub dependencies: Vec<DependencyHealth>,
    /// Votes issued by this node and not yet decided.
    pub votes_pending: u64,
}

/// The state of one dependency.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DependencyHealth {
    /// `ledger`, `ballot box`, `registry`, `node`, `clock`; `election` and its law id where a
    /// fault halted one.
    pub name: String,
    /// `ok`, or what is wrong.
    pub state: String,
}

/// Numbers for gauges.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    /// Votes issued by this node and not yet decided.
    pub votes_pending: u64,
    /// Elections that a fault halted here.
    pub elections_halted: u64,
    /// How far the clock is behind the latest time it issued or sealed.
    pub clock_behind: Duration,
    /// Free bytes in the file system of the data folder, and its size, where known.
    pub data_bytes: Option<(u64, u64)>,
    /// Pairs of address prefix and NAS with wrong codes that the throttle remembers.
    pub throttle_pairs: u64,
    /// The gauges of each election.
    pub elections: Vec<ElectionGauges>,
}

/// Gauges of one election.
#[derive(Debug, Clone)]
pub struct ElectionGauges {
    /// The election.
    pub law_id: ElectionId,
    /// Votes waiting for their batch.
    pub queue_depth: u64,
    /// Height of the last block.
    pub block_height: u64,
    /// Leaves in the log.
    pub log_size: u64,
    /// The time of the last checkpoint, in unix seconds.
    pub checkpoint_at: u64,
    /// Counts by choice, where the policy shows them to everyone.
    pub votes_by_choice: Vec<(String, u64)>,
}

/// The state of a dependency that works.
const OK: &str = "ok";

/// Timeout for the ping of a dependency.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

async fn state(ping: impl Future<Output = Result<(), EngineError>>) -> String {
    match tokio::time::timeout(PING_TIMEOUT, ping).await {
        Ok(Ok(())) => OK.to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it does not answer".to_owned(),
    }
}

impl Node {
    /// Returns the status of a request. `None` if it was never issued here and is in no log.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn status(&self, request: RequestId) -> Result<Option<VoteStatus>, EngineError> {
        let Some((election, index)) = self.find(&request).await else {
            let pending = self.context.pending.hint_of(&request);
            // It may have been sealed between the two lookups.
            return match pending {
                None if self.find(&request).await.is_some() => {
                    Ok(Some(VoteStatus::Pending { expected: None }))
                }
                pending => Ok(pending.map(|expected| VoteStatus::Pending { expected })),
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
    /// [`EngineError`].
    pub async fn wait(
        &self,
        request: RequestId,
        wait: Duration,
    ) -> Result<Option<VoteStatus>, EngineError> {
        if let Some(decided) = self.context.pending.decided(&request) {
            // Whether or not it came in time, the ledger holds the status.
            tokio::select! {
                _ = tokio::time::timeout(wait, decided) => {}
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
            let pending = self.context.pending.hint_of(&request).is_some();
            return Err(if pending { ReceiptError::Pending } else { ReceiptError::Unknown });
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
        self.context
            .elections()
            .iter()
            .map(|election| ElectionView::from_handle(election))
            .collect()
    }

    /// One election.
    #[must_use]
    pub fn election(&self, law_id: &ElectionId) -> Option<ElectionView> {
        self.context.election(law_id).map(|election| ElectionView::from_handle(&election))
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
        let election = self.context.election(law_id).ok_or(ResultsError::UnknownElection)?;
        let committed = election.committed();
        let shown = match committed.results.definition.results {
            _ if committed.state() >= State::Closed => true,
            ResultsPolicy::Live => true,
            ResultsPolicy::AfterVote => match voter {
                Some((request, token))
                    // `status` searches all elections: the request must be in this one's log.
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

    /// Returns the results as those see them who have voted. The caller shows them to no one else.
    ///
    /// # Errors
    /// [`ResultsError`].
    pub fn results_for_voters(&self, law_id: &ElectionId) -> Result<Results, ResultsError> {
        let election = self.context.election(law_id).ok_or(ResultsError::UnknownElection)?;
        let committed = election.committed();
        let policy = committed.results.definition.results;
        let shown = committed.state() >= State::Closed
            || matches!(policy, ResultsPolicy::Live | ResultsPolicy::AfterVote);
        shown_results(&committed, shown)
    }

    /// Returns the signed checkpoint of an election's log.
    #[must_use]
    pub fn checkpoint(&self, law_id: &ElectionId) -> Option<Vec<u8>> {
        self.context.election(law_id).map(|election| election.committed().checkpoint.clone())
    }

    /// Returns the policy of an election.
    #[must_use]
    pub fn policy(&self, law_id: &ElectionId) -> Option<Vec<u8>> {
        self.context.election(law_id).map(|election| election.signer.policy.as_bytes().to_vec())
    }

    /// Returns a manifest that the log of an election names.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn manifest(
        &self,
        law_id: &ElectionId,
        digest: &Digest,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        match self.context.election(law_id) {
            Some(election) if election.log().named_manifests().any(|named| named == digest) => {
                self.context.ledger.manifest(digest).await
            }
            _ => Ok(None),
        }
    }

    /// Returns a tile of hashes, if the log is large enough for it.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn tile(
        &self,
        law_id: &ElectionId,
        tile: Tile,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let Some(election) = self.context.election(law_id) else { return Ok(None) };
        let committed = election.committed();
        match Tile::in_tree(committed.size(), tile.level(), tile.index()) {
            Some(there) if there.width() >= tile.width() => {
                let hashes = self.tile_hashes(&election, &committed, tile).await?;
                Ok(hashes.map(|hashes| tile::encode_hashes(&hashes[..usize::from(tile.width())])))
            }
            _ => Ok(None),
        }
    }

    /// Returns a bundle of leaves, named by the level-0 tile that holds their hashes.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn entry_bundle(
        &self,
        law_id: &ElectionId,
        tile: Tile,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let Some(election) = self.context.election(law_id) else { return Ok(None) };
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

    /// Returns the state of this node and of its dependencies.
    pub async fn health(&self) -> Health {
        let NodeContext { ledger, ballot_box, registry, .. } = &*self.context;
        let (ledger, ballot_box, registry) =
            tokio::join!(state(ledger.ping()), state(ballot_box.ping()), state(registry.ping()));
        let node = self.failure().or_else(|| self.not_admitted()).unwrap_or_else(|| OK.to_owned());
        let clock = self.clock_stepped().unwrap_or_else(|| OK.to_owned());
        let elections = self.context.elections();
        let is_open = |election: &&Arc<ElectionHandle>| election.committed().state() == State::Open;
        let mut open = elections.iter().filter(is_open).peekable();
        // A halted election must not turn away the voters of another one.
        let all_halted = open.peek().is_some() && open.all(|election| election.halted().is_some());
        // Without the registry votes are still accepted and decided.
        let healthy =
            !all_halted && [&ledger, &ballot_box, &node, &clock].iter().all(|state| *state == OK);
        let mut dependencies = [
            ("ledger", ledger),
            ("ballot box", ballot_box),
            ("registry", registry),
            ("node", node),
            ("clock", clock),
        ]
        .map(|(name, state)| DependencyHealth { name: name.to_owned(), state })
        .to_vec();
        dependencies.extend(elections.iter().filter_map(|election| {
            let state = format!("halted: {}", election.halted()?);
            Some(DependencyHealth { name: format!("election {}", election.law_id()), state })
        }));
        Health { healthy, dependencies, votes_pending: self.context.pending.len() as u64 }
    }

    /// The reason for which no vote is accepted, if the clock went back too far.
    fn clock_stepped(&self) -> Option<String> {
        let (law_id, stepped) = watch::stepped(&self.context)?;
        Some(format!(
            "it went back: it is {} s before a time issued or sealed for {law_id}",
            stepped.by.div_ceil(1000)
        ))
    }

    /// The reason for which an ingest node would refuse votes, if an open election does not admit
    /// it.
    fn not_admitted(&self) -> Option<String> {
        let lacking = |election: &Arc<ElectionHandle>| {
            let committed = election.committed();
            committed.state() == State::Open && !committed.admits_this_node
        };
        let election = self
            .context
            .has(Role::Ingest)
            .then(|| self.context.elections().into_iter().find(lacking))??;
        Some(format!("{} does not admit it: votekit node admit", election.law_id()))
    }

    /// Returns the numbers for gauges.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        let elections = self.context.elections().into_iter().map(|election| {
            let committed = election.committed();
            let shown = committed.state() >= State::Closed
                || committed.results.definition.results == ResultsPolicy::Live;
            let counts =
                committed.results.definition.choices.iter().zip(&committed.results.counts.choices);
            ElectionGauges {
                law_id: election.law_id().clone(),
                queue_depth: (election.intake.max_capacity() - election.intake.capacity()) as u64,
                block_height: committed.height,
                log_size: committed.size(),
                checkpoint_at: committed.results.updated_at.0,
                votes_by_choice: counts
                    .filter(|_| shown)
                    .map(|(choice, count)| (choice.id.to_string(), *count))
                    .collect(),
            }
        });
        let halted =
            self.context.elections().iter().filter(|election| election.halted().is_some()).count();
        Gauges {
            votes_pending: self.context.pending.len() as u64,
            elections_halted: halted as u64,
            clock_behind: self.context.observed.clock_behind(),
            data_bytes: self.context.observed.space().map(|space| (space.free, space.size)),
            throttle_pairs: self.context.throttle.pairs() as u64,
            elections: elections.collect(),
        }
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

    async fn leaf(&self, election: &ElectionHandle, index: u64) -> Result<Vec<u8>, EngineError> {
        let bytes = self
            .context
            .ledger
            .leaves(election.law_id(), index, 1)
            .await?
            .ok_or_else(|| damaged(election, index))?;
        let leaf = leaves_of_block(&bytes).next().flatten().map(<[u8]>::to_vec);
        leaf.ok_or_else(|| damaged(election, index))
    }

    /// Proves inclusion. The proof walks the tree synchronously; each missing tile is fetched and
    /// the walk starts again, at most once a level.
    async fn inclusion_path(
        &self,
        election: &ElectionHandle,
        committed: &Committed,
        index: u64,
    ) -> Result<Vec<TreeHash>, EngineError> {
        let tiles = Fetched { committed, full: RefCell::default() };
        loop {
            match prove_inclusion(&tiles, index, committed.size()) {
                Ok(path) => return Ok(path),
                Err(ProveError::Read { tile, .. }) => {
                    let hashes = self
                        .tile_hashes(election, committed, tile)
                        .await?
                        .ok_or_else(|| damaged(election, index))?;
                    // A tile that is missing although it was fetched would repeat the walk for
                    // ever.
                    if tiles
                        .full
                        .borrow_mut()
                        .insert((tile.level(), tile.index()), hashes)
                        .is_some()
                    {
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
    ) -> Result<Option<Vec<TreeHash>>, EngineError> {
        if let Some(partial) = partial_tile(committed, tile) {
            return Ok(Some(partial));
        }
        let bytes = self.context.ledger.tile(election.law_id(), tile.level(), tile.index()).await?;
        bytes
            .map(|bytes| {
                tile::decode_hashes(&bytes).map_err(|error| corrupt(format!("{tile}: {error}")))
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

/// The hashes of a tile on the right edge, which are held in memory.
fn partial_tile(committed: &Committed, tile: Tile) -> Option<Vec<TreeHash>> {
    let edge = Tile::in_tree(committed.size(), tile.level(), tile.index())?;
    (edge.width() < TILE_WIDTH).then(|| committed.tree.partial_tile(tile.level()).to_vec())
}

struct Fetched<'a> {
    committed: &'a Committed,
    full: RefCell<HashMap<(u8, u64), Vec<TreeHash>>>,
}

/// The tile must be fetched first.
#[derive(Debug)]
struct NotFetched;

impl TileReader for Fetched<'_> {
    type Error = NotFetched;

    fn hashes(&self, tile: Tile) -> Result<Vec<TreeHash>, NotFetched> {
        partial_tile(self.committed, tile)
            .or_else(|| self.full.borrow().get(&(tile.level(), tile.index())).cloned())
            .ok_or(NotFetched)
    }
}

fn damaged(election: &ElectionHandle, index: u64) -> EngineError {
    corrupt(format!("leaf {index} of {} cannot be read", election.law_id()))
}

fn corrupt(reason: String) -> EngineError {
    EngineError::Corrupt { engine: "ledger", reason }
}
