//! The rows of rounds: statements that the authorities write into the shared ledger for each other.
//!
//! The ledger does not verify rows. Their readers verify the signature in each row.

use std::fmt;

use sha2::{Digest as _, Sha256};
use votekit_core::id::{Digest, ElectionId};

use crate::error::NUMBER_RULE;

/// The position of a row. Positions ascend in the order in which rows become visible: after a
/// reader has read all rows up to a position, no row appears at a lower position. No position is
/// assigned twice, unless the ledger is restored from an older copy: see [`RowsRead::after`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub u64);

/// The kind of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RowKind {
    /// A block that a leader proposes, with its leaves.
    Proposal,
    /// A vote for the leader of a term, for all elections.
    Vote,
    /// An authority has made the proposed block itself and holds it durably.
    Accept,
    /// The cosignature of an authority over the log with the block.
    Cosign,
    /// An authority refuses a proposed block.
    Refuse,
    /// An authority suspects the leader of a term, for all elections.
    Suspect,
}

/// A row to store.
#[derive(Clone, PartialEq, Eq)]
pub struct NewRow {
    /// The kind of its statement.
    pub kind: RowKind,
    /// The name of the authority that makes the statement. A proposal is made by the leader.
    pub authority: String,
    /// The election; `None` for a vote and a suspicion.
    pub law_id: Option<ElectionId>,
    /// The height of the block, from 1; 0 for a vote and a suspicion.
    pub height: u64,
    /// The term; 0 for a cosignature.
    pub term: u64,
    /// The statement or proposal, a signed note; for a cosignature, the checkpoint with its line.
    pub bytes: Vec<u8>,
    /// The leaves of a proposed block, each preceded by its length (2 bytes, big-endian). Empty in
    /// a row of another kind.
    pub leaves: Vec<u8>,
}

/// A stored row.
#[derive(Clone, PartialEq, Eq)]
pub struct RoundRow {
    /// Its position.
    pub id: RowId,
    /// The kind of its statement.
    pub kind: RowKind,
    /// The name of the authority that makes the statement. A reader must verify it.
    pub authority: String,
    /// The election; `None` for a vote and a suspicion.
    pub law_id: Option<ElectionId>,
    /// The height of the block, from 1; 0 for a vote and a suspicion.
    pub height: u64,
    /// The term; 0 for a cosignature.
    pub term: u64,
    /// The statement or proposal, a signed note; for a cosignature, the checkpoint with its line.
    pub bytes: Vec<u8>,
    /// The leaves of a proposed block; empty in a row of another kind.
    pub leaves: Vec<u8>,
}

/// The outcome of storing a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowOutcome {
    /// It is stored, durably.
    Stored,
    /// The same row was stored before, durably.
    Present,
    /// Not stored: an accept that is not of the present term, a proposal by a holder that does not
    /// have the lease of its term, or a proposal of a term that has not begun.
    Late {
        /// The present term.
        term: u64,
    },
}

/// A row that differs from what this program stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedRow {
    /// Its position.
    pub id: RowId,
    /// The fault that was found.
    pub reason: String,
}

/// A part of the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowsRead {
    /// The rows, in ascending order of their positions.
    pub rows: Vec<RoundRow>,
    /// The rows between them that cannot be used, in the same order. A reader skips them, so that a
    /// row which another program wrote or changed does not block later rows.
    pub damaged: Vec<DamagedRow>,
    /// The last position assigned so far, even if its row was removed since; 0 before the first
    /// row. If `rows` and `damaged` are empty, no unread row is left up to this position. It is
    /// lower than a position read before only if the ledger was restored from an older copy.
    pub last: RowId,
    /// The [digest](RoundRow::digest) of the row at the position after which this call read; `None`
    /// if no row is there. If it differs from the digest that the reader knows, the ledger was
    /// restored from an older copy and has assigned the same position to another row.
    pub after: Option<Digest>,
}

impl RowsRead {
    /// The last position that was read; `None` if there was nothing to read.
    #[must_use]
    pub fn through(&self) -> Option<RowId> {
        let rows = self.rows.last().map(|row| row.id);
        rows.max(self.damaged.last().map(|damaged| damaged.id))
    }
}

impl RowKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Proposal, Self::Vote, Self::Accept, Self::Cosign, Self::Refuse, Self::Suspect];

    /// The name under which engines store the kind.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proposal => "proposal",
            Self::Vote => "vote",
            Self::Accept => "accept",
            Self::Cosign => "cosign",
            Self::Refuse => "refuse",
            Self::Suspect => "suspect",
        }
    }

    /// The kind with a stored name; `None` if no kind has it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether rows of this kind are about a block of an election.
    #[must_use]
    pub const fn is_of_block(self) -> bool {
        !matches!(self, Self::Vote | Self::Suspect)
    }
}

impl RoundRow {
    /// The digest of what the row states, as engines store it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        row_digest(&self.bytes, &self.leaves)
    }
}

impl NewRow {
    /// The maximum length of an authority's name, in bytes.
    pub const AUTHORITY_BYTES_MAX: usize = 255;

    /// The maximum length of the bytes of a row: that of a signed note. Longer bytes are reported
    /// as damage and not read.
    pub const BYTES_MAX: usize = 1 << 20;

    /// The maximum length of the leaves of a block: several times those of the batches that wait in
    /// a seal queue. Longer leaves are reported as damage and not read.
    pub const LEAVES_BYTES_MAX: usize = 256 << 20;

    /// The rule that the row breaks, if any. Every ledger then refuses it as
    /// [`Conflict::Malformed`](crate::Conflict::Malformed).
    #[must_use]
    pub fn broken_rule(&self) -> Option<&'static str> {
        if self.authority.is_empty()
            || self.authority.len() > Self::AUTHORITY_BYTES_MAX
            || self.authority.contains('\0')
        {
            return Some("an authority has a name of 1 to 255 bytes of text");
        }
        if self.kind.is_of_block() != self.law_id.is_some()
            || self.kind.is_of_block() != (self.height > 0)
        {
            return Some("a row about a block has an election and a height, another has neither");
        }
        if self.kind != RowKind::Proposal && !self.leaves.is_empty() {
            return Some("only a proposal has leaves");
        }
        if self.bytes.len() > Self::BYTES_MAX || self.leaves.len() > Self::LEAVES_BYTES_MAX {
            return Some("a row has at most 1 MiB of text and 256 MiB of leaves");
        }
        let is_too_large = |number: u64| i64::try_from(number).is_err();
        (is_too_large(self.height) || is_too_large(self.term)).then_some(NUMBER_RULE)
    }
}

/// The rule that a vote, a refusal or a suspicion breaks whose term is more than
/// [`TERM_STEP_MAX`](crate::TERM_STEP_MAX) above the present term.
pub(crate) const FAR_TERM_RULE: &str = "a term lies at most 1,000 above the present one";

/// The digest stored with a row: SHA-256 of the length of `bytes` (8 bytes, big-endian), `bytes`
/// and `leaves`. It is a part of the key: a row with other bytes or leaves is another row, so that
/// an inserted row does not prevent the true one from being stored.
pub(crate) fn row_digest(bytes: &[u8], leaves: &[u8]) -> Digest {
    let hasher = Sha256::new()
        .chain_update((bytes.len() as u64).to_be_bytes())
        .chain_update(bytes)
        .chain_update(leaves);
    Digest::from_bytes(hasher.finalize().into())
}

impl fmt::Debug for NewRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, authority, law_id, height, term, bytes, leaves } = self;
        let lengths = (bytes.len(), leaves.len());
        write!(formatter, "NewRow({kind:?} by {authority}, ")?;
        write!(formatter, "{law_id:?}, height {height}, term {term}, {lengths:?} bytes)")
    }
}

impl fmt::Debug for RoundRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, kind, authority, law_id, height, term, bytes, leaves } = self;
        let lengths = (bytes.len(), leaves.len());
        write!(formatter, "RoundRow({}: {kind:?} by {authority}, ", id.0)?;
        write!(formatter, "{law_id:?}, height {height}, term {term}, {lengths:?} bytes)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal() -> NewRow {
        NewRow {
            kind: RowKind::Proposal,
            authority: "a".to_owned(),
            law_id: Some("L1".parse().expect("a law id")),
            height: 1,
            term: 1,
            bytes: vec![1],
            leaves: vec![1],
        }
    }

    #[test]
    fn a_row_at_a_limit_is_valid_and_one_beyond_it_breaks_a_rule() {
        let authority = |length| NewRow { authority: "a".repeat(length), ..proposal() };
        let bytes = |length| NewRow { bytes: vec![0; length], ..proposal() };
        let leaves = |length| NewRow { leaves: vec![0; length], ..proposal() };
        let numbers = |number| NewRow { height: number, term: number, ..proposal() };
        let number_max = u64::MAX / 2;
        for (valid, broken) in [
            (authority(NewRow::AUTHORITY_BYTES_MAX), authority(NewRow::AUTHORITY_BYTES_MAX + 1)),
            (bytes(NewRow::BYTES_MAX), bytes(NewRow::BYTES_MAX + 1)),
            (leaves(NewRow::LEAVES_BYTES_MAX), leaves(NewRow::LEAVES_BYTES_MAX + 1)),
            (numbers(number_max), numbers(number_max + 1)),
        ] {
            assert_eq!(valid.broken_rule(), None, "{valid:?}");
            assert!(broken.broken_rule().is_some(), "{broken:?}");
        }
    }

    #[test]
    fn the_digest_of_a_row_depends_on_where_its_bytes_end() {
        assert_ne!(row_digest(b"ab", b"c"), row_digest(b"a", b"bc"));
        assert_ne!(row_digest(b"abc", b""), row_digest(b"", b"abc"));
    }

    #[test]
    fn every_kind_of_row_reads_back_by_its_stored_name() {
        for kind in RowKind::ALL {
            assert_eq!(RowKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(RowKind::parse("Vote"), None);
    }

    #[test]
    fn rows_print_lengths_and_no_bytes() {
        let row = NewRow { bytes: vec![7; 300], ..proposal() };
        let printed = format!("{row:?}");
        assert!(printed.contains("(300, 1) bytes") && !printed.contains("7, 7"), "{printed}");
    }
}
