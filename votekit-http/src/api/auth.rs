//! `/api/v1/auth`: sign-in with an account, the tokens of programs, the own password.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::accounts::role::RoleName;
use crate::accounts::{Caller, PasswordChange, SignInAttempt, TokenPair};
use crate::context::Api;
use crate::guard::officials_network::is_officials_network;
use crate::guard::secret_body::SecretBody;
use crate::problem::{Problem, ProblemDocument};

/// The values with which an account signs in.
#[derive(ToSchema)]
#[schema(example = json!({"email": "name@example.ca", "password": "four words without relation", "code": "123456"}))]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for the documentation: `SecretBody` reads bodies, without a copy")]
pub(crate) struct SignInBody {
    /// The e-mail address of the account.
    #[schema(max_length = 254)]
    email: String,
    /// The password.
    #[schema(max_length = 128)]
    password: String,
    /// Six digits of the authenticator app, or a recovery code. Every official has a second factor.
    code: Option<String>,
}

/// A refresh token.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for the documentation: `SecretBody` reads bodies, without a copy")]
pub(crate) struct RefreshBody {
    /// The latest refresh token of the session.
    #[schema(pattern = "^[A-Za-z0-9_-]+$", min_length = 43, max_length = 43)]
    refresh_token: String,
}

/// A change of the password.
#[derive(ToSchema)]
#[schema(example = json!({"current_password": "four words without relation", "new_password": "four other words without relation"}))]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for the documentation: `SecretBody` reads bodies, without a copy")]
pub(crate) struct PasswordBody {
    /// The present password.
    #[schema(max_length = 128)]
    current_password: String,
    /// The password from now on.
    #[schema(min_length = 12, max_length = 128)]
    new_password: String,
}

/// The tokens of a program.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenDocument {
    /// For the field `Authorization: Bearer`. A JSON Web Token; programs need not read it.
    access_token: String,
    /// `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// The life of the access token, in seconds.
    #[schema(example = 600)]
    expires_in: u64,
    /// Replaces this pair by another pair, once. A second use ends the session.
    #[schema(pattern = "^[A-Za-z0-9_-]+$", min_length = 43, max_length = 43)]
    refresh_token: String,
}

impl From<TokenPair> for TokenDocument {
    fn from(mut pair: TokenPair) -> Self {
        Self {
            // Taken, not copied: no second copy is left behind.
            access_token: std::mem::take(&mut *pair.access),
            token_type: "Bearer",
            expires_in: TokenPair::ACCESS_SECONDS,
            refresh_token: std::mem::take(&mut *pair.refresh),
        }
    }
}

/// The account that calls.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallerDocument {
    /// Its id.
    #[schema(pattern = "^[0-9a-f]{32}$", min_length = 32, max_length = 32)]
    id: String,
    /// Its e-mail address.
    email: String,
    /// Its role.
    role: RoleName,
}

/// Signs in with an account.
///
/// Whatever is wrong, the answer is the same. After some wrong attempts from one network for one
/// address the node answers `back-off`.
#[utoipa::path(
    post, path = "/api/v1/auth/login", tag = "accounts", operation_id = "signIn",
    request_body(content = SignInBody, content_type = "application/json", description = "JSON in UTF-8, not compressed, with these fields"),
    responses(
        (status = 200, description = "Signed in", body = TokenDocument),
        (status = 401, description = "`sign-in-refused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "`back-off`, `rate-limited`", body = ProblemDocument, content_type = "application/problem+json", headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, description = "`busy`, `unavailable`", body = ProblemDocument, content_type = "application/problem+json", headers(("Retry-After" = u64, description = "Seconds"))),
    )
)]
pub(crate) async fn login(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Json<TokenDocument>, Problem> {
    let config = api.node.config();
    let from_officials_network = is_officials_network(request.extensions(), config);
    let prefix = api.client_prefix(request.extensions());
    let time = config.request_timeout();
    let body = SecretBody::read(request, &["email", "password"], &["code"], time).await?;
    let attempt = SignInAttempt {
        email: body.text("email"),
        password: body.text("password"),
        code: body.text("code"),
        from_officials_network,
    };
    let account = api.accounts.sign_in(attempt, prefix).await?;
    Ok(Json(api.accounts.tokens(&account).await?.into()))
}

/// Replaces a refresh token, and issues a new access token.
///
/// For officials from the networks from which they may work; a call from another network does not
/// use up the token.
#[utoipa::path(
    post, path = "/api/v1/auth/refresh", tag = "accounts", operation_id = "refreshTokens",
    request_body(content = RefreshBody, content_type = "application/json"),
    responses(
        (status = 200, description = "The next pair: the refresh token that was sent is used up", body = TokenDocument),
        (status = 401, description = "`token-refused`: the refresh token is unknown, was used before, or its session has ended: sign in again", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: officials may not work from this network", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn refresh(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Json<TokenDocument>, Problem> {
    let from_officials_network = is_officials_network(request.extensions(), api.node.config());
    let body = refresh_body(&api, request).await?;
    let token = body.text(REFRESH_TOKEN);
    Ok(Json(api.accounts.refresh(token, from_officials_network).await?.into()))
}

/// Changes the password of the account that calls.
///
/// Every session of the account ends, on the pages and of programs, with its tokens. The answer has
/// the tokens of a new one.
#[utoipa::path(
    put, path = "/api/v1/auth/password", tag = "accounts", operation_id = "changePassword", security(("account" = [])),
    request_body(content = PasswordBody, content_type = "application/json", description = "JSON in UTF-8, not compressed, with these fields"),
    responses(
        (status = 200, description = "Changed", body = TokenDocument),
        (status = 400, description = "`malformed`: the present password is another one, or the new one breaks a rule", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`admin-busy`: the account was changed meanwhile, try again", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "`back-off`, `rate-limited`", body = ProblemDocument, content_type = "application/problem+json", headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, description = "`busy`, `unavailable`", body = ProblemDocument, content_type = "application/problem+json", headers(("Retry-After" = u64, description = "Seconds"))),
    )
)]
pub(crate) async fn password(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<TokenDocument>, Problem> {
    let prefix = api.client_prefix(request.extensions());
    let time = api.node.config().request_timeout();
    let body = SecretBody::read(request, &["current_password", "new_password"], &[], time).await?;
    let change =
        PasswordChange { current: body.text("current_password"), new: body.text("new_password") };
    Ok(Json(api.accounts.change_password(caller.id, change, prefix).await?.into()))
}

/// Ends the session of a refresh token.
///
/// Its access tokens are void at once. A token that is not known changes nothing.
#[utoipa::path(
    post, path = "/api/v1/auth/logout", tag = "accounts", operation_id = "signOut",
    request_body(content = RefreshBody, content_type = "application/json"),
    responses((status = 204, description = "The session is ended, or there was none"))
)]
pub(crate) async fn logout(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let body = refresh_body(&api, request).await?;
    api.accounts.end_refresh(body.text(REFRESH_TOKEN)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Shows the account that calls.
#[utoipa::path(
    get, path = "/api/v1/auth/me", tag = "accounts", operation_id = "currentAccount", security(("account" = [])),
    responses((status = 200, description = "The account", body = CallerDocument))
)]
pub(crate) async fn me(Extension(caller): Extension<Caller>) -> Json<CallerDocument> {
    let id = const_hex::encode(caller.id.0);
    Json(CallerDocument { id, email: caller.email, role: caller.role.into() })
}

const REFRESH_TOKEN: &str = "refresh_token";

async fn refresh_body(api: &Api, request: Request) -> Result<SecretBody, Problem> {
    SecretBody::read(request, &[REFRESH_TOKEN], &[], api.node.config().request_timeout()).await
}
