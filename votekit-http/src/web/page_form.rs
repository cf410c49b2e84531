//! A form that a page of this node has sent, before anything is known of its session.

use axum::extract::Request;
use axum::http::request::Parts;

use crate::context::Api;
use crate::guard::form_body::FormBody;
use crate::guard::same_origin::check_same_origin;
use crate::problem::Problem;

/// Reads a short form, and returns it with the head of its request. The origin is checked before
/// anything else.
///
/// # Errors
/// A form of another origin, or a body that is not a form.
pub(super) async fn read_page_form(
    api: &Api,
    request: Request,
) -> Result<(Parts, FormBody), Problem> {
    let (head, body) = request.into_parts();
    check_same_origin(&head.headers, api.sessions.is_confidential())?;
    let time = api.node.config().request_timeout();
    let form = FormBody::read(&head.headers, body, time).await?;
    Ok((head, form))
}
