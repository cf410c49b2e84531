//! Loading a roll, and putting an election back as the log tells it.
//!
//! A bucket of a roll that is loaded for the first time is written beside its place and then moved there, unless something is there already (`RENAMENX`). Whatever is
//! there is only added to, credential by credential (`HSETNX`). So a load can be interrupted anywhere, run again, or run twice at once, and never unspends anything.

use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::Value;
use votekit_core::id::LawId;
use votekit_core::registry::KeyList;

use super::layout::{Buckets, Credentials, Cut};
use super::meta::{LawMeta, Origin};
use super::scripts::SCRIPTS;
use super::server::{Effect, Keyed, unexpected};
use super::{CHANGE_PATIENCE, ENGINE, Inner, RedisRegistry};
use crate::engine::{EngineError, KnownElectors};

/// Buckets that go to Redis in one pipeline: some 300 KB.
const BUCKETS_AT_ONCE: usize = 256;
/// Pipelines on their way at once: one is made while others are answered.
const PIPELINES: usize = 4;

/// Told now and then how many electors have been written so far.
pub type Progress<'a> = dyn Fn(u64) + Send + Sync + 'a;

impl RedisRegistry {
    /// Loads a roll: adds its credentials, unspent. Those that are there stay as they are. Tells how many credentials are registered now.
    ///
    /// # Errors
    /// [`EngineError`]: what was loaded stays, and loading again goes on.
    pub async fn load_roll(
        &self,
        law_id: &LawId,
        keys: &Arc<KeyList>,
        origin: Option<&Origin>,
        progress: &Progress<'_>,
    ) -> Result<u64, EngineError> {
        let inner = &self.inner;
        let mut meta = inner.begin(law_id, keys.len() as u64).await?;
        let buckets = inner.names.buckets(law_id, meta.bits);
        let first = !meta.ready;
        let write = if first { Write::First } else { Write::Merge };
        let roll = Credentials { keys: keys.keys(), uses: None };
        inner.write_all(&buckets, vec![roll], write, progress).await?;
        // While an election is loaded for the first time nobody can revoke: counting fields is enough, and fast.
        let registered = if first { inner.count_fields(&buckets).await? } else { inner.count(&buckets).await?.registered() };
        if first && registered < keys.len() as u64 {
            return Err(EngineError::Unavailable {
                engine: ENGINE,
                reason: format!("of {} credentials of {law_id} {registered} are there: Redis lost some, load again", keys.len()),
            });
        }
        meta.registered = registered;
        meta.add_manifest(origin);
        inner.finish(law_id, &meta, origin).await?;
        inner.forget(law_id);
        Ok(registered)
    }

    /// Puts an election in the place of whatever the registry has of it: its lists, without keys in common, and how each credential stands.
    ///
    /// Bucket by bucket: a vote that is marked meanwhile may be forgotten.
    ///
    /// # Errors
    /// [`EngineError`]: doing it again is safe.
    pub async fn rebuild(
        &self,
        law_id: &LawId,
        electors: &[KnownElectors],
        origins: Option<&[Origin]>,
        progress: &Progress<'_>,
    ) -> Result<(), EngineError> {
        let inner = &self.inner;
        let count: u64 = electors.iter().map(|list| list.keys.len() as u64).sum();
        let before = inner.begin(law_id, count).await?;
        // Buckets that were made for far fewer would be no packed lists any more.
        let bits = before.bits.max(Buckets::bits_for(count).saturating_sub(2));
        let buckets = inner.names.buckets(law_id, bits);
        let lists = electors.iter().map(|list| Credentials { keys: list.keys.keys(), uses: Some(&list.uses) }).collect();
        inner.write_all(&buckets, lists, Write::Replace, progress).await?;
        let found = inner.count(&buckets).await?;
        if found.credentials != count {
            return Err(EngineError::Unavailable {
                engine: ENGINE,
                reason: format!(
                    "of {count} credentials of {law_id} {} are there: Redis lost some, rebuild again",
                    found.credentials
                ),
            });
        }
        let mut meta = LawMeta { ready: true, registered: found.registered(), bits, ..before.clone() };
        if let Some(origins) = origins {
            meta.manifests = origins.iter().map(|origin| origin.manifest).collect();
        }
        inner.finish(law_id, &meta, origins.and_then(<[Origin]>::last)).await?;
        if before.bits != bits {
            inner.remove(&inner.names.buckets(law_id, before.bits)).await?;
        }
        inner.forget(law_id);
        Ok(())
    }
}

impl LawMeta {
    pub(super) fn add_manifest(&mut self, origin: Option<&Origin>) {
        if let Some(origin) = origin
            && !self.manifests.contains(&origin.manifest)
        {
            self.manifests.push(origin.manifest);
        }
    }
}

/// How a bucket is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    /// It is probably not there.
    First,
    /// What is there stays.
    Merge,
    /// What is there goes.
    Replace,
}

impl Inner {
    /// Writes every bucket, some hundreds in each pipeline.
    async fn write_all(
        &self,
        buckets: &Buckets,
        lists: Vec<Credentials<'_>>,
        write: Write,
        progress: &Progress<'_>,
    ) -> Result<(), EngineError> {
        let mut cuts = buckets.cut(lists);
        let mut under_way = FuturesUnordered::new();
        loop {
            let part: Vec<Cut<'_>> = cuts.by_ref().take(BUCKETS_AT_ONCE).collect();
            let more = !part.is_empty();
            if more {
                under_way.push(self.write_part(buckets, part, write));
            }
            if under_way.len() >= PIPELINES || !more {
                match under_way.next().await {
                    Some(written) => progress(written?),
                    None => return Ok(()),
                }
            }
        }
    }

    /// Writes some buckets; tells how many credentials that were.
    async fn write_part(&self, buckets: &Buckets, part: Vec<Cut<'_>>, write: Write) -> Result<u64, EngineError> {
        let credentials = part.iter().flat_map(|(_, cut)| cut).map(|list| list.keys.len() as u64).sum();
        match write {
            Write::First => self.write_first(buckets, part).await?,
            Write::Merge => self.merge(buckets, &part).await?,
            Write::Replace => self.replace(buckets, &part).await?,
        }
        Ok(credentials)
    }

    async fn write_first(&self, buckets: &Buckets, part: Vec<Cut<'_>>) -> Result<(), EngineError> {
        let answers = self.server.run(&first_commands(buckets, &part), Effect::Writes, CHANGE_PATIENCE).await;
        let taken: Vec<Cut<'_>> = match answers {
            Ok(answers) => {
                let moved = answers.into_iter().skip(1).step_by(2);
                part.into_iter().zip(moved).filter(|(_, moved)| *moved != Value::Int(1)).map(|(cut, _)| cut).collect()
            }
            // Another loader moved what this one wrote, between this one's two commands: then there is nothing to move.
            Err(EngineError::Unavailable { reason, .. } | EngineError::OutcomeUnknown { reason, .. })
                if reason.contains("no such key") =>
            {
                part
            }
            Err(error) => return Err(error),
        };
        if taken.is_empty() {
            return Ok(());
        }
        self.merge(buckets, &taken).await?;
        let news: Vec<Keyed> = taken.iter().map(|(bucket, _)| Keyed::of("DEL", &buckets.new_key(*bucket))).collect();
        self.server.run(&news, Effect::Writes, CHANGE_PATIENCE).await.map(drop)
    }

    /// Adds to buckets what is not in them.
    async fn merge(&self, buckets: &Buckets, part: &[Cut<'_>]) -> Result<(), EngineError> {
        let merge = |(bucket, cut): &Cut<'_>| {
            let key = buckets.key(*bucket);
            let command = SCRIPTS.merge(&key, cut.iter().flat_map(|list| list.fields()).map(|(field, _)| field));
            Keyed::new(key, command)
        };
        let commands: Vec<Keyed> = part.iter().map(merge).collect();
        self.server.run(&commands, Effect::Writes, CHANGE_PATIENCE).await.map(drop)
    }

    async fn replace(&self, buckets: &Buckets, part: &[Cut<'_>]) -> Result<(), EngineError> {
        let replace = |(bucket, cut): &Cut<'_>| {
            let key = buckets.key(*bucket);
            let command = SCRIPTS.replace(&key, &buckets.later_key(*bucket), cut.iter().flat_map(|list| list.fields()));
            Keyed::new(key, command)
        };
        let commands: Vec<Keyed> = part.iter().map(replace).collect();
        self.server.run(&commands, Effect::Writes, CHANGE_PATIENCE).await.map(drop)
    }

    /// Fields of all buckets, but for the empty ones.
    async fn count_fields(&self, buckets: &Buckets) -> Result<u64, EngineError> {
        let mut sum = 0;
        for part in buckets.parts() {
            let commands: Vec<Keyed> = part.map(|bucket| Keyed::of("HLEN", &buckets.key(bucket))).collect();
            for answer in self.server.run(&commands, Effect::Reads, CHANGE_PATIENCE).await? {
                let Value::Int(fields) = answer else { return Err(unexpected(&answer)) };
                sum += u64::try_from(fields).unwrap_or(0).saturating_sub(1);
            }
        }
        Ok(sum)
    }

    /// Removes buckets that nobody reads any more.
    async fn remove(&self, buckets: &Buckets) -> Result<(), EngineError> {
        for part in buckets.parts() {
            let remove = |bucket| Keyed::of("UNLINK", &buckets.key(bucket)).arg(buckets.later_key(bucket));
            let commands: Vec<Keyed> = part.map(remove).collect();
            self.server.run(&commands, Effect::Writes, CHANGE_PATIENCE).await?;
        }
        Ok(())
    }

    /// Lets go of what is known about an election.
    pub(super) fn forget(&self, law_id: &LawId) {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(law_id);
    }
}

/// Two commands a bucket: written beside its place, moved there if nothing is there.
fn first_commands(buckets: &Buckets, part: &[Cut<'_>]) -> Vec<Keyed> {
    let mut commands = Vec::with_capacity(2 * part.len());
    for (bucket, cut) in part {
        let (place, new) = (buckets.key(*bucket), buckets.new_key(*bucket));
        let mut write = redis::cmd("HSET");
        write.arg(&new).arg(b"").arg("v1");
        for (field, used) in cut.iter().flat_map(|list| list.fields()) {
            write.arg(field).arg(used);
        }
        let rename = Keyed::of("RENAMENX", &new).arg(place);
        commands.push(Keyed::new(new, write));
        commands.push(rename);
    }
    commands
}
