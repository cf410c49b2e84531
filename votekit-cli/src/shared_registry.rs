//! The registry on Redis that verbs work on: reaching it, and what its servers' settings mean for
//! it.

use votekit_store::services::redis::{Finding, RedisRegistry, Severity};
use votekit_store::services::url::{Service, ServiceAddress};

use crate::error::CommandError;

/// Reaches a registry by its address.
pub(crate) async fn open(url: &str) -> Result<RedisRegistry, CommandError> {
    Ok(RedisRegistry::open(&ServiceAddress::parse(Service::Redis, url)?).await?)
}

/// Settings that an operator should know of, a line each.
pub(crate) fn warnings(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.severity == Severity::Warning)
}
