//! Signed notes: parses the log keys of a policy and verifies the signature of a checkpoint.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::merkle::Hash;

/// The algorithm byte of Ed25519 in signed-note keys.
const ED25519: u8 = 1;

/// A log's key. Its name is the log's origin.
#[derive(Debug)]
pub(crate) struct LogKey {
    name: String,
    key: VerifyingKey,
    public: [u8; 32],
}

/// A checkpoint with a valid signature.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) size: usize,
    pub(crate) root: Hash,
}

/// Parses the policy's `log` lines. `None` when there are none, or one cannot be parsed.
pub(crate) fn log_keys(policy: &str) -> Option<Vec<LogKey>> {
    let lines = policy.lines().filter_map(|line| line.strip_prefix("log "));
    let keys = lines.map(log_key).collect::<Option<Vec<_>>>()?;
    (!keys.is_empty()).then_some(keys)
}

/// Parses `<name>+<key hash, 8 hexadecimal digits>+<base64 of the algorithm byte and the key>`.
fn log_key(text: &str) -> Option<LogKey> {
    let (name, rest) = text.split_once('+')?;
    let (hash, encoded) = rest.split_once('+')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let public: [u8; 32] = bytes.strip_prefix(&[ED25519])?.try_into().ok()?;
    let key =
        LogKey { name: name.to_owned(), key: VerifyingKey::from_bytes(&public).ok()?, public };
    (const_hex::encode(key.hash()) == hash).then_some(key)
}

impl LogKey {
    fn hash(&self) -> [u8; 4] {
        let digest = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', ED25519])
            .chain_update(self.public)
            .finalize();
        [digest[0], digest[1], digest[2], digest[3]]
    }

    /// Whether this key signed the text. A signature line is `— <name> <base64 of key hash and
    /// signature>`.
    fn signed(&self, text: &str, signatures: &str) -> bool {
        let prefix = format!("— {} ", self.name);
        signatures.lines().filter_map(|line| line.strip_prefix(&prefix)).any(|encoded| {
            let bytes = STANDARD.decode(encoded).unwrap_or_default();
            let Some(signature) = bytes
                .strip_prefix(&self.hash())
                .and_then(|bytes| Signature::from_slice(bytes).ok())
            else {
                return false;
            };
            self.key.verify_strict(text.as_bytes(), &signature).is_ok()
        })
    }
}

/// Parses a checkpoint and verifies that one of the keys signed it.
///
/// # Errors
/// Describes what is wrong with it.
pub(crate) fn checkpoint(note: &str, keys: &[LogKey]) -> Result<Checkpoint, &'static str> {
    let (text, signatures) = note.split_once("\n\n").ok_or("it has no signature")?;
    let text = format!("{text}\n");
    let mut lines = text.lines();
    let origin = lines.next().unwrap_or_default();
    let key = keys.iter().find(|key| key.name == origin && key.signed(&text, signatures));
    if key.is_none() {
        return Err("no log key of the policy signed it");
    }
    let size =
        lines.next().and_then(|size| size.parse().ok()).ok_or("its second line is not a size")?;
    let root = lines
        .next()
        .and_then(|root| STANDARD.decode(root).ok())
        .and_then(|root| root.try_into().ok());
    Ok(Checkpoint { size, root: root.ok_or("its third line is not a root")? })
}
