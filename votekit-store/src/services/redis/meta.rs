//! What Redis holds about an election beside its electors: whether it is loaded, in how many
//! buckets, and from what.

use std::sync::Arc;

use redis::Value;
use tokio::time::{Duration, Instant};
use votekit_core::id::{Digest, ElectionId};

use super::layout::{Buckets, VERSION};
use super::server::{Effect, Keyed};
use super::{ENGINE, Inner, QUESTION_PATIENCE, RedisRegistry};
use crate::{EngineError, RollOrigin};

/// How old what is known of an election may be when its votes are marked.
const AGE_MAX: Duration = Duration::from_secs(1);

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
    /// The manifest whose load was begun first: while it is not at its end, no other is taken.
    pub begun: Option<Digest>,
    pub(super) bits: u32,
}

impl LawMeta {
    /// A registry takes the credentials of one pepper, and one roll to its end before anything
    /// else.
    pub(super) fn refuse_other(
        &self,
        law_id: &ElectionId,
        origin: &RollOrigin,
    ) -> Result<(), EngineError> {
        self.refuse_other_scheme(law_id, origin)?;
        match self.begun {
            Some(begun) if !self.ready && begun != origin.manifest => Err(EngineError::Misconfigured {
                engine: ENGINE,
                reason: format!(
                    "a load of {law_id} from manifest {begun} was begun and did not come to its end, and this roll is of manifest {}",
                    origin.manifest
                ),
                hint: "run that load again; to begin anew give another ?prefix=NAME, or once its election has the roll run \
                       `votekit registry rebuild`"
                    .to_owned(),
            }),
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
                hint: "is it the right registry, and the right roll? Installations that share one differ by ?prefix=NAME; \
                       `votekit registry rebuild` makes it what the ledger says"
                    .to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

impl RedisRegistry {
    /// What the registry says about an election; `None` when it has nothing of it.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn meta(&self, law_id: &ElectionId) -> Result<Option<LawMeta>, EngineError> {
        self.inner.read_meta(law_id).await
    }

    /// The elections that anything was loaded for.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn laws(&self) -> Result<Vec<ElectionId>, EngineError> {
        let names = self
            .inner
            .server
            .one(Keyed::of("SMEMBERS", &self.inner.names.laws()), Effect::Reads, QUESTION_PATIENCE)
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
    /// What is known of an election that is loaded, a second old at the most.
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

    /// The same, read anew.
    pub(super) async fn loaded_now(
        self: &Arc<Self>,
        law_id: &ElectionId,
    ) -> Result<LawMeta, EngineError> {
        let began = Instant::now();
        // That a roll is not loaded is no failure of the server's: only one that does not answer is
        // left alone for a while.
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
            .one(Keyed::of("HGETALL", &self.names.meta(law_id)), Effect::Reads, QUESTION_PATIENCE)
            .await?;
        read(law_id, fields)
    }

    /// Says that an election is being loaded, and from what, if nothing is said of it yet; gives
    /// what is.
    pub(super) async fn begin(
        &self,
        law_id: &ElectionId,
        electors: u64,
        origin: Option<&RollOrigin>,
    ) -> Result<LawMeta, EngineError> {
        let key = self.names.meta(law_id);
        let once = |field: &str, value: String| Keyed::of("HSETNX", &key).arg(field).arg(value);
        let mut begun = vec![
            Keyed::of("SETNX", &self.names.layout()).arg(VERSION),
            Keyed::of("SADD", &self.names.laws()).arg(law_id.as_str()),
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
        self.server.run(&begun, Effect::Writes, QUESTION_PATIENCE).await?;
        self.read_meta(law_id).await?.ok_or_else(|| damaged("what was just written is gone"))
    }

    /// Says that an election is loaded, and from what.
    pub(super) async fn finish(
        &self,
        law_id: &ElectionId,
        meta: &LawMeta,
        origin: Option<&RollOrigin>,
    ) -> Result<(), EngineError> {
        let key = self.names.meta(law_id);
        let mut fields = Keyed::of("HSET", &key)
            .arg("bits")
            .arg(meta.bits)
            .arg("registered")
            .arg(meta.registered);
        if let Some(origin) = origin {
            fields = fields.arg("scheme").arg(origin.scheme_word());
        }
        let manifests: Vec<String> = meta.manifests.iter().map(Digest::to_hex).collect();
        // Last, since whoever reads it believes the rest.
        let fields = fields.arg("manifests").arg(manifests.join(" ")).arg("state").arg("ready");
        self.server.one(fields, Effect::Writes, QUESTION_PATIENCE).await.map(drop)
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
    parsed().map(Some).ok_or_else(|| damaged(&format!("what is said about {law_id} does not read")))
}

fn not_loaded(law_id: &ElectionId, begun: bool) -> EngineError {
    let reason = if begun {
        format!(
            "the roll of {law_id} is not loaded to its end: run `votekit load --registry` again"
        )
    } else {
        format!(
            "no roll of {law_id} is loaded: see `votekit load --registry` and `votekit registry rebuild`"
        )
    };
    EngineError::Unavailable { engine: ENGINE, reason }
}

/// Nobody but the log knows who has voted of the electors that are gone.
pub(super) fn part_is_gone(law_id: &ElectionId, what: &str) -> EngineError {
    EngineError::Misconfigured {
        engine: ENGINE,
        reason: format!("{what} of {law_id} is gone: loading again would count who has voted as unused"),
        hint: "`votekit registry rebuild` brings it back from the ledger, with every vote; `votekit registry check` tells what is gone"
            .to_owned(),
    }
}

pub(super) fn damaged(what: &str) -> EngineError {
    EngineError::Corrupt { engine: ENGINE, reason: what.to_owned() }
}
