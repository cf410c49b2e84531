//! The credential hash of a member: in an election of the members of an association, an account
//! replaces NAS and access code.
//!
//! H = HMAC-SHA-256(members' key, `votekit-member/1` LF account id LF law id), T = SHA-256(H). The
//! members' key is generated at random for one election and is never a pepper. Its messages differ
//! from those of credentials in their first byte, which is a digit in the messages of credentials.

use hmac::Mac as _;
use zeroize::Zeroizing;

use super::{CredentialHash, CredentialHasher, Pepper};
use crate::id::ElectionId;

const DOMAIN: &[u8] = b"votekit-member/1\n";

/// Bytes of an account's id.
const ACCOUNT_BYTES: usize = 16;

impl CredentialHasher {
    /// Hashes the accounts of members under the members' key of one election.
    #[must_use]
    pub fn for_members(key: &Pepper) -> Self {
        Self { is_of_members: true, ..Self::peppered(key) }
    }

    /// Whether the electors are members with accounts.
    #[must_use]
    pub fn is_of_members(&self) -> bool {
        self.is_of_members
    }

    /// H of a member, by the id of the account. `None` under a pepper, and without a key.
    ///
    /// ```
    /// use votekit_core::credential::{CredentialHasher, Pepper};
    /// let key = Pepper::from_bytes([7; 32]);
    /// let law = "L2025-001".parse()?;
    /// assert!(CredentialHasher::for_members(&key).member_hash(&[1; 16], &law).is_some());
    /// assert!(CredentialHasher::peppered(&key).member_hash(&[1; 16], &law).is_none());
    /// # Ok::<(), votekit_core::id::IdError>(())
    /// ```
    #[must_use]
    pub fn member_hash(
        &self,
        account: &[u8; ACCOUNT_BYTES],
        law_id: &ElectionId,
    ) -> Option<CredentialHash> {
        let keyed = self.keyed.as_ref().filter(|_| self.is_of_members)?;
        let mut digits = Zeroizing::new([0; 2 * ACCOUNT_BYTES]);
        const_hex::encode_to_slice(account, digits.as_mut_slice()).ok()?;
        let mac = keyed
            .clone()
            .chain_update(DOMAIN)
            .chain_update(digits.as_slice())
            .chain_update(b"\n")
            .chain_update(law_id.as_str());
        Some(CredentialHash::from_bytes(mac.finalize().into_bytes().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::{AccessCode, Nas};

    fn law(text: &str) -> ElectionId {
        text.parse().expect("a law id")
    }

    #[test]
    fn members_differ_by_account_law_and_key() {
        let hasher = |byte| CredentialHasher::for_members(&Pepper::from_bytes([byte; 32]));
        let hash = |byte, account, law_id| {
            hasher(byte).member_hash(&[account; 16], &law(law_id)).expect("under a members' key")
        };
        let first = hash(7, 1, "L1");
        assert_eq!(hash(7, 1, "L1"), first);
        for other in [hash(7, 2, "L1"), hash(7, 1, "L2"), hash(8, 1, "L1")] {
            assert_ne!(other, first);
        }
    }

    /// Under one key no credential has the hash of a member: the first byte of a credential's
    /// message is a digit.
    #[test]
    fn the_domains_of_members_and_credentials_are_apart() {
        assert!(!DOMAIN[0].is_ascii_digit());
        let key = Pepper::from_bytes([7; 32]);
        let (members, credentials) =
            (CredentialHasher::for_members(&key), CredentialHasher::peppered(&key));
        let nas = Nas::parse(b"012345678").expect("nine digits");
        let code = AccessCode::parse(b"ABCD2345").expect("a code");
        let of_credential = members.hash_parts(&nas, &code, &law("L1"));
        assert_eq!(of_credential, credentials.hash_parts(&nas, &code, &law("L1")));
        assert_ne!(members.member_hash(&[1; 16], &law("L1")), Some(of_credential));
        assert_eq!(credentials.member_hash(&[1; 16], &law("L1")), None);
        assert_eq!(CredentialHasher::plain().member_hash(&[1; 16], &law("L1")), None);
    }
}
