//! Loads a roll, and rebuilds an election from the log.
//!
//! While a roll is loaded for the first time, each bucket is written under a temporary key and then
//! renamed, unless the bucket exists (`RENAMENX`). To an existing bucket, a load only adds missing
//! credentials, one by one (`HSETNX`). So a load can be interrupted anywhere, repeated, or run
//! twice at the same time, and never makes a used credential unused. Once a roll is loaded, a
//! missing bucket means that Redis lost it, together with its marks. A load is then refused, and
//! only the log can restore the bucket (`rebuild`).

use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::Value;
use votekit_core::electorate::KeyList;
use votekit_core::id::ElectionId;

use super::layout::{BucketSlice, Buckets, Credentials};
use super::meta::{LawMeta, part_is_gone};
use super::scripts::SCRIPTS;
use super::server::{Effect, Keyed, unexpected};
use super::{BULK_TIMEOUT, ENGINE, Inner, RedisRegistry};
use crate::{EngineError, KnownElectors, RollOrigin};

/// Buckets per pipeline: about 300 KB.
const BUCKETS_PER_PIPELINE: usize = 256;
/// Pipelines in flight: the next pipeline is built while the others await their answers.
const PIPELINES_MAX: usize = 4;

/// Called repeatedly with the number of electors written so far.
pub type Progress<'a> = dyn Fn(u64) + Send + Sync + 'a;

impl RedisRegistry {
    /// Loads a roll: adds its credentials as unused, and changes no existing credential. Returns
    /// the number of credentials registered now.
    ///
    /// # Errors
    /// [`EngineError`]: the loaded part stays, and another call continues from it.
    /// [`EngineError::Misconfigured`] when the registry contains credentials of another pepper or
    /// an unfinished roll, or when Redis lost a part of the loaded roll.
    pub async fn load_roll(
        &self,
        law_id: &ElectionId,
        keys: &Arc<KeyList>,
        origin: Option<&RollOrigin>,
        progress: &Progress<'_>,
    ) -> Result<u64, EngineError> {
        let inner = &self.inner;
        let count = keys.len() as u64;
        inner.check_load(law_id, origin, count).await?;
        let mut meta = inner.begin(law_id, count, origin).await?;
        if let Some(origin) = origin {
            // Another process may have begun a load since the check.
            meta.refuse_other(law_id, origin)?;
        }
        let buckets = inner.names.buckets(law_id, meta.bits);
        let first = !meta.ready;
        let write = if first { Write::First } else { Write::Merge };
        let roll = Credentials { keys: keys.keys(), uses: None };
        inner.write_all(law_id, &buckets, vec![roll], write, progress).await?;
        let registered = if first {
            // Nothing can be revoked during a first load: counting fields is sufficient, and fast.
            let found = inner.count_fields(&buckets).await?.0;
            refuse_fewer(law_id, found, count)?;
            if found > count {
                return Err(EngineError::Misconfigured {
                    engine: ENGINE,
                    reason: format!(
                        "{found} credentials of {law_id} are loaded, this roll has {count}: the \
                         load of another roll was begun before"
                    ),
                    hint: "load into another ?prefix=NAME, or run `votekit registry rebuild` once \
                           the election has the roll"
                        .to_owned(),
                });
            }
            found
        } else {
            let found = inner.count(&buckets).await?;
            refuse_fewer(law_id, found.credentials, count)?;
            found.registered()
        };
        meta.registered = registered;
        meta.add_manifest(origin);
        inner.finish(law_id, &meta, origin).await?;
        inner.forget(law_id);
        Ok(registered)
    }

    /// Replaces all credentials of an election in the registry by these lists, which have no keys
    /// in common, with the first uses of their credentials.
    ///
    /// Works bucket by bucket: a mark that is set during the call may be lost.
    ///
    /// # Errors
    /// [`EngineError`]: repeating it is safe.
    pub async fn rebuild(
        &self,
        law_id: &ElectionId,
        electors: &[KnownElectors],
        origins: Option<&[RollOrigin]>,
        progress: &Progress<'_>,
    ) -> Result<(), EngineError> {
        let inner = &self.inner;
        let count: u64 = electors.iter().map(|list| list.keys.len() as u64).sum();
        let before = inner.begin(law_id, count, None).await?;
        // Buckets made for far fewer electors would no longer be listpacks.
        let bits = before.bits.max(Buckets::bits_for(count).saturating_sub(2));
        let buckets = inner.names.buckets(law_id, bits);
        let lists = electors
            .iter()
            .map(|list| Credentials { keys: list.keys.keys(), uses: Some(&list.uses) })
            .collect();
        inner.write_all(law_id, &buckets, lists, Write::Replace, progress).await?;
        let found = inner.count(&buckets).await?;
        if found.credentials != count {
            return Err(EngineError::Unavailable {
                engine: ENGINE,
                reason: format!(
                    "{count} credentials of {law_id} were written, {} found: Redis lost some, run \
                     the rebuild again",
                    found.credentials
                ),
            });
        }
        let mut meta =
            LawMeta { ready: true, registered: found.registered(), bits, ..before.clone() };
        if let Some(origins) = origins {
            meta.manifests = origins.iter().map(|origin| origin.manifest).collect();
        }
        inner.finish(law_id, &meta, origins.and_then(<[RollOrigin]>::last)).await?;
        if before.bits != bits {
            inner.remove(&inner.names.buckets(law_id, before.bits)).await?;
        }
        inner.forget(law_id);
        Ok(())
    }
}

impl LawMeta {
    pub(super) fn add_manifest(&mut self, origin: Option<&RollOrigin>) {
        if let Some(origin) = origin
            && !self.manifests.contains(&origin.manifest)
        {
            self.manifests.push(origin.manifest);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    /// The bucket probably does not exist.
    First,
    /// Existing credentials are unchanged.
    Merge,
    /// The bucket is replaced.
    Replace,
}

impl Inner {
    /// Writes every bucket, some hundreds per pipeline.
    async fn write_all(
        &self,
        law_id: &ElectionId,
        buckets: &Buckets,
        lists: Vec<Credentials<'_>>,
        write: Write,
        progress: &Progress<'_>,
    ) -> Result<(), EngineError> {
        let mut cuts = buckets.cut(lists);
        let mut under_way = FuturesUnordered::new();
        loop {
            let part: Vec<BucketSlice<'_>> = cuts.by_ref().take(BUCKETS_PER_PIPELINE).collect();
            let more = !part.is_empty();
            if more {
                under_way.push(self.write_part(law_id, buckets, part, write));
            }
            if under_way.len() >= PIPELINES_MAX || !more {
                match under_way.next().await {
                    Some(written) => progress(written?),
                    None => return Ok(()),
                }
            }
        }
    }

    /// Writes some buckets, and returns the number of their credentials.
    async fn write_part(
        &self,
        law_id: &ElectionId,
        buckets: &Buckets,
        part: Vec<BucketSlice<'_>>,
        write: Write,
    ) -> Result<u64, EngineError> {
        let credentials =
            part.iter().flat_map(|(_, cut)| cut).map(|list| list.keys.len() as u64).sum();
        match write {
            Write::First => self.write_first(buckets, part).await?,
            Write::Merge => {
                if !self.merge(buckets, &part, Missing::Refuse).await? {
                    return Err(part_is_gone(law_id, "part"));
                }
            }
            Write::Replace => self.replace(buckets, &part).await?,
        }
        Ok(credentials)
    }

    async fn write_first(
        &self,
        buckets: &Buckets,
        part: Vec<BucketSlice<'_>>,
    ) -> Result<(), EngineError> {
        let answers =
            self.server.run(&first_commands(buckets, &part), Effect::Writes, BULK_TIMEOUT).await;
        let taken: Vec<BucketSlice<'_>> = match answers {
            Ok(answers) => {
                // Two answers per bucket: the second answer is that of RENAMENX.
                let moved = answers.into_iter().skip(1).step_by(2);
                part.into_iter()
                    .zip(moved)
                    .filter(|(_, moved)| *moved != Value::Int(1))
                    .map(|(cut, _)| cut)
                    .collect()
            }
            // Another loader renamed the temporary key between the two commands of this loader:
            // nothing is left to rename.
            Err(
                EngineError::Unavailable { reason, .. }
                | EngineError::OutcomeUnknown { reason, .. },
            ) if reason.contains("no such key") => part,
            Err(error) => return Err(error),
        };
        if taken.is_empty() {
            return Ok(());
        }
        self.merge(buckets, &taken, Missing::Make).await?;
        let news: Vec<Keyed> = taken
            .iter()
            .map(|(bucket, _)| Keyed::with_key("DEL", &buckets.new_key(*bucket)))
            .collect();
        self.server.run(&news, Effect::Writes, BULK_TIMEOUT).await.map(drop)
    }

    /// Adds missing credentials to buckets. Returns whether all buckets existed or were made.
    async fn merge(
        &self,
        buckets: &Buckets,
        part: &[BucketSlice<'_>],
        missing: Missing,
    ) -> Result<bool, EngineError> {
        let merge = |(bucket, cut): &BucketSlice<'_>| {
            let key = buckets.key(*bucket);
            let fields = cut.iter().flat_map(|list| list.fields()).map(|(field, _)| field);
            Keyed::new(key.clone(), SCRIPTS.merge(&key, missing == Missing::Make, fields))
        };
        let commands: Vec<Keyed> = part.iter().map(merge).collect();
        let answers = self.server.run(&commands, Effect::Writes, BULK_TIMEOUT).await?;
        Ok(answers.iter().all(|answer| *answer != Value::Int(-1)))
    }

    async fn replace(
        &self,
        buckets: &Buckets,
        part: &[BucketSlice<'_>],
    ) -> Result<(), EngineError> {
        let replace = |(bucket, cut): &BucketSlice<'_>| {
            let key = buckets.key(*bucket);
            let command = SCRIPTS.replace(
                &key,
                &buckets.later_key(*bucket),
                cut.iter().flat_map(|list| list.fields()),
            );
            Keyed::new(key, command)
        };
        let commands: Vec<Keyed> = part.iter().map(replace).collect();
        self.server.run(&commands, Effect::Writes, BULK_TIMEOUT).await.map(drop)
    }

    /// Refuses a load that must not proceed, before anything is written.
    pub(super) async fn check_load(
        &self,
        law_id: &ElectionId,
        origin: Option<&RollOrigin>,
        electors: u64,
    ) -> Result<(), EngineError> {
        let Some(meta) = self.read_meta(law_id).await? else {
            let buckets = self.names.buckets(law_id, Buckets::bits_for(electors));
            let (fields, _) = self.count_fields(&buckets).await?;
            // Every loader writes the metadata before the first credential, and never removes it.
            // It is read again, since a load may have begun between the two reads.
            let lost = fields > 0 && self.read_meta(law_id).await?.is_none();
            return if lost { Err(part_is_gone(law_id, "its description")) } else { Ok(()) };
        };
        if let Some(origin) = origin {
            meta.refuse_other(law_id, origin)?;
        }
        if meta.ready {
            self.refuse_gone(law_id, &self.names.buckets(law_id, meta.bits)).await
        } else {
            Ok(())
        }
    }

    /// Refuses an election of which Redis lost a part after it was loaded.
    pub(super) async fn refuse_gone(
        &self,
        law_id: &ElectionId,
        buckets: &Buckets,
    ) -> Result<(), EngineError> {
        match self.count_fields(buckets).await? {
            (_, 0) => Ok(()),
            (_, missing) => Err(part_is_gone(
                law_id,
                &format!("part ({missing} of {} buckets)", buckets.all().len()),
            )),
        }
    }

    /// Counts the credentials of all buckets (each bucket has one more field, with the empty name),
    /// and the missing buckets.
    async fn count_fields(&self, buckets: &Buckets) -> Result<(u64, u64), EngineError> {
        let (mut sum, mut missing) = (0, 0);
        for part in buckets.parts() {
            let commands: Vec<Keyed> =
                part.map(|bucket| Keyed::with_key("HLEN", &buckets.key(bucket))).collect();
            for answer in self.server.run(&commands, Effect::Reads, BULK_TIMEOUT).await? {
                let Value::Int(fields) = answer else { return Err(unexpected(&answer)) };
                sum += u64::try_from(fields).unwrap_or(0).saturating_sub(1);
                missing += u64::from(fields == 0);
            }
        }
        Ok((sum, missing))
    }

    /// Removes buckets that are no longer read.
    async fn remove(&self, buckets: &Buckets) -> Result<(), EngineError> {
        for part in buckets.parts() {
            let remove = |bucket| {
                Keyed::with_key("UNLINK", &buckets.key(bucket)).arg(buckets.later_key(bucket))
            };
            let commands: Vec<Keyed> = part.map(remove).collect();
            self.server.run(&commands, Effect::Writes, BULK_TIMEOUT).await?;
        }
        Ok(())
    }

    /// Drops the cached metadata of an election.
    pub(super) fn forget(&self, law_id: &ElectionId) {
        self.known.lock().remove(law_id);
    }
}

/// How a merge handles a missing bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Make,
    Refuse,
}

fn refuse_fewer(law_id: &ElectionId, found: u64, wanted: u64) -> Result<(), EngineError> {
    if found >= wanted {
        return Ok(());
    }
    Err(EngineError::Unavailable {
        engine: ENGINE,
        reason: format!(
            "{wanted} credentials of {law_id} were written, {found} found: Redis lost some, run \
             the load again"
        ),
    })
}

/// Two commands per bucket: write it under a temporary key, rename it unless the bucket exists.
fn first_commands(buckets: &Buckets, part: &[BucketSlice<'_>]) -> Vec<Keyed> {
    let mut commands = Vec::with_capacity(2 * part.len());
    for (bucket, cut) in part {
        let (key, new) = (buckets.key(*bucket), buckets.new_key(*bucket));
        let mut write = redis::cmd("HSET");
        write.arg(&new).arg(b"").arg("v1");
        for (field, used) in cut.iter().flat_map(|list| list.fields()) {
            write.arg(field).arg(used);
        }
        let rename = Keyed::with_key("RENAMENX", &new).arg(key);
        commands.push(Keyed::new(new, write));
        commands.push(rename);
    }
    commands
}
