//! A received vote, checked field by field, and the envelope that carries it.

mod field_error;
mod vote_body;

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, Zeroizing};

pub use self::field_error::{FieldError, FieldRule, JsonKind};
use self::vote_body::{Fields, Text};
use crate::ballot::ChoiceIndex;
use crate::credential::{AccessCode, Credential, CredentialHash, Nas};
use crate::election::ChoiceId;
use crate::id::{ElectionId, RequestId, hex_bytes};
use crate::instant::UnixMinutes;

/// One vote as carried by the system. The voter is only a hash; the choice leaves memory only
/// encrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Envelope {
    /// The request id, as returned to the voter.
    pub request: RequestId,
    /// H of the credential.
    pub hash: CredentialHash,
    /// The minute of arrival, stamped once.
    pub received: UnixMinutes,
    /// The voter's choice.
    pub choice: ChoiceIndex,
}

hex_bytes! {
    /// cᵢ: the digest of one envelope, over its request, its minute and H.
    EnvelopeDigest, 32
}

impl EnvelopeDigest {
    /// SHA-256 of `votekit-envelope/1`, a line feed, the request, the minute in 4 bytes and H
    /// (`docs/formats.md`, section 5). It cannot be computed without H, so the log can show an
    /// invalid vote without revealing the voter.
    #[must_use]
    pub fn new(request: &RequestId, minute: UnixMinutes, hash: &CredentialHash) -> Self {
        let minute = u32::try_from(minute.0).unwrap_or(u32::MAX).to_be_bytes();
        let mut message = [0; 19 + RequestId::LENGTH + 4 + CredentialHash::LENGTH];
        message[..19].copy_from_slice(b"votekit-envelope/1\n");
        message[19..35].copy_from_slice(request.as_bytes());
        message[35..39].copy_from_slice(&minute);
        message[39..].copy_from_slice(hash.as_bytes());
        Self(Sha256::digest(message).into())
    }
}

/// Overwrites only the choice: the rest is public once it is in the log.
impl Zeroize for Envelope {
    fn zeroize(&mut self) {
        self.choice.zeroize();
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Envelope({}, redacted)", self.request)
    }
}

/// The checked body of `POST /api/v1/vote`: `{"nas":…,"code":…,"law_id":…,"vote":…}` and nothing
/// else.
///
/// ```
/// use votekit_core::envelope::VoteRequest;
/// let vote = VoteRequest::parse(br#"{"nas":"123 456 789","code":"abc123","law_id":"L2025-001","vote":"oui"}"#)?;
/// assert_eq!(vote.choice.as_str(), "oui");
/// let errors = VoteRequest::parse(br#"{"nas":"12","code":"ABC123","law_id":"","vote":"oui"}"#).unwrap_err();
/// assert_eq!(errors.iter().map(|error| error.field).collect::<Vec<_>>(), ["nas", "law_id"]);
/// # Ok::<(), Vec<votekit_core::envelope::FieldError>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoteRequest {
    /// The voter and the law.
    pub credential: Credential,
    /// The choice id; the node checks whether the election has it.
    pub choice: ChoiceId,
}

impl VoteRequest {
    /// Parses a body: strict JSON in UTF-8 with exactly the four text fields, each once. A leading
    /// byte-order mark is skipped.
    ///
    /// # Errors
    /// Every invalid field, not only the first; or the single fault of the JSON as a whole.
    pub fn parse(body: &[u8]) -> Result<Self, Vec<FieldError>> {
        let Fields { texts: [nas, code, law_id, vote], others } =
            vote_body::read(body).map_err(|error| vec![error])?;
        let nas = checked(nas, |text| Nas::parse(text.as_bytes()), "nas");
        let code = checked(code, |text| AccessCode::parse(text.as_bytes()), "code");
        let law_id = checked(law_id, str::parse::<ElectionId>, "law_id");
        let choice = checked(vote, str::parse::<ChoiceId>, "vote");
        match (nas, code, law_id, choice) {
            (Ok(nas), Ok(code), Ok(law_id), Ok(choice)) if others.is_empty() => {
                Ok(Self { credential: Credential { nas, code, law_id }, choice })
            }
            (nas, code, law_id, choice) => Err([nas.err(), code.err(), law_id.err(), choice.err()]
                .into_iter()
                .flatten()
                .chain(others)
                .collect()),
        }
    }
}

/// Parses the value of a field, and reports errors under its name.
fn checked<T, E: Into<FieldRule>>(
    text: Result<Text<'_>, FieldError>,
    parse: impl Fn(&str) -> Result<T, E>,
    field: &'static str,
) -> Result<T, FieldError> {
    parse(text?.as_str()).map_err(|error| FieldError { field, rule: error.into() })
}

/// A secret shared by the ingest nodes of one installation, from which they derive the ids of
/// idempotent requests.
///
/// It must be secret: the log publishes request ids and credential hashes, and an id that anyone
/// could compute from hash, choice and a guessable idempotency key would reveal the choice.
///
/// Clones share one allocation, which is zeroed when the last clone is dropped.
#[derive(Clone)]
pub struct RequestKey(Arc<Zeroizing<[u8; 32]>>);

impl RequestKey {
    /// Wraps 32 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    /// The secret bytes, for sealing them to other nodes.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id of a request with an `Idempotency-Key`: the first 16 bytes of HMAC-SHA-256(key,
    /// `votekit-request/1` LF, H, choice (2), idempotency key). The same credential, choice and key
    /// give the same request on any node.
    #[must_use]
    pub fn request_id(
        &self,
        hash: &CredentialHash,
        choice: ChoiceIndex,
        idempotency_key: &[u8],
    ) -> RequestId {
        let tag = self
            .mac()
            .chain_update(b"votekit-request/1\n")
            .chain_update(hash.as_bytes())
            .chain_update(choice.0.to_be_bytes())
            .chain_update(idempotency_key)
            .finalize()
            .into_bytes();
        let mut id = [0; 16];
        id.copy_from_slice(&tag[..16]);
        RequestId::from_bytes(id)
    }
}

hex_bytes! {
    /// Proves that its holder sent a request that was answered. The id alone is not enough: it is
    /// public once it is in the log.
    VoterToken, 16
}

impl RequestKey {
    /// The token of a request: the first 16 bytes of HMAC-SHA-256(key, `votekit-voter/1` LF,
    /// request id).
    #[must_use]
    pub fn voter_token(&self, request: &RequestId) -> VoterToken {
        let tag = self
            .mac()
            .chain_update(b"votekit-voter/1\n")
            .chain_update(request.as_bytes())
            .finalize()
            .into_bytes();
        let mut token = [0; 16];
        token.copy_from_slice(&tag[..16]);
        VoterToken::from_bytes(token)
    }

    fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(self.0.as_slice()).expect("HMAC takes a key of any length")
    }
}

impl fmt::Debug for RequestKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RequestKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::vote_body::FIELDS;
    use super::*;

    fn errors(body: &str) -> Vec<String> {
        VoteRequest::parse(body.as_bytes()).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_bad_field_is_named_and_no_value_repeated() {
        let found = errors(r#"{"nas":"12345678X","code":"SECRET|1","law_id":"a b","vote":""}"#);
        assert_eq!(found.len(), 4, "{found:?}");
        let text = found.join("\n");
        assert!(!text.contains("12345678") && !text.contains("SECRET"), "{text}");
    }

    #[test]
    fn every_wrong_field_is_named_and_no_value_repeated() {
        let missing = FIELDS.map(|field| format!("{field}: missing"));
        assert_eq!(errors("{}"), missing);
        assert_eq!(
            errors(r#"{"nas":"123456789"}"#),
            ["code: missing", "law_id: missing", "vote: missing"]
        );
        let kinds = r#"{"nas":123456789,"code":["S3CRET"],"law_id":null,"vote":{"oui":true}}"#;
        let rule = |field: &str, kind: &str| format!("{field}: {kind}, not a text");
        assert_eq!(
            errors(kinds),
            [
                rule("nas", "a number"),
                rule("code", "an array"),
                rule("law_id", "null"),
                rule("vote", "an object")
            ]
        );
        assert_eq!(
            errors(r#"{"nas":"123456789","nas":"123456789","n\u0061s":"1"}"#)[0],
            "nas: repeated"
        );
        let named = |name: &str| {
            let body = format!(
                r#"{{"{name}":1,"nas":"123456789","code":"ABC123","law_id":"L1","vote":"oui"}}"#
            );
            errors(&body).join("\n")
        };
        for name in ["choice", "sin", "law_title", "is_test"] {
            assert!(named(name).starts_with(&format!("body: unknown field '{name}'")), "{name}");
        }
        for secret in ["123456789", "123-456-789", "ABCDEFGH", "abcdefgh", "_abcd", "abcd_", "é_é"]
        {
            let text = named(secret);
            assert!(text.starts_with("body: unknown field 1"), "{text}");
            assert!(!text.contains(secret), "{text}");
        }
    }

    #[test]
    fn faults_of_the_json_are_described_without_quoting_the_body() {
        let wide: Vec<u8> =
            r#"{"nas":"123456789"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let marked = [b"\xff\xfe", &wide[..]].concat();
        for (body, rule) in [
            (&br#"{"nas":"123456789"#[..], "JSON cut short"),
            (b"", "JSON cut short"),
            (b"123456789", "not a JSON object"),
            (b"[\"123456789\"]", "not a JSON object"),
            (b"{\"nas\":\"1\"} 123456789", "not JSON: line 1, column 13"),
            (b"{\"nas\":\"\xe9\"}", "not UTF-8"),
            (&wide, "UTF-16 or UTF-32, not UTF-8"),
            (&marked, "UTF-16 or UTF-32, not UTF-8"),
        ] {
            let found = VoteRequest::parse(body).unwrap_err();
            let found: Vec<_> =
                found.into_iter().map(|error| (error.field, error.rule.to_string())).collect();
            assert_eq!(found, [("body", rule.to_owned())]);
        }
        for open in ["[", "{\"a\":"] {
            assert!(VoteRequest::parse(open.repeat(100_000).as_bytes()).is_err());
        }
    }

    #[test]
    fn escapes_and_a_byte_order_mark_are_read() {
        let plain = r#"{"nas":"123456789","code":"ABC123","law_id":"L1","vote":"oui"}"#;
        let vote = VoteRequest::parse(plain.as_bytes()).expect("a vote");
        let escaped =
            r#"{"nas":"\u0031234 56789","code":"\nABC123\t","law_id":"L\u0031","vote":"\u006fui"}"#;
        assert_eq!(VoteRequest::parse(escaped.as_bytes()).expect("the same"), vote);
        assert_eq!(VoteRequest::parse(format!("\u{feff}{plain}").as_bytes()).expect("same"), vote);
        assert!(VoteRequest::parse(format!("\u{feff}\u{feff}{plain}").as_bytes()).is_err());
        let half = plain.replace("oui", r"\ud83d");
        assert_eq!(errors(&half), ["vote: unpaired surrogate"]);
    }

    proptest! {
        /// Bodies that serde_json accepts as a strict structure yield the same texts here; all
        /// others are refused.
        #[test]
        fn texts_are_those_that_serde_json_reads(pieces in vec(select(PIECES.to_vec()), 0..14)) {
            #[derive(serde::Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Strict {
                nas: String,
                code: String,
                law_id: String,
                vote: String,
            }
            let body = format!("{{{}", pieces.concat());
            let strict: Option<Strict> = serde_json::from_str(&body).ok();
            let read = vote_body::read(body.as_bytes()).ok().filter(|read| read.others.is_empty());
            let read = read.and_then(|read| {
                let mut texts = Vec::new();
                for text in read.texts {
                    texts.push(text.ok()?.as_str().to_owned());
                }
                Some(texts)
            });
            let strict = strict.map(|body| vec![body.nas, body.code, body.law_id, body.vote]);
            prop_assert_eq!(read, strict);
        }
    }

    /// Pieces that often form a valid body, and otherwise invalid ones of every kind.
    const PIECES: [&str; 12] = [
        r#""nas":"1\/2","#,
        r#""code":"\ud83d\ude00","#,
        r#""law_id":"\u00e9\\","#,
        r#""vote":"o""#,
        r#""nas":"1","code":"a","law_id":"L","#,
        r#""vote":"o"}"#,
        r#""vote":"\ud83dx"}"#,
        r#""vote":1}"#,
        "}",
        ",",
        r#""x":[1,{"y":"\q"}],"#,
        "\n ",
    ];

    #[test]
    fn request_ids_depend_on_every_part() {
        let key = RequestKey::from_bytes([1; 32]);
        let hash = CredentialHash::from_bytes([2; 32]);
        let id = key.request_id(&hash, ChoiceIndex(0), b"k");
        assert_eq!(id, key.request_id(&hash, ChoiceIndex(0), b"k"));
        assert_ne!(id, key.request_id(&hash, ChoiceIndex(1), b"k"));
        assert_ne!(id, key.request_id(&hash, ChoiceIndex(0), b"l"));
        assert_ne!(id, key.request_id(&CredentialHash::from_bytes([3; 32]), ChoiceIndex(0), b"k"));
        assert_ne!(id, RequestKey::from_bytes([4; 32]).request_id(&hash, ChoiceIndex(0), b"k"));
    }
}
