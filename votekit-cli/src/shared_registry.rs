//! The registry on Redis that verbs work on: opens it, and reports what its servers' settings mean
//! for it.

use votekit_store::services::redis::{Finding, RedisRegistry, Severity};
use votekit_store::services::url::{Service, ServiceAddress};

use crate::error::CommandError;

/// Opens a registry by its address.
pub(crate) async fn open(url: &str) -> Result<RedisRegistry, CommandError> {
    Ok(RedisRegistry::open(&ServiceAddress::parse(Service::Redis, url)?).await?)
}

/// Settings that an operator should know of.
pub(crate) fn warnings(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.severity == Severity::Warning)
}
