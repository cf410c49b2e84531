//! A vote as it arrives, checked field by field, and the envelope that carries it on.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::ballot::ChoiceIndex;
use crate::credential::{AccessCode, Credential, CredentialHash, Nas};
use crate::election::ChoiceId;
use crate::id::{LawId, RequestId, hex_bytes};
use crate::instant::UnixMinutes;

/// One vote as the system carries it. Who it is from is a hash; the choice leaves memory only
/// sealed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Envelope {
    /// The request, as told to the voter.
    pub request: RequestId,
    /// H of the credential.
    pub hash: CredentialHash,
    /// The minute of arrival, stamped once.
    pub received: UnixMinutes,
    /// What was chosen.
    pub choice: ChoiceIndex,
}

hex_bytes! {
    /// cᵢ: the digest of one envelope, over its request, its minute and H.
    EnvelopeDigest, 32
}

impl EnvelopeDigest {
    /// SHA-256 of `votekit-envelope/1`, a line feed, the request, the minute in 4 bytes and H
    /// (`docs/formats.md`, section 5). Nobody can compute it without H, so an invalid vote can be
    /// shown in the log without showing whose it was.
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

/// Overwrites the choice: what is left is public once it is in the log.
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

/// One field of a vote that is wrong, and the rule it breaks. The value is never repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct FieldError {
    /// `nas`, `code`, `law_id`, `vote`, or `body` when the JSON itself is wrong.
    pub field: &'static str,
    /// The rule, as a sentence without a final stop.
    pub rule: String,
}

/// The body of `POST /api/v1/vote`, checked: `{"nas":…,"code":…,"law_id":…,"vote":…}` and nothing
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
    /// Who votes, on what.
    pub credential: Credential,
    /// The choice by its id; whether the election knows it is for the node to say.
    pub choice: ChoiceId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    nas: Cow<'a, str>,
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow)]
    law_id: Cow<'a, str>,
    #[serde(borrow)]
    vote: Cow<'a, str>,
}

impl VoteRequest {
    /// Reads a body: strict JSON, exactly the four text fields, each once.
    ///
    /// # Errors
    /// Every field that is wrong, not only the first; or the one thing that is wrong with the JSON.
    pub fn parse(body: &[u8]) -> Result<Self, Vec<FieldError>> {
        let body: Body<'_> =
            serde_json::from_slice(body).map_err(|error| vec![json_error(&error)])?;
        let nas = Nas::parse(body.nas.as_bytes()).map_err(|error| field_error("nas", &error));
        let code =
            AccessCode::parse(body.code.as_bytes()).map_err(|error| field_error("code", &error));
        let law_id = body.law_id.parse::<LawId>().map_err(|error| field_error("law_id", &error));
        let choice = body.vote.parse::<ChoiceId>().map_err(|error| field_error("vote", &error));
        match (nas, code, law_id, choice) {
            (Ok(nas), Ok(code), Ok(law_id), Ok(choice)) => {
                Ok(Self { credential: Credential { nas, code, law_id }, choice })
            }
            (nas, code, law_id, choice) => Err([nas.err(), code.err(), law_id.err(), choice.err()]
                .into_iter()
                .flatten()
                .collect()),
        }
    }
}

fn field_error(field: &'static str, error: &dyn fmt::Display) -> FieldError {
    FieldError { field, rule: error.to_string() }
}

/// Says what is wrong with the JSON without repeating any of it: serde's own messages quote values
/// and unknown keys.
fn json_error(error: &serde_json::Error) -> FieldError {
    // It may quote the body.
    let text = Zeroizing::new(error.to_string());
    let known = |prefix: &str, rule: &dyn Fn(&'static str) -> String| {
        ["nas", "code", "law_id", "vote"]
            .into_iter()
            .find(|name| text.starts_with(&format!("{prefix} `{name}`")))
            .map(|field| FieldError { field, rule: rule(field) })
    };
    if let Some(missing) = known("missing field", &|_| "is missing".to_owned()) {
        return missing;
    }
    if let Some(twice) = known("duplicate field", &|_| "is given more than once".to_owned()) {
        return twice;
    }
    let (line, column) = (error.line(), error.column());
    let rule = if text.starts_with("unknown field") {
        format!(
            "holds a field other than nas, code, law_id and vote, at line {line}, column {column}"
        )
    } else if error.is_data() {
        format!(
            "must be a JSON object of four texts, which it is not at line {line}, column {column}"
        )
    } else if error.is_eof() {
        "is cut short: the JSON does not end".to_owned()
    } else {
        format!("is not JSON at line {line}, column {column}")
    };
    FieldError { field: "body", rule }
}

/// A secret shared by the ingest nodes of one installation, from which the ids of idempotent
/// requests are derived.
///
/// It must be secret: the log publishes request ids and credential hashes, and an id that anyone
/// could compute from hash, choice and a guessable key would tell the choice.
///
/// Clones share one place in memory, which is zeroed with the last of them.
#[derive(Clone)]
pub struct RequestKey(Arc<Zeroizing<[u8; 32]>>);

impl RequestKey {
    /// Takes 32 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
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
    /// Shows that its holder sent a request that was answered: the id alone is public once it is in
    /// the log.
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
    fn json_faults_are_told_without_quoting_the_body() {
        assert_eq!(errors(r#"{"nas":"123456789"}"#), ["code: is missing"]);
        assert_eq!(
            errors(r#"{"nas":"123456789","nas":"123456789"}"#),
            ["nas: is given more than once"]
        );
        for body in [
            r#"{"nas":"123456789","code":"ABC123","law_id":"L1","vote":"oui","123456789":1}"#,
            r#"{"nas":123456789,"code":"ABC123","law_id":"L1","vote":"oui"}"#,
            r#"{"nas":"123456789"#,
            "123456789",
        ] {
            let text = errors(body).join("\n");
            assert!(text.starts_with("body: ") && !text.contains("123456789"), "{text}");
        }
        assert!(VoteRequest::parse("[".repeat(100_000).as_bytes()).is_err());
    }

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
