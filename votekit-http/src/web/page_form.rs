//! The forms that pages of this node have sent: before anything is known of a session, and for one
//! election.

use axum::extract::Request;
use axum::http::request::Parts;
use votekit_core::id::ElectionId;
use votekit_node::ElectionView;

use crate::api::law_id;
use crate::context::Api;
use crate::guard::form_body::FormBody;
use crate::guard::same_origin::check_same_origin;
use crate::problem::Problem;
use crate::published;

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

/// A form, its head, and the election of its path.
pub(super) struct Post {
    pub(super) head: Parts,
    pub(super) form: FormBody,
    pub(super) law: ElectionId,
    pub(super) election: ElectionView,
}

impl Post {
    /// Reads a form. The origin is checked before anything else.
    ///
    /// # Errors
    /// A form of another origin, an election that does not exist, or a body that is not a form.
    pub(super) async fn read(api: &Api, law: &str, request: Request) -> Result<Self, Problem> {
        let (head, body) = request.into_parts();
        check_same_origin(&head.headers, api.sessions.is_confidential())?;
        let law = law_id(law)?;
        // Before the form is read, because the answer to a form shows the question.
        let election = published::election(&api.node, &law)?;
        let time = api.node.config().request_timeout();
        let form = FormBody::read(&head.headers, body, time).await?;
        Ok(Self { head, form, law, election })
    }
}
