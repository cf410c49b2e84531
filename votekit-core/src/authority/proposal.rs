//! A block that a leader proposes.

use super::statement::{LogPoint, StatementError, TermLeader, read_point};
use super::text::Lines;
use crate::id::{Digest, ElectionId};
use crate::instant::UnixSeconds;
use crate::log::note::KeyName;

/// The first line of a proposal.
const FORMAT: &str = "votekit-proposal/1";

/// A proposed block, without its leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockProposal {
    /// The election.
    pub law_id: ElectionId,
    /// The leadership under which it is proposed. The block may have been made in an earlier one.
    pub leadership: TermLeader,
    /// The index of its first leaf.
    pub first_leaf: u64,
    /// The number of its leaves.
    pub leaf_count: u32,
    /// The end of the block.
    pub point: LogPoint,
    /// SHA-256 of its leaves, as stored.
    pub digest: Digest,
    /// Whether ingest nodes may answer voters after it.
    pub takes_votes: bool,
    /// The leader's time, in seconds.
    pub proposed_at: UnixSeconds,
}

impl BlockProposal {
    pub(super) fn text(&self, base: &KeyName) -> String {
        let Self { law_id, leadership, first_leaf, leaf_count, point, digest, .. } = self;
        format!(
            "{FORMAT}\nbase {base}\nterm {}\nleader {}\nelection {law_id}\nfirst {first_leaf}\n\
             count {leaf_count}\nheight {}\nsize {}\nroot {}\ndigest {}\ntakes-votes {}\nat {}\n",
            leadership.term,
            leadership.leader,
            point.height,
            point.size,
            point.root,
            digest.to_hex(),
            if self.takes_votes { "yes" } else { "no" },
            self.proposed_at.0,
        )
    }

    pub(super) fn parse_text(text: &str, base: &KeyName) -> Result<Self, StatementError> {
        let mut lines = Lines::new(text);
        if lines.next("the format")? != FORMAT {
            return Err(lines.wrong("the format"));
        }
        let named = lines.name_of("base")?;
        if named != *base {
            return Err(StatementError::Base { base: named });
        }
        let leadership = lines.leadership()?;
        let law_id = lines.election()?;
        let first_leaf = lines.number_of("first")?;
        let leaf_count =
            u32::try_from(lines.number_of("count")?).map_err(|_| lines.wrong("count"))?;
        let point = read_point(&mut lines)?;
        if first_leaf.checked_add(u64::from(leaf_count)) != Some(point.size) {
            return Err(lines.wrong("a size that follows from first and count"));
        }
        let digest = lines.digest("digest")?;
        let takes_votes = match lines.field("takes-votes")? {
            "yes" => true,
            "no" => false,
            _ => return Err(lines.wrong("takes-votes")),
        };
        let proposed_at = UnixSeconds(lines.number_of("at")?);
        lines.end()?;
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
