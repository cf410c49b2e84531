//! Elections of members, as a member sees them: the hash of an account, and whether its vote was
//! accepted.
//!
//! Not for electors with NAS and code. A member asks about its own account; for an electoral roll,
//! an answer would show anyone who has a NAS and a code whether its elector has voted.

use votekit_core::credential::{CredentialHash, CredentialHasher, RegistryKey};
use votekit_core::election::State;
use votekit_core::electorate::CredentialStatus;
use votekit_core::id::{ElectionId, RequestId};
use votekit_store::{AccountId, EngineError, Hint, Mark};

use crate::election::ElectionHandle;
use crate::memory::stack_used;
use crate::node::Node;

impl Node {
    /// Whether the electors of an election are members with accounts, and its members' key is in
    /// memory.
    #[must_use]
    pub fn takes_members(&self, law_id: &ElectionId) -> bool {
        self.context.election(law_id).is_some_and(|election| members_hasher(&election).is_some())
    }

    /// H of an account in an election of members. `None` in any other election, and once the
    /// members' key is destroyed. The account need not be a member: see [`Node::has_member`].
    #[must_use]
    pub fn member_hash(&self, law_id: &ElectionId, account: AccountId) -> Option<CredentialHash> {
        let election = self.context.election(law_id)?;
        let hasher = members_hasher(&election)?;
        stack_used();
        hasher.member_hash(&account.0, law_id)
    }

    /// Whether the roll of an election of members has this hash. `false` in any other election.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn has_member(
        &self,
        law_id: &ElectionId,
        hash: &CredentialHash,
    ) -> Result<bool, EngineError> {
        let Some(election) = self.context.election(law_id) else { return Ok(false) };
        let Some(key) = registry_key(&election, hash) else { return Ok(false) };
        if !self.context.decides() {
            return self.context.registry.is_registered(law_id, &key).await;
        }
        let status = election.log().electorate().look_up(&key);
        Ok(matches!(status, CredentialStatus::First | CredentialStatus::Again { .. }))
    }

    /// Whether the vote of a member was accepted: the log has an accepted entry of its hash, or its
    /// vote is in flight. `None` in an election with an electoral roll, and on a node that only
    /// follows the log, which knows no electors.
    ///
    /// A vote in flight is known by its mark in a registry of this process: on services the answer
    /// is `false` until its block is sealed.
    #[must_use]
    pub fn has_entry(&self, law_id: &ElectionId, hash: &CredentialHash) -> Option<bool> {
        let election = self.context.election(law_id)?;
        let key = registry_key(&election, hash)?;
        if !self.context.decides() {
            return None;
        }
        let status = election.log().electorate().look_up(&key);
        let is_undecided = election.committed().state() < State::Closed;
        Some(match status {
            CredentialStatus::Again { .. } => true,
            // Any other request than the first would be a duplicate.
            CredentialStatus::First if is_undecided => {
                let mark = Mark { key, request: RequestId::from_bytes([0; RequestId::LENGTH]) };
                let hint = self.context.registry.peek(law_id, &mark);
                matches!(hint, Some(Hint::Duplicate { .. }))
            }
            _ => false,
        })
    }
}

/// The hasher of an election of members.
fn members_hasher(election: &ElectionHandle) -> Option<CredentialHasher> {
    election.hasher().filter(CredentialHasher::is_of_members)
}

/// T of a hash in an election of members.
fn registry_key(election: &ElectionHandle, hash: &CredentialHash) -> Option<RegistryKey> {
    Some(members_hasher(election)?.scheme().registry_key(hash))
}
