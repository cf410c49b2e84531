//! The proposal of a leader: one block of one election, identified by its position, its end and its
//! digest.

use super::point::{LogPoint, TermLeader};
use super::set::AuthoritySet;
use super::text::{Fields, StatementError, StatementRule};
use crate::id::{Digest, ElectionId};
use crate::instant::UnixSeconds;
use crate::log::note::KeyName;

/// The first line.
const FORMAT: &str = "votekit-proposal/1";

/// A proposed block. The leaves are sent with it; `digest` binds them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockProposal {
    /// The election.
    pub law_id: ElectionId,
    /// The term, and the leader that proposes and signs.
    pub leadership: TermLeader,
    /// The index in the log of the block's first leaf: the size of the log before it.
    pub first_leaf: u64,
    /// The number of its leaves, from 1.
    pub leaf_count: u32,
    /// The end of the log after the block.
    pub point: LogPoint,
    /// SHA-256 of the block's leaf bytes, each leaf preceded by its length in 2 bytes.
    pub digest: Digest,
    /// Whether the election is open after the block, so that nodes get leases to answer voters.
    pub takes_votes: bool,
    /// When it was proposed, by the leader's clock.
    pub proposed_at: UnixSeconds,
}

impl BlockProposal {
    /// The text that is signed, with its final line feed.
    #[must_use]
    pub fn text(&self, base: &KeyName) -> String {
        let TermLeader { term, leader } = &self.leadership;
        let LogPoint { height, size, root } = &self.point;
        let takes_votes = if self.takes_votes { "yes" } else { "no" };
        format!(
            "{FORMAT}\nbase {base}\nelection {}\nterm {term}\nleader {leader}\nheight {height}\n\
             first {}\ncount {}\nsize {size}\nroot {root}\ndigest {}\ntakes-votes {takes_votes}\n\
             at {}\n",
            self.law_id, self.first_leaf, self.leaf_count, self.digest, self.proposed_at.0,
        )
    }

    /// Parses a signed text of this installation. Verifies no signature.
    pub(super) fn parse_text(text: &str, set: &AuthoritySet) -> Result<Self, StatementError> {
        let mut fields = Fields::open(text, FORMAT, set)?;
        let law_id = fields.id("election")?;
        let leadership = fields.leadership()?;
        let height = fields.number("height", 1)?;
        let first_leaf = fields.number("first", 0)?;
        let count = fields.number("count", 1)?;
        let Ok(leaf_count) = u32::try_from(count) else {
            return Err(fields.malformed(StatementRule::Number { least: 1 }));
        };
        let size = fields.number("size", height)?;
        // Neither exceeds 2^53 - 1.
        if first_leaf + count != size {
            return Err(fields.malformed(StatementRule::Size));
        }
        let point = LogPoint { height, size, root: fields.id("root")? };
        let digest = fields.id("digest")?;
        let takes_votes = fields.flag("takes-votes")?;
        let proposed_at = UnixSeconds(fields.number("at", 0)?);
        if !proposed_at.minute_floor().is_in_range() {
            return Err(fields.malformed(StatementRule::Time));
        }
        fields.end()?;
        Ok(Self {
            law_id,
            leadership,
            first_leaf,
            leaf_count,
            point,
            digest,
            takes_votes,
            proposed_at,
        })
    }
}

#[cfg(test)]
#[path = "proposal_test.rs"]
mod tests;
