//! The kinds of problems: a stable code, its status, and a title.

use axum::http::StatusCode;

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
    SIGN_IN_REFUSED = "sign-in-refused", UNAUTHORIZED, "The sign-in is not accepted";
    TOKEN_REFUSED = "token-refused", UNAUTHORIZED, "The token is missing or not valid";
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
    METHOD_NOT_ALLOWED = "method-not-allowed", METHOD_NOT_ALLOWED, "This address does not accept this method";
    REQUEST_TIMEOUT = "request-timeout", REQUEST_TIMEOUT, "The request did not arrive in time";
    NOT_OPEN_YET = "not-open-yet", CONFLICT, "The poll is not open yet";
    CLOSED = "closed", CONFLICT, "The poll is closed";
    ALREADY_CAST = "already-cast", CONFLICT, "This session has already voted in the election";
    NOT_RECORDED_YET = "not-recorded-yet", CONFLICT, "The decision is not recorded yet";
    ELECTION_EXISTS = "election-exists", CONFLICT, "The election already exists";
    WRONG_STATE = "wrong-state", CONFLICT, "The election's state does not allow this";
    EARLY_CLOSE = "early-close", CONFLICT, "The planned end of the poll has not been reached";
    WITNESSES_MISSING = "witnesses-missing", CONFLICT, "Outside witnesses have not cosigned the log";
    ROLL_CONFLICT = "roll-conflict", CONFLICT, "Another roll, or an election, does not allow this";
    REFUSED_BY_LOG = "refused-by-log", CONFLICT, "The log refuses this";
    ADMIN_BUSY = "admin-busy", CONFLICT, "Another administrative call is in progress";
    NOT_LEADING = "not-leading", CONFLICT, "Another node leads: send administrative calls to it";
    NOT_SAFE = "not-safe", CONFLICT, "Requirements of a binding election are not met";
    ACCOUNT_EXISTS = "account-exists", CONFLICT, "An account with this address already exists";
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
    TOO_MANY_DUPLICATES = "too-many-duplicates", TOO_MANY_REQUESTS, "Too many votes with a used credential";
    HEADERS_TOO_LARGE = "headers-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE, "The header fields are too large";
    INTERNAL = "internal", INTERNAL_SERVER_ERROR, "The node has an internal error";
    TRANSFER_CODING = "transfer-coding", NOT_IMPLEMENTED, "The transfer coding is not supported";
    BUSY = "busy", SERVICE_UNAVAILABLE, "Too many requests are waiting";
    UNAVAILABLE = "unavailable", SERVICE_UNAVAILABLE, "Storage is not available";
    CLOCK = "clock", SERVICE_UNAVAILABLE, "The node's clock was set back";
    HALTED = "halted", SERVICE_UNAVAILABLE, "A fault halted the election on this node";
    OUTCOME_UNKNOWN = "outcome-unknown", SERVICE_UNAVAILABLE, "It is unknown whether this was \
                                                               stored";
    TOO_MANY_CONNECTIONS = "too-many-connections", SERVICE_UNAVAILABLE, "Too many connections from one address";
    TOO_MANY_READERS = "too-many-readers", SERVICE_UNAVAILABLE, "Too many readers of live updates";
    TOO_MANY_DOWNLOADS = "too-many-downloads", SERVICE_UNAVAILABLE, "Too many bundles are being downloaded";
    STOPPING = "stopping", SERVICE_UNAVAILABLE, "The node is stopping";
    STORAGE_FULL = "storage-full", INSUFFICIENT_STORAGE, "The node's disk has no room for this";
}
