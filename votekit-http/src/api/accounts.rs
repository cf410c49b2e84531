//! `/api/v1/accounts`: the accounts of officials and members.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use votekit_node::accounts::OneTimeLink;
use votekit_store::{Account, AccountId};

use crate::accounts::Caller;
use crate::accounts::role::{RoleName, StateName};
use crate::api::PathText;
use crate::context::Api;
use crate::guard::json_body::json;
use crate::problem::catalogue::field_rules;
use crate::problem::{Problem, ProblemDocument, Refusal};

/// The accounts of one page of the list.
const PAGE_LEN: usize = 100;

/// The account to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "name@example.ca", "role": "auditor"}))]
pub(crate) struct InviteAccount {
    /// The e-mail address: no other account has it.
    #[schema(max_length = 254)]
    email: String,
    /// The role.
    role: RoleName,
}

/// An invitation.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitationDocument {
    /// The path of the one-time link, on any node of this store. Send it to the holder of the
    /// address alone: it sets the password of the account.
    #[schema(example = "/fr/accounts/invitation?token=…")]
    link: String,
    /// From then on the link is void, RFC 3339.
    expires: String,
}

impl From<OneTimeLink> for InvitationDocument {
    fn from(link: OneTimeLink) -> Self {
        // The language of the link is a suggestion: its page links to the other language.
        Self { link: link.path("fr"), expires: link.expires.to_rfc3339() }
    }
}

/// An account.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountDocument {
    /// Its id.
    #[schema(pattern = "^[0-9a-f]{32}$", min_length = 32, max_length = 32)]
    id: String,
    /// Its e-mail address.
    email: String,
    /// Its role.
    role: RoleName,
    /// Its state.
    state: StateName,
    /// Whether it has a second factor.
    has_second_factor: bool,
    /// When it was made, RFC 3339.
    created: String,
}

impl From<Account> for AccountDocument {
    fn from(account: Account) -> Self {
        Self {
            id: const_hex::encode(account.id.0),
            email: account.email,
            role: account.role.into(),
            state: account.state.into(),
            has_second_factor: account.totp.is_some(),
            created: account.created.to_rfc3339(),
        }
    }
}

/// A page of the list of accounts.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountsDocument {
    /// In the order of their e-mail addresses.
    accounts: Vec<AccountDocument>,
    /// The value of `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Where a page of the list begins.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountsQuery {
    #[serde(default)]
    after: String,
}

/// Invites an official or a member.
///
/// An account whose link was not followed yet gets another link, and the earlier link is void.
#[utoipa::path(
    post, path = "/api/v1/accounts", tag = "accounts", operation_id = "inviteAccount", security(("account" = [])),
    request_body(content = InviteAccount, content_type = "application/json"),
    responses(
        (status = 201, description = "The account is there; its holder follows the link", body = InvitationDocument),
        (status = 409, description = "`account-exists`; `admin-busy`: it was changed meanwhile, try again", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn invite(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let InviteAccount { email, role } = json(request).await?;
    let link = api.accounts.invite(&email, role.into()).await?;
    let by = const_hex::encode(caller.id.0);
    tracing::info!(event = "account_invited", by, ?role, "account invited");
    Ok((StatusCode::CREATED, Json(InvitationDocument::from(link))).into_response())
}

/// Lists the accounts, a hundred at a time.
#[utoipa::path(
    get, path = "/api/v1/accounts", tag = "accounts", operation_id = "listAccounts", security(("account" = [])),
    params(("after" = Option<String>, Query, description = "The `next` of the page before", pattern = "^[!-~]+$", min_length = 1, max_length = 254)),
    responses((status = 200, description = "The accounts", body = AccountsDocument))
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    query: Result<Query<AccountsQuery>, QueryRejection>,
) -> Result<Json<AccountsDocument>, Problem> {
    let rule = field_rules::PAGE;
    let Query(AccountsQuery { after }) = query.map_err(|_| Problem::field("after", rule))?;
    if after.len() > 254 || after.contains('\0') {
        return Err(Problem::field("after", rule));
    }
    let mut accounts = api.accounts.list(&after, PAGE_LEN + 1).await?;
    let is_last = accounts.len() <= PAGE_LEN;
    accounts.truncate(PAGE_LEN);
    let next = accounts.last().filter(|_| !is_last).map(|account| account.email.clone());
    let accounts = accounts.into_iter().map(AccountDocument::from).collect();
    Ok(Json(AccountsDocument { accounts, next }))
}

/// Disables an account.
///
/// Its sessions and its tokens end at once, on every node, and its link is void. Its earlier
/// actions stay on record.
#[utoipa::path(
    post, path = "/api/v1/accounts/{id}/disable", tag = "accounts", operation_id = "disableAccount", security(("account" = [])),
    params(AccountPath),
    responses(
        (status = 200, description = "The account, disabled", body = AccountDocument),
        (status = 403, description = "`forbidden`: also for the account that calls", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-account`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`account-state`: it is the last active administrator; `admin-busy`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn disable(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    PathText(id): PathText<String>,
) -> Result<Json<AccountDocument>, Problem> {
    Ok(Json(api.accounts.disable(&caller, account_id(&id)?).await?.into()))
}

/// Enables a disabled account.
///
/// Its password and its second factor count again. An account that never had a password is
/// `invited`, and gets a link by a reset.
#[utoipa::path(
    post, path = "/api/v1/accounts/{id}/enable", tag = "accounts", operation_id = "enableAccount", security(("account" = [])),
    params(AccountPath),
    responses(
        (status = 200, description = "The account, `active` or `invited`", body = AccountDocument),
        (status = 403, description = "`forbidden`: also for the account that calls", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-account`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`admin-busy`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn enable(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    PathText(id): PathText<String>,
) -> Result<Json<AccountDocument>, Problem> {
    Ok(Json(api.accounts.enable(&caller, account_id(&id)?).await?.into()))
}

/// Gives an account a new one-time link.
///
/// Its password and its second factor are removed, and its sessions end: for a person who has lost
/// them, or whose link has expired.
#[utoipa::path(
    post, path = "/api/v1/accounts/{id}/reset", tag = "accounts", operation_id = "resetAccount", security(("account" = [])),
    params(AccountPath),
    responses(
        (status = 200, description = "The link; an earlier one is void", body = InvitationDocument),
        (status = 403, description = "`forbidden`: also for the account that calls", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-account`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`account-state`: it is disabled, or the last active administrator; `admin-busy`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn reset(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    PathText(id): PathText<String>,
) -> Result<Json<InvitationDocument>, Problem> {
    Ok(Json(api.accounts.reset(&caller, account_id(&id)?).await?.into()))
}

/// The id of an account in the path of a call, as the documentation describes it.
#[expect(dead_code, reason = "for the documentation: calls parse the text with `account_id`")]
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
struct AccountPath {
    /// The id of the account
    #[param(pattern = "^[0-9a-f]{32}$", min_length = 32, max_length = 32)]
    id: String,
}

/// Parses the id of an account from a path. A text that is not one names no account.
fn account_id(text: &str) -> Result<AccountId, Problem> {
    let mut id = [0; 16];
    let is_id = text.len() == 2 * id.len()
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && const_hex::decode_to_slice(text, &mut id).is_ok();
    if is_id { Ok(AccountId(id)) } else { Err(Problem::Refused(Refusal::UnknownAccount)) }
}
