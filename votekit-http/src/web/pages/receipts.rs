//! The explanation of receipts, and the check of a receipt. The page shows the result of the check
//! and no more, and how to check without this node.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use votekit_core::bundle::RecordedDecision;
use votekit_core::decision::{Decision, InvalidReason};
use votekit_node::ElectionView;

use super::receipt_check::{self, Finding, LogState, restored};
use crate::api::PathText;
use crate::api::status::request_id;
use crate::context::Api;
use crate::guard::form_body::FormBody;
use crate::guard::same_origin::check_same_origin;
use crate::problem::Problem;
use crate::web::catalogue::articles::Section;
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::moment::Moment;
use crate::web::numbers::count;
use crate::web::visit::Visit;

/// The largest form with a receipt: a receipt has a few kilobytes, and a form encodes some bytes as
/// three.
const FORM_BYTES_MAX: usize = 64 * 1024;

#[derive(Template)]
#[template(path = "receipts.html")]
struct ReceiptsPage {
    frame: Frame,
    result: Option<CheckResult>,
    /// The error at the field.
    error: &'static str,
    /// The receipt that was checked. A text that is not a receipt is not repeated: it may be a
    /// secret in the wrong field.
    receipt: String,
    sections: &'static [Section],
}

/// The result of a check in words.
struct CheckResult {
    /// `good`, `caution` or `bad`: a class of the style sheet.
    tone: &'static str,
    title: &'static str,
    text: String,
    facts: Vec<Fact>,
    received: Option<Moment>,
    /// The policy of the election; empty if the receipt is signed by none of this node.
    policy_href: String,
}

struct Fact {
    label: &'static str,
    value: String,
}

/// `GET /{lang}/receipts`.
pub(crate) async fn receipts(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let visit = Visit::begin(&api, lang, &headers);
    page(visit, None, String::new(), "")
}

/// `POST /{lang}/receipts/check`: with the text of a receipt, or with the number of a request whose
/// receipt this node has.
pub(crate) async fn check(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    check_same_origin(&head.headers, api.sessions.is_confidential())?;
    let time = api.node.config().request_timeout();
    let form = FormBody::read_up_to(&head.headers, body, FORM_BYTES_MAX, time).await?;
    let visit = Visit::begin(&api, lang, &head.headers);
    let receipt = match form.text("request") {
        "" => restored(form.text("receipt")),
        request => {
            let receipt = api.node.receipt(request_id(request)?).await?;
            String::from_utf8(receipt).map_err(|_| Problem::Internal)?
        }
    };
    if receipt.trim().is_empty() {
        return page(visit, None, String::new(), lang.receipt_missing());
    }
    let finding = receipt_check::check(&api.node, &receipt).await?;
    let receipt = if matches!(finding, Finding::NotReceipt) { String::new() } else { receipt };
    page(visit, Some(finding), receipt, "")
}

fn page(
    visit: Visit<'_>,
    finding: Option<Finding>,
    receipt: String,
    error: &'static str,
) -> Result<Response, Problem> {
    let lang = visit.lang;
    let is_refused = !error.is_empty() || matches!(finding, Some(Finding::NotReceipt));
    let result = finding.as_ref().map(|finding| in_words(&visit, finding));
    let title = result.as_ref().map_or(lang.menu_receipts(), |result| result.title);
    let is_error = is_refused || result.as_ref().is_some_and(|result| result.tone == "bad");
    let mut frame = visit.frame(title, "/receipts")?.with_error(is_error);
    if let Some(Finding::Signed { election, .. } | Finding::Changed { election }) = &finding {
        frame = frame.about(election);
    }
    let sections = lang.article_receipts();
    let page = ReceiptsPage { frame, result, error, receipt, sections };
    let status = if is_refused { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    visit.answer(status, &page)
}

fn in_words(visit: &Visit<'_>, finding: &Finding) -> CheckResult {
    let lang = visit.lang;
    let bare = |tone, title, text: &str| CheckResult {
        tone,
        title,
        text: text.to_owned(),
        facts: Vec::new(),
        received: None,
        policy_href: String::new(),
    };
    match finding {
        Finding::NotReceipt => bare("bad", lang.receipt_none_title(), lang.receipt_none()),
        Finding::OtherLog => bare("caution", lang.receipt_other_title(), lang.receipt_other()),
        Finding::Changed { .. } => {
            bare("bad", lang.receipt_changed_title(), lang.receipt_changed())
        }
        Finding::Signed { election, recorded, log } => {
            let size = recorded.inclusion.checkpoint.checkpoint().size();
            let (tone, title, text) = match log {
                LogState::Holds => {
                    let text = lang.receipt_genuine(&count(lang, size));
                    ("good", lang.receipt_genuine_title(), text)
                }
                LogState::Behind => {
                    ("caution", lang.receipt_ahead_title(), lang.receipt_ahead().to_owned())
                }
                LogState::Lacks => {
                    ("bad", lang.receipt_lost_title(), lang.receipt_lost().to_owned())
                }
            };
            let received = recorded.entry.minute.to_rfc3339();
            CheckResult {
                facts: facts(lang, election, recorded),
                received: visit.moment(Some(&received)),
                policy_href: format!("/log/{}/policy", election.law_id),
                ..bare(tone, title, &text)
            }
        }
    }
}

fn facts(lang: Lang, election: &ElectionView, recorded: &RecordedDecision) -> Vec<Fact> {
    let fact = |label, value| Fact { label, value };
    let inclusion = &recorded.inclusion;
    let checkpoint = inclusion.checkpoint.checkpoint();
    let index = count(lang, inclusion.index.saturating_add(1));
    let place = lang.receipt_place_of(&index, &count(lang, checkpoint.size()));
    vec![
        fact(lang.receipt_decision(), decision(lang, &recorded.entry.decision)),
        fact(lang.receipt_election(), lang.pick(&election.title).to_owned()),
        fact(lang.request_number(), recorded.entry.request.to_hex()),
        fact(lang.receipt_place(), place),
        fact(lang.receipt_log(), checkpoint.origin().to_owned()),
    ]
}

fn decision(lang: Lang, decision: &Decision) -> String {
    let reason = match decision {
        Decision::Accepted { .. } => return lang.receipt_accepted().to_owned(),
        Decision::Duplicate { attempt, .. } => return lang.receipt_duplicate(*attempt),
        Decision::Invalid { reason, .. } => reason,
        _ => return lang.receipt_invalid().to_owned(),
    };
    let reason = match reason {
        InvalidReason::Unknown => lang.reason_unknown(),
        InvalidReason::Revoked => lang.reason_revoked(),
        InvalidReason::Early => lang.reason_early(),
        InvalidReason::Late => lang.reason_late(),
        _ => return lang.receipt_invalid().to_owned(),
    };
    lang.receipt_invalid_because(reason)
}
