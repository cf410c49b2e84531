//! Sessions with their tokens, and the keys that sign the tokens of programs.

use rusqlite::{Connection, OptionalExtension, Row};
use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;

use crate::accounts::stored::time_column;
use crate::embedded::columns::TableRow;
use crate::embedded::fault::Fault;
use crate::{AccountId, NewSession, Rotation, SessionKind, TokenKey};

/// A use of a session: its time, and until when the session then stays valid at least without a
/// further use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    pub(super) now: UnixSeconds,
    pub(super) idle_until: UnixSeconds,
}

/// Begins a session, unless its token begins one already.
pub(super) fn begin(connection: &Connection, session: &NewSession) -> Result<(), Fault> {
    let is_begun = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM account_token WHERE token = ?1)")?
        .query_row([session.token.as_bytes()], |row| row.get::<_, bool>(0))?;
    if is_begun {
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT INTO account_session (account, kind, expires, idle_until) \
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((
            &session.account.0,
            session.kind.as_str(),
            time_column(session.expires),
            time_column(session.idle_until),
        ))?;
    insert_token(connection, &session.token, connection.last_insert_rowid())
}

fn insert_token(connection: &Connection, token: &Digest, session: i64) -> Result<(), Fault> {
    connection
        .prepare_cached("INSERT INTO account_token (token, session) VALUES (?1, ?2)")?
        .execute((token.as_bytes(), session))?;
    Ok(())
}

/// A session that is valid now.
struct Valid {
    session: i64,
    account: AccountId,
    replaced_by: Option<[u8; 32]>,
}

fn find_valid(
    connection: &Connection,
    token: &Digest,
    kind: SessionKind,
    now: UnixSeconds,
) -> Result<Option<Valid>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT account_session.id, account, replaced_by FROM account_token \
         JOIN account_session ON account_session.id = session \
         WHERE token = ?1 AND kind = ?2 AND expires > ?3 AND idle_until > ?3",
    )?;
    let valid = |row: &Row<'_>| {
        Ok(Valid {
            session: row.get(0)?,
            account: AccountId(row.get(1)?),
            replaced_by: row.get(2)?,
        })
    };
    let parameters = (token.as_bytes(), kind.as_str(), time_column(now));
    Ok(statement.query_row(parameters, valid).optional()?)
}

fn set_idle(connection: &Connection, session: i64, until: UnixSeconds) -> Result<(), Fault> {
    // Writes nothing for a session that stays valid longer.
    connection
        .prepare_cached(
            "UPDATE account_session SET idle_until = ?2 WHERE id = ?1 AND idle_until < ?2",
        )?
        .execute((session, time_column(until)))?;
    Ok(())
}

/// Uses a session of the pages, and returns its account if it is valid.
pub(super) fn extend_pages(
    connection: &Connection,
    token: &Digest,
    used: Use,
) -> Result<Option<AccountId>, Fault> {
    let valid = find_valid(connection, token, SessionKind::Pages, used.now)?;
    let Some(valid) = valid else { return Ok(None) };
    set_idle(connection, valid.session, used.idle_until)?;
    Ok(Some(valid.account))
}

/// The account of a refresh session that is valid, by any of its tokens.
pub(super) fn find_refresh(
    connection: &Connection,
    token: &Digest,
    now: UnixSeconds,
) -> Result<Option<AccountId>, Fault> {
    let valid = find_valid(connection, token, SessionKind::Refresh, now)?;
    Ok(valid.map(|valid| valid.account))
}

pub(super) fn rotate(
    connection: &Connection,
    token: &Digest,
    next: &Digest,
    used: Use,
) -> Result<Rotation, Fault> {
    let valid = find_valid(connection, token, SessionKind::Refresh, used.now)?;
    let Some(Valid { session, account, replaced_by }) = valid else {
        return Ok(Rotation::Unknown);
    };
    match replaced_by {
        None => {
            connection
                .prepare_cached("UPDATE account_token SET replaced_by = ?2 WHERE token = ?1")?
                .execute((token.as_bytes(), next.as_bytes()))?;
            insert_token(connection, next, session)?;
            set_idle(connection, session, used.idle_until)?;
            Ok(Rotation::Rotated(account))
        }
        // The same call again.
        Some(successor) if successor == *next.as_bytes() && is_current(connection, next)? => {
            Ok(Rotation::Rotated(account))
        }
        Some(_) => {
            end(connection, token)?;
            Ok(Rotation::Reused(account))
        }
    }
}

fn is_current(connection: &Connection, token: &Digest) -> Result<bool, Fault> {
    let sql = "SELECT EXISTS (SELECT 1 FROM account_token WHERE token = ?1 \
               AND replaced_by IS NULL)";
    Ok(connection.prepare_cached(sql)?.query_row([token.as_bytes()], |row| row.get(0))?)
}

/// Ends the session of a token. Its tokens are removed with it.
pub(super) fn end(connection: &Connection, token: &Digest) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "DELETE FROM account_session \
             WHERE id = (SELECT session FROM account_token WHERE token = ?1)",
        )?
        .execute([token.as_bytes()])?;
    Ok(())
}

pub(super) fn end_all(connection: &Connection, account: AccountId) -> Result<(), Fault> {
    connection
        .prepare_cached("DELETE FROM account_session WHERE account = ?1")?
        .execute([&account.0])?;
    Ok(())
}

/// Removes sessions and keys that have expired, and returns how many.
pub(super) fn remove_expired(connection: &Connection, now: UnixSeconds) -> Result<u64, Fault> {
    let now = time_column(now);
    let sessions = connection
        .prepare_cached("DELETE FROM account_session WHERE expires <= ?1 OR idle_until <= ?1")?
        .execute([now])?;
    let keys =
        connection.prepare_cached("DELETE FROM token_key WHERE expires <= ?1")?.execute([now])?;
    Ok((sessions + keys) as u64)
}

pub(super) fn publish_key(connection: &Connection, key: &TokenKey) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO token_key (id, public, expires) VALUES (?1, ?2, ?3) \
             ON CONFLICT (id) DO UPDATE SET public = ?2, expires = ?3",
        )?
        .execute((&key.id, &key.public, time_column(key.expires)))?;
    Ok(())
}

pub(super) fn keys(connection: &Connection, now: UnixSeconds) -> Result<Vec<TokenKey>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT id, public, expires FROM token_key WHERE expires > ?1 ORDER BY id",
    )?;
    let key = |row: &Row<'_>| -> Result<TokenKey, Fault> {
        Ok(TokenKey {
            id: row.get(0)?,
            public: row.get(1)?,
            expires: UnixSeconds(TableRow::new("token_key", row).number(2)?),
        })
    };
    statement.query_and_then([time_column(now)], key)?.collect()
}
