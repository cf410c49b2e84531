//! The answers of the witness: the rules of tlog-witness in their order.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::checkpoint::Checkpoint;
use crate::merkle::{Hash, empty_root, is_consistent};
use crate::note::{Cosigner, KeyError, Note, Verdict, VerifierKey};
use crate::request::Request;
use crate::store::{Store, is_origin_hash, origin_hash};

/// A witness: its cosigner key, the logs it knows, and the latest checkpoint of each.
pub struct Witness {
    cosigner: Cosigner,
    /// The trusted keys of each origin.
    logs: BTreeMap<String, Vec<VerifierKey>>,
    store: Store,
    /// Held from the comparison of the old size to the durable write: without it, a request in
    /// between would roll the record back.
    writing: Mutex<()>,
}

/// An answer of the HTTP interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Answer {
    fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }

    pub(crate) fn refusal(status: u16, reason: &str) -> Self {
        Self::text(status, format!("{reason}\n"))
    }
}

impl Witness {
    /// A witness that knows no log. The folder is made if it is missing.
    ///
    /// # Errors
    /// A name that a key may not have, and errors of the folder.
    pub fn new(name: &str, seed: &[u8; 32], folder: &Path) -> io::Result<Self> {
        let invalid = |error: KeyError| io::Error::new(io::ErrorKind::InvalidInput, error);
        Ok(Self {
            cosigner: Cosigner::new(name, seed).map_err(invalid)?,
            logs: BTreeMap::new(),
            store: Store::open(folder)?,
            writing: Mutex::new(()),
        })
    }

    /// Trusts a key to sign the checkpoints of an origin, in addition to those trusted before.
    ///
    /// # Errors
    /// [`KeyError`] for a text that is not a verifier key of a supported type.
    pub fn trust(&mut self, origin: &str, vkey: &str) -> Result<(), KeyError> {
        let key = VerifierKey::parse(vkey)?;
        self.logs.entry(origin.to_owned()).or_default().push(key);
        Ok(())
    }

    /// The verifier key of its cosignatures.
    #[must_use]
    pub fn vkey(&self) -> String {
        self.cosigner.vkey()
    }

    /// Answers `add-checkpoint` at a POSIX time.
    #[must_use]
    pub fn add_checkpoint(&self, body: &[u8], time: u64) -> Answer {
        self.cosign(body, time).unwrap_or_else(|refusal| refusal)
    }

    /// Answers a request for the latest checkpoint of the log whose origin has this hash.
    #[must_use]
    pub fn checkpoint(&self, hash: &str) -> Answer {
        if !is_origin_hash(hash) {
            return Answer::refusal(404, "an origin hash has 64 lower hexadecimal digits");
        }
        match self.store.read(hash) {
            Ok(Some(note)) => Answer::text(200, note),
            Ok(None) => Answer::refusal(404, "no checkpoint of this log was cosigned"),
            Err(error) => Answer::refusal(500, &error.to_string()),
        }
    }

    fn cosign(&self, body: &[u8], time: u64) -> Result<Answer, Answer> {
        let malformed = || Answer::refusal(400, "the request is malformed");
        let request = Request::parse(body).ok_or_else(malformed)?;
        let note = Note::parse(request.note).ok_or_else(malformed)?;
        let new = Checkpoint::parse(note.text).ok_or_else(malformed)?;
        let log_signatures = self.log_signatures(&note, new.origin)?;
        if request.old_size > new.size {
            return Err(Answer::refusal(400, "the old size exceeds the size of the checkpoint"));
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (known_size, known_root) = self.latest(new.origin)?;
        if request.old_size != known_size {
            let content_type = "text/x.tlog.size";
            return Err(Answer { status: 409, content_type, body: format!("{known_size}\n") });
        }
        if new.size == 0 && new.root != empty_root() {
            return Err(Answer::refusal(422, "the root is not that of the empty tree"));
        }
        if !is_consistent((known_size, &known_root), (new.size, &new.root), &request.proof) {
            return Err(Answer::refusal(422, "the checkpoint is not proven consistent"));
        }
        let line = self.cosigner.cosign(note.text, time);
        let cosigned = format!("{}\n{log_signatures}{line}", note.text);
        self.store
            .write(&origin_hash(new.origin), &cosigned)
            .map_err(|error| Answer::refusal(500, &error.to_string()))?;
        Ok(Answer::text(200, line))
    }

    /// The signature lines of trusted keys; of other keys, lines are ignored.
    fn log_signatures(&self, note: &Note<'_>, origin: &str) -> Result<String, Answer> {
        let keys =
            self.logs.get(origin).ok_or_else(|| Answer::refusal(404, "the log is unknown"))?;
        let mut lines = String::new();
        for key in keys {
            match note.verify(key) {
                Verdict::Valid(line) => lines.extend([line, "\n"]),
                Verdict::Invalid => {
                    return Err(Answer::refusal(403, "the signature of a trusted key is invalid"));
                }
                Verdict::Absent => {}
            }
        }
        if lines.is_empty() {
            return Err(Answer::refusal(403, "no trusted key signed the checkpoint"));
        }
        Ok(lines)
    }

    /// Size and root of the latest cosigned checkpoint; the empty tree before the first.
    fn latest(&self, origin: &str) -> Result<(u64, Hash), Answer> {
        let fault = |reason: String| Answer::refusal(500, &reason);
        let stored =
            self.store.read(&origin_hash(origin)).map_err(|error| fault(error.to_string()))?;
        let Some(stored) = stored else { return Ok((0, empty_root())) };
        let text = Note::parse(&stored).map(|note| note.text);
        let known = text.and_then(Checkpoint::parse).filter(|known| known.origin == origin);
        let known = known.ok_or_else(|| fault("the stored checkpoint is damaged".to_owned()))?;
        Ok((known.size, known.root))
    }
}

#[cfg(test)]
#[path = "witness_test.rs"]
mod tests;
