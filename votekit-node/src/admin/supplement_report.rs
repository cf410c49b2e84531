//! The changes that a supplement made in one election, credential by credential.
//!
//! The log's leaf only sums up additions, revocations and refusals. Officials need to distinguish
//! whether a refused revocation was of a used code, so that the elector has voted, or of a code
//! that was never sent.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use votekit_core::credential::RegistryKey;
use votekit_core::election_log::RollContent;
use votekit_core::electorate::{Changes, CredentialStatus, Electorate};

/// The changes that a supplement made in one election, or will make when the election is created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SupplementReport {
    /// Credentials added, except those that replace a live one.
    pub added: u64,
    /// Credentials replaced by another.
    pub replaced: u64,
    /// Credentials revoked without being replaced.
    pub revoked: u64,
    /// Revocations refused because the credential had been used. The replacement that belonged to
    /// it was not added.
    pub refused: u64,
    /// Revocations of a credential that was not registered or already revoked.
    pub unknown: u64,
}

impl SupplementReport {
    /// The changes that a supplement will make once its election exists, before any vote; `None`
    /// for a roll.
    pub(crate) fn planned(content: &RollContent) -> Option<Self> {
        let RollContent::Supplement(changes) = content else { return None };
        Some(Self {
            added: (changes.add.len() + changes.readmit.len()) as u64,
            replaced: changes.replace.len() as u64,
            revoked: changes.revoke.len() as u64,
            ..Self::default()
        })
    }
}

/// The credentials that a supplement names, sorted by whether they were live before it.
pub(crate) struct LiveBefore {
    /// Additions whose credential was not live.
    add: Vec<RegistryKey>,
    revoke: Vec<RegistryKey>,
    replace: Vec<RegistryKey>,
    /// The number of revocations whose credential was not live.
    unknown: u64,
}

impl LiveBefore {
    /// Looks up the credentials of a supplement before it takes effect.
    pub(crate) fn new(changes: &Changes, electorate: &Electorate) -> Self {
        let live = |key: &&RegistryKey| is_live(electorate, key);
        let added = changes.add.iter().chain(changes.readmit.iter().map(|(_, new)| new));
        // If the elector has voted with the earlier code, the new code is refused.
        let used: Vec<_> =
            changes.readmit.iter().map(|(old, _)| old).filter(live).copied().collect();
        let revoke: Vec<_> = changes.revoke.iter().filter(live).copied().collect();
        let replaced = changes.replace.iter().map(|(old, _)| old);
        let mut replace: Vec<_> = replaced.filter(live).copied().collect();
        let named = changes.revoke.len() + changes.replace.len();
        let unknown = (named - revoke.len() - replace.len()) as u64;
        replace.extend(used);
        Self { add: added.filter(|key| !live(key)).copied().collect(), unknown, revoke, replace }
    }

    /// Compares with the status of the credentials afterwards. Votes cast in between do not matter:
    /// they revoke nothing.
    pub(crate) fn compare(&self, electorate: &Electorate) -> SupplementReport {
        let count = |keys: &[RegistryKey], live: bool| {
            keys.iter().filter(|key| is_live(electorate, key) == live).count() as u64
        };
        SupplementReport {
            added: count(&self.add, true),
            replaced: count(&self.replace, false),
            revoked: count(&self.revoke, false),
            refused: count(&self.replace, true) + count(&self.revoke, true),
            unknown: self.unknown,
        }
    }
}

/// Registered and not revoked, used or not.
fn is_live(electorate: &Electorate, key: &RegistryKey) -> bool {
    matches!(electorate.look_up(key), CredentialStatus::First | CredentialStatus::Again { .. })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use votekit_core::electorate::KeyList;

    use super::*;

    fn key(byte: u8) -> RegistryKey {
        RegistryKey::from_bytes([byte; 32])
    }

    #[test]
    fn a_used_code_is_refused_and_a_code_never_sent_is_unknown() {
        let mut electorate = Electorate::default();
        let keys = KeyList::new((1..=6).map(key).collect()).expect("ascending");
        electorate.add_roll(Arc::new(keys)).expect("few");
        electorate.attempt(&key(2));
        electorate.attempt(&key(4));
        let changes = Changes {
            add: vec![key(10), key(6)],
            revoke: vec![key(1), key(2), key(20)],
            replace: vec![(key(3), key(11)), (key(4), key(12)), (key(21), key(13))],
            readmit: vec![],
        };
        let before = LiveBefore::new(&changes, &electorate);
        electorate.apply(&changes);
        assert_eq!(
            before.compare(&electorate),
            SupplementReport { added: 1, replaced: 1, revoked: 1, refused: 2, unknown: 2 }
        );
        // A second time only refusals are left.
        let before = LiveBefore::new(&changes, &electorate);
        electorate.apply(&changes);
        assert_eq!(
            before.compare(&electorate),
            SupplementReport { refused: 2, unknown: 4, ..SupplementReport::default() }
        );
        // A new code for an elector whose code was revoked earlier is an addition, unless the old
        // code was used: then the new code is refused.
        let readmit =
            Changes { readmit: vec![(key(1), key(14)), (key(2), key(15))], ..Changes::default() };
        let before = LiveBefore::new(&readmit, &electorate);
        electorate.apply(&readmit);
        assert_eq!(
            before.compare(&electorate),
            SupplementReport { added: 1, refused: 1, ..SupplementReport::default() }
        );
    }
}
