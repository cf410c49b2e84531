//! Marks credentials: one script call per envelope, one round trip per master for a whole batch.
//!
//! A batch does not wait for an unavailable registry: it continues without hints. So after a
//! failure, marking fails immediately until the registry answers again.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::Value;
use votekit_core::credential::RegistryKey;
use votekit_core::id::ElectionId;

use super::layout::{field, stored};
use super::meta::LawMeta;
use super::scripts::SCRIPTS;
use super::server::{Effect, Keyed, unexpected};
use super::{ENGINE, Inner};
use crate::essential;
use crate::retry::{Backoff, is_passing};
use crate::{EngineError, FirstUse, Hint, Mark};

/// Timeout for marking, with a retry or two.
const MARK_TIMEOUT: Duration = Duration::from_secs(2);

impl Inner {
    pub(super) async fn mark_all(
        self: &Arc<Self>,
        law_id: &ElectionId,
        marks: &[Mark],
    ) -> Result<Vec<Hint>, EngineError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(EngineError::Unavailable {
                engine: ENGINE,
                reason: "it was unavailable a moment ago".to_owned(),
            });
        }
        let meta = self.loaded(law_id).await?;
        if let Some(hints) = self.try_mark(law_id, &meta, marks).await? {
            return Ok(hints);
        }
        // The election may have been rebuilt with other buckets.
        let meta = self.loaded_now(law_id).await?;
        self.try_mark(law_id, &meta, marks).await?.ok_or_else(|| part_missing(law_id))
    }

    /// Whether a credential is registered and not revoked.
    pub(super) async fn is_registered(
        self: &Arc<Self>,
        law_id: &ElectionId,
        key: &RegistryKey,
    ) -> Result<bool, EngineError> {
        let meta = self.loaded(law_id).await?;
        if let Some(found) = self.look_up(law_id, &meta, key).await? {
            return Ok(found);
        }
        // The election may have been rebuilt with other buckets.
        let meta = self.loaded_now(law_id).await?;
        self.look_up(law_id, &meta, key).await?.ok_or_else(|| part_missing(law_id))
    }

    /// `None` when the bucket is missing.
    async fn look_up(
        &self,
        law_id: &ElectionId,
        meta: &LawMeta,
        key: &RegistryKey,
    ) -> Result<Option<bool>, EngineError> {
        let buckets = self.names.buckets(law_id, meta.bits);
        let bucket = buckets.key(buckets.bucket_of(key));
        let command = Keyed::with_key("HMGET", &bucket).arg(field(key)).arg("");
        let answer = self.server.one(command, Effect::Reads, MARK_TIMEOUT).await?;
        let Value::Array(values) = &answer else { return Err(unexpected(&answer)) };
        match values.as_slice() {
            [Value::BulkString(used), _] => Ok(Some(used.as_slice() != b"-1")),
            [Value::Nil, Value::BulkString(_)] => Ok(Some(false)),
            [Value::Nil, Value::Nil] => Ok(None),
            _ => Err(unexpected(&answer)),
        }
    }

    /// `None` when a bucket is missing.
    async fn try_mark(
        self: &Arc<Self>,
        law_id: &ElectionId,
        meta: &LawMeta,
        marks: &[Mark],
    ) -> Result<Option<Vec<Hint>>, EngineError> {
        let buckets = self.names.buckets(law_id, meta.bits);
        let commands: Vec<Keyed> = marks
            .iter()
            .map(|mark| {
                let bucket = buckets.bucket_of(&mark.key);
                let (key, later) = (buckets.key(bucket), buckets.later_key(bucket));
                let command = SCRIPTS.mark(
                    &key,
                    &later,
                    field(&mark.key),
                    stored(FirstUse::by(&mark.request)),
                );
                Keyed::new(key, command)
            })
            .collect();
        let answers = self
            .server
            .run(&commands, Effect::Writes, MARK_TIMEOUT)
            .await
            .inspect_err(|error| self.watch(error))?;
        answers.iter().map(read_hint).collect()
    }

    /// After a temporary failure, makes marking fail immediately until the registry answers.
    pub(super) fn watch(self: &Arc<Self>, error: &EngineError) {
        // Only the call that sets the flag starts a watch.
        if !is_passing(error) || self.away.swap(true, Ordering::Relaxed) {
            return;
        }
        let inner = Arc::downgrade(self);
        essential::spawn("the health check of Redis", async move {
            let mut backoff = Backoff::new();
            while let Some(inner) = Weak::upgrade(&inner) {
                if inner.server.on_each(&redis::cmd("PING"), MARK_TIMEOUT).await.is_ok() {
                    inner.away.store(false, Ordering::Relaxed);
                    return;
                }
                drop(inner);
                backoff.pause().await;
            }
        });
    }
}

fn part_missing(law_id: &ElectionId) -> EngineError {
    EngineError::Unavailable {
        engine: ENGINE,
        reason: format!(
            "part of {law_id} is missing: see `votekit registry check` and `votekit registry \
             rebuild`"
        ),
    }
}

fn read_hint(answer: &Value) -> Result<Option<Hint>, EngineError> {
    Ok(Some(match answer {
        Value::Int(0) => Hint::Unknown,
        Value::Int(1) => Hint::Accepted,
        Value::Int(-1) => Hint::Revoked,
        Value::Int(-2) => return Ok(None),
        Value::Int(attempt) => {
            Hint::Duplicate { attempt: u32::try_from(*attempt).map_err(|_| unexpected(answer))? }
        }
        other => return Err(unexpected(other)),
    }))
}
