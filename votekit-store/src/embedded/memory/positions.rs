//! The promise of the authority, and its accepted, cosigned and certified positions. Every row
//! carries a digest, so that damage is detected before the authority signs on the basis of a
//! damaged row.

use rusqlite::{Connection, Params, Row, ToSql};
use votekit_core::authority::{AcceptedBlock, LogPoint, TermLeader};
use votekit_core::id::{Digest, ElectionId};
use votekit_core::log::merkle::TreeHash;
use votekit_core::log::note::KeyName;

use super::error::{MemoryError, Stop};
use crate::embedded::columns::{self, ElectionRow, TableRow, column, find_or_create_election};
use crate::embedded::fault::{Fault, corrupt};
use crate::embedded::queries::collect;
use crate::error::NUMBER_RULE;

/// A table of positions of elections in their logs.
struct PositionTable {
    name: &'static str,
    /// Selects `height, size, root, digest, term, note`; term and note are constants where the
    /// table has none.
    select: &'static str,
    /// Inserts election, height, size, root, digest, and the column that only this table has.
    insert: &'static str,
}

const ACCEPTED: PositionTable = PositionTable {
    name: "accepted",
    select: "SELECT height, size, root, digest, term, x'' FROM accepted WHERE election = ?1",
    insert: "INSERT INTO accepted (election, height, size, root, digest, term) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (election) DO UPDATE SET term = excluded.term, height = excluded.height, \
         size = excluded.size, root = excluded.root, digest = excluded.digest",
};

const COSIGNED: PositionTable = PositionTable {
    name: "cosigned",
    select: "SELECT height, size, root, digest, 0, x'' FROM cosigned WHERE election = ?1",
    insert: "INSERT INTO cosigned (election, height, size, root, digest) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
};

const CERTIFIED: PositionTable = PositionTable {
    name: "certified",
    select: "SELECT height, size, root, digest, 0, checkpoint FROM certified WHERE election = ?1",
    insert: "INSERT INTO certified (election, height, size, root, digest, checkpoint) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
};

/// A number as an SQLite integer.
///
/// # Errors
/// [`MemoryError::Malformed`] if it needs more than 63 bits.
pub(super) fn integer(number: u64) -> Result<i64, MemoryError> {
    column(number).ok_or(MemoryError::Malformed { rule: NUMBER_RULE })
}

/// An election, and its row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Election<'law> {
    pub(super) row: ElectionRow,
    pub(super) law_id: &'law ElectionId,
}

impl<'law> Election<'law> {
    /// `None` for an election of which the memory has nothing.
    pub(super) fn find(
        connection: &Connection,
        law_id: &'law ElectionId,
    ) -> Result<Option<Self>, Fault> {
        let row = columns::find_election(connection, law_id)?;
        Ok(row.map(|row| Self { row, law_id }))
    }

    pub(super) fn find_or_create(
        connection: &Connection,
        law_id: &'law ElectionId,
    ) -> Result<Self, Fault> {
        Ok(Self { row: find_or_create_election(connection, law_id)?, law_id })
    }
}

/// The elections that the memory has rows of, in the order of their ids.
pub(super) fn elections(connection: &Connection) -> Result<Vec<(ElectionRow, ElectionId)>, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT id, law_id FROM election ORDER BY law_id")?;
    collect(statement.query([])?, |row| {
        let row = TableRow::new("election", row);
        Ok((ElectionRow(row.get(0)?), columns::law_id(&row.get::<String>(1)?)?))
    })
}

/// The row of the table `authority`.
#[derive(Debug, Clone, Default)]
pub(super) struct AuthorityRow {
    /// How many times the memory was opened.
    pub(super) incarnation: u64,
    /// The leadership of the last vote.
    pub(super) promise: Option<TermLeader>,
}

impl AuthorityRow {
    pub(super) fn read(connection: &Connection) -> Result<Self, Fault> {
        let mut statement = connection.prepare_cached(
            "SELECT incarnation, promise_term, promise_leader, digest FROM authority",
        )?;
        let mut rows = statement.query([])?;
        let Some(row) = rows.next()? else {
            return Err(corrupt("table authority: its row is missing").into());
        };
        let row = TableRow::new("authority", row);
        let promise = match row.get::<Option<String>>(2)? {
            None => None,
            Some(leader) => {
                let leader = leader
                    .parse::<KeyName>()
                    .map_err(|error| corrupt(format!("table authority: {error}")))?;
                Some(TermLeader { term: row.number(1)?, leader })
            }
        };
        let read = Self { incarnation: row.number(0)?, promise };
        let stored: [u8; 32] = row.get(3)?;
        if read.digest().as_bytes() == &stored {
            return Ok(read);
        }
        Err(corrupt("table authority: its row does not match its digest").into())
    }

    pub(super) fn write(&self, connection: &Connection) -> Result<(), Stop> {
        let term = self.promise.as_ref().map(|promise| integer(promise.term)).transpose()?;
        let leader = self.promise.as_ref().map(|promise| promise.leader.as_str());
        connection
            .prepare_cached(
                "INSERT INTO authority (one, incarnation, promise_term, promise_leader, digest) \
                 VALUES (1, ?1, ?2, ?3, ?4) \
                 ON CONFLICT (one) DO UPDATE SET incarnation = excluded.incarnation, \
                 promise_term = excluded.promise_term, \
                 promise_leader = excluded.promise_leader, digest = excluded.digest",
            )?
            .execute((integer(self.incarnation)?, term, leader, self.digest().as_bytes()))?;
        Ok(())
    }

    fn digest(&self) -> Digest {
        let (has_promise, term, leader) = match &self.promise {
            Some(promise) => (1, promise.term, promise.leader.as_str()),
            None => (0, 0, ""),
        };
        let numbers = [self.incarnation, has_promise, term].map(u64::to_be_bytes);
        Digest::of(&[numbers.as_flattened(), leader.as_bytes()].concat())
    }
}

/// The digest of a row about one position. It covers the law id and the table, so that a row cannot
/// be mistaken for a row of another election.
pub(super) fn row_digest(
    table: &str,
    law_id: &ElectionId,
    number: u64,
    point: &LogPoint,
    bytes: &[u8],
) -> Digest {
    let numbers = [number, point.height, point.size].map(u64::to_be_bytes);
    let fields = [
        table.as_bytes(),
        b"\n",
        law_id.as_str().as_bytes(),
        b"\n",
        numbers.as_flattened(),
        point.root.as_bytes(),
        bytes,
    ];
    Digest::of(&fields.concat())
}

/// The block accepted last, if it is not certified.
pub(super) fn accepted(
    connection: &Connection,
    election: Election<'_>,
) -> Result<Option<AcceptedBlock>, Fault> {
    let row = ACCEPTED.last(connection, election)?;
    Ok(row.map(|row| AcceptedBlock { term: row.term, point: row.point }))
}

pub(super) fn put_accepted(
    connection: &Connection,
    election: Election<'_>,
    accepted: &AcceptedBlock,
) -> Result<(), Stop> {
    let AcceptedBlock { term, point } = accepted;
    ACCEPTED.put(connection, election, point, (*term, &[]), Some(&integer(*term)?))
}

/// Removes what was accepted at or below a height that is certified.
pub(super) fn drop_accepted(
    connection: &Connection,
    election: Election<'_>,
    through_height: u64,
) -> Result<(), Stop> {
    connection
        .prepare_cached("DELETE FROM accepted WHERE election = ?1 AND height <= ?2")?
        .execute((election.row.0, integer(through_height)?))?;
    Ok(())
}

/// The position cosigned at the greatest height.
pub(super) fn last_cosigned(
    connection: &Connection,
    election: Election<'_>,
) -> Result<Option<LogPoint>, Fault> {
    Ok(COSIGNED.last(connection, election)?.map(|row| row.point))
}

/// Refuses a position if another position of the same height is cosigned. Returns whether this
/// position is already cosigned.
pub(super) fn check_cosigned(
    connection: &Connection,
    election: Election<'_>,
    point: &LogPoint,
) -> Result<bool, Stop> {
    match COSIGNED.at(connection, election, integer(point.height)?)? {
        Some(cosigned) if cosigned.point != *point => Err(MemoryError::OtherCosigned {
            law_id: election.law_id.clone(),
            height: point.height,
            cosigned: cosigned.point.root,
            offered: point.root,
        }
        .into()),
        found => Ok(found.is_some()),
    }
}

pub(super) fn put_cosigned(
    connection: &Connection,
    election: Election<'_>,
    point: &LogPoint,
) -> Result<(), Stop> {
    COSIGNED.put(connection, election, point, (0, &[]), None)
}

/// The certified position at the greatest height.
pub(super) fn last_certified(
    connection: &Connection,
    election: Election<'_>,
) -> Result<Option<LogPoint>, Fault> {
    Ok(CERTIFIED.last(connection, election)?.map(|row| row.point))
}

/// The certified position at a height, with its certificate.
pub(super) fn certificate(
    connection: &Connection,
    election: Election<'_>,
    height: i64,
) -> Result<Option<(LogPoint, Vec<u8>)>, Fault> {
    Ok(CERTIFIED.at(connection, election, height)?.map(|row| (row.point, row.note)))
}

/// Refuses a position if another position of the same height is certified. Returns whether this
/// position is already certified.
pub(super) fn check_certified(
    connection: &Connection,
    election: Election<'_>,
    point: &LogPoint,
) -> Result<bool, Stop> {
    match CERTIFIED.at(connection, election, integer(point.height)?)? {
        Some(certified) if certified.point != *point => Err(MemoryError::OtherCertified {
            law_id: election.law_id.clone(),
            height: point.height,
            certified: certified.point.root,
            offered: point.root,
        }
        .into()),
        found => Ok(found.is_some()),
    }
}

pub(super) fn put_certified(
    connection: &Connection,
    election: Election<'_>,
    point: &LogPoint,
    checkpoint: &[u8],
) -> Result<(), Stop> {
    CERTIFIED.put(connection, election, point, (0, checkpoint), Some(&checkpoint))
}

/// A row of one of the three tables of positions.
struct PositionRow {
    /// 0 where the table has none.
    term: u64,
    point: LogPoint,
    /// The certificate. Empty in the tables that have none.
    note: Vec<u8>,
}

impl PositionTable {
    /// The position at the greatest height.
    fn last(
        &self,
        connection: &Connection,
        election: Election<'_>,
    ) -> Result<Option<PositionRow>, Fault> {
        let sql = format!("{} ORDER BY height DESC LIMIT 1", self.select);
        self.find(connection, &sql, [election.row.0], election)
    }

    fn at(
        &self,
        connection: &Connection,
        election: Election<'_>,
        height: i64,
    ) -> Result<Option<PositionRow>, Fault> {
        let sql = format!("{} AND height = ?2", self.select);
        self.find(connection, &sql, (election.row.0, height), election)
    }

    fn find(
        &self,
        connection: &Connection,
        sql: &str,
        parameters: impl Params,
        election: Election<'_>,
    ) -> Result<Option<PositionRow>, Fault> {
        connection
            .prepare_cached(sql)?
            .query(parameters)?
            .next()?
            .map(|row| self.position(row, election))
            .transpose()
    }

    /// Stores a position. `term` and `note` go into the digest; `column` is the value of the column
    /// that only this table has.
    fn put(
        &self,
        connection: &Connection,
        election: Election<'_>,
        point: &LogPoint,
        (term, note): (u64, &[u8]),
        column: Option<&dyn ToSql>,
    ) -> Result<(), Stop> {
        let digest = row_digest(self.name, election.law_id, term, point, note);
        let (height, size) = (integer(point.height)?, integer(point.size)?);
        let mut columns: Vec<&dyn ToSql> =
            vec![&election.row.0, &height, &size, point.root.as_bytes(), digest.as_bytes()];
        columns.extend(column);
        connection.prepare_cached(self.insert)?.execute(columns.as_slice())?;
        Ok(())
    }

    /// Reads what `select` selects, and verifies the digest.
    fn position(&self, row: &Row<'_>, election: Election<'_>) -> Result<PositionRow, Fault> {
        let row = TableRow::new(self.name, row);
        let point = LogPoint {
            height: row.number(0)?,
            size: row.number(1)?,
            root: TreeHash::from_bytes(row.get(2)?),
        };
        let (term, note) = (row.number(4)?, row.get::<Vec<u8>>(5)?);
        let stored: [u8; 32] = row.get(3)?;
        let digest = row_digest(self.name, election.law_id, term, &point, &note);
        if digest.as_bytes() == &stored {
            return Ok(PositionRow { term, point, note });
        }
        Err(corrupt(format!(
            "table {}: the row of {} at height {} does not match its digest",
            self.name, election.law_id, point.height
        ))
        .into())
    }
}
