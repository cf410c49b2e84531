//! Maps every failure of a call once to HTTP: problem details (RFC 9457) with a stable code.
//!
//! Long because each failure, its code, its text and its source are read together.
//!
//! Details are written for the caller and never repeat a value that was sent: it may be a secret in
//! the wrong place.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, UPGRADE,
    WWW_AUTHENTICATE,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use votekit_core::election::{ResultsPolicy, State};
use votekit_core::envelope::FieldError;
use votekit_core::id::RequestId;
use votekit_core::instant::UnixMinutes;
use votekit_node::config::Role;
use votekit_node::roll_store::RollError;
use votekit_node::{AdminError, ElectionFault, SubmitError, UploadError};
use votekit_node::{ReadError, ReceiptError, ResultsError};
use votekit_store::{Conflict, EngineError};

use crate::live::readers::NoPlace;
use crate::log_summary::LogSummary;

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Problem {
    /// Fields of the body, or the body itself, break rules.
    Malformed { errors: Vec<FieldProblem> },
    /// The ballot has no such choice.
    UnknownChoice,
    /// No or a wrong bearer token.
    Unauthorized,
    /// No voter is signed in for this.
    NotSignedIn,
    /// Sign-in with an account: whatever was wrong.
    SignInRefused,
    /// No access token, or one that is not valid now: whatever is wrong with it.
    TokenRefused,
    /// The account's role does not allow this, or the network from which it is used.
    Forbidden,
    /// The policy withholds results now.
    ResultsWithheld { policy: ResultsPolicy, state: State },
    /// A page of another origin sends a form, or opens a WebSocket.
    ForeignOrigin,
    /// A node with another role serves this.
    NotServedHere { needs: Role },
    /// No such path.
    UnknownRoute,
    /// No such election.
    UnknownElection,
    /// The request was never issued.
    UnknownRequest,
    /// The log is not that large, or the path names no tile.
    UnknownTile,
    /// The log names no such manifest.
    UnknownManifest,
    /// No such roll is loaded.
    UnknownRoll,
    /// The path exists, for other methods.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The poll is not open.
    NotOpen { early: bool, state: State, opens: Option<UnixMinutes>, closes: Option<UnixMinutes> },
    /// The session of the voter has cast a vote in this election.
    AlreadyCast { request: RequestId },
    /// There is no receipt before the decision is recorded.
    NotRecordedYet,
    /// Another account has the e-mail address.
    AccountExists,
    /// A one-time link was used, replaced, or has expired.
    InvitationVoid,
    /// An administrative call was refused or failed; its kind says why.
    Refused { kind: &'static Kind, detail: String },
    /// A binding election lacks what it needs.
    NotSafe { missing: Vec<String> },
    /// The address takes WebSockets only.
    UpgradeRequired,
    /// The body is too large.
    BodyTooLarge { bytes_max: usize },
    /// The body is not declared as JSON.
    NotJson,
    /// The body has a content coding.
    ContentCoding,
    /// The message is not HTTP/1.1 as this node parses it. The connection is closed.
    Framing { field: &'static str, rule: &'static str },
    /// The body has a transfer coding other than `chunked`. The connection is closed.
    TransferCoding,
    /// The target of the request is too long. The connection is closed.
    UriTooLong,
    /// The header fields are too many, or too long. The connection is closed.
    HeadersTooLarge,
    /// More votes a second than this node accepts.
    RateLimited { retry_after: Duration },
    /// More votes a second than one address may send.
    AddressShare { retry_after: Duration },
    /// More connections at once than one address may hold.
    TooManyConnections,
    /// Every place for readers of live updates is taken.
    TooManyReaders,
    /// Too many wrong codes from this network for this elector.
    BackOff { retry_after: Duration },
    /// No roll holds the credential, and such votes arrive faster than they are stored.
    NotRecognised { retry_after: Duration },
    /// More reads a second than one address may send.
    ReadShare { retry_after: Duration },
    /// More sign-ins a second than one address may send.
    SignInShare { retry_after: Duration },
    /// Too many passwords wait to be hashed.
    PasswordsWaiting { retry_after: Duration },
    /// Too many votes with a credential that was already used.
    TooManyDuplicates { retry_after: Duration },
    /// Too many votes are waiting.
    Busy { retry_after: Duration },
    /// The machine's clock went back; nothing was stored.
    Clock,
    /// A fault halted the election on this node; the vote was not stored.
    Halted,
    /// A fault halted an election on this node, and its log, which may have the requested data,
    /// cannot be read.
    UnreadableLog,
    /// A vote was not stored: storage is not available.
    NotStored,
    /// The requested data cannot be read: storage is not available.
    Unavailable,
    /// The vote may or may not have been stored.
    OutcomeUnknown { request: RequestId },
    /// The node is stopping; the call had not begun.
    Stopping,
    /// A fault of the node; its log has the reason.
    Internal,
}

/// The properties shared by all problems of one code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) code: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
}

const fn kind(code: &'static str, status: StatusCode, title: &'static str) -> Kind {
    Kind { code, status, title }
}

macro_rules! kinds {
    ($($name:ident = $code:literal, $status:ident, $title:literal;)*) => {
        $(pub(crate) static $name: Kind = kind($code, StatusCode::$status, $title);)*
        /// Every kind, by status: the documentation lists them.
        pub(crate) static KINDS: &[&Kind] = &[$(&$name),*];
    };
}

kinds! {
    MALFORMED = "malformed", BAD_REQUEST, "The request breaks a rule";
    UNKNOWN_CHOICE = "unknown-choice", BAD_REQUEST, "The ballot has no such choice";
    UNAUTHORIZED = "unauthorized", UNAUTHORIZED, "The administrator's token is missing or wrong";
    NOT_SIGNED_IN = "not-signed-in", UNAUTHORIZED, "No voter is signed in for this";
    SIGN_IN_REFUSED = "sign-in-refused", UNAUTHORIZED, "Address, password or code is not accepted";
    TOKEN_REFUSED = "token-refused", UNAUTHORIZED, "The access token is missing or not valid";
    RESULTS_WITHHELD = "results-withheld", FORBIDDEN, "The results are not shown now";
    FOREIGN_ORIGIN = "foreign-origin", FORBIDDEN, "Pages of this origin may not do this";
    FORBIDDEN = "forbidden", FORBIDDEN, "This account may not do this";
    UNKNOWN_ROUTE = "unknown-route", NOT_FOUND, "There is nothing at this address";
    UNKNOWN_ELECTION = "unknown-election", NOT_FOUND, "There is no such election";
    UNKNOWN_REQUEST = "unknown-request", NOT_FOUND, "No such request was issued";
    UNKNOWN_TILE = "unknown-tile", NOT_FOUND, "The log has no such tile";
    UNKNOWN_MANIFEST = "unknown-manifest", NOT_FOUND, "The log names no such manifest";
    UNKNOWN_ROLL = "unknown-roll", NOT_FOUND, "No such roll is loaded";
    UNKNOWN_ACCOUNT = "unknown-account", NOT_FOUND, "There is no such account";
    METHOD_NOT_ALLOWED = "method-not-allowed", METHOD_NOT_ALLOWED, "This address takes other methods";
    REQUEST_TIMEOUT = "request-timeout", REQUEST_TIMEOUT, "The request did not arrive in time";
    NOT_OPEN_YET = "not-open-yet", CONFLICT, "The poll is not open yet";
    CLOSED = "closed", CONFLICT, "The poll is closed";
    ALREADY_CAST = "already-cast", CONFLICT, "This session has voted in the election";
    NOT_RECORDED_YET = "not-recorded-yet", CONFLICT, "The decision is not recorded yet";
    ELECTION_EXISTS = "election-exists", CONFLICT, "There is such an election already";
    WRONG_STATE = "wrong-state", CONFLICT, "The election's state does not allow this";
    EARLY_CLOSE = "early-close", CONFLICT, "The planned end of the poll has not come";
    ROLL_CONFLICT = "roll-conflict", CONFLICT, "Another roll, or an election, does not allow this";
    REFUSED_BY_LOG = "refused-by-log", CONFLICT, "The log refuses this";
    ADMIN_BUSY = "admin-busy", CONFLICT, "Another administrative call is under way";
    NOT_LEADING = "not-leading", CONFLICT, "Another node leads, and administration is its part";
    NOT_SAFE = "not-safe", CONFLICT, "A binding election lacks what it needs";
    ACCOUNT_EXISTS = "account-exists", CONFLICT, "There is an account with this address already";
    ACCOUNT_STATE = "account-state", CONFLICT, "The state of the account does not allow this";
    INVITATION_VOID = "invitation-void", GONE, "The link is not valid any more";
    BODY_TOO_LARGE = "body-too-large", PAYLOAD_TOO_LARGE, "The body is too large";
    URI_TOO_LONG = "uri-too-long", URI_TOO_LONG, "The address is too long";
    NOT_JSON = "not-json", UNSUPPORTED_MEDIA_TYPE, "The body must be JSON";
    CONTENT_CODING = "content-coding", UNSUPPORTED_MEDIA_TYPE, "The body must not be compressed";
    NOT_SERVED_HERE = "not-served-here", MISDIRECTED_REQUEST, "Another node serves this";
    ROLL_REFUSED = "roll-refused", UNPROCESSABLE_ENTITY, "The roll was not loaded";
    ROLL_NOT_HASHED = "roll-not-hashed", UNPROCESSABLE_ENTITY, "The roll is not hashed";
    UPGRADE_REQUIRED = "upgrade-required", UPGRADE_REQUIRED, "This address takes WebSockets only";
    RATE_LIMITED = "rate-limited", TOO_MANY_REQUESTS, "Too many requests at once";
    ADDRESS_SHARE = "address-share", TOO_MANY_REQUESTS, "Too many votes at once from one address";
    BACK_OFF = "back-off", TOO_MANY_REQUESTS, "Too many wrong codes";
    NOT_RECOGNISED = "not-recognised", TOO_MANY_REQUESTS, "NAS and code are not on the roll";
    TOO_MANY_DUPLICATES = "too-many-duplicates", TOO_MANY_REQUESTS, "Too many votes with a credential that was used";
    HEADERS_TOO_LARGE = "headers-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE, "The header fields are too large";
    INTERNAL = "internal", INTERNAL_SERVER_ERROR, "The node has a fault";
    TRANSFER_CODING = "transfer-coding", NOT_IMPLEMENTED, "The transfer coding is not supported";
    BUSY = "busy", SERVICE_UNAVAILABLE, "Too many requests are waiting";
    UNAVAILABLE = "unavailable", SERVICE_UNAVAILABLE, "Storage is not available";
    CLOCK = "clock", SERVICE_UNAVAILABLE, "The node's clock went back";
    HALTED = "halted", SERVICE_UNAVAILABLE, "A fault halted the election on this node";
    OUTCOME_UNKNOWN = "outcome-unknown", SERVICE_UNAVAILABLE, "It is unknown whether this was \
                                                               stored";
    TOO_MANY_CONNECTIONS = "too-many-connections", SERVICE_UNAVAILABLE, "Too many connections from one address";
    TOO_MANY_READERS = "too-many-readers", SERVICE_UNAVAILABLE, "Too many readers of live updates";
    STOPPING = "stopping", SERVICE_UNAVAILABLE, "The node is stopping";
    STORAGE_FULL = "storage-full", INSUFFICIENT_STORAGE, "The node's disk has no room for this";
}

/// The body of every answer that is not a success: problem details as in RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "type": "urn:problem-type:votekit:malformed",
    "title": "The request breaks a rule",
    "status": 400,
    "code": "malformed",
    "detail": "1 field is wrong",
    "errors": [{"field": "nas", "rule": "a NAS has exactly 9 digits, this one has 8"}]
}))]
pub(crate) struct ProblemDocument {
    /// Names the kind of problem: `urn:problem-type:votekit:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The kind of problem in words; the same for every problem of one code.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The stable code, for programs.
    code: &'static str,
    /// What happened this time.
    detail: String,
    /// Each wrong field, and the rule it breaks. Only for errors in fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
    /// The request that was issued. Only with `outcome-unknown` and `already-cast`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "000102030405060708090a0b0c0d0e0f", pattern = "^[0-9a-f]{32}$")]
    request_id: Option<RequestId>,
}

/// A wrong field.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldProblem {
    /// The name of the field or header; `body` if the JSON itself is wrong, `request` if the
    /// message is.
    #[schema(value_type = String)]
    pub(crate) field: Cow<'static, str>,
    /// The rule it breaks.
    pub(crate) rule: String,
}

impl Problem {
    /// A problem with one field.
    pub(crate) fn field(field: impl Into<Cow<'static, str>>, rule: impl Into<String>) -> Self {
        Self::Malformed { errors: vec![FieldProblem { field: field.into(), rule: rule.into() }] }
    }

    /// Maps the error of a vote that was not taken.
    pub(crate) fn not_taken(error: SubmitError) -> Self {
        match error {
            SubmitError::UnknownElection => Self::UnknownElection,
            SubmitError::UnknownChoice => Self::UnknownChoice,
            SubmitError::NotOpen { early, state, opens, closes } => {
                Self::NotOpen { early, state, opens, closes }
            }
            SubmitError::Clock { .. } => Self::Clock,
            SubmitError::Halted => Self::Halted,
            SubmitError::RateLimited { retry_after } => Self::RateLimited { retry_after },
            SubmitError::BackOff { retry_after } => Self::BackOff { retry_after },
            SubmitError::NotRecognised { retry_after } => Self::NotRecognised { retry_after },
            SubmitError::TooManyDuplicates { retry_after } => {
                Self::TooManyDuplicates { retry_after }
            }
            SubmitError::Busy { retry_after } => Self::Busy { retry_after },
            SubmitError::Unavailable(error) => {
                if let Some(count) = VOTES_NOT_STORED.due(Instant::now()) {
                    tracing::warn!(event = "vote_store_failed", %error, count, "vote not stored");
                }
                Self::NotStored
            }
            SubmitError::OutcomeUnknown { request } => Self::OutcomeUnknown { request },
        }
    }

    pub(crate) fn kind(&self) -> &'static Kind {
        match self {
            Self::Malformed { .. } | Self::Framing { .. } => &MALFORMED,
            Self::UnknownChoice => &UNKNOWN_CHOICE,
            Self::Unauthorized => &UNAUTHORIZED,
            Self::NotSignedIn => &NOT_SIGNED_IN,
            Self::SignInRefused => &SIGN_IN_REFUSED,
            Self::TokenRefused => &TOKEN_REFUSED,
            Self::Forbidden => &FORBIDDEN,
            Self::AccountExists => &ACCOUNT_EXISTS,
            Self::InvitationVoid => &INVITATION_VOID,
            Self::ResultsWithheld { .. } => &RESULTS_WITHHELD,
            Self::ForeignOrigin => &FOREIGN_ORIGIN,
            Self::NotServedHere { .. } => &NOT_SERVED_HERE,
            Self::UnknownRoute => &UNKNOWN_ROUTE,
            Self::UnknownElection => &UNKNOWN_ELECTION,
            Self::UnknownRequest => &UNKNOWN_REQUEST,
            Self::UnknownTile => &UNKNOWN_TILE,
            Self::UnknownManifest => &UNKNOWN_MANIFEST,
            Self::UnknownRoll => &UNKNOWN_ROLL,
            Self::MethodNotAllowed => &METHOD_NOT_ALLOWED,
            Self::RequestTimeout => &REQUEST_TIMEOUT,
            Self::NotOpen { early: true, .. } => &NOT_OPEN_YET,
            Self::NotOpen { .. } => &CLOSED,
            Self::AlreadyCast { .. } => &ALREADY_CAST,
            Self::NotRecordedYet => &NOT_RECORDED_YET,
            Self::Refused { kind, .. } => kind,
            Self::NotSafe { .. } => &NOT_SAFE,
            Self::UpgradeRequired => &UPGRADE_REQUIRED,
            Self::BodyTooLarge { .. } => &BODY_TOO_LARGE,
            Self::NotJson => &NOT_JSON,
            Self::ContentCoding => &CONTENT_CODING,
            Self::TransferCoding => &TRANSFER_CODING,
            Self::UriTooLong => &URI_TOO_LONG,
            Self::HeadersTooLarge => &HEADERS_TOO_LARGE,
            Self::RateLimited { .. } => &RATE_LIMITED,
            Self::AddressShare { .. } => &ADDRESS_SHARE,
            Self::TooManyConnections => &TOO_MANY_CONNECTIONS,
            Self::TooManyReaders => &TOO_MANY_READERS,
            Self::BackOff { .. } => &BACK_OFF,
            Self::NotRecognised { .. } => &NOT_RECOGNISED,
            Self::ReadShare { .. } | Self::SignInShare { .. } => &RATE_LIMITED,
            Self::TooManyDuplicates { .. } => &TOO_MANY_DUPLICATES,
            Self::Busy { .. } | Self::PasswordsWaiting { .. } => &BUSY,
            Self::Clock => &CLOCK,
            Self::Halted | Self::UnreadableLog => &HALTED,
            Self::NotStored | Self::Unavailable => &UNAVAILABLE,
            Self::OutcomeUnknown { .. } => &OUTCOME_UNKNOWN,
            Self::Stopping => &STOPPING,
            Self::Internal => &INTERNAL,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Framing { .. } => "1 field is wrong".to_owned(),
            Self::Malformed { errors } if errors.len() == 1 => "1 field is wrong".to_owned(),
            Self::Malformed { errors } => format!("{} fields are wrong", errors.len()),
            Self::UnknownChoice => {
                "the ballot has no such choice: see the choices of the election".to_owned()
            }
            Self::Unauthorized => {
                "send the administrator's token as `Authorization: Bearer`".to_owned()
            }
            Self::NotSignedIn => {
                "nothing was recorded: sign in with NAS and code (POST /api/v1/session), or send \
                 the token of a member as `Authorization: Bearer`"
                    .to_owned()
            }
            Self::SignInRefused => {
                "e-mail address, password and code are not accepted together; officials also need \
                 a network from which they may work"
                    .to_owned()
            }
            Self::TokenRefused => {
                "send a valid access token as `Authorization: Bearer`: /api/v1/auth/refresh and \
                 /api/v1/auth/login issue them"
                    .to_owned()
            }
            Self::Forbidden => {
                "the role of the account does not allow this, or officials may not work from this \
                 network"
                    .to_owned()
            }
            Self::AccountExists => "nothing was changed".to_owned(),
            Self::InvitationVoid => {
                "it was used, replaced or has expired: ask for another one".to_owned()
            }
            Self::ResultsWithheld { policy, state } => withheld(*policy, *state),
            Self::ForeignOrigin => {
                "nothing was done: pages of this node alone send its forms; they and those of \
                 the origins in its setting live_origins open a WebSocket"
                    .to_owned()
            }
            Self::NotServedHere { needs } => {
                format!("this node cannot answer: ask one with the role {needs}")
            }
            Self::UnknownRoute => "the addresses are listed in /api/v1/openapi.json".to_owned(),
            Self::UnknownElection => {
                "no election has this law id; /api/v1/elections lists the elections".to_owned()
            }
            Self::UnknownRequest => {
                "no request with this id was issued, or it is not a request id".to_owned()
            }
            Self::UnknownTile => {
                "the path names no tile, or one beyond the size of the checkpoint".to_owned()
            }
            Self::UnknownManifest => "the log names no manifest with this digest".to_owned(),
            Self::UnknownRoll => "no roll with this digest is loaded".to_owned(),
            Self::MethodNotAllowed => "the Allow header lists the methods".to_owned(),
            Self::RequestTimeout => "send the whole request at once".to_owned(),
            Self::NotOpen { early, state, opens, closes } => {
                not_open(*early, *state, *opens, *closes)
            }
            Self::AlreadyCast { .. } => {
                "the vote that this session cast is unchanged, and nothing else was recorded: \
                 request_id names it"
                    .to_owned()
            }
            Self::NotRecordedYet => {
                "the request was issued and its decision will be recorded: retry".to_owned()
            }
            Self::Refused { detail, .. } => detail.clone(),
            Self::NotSafe { missing } => {
                format!("{} rules of binding elections are not met", missing.len())
            }
            Self::UpgradeRequired => {
                "send the handshake of a WebSocket (RFC 6455), version 13".to_owned()
            }
            Self::BodyTooLarge { bytes_max } => {
                format!("a body has at most {bytes_max} bytes here")
            }
            Self::NotJson => "send `Content-Type: application/json`".to_owned(),
            Self::ContentCoding => "send the body as it is, without `Content-Encoding`".to_owned(),
            Self::TransferCoding => "`chunked` is the only transfer coding".to_owned(),
            Self::UriTooLong => "the addresses are listed in /api/v1/openapi.json".to_owned(),
            Self::HeadersTooLarge => {
                "a request has at most 100 header fields, and about 64 KiB of them".to_owned()
            }
            Self::RateLimited { .. } => {
                "this node has reached its limit of votes per second; this \
                                         attempt was not stored"
                    .to_owned()
            }
            Self::AddressShare { .. } => "your network exceeds the limit of votes per address; \
                                          this attempt was not stored"
                .to_owned(),
            Self::TooManyConnections => {
                "your network exceeds the limit of connections per address".to_owned()
            }
            Self::TooManyReaders => {
                "all places for readers of live updates are taken; /api/v1/results has the \
                 results"
                    .to_owned()
            }
            Self::BackOff { .. } => {
                "too many wrong codes came from your network for this person; this attempt was not \
                 stored. An attempt from another network is not delayed"
                    .to_owned()
            }
            Self::NotRecognised { .. } => {
                "nothing was recorded: check NAS and code, and try again".to_owned()
            }
            Self::ReadShare { .. } => {
                "your network exceeds the limit of reads per address".to_owned()
            }
            Self::SignInShare { .. } => {
                "your network exceeds the limit of sign-ins per address".to_owned()
            }
            Self::PasswordsWaiting { .. } => {
                "sign-ins arrive faster than passwords can be checked: try again".to_owned()
            }
            Self::TooManyDuplicates { .. } => {
                "this credential was used, and its first vote counts; this attempt was not stored"
                    .to_owned()
            }
            Self::Busy { .. } => "votes arrive faster than they can be stored; this attempt was \
                                  not stored"
                .to_owned(),
            Self::Clock => "the clock of this node's machine went back, and the vote would be \
                            stamped before recorded votes; this attempt was not stored"
                .to_owned(),
            Self::Halted => "a fault halted the election on this node; this attempt was not \
                             stored; try again later"
                .to_owned(),
            Self::UnreadableLog => "a fault halted an election on this node, and its log cannot \
                                    be read here; stored votes remain stored; try again later"
                .to_owned(),
            Self::NotStored => "this attempt was not stored; try again".to_owned(),
            Self::Unavailable => {
                "this cannot be read now; stored votes remain stored; try again".to_owned()
            }
            Self::OutcomeUnknown { .. } => "retry with the same key: it counts once".to_owned(),
            Self::Stopping => {
                "the node is stopping and did not begin this call: nothing was changed".to_owned()
            }
            Self::Internal => "see the node's log for the reason".to_owned(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::AddressShare { retry_after } => {
                Some(*retry_after)
            }
            Self::BackOff { retry_after }
            | Self::NotRecognised { retry_after }
            | Self::ReadShare { retry_after }
            | Self::SignInShare { retry_after }
            | Self::PasswordsWaiting { retry_after }
            | Self::TooManyDuplicates { retry_after }
            | Self::Busy { retry_after } => Some(*retry_after),
            Self::TooManyConnections => Some(CONNECTIONS_RETRY),
            Self::TooManyReaders => Some(READERS_RETRY),
            Self::NotRecordedYet
            | Self::Clock
            | Self::Halted
            | Self::UnreadableLog
            | Self::NotStored
            | Self::Unavailable
            | Self::OutcomeUnknown { .. }
            | Self::Stopping => Some(RETRY_SOON),
            Self::Refused { kind, .. }
                if [&ADMIN_BUSY, &UNAVAILABLE, &OUTCOME_UNKNOWN, &HALTED].contains(kind) =>
            {
                Some(RETRY_SOON)
            }
            _ => None,
        }
    }

    /// The body of the answer. It omits the time to wait, which is in the head.
    pub(crate) fn into_body(self) -> Bytes {
        serde_json::to_vec(&self.document()).unwrap_or_default().into()
    }

    fn document(self) -> ProblemDocument {
        let Kind { code, status, title } = self.kind();
        let (detail, mut request_id) = (self.detail(), None);
        let errors = match self {
            Self::Malformed { errors } => errors,
            Self::Framing { field, rule } => {
                vec![FieldProblem { field: field.into(), rule: rule.to_owned() }]
            }
            Self::UnknownChoice => vec![FieldProblem {
                field: "vote".into(),
                rule: "must be a choice of this election".to_owned(),
            }],
            Self::NotSafe { missing } => missing
                .into_iter()
                .map(|rule| FieldProblem { field: "election".into(), rule })
                .collect(),
            Self::OutcomeUnknown { request } | Self::AlreadyCast { request } => {
                request_id = Some(request);
                Vec::new()
            }
            _ => Vec::new(),
        };
        let kind = format!("urn:problem-type:votekit:{code}");
        ProblemDocument { kind, title, status: status.as_u16(), code, detail, errors, request_id }
    }
}

/// Limits a flood of refusals to one log line a second, with their number: the log may be on the
/// disk that is full.
static VOTES_NOT_STORED: LogSummary = LogSummary::new();
static CALLS_FAILED: LogSummary = LogSummary::new();

const RETRY_SOON: Duration = Duration::from_secs(1);

/// The time after which a connection over its address's share may be retried.
pub(crate) const CONNECTIONS_RETRY: Duration = Duration::from_secs(5);

/// The time after which a reader that got no place may try again.
const READERS_RETRY: Duration = Duration::from_secs(10);

fn withheld(policy: ResultsPolicy, state: State) -> String {
    match policy {
        ResultsPolicy::AfterVote => {
            format!(
                "the election is {state}: results are shown to those who have voted (give the \
                 request id of an accepted vote), and to everyone after the close"
            )
        }
        _ => format!("the election is {state}: results are shown after the close"),
    }
}

fn not_open(
    early: bool,
    state: State,
    opens: Option<UnixMinutes>,
    closes: Option<UnixMinutes>,
) -> String {
    match (early, opens, closes) {
        (true, Some(opens), _) => {
            format!("the election is {state}: votes are taken from {opens}")
        }
        (true, None, _) => format!("the election is {state}: no opening time is set"),
        (false, _, Some(closes)) => {
            format!("the election is {state}: votes were taken until {closes}")
        }
        (false, _, None) => format!("the election is {state}: no more votes are taken"),
    }
}

/// Marks an answer as a problem, for the pages: an extension of the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProblemMark {
    pub(crate) kind: &'static Kind,
    /// The request that was issued. Only with `outcome-unknown`.
    pub(crate) request: Option<RequestId>,
    /// When the poll opens or closes, if that is known. Only with `not-open-yet` and `closed`.
    pub(crate) when: Option<UnixMinutes>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (kind, retry_after) = (self.kind(), self.retry_after());
        let request = match self {
            Self::OutcomeUnknown { request } => Some(request),
            _ => None,
        };
        let when = match self {
            Self::NotOpen { early: true, opens, .. } => opens,
            Self::NotOpen { early: false, closes, .. } => closes,
            _ => None,
        };
        let advice = match self {
            Self::Unauthorized | Self::NotSignedIn | Self::SignInRefused | Self::TokenRefused => {
                Some((WWW_AUTHENTICATE, "Bearer"))
            }
            Self::ContentCoding => Some((ACCEPT_ENCODING, "identity")),
            Self::UpgradeRequired => Some((UPGRADE, "websocket")),
            // The beginning of the next request is not certain.
            Self::Framing { .. } | Self::TransferCoding => Some((CONNECTION, "close")),
            _ => None,
        };
        let mut response = problem_response(kind.status, self.into_body(), retry_after);
        response.extensions_mut().insert(ProblemMark { kind, request, when });
        if let Some((name, value)) = advice {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// Builds an answer around the body of a problem.
pub(crate) fn problem_response(
    status: StatusCode,
    body: Bytes,
    retry_after: Option<Duration>,
) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(retry_after) = retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds_up(retry_after)));
    }
    response
}

/// Whole seconds, rounded up and at least one, for `Retry-After`.
fn seconds_up(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

impl From<Vec<FieldError>> for Problem {
    fn from(errors: Vec<FieldError>) -> Self {
        let errors = errors
            .into_iter()
            .map(|FieldError { field, rule }| FieldProblem { field: field.into(), rule })
            .collect();
        Self::Malformed { errors }
    }
}

/// A failed read says nothing about what is stored.
impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        if let Some(count) = CALLS_FAILED.due(Instant::now()) {
            tracing::warn!(event = "engine_read_failed", %error, count, "engine read failed");
        }
        match error {
            EngineError::Unavailable { .. } | EngineError::OutcomeUnknown { .. } => {
                Self::Unavailable
            }
            _ => Self::Internal,
        }
    }
}

impl From<NoPlace> for Problem {
    fn from(refused: NoPlace) -> Self {
        match refused {
            NoPlace::Full => Self::TooManyReaders,
            NoPlace::AddressShare => Self::TooManyConnections,
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Halted => Self::UnreadableLog,
            ReadError::Engine(error) => error.into(),
        }
    }
}

impl From<ReceiptError> for Problem {
    fn from(error: ReceiptError) -> Self {
        match error {
            ReceiptError::Unknown => Self::UnknownRequest,
            ReceiptError::Pending => Self::NotRecordedYet,
            ReceiptError::Halted => Self::UnreadableLog,
            ReceiptError::Engine(error) => error.into(),
        }
    }
}

impl From<ResultsError> for Problem {
    fn from(error: ResultsError) -> Self {
        match error {
            ResultsError::UnknownElection => Self::UnknownElection,
            ResultsError::Withheld { policy, state } => Self::ResultsWithheld { policy, state },
            ResultsError::NotHere => Self::NotServedHere { needs: Role::Seal },
            ResultsError::Halted => Self::UnreadableLog,
            ResultsError::Engine(error) => error.into(),
        }
    }
}

/// Administrators see the message of the engine, the folder or the roll's files.
impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        let mut detail = error.to_string();
        if let AdminError::Engine(EngineError::Misconfigured { hint, .. }) = &error {
            detail = format!("{detail} ({hint})");
        }
        let kind = match error {
            AdminError::UnknownElection { .. } => return Self::UnknownElection,
            AdminError::Field { field, rule } => return Self::field(field, rule),
            AdminError::Fields { errors } => return errors.into(),
            AdminError::Members { faults } => {
                let errors = faults
                    .into_iter()
                    .map(|fault| FieldProblem { field: fault.field().into(), rule: fault.rule });
                return Self::Malformed { errors: errors.collect() };
            }
            AdminError::NotSafe { missing } => {
                let missing = missing.iter().map(ToString::to_string).collect();
                return Self::NotSafe { missing };
            }
            AdminError::Stopping => return Self::Stopping,
            AdminError::Exists { .. } => &ELECTION_EXISTS,
            AdminError::State { .. } => &WRONG_STATE,
            AdminError::Refused(_) | AdminError::Missing { .. } => &REFUSED_BY_LOG,
            AdminError::Roll(RollError::Folder(_)) => &INTERNAL,
            AdminError::Roll(_) | AdminError::ShortCodes { .. } => &ROLL_REFUSED,
            AdminError::UnknownRoll { .. } => &UNKNOWN_ROLL,
            AdminError::SecondRoll { .. }
            | AdminError::NotLatest { .. }
            | AdminError::RollInUse { .. }
            | AdminError::RollHasSupplement { .. } => &ROLL_CONFLICT,
            AdminError::EarlyClose { .. } => &EARLY_CLOSE,
            AdminError::CreatedWithoutRoll { .. } => &UNAVAILABLE,
            AdminError::Busy { .. } | AdminError::Loading | AdminError::AccountsBusy => &ADMIN_BUSY,
            AdminError::Halted { .. } => &HALTED,
            AdminError::OutcomeUnknown => &OUTCOME_UNKNOWN,
            AdminError::TooLong { .. } => &UNAVAILABLE,
            AdminError::NotLeading { .. } => &NOT_LEADING,
            AdminError::Answering { .. } | AdminError::NotEnded { .. } => &REFUSED_BY_LOG,
            AdminError::Engine(error) => engine_kind(&error),
            AdminError::Election(ElectionFault::NotReady(_)) => &UNAVAILABLE,
            AdminError::Election(_) => &INTERNAL,
            AdminError::Folder(_) | AdminError::Setup(_) => &INTERNAL,
        };
        if *kind == OUTCOME_UNKNOWN {
            detail
                .push_str(": check the election before repeating this call; repeating it is safe");
        }
        if kind.status.is_server_error() {
            tracing::error!(
                event = "admin_call_failed",
                error = detail,
                "administrative call failed"
            );
        }
        Self::Refused { kind, detail }
    }
}

/// Officials see the name and the rule of the file, never a byte of it.
impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        let detail = error.to_string();
        let kind = match error {
            UploadError::Admin(error) => return error.into(),
            UploadError::Name => return Self::field("file", detail),
            UploadError::NotHashed => &ROLL_NOT_HASHED,
            UploadError::Refused { .. } | UploadError::NoPepper { .. } => &ROLL_REFUSED,
            UploadError::OtherLaw { .. } => &ROLL_CONFLICT,
            UploadError::TooLarge { .. } | UploadError::TooMuch { .. } => &BODY_TOO_LARGE,
            UploadError::NoRoom => &STORAGE_FULL,
            UploadError::Busy { .. } => &ADMIN_BUSY,
        };
        Self::Refused { kind, detail }
    }
}

/// The kind for an engine's failure during a change. Known refusals: an unavailable engine, a
/// setting that it cannot work with, a block that came too late. The outcome is unknown after a
/// write that leaves the engine untrustworthy, and for a block that another node's block overtook
/// while its own outcome was unknown.
fn engine_kind(error: &EngineError) -> &'static Kind {
    match error {
        EngineError::Unavailable { .. }
        | EngineError::Misconfigured { .. }
        | EngineError::Conflict(Conflict::Late { .. }) => &UNAVAILABLE,
        EngineError::OutcomeUnknown { .. }
        | EngineError::Fatal { .. }
        | EngineError::Conflict(Conflict::Head { .. } | Conflict::Term { .. }) => &OUTCOME_UNKNOWN,
        _ => &INTERNAL,
    }
}

#[cfg(test)]
#[path = "problem_test.rs"]
mod tests;
