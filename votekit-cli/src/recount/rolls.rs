//! Who was registered when: applies the rolls of the log again, by the recount's own rules
//! (`docs/formats.md`, section 6).
//!
//! Registry keys are compared by their first 16 bytes: 128 MiB for eight million electors.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

/// The first 16 bytes of a registry key.
pub(crate) type Key = [u8; 16];

/// The rows that a roll leaf contributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RollRows {
    /// The keys of a roll.
    Roll(Vec<Key>),
    /// The changes of a supplement; `replace` has pairs of a revoked and an added key.
    Supplement {
        /// Keys added on their own.
        add: Vec<Key>,
        /// Keys revoked on their own.
        revoke: Vec<Key>,
        /// Keys revoked, each with the key that replaces it.
        replace: Vec<(Key, Key)>,
        /// Keys revoked earlier, each with the key to add if it was in fact revoked.
        readmit: Vec<(Key, Key)>,
    },
}

/// Returns the first 16 bytes of a key.
pub(crate) fn shorten(key: &[u8; 32]) -> Key {
    *key.first_chunk().expect("16 of 32 bytes")
}

/// The rolls that the log has loaded so far.
#[derive(Default)]
pub(super) struct Rolls {
    is_keyed: bool,
    /// Ascending.
    root: Vec<Key>,
    supplements: Vec<(u32, RollRows)>,
    /// Number of roll leaves read, and number of those whose rows are available.
    named: u64,
    at_hand: u64,
}

impl Rolls {
    /// Loads a roll leaf: its line, whether it is a roll, its scheme, and its rows if available. A
    /// roll replaces all rolls and supplements before it.
    pub(super) fn load(
        &mut self,
        line: u32,
        is_root: bool,
        is_keyed: bool,
        rows: Option<RollRows>,
    ) {
        if is_root {
            *self = Self { is_keyed, ..Self::default() };
        }
        self.named += 1;
        self.at_hand += u64::from(rows.is_some());
        match rows {
            Some(RollRows::Roll(mut keys)) => {
                keys.sort_unstable();
                self.root = keys;
            }
            Some(supplement) => self.supplements.push((line, supplement)),
            None => {}
        }
    }

    /// Computes the registry key of a credential hash.
    pub(super) fn key_of(&self, hash: &[u8; 32]) -> Key {
        if self.is_keyed { shorten(&Sha256::digest(hash).into()) } else { shorten(hash) }
    }

    /// Applies the supplements in order. `accepted` returns the line of the accepted vote of a key.
    /// Returns `None` if the rows of a roll are not available.
    pub(super) fn apply(self, accepted: impl Fn(&Key) -> Option<u32>) -> Option<StatusHistory> {
        if self.named == 0 || self.named != self.at_hand {
            return None;
        }
        let mut statuses = StatusHistory { root: self.root, changes: HashMap::new() };
        for (line, supplement) in self.supplements {
            let RollRows::Supplement { add, revoke, replace, readmit } = supplement else {
                continue;
            };
            // A credential that voted before this line cannot be revoked.
            let used = |key: &Key| accepted(key).is_some_and(|vote| vote < line);
            let mut additions = add;
            let readmitted =
                readmit.iter().filter(|(old, _)| statuses.latest(old) == CredentialStatus::Revoked);
            additions.extend(readmitted.map(|(_, new)| *new));
            for (old, new) in replace {
                if statuses.revoke(line, old, &used) {
                    additions.push(new);
                }
            }
            for old in revoke {
                statuses.revoke(line, old, &used);
            }
            for new in additions {
                if statuses.latest(&new) != CredentialStatus::Live {
                    statuses.changes.entry(new).or_default().push((line, CredentialStatus::Live));
                }
            }
        }
        Some(statuses)
    }
}

/// Status of a credential in the electorate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CredentialStatus {
    /// Never registered.
    Unknown,
    Live,
    Revoked,
}

/// Status of each credential at each line of the log.
pub(super) struct StatusHistory {
    root: Vec<Key>,
    /// Lines at which the status of a credential changed, ascending.
    changes: HashMap<Key, Vec<(u32, CredentialStatus)>>,
}

impl StatusHistory {
    /// Returns the status of a credential at a line.
    pub(super) fn at(&self, key: &Key, line: u32) -> CredentialStatus {
        let changes = self.changes.get(key).into_iter().flatten();
        changes.take_while(|(changed, _)| *changed < line).last().map_or_else(
            || match self.root.binary_search(key) {
                Ok(_) => CredentialStatus::Live,
                Err(_) => CredentialStatus::Unknown,
            },
            |(_, standing)| *standing,
        )
    }

    fn latest(&self, key: &Key) -> CredentialStatus {
        self.at(key, u32::MAX)
    }

    /// Revokes a live credential that has not been used; returns whether it did.
    fn revoke(&mut self, line: u32, key: Key, used: &impl Fn(&Key) -> bool) -> bool {
        let may = self.latest(&key) == CredentialStatus::Live && !used(&key);
        if may {
            self.changes.entry(key).or_default().push((line, CredentialStatus::Revoked));
        }
        may
    }
}
