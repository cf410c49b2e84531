//! Recovery codes, for an account whose authenticator app is lost: each is used once, instead of a
//! code of the app.

use std::fmt;

use votekit_core::id::Digest;
use zeroize::Zeroizing;

/// The codes that an account gets.
pub(super) const COUNT: usize = 10;

/// The characters of a code, in two groups of the same length.
const CHARS: usize = 10;

/// No 0, 1, I or O. Thirty-two, so that a random byte gives five unbiased bits.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/// A recovery code, shown once. Only its digest is stored.
pub(crate) struct RecoveryCode(Zeroizing<String>);

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RecoveryCode(redacted)")
    }
}

impl RecoveryCode {
    /// Draws a code.
    ///
    /// # Errors
    /// The system returned no random bytes.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; CHARS]);
        getrandom::fill(bytes.as_mut_slice())?;
        let mut code = Zeroizing::new(String::with_capacity(CHARS + 1));
        for (index, byte) in bytes.iter().enumerate() {
            if index == CHARS / 2 {
                code.push('-');
            }
            code.push(char::from(ALPHABET[usize::from(*byte & 31)]));
        }
        Ok(Self(code))
    }

    /// The code as people write it down: two groups with a hyphen.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The digest that is stored.
    pub(super) fn digest(&self) -> Digest {
        digest_of(&self.0).expect("a code that was drawn has the form")
    }
}

/// The digest of a code as it was typed, with or without its hyphen, in capitals or not; `None` for
/// a text that is not in the form of one.
pub(super) fn digest_of(typed: &str) -> Option<Digest> {
    let mut code = Zeroizing::new([0; CHARS]);
    let mut characters = code.iter_mut();
    for byte in typed.bytes().filter(|byte| !matches!(byte, b' ' | b'-')) {
        let upper = byte.to_ascii_uppercase();
        *characters.next().filter(|_| ALPHABET.contains(&upper))? = upper;
    }
    let is_complete = characters.next().is_none();
    is_complete.then(|| Digest::compute(code.as_slice()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_code_is_recognised_however_it_is_typed() {
        let code = RecoveryCode::random().expect("random bytes");
        let (text, digest) = (code.as_str(), code.digest());
        assert_eq!((text.len(), text.find('-')), (11, Some(5)), "two groups of five");
        for typed in [text.to_owned(), text.to_lowercase(), text.replace('-', " ")] {
            assert_eq!(digest_of(&typed), Some(digest));
        }
        assert_eq!(digest_of(&text.replace('-', "")), Some(digest));
        assert_eq!(format!("{code:?}"), "RecoveryCode(redacted)");
    }

    #[test]
    fn malformed_recovery_codes_have_no_digest() {
        for typed in ["", "ABCDE-FGHJ", "ABCDE-FGHJKL", "ABCDE-FGHJ0", "ABCDE-FGHJÉ", "123456"] {
            assert_eq!(digest_of(typed), None, "{typed}");
        }
        assert!(digest_of("ABCDE-FGHJK").is_some());
    }

    #[test]
    fn codes_are_random() {
        let codes: BTreeSet<_> = (0..100)
            .map(|_| RecoveryCode::random().expect("random bytes").as_str().to_owned())
            .collect();
        assert_eq!(codes.len(), 100);
    }
}
