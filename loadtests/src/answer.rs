//! Parses a node's answer from bytes: the status, the request id, the state of the vote, the
//! problem's code.

use serde::{Deserialize, Serialize};
use votekit_core::id::RequestId;

/// A node's answer to a vote or to a query about one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The request id, if the body has one (a 503 with unknown outcome does).
    pub request_id: Option<RequestId>,
    /// The vote's state, if the body has a known one.
    pub state: Option<VoteState>,
    /// The problem's stable code.
    pub code: Option<ProblemCode>,
}

/// The state of a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VoteState {
    /// Not yet decided.
    Pending,
    /// Counted.
    Accepted,
    /// The credential had already voted.
    Duplicate,
    /// Not counted.
    Invalid,
}

/// The stable code of a problem: at most 40 characters of `a-z0-9-`. Any other text a server sends
/// is dropped, so that no report repeats it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ProblemCode(String);

impl ProblemCode {
    fn parse(text: &str) -> Option<Self> {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (!text.is_empty() && text.len() <= 40 && text.bytes().all(known))
            .then(|| Self(text.to_owned()))
    }

    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl NodeAnswer {
    /// Parses an answer's body. A body that is not a JSON object yields only the status.
    pub(crate) fn parse(status: u16, body: &[u8]) -> Self {
        let members: Members<'_> = serde_json::from_slice(body).unwrap_or_default();
        let text = |member: Option<&serde_json::value::RawValue>| {
            member.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok())
        };
        Self {
            status,
            request_id: text(members.request_id).and_then(|id| id.parse().ok()),
            state: members.status.and_then(|raw| serde_json::from_str(raw.get()).ok()),
            code: text(members.code).and_then(|code| ProblemCode::parse(&code)),
        }
    }
}

/// The relevant members, unparsed, so that a member of an unexpected type (a problem's numeric
/// `status`) does not invalidate the others.
#[derive(Default, Deserialize)]
struct Members<'body> {
    #[serde(borrow)]
    request_id: Option<&'body serde_json::value::RawValue>,
    #[serde(borrow)]
    status: Option<&'body serde_json::value::RawValue>,
    #[serde(borrow)]
    code: Option<&'body serde_json::value::RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_answers_are_read() {
        let id = "000102030405060708090a0b0c0d0e0f";
        let accepted = NodeAnswer::parse(
            202,
            format!(r#"{{"request_id":"{id}","status":"pending","x":[1]}}"#).as_bytes(),
        );
        assert_eq!(accepted.request_id.map(|id| id.to_hex()).as_deref(), Some(id));
        assert_eq!(accepted.state, Some(VoteState::Pending));
        let problem = format!(
            r#"{{"type":"about:blank","status":503,"code":"outcome-unknown","request_id":"{id}"}}"#
        );
        let problem = NodeAnswer::parse(503, problem.as_bytes());
        assert_eq!(problem.code.as_ref().map(ProblemCode::as_str), Some("outcome-unknown"));
        assert!(problem.request_id.is_some() && problem.state.is_none());
    }

    #[test]
    fn anything_else_leaves_the_status() {
        let only_status = NodeAnswer { status: 502, request_id: None, state: None, code: None };
        for body in [
            b"".as_slice(),
            b"<html>",
            b"[]",
            b"{\"code\":7}",
            b"{\"code\":\"123456789 SECRET\"}",
            b"{\"request_id\":\"zz\"}",
        ] {
            assert_eq!(
                NodeAnswer::parse(502, body),
                only_status,
                "{}",
                String::from_utf8_lossy(body)
            );
        }
    }
}
