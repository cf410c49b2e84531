//! How a voter signs in: NAS and code are checked under the rules of the throttle, without a vote.
//!
//! A sign-in is tried for several elections of one roll at once: a letter often gives one code for
//! all laws of a roll. It is still one attempt. A match in any election makes it correct, no match
//! makes it one wrong code, and the work is the same for every outcome.

use std::time::Instant;

use votekit_core::credential::{AccessCode, Credential, CredentialHash, Nas, RegistryKey};
use votekit_core::id::{Digest, ElectionId};
use votekit_core::instant::UnixMillis;

use super::submit::{hash, not_open};
use crate::election::ElectionHandle;
use crate::error::SubmitError;
use crate::limits::throttle::Prefix;
use crate::node::Node;

/// The maximum number of elections of one sign-in. It bounds the look-ups of an attempt, and the
/// advantage of a guesser who tries them together.
pub const SIGN_IN_LAWS_MAX: usize = 16;

/// A credential of one election, to be looked up in the registry.
struct Candidate {
    law_id: ElectionId,
    hash: CredentialHash,
    key: RegistryKey,
}

impl Node {
    /// The hash of a credential that is on a roll and not revoked, for a voter who signs in. `None`
    /// otherwise. Counts as an attempt in the throttle, as a vote with the credential would; used
    /// and unused credentials get the same answer.
    ///
    /// # Errors
    /// [`SubmitError`]: back-off, an exhausted rate, an election that takes no votes now, or a
    /// registry that does not answer.
    pub async fn recognise(
        &self,
        credential: &Credential,
        prefix: Prefix,
    ) -> Result<Option<CredentialHash>, SubmitError> {
        let Credential { nas, code, law_id } = credential;
        let laws = std::slice::from_ref(law_id);
        let recognised = self.recognise_any(nas, code, laws, prefix).await?;
        Ok(recognised.into_iter().next().map(|(_, hash)| hash))
    }

    /// As [`Node::recognise`] for several elections, in one attempt: the elections whose rolls
    /// contain NAS and code, in the order of `laws`. Without such an election the result is empty,
    /// and the attempt counts as one wrong code.
    ///
    /// The first of `laws` is the election for which the voter signs in. Others are left out if
    /// they accept no votes now, have another roll, or exceed [`SIGN_IN_LAWS_MAX`].
    ///
    /// # Errors
    /// As for [`Node::recognise`]; an election that takes no votes is an error only as the first.
    pub async fn recognise_any(
        &self,
        nas: &Nas,
        code: &AccessCode,
        laws: &[ElectionId],
        prefix: Prefix,
    ) -> Result<Vec<(ElectionId, CredentialHash)>, SubmitError> {
        let candidates = self.candidates(nas, code, laws)?;
        // Only checked: wrong codes must not use up the rate of the votes.
        self.context.admission.check_rate(Instant::now())?;
        let turn = self.turn(self.context.throttle.origin(prefix, nas)).await?;
        let mut recognised = Vec::with_capacity(candidates.len());
        // Each election is looked up, even after a match: the time of the answer depends only on
        // the number of elections.
        for Candidate { law_id, hash, key } in candidates {
            let registered = self.context.registry.is_registered(&law_id, &key).await;
            // Without an answer the attempt counts neither as right nor as wrong.
            if registered.map_err(|error| SubmitError::Unavailable(error.into()))? {
                recognised.push((law_id, hash));
            }
        }
        if recognised.is_empty() {
            turn.record_failure();
        }
        Ok(recognised)
    }

    /// The elections for which a sign-in for one election is tried: this election first, then those
    /// that accept votes now and have the same roll.
    #[must_use]
    pub fn sign_in_laws(&self, law_id: &ElectionId) -> Vec<ElectionId> {
        // The attempt reports the error.
        let Some(first) = self.context.election(law_id) else { return vec![law_id.clone()] };
        let (roll, now) = (roll_of(&first), self.now());
        let others = self.context.elections().into_iter().filter(|other| {
            other.law_id() != law_id
                && roll.is_some()
                && roll_of(other) == roll
                && self.taking_votes(other.law_id(), now).is_ok()
        });
        std::iter::once(law_id.clone())
            .chain(others.map(|other| other.law_id().clone()))
            .take(SIGN_IN_LAWS_MAX)
            .collect()
    }

    /// The credentials to look up, hashed before the turn: the work is the same for each code.
    fn candidates(
        &self,
        nas: &Nas,
        code: &AccessCode,
        laws: &[ElectionId],
    ) -> Result<Vec<Candidate>, SubmitError> {
        let (first, others) = laws.split_first().ok_or(SubmitError::UnknownElection)?;
        let now = self.now();
        let mut candidates = vec![self.candidate(nas, code, first, now)?];
        for law_id in others {
            let is_known = |candidate: &Candidate| candidate.law_id == *law_id;
            // A match in any law makes the attempt correct. A person who makes a roll of many codes
            // for one NAS would otherwise test each of them against another roll, without a wait.
            if candidates.len() < SIGN_IN_LAWS_MAX
                && !candidates.iter().any(is_known)
                && self.have_one_roll(first, law_id)
            {
                candidates.extend(self.candidate(nas, code, law_id, now).ok());
            }
        }
        Ok(candidates)
    }

    fn have_one_roll(&self, first: &ElectionId, other: &ElectionId) -> bool {
        let roll = |law_id| self.context.election(law_id).and_then(|election| roll_of(&election));
        roll(first).is_some_and(|first| roll(other) == Some(first))
    }

    fn candidate(
        &self,
        nas: &Nas,
        code: &AccessCode,
        law_id: &ElectionId,
        now: UnixMillis,
    ) -> Result<Candidate, SubmitError> {
        let (election, _) = self.taking_votes(law_id, now)?;
        let hash = hash(&election, nas, code)?;
        let hasher = election.hasher().ok_or_else(|| not_open(&election, false))?;
        let key = hasher.scheme().registry_key(&hash);
        Ok(Candidate { law_id: law_id.clone(), hash, key })
    }
}

/// The roll of an election, without its supplements.
fn roll_of(election: &ElectionHandle) -> Option<Digest> {
    election.log().manifests().first().copied()
}
