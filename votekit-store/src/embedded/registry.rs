//! The registry of one process: the rolls as loaded, and a 32-bit word for each elector.
//!
//! The word identifies the request that first used the credential ([`FirstUse`]). Nothing is
//! written to disk: accepted votes are restored from the log.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::{RwLock, RwLockWriteGuard};
use votekit_core::credential::RegistryKey;
use votekit_core::electorate::{Changes, KeyList};
use votekit_core::id::ElectionId;

use crate::{EngineError, FirstUse, Hint, KnownElectors, Mark, Registry, RollOrigin};

const ENGINE: &str = "the embedded registry";

/// The maximum number of further requests that are stored for one credential. All later ones share
/// the next attempt number, so that endless attempts cannot fill the memory.
const DUPLICATES_MAX: usize = 1000;

/// The in-memory registry of one process.
#[derive(Default)]
pub struct EmbeddedRegistry {
    elections: RwLock<HashMap<ElectionId, Arc<RwLock<Credentials>>>>,
}

#[derive(Default)]
struct Credentials {
    segments: Vec<Segment>,
    /// Requests after the first, by credential. The index of a request is its attempt number minus
    /// 2.
    duplicates: HashMap<RegistryKey, Vec<FirstUse>>,
    registered: u64,
}

/// The keys of one roll, or those that one supplement added, each with its word.
struct Segment {
    keys: Arc<KeyList>,
    words: Vec<FirstUse>,
}

impl EmbeddedRegistry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn find(&self, law_id: &ElectionId) -> Option<Arc<RwLock<Credentials>>> {
        self.elections.read().get(law_id).map(Arc::clone)
    }

    fn find_or_create(&self, law_id: &ElectionId) -> Arc<RwLock<Credentials>> {
        let mut elections = self.elections.write();
        Arc::clone(elections.entry(law_id.clone()).or_default())
    }

    /// Changes an election on a blocking thread: a roll may have millions of keys.
    async fn change(
        &self,
        law_id: &ElectionId,
        change: impl FnOnce(&mut Credentials) + Send + 'static,
    ) -> Result<(), EngineError> {
        let credentials = self.find_or_create(law_id);
        tokio::task::spawn_blocking(move || change(&mut lock(&credentials))).await.map_err(
            |error| EngineError::OutcomeUnknown { engine: ENGINE, reason: error.to_string() },
        )
    }
}

#[async_trait]
impl Registry for EmbeddedRegistry {
    async fn add_roll(&self, law_id: &ElectionId, keys: &Arc<KeyList>) -> Result<(), EngineError> {
        let keys = Arc::clone(keys);
        self.change(law_id, move |credentials| credentials.add_roll(keys)).await
    }

    async fn apply(&self, law_id: &ElectionId, changes: &Changes) -> Result<(), EngineError> {
        let changes = changes.clone();
        self.change(law_id, move |credentials| credentials.apply(&changes)).await
    }

    async fn mark(&self, law_id: &ElectionId, marks: &[Mark]) -> Result<Vec<Hint>, EngineError> {
        let Some(credentials) = self.find(law_id) else {
            return Ok(vec![Hint::Unknown; marks.len()]);
        };
        let mut credentials = lock(&credentials);
        Ok(marks.iter().map(|mark| credentials.mark(mark)).collect())
    }

    async fn is_registered(
        &self,
        law_id: &ElectionId,
        key: &RegistryKey,
    ) -> Result<bool, EngineError> {
        let Some(credentials) = self.find(law_id) else { return Ok(false) };
        let first_use = credentials.read().look_up(key);
        Ok(first_use.is_some_and(|first_use| first_use != FirstUse::REVOKED))
    }

    /// Blocks while a batch is marked or a supplement is applied: about a millisecond.
    fn peek(&self, law_id: &ElectionId, mark: &Mark) -> Option<Hint> {
        let Some(credentials) = self.find(law_id) else { return Some(Hint::Unknown) };
        let credentials = credentials.read();
        Some(match credentials.look_up(&mark.key) {
            None => Hint::Unknown,
            Some(FirstUse::REVOKED) => Hint::Revoked,
            Some(FirstUse::UNUSED) => Hint::Accepted,
            Some(first) if first == FirstUse::by(&mark.request) => Hint::Accepted,
            Some(_) => Hint::Duplicate { attempt: 2 },
        })
    }

    fn surely_unused(&self, law_id: &ElectionId, mark: &Mark) -> bool {
        self.find(law_id).is_some_and(|credentials| {
            let credentials = credentials.read();
            credentials.look_up(&mark.key) == Some(FirstUse::UNUSED)
        })
    }

    async fn restore_all(
        &self,
        law_id: &ElectionId,
        electors: Vec<KnownElectors>,
        _origin: Option<&RollOrigin>,
    ) -> Result<(), EngineError> {
        self.change(law_id, move |credentials| *credentials = Credentials::from_electors(electors))
            .await
    }

    async fn registered(&self, law_id: &ElectionId) -> Result<u64, EngineError> {
        Ok(self.find(law_id).map_or(0, |credentials| lock(&credentials).registered))
    }

    async fn ping(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

impl Credentials {
    fn from_electors(electors: Vec<KnownElectors>) -> Self {
        let registered = |uses: &[FirstUse]| {
            uses.iter().filter(|used| **used != FirstUse::REVOKED).count() as u64
        };
        Self {
            registered: electors.iter().map(|list| registered(&list.uses)).sum(),
            segments: electors
                .into_iter()
                .map(|list| Segment { keys: list.keys, words: list.uses })
                .collect(),
            duplicates: HashMap::new(),
        }
    }

    fn add_roll(&mut self, keys: Arc<KeyList>) {
        if self.segments.is_empty() {
            return self.push(keys);
        }
        if self.segments.iter().any(|segment| Arc::ptr_eq(&segment.keys, &keys)) {
            return;
        }
        let new: Vec<RegistryKey> =
            keys.keys().iter().filter(|key| self.find(key).is_none()).copied().collect();
        if new.len() == keys.len() {
            self.push(keys);
        } else {
            self.push_sorted(new);
        }
    }

    /// Applies a supplement in the order that the log prescribes: replacements, revocations,
    /// additions.
    fn apply(&mut self, changes: &Changes) {
        let mut additions = changes.add.clone();
        for (old, new) in &changes.replace {
            if self.revoke(old) {
                additions.push(*new);
            }
        }
        for (old, new) in &changes.readmit {
            if self.find(old).is_some_and(|word| *word == FirstUse::REVOKED) {
                additions.push(*new);
            }
        }
        for old in &changes.revoke {
            self.revoke(old);
        }
        additions.sort_unstable();
        additions.dedup();
        // Adding a revoked key registers it again in its old segment. Adding a registered key
        // changes nothing.
        additions.retain(|key| match self.find(key) {
            Some(word) if *word == FirstUse::REVOKED => {
                *word = FirstUse::UNUSED;
                self.registered += 1;
                false
            }
            found => found.is_none(),
        });
        self.push_sorted(additions);
    }

    fn mark(&mut self, mark: &Mark) -> Hint {
        let tag = FirstUse::by(&mark.request);
        match self.find(&mark.key) {
            None => return Hint::Unknown,
            Some(word) if *word == FirstUse::REVOKED => return Hint::Revoked,
            Some(word) if *word == FirstUse::UNUSED => {
                *word = tag;
                return Hint::Accepted;
            }
            Some(word) if *word == tag => return Hint::Accepted,
            Some(_) => {}
        }
        let duplicates = self.duplicates.entry(mark.key).or_default();
        let index =
            duplicates.iter().position(|duplicate| *duplicate == tag).unwrap_or_else(|| {
                if duplicates.len() < DUPLICATES_MAX {
                    duplicates.push(tag);
                    return duplicates.len() - 1;
                }
                duplicates.len()
            });
        Hint::Duplicate { attempt: u32::try_from(index).unwrap_or(u32::MAX - 2) + 2 }
    }

    fn revoke(&mut self, key: &RegistryKey) -> bool {
        match self.find(key) {
            Some(word) if *word == FirstUse::UNUSED => {
                *word = FirstUse::REVOKED;
                self.registered -= 1;
                true
            }
            _ => false,
        }
    }

    fn find(&mut self, key: &RegistryKey) -> Option<&mut FirstUse> {
        self.segments.iter_mut().find_map(|segment| {
            let index = segment.keys.find(key)?;
            segment.words.get_mut(index)
        })
    }

    fn look_up(&self, key: &RegistryKey) -> Option<FirstUse> {
        self.segments.iter().find_map(|segment| segment.words.get(segment.keys.find(key)?).copied())
    }

    fn push_sorted(&mut self, keys: Vec<RegistryKey>) {
        if !keys.is_empty() {
            self.push(Arc::new(
                KeyList::new(keys).expect("the keys were taken in ascending order"),
            ));
        }
    }

    fn push(&mut self, keys: Arc<KeyList>) {
        self.registered += keys.len() as u64;
        self.segments.push(Segment { words: vec![FirstUse::UNUSED; keys.len()], keys });
    }
}

impl fmt::Debug for EmbeddedRegistry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elections = self.elections.read().len();
        write!(formatter, "EmbeddedRegistry({elections} elections)")
    }
}

fn lock(credentials: &RwLock<Credentials>) -> RwLockWriteGuard<'_, Credentials> {
    credentials.write()
}

#[cfg(test)]
mod tests {
    use votekit_core::id::RequestId;

    use super::*;

    fn request(number: u32) -> RequestId {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        RequestId::from_bytes(bytes)
    }

    #[test]
    fn no_tag_is_taken_for_a_state() {
        for number in [0, 1, u32::MAX - 1, u32::MAX] {
            assert!(
                ![FirstUse::UNUSED, FirstUse::REVOKED].contains(&FirstUse::by(&request(number)))
            );
        }
    }

    #[test]
    fn attempts_without_end_fill_no_memory() {
        let key = RegistryKey::from_bytes([1; 32]);
        let mut credentials = Credentials::default();
        credentials.add_roll(Arc::new(KeyList::new(vec![key]).expect("one key")));
        let last = u32::try_from(DUPLICATES_MAX).expect("small") + 2;
        for attempt in 1..=last + 10 {
            let expected = match attempt {
                1 => Hint::Accepted,
                attempt => Hint::Duplicate { attempt: attempt.min(last) },
            };
            assert_eq!(credentials.mark(&Mark { key, request: request(attempt) }), expected);
        }
        assert_eq!(credentials.duplicates[&key].len(), DUPLICATES_MAX);
    }
}
