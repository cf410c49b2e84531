//! The outcome of a vote. Green only when the decision is recorded and the vote counts; otherwise
//! the reason comes first. A vote that is still being recorded is waited for.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use votekit_core::decision::{Decision, InvalidReason};
use votekit_core::id::RequestId;
use votekit_node::config::Role;
use votekit_node::{ElectionView, VoteStatus};

use crate::api::PathText;
use crate::api::status::request_id;
use crate::context::Api;
use crate::problem::Problem;
use crate::support_code;
use crate::web::assets;
use crate::web::election_row::is_open;
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::visit::Visit;

/// The longest wait for a decision, after which the page offers a button.
const WAIT_MAX: Duration = Duration::from_secs(20);

#[derive(Template)]
#[template(path = "outcome.html")]
struct OutcomePage {
    frame: Frame,
    /// `good`, `caution`, `bad` or `waiting`: a class of the style sheet.
    tone: &'static str,
    title: &'static str,
    text: String,
    advice: &'static str,
    /// The election, if this session cast the vote: the request itself does not say.
    question: String,
    is_pending: bool,
    /// Whether a script waits for the decision: this node serves the live updates.
    is_followed: bool,
    outcome_script: &'static str,
    /// The path at which to sign in again, if that helps.
    again_href: String,
    request: String,
    support: String,
    /// The next ballot of the session, if any.
    next: Option<NextBallot>,
    results_href: String,
}

/// An open election that the voter has signed in for and not voted in.
struct NextBallot {
    href: String,
    label: String,
}

/// An outcome in words.
struct Words {
    tone: &'static str,
    title: &'static str,
    text: String,
    advice: &'static str,
    may_try_again: bool,
}

/// `GET /{lang}/votes/{request_id}`.
pub(crate) async fn outcome(
    State(api): State<Arc<Api>>,
    PathText((lang, request)): PathText<(Lang, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let request = request_id(&request)?;
    let status = api.node.wait(request, WAIT_MAX).await?.ok_or(Problem::UnknownRequest)?;
    let visit = Visit::begin(&api, lang, &headers);
    let page = page(&visit, request, status)?;
    visit.answer(StatusCode::OK, &page)
}

fn page(visit: &Visit<'_>, request: RequestId, status: VoteStatus) -> Result<OutcomePage, Problem> {
    let Visit { api, lang, session } = visit;
    let words = words(*lang, status);
    let law = session.as_ref().and_then(|session| session.law_of(&request)).cloned();
    let election = law.as_ref().and_then(|law| api.node.election(law));
    let mut frame = visit.frame(words.title, &format!("/votes/{request}"))?;
    if let Some(election) = &election {
        frame = frame.about(election);
    }
    let code = lang.code();
    let href = |part: &str| law.as_ref().map(|law| format!("/{code}/{part}/{law}"));
    let is_pending = matches!(status, VoteStatus::Pending { .. });
    Ok(OutcomePage {
        frame: frame.with_error(words.tone == "bad"),
        tone: words.tone,
        title: words.title,
        text: words.text,
        advice: words.advice,
        question: election.as_ref().map(|view| title(*lang, view)).unwrap_or_default(),
        is_pending,
        is_followed: is_pending && api.node.config().roles.contains(&Role::Query),
        outcome_script: assets::outcome_script(),
        again_href: href("vote").filter(|_| words.may_try_again).unwrap_or_default(),
        request: request.to_hex(),
        support: support_code::from_request(&request.to_hex()),
        next: next_ballot(visit),
        results_href: href("results").unwrap_or_default(),
    })
}

fn title(lang: Lang, election: &ElectionView) -> String {
    lang.pick(&election.title).to_owned()
}

fn next_ballot(visit: &Visit<'_>) -> Option<NextBallot> {
    let now = visit.api.now().0;
    visit.session.as_ref()?.laws_left().find_map(|law| {
        let election = visit.api.node.election(law).filter(|election| is_open(election, now))?;
        let href = format!("/{}/vote/{law}/ballot", visit.lang.code());
        let label = visit.lang.next_ballot_for(&title(visit.lang, &election));
        Some(NextBallot { href, label })
    })
}

fn words(lang: Lang, status: VoteStatus) -> Words {
    let words = |tone, title, text: &str| Words {
        tone,
        title,
        text: text.to_owned(),
        advice: "",
        may_try_again: false,
    };
    let again = |words: Words| Words { may_try_again: true, ..words };
    match status {
        VoteStatus::Decided(Decision::Accepted { .. }) => {
            words("good", lang.accepted_title(), lang.accepted_text())
        }
        VoteStatus::Decided(Decision::Duplicate { attempt, .. }) => Words {
            advice: lang.duplicate_advice(),
            ..words("caution", lang.duplicate_title(), &lang.duplicate_text(attempt))
        },
        VoteStatus::Decided(Decision::Invalid { reason, .. }) => match reason {
            InvalidReason::Revoked => {
                again(words("bad", lang.revoked_title(), lang.revoked_text()))
            }
            InvalidReason::Late => words("bad", lang.late_title(), lang.late_text()),
            InvalidReason::Early => again(words("bad", lang.early_title(), lang.early_text())),
            InvalidReason::Unknown => {
                again(words("bad", lang.unknown_title(), lang.unknown_text()))
            }
            _ => again(words("bad", lang.clash_title(), lang.clash_text())),
        },
        // Pending. An unknown decision does not occur in a log of this version.
        _ => words("waiting", lang.pending_title(), lang.pending_text()),
    }
}

#[cfg(test)]
mod tests {
    use votekit_node::Node;
    use votekit_node::config::Config;
    use votekit_node::data_folder::DataFolder;

    use super::*;

    /// The page of a vote with this status.
    async fn html(status: VoteStatus) -> String {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = DataFolder::open(folder.path(), None).expect("a data folder");
        let node = Node::start(data, Config::default()).await.expect("a node");
        let api = Api::new(node, b"token");
        let visit = Visit::begin(&api, Lang::Fr, &HeaderMap::new());
        let page = page(&visit, RequestId::from_bytes([10; 16]), status).expect("a page");
        let html = page.render().expect("HTML");
        api.node.clone().shutdown().await;
        html
    }

    #[tokio::test]
    async fn a_page_waits_for_a_pending_vote_and_keeps_its_button() {
        let html = html(VoteStatus::Pending { expected: None }).await;
        let id = "0a".repeat(16);
        for text in [
            assets::outcome_script(),
            Lang::Fr.pending_live(),
            Lang::Fr.check_now(),
            "hidden data-note",
            &format!("data-pending=\"{id}\""),
            &format!("action=\"/fr/votes/{id}\""),
        ] {
            assert!(html.contains(text), "no {text} in {html}");
        }
    }

    #[tokio::test]
    async fn the_page_of_a_vote_that_is_not_counted_begins_with_the_reason() {
        let envelope = || votekit_core::envelope::EnvelopeDigest::from_bytes([4; 32]);
        for (reason, reported) in [
            (InvalidReason::Revoked, Lang::Fr.revoked_title()),
            (InvalidReason::Late, Lang::Fr.late_title()),
            (InvalidReason::Early, Lang::Fr.early_title()),
            (InvalidReason::Unknown, Lang::Fr.unknown_title()),
        ] {
            let decision = Decision::Invalid { reason, envelope: envelope() };
            let html = html(VoteStatus::Decided(decision)).await;
            let title = format!("<title>{}{reported}", Lang::Fr.error_prefix());
            assert!(html.contains(&title), "no {title} in {html}");
            assert!(html.contains("class=\"outcome bad\""), "{html}");
            assert!(html.contains(&format!("data-focus>{reported}</h1>")), "{html}");
            assert!(!html.contains(Lang::Fr.accepted_title()), "{html}");
        }
    }

    #[tokio::test]
    async fn the_page_of_a_decided_vote_waits_for_nothing() {
        let envelope = votekit_core::envelope::EnvelopeDigest::from_bytes([4; 32]);
        let decision = Decision::Invalid { reason: InvalidReason::Late, envelope };
        let html = html(VoteStatus::Decided(decision)).await;
        for text in ["data-pending", "/static/outcome-", Lang::Fr.check_now()] {
            assert!(!html.contains(text), "{text} in {html}");
        }
    }
}
