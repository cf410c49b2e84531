//! Checks of each request before its handler, and headers of each answer after it.

pub(crate) mod bearer_token;
pub(crate) mod client_address;
pub(crate) mod response_headers;
pub(crate) mod cors;
pub(crate) mod limits;
pub(crate) mod message_rules;
pub(crate) mod form_body;
pub(crate) mod idempotency_key;
pub(crate) mod json_body;
pub(crate) mod multipart_body;
pub(crate) mod officials_network;
pub(crate) mod prefer;
pub(crate) mod representation;
pub(crate) mod same_origin;
pub(crate) mod secret_body;
pub(crate) mod session_cookie;
pub(crate) mod socket_origin;
pub(crate) mod timing;
pub(crate) mod voter_body;
