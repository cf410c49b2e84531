//! Problem details as in RFC 9457.

use std::borrow::Cow;

use axum::body::Bytes;
use serde::Serialize;
use utoipa::ToSchema;
use votekit_core::id::RequestId;
use votekit_messages::InWords;

use super::catalogue::OTHER_CHOICE;
use super::{Kind, Problem};

/// The beginning of the type of a problem; its code follows.
pub(crate) const TYPE_PREFIX: &str = "urn:problem-type:votekit:";

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
    /// The details of this occurrence.
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
    /// The body of the answer. It omits the time to wait, which is in the head.
    pub(crate) fn into_body(self) -> Bytes {
        serde_json::to_vec(&self.document()).unwrap_or_default().into()
    }

    pub(super) fn document(self) -> ProblemDocument {
        let Kind { code, status, title } = self.kind();
        let (detail, mut request_id) = (self.in_words(), None);
        let errors = match self {
            Self::Malformed { errors } => errors,
            Self::Framing { field, rule } => {
                vec![FieldProblem { field: field.into(), rule: rule.to_owned() }]
            }
            Self::UnknownChoice => {
                vec![FieldProblem { field: "vote".into(), rule: OTHER_CHOICE.to_owned() }]
            }
            Self::NotSafe { missing } => missing
                .into_iter()
                .map(|rule| FieldProblem { field: "election".into(), rule: rule.in_words() })
                .collect(),
            Self::OutcomeUnknown { request } | Self::AlreadyCast { request } => {
                request_id = Some(request);
                Vec::new()
            }
            _ => Vec::new(),
        };
        let kind = format!("{TYPE_PREFIX}{code}");
        ProblemDocument { kind, title, status: status.as_u16(), code, detail, errors, request_id }
    }
}
