//! The bodies of calls with a password, a code or a token: a small JSON object of texts. Unlike in
//! `json_body`, no message of a parser is returned: it would repeat the input.

use std::time::Duration;

use axum::extract::Request;
use serde_json::Value;
use votekit_node::memory::stack_used;
use zeroize::Zeroizing;

use crate::guard::json_body::Members;
use crate::guard::limits;
use crate::guard::message_rules::check_content_coding;
use crate::problem::catalogue::field_rules;
use crate::problem::{FieldProblem, Problem};

/// The largest body: a password of 128 escaped characters fits several times.
const BODY_BYTES_MAX: usize = 8192;

/// The texts of a body, each under its name.
pub(crate) struct SecretBody(Vec<(&'static str, Zeroizing<String>)>);

impl SecretBody {
    /// Reads the body of a request: an object with these members and no others. Those in `optional`
    /// may be absent or null.
    ///
    /// # Errors
    /// [`Problem`], which repeats nothing of the body.
    pub(crate) async fn read(
        request: Request,
        required: &[&'static str],
        optional: &[&'static str],
        time: Duration,
    ) -> Result<Self, Problem> {
        let (head, body) = request.into_parts();
        check_content_coding(&head.headers)?;
        let body = limits::read_json(&head.headers, body, BODY_BYTES_MAX, time).await?;
        stack_used();
        Self::parse(&body, required, optional)
    }

    fn parse(
        body: &[u8],
        required: &[&'static str],
        optional: &[&'static str],
    ) -> Result<Self, Problem> {
        let json = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let Members(members) = serde_json::from_slice(json)
            .map_err(|_| Problem::field("body", field_rules::NOT_OBJECT))?;
        let mut texts: Vec<(&'static str, Zeroizing<String>)> = Vec::new();
        let mut errors: Vec<FieldProblem> = Vec::new();
        for (name, value) in members {
            let known = required.iter().chain(optional).find(|known| **known == name).copied();
            match (known, value) {
                // The name may be a secret in the wrong field.
                (None, _) => errors.push(fault("body", field_rules::UNKNOWN_MEMBER)),
                (Some(name), _) if texts.iter().any(|(known, _)| *known == name) => {
                    errors.push(fault(name, field_rules::REPEATED));
                }
                (Some(name), Value::String(text)) => texts.push((name, Zeroizing::new(text))),
                (Some(name), Value::Null) if optional.contains(&name) => {}
                (Some(name), _) => errors.push(fault(name, field_rules::NOT_TEXT)),
            }
        }
        for name in required {
            let is_there = texts.iter().any(|(known, _)| known == name);
            if !is_there && !errors.iter().any(|error| error.field == *name) {
                errors.push(fault(name, field_rules::MISSING));
            }
        }
        if errors.is_empty() { Ok(Self(texts)) } else { Err(Problem::Malformed { errors }) }
    }

    /// The text of a member; empty if it is absent.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text.as_str())
    }
}

fn fault(field: &'static str, rule: &str) -> FieldProblem {
    FieldProblem { field: field.into(), rule: rule.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<SecretBody, Vec<(String, String)>> {
        let parsed = SecretBody::parse(body.as_bytes(), &["email", "password"], &["code"]);
        parsed.map_err(|problem| match problem {
            Problem::Malformed { errors } => {
                errors.into_iter().map(|error| (error.field.into_owned(), error.rule)).collect()
            }
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn texts_are_read_by_name() {
        let body = parse(r#"{"email":"a@b.example","password":"x\u00e9y","code":null}"#);
        let body = body.unwrap_or_else(|errors| panic!("{errors:?}"));
        assert_eq!(body.text("email"), "a@b.example");
        assert_eq!(body.text("password"), "xéy");
        assert_eq!(body.text("code"), "");
        let marked = parse("\u{feff}{\"email\":\"\",\"password\":\"\",\"code\":\"1\"}");
        assert_eq!(marked.unwrap_or_else(|errors| panic!("{errors:?}")).text("code"), "1");
    }

    #[test]
    fn every_fault_is_named_and_nothing_is_repeated() {
        for (body, expected) in [
            (r#"{"email":"SECRET"}"#, vec!["password"]),
            (r#"{"email":5,"password":["SECRET"],"code":1}"#, vec!["email", "password", "code"]),
            (r#"{"email":"a","password":"SECRET","SECRET":"SECRET"}"#, vec!["body"]),
            (r#"{"email":"a","password":"SECRET","password":"SECRET"}"#, vec!["password"]),
            (r#"{"email":null,"password":"SECRET"}"#, vec!["email"]),
            (r#"{"email":"a","password":"SECRET"#, vec!["body"]),
            (r#"["SECRET"]"#, vec!["body"]),
            ("SECRET", vec!["body"]),
            ("", vec!["body"]),
        ] {
            let errors = parse(body).err().unwrap_or_else(|| panic!("{body}"));
            let fields: Vec<_> = errors.iter().map(|(field, _)| field.as_str()).collect();
            assert_eq!(fields, expected, "{body}");
            assert!(!format!("{errors:?}").contains("SECRET"), "{errors:?}");
        }
    }
}
