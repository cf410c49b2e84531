//! The settings of the servers: those that the plan for memory and durability stands on.

use std::collections::HashMap;
use std::fmt;

use redis::Value;

use super::{QUESTION_PATIENCE, RedisRegistry};
use crate::engine::EngineError;

/// Most electors that a bucket comes to hold when supplements double the roll, with room for chance.
const PACKED_ENTRIES_MIN: u64 = 256;
/// Bytes of the longest field or value: 16.
const PACKED_VALUE_BYTES_MIN: u64 = 16;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// An operator should know.
    Warning,
    /// The registry would not fit, or would lose electors.
    Refusal,
}

/// A setting of a server that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which server.
    pub server: String,
    /// How much it matters.
    pub severity: Severity,
    /// Which setting, what it is, what follows, what it should be.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.server, self.text)
    }
}

impl RedisRegistry {
    /// Looks at the settings of every master.
    ///
    /// # Errors
    /// [`EngineError`] when a server does not answer. One that does not tell its settings is a finding.
    pub async fn check_settings(&self) -> Result<Vec<Finding>, EngineError> {
        let mut findings = Vec::new();
        for (server, told) in self.inner.server.on_each(&redis::cmd("INFO"), QUESTION_PATIENCE).await? {
            let told = redis::from_redis_value::<String>(told).unwrap_or_default();
            let mut add = |found: Option<(Severity, String)>| {
                findings.extend(found.map(|(severity, text)| Finding { server: server.clone(), severity, text }));
            };
            add(eviction(&told));
            add(persistence(&told));
        }
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg("hash-max-listpack-*");
        match self.inner.server.on_each(&command, QUESTION_PATIENCE).await {
            Ok(answers) => {
                for (server, told) in answers {
                    let told: HashMap<String, String> = read(told);
                    findings.extend(packed(&told).map(|(severity, text)| Finding { server: server.clone(), severity, text }));
                }
            }
            Err(error) => findings.push(Finding {
                server: "every server".to_owned(),
                severity: Severity::Warning,
                text: format!(
                    "does not tell its settings ({error}): see that hash-max-listpack-entries is at least {PACKED_ENTRIES_MIN}"
                ),
            }),
        }
        Ok(findings)
    }
}

fn read(told: Value) -> HashMap<String, String> {
    redis::from_redis_value(told).unwrap_or_default()
}

fn field<'a>(told: &'a str, name: &str) -> Option<&'a str> {
    told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_end)
}

fn eviction(told: &str) -> Option<(Severity, String)> {
    let policy = field(told, "maxmemory_policy")?;
    (policy != "noeviction").then(|| {
        let text =
            format!("maxmemory-policy is {policy}: it would throw electors away when memory is short. Set it to noeviction");
        (Severity::Refusal, text)
    })
}

fn persistence(told: &str) -> Option<(Severity, String)> {
    let off = field(told, "aof_enabled") == Some("0");
    off.then(|| {
        let text = "appendonly is off: after a restart this server has forgotten marks, or everything. Set it to yes".to_owned();
        (Severity::Warning, text)
    })
}

fn packed(told: &HashMap<String, String>) -> impl Iterator<Item = (Severity, String)> {
    let check = |name: &str, least: u64| {
        let found: u64 = told.get(name)?.parse().ok()?;
        let text = format!("{name} is {found}: electors would take about three times the memory. Set it to {least} or more");
        (found < least).then_some((Severity::Refusal, text))
    };
    [check("hash-max-listpack-entries", PACKED_ENTRIES_MIN), check("hash-max-listpack-value", PACKED_VALUE_BYTES_MIN)]
        .into_iter()
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_is_named_with_what_follows() {
        assert_eq!(eviction("maxmemory_policy:noeviction\r\n"), None);
        assert!(eviction("maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n").expect("found").1.contains("allkeys-lru"));
        assert_eq!(persistence("aof_enabled:1\r\n"), None);
        assert_eq!(persistence("aof_enabled:0\r\n").expect("found").0, Severity::Warning);
        let settings = |entries: &str, value: &str| {
            HashMap::from([
                ("hash-max-listpack-entries".to_owned(), entries.to_owned()),
                ("hash-max-listpack-value".to_owned(), value.to_owned()),
            ])
        };
        assert_eq!(packed(&settings("512", "64")).count(), 0);
        assert_eq!(packed(&settings("128", "64")).count(), 1);
        assert_eq!(packed(&settings("128", "8")).count(), 2);
    }
}
