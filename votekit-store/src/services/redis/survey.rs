//! What a registry holds of an election, counted, and held against what the log says.

use std::fmt;

use redis::Value;
use votekit_core::credential::RegistryKey;
use votekit_core::id::ElectionId;

use super::layout::{Buckets, field, stored};
use super::scripts::SCRIPTS;
use super::server::{Effect, Keyed, unexpected};
use super::{CHANGE_PATIENCE, Inner, RedisRegistry};
use crate::{EngineError, FirstUse};

/// Credentials asked for at once.
const KEYS_AT_ONCE: usize = 8192;

/// An election, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Survey {
    /// Credentials, revoked ones too.
    pub credentials: u64,
    /// Those that were used.
    pub used: u64,
    /// Those that are revoked.
    pub revoked: u64,
    /// Buckets that should be there.
    pub buckets: u64,
    /// Buckets that are not.
    pub buckets_missing: u64,
}

/// How a credential stands in the registry, when it does not stand there as the log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Difference {
    /// It is on the roll, and the registry does not have it.
    Missing,
    /// The log revoked it, the registry did not.
    NotRevoked,
    /// The registry revoked it, the log did not.
    Revoked,
    /// The log has a vote of it, the registry does not know: a mark that was lost. The next vote's
    /// hint is optimistic.
    Unmarked,
    /// The registry has another request first than the log.
    OtherRequest,
    /// The registry has a vote of it that the log has not: it is on its way, or was refused as a
    /// duplicate, or never came.
    AheadOfTheLog,
}

impl Survey {
    /// Credentials less revoked ones.
    #[must_use]
    pub fn registered(&self) -> u64 {
        self.credentials - self.revoked
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Missing => "on the roll, not in the registry",
            Self::NotRevoked => "revoked by the log, not in the registry",
            Self::Revoked => "revoked in the registry, not by the log",
            Self::Unmarked => "voted in the log, unmarked in the registry",
            Self::OtherRequest => "first used by another request than the log says",
            Self::AheadOfTheLog => "marked in the registry, without a vote in the log",
        })
    }
}

impl RedisRegistry {
    /// Counts an election, bucket by bucket.
    ///
    /// # Errors
    /// [`EngineError`], among others when nothing of it is loaded to its end.
    pub async fn survey(&self, law_id: &ElectionId) -> Result<Survey, EngineError> {
        let meta = self.inner.loaded_now(law_id).await?;
        self.inner.count(&self.inner.names.buckets(law_id, meta.bits)).await
    }

    /// Compares credentials with how each stands by the log. `None` for those that stand as they
    /// should.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn compare(
        &self,
        law_id: &ElectionId,
        credentials: &[(RegistryKey, FirstUse)],
    ) -> Result<Vec<Option<Difference>>, EngineError> {
        let meta = self.inner.loaded_now(law_id).await?;
        let buckets = self.inner.names.buckets(law_id, meta.bits);
        let mut found = Vec::with_capacity(credentials.len());
        for part in credentials.chunks(KEYS_AT_ONCE) {
            let asked: Vec<Keyed> = part
                .iter()
                .map(|(key, _)| Keyed::of("HGET", &buckets.key(buckets.of(key))).arg(field(key)))
                .collect();
            let answers = self.inner.server.run(&asked, Effect::Reads, CHANGE_PATIENCE).await?;
            for ((_, log), answer) in part.iter().zip(&answers) {
                found.push(difference(*log, answer)?);
            }
        }
        Ok(found)
    }
}

impl Inner {
    pub(super) async fn count(&self, buckets: &Buckets) -> Result<Survey, EngineError> {
        let mut sum = Survey::default();
        for part in buckets.parts() {
            let count = |bucket| {
                let key = buckets.key(bucket);
                let command = SCRIPTS.count(&key);
                Keyed::new(key, command)
            };
            let commands: Vec<Keyed> = part.map(count).collect();
            for answer in self.server.run(&commands, Effect::Reads, CHANGE_PATIENCE).await? {
                sum.add(&answer)?;
            }
        }
        Ok(sum)
    }
}

impl Survey {
    /// Adds what a bucket answered.
    fn add(&mut self, answer: &Value) -> Result<(), EngineError> {
        let counts = numbers(answer).ok_or_else(|| unexpected(answer))?;
        self.buckets += 1;
        match counts.map(u64::try_from) {
            [Ok(credentials), Ok(used), Ok(revoked)] => {
                self.credentials += credentials;
                self.used += used;
                self.revoked += revoked;
            }
            _ => self.buckets_missing += 1,
        }
        Ok(())
    }
}

fn numbers(answer: &Value) -> Option<[i64; 3]> {
    let Value::Array(values) = answer else { return None };
    let [Value::Int(credentials), Value::Int(used), Value::Int(revoked)] = values[..] else {
        return None;
    };
    Some([credentials, used, revoked])
}

fn difference(log: FirstUse, answer: &Value) -> Result<Option<Difference>, EngineError> {
    let found = match answer {
        Value::Nil => return Ok(Some(Difference::Missing)),
        Value::BulkString(text) => {
            std::str::from_utf8(text).ok().and_then(|text| text.parse::<i32>().ok())
        }
        _ => None,
    };
    let found = found.ok_or_else(|| unexpected(answer))?;
    let (unused, revoked) = (stored(FirstUse::UNUSED), stored(FirstUse::REVOKED));
    Ok(match (stored(log), found) {
        (log, found) if log == found => None,
        (_, found) if found == revoked => Some(Difference::Revoked),
        (log, _) if log == revoked => Some(Difference::NotRevoked),
        (_, found) if found == unused => Some(Difference::Unmarked),
        (log, _) if log == unused => Some(Difference::AheadOfTheLog),
        _ => Some(Difference::OtherRequest),
    })
}
