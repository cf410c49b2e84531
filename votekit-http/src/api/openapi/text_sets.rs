//! The texts that a field of the interface may have, where their set is fixed: as `enum` in its
//! schema. Answers have such fields as texts, so the sets are added to the complete document, from
//! the types that write the texts.

use serde_json::Value;
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::{Components, RefOr};
use votekit_core::election::{ResultsPolicy, State};
use votekit_core::export::json;

use crate::problem::{KINDS, TYPE_PREFIX};

/// The state of an election that a fault halted on the node.
const HALTED: &str = "halted";

/// Adds the sets to the schemas.
pub(super) fn add_to(components: &mut Components) {
    for TextSet { fields, texts } in text_sets() {
        for (schema, field) in fields {
            let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(*schema) else {
                continue;
            };
            let Some(RefOr::T(Schema::Object(field))) = object.properties.get_mut(*field) else {
                continue;
            };
            let mut values: Vec<Value> = texts.iter().cloned().map(Value::from).collect();
            if is_nullable(&field.schema_type) {
                values.push(Value::Null);
            }
            field.enum_values = Some(values);
        }
    }
}

/// The fields of schemas whose value is one of these texts.
struct TextSet {
    fields: &'static [(&'static str, &'static str)],
    texts: Vec<String>,
}

fn text_sets() -> Vec<TextSet> {
    let of = |texts: &[&str]| -> Vec<String> { texts.iter().map(ToString::to_string).collect() };
    let states = |least: State| {
        let states = State::ALL.into_iter().filter(move |state| *state >= least);
        states.map(|state| state.to_string())
    };
    vec![
        TextSet {
            fields: &[("ElectionView", "state"), ("LiveResults", "state")],
            texts: states(State::Draft).chain([HALTED.to_owned()]).collect(),
        },
        TextSet {
            fields: &[("VotedElection", "state")],
            texts: states(State::Open).chain([HALTED.to_owned()]).collect(),
        },
        TextSet { fields: &[("ResultsDocument", "state")], texts: states(State::Open).collect() },
        TextSet {
            fields: &[
                ("ElectionView", "results"),
                ("NewElection", "results"),
                ("AmendElection", "results"),
            ],
            texts: ResultsPolicy::ALL.map(|policy| policy.as_str().to_owned()).to_vec(),
        },
        TextSet {
            fields: &[("ProblemDocument", "code")],
            texts: KINDS.iter().map(|kind| kind.code.to_owned()).collect(),
        },
        TextSet {
            fields: &[("ProblemDocument", "type")],
            texts: KINDS.iter().map(|kind| format!("{TYPE_PREFIX}{}", kind.code)).collect(),
        },
        TextSet { fields: &[("VoteReceived", "status")], texts: of(&["pending"]) },
        TextSet {
            fields: &[("VoteStatusDocument", "status")],
            texts: of(&["pending", "accepted", "duplicate", "invalid"]),
        },
        TextSet {
            fields: &[("VoteStatusDocument", "expected")],
            texts: of(&["accepted", "duplicate", "unknown", "revoked"]),
        },
        TextSet {
            fields: &[("VoteStatusDocument", "reason")],
            texts: of(&["unknown", "revoked", "early", "late", "clash"]),
        },
        TextSet { fields: &[("TokenDocument", "token_type")], texts: of(&["Bearer"]) },
        TextSet { fields: &[("ResultsDocument", "format")], texts: of(&[json::FORMAT]) },
        TextSet {
            fields: &[("SuspectView", "reason")],
            texts: of(&["refused", "left-out", "idle", "step-down"]),
        },
    ]
}

/// Whether a field may be null, because it may be left out.
fn is_nullable(schema_type: &SchemaType) -> bool {
    matches!(schema_type, SchemaType::Array(types) if types.contains(&Type::Null))
}

#[cfg(test)]
mod tests {
    use super::super::document;
    use super::*;

    #[test]
    fn every_set_is_in_the_document() {
        let document = serde_json::to_value(document()).expect("text keys");
        for TextSet { fields, texts } in text_sets() {
            for (schema, field) in fields {
                let property = &document["components"]["schemas"][schema]["properties"][field];
                let values = property["enum"].as_array().expect("a set");
                let known = values.iter().filter_map(Value::as_str);
                assert!(known.eq(texts.iter()), "{schema} {field}: {property}");
                let is_nullable = property["type"].is_array();
                assert_eq!(values.contains(&Value::Null), is_nullable, "{schema} {field}");
            }
        }
    }
}
