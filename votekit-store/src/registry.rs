//! The registry: which request each credential came with first. A hint for speed, never the truth.

use std::sync::Arc;

use async_trait::async_trait;
use votekit_core::credential::{HashScheme, RegistryKey};
use votekit_core::electorate::{Changes, KeyList};
use votekit_core::id::{Digest, ElectionId, RequestId};
use votekit_core::manifest::{Manifest, PepperMarks};

use crate::EngineError;

/// One envelope to be marked: its registry key and its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// T of the credential.
    pub key: RegistryKey,
    /// The request it came with.
    pub request: RequestId,
}

/// By which request a credential was first used, shortened to 32 bits.
///
/// Two requests of one credential may share a tag, once in some four thousand million: the second
/// is then expected to be accepted, and the log says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstUse(pub(crate) u32);

impl FirstUse {
    /// It was not used.
    pub const UNUSED: Self = Self(0);
    /// It was revoked.
    pub const REVOKED: Self = Self(u32::MAX);

    /// The first 32 bits of a request, moved away from the two words that mean something else.
    #[must_use]
    pub fn by(request: &RequestId) -> Self {
        let [first, second, third, fourth, ..] = *request.as_bytes();
        Self(u32::from_be_bytes([first, second, third, fourth]).clamp(1, u32::MAX - 1))
    }
}

/// Where credentials come from: what must agree before a registry takes more of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollOrigin {
    /// The manifest.
    pub manifest: Digest,
    /// How credentials are hashed.
    pub scheme: HashScheme,
    /// The pepper's marks, when they are hashed under one.
    pub pepper: Option<PepperMarks>,
}

impl RollOrigin {
    /// As a manifest tells.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let body = manifest.body();
        Self { manifest: manifest.digest(), scheme: body.scheme, pepper: body.pepper }
    }

    /// Scheme and pepper in one word: what a registry keeps to tell its own credentials from
    /// others.
    #[must_use]
    pub fn scheme_word(&self) -> String {
        match (&self.scheme, &self.pepper) {
            (HashScheme::Sha256, _) => "sha256".to_owned(),
            (HashScheme::HmacSha256, None) => "hmac-sha256".to_owned(),
            (HashScheme::HmacSha256, Some(pepper)) => {
                format!("hmac-sha256 {} {}", pepper.id, pepper.check)
            }
        }
    }
}

/// The electors of one list, with the first use of each credential that the log tells: one for each
/// key.
#[derive(Debug, Clone)]
pub struct KnownElectors {
    /// The list.
    pub keys: Arc<KeyList>,
    /// In the order of the keys.
    pub uses: Vec<FirstUse>,
}

/// What to expect of an envelope, as far as the registry knows. The log decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// The credential came for the first time, or again with the request that came first.
    Accepted,
    /// Another request came first.
    Duplicate {
        /// The how-manieth attempt this is: from 2.
        attempt: u32,
    },
    /// The credential was revoked.
    Revoked,
    /// No roll holds the credential.
    Unknown,
}

/// The fast answer: which request each credential came with first.
///
/// Marking is atomic for each envelope and idempotent for each request: marking the same request
/// again gives the same expectation and counts no attempt.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Says how the credentials of an election are hashed, before any is looked for: a node that
    /// starts holds its log's last roll against the registry. One that outlives its process refuses
    /// another hashing than its own as [`EngineError::Misconfigured`], since it would call every
    /// voter unknown.
    async fn check_origin(
        &self,
        _law_id: &ElectionId,
        _origin: &RollOrigin,
    ) -> Result<(), EngineError> {
        Ok(())
    }

    /// Asks whether so many electors of a roll or supplement can be added, before the log says that
    /// they are registered, and says where they come from. Refused as
    /// [`EngineError::Misconfigured`], with nothing changed.
    async fn prepare(
        &self,
        _law_id: &ElectionId,
        _origin: &RollOrigin,
        _electors: u64,
    ) -> Result<(), EngineError> {
        Ok(())
    }

    /// Adds the credentials of a roll, unspent. Adding again changes nothing and never unspends: a
    /// registry that outlives its process and has lost part of an election refuses, since nobody
    /// but the log knows who of those has voted.
    async fn add_roll(&self, law_id: &ElectionId, keys: &Arc<KeyList>) -> Result<(), EngineError>;

    /// Applies a supplement. The spent ones among `changes.revoke` and `changes.replace` stay;
    /// applying again changes nothing.
    async fn apply(&self, law_id: &ElectionId, changes: &Changes) -> Result<(), EngineError>;

    /// Marks each envelope, in order, and says what to expect of it.
    async fn mark(&self, law_id: &ElectionId, marks: &[Mark]) -> Result<Vec<Hint>, EngineError>;

    /// What to expect of an envelope, marking nothing: for load shedding, before anything is
    /// stored. An engine that cannot tell without I/O says `None`. The answer must be true as of
    /// some moment during the call; the number of a duplicate's attempt is not looked at.
    fn peek(&self, _law_id: &ElectionId, _mark: &Mark) -> Option<Hint> {
        None
    }

    /// Whether it is certain that no envelope with the credential of `mark` was ever marked;
    /// `false` where that cannot be said without I/O. Spares most votes a search of the log.
    fn surely_unused(&self, _law_id: &ElectionId, _mark: &Mark) -> bool {
        false
    }

    /// Takes up an election as its log tells it, in place of whatever the registry had of it: its
    /// lists in the order in which they took effect, without keys in common. How a registry that
    /// was lost with its process is brought up to the log at the start, and how the roll of a draft
    /// is replaced: `origin` is then where the new one comes from.
    async fn restore_all(
        &self,
        law_id: &ElectionId,
        electors: Vec<KnownElectors>,
        origin: Option<&RollOrigin>,
    ) -> Result<(), EngineError>;

    /// Credentials registered for an election: added, less revoked.
    async fn registered(&self, law_id: &ElectionId) -> Result<u64, EngineError>;

    /// Whether the registry outlives the process that uses it, and is shared by several: then no
    /// start restores it ([`Registry::restore_all`]).
    fn is_shared(&self) -> bool {
        false
    }

    /// Whether the engine answers, cheaply: for health checks.
    async fn ping(&self) -> Result<(), EngineError>;
}
