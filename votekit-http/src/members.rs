//! Members of an association, who have accounts and no electoral roll: their elections, their
//! votes, and whether a vote was accepted.
//!
//! ```text
//! officials   e-mail addresses ─▶ accounts, one-time links ─▶ roll under a members' key, election
//!             (in the node: the command line creates such elections without a listener)
//! member      token or page ─▶ account ─▶ H, in the node ─▶ the same path as every vote
//! ```
//!
//! Nothing here is stored: H is computed from the account at each call, by a key that stays in the
//! node. No row joins an account and a vote. A person who has the key can join them, and can vote
//! for any member: such elections are not binding (docs/threats.md).

use votekit_core::credential::CredentialHash;
use votekit_core::election::ChoiceId;
use votekit_core::id::{ElectionId, RequestId};
use votekit_node::ElectionView;

use crate::accounts::Caller;
use crate::context::Api;
use crate::problem::{Problem, Refusal};

/// H of a member in an election, for a vote.
///
/// # Errors
/// The election is unknown or halted, or the account is not among its members; a registry that does
/// not answer.
pub(crate) async fn credential(
    api: &Api,
    caller: &Caller,
    law: &ElectionId,
) -> Result<CredentialHash, Problem> {
    // The members of a halted election may not be known.
    if api.node.election(law).ok_or(Problem::UnknownElection)?.is_halted() {
        return Err(Problem::Halted);
    }
    match api.node.member_hash(law, caller.id) {
        Some(hash) if api.node.has_member(law, &hash).await? => Ok(hash),
        _ => Err(Problem::Refused(Refusal::NotMember)),
    }
}

/// Casts the vote of a member. It is durable when this returns. The key makes a retry the same
/// request: 16 to 255 bytes that others cannot guess.
///
/// # Errors
/// As [`credential`], and as any vote that is not taken.
pub(crate) async fn cast(
    api: &Api,
    caller: &Caller,
    law: &ElectionId,
    choice: &ChoiceId,
    idempotency_key: &[u8],
) -> Result<RequestId, Problem> {
    let hash = credential(api, caller, law).await?;
    let submitted = api.node.submit_recognised(law, hash, choice, idempotency_key).await;
    submitted.map_err(Problem::not_taken)
}

/// Whether a member has voted in an election. `None` in an election with a roll, whose voters have
/// no accounts, and on a node that only follows the log.
pub(crate) fn has_voted(api: &Api, caller: &Caller, law: &ElectionId) -> Option<bool> {
    let hash = api.node.member_hash(law, caller.id)?;
    api.node.has_entry(law, &hash)
}

/// The elections that a member may vote in, or could, in the order of their ids.
///
/// # Errors
/// A registry that does not answer.
pub(crate) async fn elections(
    api: &Api,
    caller: &Caller,
) -> Result<Vec<(ElectionId, ElectionView)>, Problem> {
    let mut found = Vec::new();
    for election in api.node.elections() {
        let Ok(law) = election.law_id.parse::<ElectionId>() else { continue };
        if let Some(hash) = api.node.member_hash(&law, caller.id)
            && api.node.has_member(&law, &hash).await?
        {
            found.push((law, election));
        }
    }
    Ok(found)
}

#[cfg(test)]
#[path = "members_test.rs"]
mod tests;
