//! Opaque tokens of page sessions, refreshes and one-time links. Each is 32 random bytes in
//! base64url, of which the store has only the SHA-256.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use votekit_core::id::Digest;
use zeroize::Zeroizing;

use super::faults::random_failed;
use crate::problem::Problem;

const BYTES: usize = 32;

/// The length of every token.
pub(super) const CHARS: usize = (BYTES * 4).div_ceil(3);

/// Generates a token.
///
/// # Errors
/// When the system returns no random bytes.
pub(super) fn draw() -> Result<Zeroizing<String>, Problem> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    getrandom::fill(bytes.as_mut_slice()).map_err(random_failed)?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
}

/// The digest of the text of a token; `None` if the text does not have the form of a token.
pub(super) fn digest_of(token: &[u8]) -> Option<Digest> {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (token.len() == CHARS && token.iter().all(is_allowed)).then(|| Digest::compute(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_form_and_is_random() {
        let (one, other) = (draw().expect("random bytes"), draw().expect("random bytes"));
        assert_eq!(digest_of(one.as_bytes()), Some(Digest::compute(one.as_bytes())));
        assert_ne!(*one, *other);
        for wrong in ["", &one[1..], &format!("{}A", *one), &"=".repeat(CHARS)] {
            assert_eq!(digest_of(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
