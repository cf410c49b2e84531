//! The JSON bodies that voters send: an object whose errors name the fields and never repeat a
//! value, as it may be a NAS, an access code or a choice.
//!
//! Texts are zeroed on drop. serde_json copies a text with escapes into a separate buffer, which
//! the allocator of the binary zeroes when it is freed.

use std::fmt;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use serde_json::Value;
use votekit_messages::InWords;
use votekit_node::memory::stack_used;
use zeroize::{Zeroize as _, Zeroizing};

use crate::guard::json_body::Members;
use crate::guard::limits;
use crate::guard::message_rules::check_content_coding;
use crate::problem::catalogue::field_rules;
use crate::problem::{FieldProblem, Problem};

/// The largest body: its fields are few and short.
const BODY_BYTES_MAX: usize = 4096;

/// The members of a body that were not taken yet, and the faults of the others.
pub(crate) struct VoterBody {
    members: Vec<(String, Value)>,
    errors: Vec<FieldProblem>,
}

impl fmt::Debug for VoterBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("VoterBody(redacted)")
    }
}

impl Drop for VoterBody {
    fn drop(&mut self) {
        for (_, value) in &mut self.members {
            zeroize_texts(value);
        }
    }
}

fn zeroize_texts(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(zeroize_texts),
        _ => {}
    }
}

impl VoterBody {
    /// Reads the body of a request. It may have these fields and no others.
    ///
    /// # Errors
    /// [`Problem`], if the body is not a JSON object, is too large or arrives too slowly.
    pub(crate) async fn read(
        headers: &HeaderMap,
        body: Body,
        time: Duration,
        fields: &[&'static str],
    ) -> Result<Self, Problem> {
        check_content_coding(headers)?;
        let body = limits::read_json(headers, body, BODY_BYTES_MAX, time).await?;
        stack_used();
        Self::parse(&body, fields)
    }

    fn parse(body: &[u8], fields: &[&'static str]) -> Result<Self, Problem> {
        let json = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let Members(members) =
            serde_json::from_slice(json).map_err(|error| body_problem(&error, fields))?;
        let mut body = Self { members, errors: Vec::new() };
        if body.members.iter().any(|(name, _)| !fields.contains(&name.as_str())) {
            // The name may be a secret in the wrong field.
            body.fault("body", format!("has a field other than {}", fields.join(", ")));
        }
        for field in fields.iter().copied() {
            if body.members.iter().filter(|(name, _)| name == field).count() > 1 {
                body.fault(field, field_rules::REPEATED);
            }
        }
        Ok(body)
    }

    /// The text of a field, parsed.
    pub(crate) fn text<T, E: InWords>(
        &mut self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match self.take(field)? {
            Value::String(text) => {
                let text = Zeroizing::new(text);
                parse(&text).map_err(|error| self.fault(field, error.in_words())).ok()
            }
            _ => {
                self.fault(field, field_rules::NOT_QUOTED_TEXT);
                None
            }
        }
    }

    /// The texts of a field that is a list, each parsed.
    pub(crate) fn texts<T, E: InWords>(
        &mut self,
        field: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let value = self.take(field)?;
        let parsed: Result<Vec<T>, String> = match &value {
            Value::Array(values) => values
                .iter()
                .map(|value| match value {
                    Value::String(text) => parse(text).map_err(|error| error.in_words()),
                    _ => Err("must be a list of texts".to_owned()),
                })
                .collect(),
            _ => Err("must be a list of texts".to_owned()),
        };
        parsed.map_err(|rule| self.fault(field, rule)).ok()
    }

    /// Records the fault of a field; the first fault of a field is kept.
    pub(crate) fn fault(&mut self, field: &'static str, rule: impl Into<String>) {
        if !self.errors.iter().any(|error| error.field == field) {
            self.errors.push(FieldProblem { field: field.into(), rule: rule.into() });
        }
    }

    /// Whether every field was right so far.
    ///
    /// # Errors
    /// [`Problem::Malformed`] with every wrong field.
    pub(crate) fn check(mut self) -> Result<(), Problem> {
        if self.errors.is_empty() {
            return Ok(());
        }
        Err(Problem::Malformed { errors: std::mem::take(&mut self.errors) })
    }

    fn take(&mut self, field: &'static str) -> Option<Value> {
        match self.members.iter().position(|(name, _)| name == field) {
            Some(at) => Some(self.members.swap_remove(at).1),
            None => {
                self.fault(field, field_rules::MISSING);
                None
            }
        }
    }
}

/// The fault of a body as a whole. The parser's own messages may repeat a value.
fn body_problem(error: &serde_json::Error, fields: &[&'static str]) -> Problem {
    let rule = if error.is_data() {
        format!("must be a JSON object with {}", fields.join(", "))
    } else if error.is_eof() {
        field_rules::CUT_SHORT.to_owned()
    } else {
        format!("is not JSON in UTF-8 at line {}, column {}", error.line(), error.column())
    };
    Problem::field("body", rule)
}

#[cfg(test)]
mod tests {
    use votekit_core::credential::{AccessCode, Nas};
    use votekit_core::id::ElectionId;

    use super::*;

    fn errors(body: &str) -> Vec<(String, String)> {
        let sign_in = || {
            let mut body = VoterBody::parse(body.as_bytes(), &["nas", "code", "law_ids"])?;
            body.text("nas", |text| Nas::parse(text.as_bytes()));
            body.text("code", |text| AccessCode::parse(text.as_bytes()));
            body.texts("law_ids", str::parse::<ElectionId>);
            body.check()
        };
        match sign_in() {
            Ok(()) => Vec::new(),
            Err(Problem::Malformed { errors }) => {
                errors.into_iter().map(|error| (error.field.into_owned(), error.rule)).collect()
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    fn fields(body: &str) -> Vec<String> {
        errors(body).into_iter().map(|(field, _)| field).collect()
    }

    #[test]
    fn every_wrong_field_is_named_and_no_value_repeated() {
        let right = r#"{"nas":"123 456 789","code":"abc123","law_ids":["L1","L2"]}"#;
        assert!(errors(right).is_empty() && errors(&format!("\u{feff}{right}")).is_empty());
        assert_eq!(fields("{}"), ["nas", "code", "law_ids"]);
        let kinds = r#"{"nas":123456789,"code":["S3CRET99"],"law_ids":[1]}"#;
        assert_eq!(fields(kinds), ["nas", "code", "law_ids"]);
        let twice = r#"{"nas":"123456789","nas":"1","code":"abc123","law_ids":"L1"}"#;
        assert_eq!(fields(twice), ["nas", "law_ids"]);
        let other = r#"{"nas":"123456789","code":"abc123","law_ids":["a b"],"S3CRET99":"1"}"#;
        assert_eq!(fields(other), ["body", "law_ids"]);
        for body in [kinds, twice, other, r#"{"nas":"12345678X","code":"S3CRET99|","law_ids":[]}"#]
        {
            let text = format!("{:?}", errors(body));
            assert!(!text.contains("S3CRET") && !text.contains("12345678"), "{text}");
        }
    }

    #[test]
    fn a_body_that_is_no_object_is_not_repeated() {
        for body in ["", "[", "123456789", "\"S3CRET99\"", "{\"nas\":\"S3CRET99", "{} S3CRET99"] {
            let found = errors(body);
            assert_eq!((found.len(), found[0].0.as_str()), (1, "body"), "{body}");
            assert!(!found[0].1.contains("S3CRET") && !found[0].1.contains("123456789"));
        }
    }
}
