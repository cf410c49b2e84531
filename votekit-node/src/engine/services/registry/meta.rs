//! What Redis holds about an election beside its electors: whether it is loaded, in how many buckets, and from what.

use std::sync::Arc;

use redis::Value;
use tokio::time::{Duration, Instant};
use votekit_core::credential::HashScheme;
use votekit_core::id::{Digest, LawId};
use votekit_core::manifest::{Manifest, PepperMarks};

use super::layout::{Buckets, VERSION};
use super::server::{Effect, Keyed};
use super::{ENGINE, Inner, QUESTION_PATIENCE, RedisRegistry};
use crate::engine::EngineError;

/// How old what is known of an election may be when its votes are marked.
const AGE_MAX: Duration = Duration::from_secs(1);

/// Where credentials come from: what must agree before a registry takes more of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The manifest.
    pub manifest: Digest,
    /// How credentials are hashed.
    pub scheme: HashScheme,
    /// The pepper's marks, when they are hashed under one.
    pub pepper: Option<PepperMarks>,
}

/// What a registry says about an election.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LawMeta {
    /// Whether a roll was loaded to its end.
    pub ready: bool,
    /// Credentials added, less revoked, as of the last load or supplement that came to its end.
    pub registered: u64,
    /// The hash scheme and the pepper's marks in one word, when the loader told them.
    pub scheme: Option<String>,
    /// The manifests that were loaded to their end, in their order.
    pub manifests: Vec<Digest>,
    pub(super) bits: u32,
}

impl Origin {
    /// As a manifest tells.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let body = manifest.body();
        Self { manifest: manifest.digest(), scheme: body.scheme, pepper: body.pepper }
    }

    /// Scheme and pepper in one word: what a registry keeps to tell its own credentials from others.
    #[must_use]
    pub fn scheme_word(&self) -> String {
        match (&self.scheme, &self.pepper) {
            (HashScheme::Sha256, _) => "sha256".to_owned(),
            (HashScheme::HmacSha256, None) => "hmac-sha256".to_owned(),
            (HashScheme::HmacSha256, Some(pepper)) => format!("hmac-sha256 {} {}", pepper.id, pepper.check),
        }
    }
}

impl RedisRegistry {
    /// What the registry says about an election; `None` when it has nothing of it.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn meta(&self, law_id: &LawId) -> Result<Option<LawMeta>, EngineError> {
        self.inner.read_meta(law_id).await
    }

    /// The elections that anything was loaded for.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn laws(&self) -> Result<Vec<LawId>, EngineError> {
        let names =
            self.inner.server.one(Keyed::of("SMEMBERS", &self.inner.names.laws()), Effect::Reads, QUESTION_PATIENCE).await?;
        let names: Vec<String> = redis::from_redis_value(names).map_err(|error| damaged(&error.to_string()))?;
        let mut laws: Vec<LawId> =
            names.iter().map(|name| name.parse().map_err(|_| damaged("the list of elections"))).collect::<Result<_, _>>()?;
        laws.sort_unstable();
        Ok(laws)
    }
}

impl Inner {
    /// What is known of an election that is loaded, a second old at the most.
    pub(super) async fn loaded(self: &Arc<Self>, law_id: &LawId) -> Result<LawMeta, EngineError> {
        let known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(law_id).cloned();
        if let Some((read, meta)) = known
            && read.elapsed() < AGE_MAX
        {
            return Ok(meta);
        }
        self.loaded_now(law_id).await
    }

    /// The same, read anew.
    pub(super) async fn loaded_now(self: &Arc<Self>, law_id: &LawId) -> Result<LawMeta, EngineError> {
        let began = Instant::now();
        // That a roll is not loaded is no failure of the server's: only one that does not answer is left alone for a while.
        let meta = self.read_meta(law_id).await.inspect_err(|error| self.watch(error))?;
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match meta {
            Some(meta) if meta.ready => {
                known.insert(law_id.clone(), (began, meta.clone()));
                Ok(meta)
            }
            meta => {
                known.remove(law_id);
                Err(not_loaded(law_id, meta.is_some()))
            }
        }
    }

    pub(super) async fn read_meta(&self, law_id: &LawId) -> Result<Option<LawMeta>, EngineError> {
        let fields = self.server.one(Keyed::of("HGETALL", &self.names.meta(law_id)), Effect::Reads, QUESTION_PATIENCE).await?;
        read(law_id, fields)
    }

    /// Says that an election is being loaded, if nothing is said of it yet, and gives what is.
    pub(super) async fn begin(&self, law_id: &LawId, electors: u64) -> Result<LawMeta, EngineError> {
        let key = self.names.meta(law_id);
        let once = |field: &str, value: String| Keyed::of("HSETNX", &key).arg(field).arg(value);
        let begun = [
            Keyed::of("SETNX", &self.names.layout()).arg(VERSION),
            Keyed::of("SADD", &self.names.laws()).arg(law_id.as_str()),
            once("bits", Buckets::bits_for(electors).to_string()),
            once("registered", "0".to_owned()),
            once("state", "loading".to_owned()),
        ];
        self.server.run(&begun, Effect::Writes, QUESTION_PATIENCE).await?;
        self.read_meta(law_id).await?.ok_or_else(|| damaged("what was just written is gone"))
    }

    /// Says that an election is loaded, and from what.
    pub(super) async fn finish(&self, law_id: &LawId, meta: &LawMeta, origin: Option<&Origin>) -> Result<(), EngineError> {
        let key = self.names.meta(law_id);
        let mut fields = Keyed::of("HSET", &key).arg("bits").arg(meta.bits).arg("registered").arg(meta.registered);
        if let Some(origin) = origin {
            fields = fields.arg("scheme").arg(origin.scheme_word());
        }
        let manifests: Vec<String> = meta.manifests.iter().map(Digest::to_hex).collect();
        // Last, since whoever reads it believes the rest.
        let fields = fields.arg("manifests").arg(manifests.join(" ")).arg("state").arg("ready");
        self.server.one(fields, Effect::Writes, QUESTION_PATIENCE).await.map(drop)
    }
}

fn read(law_id: &LawId, fields: Value) -> Result<Option<LawMeta>, EngineError> {
    let fields: std::collections::HashMap<String, String> =
        redis::from_redis_value(fields).map_err(|error| damaged(&error.to_string()))?;
    if fields.is_empty() {
        return Ok(None);
    }
    let field = |name: &str| fields.get(name).map(String::as_str);
    let parsed = || {
        let bits = field("bits")?.parse().ok().filter(|bits| Buckets::is_sound(*bits))?;
        let manifests = field("manifests").unwrap_or_default().split_whitespace();
        Some(LawMeta {
            ready: field("state")? == "ready",
            registered: field("registered")?.parse().ok()?,
            scheme: field("scheme").map(str::to_owned),
            manifests: manifests.map(|digest| digest.parse().ok()).collect::<Option<_>>()?,
            bits,
        })
    };
    parsed().map(Some).ok_or_else(|| damaged(&format!("what is said about {law_id} does not read")))
}

fn not_loaded(law_id: &LawId, begun: bool) -> EngineError {
    let reason = if begun {
        format!("the roll of {law_id} is not loaded to its end: run `votekit load --registry` again")
    } else {
        format!("no roll of {law_id} is loaded: see `votekit load --registry` and `votekit registry rebuild`")
    };
    EngineError::Unavailable { engine: ENGINE, reason }
}

pub(super) fn damaged(what: &str) -> EngineError {
    EngineError::Corrupt { engine: ENGINE, reason: what.to_owned() }
}
