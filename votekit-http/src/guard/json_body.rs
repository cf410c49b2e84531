//! The bodies of administrative calls: JSON, with every wrong field reported by its name. They
//! contain no secret, so the parser's messages can be returned.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::Request;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::guard::limits;
use crate::guard::message_rules::check_content_coding;
use crate::problem::catalogue::field_rules;
use crate::problem::{FieldProblem, Problem};

/// The largest body of an administrative call: ample for a definition with a hundred choices.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Timeout for the arrival of an administrative call's body.
const BODY_TIME: Duration = Duration::from_secs(30);

/// Names and rules are cut to this length in answers. The fields of a new election have room.
const SHOWN_MAX: usize = 300;

/// Parses the body of a call.
pub(crate) async fn json<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    parse(&read(request).await?)
}

/// Parses the body of a call that needs none.
pub(crate) async fn optional_json<T: DeserializeOwned>(
    request: Request,
) -> Result<Option<T>, Problem> {
    if axum::body::HttpBody::is_end_stream(request.body()) {
        return Ok(None);
    }
    let body = read(request).await?;
    if [&b""[..], b"null"].contains(&body.trim_ascii()) { Ok(None) } else { parse(&body).map(Some) }
}

/// Parses the body of a call whose object has one more member than `T`, which may be left out.
/// Every wrong member of both is reported at once.
pub(crate) async fn json_with<T: DeserializeOwned, M: DeserializeOwned>(
    request: Request,
    name: &'static str,
) -> Result<(T, Option<M>), Problem> {
    let body = read(request).await?;
    let json = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body);
    let Ok(Members(members)) = serde_json::from_slice(json) else {
        return parse(&body).map(|value| (value, None));
    };
    let (mut more, members): (Vec<_>, Vec<_>) =
        members.into_iter().partition(|(member, _)| member == name);
    let more = match (more.pop(), more.is_empty()) {
        (None, _) => Ok(None),
        (Some((_, value)), true) => serde_json::from_value(value)
            .map(Some)
            .map_err(|error| fault(name.to_owned(), &error.to_string())),
        (Some(_), false) => Err(fault(name.to_owned(), field_rules::REPEATED)),
    };
    let object = Value::Object(members.iter().cloned().collect());
    let mut errors = faults::<T>(members, Some(name));
    match (more, serde_json::from_value(object)) {
        (Ok(more), Ok(value)) if errors.is_empty() => return Ok((value, more)),
        (Err(wrong), _) => errors.push(wrong),
        (Ok(_), Err(error)) if errors.is_empty() => {
            errors.push(fault("body".to_owned(), &error.to_string()))
        }
        _ => {}
    }
    Err(Problem::Malformed { errors })
}

async fn read(request: Request) -> Result<Bytes, Problem> {
    let (head, body) = request.into_parts();
    check_content_coding(&head.headers)?;
    limits::read_json(&head.headers, body, BODY_BYTES_MAX, BODY_TIME).await
}

/// Parses a body. A byte-order mark before it is skipped.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let json = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let error = match serde_json::from_slice(json) {
        Ok(read) => return Ok(read),
        Err(error) => error,
    };
    match serde_json::from_slice(json) {
        Ok(Members(members)) => {
            let errors = faults::<T>(members, None);
            if errors.is_empty() {
                return Err(Problem::field("body", shown(&error.to_string())));
            }
            Err(Problem::Malformed { errors })
        }
        Err(_) if json.get(..2).is_some_and(|first| first.contains(&0) || first[0] >= 0xfe) => {
            Err(Problem::field("body", field_rules::WIDE_TEXT))
        }
        Err(error) => Err(Problem::field("body", shown(&error.to_string()))),
    }
}

/// Every member that is wrong, repeated, unknown or missing. Each member is parsed separately: the
/// error then concerns this member, unless it reports another member as missing. `more` is an
/// additional member of the call, besides those of `T`.
fn faults<T: DeserializeOwned>(
    members: Vec<(String, Value)>,
    more: Option<&str>,
) -> Vec<FieldProblem> {
    let mut faults: Vec<FieldProblem> = Vec::new();
    let mut good = Map::new();
    for (name, value) in members {
        if faults.iter().any(|fault| fault.field == name) {
            continue;
        }
        if good.contains_key(&name) {
            faults.push(fault(name, field_rules::REPEATED));
            continue;
        }
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        match serde_json::from_value::<T>(Value::Object(alone)) {
            Err(error) if missing(&error).is_none() => {
                faults.push(fault(name, &rule(&error, more)))
            }
            _ => drop(good.insert(name, value)),
        }
    }
    for wrong in &faults {
        good.remove(&*wrong.field);
    }
    // Fills in an empty text for each missing field, until no missing field is reported.
    while let Err(error) = serde_json::from_value::<T>(Value::Object(good.clone())) {
        let Some(name) = missing(&error).filter(|name| !good.contains_key(name)) else { break };
        good.insert(name.clone(), Value::String(String::new()));
        if !faults.iter().any(|fault| fault.field == name) {
            faults.push(fault(name, field_rules::MISSING));
        }
    }
    faults
}

/// The rule that a member breaks, from serde's message. For an unknown member the rule lists all
/// known members, including the additional one; the field of the fault has the unknown name.
fn rule(error: &serde_json::Error, more: Option<&str>) -> String {
    let text = error.to_string();
    match text.strip_prefix("unknown field `").and_then(|rest| rest.rsplit_once("`, expected ")) {
        Some((_, known)) => {
            let more = more.map(|name| format!(", `{name}`")).unwrap_or_default();
            format!("unknown field, expected {known}{more}")
        }
        None => text,
    }
}

/// The name of the missing field, from serde's message.
fn missing(error: &serde_json::Error) -> Option<String> {
    let text = error.to_string();
    text.strip_prefix("missing field `")?.strip_suffix('`').map(str::to_owned)
}

fn fault(field: String, rule: &str) -> FieldProblem {
    FieldProblem { field: Cow::Owned(shown(&field)), rule: shown(rule) }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_MAX).collect()
}

/// The members of an object in their order, including repeated members.
pub(super) struct Members(pub(super) Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use votekit_node::CreateElection;

    fn errors(body: &str) -> Vec<(String, String)> {
        named(parse::<CreateElection>(body.as_bytes()))
    }

    fn named<T: fmt::Debug>(parsed: Result<T, Problem>) -> Vec<(String, String)> {
        match parsed {
            Err(Problem::Malformed { errors }) => {
                errors.into_iter().map(|error| (error.field.into_owned(), error.rule)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_wrong_member_is_named() {
        let found = errors(
            r#"{"law_id":5,"title_fr":"Loi","title_fr":"Loi","colour":"blue","closes":true,"results":"never","choices":[1]}"#,
        );
        let fields: Vec<_> = found.iter().map(|(field, _)| field.as_str()).collect();
        let expected = ["law_id", "title_fr", "colour", "closes", "results", "choices", "title_en"];
        assert_eq!(fields, expected, "{found:?}");
        assert_eq!(found[1].1, "is given more than once");
        assert!(found[4].1.contains("`after_close`"), "{found:?}");
        assert!(found[5].1.contains("objects with id, fr and en"), "{found:?}");
        assert_eq!(found[6].1, "is missing");
        let missing: Vec<_> = errors("{}").into_iter().map(|(field, _)| field).collect();
        assert_eq!(missing, ["law_id", "title_fr", "title_en"]);
    }

    #[tokio::test]
    async fn one_more_member_is_read_beside_the_others() {
        let parsed = async |body: &str| {
            let request = Request::builder().header("content-type", "application/json");
            let request = request.body(body.to_owned().into()).expect("a request");
            json_with::<CreateElection, Vec<String>>(request, "voters").await
        };
        let right = r#""law_id":"L1","title_fr":"Loi","title_en":"Act""#;
        let (election, voters) = parsed(&format!("{{{right}}}")).await.expect("right");
        assert_eq!((election.law_id.as_str(), voters), ("L1", None));
        let body = format!(r#"{{"voters":["a@b.example"],{right}}}"#);
        let (_, voters) = parsed(&body).await.expect("right");
        assert_eq!(voters, Some(vec!["a@b.example".to_owned()]));
        let wrong = r#"{"voters":5,"law_id":5,"colour":"blue","title_en":"Act"}"#;
        let fields: Vec<_> =
            named(parsed(wrong).await).into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["law_id", "colour", "title_fr", "voters"]);
        let unknown = named(parsed(&format!(r#"{{{right},"{}":1}}"#, "x".repeat(500))).await);
        let rule = &unknown[0].1;
        assert!(rule.starts_with("unknown field, expected one of `law_id`, "), "{rule}");
        assert!(rule.ends_with(", `closes`, `voters`"), "{rule}");
        let twice = named(parsed(&format!(r#"{{"voters":[],"voters":[],{right}}}"#)).await);
        assert_eq!(twice, [("voters".to_owned(), "is given more than once".to_owned())]);
        for body in ["", "[]", "{"] {
            assert_eq!(named(parsed(body).await)[0].0, "body", "{body}");
        }
    }

    #[test]
    fn non_objects_are_faults_of_the_body() {
        for body in ["", "[]", "5", "null", "{\"law_id\":", "{} x"] {
            let found = errors(body);
            assert_eq!((found.len(), found[0].0.as_str()), (1, "body"), "{body}: {found:?}");
        }
        let right = r#"{"law_id":"L1","title_fr":"Loi","title_en":"Act"}"#;
        assert!(parse::<CreateElection>(format!("\u{feff}{right}").as_bytes()).is_ok());
        let wide: Vec<u8> = right.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let Err(Problem::Malformed { errors }) = parse::<CreateElection>(&wide) else {
            panic!("refused")
        };
        assert!(errors[0].rule.contains("UTF-16"), "{errors:?}");
    }
}
