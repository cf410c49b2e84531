//! The outside witnesses of a policy, and their lines under a checkpoint.

use super::election::WITNESSES;
use super::{Policy, PolicyName, Witness};
use crate::log::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::log::note::{Note, Signature};

/// A checkpoint with the lines of the outside witnesses that are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessedCheckpoint {
    /// The checkpoint: its own signatures first, then one valid line of each witness, in the
    /// policy's order.
    pub checkpoint: SignedCheckpoint,
    /// The outside witnesses whose line is missing, in the policy's order.
    pub missing: Vec<PolicyName>,
    /// Whether as many outside witnesses have cosigned as the policy asks for.
    pub is_witnessed: bool,
}

impl Witness {
    /// The cosignature in a line (without its line feed), if it is a valid cosignature of this
    /// witness over the checkpoint.
    #[must_use]
    pub fn cosignature(&self, checkpoint: &Checkpoint, line: &[u8]) -> Option<Signature> {
        let line = Signature::parse(std::str::from_utf8(line).ok()?).ok()?;
        let note = Note::new(checkpoint.text(), vec![line.clone()]).ok()?;
        note.verify_strict(std::slice::from_ref(&self.key)).ok()?;
        Some(line)
    }
}

impl Policy {
    /// The outside witnesses: the members of the group `witnesses`. Empty for a policy without that
    /// group.
    #[must_use]
    pub fn outside_witnesses(&self) -> Vec<&Witness> {
        let group = self.group_named(WITNESSES);
        group.map_or_else(Vec::new, |group| self.witnesses_in(group).collect())
    }

    /// How many of the outside witnesses must have cosigned; 0 without any.
    #[must_use]
    pub fn witness_quorum(&self) -> usize {
        self.group_named(WITNESSES).map_or(0, |group| self.groups[group].threshold)
    }

    /// Adds lines of outside witnesses to a checkpoint: those that verify, and the first of each
    /// witness alone, so that a stored line that is not what it should be spoils no checkpoint.
    #[must_use]
    pub fn with_witness_lines<'line>(
        &self,
        signed: &SignedCheckpoint,
        lines: impl IntoIterator<Item = &'line [u8]> + Clone,
    ) -> WitnessedCheckpoint {
        let checkpoint = signed.unverified();
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        let mut count = 0;
        for witness in self.outside_witnesses() {
            let has_signed = signed.note().signatures().iter().any(|line| {
                witness.key.is_named_by(line)
                    && witness.key.verify(signed.note().text(), line.as_bytes()).is_ok()
            });
            if has_signed {
                count += 1;
                continue;
            }
            let mut lines = lines.clone().into_iter();
            match lines.find_map(|line| witness.cosignature(checkpoint, line)) {
                Some(line) => {
                    count += 1;
                    found.push(line);
                }
                None => missing.push(witness.name.clone()),
            }
        }
        let is_witnessed = count >= self.witness_quorum();
        // A policy has at most 256 keys and a note at most 100 lines: a checkpoint that cannot hold
        // all lines stays as it is.
        let checkpoint = signed.with_cosignatures(found).unwrap_or_else(|_| signed.clone());
        WitnessedCheckpoint { checkpoint, missing, is_witnessed }
    }
}

#[cfg(test)]
#[path = "outside_test.rs"]
mod tests;
