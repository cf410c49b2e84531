//! Signs and verifies statements, proposals, admissions and statuses.

use std::fmt;

use super::admission::NodeAdmission;
use super::proposal::BlockProposal;
use super::set::{AuthoritySet, statement_name_of};
use super::statement::Statement;
use super::status::AuthorityStatus;
use super::text::StatementError;
use crate::log::note::{KeyName, Note, NoteError, SigningKey, VerifierKey};

/// The secret statement key of an authority.
///
/// The seed is zeroed on drop and never printed.
pub struct StatementKey {
    key: SigningKey,
    base: KeyName,
    authority: KeyName,
}

impl StatementKey {
    /// Derives the key of the authority `name` from an RFC 8032 seed.
    #[must_use]
    pub fn from_seed(base: &KeyName, name: &KeyName, seed: &[u8; 32]) -> Self {
        Self {
            key: SigningKey::from_seed(statement_name_of(base, name), seed),
            base: base.clone(),
            authority: name.clone(),
        }
    }

    /// The public half, as in the file of authorities.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        *self.key.verifier().public_key()
    }

    /// The name of the authority.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.authority
    }

    /// Signs a statement. Readers refuse it if it names an authority other than the signer, or
    /// breaks a rule of its format.
    #[must_use]
    pub fn sign_statement(&self, statement: &Statement) -> Vec<u8> {
        self.sign(&statement.text(&self.base))
    }

    /// Signs a proposal. Readers refuse it when it names another leader than this authority, or
    /// breaks a rule of its form.
    #[must_use]
    pub fn sign_proposal(&self, proposal: &BlockProposal) -> Vec<u8> {
        self.sign(&proposal.text(&self.base))
    }

    /// Signs a status. Readers refuse it if it names an authority other than the signer, or breaks
    /// a rule of its format.
    #[must_use]
    pub fn sign_status(&self, status: &AuthorityStatus) -> Vec<u8> {
        self.sign(&status.text(&self.base))
    }

    /// Signs the admission of a node. Readers refuse it if it names an authority other than the
    /// signer, or breaks a rule of its format.
    #[must_use]
    pub fn sign_admission(&self, admission: &NodeAdmission) -> Vec<u8> {
        self.sign(&admission.text(&self.base))
    }

    /// A note of this text, whose last line feed the text has.
    fn sign(&self, text: &str) -> Vec<u8> {
        format!("{text}\n{}\n", self.key.sign(text)).into_bytes()
    }
}

impl fmt::Debug for StatementKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StatementKey({}, secret redacted)", self.key.verifier())
    }
}

impl AuthoritySet {
    /// Parses and verifies a statement: its one canonical form, this installation, and one
    /// signature, by the statement key of the authority that it names.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn verify_statement(&self, bytes: &[u8]) -> Result<Statement, StatementError> {
        let note = Note::parse(bytes)?;
        let statement = Statement::parse_text(note.text(), self)?;
        self.verify_signature(&note, &statement.authority)?;
        Ok(statement)
    }

    /// Parses and verifies a proposal: its one canonical form, this installation, and one
    /// signature, by the statement key of its leader.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn verify_proposal(&self, bytes: &[u8]) -> Result<BlockProposal, StatementError> {
        let note = Note::parse(bytes)?;
        let proposal = BlockProposal::parse_text(note.text(), self)?;
        self.verify_signature(&note, &proposal.leadership.leader)?;
        Ok(proposal)
    }

    /// Parses and verifies a status: its one canonical form, this installation, and one signature,
    /// by the statement key of the authority that it names.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn verify_status(&self, bytes: &[u8]) -> Result<AuthorityStatus, StatementError> {
        let note = Note::parse(bytes)?;
        let status = AuthorityStatus::parse_text(note.text(), self)?;
        self.verify_signature(&note, &status.authority)?;
        Ok(status)
    }

    /// Parses and verifies the admission of a node: its one canonical form, this installation, and
    /// one signature, by the statement key of the authority that it names. Whether the keys of the
    /// node are usable is not checked.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn verify_admission(&self, bytes: &[u8]) -> Result<NodeAdmission, StatementError> {
        let note = Note::parse(bytes)?;
        let admission = NodeAdmission::parse_text(note.text(), self)?;
        self.verify_signature(&note, &admission.authority)?;
        Ok(admission)
    }

    fn verify_signature(&self, note: &Note, signer: &KeyName) -> Result<(), NoteError> {
        let keys: Vec<VerifierKey> = self.statement_key(signer).into_iter().collect();
        // Strict: the note has exactly one signature line, and it is by this key.
        note.verify_strict(&keys).map(drop)
    }
}

#[cfg(test)]
#[path = "signed_test.rs"]
mod tests;
