//! The cosignature of an authority over the end of a log, with the text that it is over: so a
//! reader can verify it without knowing the block.

use std::fmt;

use super::set::AuthoritySet;
use crate::id::ElectionId;
use crate::log::checkpoint::{Checkpoint, CheckpointError, cosigner_name_of, origin_of};
use crate::log::note::{KeyKind, KeyName, Note, NoteError, Signature, VerifierKey};

/// A checkpoint with the cosignature of one authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignedCheckpoint {
    /// The end of the log.
    pub checkpoint: Checkpoint,
    /// The cosignature line.
    pub line: Signature,
}

/// Why bytes are not a checkpoint that an authority has cosigned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CosignedError {
    /// The note is malformed, or not signed by exactly the cosigner key of the authority.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text is not that of a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is of another log.
    #[error("the checkpoint is of the log {origin}, not of {law_id}")]
    Origin {
        /// The origin of the checkpoint.
        origin: String,
        /// The election.
        law_id: ElectionId,
    },
    /// The checkpoint has extension lines, which no authority writes.
    #[error("the checkpoint has extension lines")]
    Extensions,
    /// No authority has this name.
    #[error("{0} is not an authority of this installation")]
    NotMember(KeyName),
}

impl fmt::Display for CosignedCheckpoint {
    /// Writes the note: the text of the checkpoint, an empty line and the cosignature line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}\n{}\n", self.checkpoint.text(), self.line)
    }
}

impl AuthoritySet {
    /// The key that verifies the cosignatures of an authority: type 0x04, named
    /// `<base>/authority/<name>`.
    #[must_use]
    pub fn cosigner_key(&self, name: &KeyName) -> Option<VerifierKey> {
        let member = self.member(name)?;
        let key_name = cosigner_name_of(self.base(), member.name.as_str()).ok()?;
        VerifierKey::new(key_name, KeyKind::CosignatureV1, &member.cosigner).ok()
    }

    /// Parses and verifies a checkpoint of an election's log that one authority has cosigned: its
    /// one canonical form, and one line, by the cosigner key of that authority.
    ///
    /// # Errors
    /// [`CosignedError`].
    pub fn verify_cosigned(
        &self,
        bytes: &[u8],
        law_id: &ElectionId,
        authority: &KeyName,
    ) -> Result<CosignedCheckpoint, CosignedError> {
        let key = self
            .cosigner_key(authority)
            .ok_or_else(|| CosignedError::NotMember(authority.clone()))?;
        let note = Note::parse(bytes)?;
        let checkpoint = Checkpoint::parse_text(note.text())?;
        // Whether the election is binding is in its first block, which may not be known yet.
        let is_origin = |binding| {
            origin_of(self.base(), law_id, binding)
                .is_ok_and(|origin| origin.as_str() == checkpoint.origin())
        };
        if !is_origin(true) && !is_origin(false) {
            let origin = checkpoint.origin().to_owned();
            return Err(CosignedError::Origin { origin, law_id: law_id.clone() });
        }
        if !checkpoint.extensions().is_empty() {
            return Err(CosignedError::Extensions);
        }
        // Strict: the note has exactly one signature line, and it is by this key.
        note.verify_strict(std::slice::from_ref(&key))?;
        let line = note.signatures().first().cloned();
        let line = line.expect("a note has a signature line");
        Ok(CosignedCheckpoint { checkpoint, line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::sample::{SampleAuthority, authority_set, base};
    use crate::instant::UnixSeconds;
    use crate::log::merkle::leaf_hash;

    fn law(text: &str) -> ElectionId {
        text.parse().expect("a law id")
    }

    fn cosigned(number: u8, law_id: &str, binding: bool) -> CosignedCheckpoint {
        let origin = origin_of(&base(), &law(law_id), binding).expect("a key name");
        let checkpoint = Checkpoint::new(&origin, 7, leaf_hash(b"leaf"));
        let at = UnixSeconds(1_763_712_000);
        let line = SampleAuthority::new(number).cosigner().cosign(&checkpoint, at).expect("a time");
        CosignedCheckpoint { checkpoint, line }
    }

    fn verify(bytes: &[u8]) -> Result<CosignedCheckpoint, CosignedError> {
        let name = SampleAuthority::new(1).name();
        authority_set(3, 2).verify_cosigned(bytes, &law("L1"), &name)
    }

    #[test]
    fn a_cosigned_checkpoint_of_the_election_reads_back() {
        for binding in [true, false] {
            let own = cosigned(1, "L1", binding);
            assert_eq!(verify(own.to_string().as_bytes()), Ok(own));
        }
    }

    #[test]
    fn only_one_line_of_the_authority_over_its_log_verifies() {
        let own = cosigned(1, "L1", false).to_string();
        let of_other = cosigned(1, "L2", false).to_string();
        assert!(matches!(verify(of_other.as_bytes()), Err(CosignedError::Origin { .. })));
        let by_other = cosigned(2, "L1", false).to_string();
        let unknown = verify(by_other.as_bytes());
        let is_unknown = matches!(unknown, Err(CosignedError::Note(NoteError::UnknownKey { .. })));
        assert!(is_unknown, "{unknown:?}");
        let line = by_other.lines().next_back().expect("a line");
        let twice = format!("{own}{line}\n");
        assert!(matches!(verify(twice.as_bytes()), Err(CosignedError::Note(_))));
        let extended = own.replacen("\n\n", "\nmore\n\n", 1);
        assert_eq!(verify(extended.as_bytes()), Err(CosignedError::Extensions));
        let larger = own.replacen("\n7\n", "\n8\n", 1);
        assert!(matches!(verify(larger.as_bytes()), Err(CosignedError::Note(_))));
        for bytes in [&b""[..], b"line", &own.as_bytes()[1..], &own.as_bytes()[..own.len() - 1]] {
            assert!(verify(bytes).is_err());
        }
        let stranger = SampleAuthority::new(9).name();
        let by_stranger =
            authority_set(3, 2).verify_cosigned(own.as_bytes(), &law("L1"), &stranger);
        assert_eq!(by_stranger, Err(CosignedError::NotMember(stranger)));
    }
}
