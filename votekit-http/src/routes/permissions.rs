//! The checks of callers with an account, before a handler: the token or the cookie, the role, the
//! network.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use votekit_store::AccountRole;

use crate::accounts::Caller;
use crate::context::Api;
use crate::guard::officials_network::is_officials_network;
use crate::problem::Problem;
use crate::web::lang::Lang;
use crate::web::{ReturnPath, redirect_response};

/// The roles that a route admits.
#[derive(Clone)]
pub(super) struct RoleCheck {
    api: Arc<Api>,
    roles: &'static [AccountRole],
}

impl RoleCheck {
    pub(super) fn new(api: &Arc<Api>, roles: &'static [AccountRole]) -> Self {
        Self { api: Arc::clone(api), roles }
    }

    /// Passes a caller on to the handler, or refuses the role or the network.
    async fn admit(&self, caller: Caller, mut request: Request, next: Next) -> Response {
        if !self.roles.contains(&caller.role) {
            return Problem::WrongRole { needs: self.roles }.into_response();
        }
        let is_from_office = is_officials_network(request.extensions(), self.api.node.config());
        let may_be_anywhere = caller.role == AccountRole::Voter;
        if !(may_be_anywhere || is_from_office) {
            return Problem::ForeignNetwork.into_response();
        }
        request.extensions_mut().insert(caller);
        next.run(request).await
    }
}

/// Requires an access token of an account with one of the roles.
pub(super) async fn require_role(
    State(check): State<RoleCheck>,
    request: Request,
    next: Next,
) -> Response {
    match check.api.accounts.bearer(request.headers()).await {
        Ok(caller) => check.admit(caller, request, next).await,
        Err(problem) => problem.into_response(),
    }
}

/// Requires the cookie of an account with one of the roles.
pub(super) async fn require_page_role(
    State(check): State<RoleCheck>,
    request: Request,
    next: Next,
) -> Response {
    match check.api.accounts.page_session(request.headers()).await {
        Ok(Some(caller)) => check.admit(caller, request, next).await,
        Ok(None) => {
            let path = request.uri().path();
            let lang = Lang::from_path(path).unwrap_or(Lang::Fr);
            let sign_in = ReturnPath::from_request(path).sign_in_href(lang);
            redirect_response(&sign_in).unwrap_or_else(Problem::into_response)
        }
        Err(problem) => problem.into_response(),
    }
}
