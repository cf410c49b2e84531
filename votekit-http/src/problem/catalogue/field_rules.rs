//! The rules of the fields of HTTP calls, as sentences without their subject. The rules of votes,
//! elections and accounts themselves are in `votekit-messages`. A second language is a second set
//! of these texts.

/// The field is given more than once.
pub(crate) const REPEATED: &str = "is given more than once";

/// A required field is missing.
pub(crate) const MISSING: &str = "is missing";

/// A field that is a text has a value of another kind.
pub(crate) const NOT_TEXT: &str = "must be a text";

/// The same, for people who write JSON by hand.
pub(crate) const NOT_QUOTED_TEXT: &str = "must be a text in quotation marks";

/// The JSON of the body ends too early.
pub(crate) const CUT_SHORT: &str = "is incomplete: the JSON ends too early";

/// The body is shorter than `Content-Length` states.
pub(crate) const ENDED_EARLY: &str = "ended before its announced length";

/// The body is in another encoding of Unicode.
pub(crate) const WIDE_TEXT: &str = "is UTF-16 or UTF-32 text: send it as UTF-8";

/// The body is not an object.
pub(crate) const NOT_OBJECT: &str = "must be a JSON object in UTF-8";

/// The body has an unknown field, whose name may be a secret.
pub(crate) const UNKNOWN_MEMBER: &str = "has a member that is not known here";

/// The media type of a form.
pub(crate) const NOT_FORM_TYPE: &str = "must be application/x-www-form-urlencoded";

/// The body of a form.
pub(crate) const NOT_FORM: &str = "is not a form in UTF-8";

/// The media type of a form with files.
pub(crate) const NOT_MULTIPART_TYPE: &str = "must be multipart/form-data with its boundary";

/// The field `Host`.
pub(crate) const HOST: &str = "must be a name or an address, with its port if it has one";

/// The message is not HTTP/1.1.
pub(crate) const NOT_HTTP: &str =
    "must be an HTTP/1.1 message: a request line, header fields, an empty line";

/// The form of an idempotency key.
pub(crate) const IDEMPOTENCY_KEY: &str =
    "has 16 to 255 visible ASCII characters, which others cannot guess";

/// A call that requires an idempotency key.
pub(crate) const IDEMPOTENCY_KEY_MISSING: &str = "is missing: it makes a retry safe";

/// The present password, at its change.
pub(crate) const PRESENT_PASSWORD: &str = "is not the present password";

/// The position of a page of accounts.
pub(crate) const PAGE: &str = "must be the `next` of a page of this list";

/// The token of a voter.
pub(crate) const VOTER_TOKEN: &str = "must be 32 hexadecimal digits, once";

/// The token of a voter in an address.
pub(crate) const VOTER_TOKEN_IN_ADDRESS: &str =
    "is the header Votekit-Voter-Token: addresses are logged on the way";
