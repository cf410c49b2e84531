//! Makes false blocks from honest ones, signs their proposals, and stores them in the ledger.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use votekit_core::authority::{BlockProposal, LogPoint, TermLeader};
use votekit_core::batch::NodePublicKey;
use votekit_core::election::State;
use votekit_core::election_log::{BlockContent, BlockMaker, LogEvent, Proposal, leaves_of_block};
use votekit_core::id::Digest;
use votekit_core::instant::{UnixMinutes, UnixSeconds};
use votekit_core::log::leaf::Leaf;
use votekit_core::log::merkle::leaf_hash;
use votekit_core::log::tile;
use votekit_store::{Ledger, NewRow, RowKind, RowOutcome};

use crate::folder::AuthorityFolder;
use crate::history::History;
use crate::lie::{BACK_DATED_MINUTES, Lie, Unfit};

/// The reason that an early close states.
const CLOSE_REASON: &str = "votekit-liar closes the poll";

/// How old the minute of an early closing may be, in seconds. From a minute on, the others take
/// their clocks for the reason to wait, and refuse nothing.
const CLOSING_AGE_MAX: u64 = 45;

/// A block to propose.
pub(crate) struct Forged {
    proposal: BlockProposal,
    leaves: Vec<u8>,
    /// The index in the log of the leaf that is false.
    false_leaf: u64,
    /// Whether the row states no holder, as a copy of an earlier proposal.
    is_copy: bool,
}

/// Makes the blocks of a lie under a leadership, at a time of this machine. The inner error says
/// that the honest block does not allow the lie yet.
///
/// # Errors
/// When the election is in a state in which the lie can never be.
pub(crate) fn forge(
    history: &History,
    folder: &AuthorityFolder,
    lie: Lie,
    leadership: &TermLeader,
    now: UnixSeconds,
) -> Result<Result<Vec<Forged>, Unfit>> {
    let state = history.log.state();
    ensure!(
        matches!(state, State::Draft | State::Open | State::Closing),
        "the election is {state:?}: no block follows"
    );
    let minute = now.minute_floor();
    // A minute later is within what the others' clocks allow.
    let minutes = if lie == Lie::SecondRoot { vec![minute, minute.next()] } else { vec![minute] };
    let mut forged = Vec::new();
    for minute in minutes {
        let maker = BlockMaker {
            term: leadership.term,
            leader: leadership.leader.as_str().to_owned(),
            at: minute,
        };
        let honest = match honest(history, folder, lie, &maker, now) {
            Ok(honest) => honest,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut leaves = parse(&honest.block.leaves)?;
        let index = match lie.edit(&mut leaves, &history.batches) {
            Ok(index) => index,
            Err(reason) => return Ok(Err(reason)),
        };
        let edited = Edited { leaves, index };
        forged.push(encode(history, &honest, &edited, lie, leadership.clone(), now)?);
    }
    if let [first, second] = &forged[..]
        && first.proposal.point.root == second.proposal.point.root
    {
        // The log is ahead of this minute: both blocks state its time.
        return Ok(Err("both blocks are the same"));
    }
    Ok(Ok(forged))
}

/// The leaves of a false block, and the index of the false leaf.
struct Edited {
    leaves: Vec<Leaf>,
    index: usize,
}

/// The block that the log allows, with the content that the lie is about.
fn honest(
    history: &History,
    folder: &AuthorityFolder,
    lie: Lie,
    maker: &BlockMaker,
    now: UnixSeconds,
) -> Result<Proposal, Unfit> {
    let propose = |content: &BlockContent<'_>| {
        history.log.propose(content, maker).map_err(|_| "the log does not allow such a block")
    };
    match lie {
        Lie::EarlyClose => {
            let closes = last_stamp(history).ok_or("no vote is in the log")?;
            if now.0.saturating_sub(closes.start().0) > CLOSING_AGE_MAX {
                return Err("the last vote in the log is too old to close at its minute");
            }
            let reason = Some(CLOSE_REASON.to_owned());
            propose(&BlockContent::Events(&[LogEvent::Closing { closes, reason }]))
        }
        Lie::RogueNode => {
            let key = NodePublicKey::from_bytes(folder.key.public());
            propose(&BlockContent::Events(&[LogEvent::Admit(key)]))
        }
        _ => {
            let content = BlockContent::Batches {
                batches: &history.unsealed,
                ballot_key: &history.ballot_key,
            };
            let proposal = propose(&content)?;
            let has_batch = proposal.refused.len() < history.unsealed.len();
            if has_batch { Ok(proposal) } else { Err("no staged batch can be sealed") }
        }
    }
}

/// The latest minute of a vote in the log.
fn last_stamp(history: &History) -> Option<UnixMinutes> {
    let epochs = history.log.decisions().epochs();
    epochs.iter().map(|(_, _, progress)| progress.minute).max()
}

fn parse(leaves: &[u8]) -> Result<Vec<Leaf>> {
    let parse = |leaf: Option<&[u8]>| -> Result<Leaf> {
        let leaf = leaf.context("a block ends within a leaf")?;
        Ok(Leaf::parse(leaf)?)
    };
    leaves_of_block(leaves).map(parse).collect()
}

/// The leaves as stored, and the proposal that states them.
fn encode(
    history: &History,
    honest: &Proposal,
    edited: &Edited,
    lie: Lie,
    leadership: TermLeader,
    now: UnixSeconds,
) -> Result<Forged> {
    let mut tree = history.log.tree().clone();
    let (mut bytes, mut full_tiles) = (Vec::new(), Vec::new());
    for leaf in &edited.leaves {
        let leaf = leaf.to_bytes();
        tile::push_entry(&mut bytes, &leaf)?;
        tree.append(leaf_hash(&leaf), &mut full_tiles);
    }
    let point = LogPoint { height: honest.block.height, size: tree.size(), root: tree.root() };
    let is_past = lie == Lie::BackDated;
    let proposed_at = if is_past { now.0.saturating_sub(BACK_DATED_MINUTES * 60) } else { now.0 };
    let proposal = BlockProposal {
        law_id: history.log.definition().law_id.clone(),
        leadership,
        first_leaf: honest.block.first_leaf,
        leaf_count: u32::try_from(edited.leaves.len()).context("too many leaves")?,
        point,
        digest: Digest::of(&bytes),
        takes_votes: honest.effect.state() == State::Open,
        proposed_at: UnixSeconds(proposed_at),
    };
    let false_leaf = honest.block.first_leaf + edited.index as u64;
    Ok(Forged { proposal, leaves: bytes, false_leaf, is_copy: lie == Lie::StaleTerm })
}

impl Forged {
    /// The height of the block.
    pub(crate) fn height(&self) -> u64 {
        self.proposal.point.height
    }

    /// Signs the proposal and stores it.
    ///
    /// # Errors
    /// When the ledger fails.
    pub(crate) async fn put(
        &self,
        ledger: &dyn Ledger,
        folder: &AuthorityFolder,
        holder: &str,
    ) -> Result<RowOutcome> {
        let row = NewRow {
            kind: RowKind::Proposal,
            authority: folder.key.name().as_str().to_owned(),
            law_id: Some(self.proposal.law_id.clone()),
            height: self.height(),
            term: self.proposal.leadership.term,
            bytes: folder.key.sign_proposal(&self.proposal),
            leaves: self.leaves.clone(),
        };
        let holder = (!self.is_copy).then_some(holder);
        Ok(ledger.put_row(&row, holder).await?)
    }

    /// Whether the ledger's log has this block.
    ///
    /// # Errors
    /// When the ledger fails.
    pub(crate) async fn is_in_log(&self, ledger: &dyn Ledger) -> Result<bool> {
        let blocks = ledger.blocks(&self.proposal.law_id, self.height(), 1).await?;
        Ok(blocks.first().is_some_and(|block| block.leaves == self.leaves))
    }

    /// The block and its outcome, as JSON.
    pub(crate) fn describe(&self, outcome: &RowOutcome, is_certified: bool) -> Value {
        let BlockProposal { leadership, first_leaf, leaf_count, point, digest, .. } =
            &self.proposal;
        let stored = match outcome {
            RowOutcome::Stored => "stored".to_owned(),
            RowOutcome::Present => "present".to_owned(),
            RowOutcome::Late { term } => format!("late: the term is {term}"),
        };
        json!({
            "term": leadership.term,
            "height": point.height,
            "first_leaf": first_leaf,
            "leaf_count": leaf_count,
            "false_leaf": self.false_leaf,
            "root": point.root.to_hex(),
            "digest": digest.to_hex(),
            "row": stored,
            "certified": is_certified,
        })
    }
}
