//! Access tokens: JSON Web Tokens (RFC 7519, RFC 9068) in exactly one form.
//!
//! ```text
//! header   {"alg":"EdDSA","typ":"at+jwt","kid":…}                      these members and no others
//! claims   {"iss":…,"aud":"votekit-api","sub":…,"role":…,"sid":…,"iat":…,"nbf":…,"exp":…}
//! token    base64url(header) "." base64url(claims) "." base64url(Ed25519 signature)
//! ```
//!
//! `sid` is the digest of the refresh token that was issued together with the access token: every
//! node can find the session in the store by it, and it gives no access by itself. Therefore the
//! access tokens of a session end with it, without another column or list.
//!
//! Own code over ed25519-dalek, which signs batches and checkpoints already. A general library
//! reads the header first, selects an algorithm by it, and leaves it to its caller to refuse keys
//! in the header (`jwk`, `jku`, `x5c`, `x5u`) and extensions (`crit`). Here there is nothing to
//! select: the header has one form, and any other is refused before a signature is verified.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;
use votekit_store::{AccountId, AccountRole};
use zeroize::Zeroizing;

use super::role::RoleName;

/// The longest life of a token, in seconds.
pub(crate) const LIFETIME_SECONDS: u64 = 600;

/// The interface that tokens are for.
const AUDIENCE: &str = "votekit-api";

const ALGORITHM: &str = "EdDSA";
const TYPE: &str = "at+jwt";

/// The longest token that is read.
pub(super) const TOKEN_BYTES_MAX: usize = 2048;

/// The longest id of a key.
const KEY_ID_BYTES_MAX: usize = 64;

/// The maximum difference between the clocks of two nodes, in seconds.
const CLOCK_LEEWAY_SECONDS: u64 = 5;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    aud: &'a str,
    sub: &'a str,
    role: RoleName,
    sid: &'a str,
    iat: u64,
    nbf: u64,
    exp: u64,
}

/// A token is refused. The answer does not name the broken rule, because it would help a forger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TokenRefused;

/// The claims of a valid token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) account: AccountId,
    pub(super) role: AccountRole,
    /// A refresh token of the session that the token belongs to.
    pub(super) session: Digest,
}

/// A token that was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ValidToken {
    pub(super) grant: Grant,
    /// From then on it is not valid.
    pub(super) expires: UnixSeconds,
}

/// Signs a token that is valid from now on.
pub(super) fn sign(
    key: &SigningKey,
    kid: &str,
    issuer: &str,
    grant: Grant,
    now: UnixSeconds,
) -> Zeroizing<String> {
    let (sub, sid) = (const_hex::encode(grant.account.0), grant.session.to_hex());
    let header = Header { alg: ALGORITHM, typ: TYPE, kid };
    let claims = Claims {
        iss: Cow::Borrowed(issuer),
        aud: AUDIENCE,
        sub: &sub,
        role: grant.role.into(),
        sid: &sid,
        iat: now.0,
        nbf: now.0,
        exp: now.0.saturating_add(LIFETIME_SECONDS),
    };
    let mut token = Zeroizing::new(String::with_capacity(TOKEN_BYTES_MAX));
    token.push_str(&URL_SAFE_NO_PAD.encode(json(&header)));
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(json(&claims)));
    let signature = key.sign(token.as_bytes());
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(signature.to_bytes()));
    token
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("texts and numbers")
}

/// A token in its form, before its signature is verified. Only the name of the key is used from it.
pub(super) struct UnverifiedToken<'a> {
    /// The signed bytes: header, dot, claims.
    message: &'a [u8],
    kid: String,
    claims: Vec<u8>,
    signature: Signature,
}

impl<'a> UnverifiedToken<'a> {
    /// Parses a token, header first.
    ///
    /// # Errors
    /// [`TokenRefused`].
    pub(super) fn parse(token: &'a [u8]) -> Result<Self, TokenRefused> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenRefused);
        }
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenRefused);
        };
        let message = &token[..header.len() + 1 + claims.len()];
        let header = decoded(header)?;
        let Header { alg, typ, kid } = serde_json::from_slice(&header).map_err(|_| TokenRefused)?;
        if alg != ALGORITHM || typ != TYPE || kid.len() > KEY_ID_BYTES_MAX {
            return Err(TokenRefused);
        }
        let signature = decoded(signature)?;
        let signature = Signature::from_slice(&signature).map_err(|_| TokenRefused)?;
        Ok(Self { message, kid: kid.to_owned(), claims: decoded(claims)?, signature })
    }

    /// The id of the key that should verify it.
    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    /// Verifies the signature, then the claims.
    ///
    /// # Errors
    /// [`TokenRefused`].
    pub(super) fn verify(
        &self,
        key: &VerifyingKey,
        issuer: &str,
        now: UnixSeconds,
    ) -> Result<ValidToken, TokenRefused> {
        // Strict: no key of small order, and one signature of a message.
        key.verify_strict(self.message, &self.signature).map_err(|_| TokenRefused)?;
        let claims: Claims<'_> = serde_json::from_slice(&self.claims).map_err(|_| TokenRefused)?;
        let latest = now.0.saturating_add(CLOCK_LEEWAY_SECONDS);
        let is_valid = claims.iss == issuer
            && claims.aud == AUDIENCE
            && claims.iat <= latest
            && claims.nbf <= latest
            && now.0 < claims.exp
            && claims.exp.saturating_sub(claims.iat) <= LIFETIME_SECONDS;
        let mut account = [0; 16];
        let is_id = claims.sub.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && const_hex::decode_to_slice(claims.sub, &mut account).is_ok();
        if !is_valid || !is_id {
            return Err(TokenRefused);
        }
        let session = Digest::from_hex(claims.sid.as_bytes()).map_err(|_| TokenRefused)?;
        let grant = Grant { account: AccountId(account), role: claims.role.into(), session };
        Ok(ValidToken { grant, expires: UnixSeconds(claims.exp) })
    }
}

/// Decodes a part. The alphabet, the padding and the unused bits have one form.
fn decoded(part: &[u8]) -> Result<Vec<u8>, TokenRefused> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenRefused)
}

#[cfg(test)]
#[path = "token_test.rs"]
mod tests;
