//! Checks the servers' settings on which memory use and durability depend.

use std::collections::HashMap;
use std::fmt;

use redis::Value;

use super::{ENGINE, QUERY_TIMEOUT, RedisRegistry};
use crate::EngineError;

/// Maximum number of electors in a bucket after supplements doubled the roll, with a margin for
/// chance.
const PACKED_ENTRIES_MIN: u64 = 256;
/// Length of the longest field or value, in bytes.
const PACKED_VALUE_BYTES_MIN: u64 = 16;

/// Memory of an elector who has voted, in bytes.
const ELECTOR_BYTES: u64 = 28;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// An operator should know.
    Warning,
    /// The registry would not fit, or would lose electors.
    Refusal,
}

/// A server's setting that is not as required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The server.
    pub server: String,
    /// The severity.
    pub severity: Severity,
    /// The setting, its value, the consequence, and the required value.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.server, self.text)
    }
}

impl RedisRegistry {
    /// Checks the settings of every server, and whether each has memory for its share of `electors`
    /// electors. Includes replicas, since a failover may promote them.
    ///
    /// # Errors
    /// [`EngineError`] when a master does not answer. Servers that do not report their settings and
    /// replicas that do not answer are findings.
    pub async fn check_settings(&self, electors: u64) -> Result<Vec<Finding>, EngineError> {
        let server = &self.inner.server;
        let mut findings = Vec::new();
        let masters = server.on_each(&redis::cmd("INFO"), QUERY_TIMEOUT).await?;
        let share = electors.div_ceil((masters.len() as u64).max(1));
        let replicas = server.on_replicas(&redis::cmd("INFO"), QUERY_TIMEOUT).await;
        let (answered, silent): (Vec<_>, Vec<_>) =
            replicas.into_iter().partition(|(_, answer)| answer.is_ok());
        for (server, answer) in masters
            .into_iter()
            .chain(answered.into_iter().filter_map(|(server, answer)| Some((server, answer.ok()?))))
        {
            let answer = redis::from_redis_value::<String>(answer).unwrap_or_default();
            for (severity, text) in [eviction(&answer), persistence(&answer), room(&answer, share)]
                .into_iter()
                .flatten()
            {
                findings.push(Finding { server: server.clone(), severity, text });
            }
        }
        for (server, _) in silent {
            let text =
                "does not answer: it could not take over from its master; its settings were \
                        not checked"
                    .to_owned();
            findings.push(Finding { server, severity: Severity::Warning, text });
        }
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg("hash-max-listpack-*");
        match server.on_each(&command, QUERY_TIMEOUT).await {
            Ok(answers) => {
                let replicas = server.on_replicas(&command, QUERY_TIMEOUT).await;
                let replicas = replicas
                    .into_iter()
                    .filter_map(|(server, answer)| Some((server, answer.ok()?)));
                for (server, answer) in answers.into_iter().chain(replicas) {
                    let answer: HashMap<String, String> = read(answer);
                    findings.extend(packed(&answer).map(|(severity, text)| Finding {
                        server: server.clone(),
                        severity,
                        text,
                    }));
                }
            }
            Err(error) => findings.push(Finding {
                server: "every server".to_owned(),
                severity: Severity::Warning,
                text: format!(
                    "does not return its settings ({error}): make sure that \
                     hash-max-listpack-entries is at least {PACKED_ENTRIES_MIN}"
                ),
            }),
        }
        Ok(findings)
    }
}

/// Refuses settings under which a registry would not fit, or would lose electors.
///
/// # Errors
/// [`EngineError::Misconfigured`] with all of them, one per line.
pub fn refuse(findings: &[Finding]) -> Result<(), EngineError> {
    let refusals: Vec<String> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Refusal)
        .map(ToString::to_string)
        .collect();
    if refusals.is_empty() {
        return Ok(());
    }
    Err(EngineError::Misconfigured {
        engine: ENGINE,
        reason: refusals.join("\n"),
        hint:
            "set it with CONFIG SET and in redis.conf on every server, then run the command again"
                .to_owned(),
    })
}

fn read(answer: Value) -> HashMap<String, String> {
    redis::from_redis_value(answer).unwrap_or_default()
}

fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_end)
}

fn eviction(answer: &str) -> Option<(Severity, String)> {
    let policy = field(answer, "maxmemory_policy")?;
    (policy != "noeviction").then(|| {
        let text = format!(
            "maxmemory-policy is {policy}, which evicts electors when memory is short: set it to \
             noeviction"
        );
        (Severity::Refusal, text)
    })
}

fn persistence(answer: &str) -> Option<(Severity, String)> {
    let off = field(answer, "aof_enabled") == Some("0");
    off.then(|| {
        let text =
            "appendonly is off: a restart loses marks, or all data: set it to yes".to_owned();
        (Severity::Warning, text)
    })
}

/// A finding if a server lacks memory for its share of the electors.
fn room(answer: &str, share: u64) -> Option<(Severity, String)> {
    let most: u64 = field(answer, "maxmemory")?.parse().ok()?;
    let wanted = share * ELECTOR_BYTES;
    (most != 0 && most < wanted).then(|| {
        let text = format!(
            "maxmemory is {most} bytes: its {share} electors need {wanted} once they have voted, \
             without further attempts and Redis itself: raise it, or add masters"
        );
        (Severity::Refusal, text)
    })
}

fn packed(answer: &HashMap<String, String>) -> impl Iterator<Item = (Severity, String)> {
    let check = |name: &str, least: u64| {
        let found: u64 = answer.get(name)?.parse().ok()?;
        let text = format!(
            "{name} is {found}: electors would take about three times the memory: set it to \
             {least} or more"
        );
        (found < least).then_some((Severity::Refusal, text))
    };
    [
        check("hash-max-listpack-entries", PACKED_ENTRIES_MIN),
        check("hash-max-listpack-value", PACKED_VALUE_BYTES_MIN),
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_is_named_with_what_follows() {
        assert_eq!(eviction("maxmemory_policy:noeviction\r\n"), None);
        assert!(
            eviction("maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n")
                .expect("found")
                .1
                .contains("allkeys-lru")
        );
        assert_eq!(persistence("aof_enabled:1\r\n"), None);
        assert_eq!(persistence("aof_enabled:0\r\n").expect("found").0, Severity::Warning);
        assert_eq!(room("maxmemory:0\r\n", u64::MAX / ELECTOR_BYTES), None);
        assert_eq!(room("maxmemory:28000\r\nmaxmemory_policy:noeviction\r\n", 1000), None);
        let (severity, text) = room("maxmemory:27999\r\n", 1000).expect("too little");
        assert!(
            severity == Severity::Refusal && text.contains("1000 electors need 28000"),
            "{text}"
        );
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
