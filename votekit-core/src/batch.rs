//! The batch: envelopes of one election from one ingest node, numbered, signed, choices encrypted.
//!
//! The unit of transport, storage, retry and proof. Whole batches travel; nobody splits or reorders
//! one. The bytes are specified in `docs/formats.md`, section 5.

use std::fmt;
use std::sync::OnceLock;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::ballot::{
    BallotPublicKey, BallotSecretKey, CHOICE_LENGTH, ChoiceIndex, SEAL_OVERHEAD, SealError, Sealing,
};
use crate::credential::CredentialHash;
use crate::envelope::Envelope;
use crate::id::{BatchNumber, Digest, Epoch, LawId, NodeId, RequestId, Sequence, hex_bytes};
use crate::instant::UnixMillis;

const MAGIC: &[u8; 8] = b"VKBATCH1";
const SIGNATURE_LENGTH: usize = 64;
const ENVELOPE_LENGTH: usize = RequestId::LENGTH + CredentialHash::LENGTH + 8;
const FLAG_LAST: u8 = 1;

hex_bytes! {
    /// The Ed25519 public key with which a node's batches are verified.
    NodePublicKey, 32
}

/// The Ed25519 key with which a node signs its batches. Prints as redacted, zeroed on drop.
#[derive(Clone)]
pub struct NodeKey(SigningKey);

impl NodeKey {
    /// Takes 32 random bytes (the RFC 8032 private key).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> NodePublicKey {
        NodePublicKey::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// The id that follows from the public key.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.public_key().node_id()
    }
}

impl NodePublicKey {
    /// The id that follows from this key.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        NodeId::of_public_key(self.as_bytes())
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "NodeKey(of {}, redacted)", self.node_id())
    }
}

/// What stands before the envelopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchHeader {
    /// The election.
    pub law_id: LawId,
    /// What makes this batch unique in it.
    pub number: BatchNumber,
    /// Every sequence of this epoch up to here is known durable; 0 for none.
    pub confirmed_through: Sequence,
    /// Whether the node ends its epoch with this batch.
    pub last: bool,
}

/// Why bytes are no batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The bytes do not start as a batch.
    #[error("not a batch: it does not start with VKBATCH1")]
    Magic,
    /// The bytes end too early, or go on after the end.
    #[error("a batch of {expected} bytes was announced, {found} were found")]
    Length {
        /// Bytes that the header announces; the shortest batch when the header itself is cut.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// A header field is out of range.
    #[error("batch header: {field} is out of range")]
    Field {
        /// The field.
        field: &'static str,
    },
    /// The signature is not by the node that the batch names.
    #[error("batch {number}: the signature is not by the node it names")]
    Signature {
        /// The batch.
        number: BatchNumber,
    },
    /// The key does not belong to the node that the batch names.
    #[error("batch {number}: the key given belongs to another node")]
    Node {
        /// The batch.
        number: BatchNumber,
    },
}

/// A batch as it travels and is stored: its bytes, with the header read out of them.
#[derive(Clone)]
pub struct Batch {
    header: BatchHeader,
    count: usize,
    digest: Digest,
    bytes: Vec<u8>,
    /// The key under which the signature was found good: it is checked once, by whoever comes
    /// first.
    verified: OnceLock<NodePublicKey>,
}

impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        // Everything else follows from the bytes.
        self.bytes == other.bytes
    }
}

impl Eq for Batch {}

/// One envelope of a batch in storage: the choice is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedEnvelope {
    /// The request.
    pub request: RequestId,
    /// H of the credential.
    pub hash: CredentialHash,
    /// When it arrived.
    pub received: UnixMillis,
}

impl Batch {
    /// The most envelopes in one batch: a block of one batch stays a matter of megabytes.
    pub const COUNT_MAX: usize = 65_536;

    /// Seals and signs envelopes, in their order.
    ///
    /// # Errors
    /// [`SealError`] when the ballot key cannot be used.
    ///
    /// # Panics
    /// With more than [`Batch::COUNT_MAX`] envelopes.
    pub fn seal(
        header: BatchHeader,
        envelopes: &[Envelope],
        ballot_key: &BallotPublicKey,
        node_key: &NodeKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, SealError> {
        assert!(
            envelopes.len() <= Self::COUNT_MAX,
            "a batch holds at most {} envelopes",
            Self::COUNT_MAX
        );
        let sealing = Sealing::start(ballot_key, &header.law_id, rng)?;
        let mut bytes =
            Vec::with_capacity(batch_length(header.law_id.as_str().len(), envelopes.len()));
        write_header(&mut bytes, &header, envelopes.len());
        bytes.extend_from_slice(&sealing.encapsulated_key());
        for envelope in envelopes {
            bytes.extend_from_slice(envelope.request.as_bytes());
            bytes.extend_from_slice(envelope.hash.as_bytes());
            bytes.extend_from_slice(&envelope.received.0.to_be_bytes());
        }
        let choices: Zeroizing<Vec<ChoiceIndex>> =
            Zeroizing::new(envelopes.iter().map(|envelope| envelope.choice).collect());
        let sealed = sealing.finish(&choices, &bytes)?;
        bytes.extend_from_slice(&sealed);
        let digest = Digest::of(&bytes);
        let signature = node_key.0.sign(&signed_message(&digest));
        bytes.extend_from_slice(&signature.to_bytes());
        Ok(Self { header, count: envelopes.len(), digest, bytes, verified: OnceLock::new() })
    }

    /// Reads a batch. Its signature is not checked yet: see [`Batch::verify`].
    ///
    /// # Errors
    /// [`BatchError`] with the first rule that is broken.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BatchError> {
        let (header, count) = read_header(&bytes)?;
        let digest = Digest::of(&bytes[..bytes.len() - SIGNATURE_LENGTH]);
        Ok(Self { header, count, digest, bytes, verified: OnceLock::new() })
    }

    /// Checks the node's signature. Asked again about a key under which it was good, it answers
    /// from memory.
    ///
    /// # Errors
    /// [`BatchError::Node`] for another node's key, [`BatchError::Signature`] for a bad signature.
    pub fn verify(&self, key: &NodePublicKey) -> Result<(), BatchError> {
        let number = self.header.number;
        if key.node_id() != number.node {
            return Err(BatchError::Node { number });
        }
        if self.verified.get() == Some(key) {
            return Ok(());
        }
        let verifying = VerifyingKey::from_bytes(key.as_bytes())
            .map_err(|_| BatchError::Signature { number })?;
        let (_, signature) = self
            .bytes
            .split_last_chunk::<SIGNATURE_LENGTH>()
            .ok_or(BatchError::Signature { number })?;
        verifying
            .verify_strict(&signed_message(&self.digest), &Signature::from_bytes(signature))
            .map_err(|_| BatchError::Signature { number })?;
        // Only one key can be the node's, so whoever set it first set the same.
        let _ = self.verified.set(*key);
        Ok(())
    }

    /// What stands before the envelopes.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// What makes this batch unique in its election.
    #[must_use]
    pub fn number(&self) -> BatchNumber {
        self.header.number
    }

    /// How many envelopes it holds.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// SHA-256 of everything before the signature.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The batch as it travels.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The envelopes in their order.
    pub fn envelopes(&self) -> impl ExactSizeIterator<Item = SealedEnvelope> + '_ {
        let start = self.associated_end() - self.count * ENVELOPE_LENGTH;
        let (envelopes, _) =
            self.bytes[start..self.associated_end()].as_chunks::<ENVELOPE_LENGTH>();
        envelopes.iter().map(|bytes| SealedEnvelope {
            request: RequestId::from_bytes(take(bytes, 0)),
            hash: CredentialHash::from_bytes(take(bytes, RequestId::LENGTH)),
            received: UnixMillis(u64::from_be_bytes(take(
                bytes,
                RequestId::LENGTH + CredentialHash::LENGTH,
            ))),
        })
    }

    /// Opens the choices in the order of the envelopes; `None` stands for one that is spoiled.
    #[must_use]
    pub fn open(&self, key: &BallotSecretKey) -> Vec<Option<ChoiceIndex>> {
        let end = self.associated_end();
        let encapsulated: [u8; 32] = take(&self.bytes, end - self.count * ENVELOPE_LENGTH - 32);
        let sealed = &self.bytes[end..self.bytes.len() - SIGNATURE_LENGTH];
        match key.open(&self.header.law_id, &encapsulated, &self.bytes[..end], sealed) {
            Some(choices) if choices.len() == self.count => choices.into_iter().map(Some).collect(),
            _ => vec![None; self.count],
        }
    }

    /// Where the envelopes end: the associated data of the sealed choices is everything before.
    fn associated_end(&self) -> usize {
        self.bytes.len() - SIGNATURE_LENGTH - SEAL_OVERHEAD - self.count * CHOICE_LENGTH
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Batch({} of {}, {} envelopes, {})",
            self.header.number, self.header.law_id, self.count, self.digest
        )
    }
}

const fn batch_length(law_length: usize, count: usize) -> usize {
    let header = 8 + 1 + law_length + 8 + 4 + 8 + 8 + 1 + 4 + 32;
    header + count * (ENVELOPE_LENGTH + CHOICE_LENGTH) + SEAL_OVERHEAD + SIGNATURE_LENGTH
}

fn signed_message(digest: &Digest) -> [u8; 48] {
    let mut message = [0; 48];
    message[..16].copy_from_slice(b"votekit-batch/1\n");
    message[16..].copy_from_slice(digest.as_bytes());
    message
}

fn write_header(bytes: &mut Vec<u8>, header: &BatchHeader, count: usize) {
    let law = header.law_id.as_str().as_bytes();
    bytes.extend_from_slice(MAGIC);
    bytes.push(u8::try_from(law.len()).expect("a law id has at most 50 bytes"));
    bytes.extend_from_slice(law);
    bytes.extend_from_slice(header.number.node.as_bytes());
    bytes.extend_from_slice(&header.number.epoch.0.to_be_bytes());
    bytes.extend_from_slice(&header.number.sequence.0.to_be_bytes());
    bytes.extend_from_slice(&header.confirmed_through.0.to_be_bytes());
    bytes.push(if header.last { FLAG_LAST } else { 0 });
    bytes.extend_from_slice(
        &u32::try_from(count).expect("a batch has at most 65,536 envelopes").to_be_bytes(),
    );
}

fn read_header(bytes: &[u8]) -> Result<(BatchHeader, usize), BatchError> {
    let mut reader = Reader { bytes, position: 0 };
    if bytes.get(..MAGIC.len()) != Some(MAGIC.as_slice()) {
        return Err(BatchError::Magic);
    }
    reader.position = MAGIC.len();
    let [law_length] = reader.take()?;
    let law = reader.slice(usize::from(law_length))?;
    let law_id = std::str::from_utf8(law)
        .ok()
        .and_then(|law| law.parse().ok())
        .ok_or(BatchError::Field { field: "law id" })?;
    let node = NodeId::from_bytes(reader.take()?);
    let epoch = Epoch(u32::from_be_bytes(reader.take()?));
    let sequence = Sequence(u64::from_be_bytes(reader.take()?));
    let confirmed_through = Sequence(u64::from_be_bytes(reader.take()?));
    let [flags] = reader.take()?;
    let count = u32::from_be_bytes(reader.take()?) as usize;
    for (field, in_range) in [
        ("epoch", epoch.0 >= 1),
        ("sequence", sequence.0 >= 1),
        ("confirmed-through", confirmed_through < sequence),
        ("flags", flags <= FLAG_LAST),
        ("count", count <= Batch::COUNT_MAX),
    ] {
        if !in_range {
            return Err(BatchError::Field { field });
        }
    }
    let expected = batch_length(usize::from(law_length), count);
    if bytes.len() != expected {
        return Err(BatchError::Length { expected, found: bytes.len() });
    }
    let number = BatchNumber { node, epoch, sequence };
    Ok((BatchHeader { law_id, number, confirmed_through, last: flags == FLAG_LAST }, count))
}

struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    fn slice(&mut self, length: usize) -> Result<&'a [u8], BatchError> {
        let end = self.position + length;
        let found = self.bytes.len();
        let slice = self
            .bytes
            .get(self.position..end)
            .ok_or(BatchError::Length { expected: batch_length(1, 0), found })?;
        self.position = end;
        Ok(slice)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], BatchError> {
        self.slice(N).map(|slice| take(slice, 0))
    }
}

fn take<const N: usize>(bytes: &[u8], start: usize) -> [u8; N] {
    let mut taken = [0; N];
    taken.copy_from_slice(&bytes[start..start + N]);
    taken
}

#[cfg(test)]
#[path = "batch_test.rs"]
mod tests;
