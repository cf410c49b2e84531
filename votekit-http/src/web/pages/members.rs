//! The pages of members with accounts: their elections, and the way from there to a ballot. The
//! ballot itself, its check and the cast are those of every voter, in a session that contains H of
//! this election only.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use votekit_core::id::{ElectionId, RequestId};
use votekit_node::ElectionView;

use super::check::{self, Attempt};
use crate::accounts::Caller;
use crate::api::{PathText, law_id};
use crate::context::Api;
use crate::drafts;
use crate::members;
use crate::problem::Problem;
use crate::published;
use crate::sessions::Session;
use crate::web::account_session::AccountSession;
use crate::web::election_row::ElectionRow;
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::official_visit::SIGN_OUT_FORM;
use crate::web::page_form::Post;
use crate::web::visit::Visit;

#[derive(Template)]
#[template(path = "members.html")]
struct MembersPage {
    frame: Frame,
    lead: String,
    rows: Vec<MemberRow>,
    account_token: String,
}

/// An election of a member in the list.
struct MemberRow {
    election: ElectionRow,
    /// Whether the member has voted, in words.
    voted: &'static str,
    may_vote: bool,
    vote_href: String,
}

/// The page for a member who cannot continue to the ballot: the vote is cast already, or the
/// session has ended.
#[derive(Template)]
#[template(path = "member_entry.html")]
struct MemberEntryPage {
    frame: Frame,
    question: String,
    text: &'static str,
    law_id: String,
    /// A choice made before the session ended.
    choice: String,
    /// Its idempotency key.
    key: String,
}

/// `GET /{lang}/members`: the elections of the member.
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    PathText(lang): PathText<Lang>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut elections = members::elections(&api, &caller).await?;
    elections.retain(|(_, election)| !drafts::is_draft(&api.node, election));
    let visit = Visit::begin(&api, lang, &headers);
    let rows = elections.iter().map(|(law, view)| row(&visit, &caller, law, view)).collect();
    let frame = visit.frame(lang.member_title(), "/members")?;
    let page = MembersPage {
        frame: frame.for_account(AccountSession::for_member(lang)),
        lead: lang.member_lead(&caller.email),
        rows,
        account_token: caller.form_token(SIGN_OUT_FORM),
    };
    visit.answer(StatusCode::OK, &page)
}

fn row(visit: &Visit<'_>, caller: &Caller, law: &ElectionId, view: &ElectionView) -> MemberRow {
    let lang = visit.lang;
    let election = ElectionRow::new(visit, view);
    let has_voted = members::has_voted(visit.api, caller, law);
    MemberRow {
        voted: match has_voted {
            Some(true) => lang.member_voted(),
            Some(false) => lang.member_not_voted(),
            None => lang.member_vote_unknown(),
        },
        may_vote: election.is_open && has_voted != Some(true),
        vote_href: format!("/{}/members/{law}", lang.code()),
        election,
    }
}

/// `GET /{lang}/members/{law_id}`: to the ballot.
pub(crate) async fn enter(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    PathText((lang, law)): PathText<(Lang, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    let election = published::election(&api.node, &law)?;
    let mut visit = Visit::begin(&api, lang, &headers);
    match admit(&mut visit, &caller, &law).await? {
        Entry::Ballot => visit.redirect(&format!("/{}/vote/{law}/ballot", lang.code())),
        Entry::Cast(request) => visit.redirect(&format!("/{}/votes/{request}", lang.code())),
        Entry::Voted => voted(visit, &law, &election),
    }
}

/// `POST /{lang}/members/{law_id}`: back to the check of a choice that was made before the session
/// ended.
pub(crate) async fn enter_again(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    PathText((lang, law)): PathText<(Lang, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let Post { head, form, law, election } = Post::read(&api, &law, request).await?;
    let mut visit = Visit::begin(&api, lang, &head.headers);
    let kept = Attempt::from_form(&form);
    match admit(&mut visit, &caller, &law).await? {
        Entry::Ballot if kept.is_on(&election) => check::page(visit, &law, &election, kept, None),
        Entry::Ballot => visit.redirect(&format!("/{}/vote/{law}/ballot", lang.code())),
        Entry::Cast(request) => visit.redirect(&format!("/{}/votes/{request}", lang.code())),
        Entry::Voted => voted(visit, &law, &election),
    }
}

/// The page for a member whose ballot session has ended: the choice is kept.
pub(super) fn ended(
    visit: Visit<'_>,
    law: &ElectionId,
    election: &ElectionView,
    kept: Attempt,
) -> Result<Response, Problem> {
    let lang = visit.lang;
    if !kept.is_on(election) {
        return visit.redirect(&format!("/{}/members/{law}", lang.code()));
    }
    let (title, text) = (lang.member_kept_title(), lang.member_kept_text());
    let frame = entry_frame(&visit, title, law, election)?;
    // Not a page for an account: its session may have ended too.
    entry_page(visit, frame, law, election, (text, kept), StatusCode::FORBIDDEN)
}

/// The page for a member who has voted, in a session that has ended.
fn voted(visit: Visit<'_>, law: &ElectionId, election: &ElectionView) -> Result<Response, Problem> {
    let lang = visit.lang;
    let frame = entry_frame(&visit, lang.member_voted_title(), law, election)?;
    let frame = frame.for_account(AccountSession::for_member(lang));
    let content = (lang.member_voted_text(), Attempt::default());
    entry_page(visit, frame, law, election, content, StatusCode::OK)
}

fn entry_frame(
    visit: &Visit<'_>,
    title: &'static str,
    law: &ElectionId,
    election: &ElectionView,
) -> Result<Frame, Problem> {
    Ok(visit.frame(title, &format!("/members/{law}"))?.about(election))
}

fn entry_page(
    visit: Visit<'_>,
    frame: Frame,
    law: &ElectionId,
    election: &ElectionView,
    (text, kept): (&'static str, Attempt),
    status: StatusCode,
) -> Result<Response, Problem> {
    let page = MemberEntryPage {
        frame,
        question: visit.lang.pick(&election.title).to_owned(),
        text,
        law_id: law.to_string(),
        choice: kept.choice.clone(),
        key: kept.key.clone(),
    };
    visit.answer(status, &page)
}

/// The page that a member gets on entering an election.
enum Entry {
    /// The ballot: the session contains H.
    Ballot,
    /// The vote that this session cast.
    Cast(RequestId),
    /// The vote was cast in a session that has ended.
    Voted,
}

/// Begins a ballot session of the member, with H of this election only: a session that is there
/// already may be another person's, at the same browser.
async fn admit(visit: &mut Visit<'_>, caller: &Caller, law: &ElectionId) -> Result<Entry, Problem> {
    let api = visit.api;
    let hash = members::credential(api, caller, law).await?;
    let known = visit.session.as_ref();
    if known.is_some_and(|session| session.hash_for(law) == Some(hash)) {
        return Ok(Entry::Ballot);
    }
    if members::has_voted(api, caller, law) == Some(true) {
        let request = known.and_then(|session| session.request_for(law));
        return Ok(request.map_or(Entry::Voted, Entry::Cast));
    }
    let mut session = Session::begin()?;
    session.admit(law, &hash)?;
    visit.session = Some(session);
    Ok(Entry::Ballot)
}
