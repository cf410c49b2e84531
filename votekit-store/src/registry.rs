//! The registry: the first request of each credential. It gives fast hints; the log decides.

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
    /// The request of the envelope.
    pub request: RequestId,
}

/// The request that first used a credential, shortened to a tag of 32 bits.
///
/// Two requests of the same credential share a tag with a probability of about 2⁻³². The second
/// request then gets the hint `Accepted`, although the log decides that it is a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstUse(pub(crate) u32);

impl FirstUse {
    /// The credential is unused.
    pub const UNUSED: Self = Self(0);
    /// The credential is revoked.
    pub const REVOKED: Self = Self(u32::MAX);

    /// The first 32 bits of a request, clamped so that they differ from `UNUSED` and `REVOKED`.
    #[must_use]
    pub fn by(request: &RequestId) -> Self {
        let [first, second, third, fourth, ..] = *request.as_bytes();
        Self(u32::from_be_bytes([first, second, third, fourth]).clamp(1, u32::MAX - 1))
    }
}

/// The origin of credentials. It must match before a registry takes more of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollOrigin {
    /// The digest of the manifest.
    pub manifest: Digest,
    /// How credentials are hashed.
    pub scheme: HashScheme,
    /// The pepper's marks, if the credentials are hashed under a pepper.
    pub pepper: Option<PepperMarks>,
}

impl RollOrigin {
    /// The origin that a manifest states.
    #[must_use]
    pub fn from_manifest(manifest: &Manifest) -> Self {
        let body = manifest.body();
        Self { manifest: manifest.digest(), scheme: body.scheme, pepper: body.pepper }
    }

    /// Scheme and pepper in one string. A registry stores it to recognize credentials hashed
    /// differently.
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

/// The electors of one list, with the first use of each credential according to the log.
#[derive(Debug, Clone)]
pub struct KnownElectors {
    /// The list.
    pub keys: Arc<KeyList>,
    /// One for each key, in the order of the keys.
    pub uses: Vec<FirstUse>,
}

/// The decision that the registry expects for an envelope. The log decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// First use of the credential, or a repetition of the request that used it first.
    Accepted,
    /// Another request used the credential first.
    Duplicate {
        /// Attempt number, from 2.
        attempt: u32,
    },
    /// The credential was revoked.
    Revoked,
    /// No roll contains the credential.
    Unknown,
}

/// Records the first request of each credential, for a fast answer.
///
/// Marking is atomic for each envelope and idempotent for each request: marking the same request
/// again returns the same hint and counts no attempt.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Compares the origin of an election's credentials with the registry's. A starting node calls
    /// this for the last roll of its log, before it looks up any credential. A registry that
    /// outlives its process refuses a different hashing as [`EngineError::Misconfigured`], since it
    /// would report every voter as unknown.
    async fn check_origin(
        &self,
        _law_id: &ElectionId,
        _origin: &RollOrigin,
    ) -> Result<(), EngineError> {
        Ok(())
    }

    /// Checks whether this number of electors from a roll or supplement of this origin can be
    /// added, before the log registers them. Refused as [`EngineError::Misconfigured`], with
    /// nothing changed.
    async fn prepare(
        &self,
        _law_id: &ElectionId,
        _origin: &RollOrigin,
        _electors: u64,
    ) -> Result<(), EngineError> {
        Ok(())
    }

    /// Adds the credentials of a roll, unspent. Adding them again changes nothing and never makes a
    /// spent credential unspent. A registry that outlives its process and has lost part of an
    /// election refuses, since only the log knows which of the lost credentials are spent.
    async fn add_roll(&self, law_id: &ElectionId, keys: &Arc<KeyList>) -> Result<(), EngineError>;

    /// Applies a supplement. Spent credentials in `changes.revoke` and `changes.replace` stay
    /// registered. Applying it again changes nothing.
    async fn apply(&self, law_id: &ElectionId, changes: &Changes) -> Result<(), EngineError>;

    /// Marks each envelope, in order, and returns its hint.
    async fn mark(&self, law_id: &ElectionId, marks: &[Mark]) -> Result<Vec<Hint>, EngineError>;

    /// Whether a credential is registered and not revoked, used or not. Changes nothing.
    async fn is_registered(
        &self,
        law_id: &ElectionId,
        key: &RegistryKey,
    ) -> Result<bool, EngineError>;

    /// The hint for an envelope, without marking it: for load shedding, before anything is stored.
    /// An engine that would need I/O returns `None`. The hint must be true at some moment during
    /// the call; the attempt number of a duplicate is ignored.
    fn peek(&self, _law_id: &ElectionId, _mark: &Mark) -> Option<Hint> {
        None
    }

    /// Whether it is certain that no envelope with the credential of `mark` was ever marked;
    /// `false` where that would need I/O. Saves a search of the log for most votes.
    fn surely_unused(&self, _law_id: &ElectionId, _mark: &Mark) -> bool {
        false
    }

    /// Replaces everything the registry holds of an election by the state in its log: the lists in
    /// the order in which they took effect, with no key in two of them. A starting node restores an
    /// in-memory registry this way. The roll of a draft is replaced this way too; `origin` is then
    /// the origin of the new roll.
    async fn restore_all(
        &self,
        law_id: &ElectionId,
        electors: Vec<KnownElectors>,
        origin: Option<&RollOrigin>,
    ) -> Result<(), EngineError>;

    /// The number of registered credentials of an election: added minus revoked.
    async fn registered(&self, law_id: &ElectionId) -> Result<u64, EngineError>;

    /// Whether the registry outlives its process and is shared by several. Such a registry is not
    /// restored at the start of a node ([`Registry::restore_all`]).
    fn is_shared(&self) -> bool {
        false
    }

    /// Checks cheaply that the engine answers, for health checks.
    async fn ping(&self) -> Result<(), EngineError>;
}
