//! The JSON of a vote: one object of four strings, parsed in one pass that reports every invalid
//! field.
//!
//! Strings are borrowed from the body. Values are taken raw and unescaped here, because serde_json
//! copies an escaped string into a buffer that it frees without zeroing, and stops at the first
//! invalid field.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::field_error::{FieldError, FieldRule, JsonKind};

/// The fields of a vote, in the order in which errors are listed.
pub(super) const FIELDS: [&str; 4] = ["nas", "code", "law_id", "vote"];

/// Maximum number of unknown fields listed.
const UNKNOWN_LISTED_MAX: usize = 8;

/// A string of the body. A string with escapes is copied, and the copy zeroed on drop.
pub(super) enum Text<'a> {
    Plain(&'a str),
    Unescaped(Zeroizing<String>),
}

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Unescaped(text) => text,
        }
    }
}

/// The body's values for [`FIELDS`], and errors that belong to none of them.
pub(super) struct Fields<'a> {
    pub(super) texts: [Result<Text<'a>, FieldError>; FIELDS.len()],
    pub(super) others: Vec<FieldError>,
}

/// Parses a body. One byte-order mark before the JSON is skipped, as RFC 8259 permits.
///
/// # Errors
/// The fault of the JSON as a whole.
pub(super) fn read(body: &[u8]) -> Result<Fields<'_>, FieldError> {
    let json = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    serde_json::from_slice(json).map_err(|error| body_error(json, &error))
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of four texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut values: [Option<&RawValue>; FIELDS.len()] = [None; FIELDS.len()];
        let mut repeated = [false; FIELDS.len()];
        let mut others = Vec::new();
        let mut position = 0;
        while let Some(name) = map.next_key::<FieldName>()? {
            position += 1;
            let value: &RawValue = map.next_value()?;
            match name {
                FieldName::Known(index) => {
                    repeated[index] = values[index].is_some();
                    values[index] = Some(value);
                }
                FieldName::Unknown(name) if others.len() < UNKNOWN_LISTED_MAX => {
                    let rule = FieldRule::OtherField { name, position };
                    others.push(FieldError { field: "body", rule });
                }
                FieldName::Unknown(_) => {}
            }
        }
        let texts = std::array::from_fn(|index| {
            let error = |rule| Err(FieldError { field: FIELDS[index], rule });
            match values[index] {
                _ if repeated[index] => error(FieldRule::Repeated),
                None => error(FieldRule::Missing),
                Some(value) => text(value.get()).or_else(error),
            }
        });
        Ok(Fields { texts, others })
    }
}

/// The name of a field: a known name, or the displayable text of an unknown name.
enum FieldName {
    Known(usize),
    Unknown(Option<String>),
}

impl<'de> Deserialize<'de> for FieldName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl Visitor<'_> for NameVisitor {
            type Value = FieldName;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the name of a field")
            }

            fn visit_str<E>(self, name: &str) -> Result<FieldName, E> {
                Ok(match FIELDS.iter().position(|field| *field == name) {
                    Some(index) => FieldName::Known(index),
                    None => FieldName::Unknown(can_be_shown(name).then(|| name.to_owned())),
                })
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

/// Whether the name of an unknown field may be shown. A NAS or an access code instead of a name
/// must not be shown: a code has at least four letters or digits, and no underscore.
fn can_be_shown(name: &str) -> bool {
    const ORDINARY: [&str; 6] = ["choice", "ballot", "election", "lawid", "lawId", "request"];
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let is_no_code = name.len() < 4 || name.trim_matches('_').contains('_');
    ORDINARY.contains(&name)
        || ((1..=32).contains(&name.len()) && name.bytes().all(is_word) && is_no_code)
}

/// The text of a raw JSON value, or the rule that the value breaks.
fn text(raw: &str) -> Result<Text<'_>, FieldRule> {
    let Some(inner) = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        let found = match raw.as_bytes().first() {
            Some(b'{') => JsonKind::Object,
            Some(b'[') => JsonKind::Array,
            Some(b't' | b'f') => JsonKind::Boolean,
            Some(b'n') => JsonKind::Null,
            _ => JsonKind::Number,
        };
        return Err(FieldRule::NotText { found });
    };
    if !inner.as_bytes().contains(&b'\\') {
        return Ok(Text::Plain(inner));
    }
    let unescaped = unescape(inner).ok_or(FieldRule::HalfCharacter)?;
    Ok(Text::Unescaped(unescaped))
}

/// Replaces the escapes of a JSON string whose syntax serde_json has checked.
fn unescape(escaped: &str) -> Option<Zeroizing<String>> {
    // An escape is longer than the character it encodes, so the buffer is never reallocated.
    let mut text = Zeroizing::new(String::with_capacity(escaped.len()));
    let mut rest = escaped;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let escape = *rest.as_bytes().get(at + 1)?;
        rest = rest.get(at + 2..)?;
        text.push(match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = code_unit(&mut rest)?;
                match first {
                    0xd800..=0xdbff => {
                        rest = rest.strip_prefix("\\u")?;
                        let second = code_unit(&mut rest)?;
                        char::decode_utf16([first, second]).next()?.ok()?
                    }
                    _ => char::from_u32(u32::from(first))?,
                }
            }
            other => char::from(other),
        });
    }
    text.push_str(rest);
    Some(text)
}

fn code_unit(rest: &mut &str) -> Option<u16> {
    let digits = rest.get(..4)?;
    *rest = &rest[4..];
    u16::from_str_radix(digits, 16).ok()
}

/// Describes a fault of the JSON without quoting it: serde's own messages contain values.
fn body_error(json: &[u8], error: &serde_json::Error) -> FieldError {
    let rule = if is_wide(json) {
        FieldRule::Wide
    } else if std::str::from_utf8(json).is_err() {
        FieldRule::NotUtf8
    } else if error.is_data() {
        FieldRule::NotObject
    } else if error.is_eof() {
        FieldRule::CutShort
    } else {
        FieldRule::NotJson { line: error.line(), column: error.column() }
    };
    FieldError { field: "body", rule }
}

/// Whether the body begins like UTF-16 or UTF-32: with a byte-order mark, or with a zero byte next
/// to an ASCII character.
fn is_wide(json: &[u8]) -> bool {
    json.starts_with(b"\xff\xfe")
        || json.starts_with(b"\xfe\xff")
        || json.get(..2).is_some_and(|first| first.contains(&0))
}
