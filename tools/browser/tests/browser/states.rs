//! The table of states: each page, in each state that a reader can meet.

use crate::elections::{AFTER_VOTE, LAW, SECOND};
use crate::official_states::OFFICIAL_STATES;
use crate::steps::{SUBMIT, Step};

/// A page in one state.
pub(crate) struct State {
    /// The first part of the name of its screenshots.
    pub(crate) name: &'static str,
    /// How a person comes there, in a browser without a session.
    pub(crate) steps: &'static [&'static [Step]],
    /// An element that proves the state.
    pub(crate) shows: &'static str,
    /// The status of the answer.
    pub(crate) status: u16,
    /// Whether its title begins with the word for an error.
    pub(crate) is_error: bool,
    /// The element that has the focus at first; the page itself if empty.
    pub(crate) focus: &'static str,
}

pub(crate) type Steps = &'static [&'static [Step]];

/// A page that is read from its beginning.
pub(crate) const fn page(name: &'static str, steps: Steps, shows: &'static str) -> State {
    State { name, steps, shows, status: 200, is_error: false, focus: "" }
}

/// A page that begins with its heading: what a form has brought about.
pub(crate) const fn outcome(name: &'static str, steps: Steps, shows: &'static str) -> State {
    State { focus: "main h1", ..page(name, steps, shows) }
}

/// A form that was refused: the focus is on the summary of its errors.
pub(crate) const fn form_error(
    name: &'static str,
    steps: Steps,
    shows: &'static str,
    status: u16,
) -> State {
    State { status, is_error: true, focus: ".summary", ..page(name, steps, shows) }
}

/// A page with nothing but an error.
pub(crate) const fn error(
    name: &'static str,
    steps: Steps,
    shows: &'static str,
    status: u16,
) -> State {
    State { status, is_error: true, ..outcome(name, steps, shows) }
}

const SIGN_IN: &[Step] = &[Step::SignIn(LAW)];
pub(crate) const CHOOSE: &[Step] = &[Step::Select("#choice-0"), Step::Press(SUBMIT)];
pub(crate) const CAST: &[Step] = &[Step::Press(SUBMIT)];

/// The same voter, at a browser without a session.
const SIGN_IN_AGAIN: &[Step] =
    &[Step::ClearCookies, Step::Open("/vote/L2025-001"), Step::SendCredential];

/// The script in `scripts/shorten_timer.js` ends the session of this page at once.
const SESSION_ENDS_SOON: &[Step] =
    &[Step::Open("/elections#soon"), Step::Await(".session-warning")];

/// All states: of readers and voters, then of officials and members.
pub(crate) fn states() -> impl Iterator<Item = &'static State> {
    VOTER_STATES.iter().chain(OFFICIAL_STATES)
}

/// The states of readers and voters. Those of readers come first: they use no credentials.
pub(crate) const VOTER_STATES: &[State] = &[
    page("start", &[&[Step::Open("/")]], "#open-now"),
    page("elections", &[&[Step::Open("/elections")]], "ul.cards .tag.open"),
    page("results-live", &[&[Step::Open("/results/L2025-001")]], "[data-live]:not([hidden])"),
    page("results-withheld", &[&[Step::Open("/results/second")]], ".columns > .card > h2 + p"),
    page("results-closed", &[&[Step::Open("/results/closed")]], "[data-state=closed] table"),
    page("results-official", &[&[Step::Open("/results/official")]], "[data-count=roy]"),
    page("results-annulled", &[&[Step::Open("/results/annulled")]], "[data-count=oui]"),
    page("help", &[&[Step::Open("/help")]], "#problems"),
    page("accessibility", &[&[Step::Open("/accessibility")]], "section h2"),
    page("privacy", &[&[Step::Open("/privacy")]], "#own"),
    page("receipts", &[&[Step::Open("/receipts")]], "#receipt"),
    form_error(
        "receipt-empty",
        &[&[Step::Open("/receipts"), Step::Press(SUBMIT)]],
        "#receipt-error",
        422,
    ),
    error(
        "receipt-unknown",
        &[&[Step::Open("/receipts"), Step::Type("receipt", "no receipt"), Step::Press(SUBMIT)]],
        ".outcome.bad",
        422,
    ),
    page("session-none", &[&[Step::Open("/session")]], "#more"),
    error("not-found", &[&[Step::Open("/nothing")]], "[href$='help#unknown-route']", 404),
    error("no-election", &[&[Step::Open("/vote/none")]], "[href$='help#unknown-election']", 404),
    error(
        "no-vote",
        &[&[Step::Open("/votes/00112233445566778899aabbccddeeff")]],
        "[href$='help#unknown-request']",
        404,
    ),
    error("no-form", &[&[Step::Open("/sign-out")]], "[href$='help#method-not-allowed']", 405),
    error(
        "foreign-form",
        &[&[Step::PostFromElsewhere("/vote/L2025-001")]],
        "[href$='help#foreign-origin']",
        403,
    ),
    error("closed", &[&[Step::Open("/vote/closed")]], "[href$='help#closed']", 409),
    error("not-open", &[&[Step::Open("/vote/future")]], "[href$='help#not-open-yet']", 409),
    error("results-draft", &[&[Step::Open("/results/future")]], "[href$='help#not-open-yet']", 409),
    page("sign-in", &[&[Step::Open("/vote/L2025-001")]], "#nas"),
    form_error(
        "sign-in-empty",
        &[&[Step::Open("/vote/L2025-001"), Step::Press(SUBMIT)]],
        "#nas-error",
        422,
    ),
    form_error(
        "sign-in-malformed",
        &[&[
            Step::Open("/vote/L2025-001"),
            Step::Type("nas", "12 34"),
            Step::Type("code", "A!"),
            Step::Press(SUBMIT),
        ]],
        "[href='#code']",
        422,
    ),
    form_error(
        "sign-in-refused",
        &[&[
            Step::Open("/vote/L2025-001"),
            Step::Type("nas", "046 454 286"),
            Step::Type("code", "ABCD-2345"),
            Step::Press(SUBMIT),
        ]],
        "#code-error",
        422,
    ),
    form_error("back-off", &[&[Step::SendWrongCodes(LAW)]], "#code-error", 429),
    page(
        "sign-in-again",
        &[SIGN_IN, &[Step::Open("/vote/L2025-001")]],
        ".notice [href$='/ballot']",
    ),
    page("sign-in-further", &[SIGN_IN, &[Step::Open("/vote/second")]], ".notice ~ form #nas"),
    page("session-begun", &[SIGN_IN, &[Step::Open("/session")]], "#to-vote"),
    page("ballot", &[SIGN_IN], ".choices"),
    page("ballot-described", &[&[Step::SignIn(SECOND)]], "fieldset legend + p"),
    form_error("ballot-empty", &[SIGN_IN, CAST], "#choice-error", 422),
    page("check", &[SIGN_IN, CHOOSE], ".button.final"),
    State {
        status: 403,
        ..page(
            "session-lost",
            &[SIGN_IN, CHOOSE, &[Step::ClearCookies], CAST],
            "[name=choice][value=oui]",
        )
    },
    page(
        "check-after-session-lost",
        &[SIGN_IN, CHOOSE, &[Step::ClearCookies], CAST, &[Step::SendCredential]],
        ".button.final",
    ),
    outcome("accepted", &[SIGN_IN, CHOOSE, CAST], ".outcome.good"),
    outcome(
        "accepted-with-others",
        &[&[Step::SignIn(SECOND), Step::AddElection(LAW)], CHOOSE, CAST],
        "main [href$='/vote/second/ballot']",
    ),
    outcome(
        "receipt-checked",
        &[SIGN_IN, CHOOSE, CAST, &[Step::Press("form[action$='/receipts/check'] [type=submit]")]],
        ".outcome.good ~ section #proves",
    ),
    page("session-voted", &[SIGN_IN, CHOOSE, CAST, &[Step::Open("/session")]], "#cast"),
    page(
        "start-after-vote",
        &[SIGN_IN, CHOOSE, CAST, &[Step::Open("/")]],
        "#open-now ~ ul [href*='/votes/']",
    ),
    page(
        "elections-after-vote",
        &[SIGN_IN, CHOOSE, CAST, &[Step::Open("/elections")]],
        "ul.cards [href*='/votes/']",
    ),
    page(
        "results-after-vote",
        &[&[Step::SignIn(AFTER_VOTE)], CHOOSE, CAST, &[Step::Open("/results/after")]],
        "[data-shown-to-voter]",
    ),
    outcome("duplicate", &[SIGN_IN, CHOOSE, CAST, SIGN_IN_AGAIN, CHOOSE, CAST], ".outcome.caution"),
    State {
        focus: ".session-warning button",
        ..page("session-ends-soon", &[SIGN_IN, SESSION_ENDS_SOON], ".session-warning")
    },
    outcome(
        "signed-out",
        &[SIGN_IN, &[Step::Press("form[action$=sign-out] button")]],
        "main .actions .button",
    ),
];
