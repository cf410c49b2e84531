//! The accounts of a node: a list for administrators and auditors. Administrators invite, disable
//! and enable.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::response::Response;
use serde::Deserialize;
use votekit_store::{Account, AccountId, AccountState};

use super::done::Done;
use crate::accounts::Caller;
use crate::api::PathText;
use crate::context::Api;
use crate::problem::Problem;
use crate::web::form_fields::{ChoiceField, FormErrors, TextField};
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::moment::Moment;
use crate::web::official_visit::{OfficialBar, OfficialVisit, read_form, role_name};

/// The path of the list, after its language.
pub(super) const PATH: &str = "/officials/accounts";

/// The purpose of the form that invites.
pub(super) const INVITE: &str = "invite";

/// Accounts on one page.
const PAGE_LEN: usize = 100;

/// The longest e-mail address, in bytes.
const EMAIL_BYTES_MAX: usize = 254;

#[derive(Template)]
#[template(path = "official_accounts.html")]
struct AccountsPage {
    frame: Frame,
    bar: OfficialBar,
    errors: FormErrors,
    notice: &'static str,
    rows: Vec<AccountRow>,
    /// The e-mail address after which the next page begins; empty on the last page.
    next: String,
    /// The form that invites, for administrators.
    email: TextField,
    role: ChoiceField,
    token: String,
}

/// An account in the list.
struct AccountRow {
    email: String,
    role: &'static str,
    state: &'static str,
    state_class: &'static str,
    created: Option<Moment>,
    is_self: bool,
    /// The form that changes its state; empty if the caller cannot change it.
    action: String,
    token: String,
    button: &'static str,
    button_label: String,
    is_danger: bool,
}

/// The beginning of a page of the list.
#[derive(Deserialize)]
pub(crate) struct After {
    #[serde(default)]
    after: String,
}

/// A change of an account's state, as in its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StateChange {
    /// Ends its sessions and refuses its sign-ins.
    Disable,
    /// Takes that back.
    Enable,
}

/// `GET /{lang}/officials/accounts`.
pub(crate) async fn accounts(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    Extension(caller): Extension<Caller>,
    Done(done): Done,
    after: Result<Query<After>, QueryRejection>,
) -> Result<Response, Problem> {
    let visit = OfficialVisit::new(&api, lang, &caller);
    let after = after.map(|Query(after)| after.after).unwrap_or_default();
    let is_email = after.len() <= EMAIL_BYTES_MAX && !after.contains('\0');
    let after = if is_email { after } else { String::new() };
    page(&visit, &after, &done, FormErrors::default(), Typed::default()).await
}

/// The typed values of an invitation.
#[derive(Default)]
pub(super) struct Typed {
    pub(super) email: String,
    pub(super) role: String,
}

/// `POST /{lang}/officials/accounts/{account}/{change}`.
pub(crate) async fn change_state(
    State(api): State<Arc<Api>>,
    PathText((lang, account, change)): PathText<(Lang, String, StateChange)>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let mut bytes = [0; 16];
    const_hex::decode_to_slice(&account, &mut bytes).map_err(|_| Problem::UnknownRoute)?;
    let id = AccountId(bytes);
    let form = read_form(&api, &caller, &purpose(change, id), request).await?;
    drop(form);
    let visit = OfficialVisit::new(&api, lang, &caller);
    // The page has no such button for the calling account, nor for an account that does not exist.
    let done = match change {
        StateChange::Disable => {
            api.accounts.disable(&caller, id).await?;
            "disable"
        }
        StateChange::Enable => {
            api.accounts.enable(&caller, id).await?;
            "enable"
        }
    };
    visit.redirect(&format!("/accounts?done={done}"))
}

/// The page with the list, and the form as it was typed. `done` is the word for the action just
/// before.
///
/// # Errors
/// [`Problem`], if the accounts cannot be read.
pub(super) async fn page(
    visit: &OfficialVisit<'_>,
    after: &str,
    done: &str,
    errors: FormErrors,
    typed: Typed,
) -> Result<Response, Problem> {
    let lang = visit.lang;
    let (notice, done) = match done {
        "disable" => (lang.account_disabled_notice(), done),
        "enable" => (lang.account_enabled_notice(), done),
        _ => ("", ""),
    };
    let mut accounts = visit.api.accounts.list(after, PAGE_LEN + 1).await?;
    let is_last = accounts.len() <= PAGE_LEN;
    accounts.truncate(PAGE_LEN);
    let next = accounts.last().filter(|_| !is_last).map(|account| account.email.clone());
    let roles = [
        ("administrator", lang.role_administrator(), lang.role_administrator_hint()),
        ("auditor", lang.role_auditor(), lang.role_auditor_hint()),
        ("observer", lang.role_observer(), lang.role_observer_hint()),
    ];
    let status = errors.status();
    let page = AccountsPage {
        frame: visit
            .frame(lang.accounts_title(), PATH)
            .with_error(!errors.is_empty())
            .keeping("after", after)
            .keeping("done", done),
        bar: visit.bar(),
        notice,
        rows: accounts.iter().map(|account| AccountRow::new(visit, account)).collect(),
        next: next.unwrap_or_default(),
        email: TextField::new("email", lang.email_label())
            .value(typed.email)
            .kind("email")
            .errors(&errors),
        role: ChoiceField::new("role", lang.column_role(), &roles, &typed.role).errors(&errors),
        token: visit.caller.form_token(INVITE),
        errors,
    };
    visit.answer(status, &page)
}

impl AccountRow {
    fn new(visit: &OfficialVisit<'_>, account: &Account) -> Self {
        let lang = visit.lang;
        let (state, state_class) = match account.state {
            AccountState::Invited => (lang.account_invited(), "waiting"),
            AccountState::Active => (lang.account_active(), "open"),
            AccountState::Disabled => (lang.account_disabled(), "void"),
        };
        let is_disabled = account.state == AccountState::Disabled;
        let (change, page) = match is_disabled {
            true => (StateChange::Enable, "enable"),
            false => (StateChange::Disable, "disable"),
        };
        let is_self = account.id == visit.caller.id;
        let id = const_hex::encode(account.id.0);
        let action = format!("/{}{PATH}/{id}/{page}", lang.code());
        Self {
            email: account.email.clone(),
            role: role_name(lang, account.role),
            state,
            state_class,
            created: Moment::new(lang, &account.created.to_rfc3339()),
            is_self,
            action: if visit.is_administrator() && !is_self { action } else { String::new() },
            token: visit.caller.form_token(&purpose(change, account.id)),
            button: if is_disabled { lang.account_enable() } else { lang.account_disable() },
            button_label: match is_disabled {
                true => lang.account_enable_label(&account.email),
                false => lang.account_disable_label(&account.email),
            },
            is_danger: !is_disabled,
        }
    }
}

fn purpose(change: StateChange, id: AccountId) -> String {
    format!("{change:?}\n{}", const_hex::encode(id.0))
}
