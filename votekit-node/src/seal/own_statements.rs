//! The statements of this authority that are sent again, byte for byte as they were signed: after a
//! restart, which may have happened between signing and sending; after the ledger has lost rows;
//! and while they have no effect, because another program may have removed or changed their rows.
//!
//! A second signature about the same matter would be evidence against this authority, so a
//! statement that is in the memory already is not signed again.

use std::time::{Duration, Instant};

use votekit_core::authority::{StatementBody, Suspect, SuspectReason, TermLeader};
use votekit_core::id::{Digest, ElectionId};
use votekit_store::memory::{AuthorityMemory, MemoryError, OwnStatement};
use votekit_store::retry::until_definite;
use votekit_store::{NewRow, RowKind, RowOutcome};

use crate::audit::{AuditEvent, AuditFields};
use crate::authority::AuthorityContext;
use crate::context::NodeContext;
use crate::error::ElectionFault;

/// The number of last refusals that are sent again. Earlier refusals remain in the memory.
const REFUSALS_MAX: usize = 64;

/// How long statements may have no effect before they are sent again: far longer than a round.
const STALLED_AFTER: Duration = Duration::from_secs(5);

/// The suspicion of a leader as a row: signed and durable now, or as it was signed before. The
/// ledger keeps one suspicion for each term, for any reason.
pub(crate) async fn suspicion(
    context: &NodeContext,
    authority: &AuthorityContext,
    leadership: &TermLeader,
    reason: SuspectReason,
) -> Result<NewRow, ElectionFault> {
    let term = leadership.term;
    let known = authority.durable(move |memory| memory.statement("suspect", None, 0, term));
    let bytes = match known.await? {
        Some(bytes) => bytes,
        None => {
            let body = Suspect { leadership: leadership.clone(), reason };
            let bytes = authority.sign(StatementBody::Suspect(body));
            let kept = bytes.clone();
            authority
                .durable(move |memory| {
                    memory.record_other_statement("suspect", None, 0, term, &kept)
                })
                .await?;
            let of_leader = AuditFields::of_leader(leadership);
            let fields = AuditFields { reason: Some(reason.name()), ..of_leader };
            context.audit.record(AuditEvent::LeaderSuspected, &fields);
            bytes
        }
    };
    Ok(authority.row(RowKind::Suspect, None, 0, term, bytes))
}

/// Sends the statements of this authority on which the present rounds may depend: its vote and its
/// suspicion in the promised term, its accepts and cosignatures above the certified blocks, and its
/// last refusals. Statements that the ledger still has stay unchanged.
pub(crate) async fn resend(
    context: &NodeContext,
    authority: &AuthorityContext,
) -> Result<(), ElectionFault> {
    if authority.is_rolled_back() {
        return Ok(());
    }
    let wanted = Wanted::from_state(authority);
    let own = authority.durable(move |memory| wanted.read(memory)).await?;
    send(context, authority, own).await
}

/// Sends statements that the ledger may lack.
async fn send(
    context: &NodeContext,
    authority: &AuthorityContext,
    own: Vec<(RowKind, OwnStatement)>,
) -> Result<(), ElectionFault> {
    let mut count = 0_u64;
    for (kind, OwnStatement { law_id, height, term, bytes }) in own {
        let row = authority.row(kind, law_id.as_ref(), height, term, bytes);
        let put = || context.ledger.put_row(&row, None);
        match until_definite("put_round_row", put).await {
            Ok(RowOutcome::Stored) => count += 1,
            // The row exists already, or is an accept of a past term.
            Ok(_) => {}
            // The ledger was restored from a much older copy: its term is too far below that of the
            // statement, and rises again.
            Err(error) if error.conflict().is_some() => {
                tracing::debug!(
                    event = "statement_not_resent",
                    kind = kind.as_str(),
                    term,
                    %error,
                    "the ledger refuses an earlier statement of this authority"
                );
            }
            Err(error) => return Err(error.into()),
        }
    }
    if count > 0 {
        tracing::warn!(
            event = "statements_resent",
            count,
            "the ledger lacked statements of this authority: sent again as they were signed"
        );
    }
    Ok(())
}

/// The statements of this authority that have had no effect yet, as of the last check.
#[derive(Debug, Default)]
pub(crate) struct StalledStatements {
    checked_at: Option<Instant>,
    open: Vec<Digest>,
}

impl StalledStatements {
    /// Checks from time to time which statements are open. If they are exactly those of the last
    /// check, sends them again: a round that makes progress has other open statements at each
    /// check. Returns whether they were sent again: rows of other authorities may be missing too.
    pub(crate) async fn resend(
        &mut self,
        context: &NodeContext,
        authority: &AuthorityContext,
    ) -> bool {
        let is_due = self.checked_at.is_none_or(|at| at.elapsed() >= STALLED_AFTER);
        if !is_due || authority.is_rolled_back() {
            return false;
        }
        self.checked_at = Some(Instant::now());
        let wanted = Wanted::from_state(authority);
        let read = authority.durable(move |memory| wanted.read_open(memory)).await;
        let sent = match read {
            Ok(own) if self.note(own.iter().map(|(_, own)| Digest::of(&own.bytes)).collect()) => {
                send(context, authority, own).await.map(|()| true)
            }
            Ok(_) => Ok(false),
            Err(error) => Err(error),
        };
        sent.unwrap_or_else(|error| {
            tracing::warn!(
                event = "stalled_statements_not_resent",
                %error,
                "statements without effect not sent again, retrying"
            );
            false
        })
    }

    /// Records the open statements. Returns whether there are any, and exactly these were open at
    /// the last check.
    fn note(&mut self, open: Vec<Digest>) -> bool {
        let is_stalled = !open.is_empty() && open == self.open;
        self.open = open;
        is_stalled
    }
}

/// The statements to send again.
struct Wanted {
    /// The promised term.
    term: u64,
    /// Whether a quorum has voted for the promised leadership.
    is_elected: bool,
    blocks: Vec<OpenBlocks>,
}

/// The open blocks above the last certified block of an election.
struct OpenBlocks {
    law_id: ElectionId,
    /// The height of the certified block.
    certified: u64,
    /// The height and the term of the accepted block.
    accepted: Option<(u64, u64)>,
    /// The height of the cosigned block.
    cosigned: Option<u64>,
}

impl Wanted {
    fn from_state(authority: &AuthorityContext) -> Self {
        let promise = authority.promise();
        let quorum = authority.set.quorum();
        let is_elected =
            promise.as_ref().is_some_and(|of| authority.board.votes(of).len() >= quorum);
        let blocks = authority.with_state(|state| {
            let elections = state.elections.iter();
            elections
                .map(|(law_id, election)| OpenBlocks {
                    law_id: law_id.clone(),
                    certified: election.certified.height,
                    accepted: election.accepted.map(|block| (block.point.height, block.term)),
                    cosigned: election.cosigned.map(|point| point.height),
                })
                .collect()
        });
        Self { term: promise.map_or(0, |promise| promise.term), is_elected, blocks }
    }

    /// The statements that have had no effect yet: the vote until its leader is elected, the
    /// suspicion as long as that leader leads, and statements about blocks that are not certified.
    fn read_open(
        &self,
        memory: &AuthorityMemory,
    ) -> Result<Vec<(RowKind, OwnStatement)>, MemoryError> {
        let mut own = self.read(memory)?;
        let certified = |law_id: Option<&ElectionId>| {
            let of = self.blocks.iter().find(|one| Some(&one.law_id) == law_id);
            of.map_or(0, |one| one.certified)
        };
        own.retain(|(kind, own)| match kind {
            RowKind::Vote => !self.is_elected,
            RowKind::Refuse => own.term == self.term && own.height > certified(own.law_id.as_ref()),
            _ => true,
        });
        Ok(own)
    }

    fn read(&self, memory: &AuthorityMemory) -> Result<Vec<(RowKind, OwnStatement)>, MemoryError> {
        let mut own = Vec::new();
        let mut find = |kind: RowKind, law_id: Option<&ElectionId>, height, term| {
            let bytes = memory.statement(kind.as_str(), law_id, height, term)?;
            own.extend(bytes.map(|bytes| {
                (kind, OwnStatement { law_id: law_id.cloned(), height, term, bytes })
            }));
            Ok::<_, MemoryError>(())
        };
        find(RowKind::Vote, None, 0, self.term)?;
        find(RowKind::Suspect, None, 0, self.term)?;
        for OpenBlocks { law_id, accepted, cosigned, .. } in &self.blocks {
            if let Some((height, term)) = accepted {
                find(RowKind::Accept, Some(law_id), *height, *term)?;
            }
            if let Some(height) = cosigned {
                find(RowKind::Cosign, Some(law_id), *height, 0)?;
            }
        }
        let refusals = memory.last_own_statements(RowKind::Refuse.as_str(), REFUSALS_MAX)?;
        own.extend(refusals.into_iter().map(|refusal| (RowKind::Refuse, refusal)));
        Ok(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_stalled_if_the_same_ones_were_open_before() {
        let digest = |number: u8| Digest::of(&[number]);
        let mut stalled = StalledStatements::default();
        assert!(!stalled.note(Vec::new()) && !stalled.note(Vec::new()), "nothing is open");
        assert!(!stalled.note(vec![digest(1)]), "the first check");
        assert!(stalled.note(vec![digest(1)]));
        assert!(!stalled.note(vec![digest(1), digest(2)]), "the round goes on");
        assert!(stalled.note(vec![digest(1), digest(2)]));
        assert!(!stalled.note(Vec::new()) && !stalled.note(vec![digest(1)]));
    }
}
