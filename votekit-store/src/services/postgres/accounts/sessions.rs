//! Sessions with their tokens, and the keys that sign the tokens of programs.

use tokio_postgres::Row;
use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;

use crate::accounts::stored::time_column;
use crate::services::postgres::connections::Session;
use crate::services::postgres::fault::corrupt;
use crate::services::postgres::rows::{fixed_bytes, number, value};
use crate::{AccountId, EngineError, NewSession, Rotation, TokenKey};

pub(super) async fn begin(session: &mut Session, new: &NewSession) -> Result<(), EngineError> {
    let sql = "SELECT begin_account_session($1, $2, $3, $4, $5) AS outcome";
    let row = session
        .write(
            sql,
            &[
                &new.token.as_bytes().as_slice(),
                &new.account.0.as_slice(),
                &new.kind.as_str(),
                &time_column(new.expires),
                &time_column(new.idle_until),
            ],
        )
        .await?;
    match value::<&str>(&row, "outcome")? {
        "begun" | "repeated" => Ok(()),
        other => Err(corrupt(format!("function begin_account_session returned {other:?}"))),
    }
}

/// Uses a session of the pages, and returns its account if it is valid.
pub(super) async fn extend_pages(
    session: &mut Session,
    token: &Digest,
    now: UnixSeconds,
    idle_until: UnixSeconds,
) -> Result<Option<AccountId>, EngineError> {
    let (token, now) = (token.as_bytes().as_slice(), time_column(now));
    let idle_until = time_column(idle_until);
    let sql = "SELECT account, idle_until FROM account_token JOIN account_session ON account_session.id = session
        WHERE token = $1 AND kind = 'pages' AND expires > $2 AND idle_until > $2";
    let found = session.read(sql, &[&token, &now]).await?;
    let Some(row) = found.first() else { return Ok(None) };
    // Nothing is written for a session that stays valid longer.
    if value::<i64>(row, "idle_until")? >= idle_until {
        return Ok(Some(AccountId(fixed_bytes(row, "account")?)));
    }
    let sql = "UPDATE account_session SET idle_until = greatest(idle_until, $3) FROM account_token
        WHERE account_session.id = session AND token = $1 AND kind = 'pages'
            AND expires > $2 AND idle_until > $2
        RETURNING account";
    // The session may have been ended in between.
    let extended = session.write_rows(sql, &[&token, &now, &idle_until]).await?;
    extended.first().map(|row| fixed_bytes(row, "account").map(AccountId)).transpose()
}

pub(super) async fn rotate(
    session: &mut Session,
    token: &Digest,
    next: &Digest,
    now: UnixSeconds,
    idle_until: UnixSeconds,
) -> Result<Rotation, EngineError> {
    let sql = "SELECT outcome, holder FROM rotate_account_token($1, $2, $3, $4)";
    let row = session
        .write(
            sql,
            &[
                &token.as_bytes().as_slice(),
                &next.as_bytes().as_slice(),
                &time_column(now),
                &time_column(idle_until),
            ],
        )
        .await?;
    match value::<&str>(&row, "outcome")? {
        "rotated" => Ok(Rotation::Rotated(AccountId(fixed_bytes(&row, "holder")?))),
        "reused" => Ok(Rotation::Reused(AccountId(fixed_bytes(&row, "holder")?))),
        "unknown" => Ok(Rotation::Unknown),
        other => Err(corrupt(format!("function rotate_account_token returned {other:?}"))),
    }
}

/// The account of a refresh session that is valid, by any of its tokens.
pub(super) async fn find_refresh(
    session: &mut Session,
    token: &Digest,
    now: UnixSeconds,
) -> Result<Option<AccountId>, EngineError> {
    let sql =
        "SELECT account FROM account_token JOIN account_session ON account_session.id = session
        WHERE token = $1 AND kind = 'refresh' AND expires > $2 AND idle_until > $2";
    let found = session.read(sql, &[&token.as_bytes().as_slice(), &time_column(now)]).await?;
    found.first().map(|row| fixed_bytes(row, "account").map(AccountId)).transpose()
}

/// Ends the session of a token. Its tokens are removed with it.
pub(super) async fn end(session: &mut Session, token: &Digest) -> Result<(), EngineError> {
    let sql = "WITH ended AS (
        DELETE FROM account_session
        WHERE id = (SELECT session FROM account_token WHERE token = $1) RETURNING 1
    ) SELECT count(*) AS ended FROM ended";
    session.write(sql, &[&token.as_bytes().as_slice()]).await.map(|_| ())
}

pub(super) async fn end_all(session: &mut Session, account: AccountId) -> Result<(), EngineError> {
    let sql = "WITH ended AS (DELETE FROM account_session WHERE account = $1 RETURNING 1)
        SELECT count(*) AS ended FROM ended";
    session.write(sql, &[&account.0.as_slice()]).await.map(|_| ())
}

/// Removes sessions and keys that have expired, and returns how many.
pub(super) async fn remove_expired(
    session: &mut Session,
    now: UnixSeconds,
) -> Result<u64, EngineError> {
    let sql = "WITH sessions AS (DELETE FROM account_session WHERE expires <= $1 OR idle_until <= $1 RETURNING 1),
            keys AS (DELETE FROM token_key WHERE expires <= $1 RETURNING 1)
        SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM keys) AS removed";
    number(&session.write(sql, &[&time_column(now)]).await?, "removed")
}

pub(super) async fn publish_key(session: &mut Session, key: &TokenKey) -> Result<(), EngineError> {
    let sql = "WITH kept AS (
        INSERT INTO token_key (id, public, expires) VALUES ($1, $2, $3)
        ON CONFLICT (id) DO UPDATE SET public = excluded.public, expires = excluded.expires
        RETURNING 1
    ) SELECT count(*) AS kept FROM kept";
    let public = key.public.as_slice();
    session.write(sql, &[&key.id, &public, &time_column(key.expires)]).await.map(|_| ())
}

pub(super) async fn keys(
    session: &mut Session,
    now: UnixSeconds,
) -> Result<Vec<TokenKey>, EngineError> {
    let sql = "SELECT id, public, expires FROM token_key WHERE expires > $1 ORDER BY id";
    let key = |row: &Row| {
        Ok(TokenKey {
            id: value(row, "id")?,
            public: fixed_bytes(row, "public")?,
            expires: UnixSeconds(number(row, "expires")?),
        })
    };
    session.read(sql, &[&time_column(now)]).await?.iter().map(key).collect()
}
