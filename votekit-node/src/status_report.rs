//! The statuses of the authorities: every few seconds each authority reports in the ledger that it
//! runs, its clock reading, and its halted elections. Every node of the installation reads them.
//!
//! They are for operators, with one exception: a leader on which an election is halted offers the
//! lead once another authority reports that none is halted there. The lease and the votes decide
//! whether that authority leads.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use votekit_core::authority::{AuthorityMember, AuthoritySet, AuthorityStatus, ElectionStatus};
use votekit_core::election::State;
use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;
use votekit_core::log::note::KeyName;
use votekit_store::EngineError;

use crate::audit::{AuditEvent, AuditFields};
use crate::authority::AuthorityContext;
use crate::context::NodeContext;
use crate::node_record::Admission;

/// How often a status is stored and the others are read.
const INTERVAL: Duration = Duration::from_secs(5);

/// The maximum time of one round of reporting and reading.
const ROUND_TIMEOUT: Duration = Duration::from_secs(3);

/// The age of its last status from which an authority counts as silent.
const SILENT_AFTER: Duration = Duration::from_secs(15);

/// The elections in one status. Those that are halted come first.
const ELECTIONS_MAX: usize = 500;

/// The largest number in a status.
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// How long a leader on which an election is halted waits before it offers the lead again.
const OFFER_PAUSE: Duration = Duration::from_secs(60);

/// Reports and reads statuses as long as the node runs.
pub(crate) async fn run(context: Arc<NodeContext>, set: Arc<AuthoritySet>) {
    let mut watch = StatusWatch { since: Instant::now(), silent: BTreeSet::new(), offered: None };
    loop {
        match tokio::time::timeout(ROUND_TIMEOUT, exchange(&context, &set)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(
                event = "status_not_exchanged",
                %error,
                "statuses of authorities not stored or read"
            ),
            Err(_) => tracing::debug!(
                event = "status_not_exchanged",
                error = "the ledger does not answer",
                "statuses of authorities not stored or read"
            ),
        }
        watch.note_silence(&context, &set);
        watch.offer_lead(&context);
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Stores the own status, and reads those of all.
async fn exchange(context: &NodeContext, set: &AuthoritySet) -> Result<(), EngineError> {
    // The watch of this node reads the ledger's clock as often.
    let now = match context.observed.ledger_time() {
        Some(now) => now,
        None => {
            let now = context.ledger.clock().await?;
            context.observed.set_ledger_time(now);
            now
        }
    };
    if let Some(authority) = &context.authority
        && let Some(member) = set.member(&authority.name)
    {
        let status = own_status(context, authority, now.seconds());
        let bytes = authority.key().sign_status(&status);
        context.ledger.put_node_record(&record_name(member), &bytes).await?;
    }
    let records = context.ledger.node_records().await?;
    context.observed.set_statuses(verified(set, &records));
    if let Some(authority) = &context.authority {
        authority.note_records(admissions_digest(&records));
    }
    Ok(())
}

fn own_status(
    context: &NodeContext,
    authority: &AuthorityContext,
    at: UnixSeconds,
) -> AuthorityStatus {
    AuthorityStatus {
        authority: authority.name.clone(),
        incarnation: authority.incarnation(),
        at,
        clock_offset: context.observed.clock_offset().unwrap_or_default(),
        free_bytes: context.observed.space().map(|space| space.free.min(NUMBER_MAX)),
        signs: !authority.is_rolled_back(),
        elections: own_elections(context),
    }
}

/// The elections that still need blocks, and those that are halted here.
fn own_elections(context: &NodeContext) -> Vec<ElectionStatus> {
    let mut elections: Vec<ElectionStatus> = Vec::new();
    for election in context.elections() {
        let (committed, is_halted) = (election.committed(), election.halted().is_some());
        if is_halted || committed.state() < State::Certified {
            let law_id = election.law_id().clone();
            elections.push(ElectionStatus { law_id, height: committed.height, is_halted });
        }
    }
    for damaged in context.damaged_elections() {
        let law_id = damaged.law_id().clone();
        elections.push(ElectionStatus { law_id, height: 0, is_halted: true });
    }
    bounded(elections)
}

/// The elections of a status in their order: as many as fit, with those that are halted.
fn bounded(mut elections: Vec<ElectionStatus>) -> Vec<ElectionStatus> {
    elections.sort_by_key(|election| !election.is_halted);
    elections.truncate(ELECTIONS_MAX);
    elections.sort_by(|one, other| one.law_id.cmp(&other.law_id));
    elections
}

/// The name of the record with the status of an authority. Names of nodes have no slash.
fn record_name(member: &AuthorityMember) -> String {
    format!("authority/{}", const_hex::encode(member.statement))
}

/// The statuses among records that their authorities have signed, in the order of the authorities.
pub(crate) fn verified(set: &AuthoritySet, records: &[(String, Vec<u8>)]) -> Vec<AuthorityStatus> {
    let status = |member: &AuthorityMember| {
        let name = record_name(member);
        let (_, bytes) = records.iter().find(|(of, _)| *of == name)?;
        set.verify_status(bytes).ok().filter(|status| status.authority == member.name)
    };
    set.members().iter().filter_map(status).collect()
}

/// The digest of the records by which nodes may have been admitted or retired, without the
/// statuses, which change each time. No signature is verified here, because this runs every few
/// seconds: an irrelevant change costs only a comparison.
fn admissions_digest(records: &[(String, Vec<u8>)]) -> Digest {
    let mut text = Vec::new();
    let is_admission = |bytes: &[u8]| bytes.len() <= Admission::BYTES_MAX;
    for (name, bytes) in records.iter().filter(|(_, bytes)| is_admission(bytes)) {
        // Names of nodes have no slash.
        if !name.contains('/') {
            text.extend_from_slice(Digest::of(bytes).as_bytes());
        }
    }
    Digest::of(&text)
}

/// How long ago a status was made, where `now` is the time on the ledger's clock.
pub(crate) fn age(status: &AuthorityStatus, now: UnixSeconds) -> Duration {
    Duration::from_secs(now.0.saturating_sub(status.at.0))
}

/// Whether an authority with this status counts as silent.
pub(crate) fn is_silent(status: &AuthorityStatus, now: UnixSeconds) -> bool {
    age(status, now) >= SILENT_AFTER
}

/// Whether an authority can lead every election, by its status.
fn is_able(status: &AuthorityStatus, now: UnixSeconds) -> bool {
    status.signs
        && !is_silent(status, now)
        && !status.elections.iter().any(|election| election.is_halted)
}

/// The conclusions of this node from the statuses.
struct StatusWatch {
    /// When the watch began: before that nothing is known.
    since: Instant,
    silent: BTreeSet<KeyName>,
    /// When the lead was last offered to the others.
    offered: Option<Instant>,
}

impl StatusWatch {
    /// Reports the authorities that went silent, and those that report again.
    fn note_silence(&mut self, context: &NodeContext, set: &AuthoritySet) {
        let (statuses, now) = (context.observed.statuses(), context.observed.ledger_time());
        let own = context.authority.as_ref().map(|authority| &authority.name);
        for name in set.members().iter().map(|member| &member.name) {
            if Some(name) == own {
                continue;
            }
            let is_heard = statuses.iter().any(|status| {
                status.authority == *name
                    && now.is_some_and(|now| !is_silent(status, now.seconds()))
            });
            let event = match (is_heard, self.silent.contains(name)) {
                (false, false) if self.since.elapsed() >= SILENT_AFTER => {
                    tracing::error!(
                        event = "authority_silent",
                        alarm = true,
                        authority = %name,
                        "an authority has not reported for 15 seconds"
                    );
                    self.silent.insert(name.clone());
                    AuditEvent::AuthoritySilent
                }
                (true, true) => {
                    tracing::info!(
                        event = "authority_heard",
                        authority = %name,
                        "an authority reports again"
                    );
                    self.silent.remove(name);
                    AuditEvent::AuthorityHeard
                }
                _ => continue,
            };
            let fields = AuditFields { about: Some(name.as_str()), ..AuditFields::default() };
            context.audit.record(event, &fields);
        }
    }

    /// Offers the lead if this node leads, an election is halted here, and another authority is
    /// able to lead.
    fn offer_lead(&mut self, context: &NodeContext) {
        let Some(authority) = &context.authority else { return };
        if context.leader_lease.term().is_none()
            || !context.is_hindered()
            || self.offered.is_some_and(|at| at.elapsed() < OFFER_PAUSE)
        {
            return;
        }
        let Some(now) = context.observed.ledger_time().map(|now| now.seconds()) else { return };
        let statuses = context.observed.statuses();
        let able = statuses
            .iter()
            .find(|status| status.authority != authority.name && is_able(status, now));
        if let Some(able) = able {
            self.offered = Some(Instant::now());
            tracing::warn!(
                event = "lead_offered",
                to = %able.authority,
                "an election is halted on this leader and not on another authority: it steps down"
            );
            context.leader_lease.hinder();
        }
    }
}

#[cfg(test)]
mod tests {
    use votekit_core::authority::StatementKey;
    use votekit_core::log::note::SigningKey;

    use super::*;

    fn name(text: &str) -> KeyName {
        text.parse().expect("a name")
    }

    fn key(number: u8) -> StatementKey {
        StatementKey::from_seed(&name("base"), &name(&format!("a{number}")), &[number; 32])
    }

    fn set() -> AuthoritySet {
        let public =
            |seed| *SigningKey::from_seed(name("any"), &[seed; 32]).verifier().public_key();
        let member = |number: u8| AuthorityMember {
            name: name(&format!("a{number}")),
            log: public(10 + number),
            cosigner: public(20 + number),
            statement: key(number).public(),
            transport: [30 + number; 32],
        };
        AuthoritySet::new(name("base"), 2, (1..=3).map(member).collect()).expect("a set")
    }

    fn election(law_id: &str, is_halted: bool) -> ElectionStatus {
        ElectionStatus { law_id: law_id.parse().expect("a law id"), height: 4, is_halted }
    }

    fn status(number: u8) -> AuthorityStatus {
        AuthorityStatus {
            authority: name(&format!("a{number}")),
            incarnation: 1,
            at: UnixSeconds(1_763_712_000),
            clock_offset: 0,
            free_bytes: None,
            signs: true,
            elections: vec![election("L1", false)],
        }
    }

    #[test]
    fn only_a_status_that_its_authority_signed_is_shown() {
        let set = set();
        let record = |number: u8, bytes: Vec<u8>| {
            (record_name(&set.members()[usize::from(number) - 1]), bytes)
        };
        let records = [
            record(2, key(2).sign_status(&status(2))),
            record(1, key(1).sign_status(&status(1))),
            // The status of another authority, under its own name and under this authority's name.
            record(3, key(2).sign_status(&status(2))),
            ("authority/3".to_owned(), key(3).sign_status(&status(3))),
            ("ingest-1".to_owned(), vec![0xff; 70_000]),
        ];
        assert_eq!(verified(&set, &records), [status(1), status(2)]);
        assert_eq!(verified(&set, &[record(1, key(2).sign_status(&status(1)))]), []);
    }

    #[test]
    fn an_authority_is_able_while_it_reports_signs_and_has_halted_nothing() {
        let now = |seconds: u64| UnixSeconds(1_763_712_000 + seconds);
        assert!(is_able(&status(1), now(14)));
        assert!(!is_able(&status(1), now(15)), "silent");
        assert!(is_able(&status(1), UnixSeconds(0)), "the ledger was rolled back");
        assert!(!is_able(&AuthorityStatus { signs: false, ..status(1) }, now(0)));
        let elections = vec![election("L1", false), election("L2", true)];
        assert!(!is_able(&AuthorityStatus { elections, ..status(1) }, now(0)));
    }

    #[test]
    fn a_status_is_bounded_and_keeps_what_is_halted() {
        let mut all: Vec<ElectionStatus> =
            (0..600).map(|number| election(&format!("L{number:03}"), false)).collect();
        all.push(election("L999", true));
        let kept = bounded(all);
        assert_eq!(kept.len(), ELECTIONS_MAX);
        assert!(kept.windows(2).all(|pair| pair[0].law_id < pair[1].law_id));
        assert!(kept.last().is_some_and(|last| last.is_halted));
    }
}
