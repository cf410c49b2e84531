//! The write statements, one per call: arguments and results of the schema's functions.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use votekit_core::batch::Batch;
use votekit_core::id::{Digest, ElectionId, Epoch, NodeId};
use votekit_core::log::tile::encode_hashes;

use super::connections::Session;
use super::fault::{corrupt, malformed, malformed_write, unavailable};
use super::queries::seconds;
use super::rows::{column, number, value};
use crate::block_rows::{
    Appending, HEIGHT_RULE, SEALED_RULE, check, head_digest, report_rows_replaced, runs,
};
use crate::emptied_row::report_restaged;
use crate::error::NUMBER_RULE;
use crate::ledger::{NEW_TERM_RULE, broken_name_rule};
use crate::services::hints;
use crate::{
    BlockCommit, Conflict, EngineError, Head, Hints, Leadership, NoLease, Restaged, ReviewNote,
    StagingId, TERM_STEP_MAX,
};

/// Maximum number of batches purged by one statement.
const PURGE_BATCH_LEN: i64 = 1024;

/// A consistent commit, as columns.
pub(super) struct PreparedCommit<'commit> {
    commit: &'commit BlockCommit,
    first_leaf: i64,
    size: i64,
    height: i64,
    fence: i64,
    sealed_through: i64,
    not_after: Option<i64>,
    run_first_leaves: Vec<i64>,
    run_leaf_counts: Vec<i64>,
    run_digests: Vec<Vec<u8>>,
    run_bytes: Vec<&'commit [u8]>,
    tile_levels: Vec<i64>,
    tile_indexes: Vec<i64>,
    tile_digests: Vec<Vec<u8>>,
    tile_hashes: Vec<Vec<u8>>,
}

impl<'commit> PreparedCommit<'commit> {
    /// Checks everything that can be checked without the log.
    pub(super) fn new(commit: &'commit BlockCommit) -> Result<Self, EngineError> {
        Self::columns(commit).map_err(|rule| malformed(&commit.law_id, rule))
    }

    fn columns(commit: &'commit BlockCommit) -> Result<Self, &'static str> {
        let number = |number| column(number).ok_or(NUMBER_RULE);
        let BlockCommit { block, head, full_tiles, .. } = commit;
        let first_leaf = number(block.first_leaf)?;
        let mut prepared = Self {
            commit,
            first_leaf,
            size: number(head.size)?,
            height: number(block.height)?,
            fence: number(head.fence)?,
            sealed_through: number(head.sealed_through.0)?,
            not_after: commit.not_after.map(|time| number(time.0)).transpose()?,
            run_first_leaves: Vec::new(),
            run_leaf_counts: Vec::new(),
            run_digests: Vec::new(),
            run_bytes: Vec::new(),
            tile_levels: Vec::new(),
            tile_indexes: Vec::new(),
            tile_digests: Vec::new(),
            tile_hashes: Vec::new(),
        };
        check(commit)?;
        let mut next = first_leaf;
        for (leaf_count, bytes) in runs(block.first_leaf, &block.leaves) {
            prepared.run_first_leaves.push(next);
            prepared.run_leaf_counts.push(leaf_count.into());
            prepared.run_digests.push(Digest::of(bytes).as_bytes().to_vec());
            prepared.run_bytes.push(bytes);
            next += i64::from(leaf_count);
        }
        for full in full_tiles {
            let hashes = encode_hashes(&full.hashes);
            prepared.tile_levels.push(full.tile.level().into());
            prepared.tile_indexes.push(number(full.tile.index())?);
            prepared.tile_digests.push(Digest::of(&hashes).as_bytes().to_vec());
            prepared.tile_hashes.push(hashes);
        }
        Ok(prepared)
    }

    pub(super) async fn write(
        &self,
        session: &mut Session,
        appending: Appending,
    ) -> Result<(), EngineError> {
        let BlockCommit { law_id, block, head, sealed_batch, .. } = self.commit;
        let sealed_batch = sealed_batch.as_ref().map(|digest| digest.as_bytes().as_slice());
        let size_bytes = i64::try_from(block.leaves.len()).unwrap_or(i64::MAX);
        let leaf_count = i64::from(block.leaf_count);
        let law_id_column = law_id.as_str();
        let root = head.root.as_bytes().as_slice();
        let in_any_term = appending == Appending::InAnyTerm;
        let parameters: [&(dyn ToSql + Sync); 22] = [
            &law_id_column,
            &self.height,
            &self.first_leaf,
            &leaf_count,
            &size_bytes,
            &self.run_first_leaves,
            &self.run_leaf_counts,
            &self.run_digests,
            &self.run_bytes,
            &self.tile_levels,
            &self.tile_indexes,
            &self.tile_digests,
            &self.tile_hashes,
            &self.size,
            &root,
            &self.fence,
            &head.checkpoint,
            &self.sealed_through,
            &sealed_batch,
            &head.takes_votes,
            &in_any_term,
            &self.not_after,
        ];
        let sql = "SELECT outcome, present FROM commit_block($1, $2, $3, $4, $5, $6, $7, $8, $9,
            $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)";
        self.outcome(&session.write(sql, &parameters).await?)
    }

    fn outcome(&self, row: &Row) -> Result<(), EngineError> {
        let BlockCommit { law_id, block, head, .. } = self.commit;
        let law_id = law_id.clone();
        match value::<&str>(row, "outcome")? {
            "committed" | "repeated" => Ok(()),
            "replaced" => {
                report_rows_replaced(&law_id, block.height);
                Ok(())
            }
            "occupied" => Err(corrupt(format!(
                "tables block, leaves, tile: block {} of {law_id} has rows above the head",
                block.height
            ))),
            "late" => Err(Conflict::Late { law_id }.into()),
            "term" => {
                Err(Conflict::Term { law_id, offered: head.fence, found: number(row, "present")? }
                    .into())
            }
            "head" => Err(Conflict::Head {
                law_id,
                expected: block.first_leaf,
                found: number(row, "present")?,
            }
            .into()),
            "height" => Err(malformed(&law_id, HEIGHT_RULE)),
            "unsealed" => Err(malformed(&law_id, SEALED_RULE)),
            "unstaged" => {
                Err(Conflict::NotStaged { law_id, position: head.sealed_through.0 }.into())
            }
            other => Err(corrupt(format!("function commit_block returned {other:?}"))),
        }
    }
}

/// Writes a row unchanged.
pub(super) async fn probe(session: &mut Session) -> Result<(), EngineError> {
    session.write("UPDATE installation SET id = id RETURNING one", &[]).await.map(|_| ())
}

/// Stages a batch again, above a position.
pub(super) async fn restage(
    session: &mut Session,
    batch: &Batch,
    hints: &Hints,
    above: StagingId,
) -> Result<Restaged, EngineError> {
    let (law_id, batch_number) = (&batch.header().law_id, batch.number());
    let rule = || malformed(law_id, NUMBER_RULE);
    let sequence = column(batch_number.sequence.0).ok_or_else(rule)?;
    let above = column(above.0).unwrap_or(i64::MAX);
    let (digest, hints) = (batch.digest(), hints::encode(hints));
    let sql = "SELECT place, is_new, was_there FROM restage($1, $2, $3, $4, $5, $6, $7, $8)";
    let row = session
        .write(
            sql,
            &[
                &law_id.as_str(),
                &batch_number.node.as_bytes().as_slice(),
                &i64::from(batch_number.epoch.0),
                &sequence,
                &digest.as_bytes().as_slice(),
                &hints,
                &batch.as_bytes(),
                &above,
            ],
        )
        .await?;
    let restaged =
        Restaged { id: StagingId(number(&row, "place")?), is_new: value(&row, "is_new")? };
    if restaged.is_new && value(&row, "was_there")? {
        report_restaged(batch);
    }
    Ok(restaged)
}

pub(super) async fn allocate_epoch(
    session: &mut Session,
    law_id: &ElectionId,
    node: NodeId,
    above: Epoch,
) -> Result<Epoch, EngineError> {
    let sql = "SELECT allocate_epoch($1, $2, $3) AS epoch";
    let above = i64::from(above.0);
    let row = session.write(sql, &[&law_id.as_str(), &node.as_bytes().as_slice(), &above]).await?;
    let epoch: u64 = number(&row, "epoch")?;
    u32::try_from(epoch).map(Epoch).map_err(|_| unavailable("all epochs of this node are used up"))
}

pub(super) async fn hold_lease(
    session: &mut Session,
    law_id: &ElectionId,
    node: NodeId,
    epoch: Epoch,
    length: Duration,
) -> Result<(), EngineError> {
    let sql = "SELECT hold_lease($1, $2, $3, make_interval(secs => $4)) AS outcome";
    let row = session
        .write(
            sql,
            &[
                &law_id.as_str(),
                &node.as_bytes().as_slice(),
                &i64::from(epoch.0),
                &length.as_secs_f64(),
            ],
        )
        .await?;
    lease_outcome(&row)?
        .map_err(|reason| Conflict::NoLease { law_id: law_id.clone(), node, epoch, reason }.into())
}

/// One statement for all elections: a node renews often, for each election that it takes votes for.
pub(super) async fn renew_leases(
    session: &mut Session,
    node: NodeId,
    held: &[(ElectionId, Epoch)],
    length: Duration,
) -> Result<Vec<Result<(), NoLease>>, EngineError> {
    let law_ids: Vec<&str> = held.iter().map(|(law_id, _)| law_id.as_str()).collect();
    let epochs: Vec<i64> = held.iter().map(|(_, epoch)| i64::from(epoch.0)).collect();
    let node = node.as_bytes().as_slice();
    let sql = "SELECT hold_lease(law_id, $1, epoch, make_interval(secs => $4)) AS outcome
        FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY AS held (law_id, epoch, place) ORDER BY place";
    let rows = session
        .write_rows(
            sql,
            &[
                &node,
                &law_ids,
                &epochs,
                &length.as_secs_f64() as &(dyn tokio_postgres::types::ToSql + Sync),
            ],
        )
        .await?;
    rows.iter().map(lease_outcome).collect()
}

fn lease_outcome(row: &Row) -> Result<Result<(), NoLease>, EngineError> {
    Ok(match value::<&str>(row, "outcome")? {
        "given" => Ok(()),
        "no epoch" => Err(NoLease::NoEpoch),
        "takes no votes" => Err(NoLease::TakesNoVotes),
        "fenced" => Err(NoLease::Fenced),
        other => return Err(corrupt(format!("function hold_lease returned {other:?}"))),
    })
}

pub(super) async fn fence(
    session: &mut Session,
    law_id: &ElectionId,
    node: NodeId,
) -> Result<(), EngineError> {
    let sql = "WITH fenced AS (
        UPDATE epoch SET fenced = true
        WHERE election = (SELECT id FROM election WHERE law_id = $1) AND node = $2 AND NOT fenced
        RETURNING 1
    ) SELECT count(*) AS fenced FROM fenced";
    session.write(sql, &[&law_id.as_str(), &node.as_bytes().as_slice()]).await.map(|_| ())
}

pub(super) async fn acquire_leadership(
    session: &mut Session,
    holder: &str,
    length: Duration,
    at_least: u64,
    passed_over: Option<u64>,
) -> Result<Leadership, EngineError> {
    let refused = || malformed_write(None, NEW_TERM_RULE);
    let at_least = column(at_least).ok_or_else(refused)?;
    let step_max = column(TERM_STEP_MAX).expect("a small number");
    let sql = "SELECT left(who, 600) AS who, in_term, remaining_seconds
        FROM take_lead($1, make_interval(secs => $2), $3, $4, $5)";
    // A value that does not fit into a column is higher than every stored term.
    let passed_over = passed_over.and_then(column);
    let seconds_long = length.as_secs_f64();
    let row =
        session.write(sql, &[&holder, &seconds_long, &at_least, &step_max, &passed_over]).await?;
    let leader: Option<String> = value(&row, "who")?;
    let leader = leader.ok_or_else(refused)?;
    let term = number(&row, "in_term")?;
    if leader == holder {
        return Ok(Leadership::Leading { term });
    }
    let remaining = seconds(value(&row, "remaining_seconds")?);
    Ok(Leadership::Following { leader, term, remaining })
}

/// Stores a head that differs only in `takes_votes`, if the stored one still has the digest
/// `before`. Returns whether it had.
pub(super) async fn set_takes_votes(
    session: &mut Session,
    law_id: &ElectionId,
    head: &Head,
    before: &Digest,
) -> Result<bool, EngineError> {
    let sql = "WITH changed AS (
        UPDATE head SET takes_votes = $2, digest = $3
        WHERE election = (SELECT id FROM election WHERE law_id = $1) AND digest = $4 RETURNING 1
    ) SELECT count(*) AS changed FROM changed";
    let (digest, before) = (head_digest(head), before.as_bytes().as_slice());
    let digest = digest.as_bytes().as_slice();
    let row = session.write(sql, &[&law_id.as_str(), &head.takes_votes, &digest, &before]).await?;
    Ok(number::<u64>(&row, "changed")? > 0)
}

/// The name of the holder is kept: if the same holder leads again before any other, its term
/// continues.
pub(super) async fn release_leadership(
    session: &mut Session,
    holder: &str,
) -> Result<(), EngineError> {
    let sql = "WITH resigned AS (
        UPDATE leadership SET until = clock_timestamp()
        WHERE leader = $1 AND until > clock_timestamp() RETURNING 1
    ) SELECT count(*) AS resigned FROM (
        SELECT pg_notify(changes_channel(), NULL) FROM resigned
    ) AS notified";
    session.write(sql, &[&holder]).await.map(|_| ())
}

pub(super) async fn put_manifest(
    session: &mut Session,
    manifest: &[u8],
) -> Result<Digest, EngineError> {
    let digest = Digest::of(manifest);
    let sql = "WITH kept AS (INSERT INTO manifest (digest, bytes) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1)
        SELECT count(*) AS kept FROM kept";
    session.write(sql, &[&digest.as_bytes().as_slice(), &manifest]).await?;
    Ok(digest)
}

pub(super) async fn add_review_note(
    session: &mut Session,
    law_id: &ElectionId,
    note: &ReviewNote,
) -> Result<(), EngineError> {
    if let Some(rule) = note.broken_rule() {
        return Err(malformed(law_id, rule));
    }
    let at = column(note.at.0).ok_or_else(|| malformed(law_id, NUMBER_RULE))?;
    let sql = "WITH kept AS (
        INSERT INTO review_note (election, request, at, by, text, digest)
        VALUES (election_number($1), $2, $3, $4, $5, $6)
        ON CONFLICT DO NOTHING RETURNING 1
    ) SELECT count(*) AS kept FROM kept";
    let request = note.request.as_bytes().as_slice();
    session
        .write(
            sql,
            &[&law_id.as_str(), &request, &at, &note.by, &note.text, &note_digest(note).as_slice()],
        )
        .await
        .map(|_| ())
}

fn note_digest(note: &ReviewNote) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for field in [
        note.request.as_bytes().as_slice(),
        &note.at.0.to_be_bytes(),
        note.by.as_bytes(),
        note.text.as_bytes(),
    ] {
        hasher.update((field.len() as u64).to_be_bytes());
        hasher.update(field);
    }
    hasher.finalize().into()
}

/// Purges a part of the evidence; returns 0 when none is left.
pub(super) async fn purge_part(
    session: &mut Session,
    law_id: &ElectionId,
) -> Result<u64, EngineError> {
    let sql = "WITH purged AS (
        UPDATE batch SET bytes = NULL, hints = NULL WHERE id IN (
            SELECT id FROM batch WHERE election = (SELECT id FROM election WHERE law_id = $1)
                AND bytes IS NOT NULL ORDER BY id LIMIT $2
        ) RETURNING 1
    ) SELECT count(*) AS purged FROM purged";
    number(&session.write(sql, &[&law_id.as_str(), &PURGE_BATCH_LEN]).await?, "purged")
}

/// Makes the space of purged batches reusable immediately. If this fails, the server does so later.
pub(super) async fn vacuum_evidence(session: &mut Session) {
    if let Err(error) = session.maintain("VACUUM batch").await {
        tracing::warn!(
            event = "evidence_vacuum_failed",
            %error,
            "space of purged evidence not freed yet"
        );
    }
}

pub(super) async fn put_sealed_key(
    session: &mut Session,
    law_id: &ElectionId,
    recipient: &[u8; 32],
    bytes: &[u8],
) -> Result<(), EngineError> {
    let sql = "WITH kept AS (
        INSERT INTO sealed_key (election, recipient, bytes) VALUES (election_number($1), $2, $3)
        ON CONFLICT (election, recipient) DO UPDATE SET bytes = excluded.bytes RETURNING 1
    ) SELECT count(*) AS kept FROM kept";
    session.write(sql, &[&law_id.as_str(), &recipient.as_slice(), &bytes]).await.map(|_| ())
}

pub(super) async fn remove_sealed_keys(
    session: &mut Session,
    law_id: &ElectionId,
) -> Result<(), EngineError> {
    let sql = "WITH removed AS (
        DELETE FROM sealed_key WHERE election = (SELECT id FROM election WHERE law_id = $1)
        RETURNING 1
    ) SELECT count(*) AS removed FROM removed";
    session.write(sql, &[&law_id.as_str()]).await.map(|_| ())
}

pub(super) async fn put_node_record(
    session: &mut Session,
    name: &str,
    bytes: &[u8],
) -> Result<(), EngineError> {
    if let Some(rule) = broken_name_rule(name) {
        return Err(malformed_write(None, rule));
    }
    let sql = "WITH kept AS (
        INSERT INTO node_record (name, bytes) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes RETURNING 1
    ) SELECT count(*) AS kept FROM kept";
    session.write(sql, &[&name, &bytes]).await.map(|_| ())
}
