//! The writes that move a head: one appends a block with its tiles, the other sets only whether the
//! head takes votes.

use std::sync::Arc;

use rusqlite::Connection;
use votekit_core::id::{Digest, ElectionId};
use votekit_core::log::merkle::empty_root;
use votekit_core::log::tile::encode_hashes;

use crate::block_rows::{
    Appending, HEIGHT_RULE, SEALED_RULE, check, head_digest, report_rows_replaced, runs,
};
use crate::clock;
use crate::embedded::columns::{ElectionRow, column, find_election, find_or_create_election};
use crate::embedded::fault::{Fault, malformed};
use crate::embedded::leases::LeaseTable;
use crate::embedded::queries;
use crate::embedded::tail::Tail;
use crate::embedded::writer::Write;
use crate::error::NUMBER_RULE;
use crate::{BlockCommit, Conflict, EngineError, Head, StagingId, TERM_STEP_MAX};

/// A block to append, consistent in itself.
pub(in crate::embedded) struct Commit {
    commit: Arc<BlockCommit>,
    columns: Columns,
    leases: Arc<LeaseTable>,
    appending: Appending,
}

/// The numbers of a commit as SQLite integers, except the fence: the stored fence depends on the
/// present term.
struct Columns {
    first_leaf: i64,
    size: i64,
    height: i64,
    sealed_through: i64,
}

impl Columns {
    fn new(commit: &BlockCommit) -> Result<Self, &'static str> {
        let number = |number| column(number).ok_or(NUMBER_RULE);
        number(commit.head.fence)?;
        Ok(Self {
            first_leaf: number(commit.block.first_leaf)?,
            size: number(commit.head.size)?,
            height: number(commit.block.height)?,
            sealed_through: number(commit.head.sealed_through.0)?,
        })
    }
}

impl Commit {
    /// Makes the checks that do not need the log.
    ///
    /// # Errors
    /// [`Conflict::Malformed`] with the broken rule.
    pub(in crate::embedded) fn new(
        commit: Arc<BlockCommit>,
        leases: Arc<LeaseTable>,
        appending: Appending,
    ) -> Result<Self, EngineError> {
        let columns = Columns::new(&commit).and_then(|columns| check(&commit).map(|()| columns));
        match columns {
            Ok(columns) => Ok(Self { commit, columns, leases, appending }),
            Err(rule) => Err(malformed(&commit.law_id, rule)),
        }
    }
}

impl Write for Commit {
    /// The stored head. For a block that was already stored, this is the stored copy with its
    /// signatures.
    type Output = Head;

    fn apply(&self, connection: &Connection) -> Result<Head, Fault> {
        let law_id = &self.commit.law_id;
        let found = match find_election(connection, law_id)? {
            Some(election) => queries::head(connection, election)?.map(|head| (election, head)),
            None => None,
        };
        // Compare with the head before all other checks: repeating the last commit must succeed,
        // even after its deadline or in a later term.
        let head = match &found {
            Some((election, head)) if self.is_repeated(connection, *election, head)? => {
                return Ok(head.clone());
            }
            Some((_, head)) => self.check_against(connection, head)?,
            None => self.check_against(connection, &no_head())?,
        };
        let election = match found {
            Some((election, _)) => election,
            None => find_or_create_election(connection, law_id)?,
        };
        if self.appending == Appending::InAnyTerm {
            self.remove_rows_above(connection, election)?;
        }
        self.insert_block(connection, election)?;
        self.insert_tiles(connection, election)?;
        self.move_head(connection, election, &head)?;
        Ok(head)
    }

    fn committed(&self, head: &Head, tail: &Tail) {
        tail.advance(&self.commit.law_id, head.clone());
    }

    fn bytes(&self) -> usize {
        self.commit.block.leaves.len()
    }
}

impl Commit {
    /// Whether the block is the last one of the log already.
    fn is_repeated(
        &self,
        connection: &Connection,
        election: ElectionRow,
        head: &Head,
    ) -> Result<bool, Fault> {
        Ok(head.is_same_log(&self.commit.head)
            && queries::block(connection, election, self.columns.height)?.as_ref()
                == Some(&self.commit.block))
    }

    /// Checks the commit against the stored head, and returns the head to store.
    fn check_against(&self, connection: &Connection, found: &Head) -> Result<Head, Fault> {
        let BlockCommit { law_id, block, head, .. } = &*self.commit;
        if self.commit.not_after.is_some_and(|time| clock::now() > time) {
            return Err(Conflict::Late { law_id: law_id.clone() }.into());
        }
        // Read here, in the writer's thread, where terms begin as well: a term read when the commit
        // was queued may have ended by now.
        let term = found.fence.max(self.leases.term());
        if head.fence < term && self.appending == Appending::InTerm {
            return Err(Conflict::Term {
                law_id: law_id.clone(),
                offered: head.fence,
                found: term,
            }
            .into());
        }
        if block.first_leaf != found.size {
            return Err(Conflict::Head {
                law_id: law_id.clone(),
                expected: block.first_leaf,
                found: found.size,
            }
            .into());
        }
        if block.height != found.height + 1 {
            return Err(malformed(law_id, HEIGHT_RULE).into());
        }
        if head.sealed_through < found.sealed_through {
            return Err(malformed(law_id, SEALED_RULE).into());
        }
        // If the ledger was restored from an older copy, a position that was read before may belong
        // to another batch now, which must not count as sealed.
        let sealed_through = head.sealed_through;
        if sealed_through > found.sealed_through
            && (self.commit.sealed_batch.is_none()
                || queries::batch_at(connection, law_id, sealed_through)?
                    != self.commit.sealed_batch)
        {
            let (law_id, position) = (law_id.clone(), sealed_through.0);
            return Err(Conflict::NotStaged { law_id, position }.into());
        }
        // An authority that lies may append a certified block with any fence: it must not raise the
        // term further than a request for the lease could.
        let fence = head.fence.min(term.saturating_add(TERM_STEP_MAX)).max(term);
        Ok(Head { fence, ..head.clone() })
    }

    /// Removes rows in the place of a certified block. The head says where the log ends: another
    /// program wrote them, or has set the head back.
    fn remove_rows_above(
        &self,
        connection: &Connection,
        election: ElectionRow,
    ) -> Result<(), Fault> {
        let Columns { first_leaf, size, height, .. } = self.columns;
        let mut removed = connection
            .prepare_cached("DELETE FROM block WHERE election = ?1 AND height = ?2")?
            .execute((election.0, height))?;
        removed += connection
            .prepare_cached(
                "DELETE FROM leaves WHERE election = ?1 AND first_leaf >= ?2 AND first_leaf < ?3",
            )?
            .execute((election.0, first_leaf, size))?;
        let mut statement = connection
            .prepare_cached("DELETE FROM tile WHERE election = ?1 AND level = ?2 AND idx = ?3")?;
        for full in &self.commit.full_tiles {
            let index = column(full.tile.index());
            removed += statement.execute((election.0, full.tile.level(), index))?;
        }
        if removed > 0 {
            report_rows_replaced(&self.commit.law_id, self.commit.block.height);
        }
        Ok(())
    }

    fn insert_block(&self, connection: &Connection, election: ElectionRow) -> Result<(), Fault> {
        let block = &self.commit.block;
        connection
            .prepare_cached(
                "INSERT INTO block (election, height, first_leaf, leaf_count) \
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((
                election.0,
                self.columns.height,
                self.columns.first_leaf,
                block.leaf_count,
            ))?;
        let mut statement = connection.prepare_cached(
            "INSERT INTO leaves (election, first_leaf, leaf_count, digest, bytes) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        let mut first_leaf = self.columns.first_leaf;
        for (leaf_count, bytes) in runs(block.first_leaf, &block.leaves) {
            statement.execute((
                election.0,
                first_leaf,
                leaf_count,
                Digest::compute(bytes).as_bytes(),
                bytes,
            ))?;
            first_leaf += i64::from(leaf_count);
        }
        Ok(())
    }

    fn insert_tiles(&self, connection: &Connection, election: ElectionRow) -> Result<(), Fault> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO tile (election, level, idx, digest, hashes) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for full in &self.commit.full_tiles {
            let index = column(full.tile.index())
                .ok_or_else(|| malformed(&self.commit.law_id, "a log has at most 2^63 leaves"))?;
            let hashes = encode_hashes(&full.hashes);
            statement.execute((
                election.0,
                full.tile.level(),
                index,
                Digest::compute(&hashes).as_bytes(),
                &hashes,
            ))?;
        }
        Ok(())
    }

    fn move_head(
        &self,
        connection: &Connection,
        election: ElectionRow,
        head: &Head,
    ) -> Result<(), Fault> {
        let Columns { size, height, sealed_through, .. } = self.columns;
        let fence =
            column(head.fence).ok_or_else(|| malformed(&self.commit.law_id, NUMBER_RULE))?;
        connection
            .prepare_cached(
                "INSERT INTO head (election, created, size, height, root, fence, checkpoint, \
                 sealed_through, takes_votes, digest) \
                 VALUES (?1, (SELECT coalesce(max(created), 0) + 1 FROM head), \
                 ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
                 ON CONFLICT (election) DO UPDATE SET size = excluded.size, \
                 height = excluded.height, root = excluded.root, fence = excluded.fence, \
                 checkpoint = excluded.checkpoint, sealed_through = excluded.sealed_through, \
                 takes_votes = excluded.takes_votes, digest = excluded.digest",
            )?
            .execute((
                election.0,
                size,
                height,
                head.root.as_bytes(),
                fence,
                &head.checkpoint,
                sealed_through,
                head.takes_votes,
                head_digest(head).as_bytes(),
            ))?;
        Ok(())
    }
}

/// Sets whether ingest leases are granted, until the next block sets it again.
pub(in crate::embedded) struct SetTakesVotes {
    pub(in crate::embedded) law_id: ElectionId,
    pub(in crate::embedded) takes_votes: bool,
}

impl Write for SetTakesVotes {
    /// The stored head; `None` without a log.
    type Output = Option<Head>;

    fn apply(&self, connection: &Connection) -> Result<Option<Head>, Fault> {
        let Some(election) = find_election(connection, &self.law_id)? else { return Ok(None) };
        let Some(mut head) = queries::head(connection, election)? else { return Ok(None) };
        if head.takes_votes != self.takes_votes {
            head.takes_votes = self.takes_votes;
            connection
                .prepare_cached(
                    "UPDATE head SET takes_votes = ?2, digest = ?3 WHERE election = ?1",
                )?
                .execute((election.0, head.takes_votes, head_digest(&head).as_bytes()))?;
        }
        Ok(Some(head))
    }

    fn committed(&self, head: &Option<Head>, tail: &Tail) {
        if let Some(head) = head {
            tail.advance(&self.law_id, head.clone());
        }
    }
}

/// The head of an empty log.
fn no_head() -> Head {
    Head {
        size: 0,
        height: 0,
        root: empty_root(),
        fence: 0,
        checkpoint: Vec::new(),
        sealed_through: StagingId(0),
        takes_votes: false,
    }
}
