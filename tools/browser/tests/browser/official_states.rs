//! The states of the pages of officials and members. Their order matters: a link is used up, and
//! the sign-out ends the session that the states before it share.

use crate::accounts::{MEMBER, OFFICIAL};
use crate::states::{CAST, CHOOSE, State, error, form_error, outcome, page};
use crate::steps::{SUBMIT, Step};

const LINK: &[Step] = &[Step::OpenLink(OFFICIAL)];
const SEND: &[Step] = &[Step::Press(SUBMIT)];
const SIGN_IN: &[Step] = &[Step::Open("/accounts/sign-in")];
const AS_OFFICIAL: &[Step] = &[Step::UseAccount(OFFICIAL)];
const AS_MEMBER: &[Step] = &[Step::UseAccount(MEMBER), Step::Open("/members")];
/// By way of another page: from the same one it would be a jump within it.
const MEMBER_SESSION_ENDS_SOON: &[Step] =
    &[Step::Open("/help"), Step::Open("/members#soon"), Step::Await(".session-warning")];
const TO_BALLOT: &[Step] = &[Step::Press("main a.button[href$='/members/M2025-001']")];
const NEW: &[Step] = &[Step::Open("/officials/new")];
const ACCOUNTS: &[Step] = &[Step::Open("/officials/accounts")];
const ROLL: &[Step] = &[Step::Open("/officials/elections/future/roll")];
const CLOSE: &[Step] = &[Step::Open("/officials/elections/second/close")];

/// All of them.
pub(crate) const OFFICIAL_STATES: &[State] = &[
    page("account-sign-in", &[SIGN_IN], "#password"),
    form_error("account-sign-in-empty", &[SIGN_IN, SEND], "#password-error", 422),
    form_error(
        "account-sign-in-refused",
        &[SIGN_IN, &[Step::Type("email", OFFICIAL), Step::Type("password", "wrong")], SEND],
        "#email-error",
        422,
    ),
    page("officials-signed-out", &[&[Step::Open("/officials")]], "#password"),
    page("account-sign-in-needed", &[NEW], ".notice + form [name=next]"),
    page("invitation", &[LINK], "svg.qr"),
    form_error("invitation-empty", &[LINK, SEND], "#code-error", 422),
    form_error(
        "invitation-without-code",
        &[LINK, &[Step::Type("password", "a"), Step::Type("repeat", "a")], SEND],
        "[href='#code']",
        422,
    ),
    outcome("recovery-codes", &[LINK, &[Step::ChoosePassword(OFFICIAL)]], ".recovery-codes"),
    error("invitation-void", &[LINK], "[href$='help#invitation-void']", 410),
    page("officials", &[AS_OFFICIAL, &[Step::Open("/officials")]], ".cards-table"),
    page("official-new", &[AS_OFFICIAL, NEW], "#law_id"),
    form_error("official-new-empty", &[AS_OFFICIAL, NEW, SEND], "#law_id-error", 422),
    page(
        "official-draft",
        &[AS_OFFICIAL, &[Step::Open("/officials/elections/future")]],
        "[href$='/future/amend']",
    ),
    page(
        "official-annul-draft",
        &[AS_OFFICIAL, &[Step::Open("/officials/elections/future/annul")]],
        ".notice.caution p + p",
    ),
    error(
        "official-amend-closed",
        &[AS_OFFICIAL, &[Step::Open("/officials/elections/closed/amend")]],
        "[href$='help#wrong-state']",
        409,
    ),
    page(
        "official-amend",
        &[AS_OFFICIAL, &[Step::Open("/officials/elections/future/amend")]],
        "#title_fr",
    ),
    page("official-roll", &[AS_OFFICIAL, ROLL], "#in-effect"),
    form_error("official-roll-no-file", &[AS_OFFICIAL, ROLL, SEND], "#files-error", 422),
    page(
        "official-open",
        &[AS_OFFICIAL, &[Step::Open("/officials/elections/future/open")]],
        "#confirm",
    ),
    page(
        "official-poll",
        &[AS_OFFICIAL, &[Step::Open("/officials/elections/second")]],
        "[href$='/second/close']",
    ),
    page("official-close", &[AS_OFFICIAL, CLOSE], "#reason"),
    form_error("official-close-unconfirmed", &[AS_OFFICIAL, CLOSE, SEND], "#confirm-error", 422),
    page(
        "official-closed",
        &[AS_OFFICIAL, &[Step::Open("/officials/elections/closed")]],
        "[href$='/closed/bundle.zip']",
    ),
    page(
        "official-certify",
        &[AS_OFFICIAL, &[Step::Open("/officials/elections/closed/certify")]],
        "#confirm",
    ),
    page(
        "official-annul",
        &[AS_OFFICIAL, &[Step::Open("/officials/elections/official/annul")]],
        "#reason",
    ),
    page("official-accounts", &[AS_OFFICIAL, ACCOUNTS], ".cards-table"),
    form_error("official-invite-empty", &[AS_OFFICIAL, ACCOUNTS, SEND], "#email-error", 422),
    outcome(
        "official-link",
        &[
            AS_OFFICIAL,
            ACCOUNTS,
            &[
                Step::Type("email", "auditor@example.com"),
                Step::Select("[name=role][value=auditor]"),
            ],
            SEND,
        ],
        "#link + pre",
    ),
    State {
        focus: ".session-warning button",
        ..page(
            "official-session-ends-soon",
            &[AS_OFFICIAL, &[Step::Open("/officials#soon"), Step::Await(".session-warning")]],
            ".session-warning",
        )
    },
    error(
        "member-forbidden",
        &[AS_MEMBER, &[Step::Open("/officials")]],
        "[href$='help#forbidden']",
        403,
    ),
    page("members", &[AS_MEMBER], "a.button[href$='/members/M2025-001']"),
    State {
        focus: ".session-warning button",
        ..page(
            "member-session-ends-soon",
            &[&[Step::UseAccount(MEMBER)], MEMBER_SESSION_ENDS_SOON],
            ".session-warning",
        )
    },
    page("member-ballot", &[AS_MEMBER, TO_BALLOT], ".choices"),
    page("member-check", &[AS_MEMBER, TO_BALLOT, CHOOSE], ".button.final"),
    outcome("member-accepted", &[AS_MEMBER, TO_BALLOT, CHOOSE, CAST], ".outcome.good"),
    page("member-voted", &[AS_MEMBER, &[Step::Open("/members/M2025-001")]], ".notice"),
    outcome(
        "official-signed-out",
        &[
            AS_OFFICIAL,
            &[Step::Open("/officials"), Step::Press("form[action$='/accounts/sign-out'] button")],
        ],
        "main .actions .button",
    ),
];
