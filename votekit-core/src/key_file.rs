//! Key files: a secret of 32 bytes as one line with a check, so that a damaged file is noticed.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Begins what the check is computed of.
const CHECK_PREFIX: &str = "votekit key file";

/// Why a text is not that of a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The line begins with the secret.
    #[error("not a key file")]
    Form,
    /// The line ends with the check of its secret.
    #[error("the key does not match its check")]
    Check,
}

/// The text of the key file of a secret: 64 lower-case hexadecimal digits, a space, 8 digits of
/// check, a line feed.
///
/// ```
/// use votekit_core::key_file;
/// let text = key_file::to_text(&[7; 32]);
/// assert_eq!(text.len(), 64 + 1 + 8 + 1);
/// assert_eq!(*key_file::parse(&text)?, [7; 32]);
/// # Ok::<(), key_file::KeyFileError>(())
/// ```
#[must_use]
pub fn to_text(secret: &[u8; 32]) -> Zeroizing<String> {
    let digits = Zeroizing::new(const_hex::encode(secret));
    Zeroizing::new(format!("{} {}\n", digits.as_str(), check_of(secret)))
}

/// Reads the secret of a key file.
///
/// # Errors
/// [`KeyFileError`]; it never contains a digit of the text.
pub fn parse(text: &str) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let mut words = text.trim_end().split(' ');
    let mut secret = Zeroizing::new([0; 32]);
    const_hex::decode_to_slice(words.next().unwrap_or_default(), secret.as_mut_slice())
        .map_err(|_| KeyFileError::Form)?;
    let check = check_of(&secret);
    if words.next() != Some(check.as_str()) || words.next().is_some() {
        return Err(KeyFileError::Check);
    }
    Ok(secret)
}

fn check_of(secret: &[u8; 32]) -> String {
    let digest = Sha256::new_with_prefix(CHECK_PREFIX).chain_update(secret).finalize();
    const_hex::encode(&digest[..4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_golden_key_file_reads_back() {
        let golden = include_str!("../../fixtures/vectors/ballot.key");
        let secret = parse(golden).expect("a key");
        assert_eq!(to_text(&secret).as_str(), golden);
    }

    #[test]
    fn damage_is_noticed() {
        let text = to_text(&[7; 32]);
        let digits = &text[..64];
        for (damaged, error) in [
            (String::new(), KeyFileError::Form),
            (text[1..].to_owned(), KeyFileError::Form),
            (format!("x{}", &text[1..]), KeyFileError::Form),
            (format!("1{}", &text[1..]), KeyFileError::Check),
            (digits.to_owned(), KeyFileError::Check),
            (format!("{} more", text.trim_end()), KeyFileError::Check),
        ] {
            assert_eq!(parse(&damaged), Err(error), "{damaged:?}");
        }
    }
}
