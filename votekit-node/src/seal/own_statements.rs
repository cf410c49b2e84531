//! The statements of this authority that are sent again, byte for byte as they were signed: after a
//! restart, which may have come between signing and sending, and after the ledger has lost rows.
//!
//! A second signature about the same would be evidence against this authority, so nothing is signed
//! here that the memory holds already.

use votekit_core::authority::{StatementBody, Suspect, SuspectReason, TermLeader};
use votekit_core::id::ElectionId;
use votekit_store::memory::{AuthorityMemory, MemoryError, OwnStatement};
use votekit_store::retry::until_definite;
use votekit_store::{NewRow, RowKind, RowOutcome};

use crate::audit::{AuditEvent, AuditFields};
use crate::authority::AuthorityContext;
use crate::context::NodeContext;
use crate::error::ElectionFault;

/// The number of refusals that are sent again, the last ones. Earlier ones stay in the memory.
const REFUSALS_MAX: usize = 64;

/// The suspicion of a leader as a row: signed and durable now, or as it was signed before. The
/// ledger keeps one a term, whatever its reason.
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

/// Sends what this authority has stated and the present rounds may depend on: its vote and its
/// suspicion in the promised term, what it accepted and cosigned above the certified blocks, and
/// its last refusals. What the ledger still holds stays as it is.
pub(crate) async fn resend(
    context: &NodeContext,
    authority: &AuthorityContext,
) -> Result<(), ElectionFault> {
    if authority.is_rolled_back() {
        return Ok(());
    }
    let wanted = authority.with_state(|state| Wanted {
        term: state.promise.as_ref().map_or(0, |promise| promise.term),
        blocks: state
            .elections
            .iter()
            .map(|(law_id, election)| {
                let accepted = election.accepted.map(|block| (block.point.height, block.term));
                let cosigned = election.cosigned.map(|point| point.height);
                (law_id.clone(), accepted, cosigned)
            })
            .collect(),
    });
    let own = authority.durable(move |memory| wanted.read(memory)).await?;
    let mut count = 0_u64;
    for (kind, OwnStatement { law_id, height, term, bytes }) in own {
        let row = authority.row(kind, law_id.as_ref(), height, term, bytes);
        let put = || context.ledger.put_row(&row, None);
        match until_definite("put_round_row", put).await {
            Ok(RowOutcome::Stored) => count += 1,
            // There already, or an accept of a term that is over.
            Ok(_) => {}
            // A ledger that was put back far: its terms come nearer again.
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

/// What is sent again.
struct Wanted {
    /// The promised term.
    term: u64,
    blocks: Vec<OpenBlocks>,
}

/// An election, the height and term of its accepted block, and its cosigned height.
type OpenBlocks = (ElectionId, Option<(u64, u64)>, Option<u64>);

impl Wanted {
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
        for (law_id, accepted, cosigned) in &self.blocks {
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
