//! Applies a supplement: replacements, revocations and additions, in the order of the log's rules.
//!
//! The two credentials of a replacement are in different buckets, so they cannot be changed in one
//! atomic step. The new credential is added before the old credential is revoked: after an
//! interruption between the two steps, the old credential is still unused and the replacement
//! continues. In the other order, an unfinished replacement could not be distinguished from a
//! revocation.

use redis::Value;
use votekit_core::credential::RegistryKey;
use votekit_core::electorate::Changes;
use votekit_core::id::ElectionId;

use super::layout::{Buckets, field, stored};
use super::scripts::SCRIPTS;
use super::server::{Effect, Keyed};
use super::{BULK_TIMEOUT, Inner, RedisRegistry};
use crate::{EngineError, FirstUse, RollOrigin};

/// Maximum number of changes sent to Redis at once.
const PIPELINE_LEN: usize = 4096;
const UNUSED: Option<i32> = Some(0);
const REVOKED: Option<i32> = Some(-1);

impl RedisRegistry {
    /// Applies a supplement. Returns the number of credentials registered now.
    ///
    /// # Errors
    /// [`EngineError`]: what was applied stays, and applying again continues.
    pub async fn load_supplement(
        &self,
        law_id: &ElectionId,
        changes: &Changes,
        origin: Option<&RollOrigin>,
    ) -> Result<u64, EngineError> {
        let inner = &self.inner;
        let mut meta = inner.loaded_now(law_id).await?;
        if let Some(origin) = origin {
            meta.refuse_other(law_id, origin)?;
        }
        let buckets = inner.names.buckets(law_id, meta.bits);
        inner.refuse_gone(law_id, &buckets).await?;
        for part in changes.readmit.chunks(PIPELINE_LEN) {
            inner.readmit(&buckets, part).await?;
        }
        for part in changes.replace.chunks(PIPELINE_LEN) {
            inner.replace_unused(&buckets, part).await?;
        }
        let replaced: std::collections::HashSet<RegistryKey> =
            changes.replace.iter().map(|(_, new)| *new).collect();
        // By the rules, a credential that a replacement has just added did not exist yet when
        // revocations apply.
        let revoke: Vec<RegistryKey> =
            changes.revoke.iter().filter(|key| !replaced.contains(key)).copied().collect();
        for part in revoke.chunks(PIPELINE_LEN) {
            inner.shift(&buckets, part, UNUSED, REVOKED).await?;
        }
        for part in changes.add.chunks(PIPELINE_LEN) {
            inner.add(&buckets, part).await?;
        }
        meta.registered = inner.count(&buckets).await?.registered();
        meta.add_manifest(origin);
        inner.finish(law_id, &meta, origin).await?;
        inner.forget(law_id);
        Ok(meta.registered)
    }
}

impl Inner {
    /// Adds the new credential of each pair whose old credential is revoked.
    async fn readmit(
        &self,
        buckets: &Buckets,
        part: &[(RegistryKey, RegistryKey)],
    ) -> Result<(), EngineError> {
        let (_, new) = self.pairs_of_use(buckets, part, FirstUse::REVOKED).await?;
        self.add(buckets, &new).await.map(drop)
    }

    /// The pairs whose old credential has the first use `wanted`.
    async fn pairs_of_use(
        &self,
        buckets: &Buckets,
        part: &[(RegistryKey, RegistryKey)],
        wanted: FirstUse,
    ) -> Result<(Vec<RegistryKey>, Vec<RegistryKey>), EngineError> {
        let asked: Vec<Keyed> = part
            .iter()
            .map(|(old, _)| {
                Keyed::with_key("HGET", &buckets.key(buckets.bucket_of(old))).arg(field(old))
            })
            .collect();
        let uses = self.server.run(&asked, Effect::Reads, BULK_TIMEOUT).await?;
        let wanted = Value::BulkString(stored(wanted).to_string().into_bytes());
        let pairs = part.iter().zip(&uses).filter(|(_, used)| **used == wanted);
        Ok(pairs.map(|(pair, _)| *pair).unzip())
    }

    /// Replaces those old credentials that are unused.
    async fn replace_unused(
        &self,
        buckets: &Buckets,
        part: &[(RegistryKey, RegistryKey)],
    ) -> Result<(), EngineError> {
        let (old, new) = self.pairs_of_use(buckets, part, FirstUse::UNUSED).await?;
        let added = self.add(buckets, &new).await?;
        let revoked = self.shift(buckets, &old, UNUSED, REVOKED).await?;
        // The old credential was used between the read and the revocation: the addition of its
        // replacement is undone, unless that one was used too.
        for ((new, added), revoked) in new.iter().zip(added).zip(revoked) {
            let back = match added {
                Added::Before => continue,
                Added::New => None,
                Added::Back => REVOKED,
            };
            if !revoked {
                self.shift(buckets, std::slice::from_ref(new), UNUSED, back).await?;
            }
        }
        Ok(())
    }

    /// Adds credentials that are absent or revoked.
    async fn add(
        &self,
        buckets: &Buckets,
        keys: &[RegistryKey],
    ) -> Result<Vec<Added>, EngineError> {
        let new = self.shift(buckets, keys, None, UNUSED).await?;
        let back = self.shift(buckets, keys, REVOKED, UNUSED).await?;
        let added = |(new, back)| match (new, back) {
            (true, _) => Added::New,
            (false, true) => Added::Back,
            (false, false) => Added::Before,
        };
        Ok(new.into_iter().zip(back).map(added).collect())
    }

    /// Moves credentials from one state to another. Returns for each whether it was in the first.
    async fn shift(
        &self,
        buckets: &Buckets,
        keys: &[RegistryKey],
        from: Option<i32>,
        to: Option<i32>,
    ) -> Result<Vec<bool>, EngineError> {
        let commands: Vec<Keyed> = keys
            .iter()
            .map(|credential| {
                let key = buckets.key(buckets.bucket_of(credential));
                let command = SCRIPTS.change(&key, field(credential), from, to);
                Keyed::new(key, command)
            })
            .collect();
        let answers = self.server.run(&commands, Effect::Writes, BULK_TIMEOUT).await?;
        Ok(answers.iter().map(|answer| *answer == Value::Int(1)).collect())
    }
}

/// The state of a credential before it was added.
#[derive(Debug, Clone, Copy)]
enum Added {
    /// Present.
    Before,
    /// Absent.
    New,
    /// Revoked.
    Back,
}
