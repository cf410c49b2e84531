//! Metadata of an election in Redis: whether it is loaded, into how many buckets, and from which
//! manifests.

use std::sync::Arc;

use redis::Value;
use tokio::time::{Duration, Instant};
use votekit_core::id::{Digest, ElectionId};

use super::layout::{Buckets, VERSION};
use super::server::{Effect, Keyed};
use super::{ENGINE, Inner, QUERY_TIMEOUT, RedisRegistry};
use crate::{EngineError, RollOrigin};

/// Maximum age of cached metadata when votes are marked.
const AGE_MAX: Duration = Duration::from_secs(1);

/// The metadata of an election in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LawMeta {
    /// Whether a roll was loaded completely.
    pub ready: bool,
    /// Credentials added minus revoked, as of the last completed load or supplement.
    pub registered: u64,
    /// The hash scheme and the pepper's marks in one word, if the loader gave them.
    pub scheme: Option<String>,
    /// The completely loaded manifests, in their order.
    pub manifests: Vec<Digest>,
    /// The manifest of the first load. Until that load is complete, no other is accepted.
    pub begun: Option<Digest>,
    pub(super) bits: u32,
}

impl LawMeta {
    /// Refuses credentials of another pepper, and any other roll before the first roll is complete.
    pub(super) fn refuse_other(
        &self,
        law_id: &ElectionId,
        origin: &RollOrigin,
    ) -> Result<(), EngineError> {
        self.refuse_other_scheme(law_id, origin)?;
        match self.begun {
            Some(begun) if !self.ready && begun != origin.manifest => {
                Err(EngineError::Misconfigured {
                    engine: ENGINE,
                    reason: format!(
                        "the load of {law_id} from manifest {begun} is unfinished, and this roll \
                         has manifest {}",
                        origin.manifest
                    ),
                    hint:
                        "run that load again; to start over, choose another ?prefix=NAME, or run \
                         `votekit registry rebuild` once the election has the roll"
                            .to_owned(),
                })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn refuse_other_scheme(
        &self,
        law_id: &ElectionId,
        origin: &RollOrigin,
    ) -> Result<(), EngineError> {
        match &self.scheme {
            Some(scheme) if *scheme != origin.scheme_word() => Err(EngineError::Misconfigured {
                engine: ENGINE,
                reason: format!(
                    "it holds {law_id} under another pepper or hash scheme ({scheme}) than this roll ({})",
                    origin.scheme_word()
                ),
                hint: "are the registry and the roll the right ones? Installations that share one \
                       differ by ?prefix=NAME; `votekit registry rebuild` restores it from the \
                       ledger"
                    .to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

impl RedisRegistry {
    /// The metadata of an election; `None` when the registry holds nothing of it.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn meta(&self, law_id: &ElectionId) -> Result<Option<LawMeta>, EngineError> {
        self.inner.read_meta(law_id).await
    }

    /// The elections for which anything was loaded.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn laws(&self) -> Result<Vec<ElectionId>, EngineError> {
        let names = self
            .inner
            .server
            .one(
                Keyed::with_key("SMEMBERS", &self.inner.names.laws()),
                Effect::Reads,
                QUERY_TIMEOUT,
            )
            .await?;
        let names: Vec<String> =
            redis::from_redis_value(names).map_err(|error| damaged(&error.to_string()))?;
        let mut laws: Vec<ElectionId> = names
            .iter()
            .map(|name| name.parse().map_err(|_| damaged("the list of elections")))
            .collect::<Result<_, _>>()?;
        laws.sort_unstable();
        Ok(laws)
    }
}

impl Inner {
    /// The metadata of a loaded election, at most a second old.
    pub(super) async fn loaded(
        self: &Arc<Self>,
        law_id: &ElectionId,
    ) -> Result<LawMeta, EngineError> {
        let known = self.known.lock().get(law_id).cloned();
        if let Some((read, meta)) = known
            && read.elapsed() < AGE_MAX
        {
            return Ok(meta);
        }
        self.loaded_now(law_id).await
    }

    /// The metadata of a loaded election, read now.
    pub(super) async fn loaded_now(
        self: &Arc<Self>,
        law_id: &ElectionId,
    ) -> Result<LawMeta, EngineError> {
        let began = Instant::now();
        // A missing roll is not a failure of the server: only a server that does not answer stops
        // marking for a while.
        let meta = self.read_meta(law_id).await.inspect_err(|error| self.watch(error))?;
        let mut known = self.known.lock();
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

    pub(super) async fn read_meta(
        &self,
        law_id: &ElectionId,
    ) -> Result<Option<LawMeta>, EngineError> {
        let fields = self
            .server
            .one(Keyed::with_key("HGETALL", &self.names.meta(law_id)), Effect::Reads, QUERY_TIMEOUT)
            .await?;
        read(law_id, fields)
    }

    /// Records that an election is being loaded, and from what, unless that is recorded already.
    /// Returns what is recorded.
    pub(super) async fn begin(
        &self,
        law_id: &ElectionId,
        electors: u64,
        origin: Option<&RollOrigin>,
    ) -> Result<LawMeta, EngineError> {
        let key = self.names.meta(law_id);
        let once =
            |field: &str, value: String| Keyed::with_key("HSETNX", &key).arg(field).arg(value);
        let mut begun = vec![
            Keyed::with_key("SETNX", &self.names.layout()).arg(VERSION),
            Keyed::with_key("SADD", &self.names.laws()).arg(law_id.as_str()),
            once("bits", Buckets::bits_for(electors).to_string()),
            once("registered", "0".to_owned()),
            once("state", "loading".to_owned()),
        ];
        if let Some(origin) = origin {
            begun.extend([
                once("scheme", origin.scheme_word()),
                once("begun", origin.manifest.to_hex()),
            ]);
        }
        self.server.run(&begun, Effect::Writes, QUERY_TIMEOUT).await?;
        self.read_meta(law_id).await?.ok_or_else(|| damaged("an entry just written is missing"))
    }

    /// Records that an election is loaded, and from what.
    pub(super) async fn finish(
        &self,
        law_id: &ElectionId,
        meta: &LawMeta,
        origin: Option<&RollOrigin>,
    ) -> Result<(), EngineError> {
        let key = self.names.meta(law_id);
        let mut fields = Keyed::with_key("HSET", &key)
            .arg("bits")
            .arg(meta.bits)
            .arg("registered")
            .arg(meta.registered);
        if let Some(origin) = origin {
            fields = fields.arg("scheme").arg(origin.scheme_word());
        }
        let manifests: Vec<String> = meta.manifests.iter().map(Digest::to_hex).collect();
        // `state` comes last: a reader of it relies on the other fields.
        let fields = fields.arg("manifests").arg(manifests.join(" ")).arg("state").arg("ready");
        self.server.one(fields, Effect::Writes, QUERY_TIMEOUT).await.map(drop)
    }
}

fn read(law_id: &ElectionId, fields: Value) -> Result<Option<LawMeta>, EngineError> {
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
            begun: field("begun")
                .map(|digest| digest.parse().ok())
                .map_or(Some(None), |digest| digest.map(Some))?,
            bits,
        })
    };
    parsed()
        .map(Some)
        .ok_or_else(|| damaged(&format!("the description of {law_id} cannot be decoded")))
}

fn not_loaded(law_id: &ElectionId, begun: bool) -> EngineError {
    let reason = if begun {
        format!(
            "the load of the roll of {law_id} is unfinished: run `votekit load --registry` again"
        )
    } else {
        format!(
            "no roll of {law_id} is loaded: see `votekit load --registry` and `votekit registry rebuild`"
        )
    };
    EngineError::Unavailable { engine: ENGINE, reason }
}

/// Only the log knows which of the missing credentials were used.
pub(super) fn part_is_gone(law_id: &ElectionId, what: &str) -> EngineError {
    EngineError::Misconfigured {
        engine: ENGINE,
        reason: format!(
            "{what} of {law_id} is missing: loading again would reset the marks of electors who \
             have voted"
        ),
        hint: "`votekit registry rebuild` restores it from the ledger, with every vote; `votekit \
               registry check` lists what is missing"
            .to_owned(),
    }
}

pub(super) fn damaged(what: &str) -> EngineError {
    EngineError::Corrupt { engine: ENGINE, reason: what.to_owned() }
}
