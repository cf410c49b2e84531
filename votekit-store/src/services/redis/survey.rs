//! Counts what a registry holds of an election, and compares it with the log.

use std::fmt;

use redis::Value;
use votekit_core::credential::RegistryKey;
use votekit_core::id::ElectionId;

use super::layout::{Buckets, field, stored};
use super::scripts::SCRIPTS;
use super::server::{Effect, Keyed, unexpected};
use super::{BULK_TIMEOUT, Inner, RedisRegistry};
use crate::{EngineError, FirstUse};

/// Maximum number of credentials read at once.
const COMPARE_BATCH_LEN: usize = 8192;

/// The counts of an election.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Survey {
    /// Credentials, including revoked credentials.
    pub credentials: u64,
    /// Used credentials.
    pub used: u64,
    /// Revoked credentials.
    pub revoked: u64,
    /// Expected number of buckets.
    pub buckets: u64,
    /// Number of missing buckets.
    pub buckets_missing: u64,
}

/// How the state of a credential in the registry differs from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Difference {
    /// On the roll, but not in the registry.
    Missing,
    /// Revoked by the log, but not in the registry.
    NotRevoked,
    /// Revoked in the registry, but not by the log.
    Revoked,
    /// Used in the log, unused in the registry: a mark was lost. The next vote's hint is
    /// optimistic.
    Unmarked,
    /// The registry has another first request than the log.
    OtherRequest,
    /// Used in the registry, unused in the log: the vote is in flight, was refused as a duplicate,
    /// or never arrived.
    AheadOfTheLog,
}

impl Survey {
    /// The number of credentials that are not revoked.
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
            Self::OtherRequest => "first used by another request than in the log",
            Self::AheadOfTheLog => "marked in the registry, without a vote in the log",
        })
    }
}

impl RedisRegistry {
    /// Counts an election, bucket by bucket.
    ///
    /// # Errors
    /// [`EngineError`], also when the roll is not loaded completely.
    pub async fn survey(&self, law_id: &ElectionId) -> Result<Survey, EngineError> {
        let meta = self.inner.loaded_now(law_id).await?;
        self.inner.count(&self.inner.names.buckets(law_id, meta.bits)).await
    }

    /// Compares the state of credentials with the log. `None` for each that agrees.
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
        for part in credentials.chunks(COMPARE_BATCH_LEN) {
            let asked: Vec<Keyed> = part
                .iter()
                .map(|(key, _)| {
                    Keyed::with_key("HGET", &buckets.key(buckets.bucket_of(key))).arg(field(key))
                })
                .collect();
            let answers = self.inner.server.run(&asked, Effect::Reads, BULK_TIMEOUT).await?;
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
            for answer in self.server.run(&commands, Effect::Reads, BULK_TIMEOUT).await? {
                sum.add(&answer)?;
            }
        }
        Ok(sum)
    }
}

impl Survey {
    /// Adds the counts of one bucket.
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
