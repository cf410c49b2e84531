//! The electorate in memory: the sorted registry keys of one election, and a 32-bit word per
//! elector.
//!
//! Keys stay sorted as in the shards; a small table over their leading bits finds a key in one or
//! two steps. An elector takes 36 bytes.
//!
//! [`PendingAttempts`] stores the attempts of a block that is not durable yet, and leaves the
//! electorate unchanged.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use crate::credential::RegistryKey;

// The word of an elector: two flags above the count of attempts.
const ACCEPTED: u32 = 1 << 31;
const REVOKED: u32 = 1 << 30;
const ATTEMPTS: u32 = REVOKED - 1;

/// The count of attempts of a credential stops here.
pub const ATTEMPTS_MAX: u32 = ATTEMPTS;

/// The most electors of one election: the index of decided requests uses one bit of 32 as a flag.
const ELECTORS_MAX: usize = (1 << 31) - 1;

/// The status of a credential when it makes an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialStatus {
    /// No roll holds it.
    Unknown,
    /// It was revoked.
    Revoked,
    /// It votes for the first time.
    First,
    /// It has voted before.
    Again {
        /// Attempt number, from 2.
        attempt: u32,
    },
}

/// The index of an elector in an election, from 0: list by list, and in each list in the order of
/// its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Elector(pub u32);

/// The changes of a supplement to one election.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys to add.
    pub add: Vec<RegistryKey>,
    /// Keys to revoke.
    pub revoke: Vec<RegistryKey>,
    /// Keys to revoke, each with the key that replaces it: both or neither.
    pub replace: Vec<(RegistryKey, RegistryKey)>,
    /// Pairs of a key that an earlier supplement revoked and a key to add: added only if the first
    /// is revoked, since a revocation is refused once the key was used.
    pub readmit: Vec<(RegistryKey, RegistryKey)>,
}

impl From<&crate::shard::Changes> for Changes {
    /// Copies the lists of a change file.
    fn from(file: &crate::shard::Changes) -> Self {
        Self {
            add: file.add().to_vec(),
            revoke: file.revoke().to_vec(),
            replace: file.replace().to_vec(),
            readmit: file.readmit().to_vec(),
        }
    }
}

/// The result of a supplement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangesApplied {
    /// Keys added.
    pub added: u64,
    /// Keys revoked.
    pub revoked: u64,
    /// Revocations refused because the credential was spent already, or was never registered.
    pub refused: u64,
}

impl fmt::Display for ChangesApplied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, revoked, refused } = self;
        write!(formatter, "{added} added, {revoked} revoked, {refused} refused")
    }
}

/// The registered credentials of one election and their states, or only their number.
///
/// Cloning shares the keys and copies the words: 4 bytes per elector.
#[derive(Clone, Default)]
pub struct Electorate {
    segments: Vec<(u32, Arc<KeyList>)>,
    states: Vec<u32>,
    registered: u64,
    voted: u64,
}

/// One sorted list of keys: a roll, or the additions of one supplement. Made once and shared.
pub struct KeyList {
    keys: Vec<RegistryKey>,
    /// The index of the first key with each value of the leading bits; one more item than values.
    starts: Vec<u32>,
    /// The right shift of a key's first 32 bits that gives the leading bits.
    shift: u32,
}

/// Why keys do not form a roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ElectorateError {
    /// Keys must ascend, without repetition.
    #[error("registry key {position} not ascending")]
    Order {
        /// The first key that does not follow, from 0.
        position: usize,
    },
    /// More electors than an index of 31 bits can name.
    #[error("{count} electors, over 31 bits")]
    TooMany {
        /// Electors in all.
        count: usize,
    },
}

impl Electorate {
    /// An electorate of which only the size is known, for a log that is followed and not decided:
    /// it finds no credential.
    #[must_use]
    pub fn counted(registered: u64) -> Self {
        Self { registered, ..Self::default() }
    }

    /// Adds a roll's keys.
    ///
    /// # Errors
    /// [`ElectorateError::TooMany`]; nothing is added then.
    pub fn add_roll(&mut self, keys: Arc<KeyList>) -> Result<(), ElectorateError> {
        let count = self.states.len() + keys.len();
        if count > ELECTORS_MAX {
            return Err(ElectorateError::TooMany { count });
        }
        self.registered += keys.len() as u64;
        self.push_segment(keys);
        Ok(())
    }

    /// Applies a supplement: replacements, then revocations, then additions. A spent credential
    /// cannot be revoked, and its replacement is then not added; nor is a readmission whose earlier
    /// key is not revoked. A registered key is not added twice; a revoked key that is added again
    /// is registered again.
    pub fn apply(&mut self, changes: &Changes) -> ChangesApplied {
        let mut applied = ChangesApplied::default();
        let mut additions = Vec::with_capacity(changes.add.len() + changes.replace.len());
        for (old, new) in &changes.replace {
            if self.revoke(old) {
                applied.revoked += 1;
                additions.push(*new);
            } else {
                applied.refused += 1;
            }
        }
        for old in &changes.revoke {
            if self.revoke(old) {
                applied.revoked += 1;
            } else {
                applied.refused += 1;
            }
        }
        let readmitted = changes.readmit.iter().filter(|(old, _)| self.is_revoked(old));
        additions.extend(readmitted.map(|(_, new)| new));
        additions.extend_from_slice(&changes.add);
        additions.sort_unstable();
        additions.dedup();
        // A revoked key keeps its elector: only the flag is cleared.
        additions.retain(|key| match self.find(key) {
            Some(Elector(elector)) if self.states[elector as usize] & REVOKED != 0 => {
                self.states[elector as usize] &= !REVOKED;
                applied.added += 1;
                false
            }
            Some(_) => false,
            None => true,
        });
        applied.added += additions.len() as u64;
        if !additions.is_empty() {
            self.push_segment(Arc::new(KeyList::indexed(additions)));
        }
        self.registered = self.registered + applied.added - applied.revoked;
        applied
    }

    /// Records an attempt: marks the first attempt as accepted, and counts later attempts.
    pub fn attempt(&mut self, key: &RegistryKey) -> CredentialStatus {
        self.find(key).map_or(CredentialStatus::Unknown, |elector| self.record_attempt(elector))
    }

    /// Records an attempt of an elector that was found now or earlier. An elector out of range is
    /// unknown.
    pub fn record_attempt(&mut self, elector: Elector) -> CredentialStatus {
        let Some(state) = self.states.get_mut(elector.0 as usize) else {
            return CredentialStatus::Unknown;
        };
        let status;
        (status, *state) = attempt(*state);
        self.voted += u64::from(status == CredentialStatus::First);
        status
    }

    /// Applies attempts that were recorded separately from this electorate.
    pub fn apply_attempts(&mut self, pending: &PendingAttempts) {
        for (elector, word) in &pending.words {
            self.states[elector.0 as usize] = *word;
        }
        self.voted += pending.voted;
    }

    /// The status that the credential would have if it made an attempt now. Changes nothing.
    #[must_use]
    pub fn look_up(&self, key: &RegistryKey) -> CredentialStatus {
        match self.find(key).map(|elector| self.states[elector.0 as usize]) {
            None => CredentialStatus::Unknown,
            Some(state) if state & REVOKED != 0 => CredentialStatus::Revoked,
            Some(state) if state & ACCEPTED == 0 => CredentialStatus::First,
            Some(state) => {
                CredentialStatus::Again { attempt: ((state & ATTEMPTS) + 1).min(ATTEMPTS) }
            }
        }
    }

    /// Whether a key was registered and is revoked.
    #[must_use]
    pub fn is_revoked(&self, key: &RegistryKey) -> bool {
        self.look_up(key) == CredentialStatus::Revoked
    }

    /// The elector with a key, registered or revoked.
    #[must_use]
    pub fn find(&self, key: &RegistryKey) -> Option<Elector> {
        // No list has 2^32 keys: see `push_segment`.
        self.segments.iter().find_map(|(first, keys)| Some(Elector(first + keys.find(key)? as u32)))
    }

    /// The lists of keys, each with the first elector in it: ascending, without gaps.
    pub fn lists(&self) -> impl Iterator<Item = (Elector, &Arc<KeyList>)> {
        self.segments.iter().map(|(first, keys)| (Elector(*first), keys))
    }

    /// The electors whose credentials are revoked.
    pub fn revoked(&self) -> impl Iterator<Item = Elector> {
        self.states
            .iter()
            .zip(0..)
            .filter(|(state, _)| **state & REVOKED != 0)
            .map(|(_, elector)| Elector(elector))
    }

    /// Electors registered: loaded and added, less revoked.
    #[must_use]
    pub fn registered(&self) -> u64 {
        self.registered
    }

    /// Electors whose vote is accepted.
    #[must_use]
    pub fn voted(&self) -> u64 {
        self.voted
    }

    fn revoke(&mut self, key: &RegistryKey) -> bool {
        match self.find(key) {
            Some(Elector(elector)) if self.states[elector as usize] & (ACCEPTED | REVOKED) == 0 => {
                self.states[elector as usize] |= REVOKED;
                true
            }
            _ => false,
        }
    }

    fn push_segment(&mut self, keys: Arc<KeyList>) {
        let first_elector =
            u32::try_from(self.states.len()).expect("add_roll keeps the count below 2^32");
        self.states.resize(self.states.len() + keys.len(), 0);
        self.segments.push((first_elector, keys));
    }
}

impl fmt::Debug for Electorate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Electorate({} registered, {} voted)", self.registered, self.voted)
    }
}

/// Applies an attempt to an elector's word. Returns the credential's status and the new word.
fn attempt(word: u32) -> (CredentialStatus, u32) {
    if word & REVOKED != 0 {
        return (CredentialStatus::Revoked, word);
    }
    // The count stops at its maximum: it must not run into the flags above it.
    let counted = if word & ATTEMPTS < ATTEMPTS { word + 1 } else { word };
    if word & ACCEPTED == 0 {
        return (CredentialStatus::First, counted | ACCEPTED);
    }
    (CredentialStatus::Again { attempt: counted & ATTEMPTS }, counted)
}

/// Attempts that are not applied to their electorate yet.
#[derive(Debug, Default)]
pub struct PendingAttempts {
    /// The new word of each elector that made an attempt.
    words: HashMap<Elector, u32, BuildHasherDefault<ElectorHasher>>,
    voted: u64,
}

/// The hash of an elector's index. A keyed hash is not needed: keys are sorted, and no voter
/// chooses an index.
#[derive(Debug, Default)]
struct ElectorHasher(u64);

impl Hasher for ElectorHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32((*byte).into()));
    }

    fn write_u32(&mut self, number: u32) {
        // 2^64 divided by the golden ratio: spreads consecutive indexes over all bits (Knuth, The
        // Art of Computer Programming, volume 3, section 6.4).
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl PendingAttempts {
    /// Whether no attempt is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Records an attempt as [`Electorate::record_attempt`] does, without changing the electorate.
    pub fn record_attempt(
        &mut self,
        electorate: &Electorate,
        elector: Elector,
    ) -> CredentialStatus {
        let Some(applied) = electorate.states.get(elector.0 as usize) else {
            return CredentialStatus::Unknown;
        };
        let word = self.words.entry(elector).or_insert(*applied);
        let status;
        (status, *word) = attempt(*word);
        self.voted += u64::from(status == CredentialStatus::First);
        status
    }
}

impl KeyList {
    /// Makes a list from ascending keys.
    ///
    /// # Errors
    /// [`ElectorateError::Order`] when they do not ascend, or a key is repeated.
    pub fn new(keys: Vec<RegistryKey>) -> Result<Self, ElectorateError> {
        match keys.windows(2).position(|pair| pair[0] >= pair[1]) {
            Some(position) => Err(ElectorateError::Order { position: position + 1 }),
            None => Ok(Self::indexed(keys)),
        }
    }

    /// Chooses the leading bits so that about four keys share a value.
    fn indexed(keys: Vec<RegistryKey>) -> Self {
        let bits = (keys.len() / 4).next_power_of_two().trailing_zeros().clamp(1, 24);
        let shift = 32 - bits;
        let mut starts = vec![0_u32; (1 << bits) + 1];
        // Each key is counted one item later, so that the running sums are the starts.
        for key in &keys {
            starts[leading(key, shift) + 1] += 1;
        }
        for value in 1..starts.len() {
            starts[value] += starts[value - 1];
        }
        Self { keys, starts, shift }
    }

    /// The index of a key in the list, from 0.
    #[must_use]
    pub fn find(&self, key: &RegistryKey) -> Option<usize> {
        let value = leading(key, self.shift);
        let (start, end) = (self.starts[value] as usize, self.starts[value + 1] as usize);
        self.keys[start..end].binary_search(key).ok().map(|index| start + index)
    }

    /// The keys, ascending.
    #[must_use]
    pub fn keys(&self) -> &[RegistryKey] {
        &self.keys
    }

    /// Keys in the list.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl fmt::Debug for KeyList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyList({} keys)", self.keys.len())
    }
}

fn leading(key: &RegistryKey, shift: u32) -> usize {
    let [first, second, third, fourth, ..] = *key.as_bytes();
    (u32::from_be_bytes([first, second, third, fourth]) >> shift) as usize
}

#[cfg(test)]
#[path = "electorate_test.rs"]
mod tests;
