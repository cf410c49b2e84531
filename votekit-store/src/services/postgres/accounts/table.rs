//! The accounts, and which elections they created.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use votekit_core::id::{Digest, ElectionId};
use votekit_core::instant::UnixSeconds;
use zeroize::Zeroizing;

use crate::accounts::stored::{
    is_repeated_add, join_digests, number_column, split_digests, time_column,
};
use crate::services::postgres::connections::Session;
use crate::services::postgres::fault::corrupt;
use crate::services::postgres::queries::limit_column;
use crate::services::postgres::rows::{self, fixed_bytes, number, value};
use crate::{Account, AccountId, AccountRole, AccountState, Conflict, EngineError, Invitation};

/// The columns that [`account`] reads.
const COLUMNS: &str = "id, email, role, state, password, totp, totp_step, recovery_codes, \
    invitation, invitation_expires, created, version";

/// The columns of one account that need a conversion.
struct Converted {
    totp_step: i64,
    recovery_codes: Vec<u8>,
    invitation_expires: Option<i64>,
    created: i64,
    version: i64,
}

impl Converted {
    fn new(account: &Account) -> Self {
        Self {
            totp_step: number_column(account.totp_step),
            recovery_codes: join_digests(&account.recovery_codes),
            invitation_expires: account
                .invitation
                .map(|invitation| time_column(invitation.expires)),
            created: time_column(account.created),
            version: number_column(account.version),
        }
    }
}

fn totp(account: &Account) -> Option<&[u8]> {
    account.totp.as_ref().map(|secret| secret.as_slice())
}

fn invitation(account: &Account) -> Option<&[u8]> {
    account.invitation.as_ref().map(|invitation| invitation.token.as_bytes().as_slice())
}

pub(super) async fn add(session: &mut Session, accounts: &[Account]) -> Result<(), EngineError> {
    let converted: Vec<Converted> = accounts.iter().map(Converted::new).collect();
    let ids: Vec<&[u8]> = accounts.iter().map(|account| account.id.0.as_slice()).collect();
    let emails: Vec<&str> = accounts.iter().map(|account| account.email.as_str()).collect();
    let roles: Vec<&str> = accounts.iter().map(|account| account.role.as_str()).collect();
    let states: Vec<&str> = accounts.iter().map(|account| account.state.as_str()).collect();
    let passwords: Vec<Option<&str>> =
        accounts.iter().map(|account| account.password.as_deref()).collect();
    let totps: Vec<Option<&[u8]>> = accounts.iter().map(totp).collect();
    let totp_steps: Vec<i64> = converted.iter().map(|columns| columns.totp_step).collect();
    let recovery_codes: Vec<&[u8]> =
        converted.iter().map(|columns| columns.recovery_codes.as_slice()).collect();
    let invitations: Vec<Option<&[u8]>> = accounts.iter().map(invitation).collect();
    let invitation_expires: Vec<Option<i64>> =
        converted.iter().map(|columns| columns.invitation_expires).collect();
    let created: Vec<i64> = converted.iter().map(|columns| columns.created).collect();
    let versions: Vec<i64> = converted.iter().map(|columns| columns.version).collect();
    let sql = "SELECT add_accounts($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS outcome";
    let row = session
        .write(
            sql,
            &[
                &ids,
                &emails,
                &roles,
                &states,
                &passwords,
                &totps,
                &totp_steps,
                &recovery_codes,
                &invitations,
                &invitation_expires,
                &created,
                &versions,
            ],
        )
        .await?;
    match value::<&str>(&row, "outcome")? {
        "added" => Ok(()),
        "exists" if is_repeated(session, accounts).await? => Ok(()),
        "exists" => Err(Conflict::AccountExists.into()),
        other => Err(corrupt(format!("function add_accounts returned {other:?}"))),
    }
}

async fn is_repeated(session: &mut Session, accounts: &[Account]) -> Result<bool, EngineError> {
    let mut stored = Vec::with_capacity(accounts.len());
    for account in accounts {
        stored.push(by_id(session, account.id).await?);
    }
    Ok(is_repeated_add(accounts, &stored))
}

pub(super) async fn update(session: &mut Session, account: &Account) -> Result<(), EngineError> {
    let columns = Converted::new(account);
    let sql = "SELECT update_account($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS outcome";
    let row = session
        .write(
            sql,
            &[
                &account.id.0.as_slice(),
                &account.email,
                &account.role.as_str(),
                &account.state.as_str(),
                &account.password,
                &totp(account),
                &columns.totp_step,
                &columns.recovery_codes,
                &invitation(account),
                &columns.invitation_expires,
                &columns.created,
                &columns.version,
            ],
        )
        .await?;
    match value::<&str>(&row, "outcome")? {
        "updated" => Ok(()),
        "changed" => Err(Conflict::AccountChanged.into()),
        "exists" => Err(Conflict::AccountExists.into()),
        other => Err(corrupt(format!("function update_account returned {other:?}"))),
    }
}

pub(super) async fn by_id(
    session: &mut Session,
    id: AccountId,
) -> Result<Option<Account>, EngineError> {
    find(session, "id = $1", &id.0.as_slice()).await
}

pub(super) async fn by_email(
    session: &mut Session,
    email: &str,
) -> Result<Option<Account>, EngineError> {
    // PostgreSQL stores no NUL in a text, and refuses a query with a NUL.
    if email.contains('\0') {
        return Ok(None);
    }
    find(session, "email = $1", &email).await
}

pub(super) async fn by_invitation(
    session: &mut Session,
    token: &Digest,
) -> Result<Option<Account>, EngineError> {
    find(session, "invitation = $1", &token.as_bytes().as_slice()).await
}

async fn find(
    session: &mut Session,
    condition: &str,
    value: &(dyn ToSql + Sync),
) -> Result<Option<Account>, EngineError> {
    let sql = format!("SELECT {COLUMNS} FROM account WHERE {condition} LIMIT 1");
    session.read(&sql, &[value]).await?.first().map(account).transpose()
}

pub(super) async fn list(
    session: &mut Session,
    after: &str,
    limit: usize,
) -> Result<Vec<Account>, EngineError> {
    // No address contains a control character: up to the first one, the order is the same.
    let after = after.split('\0').next().unwrap_or_default();
    let sql = format!("SELECT {COLUMNS} FROM account WHERE email > $1 ORDER BY email LIMIT $2");
    let rows = session.read(&sql, &[&after, &limit_column(limit)]).await?;
    rows.iter().map(account).collect()
}

fn account(row: &Row) -> Result<Account, EngineError> {
    let damage = |column: &str| corrupt(format!("table account, column {column}"));
    let token: Option<&[u8]> = value(row, "invitation")?;
    let expires: Option<i64> = value(row, "invitation_expires")?;
    let invitation = match (token, expires) {
        (None, None) => None,
        (Some(_), Some(_)) => Some(Invitation {
            token: Digest::from_bytes(fixed_bytes(row, "invitation")?),
            expires: UnixSeconds(number(row, "invitation_expires")?),
        }),
        _ => return Err(damage("invitation_expires")),
    };
    Ok(Account {
        id: AccountId(fixed_bytes(row, "id")?),
        email: value(row, "email")?,
        role: AccountRole::from_name(value(row, "role")?).ok_or_else(|| damage("role"))?,
        state: AccountState::from_name(value(row, "state")?).ok_or_else(|| damage("state"))?,
        password: value(row, "password")?,
        totp: value::<Option<Vec<u8>>>(row, "totp")?.map(Zeroizing::new),
        totp_step: number(row, "totp_step")?,
        recovery_codes: split_digests(value(row, "recovery_codes")?)
            .ok_or_else(|| damage("recovery_codes"))?,
        invitation,
        created: UnixSeconds(number(row, "created")?),
        version: number(row, "version")?,
    })
}

pub(super) async fn record_creator(
    session: &mut Session,
    law_id: &ElectionId,
    account: AccountId,
) -> Result<(), EngineError> {
    let sql = "WITH kept AS (
        INSERT INTO election_creator (law_id, account) VALUES ($1, $2)
        ON CONFLICT DO NOTHING RETURNING 1
    ) SELECT count(*) AS kept FROM kept";
    session.write(sql, &[&law_id.as_str(), &account.0.as_slice()]).await.map(|_| ())
}

pub(super) async fn creators(
    session: &mut Session,
) -> Result<Vec<(ElectionId, AccountId)>, EngineError> {
    let sql = "SELECT law_id, account FROM election_creator ORDER BY law_id";
    let creator = |row: &Row| Ok((rows::law_id(row)?, AccountId(fixed_bytes(row, "account")?)));
    session.read(sql, &[]).await?.iter().map(creator).collect()
}
