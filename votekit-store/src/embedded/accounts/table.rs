//! The accounts, and which elections they created.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use votekit_core::id::{Digest, ElectionId};
use votekit_core::instant::UnixSeconds;
use zeroize::Zeroizing;

use crate::accounts::stored::{
    is_repeated_add, join_digests, number_column, split_digests, time_column,
};
use crate::embedded::columns::TableRow;
use crate::embedded::fault::{Fault, corrupt};
use crate::{Account, AccountId, AccountRole, AccountState, Conflict, Invitation};

/// In the order of [`account`].
const COLUMNS: &str = "id, email, role, state, password, totp, totp_step, recovery_codes, \
    invitation, invitation_expires, created, version";

/// Adds accounts, unless an account would have the id or the address of another account.
pub(super) fn add(connection: &Connection, accounts: &[Account]) -> Result<(), Fault> {
    let mut taken = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM account WHERE id = ?1 OR email = ?2)")?;
    let mut insert = connection.prepare_cached(&format!(
        "INSERT INTO account ({COLUMNS}) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
    ))?;
    for (index, account) in accounts.iter().enumerate() {
        if taken.query_row((&account.id.0, &account.email), |row| row.get(0))? {
            // Only before the first insertion can all of them be those of an earlier call.
            if index == 0 && is_repeated(connection, accounts)? {
                return Ok(());
            }
            return Err(Conflict::AccountExists.into());
        }
        let invitation = account.invitation.as_ref();
        insert.execute(params![
            account.id.0,
            account.email,
            account.role.as_str(),
            account.state.as_str(),
            account.password,
            account.totp.as_ref().map(|secret| secret.as_slice()),
            number_column(account.totp_step),
            join_digests(&account.recovery_codes),
            invitation.map(|invitation| invitation.token.as_bytes()),
            invitation.map(|invitation| time_column(invitation.expires)),
            time_column(account.created),
            number_column(account.version),
        ])?;
    }
    Ok(())
}

fn is_repeated(connection: &Connection, accounts: &[Account]) -> Result<bool, Fault> {
    let stored: Vec<Option<Account>> = accounts
        .iter()
        .map(|account| find(connection, "id = ?1", &account.id.0))
        .collect::<Result<_, Fault>>()?;
    Ok(is_repeated_add(accounts, &stored))
}

/// Replaces an account that has the version of the given one.
pub(super) fn update(connection: &Connection, account: &Account) -> Result<(), Fault> {
    let is_taken = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM account WHERE email = ?1 AND id <> ?2)")?
        .query_row((&account.email, &account.id.0), |row| row.get::<_, bool>(0))?;
    let current: Option<i64> = connection
        .prepare_cached("SELECT version FROM account WHERE id = ?1")?
        .query_row([&account.id.0], |row| row.get(0))
        .optional()?;
    if current != Some(number_column(account.version)) {
        return Err(Conflict::AccountChanged.into());
    }
    if is_taken {
        return Err(Conflict::AccountExists.into());
    }
    let invitation = account.invitation.as_ref();
    connection
        .prepare_cached(
            "UPDATE account SET email = ?2, role = ?3, state = ?4, password = ?5, totp = ?6, \
             totp_step = ?7, recovery_codes = ?8, invitation = ?9, invitation_expires = ?10, \
             created = ?11, version = version + 1 WHERE id = ?1",
        )?
        .execute(params![
            account.id.0,
            account.email,
            account.role.as_str(),
            account.state.as_str(),
            account.password,
            account.totp.as_ref().map(|secret| secret.as_slice()),
            number_column(account.totp_step),
            join_digests(&account.recovery_codes),
            invitation.map(|invitation| invitation.token.as_bytes()),
            invitation.map(|invitation| time_column(invitation.expires)),
            time_column(account.created),
        ])?;
    Ok(())
}

/// The account that meets a condition on one value.
pub(super) fn find(
    connection: &Connection,
    condition: &str,
    value: &dyn ToSql,
) -> Result<Option<Account>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM account WHERE {condition} LIMIT 1");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([value])?;
    rows.next()?.map(account).transpose()
}

pub(super) fn list(
    connection: &Connection,
    after: &str,
    limit: usize,
) -> Result<Vec<Account>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM account WHERE email > ?1 ORDER BY email LIMIT ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    statement.query_and_then((after, limit), account)?.collect()
}

/// Reads the columns of [`COLUMNS`].
fn account(row: &Row<'_>) -> Result<Account, Fault> {
    let damage = |column: &str| Fault::from(corrupt(format!("table account, column {column}")));
    let (role, state): (String, String) = (row.get(2)?, row.get(3)?);
    let (recovery_codes, expires): (Vec<u8>, Option<i64>) = (row.get(7)?, row.get(9)?);
    let invitation = match (row.get::<_, Option<[u8; 32]>>(8)?, expires) {
        (None, None) => None,
        (Some(token), Some(_)) => Some(Invitation {
            token: Digest::from_bytes(token),
            expires: UnixSeconds(TableRow::new("account", row).number(9)?),
        }),
        _ => return Err(damage("invitation_expires")),
    };
    Ok(Account {
        id: AccountId(row.get(0)?),
        email: row.get(1)?,
        role: AccountRole::from_name(&role).ok_or_else(|| damage("role"))?,
        state: AccountState::from_name(&state).ok_or_else(|| damage("state"))?,
        password: row.get(4)?,
        totp: row.get::<_, Option<Vec<u8>>>(5)?.map(Zeroizing::new),
        totp_step: TableRow::new("account", row).number(6)?,
        recovery_codes: split_digests(&recovery_codes).ok_or_else(|| damage("recovery_codes"))?,
        invitation,
        created: UnixSeconds(TableRow::new("account", row).number(10)?),
        version: TableRow::new("account", row).number(11)?,
    })
}

pub(super) fn record_creator(
    connection: &Connection,
    law_id: &ElectionId,
    account: AccountId,
) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO election_creator (law_id, account) VALUES (?1, ?2) \
             ON CONFLICT (law_id) DO NOTHING",
        )?
        .execute((law_id.as_str(), &account.0))?;
    Ok(())
}

pub(super) fn creators(connection: &Connection) -> Result<Vec<(ElectionId, AccountId)>, Fault> {
    let mut statement = connection
        .prepare_cached("SELECT law_id, account FROM election_creator ORDER BY law_id")?;
    let creator = |row: &Row<'_>| -> Result<(ElectionId, AccountId), Fault> {
        let law_id: String = row.get(0)?;
        let law_id = law_id
            .parse::<ElectionId>()
            .map_err(|error| corrupt(format!("table election_creator: {error}")))?;
        Ok((law_id, AccountId(row.get(1)?)))
    };
    statement.query_and_then([], creator)?.collect()
}
