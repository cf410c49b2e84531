//! The token of a form: proves that the form was made for this session, this election and this
//! step.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use votekit_core::id::ElectionId;

use super::key_ring::SecretKey;
use super::session::SessionId;

/// A form, and the data to which its token is bound.
pub(crate) enum Form<'a> {
    /// The ballot.
    Ballot {
        /// Its election.
        law: &'a ElectionId,
    },
    /// The button that casts the vote.
    Cast {
        /// Its election.
        law: &'a ElectionId,
        /// The idempotency key: with it the token is bound to one attempt.
        key: &'a str,
    },
    /// The button that extends the session.
    Extend,
    /// The button that signs out.
    SignOut,
}

impl Form<'_> {
    /// No two forms have the same text: a law id has no line feed.
    fn text(&self) -> String {
        match self {
            Self::Ballot { law } => format!("ballot\n{law}"),
            Self::Cast { law, key } => format!("cast\n{law}\n{key}"),
            Self::Extend => "extend".to_owned(),
            Self::SignOut => "sign-out".to_owned(),
        }
    }
}

fn mac(key: &SecretKey, session: &SessionId, form: &Form<'_>) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(key.as_slice()).expect("any length of key");
    mac.chain_update(b"votekit-form/1\n").chain_update(session.as_slice()).chain_update(form.text())
}

/// The token, in hexadecimal digits.
pub(super) fn token(key: &SecretKey, session: &SessionId, form: &Form<'_>) -> String {
    const_hex::encode(mac(key, session, form).finalize().into_bytes())
}

/// Compares a token in constant time.
pub(super) fn is_token(key: &SecretKey, session: &SessionId, form: &Form<'_>, token: &str) -> bool {
    let mut bytes = [0; 32];
    const_hex::decode_to_slice(token, &mut bytes).is_ok()
        && mac(key, session, form).verify_slice(&bytes).is_ok()
}
