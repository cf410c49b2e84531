//! Acquires and renews the leader lease in the ledger, votes for leaders and counts their votes, as
//! the state machine commands.

use std::sync::Arc;
use std::time::{Duration, Instant};

use votekit_authority::leader_election::{Command, Event};
use votekit_authority::leader_lease;
use votekit_authority::round::{NoVote, Quorum};
use votekit_core::authority::{AcceptedBlock, StatementBody, SuspectReason, TermLeader};
use votekit_core::id::ElectionId;
use votekit_core::log::note::KeyName;
use votekit_store::log_summary::LogSummary;
use votekit_store::retry::until_definite;
use votekit_store::{EngineError, Leadership, NewRow, RowId, RowKind};

use crate::audit::{AuditEvent, AuditFields, AuditLog};
use crate::authority::AuthorityContext;
use crate::context::NodeContext;
use crate::error::ElectionFault;
use crate::leader::LeaderLease;
use crate::seal::own_statements::suspicion;

/// The length of the lease, which is also the wait after a leader has failed. With 1.5 seconds, a
/// new leader has its votes and seals within three seconds.
const LEASE_LENGTH: Duration = Duration::from_millis(1500);

/// How often the lease is renewed or requested.
const RENEW_INTERVAL: Duration = Duration::from_millis(300);

/// The length of a lease on a ledger that belongs to this process: no other node can take it.
const EXCLUSIVE_LENGTH: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// How long an authority does not vote for a leader whose block it refused, unless a quorum does.
const REFUSED_LEADER_PAUSE: Duration = Duration::from_secs(600);

/// The lease of a node on a ledger that other nodes share, or not.
pub(crate) fn new(
    name: &str,
    life: [u8; 4],
    is_shared: bool,
    authority: Option<&AuthorityContext>,
    audit: AuditLog,
) -> LeaderLease {
    let length = if is_shared { LEASE_LENGTH } else { EXCLUSIVE_LENGTH };
    match authority {
        Some(authority) => {
            let lease = LeaderLease::new(
                authority.holder(),
                authority.name.clone(),
                authority.quorum(),
                (length, RENEW_INTERVAL),
                audit,
            );
            if let Some(promise) = authority.promise() {
                lease.record_promise(&promise);
            }
            lease
        }
        None => {
            let alone = Quorum { authorities: 1, quorum: 1 };
            let key_name: KeyName = "node".parse().expect("a key name");
            let holder = LeaderLease::holder_of(name, life);
            LeaderLease::new(holder, key_name, alone, (length, RENEW_INTERVAL), audit)
        }
    }
}

/// Acquires the lease of a ledger that belongs to this process.
///
/// # Errors
/// When the ledger fails.
pub(crate) async fn acquire_exclusive(context: &NodeContext) -> Result<(), EngineError> {
    let lease = &context.leader_lease;
    for command in lease.step(Event::Lease(leader_lease::Event::Tick)) {
        if let Command::Request { length, at_least, .. } = command {
            let answer = context.ledger.acquire_leadership(&lease.holder, length, at_least).await?;
            lease.step(Event::Lease(outcome(&answer)));
        }
    }
    Ok(())
}

/// Acquires and renews the lease as long as the node runs.
pub(crate) async fn run(context: Arc<NodeContext>) {
    let lease = &context.leader_lease;
    let mut changes = context.ledger.changes();
    let mut seen = changes.borrow().logs;
    loop {
        let changed = async { changes.wait_for(|now| now.logs != seen).await.map(|now| now.logs) };
        // This loop never spins: a request is due at the earliest after the renewal interval.
        tokio::select! {
            () = tokio::time::sleep(lease.until_next_request()) => {}
            () = lease.wake.notified() => {}
            // Another node may have released its lease, or a term may have begun: then the wait for
            // that lease ends.
            Ok(logs) = changed => {
                seen = logs;
                lease.note_other_lease(None);
            }
        }
        for command in lease.take_pending() {
            execute(&context, command).await;
        }
        request(&context).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Sends a request for the lease, if a request is due.
pub(crate) async fn request(context: &NodeContext) {
    // An authority that signs nothing cannot lead: the lease is left to the others.
    if context.authority.as_ref().is_some_and(|authority| authority.is_rolled_back()) {
        tokio::time::sleep(RENEW_INTERVAL).await;
        return;
    }
    for command in context.leader_lease.step(Event::Lease(leader_lease::Event::Tick)) {
        execute(context, command).await;
    }
}

/// Releases the lease, so that the next leader need not wait for its expiry.
pub(crate) async fn resign(context: &NodeContext) {
    for command in context.leader_lease.step(Event::Lease(leader_lease::Event::Resign)) {
        execute(context, command).await;
    }
}

/// Counts the votes, the refusals and the suspicions that were read.
pub(crate) async fn count_rows(context: &NodeContext, authority: &Arc<AuthorityContext>) {
    if let Some(term) = context.leader_lease.candidate_term() {
        count_votes(context, authority, term).await;
    }
    if let Some(promise) = authority.promise().filter(|of| of.leader == authority.name) {
        for by in authority.board.refusers(&promise) {
            let refused = Event::RefusedBy { authority: by, term: promise.term };
            take_step(context, refused).await;
        }
    }
    for leadership in context.leader_lease.suspectable() {
        count_suspicions(context, authority, &leadership).await;
    }
}

/// Counts the suspicions of a leader. When a quorum suspects it, the lease is requested.
async fn count_suspicions(
    context: &NodeContext,
    authority: &Arc<AuthorityContext>,
    leadership: &TermLeader,
) {
    let TermLeader { term, leader } = leadership;
    let suspecting = authority.board.suspects(*term);
    let is_passed_over = suspecting.len() >= authority.set.quorum();
    let is_first = is_passed_over && authority.first_pass_over(*term);
    if is_first {
        tracing::warn!(
            event = "leader_passed_over",
            term,
            %leader,
            "a quorum suspects the leader, its lease ends"
        );
        context.audit.record(AuditEvent::LeaderPassedOver, &AuditFields::for_leader(leadership));
    }
    for by in suspecting {
        take_step(context, Event::SuspectedBy { authority: by, term: *term }).await;
    }
    if is_first {
        // A request that passes it over is due.
        context.leader_lease.wake.notify_one();
    }
}

/// Passes an event to the state machine, and executes the commands that it returns.
async fn take_step(context: &NodeContext, event: Event) {
    for command in context.leader_lease.step(event) {
        Box::pin(execute(context, command)).await;
    }
}

async fn count_votes(context: &NodeContext, authority: &Arc<AuthorityContext>, term: u64) {
    let own = TermLeader { term, leader: authority.name.clone() };
    for by in authority.board.votes(&own).into_keys() {
        take_step(context, Event::Voted { authority: by, leadership: own.clone() }).await;
    }
}

async fn execute(context: &NodeContext, command: Command) {
    let lease = &context.leader_lease;
    match command {
        Command::Request { length, at_least, passes_over } => {
            let request = acquire(context, length, at_least, passes_over);
            let event = match tokio::time::timeout(length, request).await {
                Ok(Ok(answer)) => {
                    lease.note_other_lease(remaining_of_other(&answer));
                    note_leader(context, &answer).await;
                    outcome(&answer)
                }
                Ok(Err(error)) => failed(&error.to_string()),
                Err(_) => failed("the ledger does not answer"),
            };
            // This is not a request: only a tick causes requests.
            take_step(context, Event::Lease(event)).await;
        }
        Command::Release => {
            let released = context.ledger.release_leadership(&lease.holder);
            if let Ok(Err(error)) = tokio::time::timeout(LEASE_LENGTH, released).await {
                tracing::warn!(
                    event = "lease_release_failed",
                    %error,
                    "leader lease not released, it will expire"
                );
            }
        }
        Command::VoteForSelf { term } => {
            let Some(authority) = context.authority.clone() else { return };
            let own = TermLeader { term, leader: authority.name.clone() };
            vote(context, &authority, &own).await;
            count_votes(context, &authority, term).await;
        }
        Command::Suspect { leadership } => suspect_holder(context, &leadership).await,
        Command::Announce(_) => {}
    }
}

/// The remaining time of the lease of another node, if another node has it. A lying authority can
/// state any time, so the result is at most the usual length.
fn remaining_of_other(answer: &Leadership) -> Option<Duration> {
    match answer {
        Leadership::Leading { .. } => None,
        Leadership::Following { remaining, .. } => Some(*remaining.min(&LEASE_LENGTH)),
    }
}

/// Requests the lease from the ledger, and replaces the holder of a term that is passed over, if
/// any.
async fn acquire(
    context: &NodeContext,
    length: Duration,
    at_least: u64,
    passes_over: Option<u64>,
) -> Result<Leadership, EngineError> {
    let (ledger, holder) = (&context.ledger, &context.leader_lease.holder);
    let Some(term) = passes_over else {
        return ledger.acquire_leadership(holder, length, at_least).await;
    };
    // If the holder is an authority, a quorum of suspicions was reported before.
    if context.authority.as_ref().is_some_and(|authority| authority.first_pass_over(term)) {
        tracing::error!(
            event = "lease_of_no_authority",
            alarm = true,
            term,
            "the holder of the leader lease is not an authority, its lease is ended"
        );
    }
    ledger.pass_over(term, holder, length, at_least).await
}

/// Votes for the leadership that the ledger reports, if it is later than the promise, and watches
/// whether its leader gets elected.
async fn note_leader(context: &NodeContext, answer: &Leadership) {
    let (Some(authority), Leadership::Following { leader, term, .. }) =
        (context.authority.clone(), answer)
    else {
        return;
    };
    let name = leader.rsplit_once('/').map_or(leader.as_str(), |(name, _)| name);
    let holder: Option<KeyName> = name.parse().ok();
    let holder = holder.filter(|name| authority.set.member(name).is_some());
    let leadership = holder.clone().map(|leader| TermLeader { term: *term, leader });
    if let Some(leadership) = &leadership {
        vote(context, &authority, leadership).await;
    }
    // The missing vote may be among the rows that were not read yet.
    if !has_read_votes(context, &authority, *term).await {
        return;
    }
    if let Some(leadership) = leadership {
        for by in authority.board.votes(&leadership).into_keys() {
            let voted = Event::Voted { authority: by, leadership: leadership.clone() };
            take_step(context, voted).await;
        }
    }
    take_step(context, Event::HeldBy { term: *term, holder }).await;
}

/// Whether all votes were read that the holder of a term needs.
async fn has_read_votes(context: &NodeContext, authority: &AuthorityContext, term: u64) -> bool {
    if authority.needs_last_row(term) {
        // No row has a higher position, so the answer contains no rows. A failed query is repeated
        // with the next request for the lease.
        let query = context.ledger.rows_after(RowId(u64::MAX), 1);
        if let Ok(Ok(read)) = tokio::time::timeout(LEASE_LENGTH, query).await {
            authority.note_last_row(term, read.last);
        }
    }
    authority.has_read_votes(term)
}

/// Suspects an authority that has the lease without the votes of a quorum.
async fn suspect_holder(context: &NodeContext, leadership: &TermLeader) {
    let Some(authority) = context.authority.clone() else { return };
    if authority.is_rolled_back() {
        return;
    }
    tracing::error!(
        event = "leader_not_elected",
        alarm = true,
        term = leadership.term,
        leader = %leadership.leader,
        "no quorum votes for the holder of the leader lease"
    );
    if let Err(error) = store_suspicion(context, &authority, leadership).await {
        tracing::error!(
            event = "suspicion_not_stored",
            alarm = true,
            term = leadership.term,
            leader = %leadership.leader,
            %error,
            "suspicion of a leader not stored"
        );
    }
}

async fn store_suspicion(
    context: &NodeContext,
    authority: &AuthorityContext,
    leadership: &TermLeader,
) -> Result<(), ElectionFault> {
    let row = suspicion(context, authority, leadership, SuspectReason::Idle).await?;
    let put = || context.ledger.put_row(&row, None);
    let _stored = until_definite("put_round_row", put).await?;
    Ok(())
}

/// Votes for a leadership, if the guards allow it: the vote is durable before it is published.
async fn vote(context: &NodeContext, authority: &Arc<AuthorityContext>, seen: &TermLeader) {
    if authority.is_rolled_back()
        || authority.promise().is_some_and(|promise| promise.term >= seen.term)
    {
        return;
    }
    let is_elected = || authority.board.votes(seen).len() >= authority.set.quorum();
    if authority.has_refused(&seen.leader, REFUSED_LEADER_PAUSE) && !is_elected() {
        return;
    }
    if let Err(error) = store_vote(context, authority, seen).await {
        tracing::error!(
            event = "vote_not_stored",
            alarm = true,
            term = seen.term,
            leader = %seen.leader,
            %error,
            "vote for a leader not stored"
        );
    }
}

async fn store_vote(
    context: &NodeContext,
    authority: &Arc<AuthorityContext>,
    seen: &TermLeader,
) -> Result<(), ElectionFault> {
    let is_configured = authority.set.member(&seen.leader).is_some();
    let promise = authority.change_promise().await;
    let signed = authority.board.voted_term(authority.quorum().blocking());
    let vote = authority.with_state(|state| state.vote_within(seen, is_configured, signed));
    let vote = match vote {
        Ok(vote) => vote,
        Err(reason @ NoVote::FarAhead { .. }) => {
            if authority.first_far_term(seen.term) {
                tracing::error!(
                    event = "term_far_ahead",
                    alarm = true,
                    term = seen.term,
                    leader = %seen.leader,
                    %reason,
                    "the ledger allocates a term that is too far ahead: no vote in it"
                );
            }
            return Ok(());
        }
        Err(reason) => {
            tracing::debug!(event = "vote_withheld", %reason, "no vote for a leader");
            return Ok(());
        }
    };
    let began = Instant::now();
    let body = StatementBody::Vote(vote);
    let bytes = authority.sign(body.clone());
    let (leadership, kept) = (seen.clone(), bytes.clone());
    authority.durable(move |memory| memory.record_vote(&leadership, &kept)).await?;
    authority.record(|state| state.record_vote(seen.clone()));
    drop(promise);
    context.leader_lease.record_promise(seen);
    resend_accepted(context, authority, seen).await?;
    let row = authority.row(RowKind::Vote, None, 0, seen.term, bytes);
    let ledger = &context.ledger;
    let _stored = until_definite("put_round_row", || ledger.put_row(&row, None)).await?;
    authority.board.add_statement(&authority.name, body);
    tracing::info!(
        event = "leader_voted_for",
        term = seen.term,
        leader = %seen.leader,
        milliseconds = began.elapsed().as_millis(),
        "voted for a leader"
    );
    context.audit.record(AuditEvent::LeaderVotedFor, &AuditFields::for_leader(seen));
    Ok(())
}

/// Stores the proposals of the blocks that this authority accepted in the ledger again: a new
/// leader must be able to propose them again.
async fn resend_accepted(
    context: &NodeContext,
    authority: &AuthorityContext,
    seen: &TermLeader,
) -> Result<(), ElectionFault> {
    let accepted: Vec<(ElectionId, AcceptedBlock)> = authority.with_state(|state| {
        let elections = state.elections.iter();
        elections.filter_map(|(law_id, one)| Some((law_id.clone(), one.accepted?))).collect()
    });
    for (law_id, AcceptedBlock { term, point }) in accepted {
        let rows = authority.board.rows(&law_id, point.height);
        let row = rows.and_then(|rows| {
            rows.proposals.into_iter().find(|row| {
                row.proposal.point == point
                    && row.proposal.leadership.term == term
                    && row.has_block()
            })
        });
        let Some(row) = row.filter(|row| row.proposal.leadership.term < seen.term) else {
            continue;
        };
        let new = NewRow {
            kind: RowKind::Proposal,
            authority: row.proposal.leadership.leader.as_str().to_owned(),
            law_id: Some(law_id),
            height: point.height,
            term,
            bytes: row.bytes.to_vec(),
            leaves: row.leaves.to_vec(),
        };
        let _stored =
            until_definite("put_round_row", || context.ledger.put_row(&new, None)).await?;
    }
    Ok(())
}

/// Limits the log lines about failed requests: several a second while the ledger is unavailable.
static REQUESTS_FAILED: LogSummary = LogSummary::new();

fn failed(error: &str) -> leader_lease::Event {
    if let Some(count) = REQUESTS_FAILED.due(Instant::now()) {
        tracing::warn!(
            event = "lease_request_failed",
            error,
            count,
            "leader lease not acquired or renewed"
        );
    }
    leader_lease::Event::Failed
}

fn outcome(answer: &Leadership) -> leader_lease::Event {
    match answer {
        Leadership::Leading { term } => leader_lease::Event::Granted { term: *term },
        Leadership::Following { leader, .. } => {
            leader_lease::Event::Refused { leader: leader.clone() }
        }
    }
}
