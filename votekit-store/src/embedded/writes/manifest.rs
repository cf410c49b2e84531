//! Stores a manifest.

use rusqlite::Connection;
use votekit_core::id::Digest;

use crate::embedded::fault::Fault;
use crate::embedded::writer::Write;

pub(in crate::embedded) struct PutManifest {
    pub(in crate::embedded) bytes: Vec<u8>,
}

impl Write for PutManifest {
    type Output = Digest;

    fn apply(&self, connection: &Connection) -> Result<Digest, Fault> {
        let digest = Digest::of(&self.bytes);
        connection
            .prepare_cached(
                "INSERT INTO manifest (digest, bytes) VALUES (?1, ?2) \
                 ON CONFLICT (digest) DO NOTHING",
            )?
            .execute((digest.as_bytes(), &self.bytes))?;
        Ok(digest)
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }
}
