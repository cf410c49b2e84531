//! The button that votes. The vote is durable before the answer: a redirect to the page with its
//! outcome, which waits for the decision. The same answer removes H from the session.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::ballot::cast_before;
use super::check::{self, Attempt};
use super::sign_in;
use crate::api::PathText;
use crate::context::Api;
use crate::problem::Problem;
use crate::sessions::Form;
use crate::web::lang::Lang;
use crate::web::page_form::Post;
use crate::web::visit::Visit;

/// `POST /{lang}/vote/{law_id}/cast`.
pub(crate) async fn cast(
    State(api): State<Arc<Api>>,
    PathText((lang, law)): PathText<(Lang, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let Post { head, form, law, election } = Post::read(&api, &law, request).await?;
    let mut visit = Visit::begin(&api, lang, &head.headers);
    // A second press of the button, or a reload: the first request has cast the vote.
    if let Some(path) = cast_before(&visit, &law) {
        return visit.redirect(&path);
    }
    let attempt = Attempt::from_form(&form);
    let is_sent = visit.has_sent(&Form::Cast { law: &law, key: &attempt.key }, form.text("token"));
    let hash = visit.session.as_ref().and_then(|session| session.hash_for(&law));
    let Some(hash) = hash.filter(|_| is_sent && !attempt.key.is_empty()) else {
        return sign_in::ended(visit, &law, &election, attempt);
    };
    let choice = attempt.choice_id()?;
    drop((form, head));
    let key = attempt.key.as_bytes();
    let submitted = api.node.submit_recognised(&law, hash, &choice, key).await;
    match submitted {
        Ok(request) => {
            if let Some(session) = &mut visit.session {
                session.record_cast(&law, request);
            }
            visit.redirect(&format!("/{}/votes/{request}", lang.code()))
        }
        Err(error) => match Problem::not_taken(error) {
            // Trying again would not help.
            problem @ (Problem::NotOpen { .. }
            | Problem::UnknownElection
            | Problem::UnknownChoice
            | Problem::TooManyDuplicates { .. }) => Err(problem),
            problem => check::page(visit, &law, &election, attempt, Some(problem)),
        },
    }
}
