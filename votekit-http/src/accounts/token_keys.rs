//! The keys of access tokens: this node's, whose secret half exists in memory only, and the public
//! halves that the nodes on one store publish to one another.

use std::collections::HashMap;
use std::sync::Arc;

use ed25519_dalek::{SigningKey, VerifyingKey};
use parking_lot::Mutex;
use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;
use votekit_store::{Accounts, TokenKey};
use zeroize::Zeroizing;

use super::faults::{random_failed, store_failed};
use super::key_reads::KeyReads;
use super::token::{self, Grant, LIFETIME_SECONDS, UnverifiedToken, ValidToken};
use crate::problem::Problem;

/// How long a node signs with one key.
const SIGNING_SECONDS: u64 = 12 * 3600;

/// How long a published key verifies: until the last token of it has expired, with a margin for
/// clocks that differ.
const PUBLISHED_SECONDS: u64 = SIGNING_SECONDS + LIFETIME_SECONDS + 60;

/// The bytes of a digest that make the id of a key.
const KEY_ID_BYTES: usize = 16;

/// The keys of one node and of its neighbours.
pub(super) struct TokenKeys {
    store: Arc<dyn Accounts>,
    /// Locked while a key is generated and published.
    own: tokio::sync::Mutex<Option<OwnKey>>,
    known: Mutex<KnownKeys>,
    reads: KeyReads,
}

struct OwnKey {
    kid: String,
    key: SigningKey,
    renewed_at: UnixSeconds,
}

/// Keys by their ids, each with the time at which it expires.
type KnownKeys = HashMap<String, (VerifyingKey, UnixSeconds)>;

impl TokenKeys {
    /// Without a key: the key is generated and published when the first token is signed.
    pub(super) fn new(store: Arc<dyn Accounts>) -> Self {
        let (own, known) = (tokio::sync::Mutex::default(), Mutex::default());
        Self { store, own, known, reads: KeyReads::default() }
    }

    /// Signs a token with this node's key.
    ///
    /// # Errors
    /// The key could not be generated or published.
    pub(super) async fn sign(
        &self,
        issuer: &str,
        grant: Grant,
        now: UnixSeconds,
    ) -> Result<Zeroizing<String>, Problem> {
        let mut own = self.own.lock().await;
        let key = match own.take() {
            Some(key) if now < key.renewed_at => key,
            _ => self.draw(now).await?,
        };
        let OwnKey { kid, key, .. } = own.insert(key);
        Ok(token::sign(key, kid, issuer, grant, now))
    }

    /// Generates a key, and publishes its public half before any token of it exists.
    async fn draw(&self, now: UnixSeconds) -> Result<OwnKey, Problem> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(random_failed)?;
        let key = SigningKey::from_bytes(&seed);
        let public = key.verifying_key();
        let kid = const_hex::encode(&Digest::compute(public.as_bytes()).as_bytes()[..KEY_ID_BYTES]);
        let expires = UnixSeconds(now.0.saturating_add(PUBLISHED_SECONDS));
        let published = TokenKey { id: kid.clone(), public: public.to_bytes(), expires };
        self.store.publish_token_key(&published).await.map_err(store_failed)?;
        self.known.lock().insert(kid.clone(), (public, expires));
        tracing::info!(event = "token_key_published", kid, "key of access tokens published");
        let renewed_at = UnixSeconds(now.0.saturating_add(SIGNING_SECONDS));
        Ok(OwnKey { kid, key, renewed_at })
    }

    /// Verifies a token of any node on this store.
    ///
    /// # Errors
    /// [`Problem::TokenRefused`], or the published keys could not be read.
    pub(super) async fn verify(
        &self,
        token: &[u8],
        issuer: &str,
        now: UnixSeconds,
    ) -> Result<ValidToken, Problem> {
        let token = UnverifiedToken::parse(token).map_err(|_| Problem::TokenRefused)?;
        // Not looked up, because no node generates such an id.
        if !is_key_id(token.kid()) {
            return Err(Problem::TokenRefused);
        }
        let known = || self.find(token.kid(), now);
        let key = self.reads.find(token.kid(), known, self.read(now)).await?;
        let key = key.ok_or(Problem::TokenRefused)?;
        token.verify(&key, issuer, now).map_err(|_| Problem::TokenRefused)
    }

    fn find(&self, kid: &str, now: UnixSeconds) -> Option<VerifyingKey> {
        let known = self.known.lock();
        known.get(kid).filter(|(_, expires)| now < *expires).map(|(key, _)| *key)
    }

    /// Reads the published keys.
    async fn read(&self, now: UnixSeconds) -> Result<(), Problem> {
        let published = self.store.token_keys(now).await.map_err(store_failed)?;
        let mut known = self.known.lock();
        known.retain(|_, (_, expires)| now < *expires);
        for TokenKey { id, public, expires } in published {
            // A key that is not a point of the curve verifies nothing.
            if let Ok(key) = VerifyingKey::from_bytes(&public) {
                known.insert(id, (key, expires));
            }
        }
        Ok(())
    }
}

/// Whether a text has the form of a key's id.
fn is_key_id(kid: &str) -> bool {
    kid.len() == 2 * KEY_ID_BYTES
        && kid.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
#[path = "token_keys_test.rs"]
mod tests;
