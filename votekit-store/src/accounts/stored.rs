//! The stored form of accounts and keys, the same in both engines: rules and columns.

use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;

use super::{Account, EmailAddress, TokenKey};
use crate::Conflict;

/// The largest number that both engines store.
const NUMBER_MAX: u64 = i64::MAX as u64;

/// Maximum length of the id of a token key, in bytes.
const KEY_ID_BYTES_MAX: usize = 64;

impl Account {
    /// Refuses an account that an engine could not store, or would not find again.
    pub(crate) fn check(&self) -> Result<(), Conflict> {
        let rule = if !(1..=EmailAddress::BYTES_MAX).contains(&self.email.len()) {
            "an e-mail address has 1 to 254 bytes"
        } else if self.email.chars().any(|c| c.is_control() || c.is_ascii_uppercase()) {
            "an e-mail address is in lower case, without control characters"
        } else if self.password.as_ref().is_some_and(|hash| hash.contains('\0')) {
            "the hash of a password contains no NUL"
        } else if self.numbers().any(|number| number > NUMBER_MAX) || self.version == NUMBER_MAX {
            "numbers and times are at most 2^63 - 1"
        } else {
            return Ok(());
        };
        Err(Conflict::MalformedAccount { rule })
    }

    fn numbers(&self) -> impl Iterator<Item = u64> {
        let expires = self.invitation.map(|invitation| invitation.expires.0);
        [self.totp_step, self.created.0, self.version].into_iter().chain(expires)
    }
}

impl TokenKey {
    /// Refuses a key that an engine could not store.
    pub(crate) fn check(&self) -> Result<(), Conflict> {
        let rule = if !(1..=KEY_ID_BYTES_MAX).contains(&self.id.len()) {
            "the id of a key has 1 to 64 bytes"
        } else if self.id.chars().any(char::is_control) {
            "the id of a key has no control characters"
        } else {
            return Ok(());
        };
        Err(Conflict::MalformedAccount { rule })
    }
}

/// Whether accounts are stored exactly as offered: the same call was made before.
pub(crate) fn is_repeated_add(offered: &[Account], stored: &[Option<Account>]) -> bool {
    offered.iter().map(Some).eq(stored.iter().map(Option::as_ref))
}

/// A time as a column. A time that needs more than 63 bits is as good as the last one.
pub(crate) fn time_column(time: UnixSeconds) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

/// A checked number as a column.
pub(crate) fn number_column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The digests of recovery codes as one column, one after the other.
pub(crate) fn join_digests(digests: &[Digest]) -> Vec<u8> {
    digests.iter().flat_map(|digest| *digest.as_bytes()).collect()
}

/// Reads a column that [`join_digests`] wrote; `None` for another length.
pub(crate) fn split_digests(bytes: &[u8]) -> Option<Vec<Digest>> {
    let (digests, rest) = bytes.as_chunks::<{ Digest::LENGTH }>();
    rest.is_empty().then(|| digests.iter().copied().map(Digest::from_bytes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_back() {
        let digests = [Digest::compute(b"a"), Digest::compute(b"b")];
        assert_eq!(split_digests(&join_digests(&digests)).as_deref(), Some(&digests[..]));
        assert_eq!(split_digests(&[]), Some(Vec::new()));
        assert_eq!(split_digests(&[0; 33]), None);
    }
}
