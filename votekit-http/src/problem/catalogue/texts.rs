//! The sentences without parameters.

macro_rules! texts {
    ($($name:ident = $text:literal;)*) => {
        $(pub(in crate::problem) const $name: &str = $text;)*

        /// All of them.
        #[cfg(test)]
        pub(in crate::problem) const ALL: &[&str] = &[$($name),*];
    };
}

texts! {
    ACCOUNT_BUSY = "other calls keep changing the account: try again";
    ACCOUNT_CHANGED = "the account was changed meanwhile: try again";
    ACCOUNT_DISABLED = "the account is disabled: enable it first";
    ACCOUNT_EXISTS = "nothing was changed";
    ACCOUNTS_UNAVAILABLE = "the accounts cannot be read or changed now: try again";
    ADDRESS_SHARE = "your network exceeds the limit of votes per address; this attempt was not \
        stored";
    ADDRESSES = "the addresses are listed in /api/v1/openapi.json";
    ALREADY_CAST = "the vote that this session cast is unchanged, and nothing else was recorded: \
        request_id identifies it";
    BACK_OFF = "too many wrong codes came from your network for this person; this attempt was not \
        stored. An attempt from another network is not delayed";
    BUSY = "votes arrive faster than they can be stored; this attempt was not stored";
    CLOCK = "the clock of this node was set back, so the vote would get an earlier time than \
        recorded votes; this attempt was not stored";
    CONTENT_CODING = "send the body as it is, without `Content-Encoding`";
    CREDENTIAL_REFUSED = "NAS and code are not recognised together for any of these elections: \
        check both, and sign in again";
    FOREIGN_NETWORK = "officials may not work from this network";
    FOREIGN_ORIGIN = "nothing was done: this is accepted only from pages of this node, which a \
        request shows by `Sec-Fetch-Site: same-origin`, or by an `Origin` that matches `Host`; a \
        WebSocket may also be opened by pages of the origins in the setting live_origins";
    HALTED = "a fault halted the election on this node; this attempt was not stored; try again \
        later";
    HEADERS_TOO_LARGE = "a request has at most 100 header fields, of about 64 KiB in all";
    INTERNAL = "see the node's log for the reason";
    INVITATION_VOID = "the link was used or replaced, or has expired: ask for another one";
    LAST_ADMINISTRATOR = "the account is the last active administrator: invite another one first";
    METHODS = "the Allow header lists the permitted methods";
    NOT_JSON = "send `Content-Type: application/json`";
    NOT_MEMBER = "this account is not among the members of the election";
    NOT_RECOGNISED = "nothing was recorded: check NAS and code, and try again";
    NOT_RECORDED_YET = "the request was issued and its decision will be recorded: retry";
    NOT_SIGNED_IN = "nothing was recorded: sign in with NAS and code (POST /api/v1/session), or \
        send the token of a member as `Authorization: Bearer`";
    NOT_STORED = "this attempt was not stored; try again";
    ONE_FIELD = "1 field is wrong";
    OTHER_CHOICE = "must be a choice of this election";
    OWN_ACCOUNT = "this is your own account: another administrator can change it";
    OUTCOME_UNKNOWN = "retry with the same key: it counts once";
    PASSWORDS_WAITING = "sign-ins arrive faster than passwords can be checked: try again";
    RATE_LIMITED = "this node has reached its limit of votes per second; this attempt was not \
        stored";
    READ_SHARE = "your network exceeds the limit of reads per address";
    REFRESH_REFUSED = "the refresh token is not valid: it is unknown or was used before, or its \
        session has ended; sign in again (POST /api/v1/auth/login)";
    REQUEST_TIMEOUT = "the request arrived too slowly: send it without pauses";
    SESSIONS_LEFT = "the password was changed, but earlier sessions of the account may still be \
        valid: sign in with the new password, and change it again";
    SIGN_IN_REFUSED = "e-mail address, password or code is wrong, or the account is disabled; \
        officials can sign in from permitted networks only";
    SIGN_IN_SHARE = "your network exceeds the limit of sign-ins per address";
    STOPPING = "the node is stopping and did not begin this call: nothing was changed";
    TOKEN_REFUSED = "send a valid access token as `Authorization: Bearer`: /api/v1/auth/refresh \
        and /api/v1/auth/login issue them";
    TOO_MANY_CONNECTIONS = "your network exceeds the limit of connections per address";
    TOO_MANY_DOWNLOADS = "this account is already downloading a bundle, or two other accounts \
        are: try again when a download has finished";
    TOO_MANY_DUPLICATES = "this credential was used, and its first vote counts; this attempt was \
        not stored";
    TOO_MANY_READERS = "the limit of readers of live updates is reached; /api/v1/results has the \
        results";
    TRANSFER_CODING = "the only supported transfer coding is `chunked`";
    UNAUTHORIZED = "send the administrator's token as `Authorization: Bearer`";
    UNAVAILABLE = "this cannot be read now; stored votes remain stored; try again";
    UNKNOWN_ACCOUNT = "GET /api/v1/accounts lists the accounts";
    UNKNOWN_CHOICE = "the ballot has no such choice: see the choices of the election";
    UNKNOWN_ELECTION = "no election has this law id; /api/v1/elections lists the elections";
    UNKNOWN_MANIFEST = "the log names no manifest with this digest";
    UNKNOWN_REQUEST = "no request with this id was issued, or it is not a request id";
    UNKNOWN_ROLL = "no roll with this digest is loaded";
    UNKNOWN_TILE = "the path names no tile, or one beyond the size of the checkpoint";
    UNREADABLE_LOG = "a fault halted an election on this node, and its log cannot be read here; \
        stored votes remain stored; try again later";
    UPGRADE_REQUIRED = "send the handshake of a WebSocket (RFC 6455), version 13";
}
