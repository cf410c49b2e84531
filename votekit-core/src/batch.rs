//! The batch: envelopes of one election from one ingest node, numbered, signed, choices encrypted.
//!
//! The unit of transport, storage, retry and proof: batches are never split or reordered. The bytes
//! are specified in `docs/formats.md`, section 5.
//!
//! A [`Batch`] is parsed but not verified. A [`VerifiedBatch`] belongs to the expected election and
//! has the expected node's signature. Only a verified batch can be decided.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand_core::CryptoRng;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::ballot::{
    BallotPublicKey, BallotSecretKey, CHOICE_LENGTH, ChoiceIndex, SEAL_OVERHEAD_BYTES, SealError,
    Sealing,
};
use crate::credential::CredentialHash;
use crate::ed25519;
use crate::envelope::{Envelope, EnvelopeDigest};
use crate::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, RequestId, Sequence, hex_bytes};
use crate::instant::UnixMinutes;

const MAGIC: &[u8; 8] = b"VKBATCH1";
const SIGNATURE_LENGTH: usize = 64;
const ENVELOPE_LENGTH: usize = RequestId::LENGTH + CredentialHash::LENGTH + 4;
const FLAG_LAST: u8 = 1;

hex_bytes! {
    /// The Ed25519 public key with which a node's batches are verified.
    NodePublicKey, 32
}

hex_bytes! {
    /// The Ed25519 signature of a node over a batch.
    BatchSignature, 64
}

/// The Ed25519 key with which a node signs its batches. Prints as redacted, zeroed on drop.
#[derive(Clone)]
pub struct NodeKey(SigningKey);

impl NodeKey {
    /// Wraps 32 random bytes (the RFC 8032 private key).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> NodePublicKey {
        NodePublicKey::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// The node id derived from the public key.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.public_key().node_id()
    }
}

impl NodePublicKey {
    /// The node id derived from this key.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        NodeId::from_public_key(self.as_bytes())
    }

    /// Whether signatures can be verified with this key: it is the canonical encoding of a point,
    /// and not of small order, for which one signature fits every message.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.verifier().is_some()
    }

    /// The decoded key, for many signatures of one node; `None` if the key is not usable.
    #[must_use]
    pub fn verifier(&self) -> Option<NodeVerifier> {
        ed25519::public_key(self.as_bytes()).map(NodeVerifier)
    }
}

/// The decoded public key of a node. Decoding costs about a third of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeVerifier(VerifyingKey);

impl NodeVerifier {
    /// Whether a signature is valid under the strict rules: canonical encodings, no point of small
    /// order.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &BatchSignature) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature.as_bytes())).is_ok()
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "NodeKey(of {}, redacted)", self.node_id())
    }
}

/// The fields before the envelopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchHeader {
    /// The election.
    pub law_id: ElectionId,
    /// Unique within the election.
    pub number: BatchNumber,
    /// Every batch of this epoch up to this sequence is known to be durable; 0 for none.
    pub confirmed_through: Sequence,
    /// Whether this is the node's last batch of its epoch.
    pub last: bool,
}

/// Why bytes are not a batch, or not the expected one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The bytes do not start like a batch.
    #[error("not a batch: no VKBATCH1")]
    Magic,
    /// The number of bytes differs from the announced length.
    #[error("batch: found {found} bytes, expected {expected}")]
    Length {
        /// Length announced by the header, or that of the shortest batch if the header is cut.
        expected: usize,
        /// Number of bytes found.
        found: usize,
    },
    /// A header field is out of range.
    #[error("batch header: {field} out of range")]
    Field {
        /// The field.
        field: &'static str,
    },
    /// The signature is not by the node named in the batch.
    #[error("batch {number}: not signed by its node")]
    Signature {
        /// The batch.
        number: BatchNumber,
    },
    /// The given key does not belong to the node named in the batch.
    #[error("batch {number}: key of another node")]
    Node {
        /// The batch.
        number: BatchNumber,
    },
    /// The batch belongs to another election.
    #[error("batch {number}: found election {found}, expected {expected}")]
    Law {
        /// The batch.
        number: BatchNumber,
        /// The expected election.
        expected: ElectionId,
        /// The election named in the batch.
        found: ElectionId,
    },
    /// A minute is out of range, or earlier than that of a previous envelope.
    #[error("envelope {envelope_index}: minute out of range or order")]
    Minute {
        /// Index of the envelope, from 0.
        envelope_index: usize,
    },
    /// The choices cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// A batch as transported and stored: its bytes and the header parsed from them.
#[derive(Clone)]
pub struct Batch {
    header: BatchHeader,
    count: usize,
    digest: Digest,
    bytes: Vec<u8>,
    /// Cached result of the signature check: the key that verified it, and the digest of the
    /// envelopes, which the signature covers.
    verified: OnceLock<(NodePublicKey, Digest)>,
}

/// A batch of the expected election, with a valid signature of the expected node.
///
/// [`Batch::verify`] is the only constructor.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedBatch {
    batch: Arc<Batch>,
    envelopes_digest: Digest,
}

impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        // All other fields follow from the bytes.
        self.bytes == other.bytes
    }
}

impl Eq for Batch {}

/// One envelope of a stored batch; its choice is sealed separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedEnvelope {
    /// The request.
    pub request: RequestId,
    /// H of the credential.
    pub hash: CredentialHash,
    /// The minute of arrival.
    pub received: UnixMinutes,
}

impl SealedEnvelope {
    /// cᵢ of this envelope.
    #[must_use]
    pub fn digest(&self) -> EnvelopeDigest {
        EnvelopeDigest::new(&self.request, self.received, &self.hash)
    }
}

impl Batch {
    /// Maximum number of envelopes in a batch: keeps a block of one batch within megabytes.
    pub const COUNT_MAX: usize = 65_536;

    /// Seals and signs envelopes, preserving their order.
    ///
    /// # Errors
    /// [`BatchError::Field`] for a number out of range or more than [`Batch::COUNT_MAX`] envelopes,
    /// [`BatchError::Minute`] for a minute out of range or order, [`BatchError::Seal`] if the
    /// ballot key is unusable.
    pub fn seal(
        header: BatchHeader,
        envelopes: &[Envelope],
        ballot_key: &BallotPublicKey,
        node_key: &NodeKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, BatchError> {
        check_header(&header, envelopes.len())?;
        check_minutes(envelopes.iter().map(|envelope| envelope.received))?;
        let sealing = Sealing::start(ballot_key, &header.law_id, rng)?;
        let mut bytes =
            Vec::with_capacity(batch_length(header.law_id.as_str().len(), envelopes.len()));
        write_header(&mut bytes, &header, envelopes.len());
        // The signature covers the header without its magic bytes.
        let signed_header = MAGIC.len()..bytes.len();
        bytes.extend_from_slice(&sealing.encapsulated_key());
        let mut envelopes_hash = envelopes_hasher();
        for envelope in envelopes {
            let Envelope { request, hash, received, .. } = envelope;
            let minute = u32::try_from(received.0).expect("the minute is in range");
            bytes.extend_from_slice(request.as_bytes());
            bytes.extend_from_slice(hash.as_bytes());
            bytes.extend_from_slice(&minute.to_be_bytes());
            envelopes_hash.update(EnvelopeDigest::new(request, *received, hash).as_bytes());
        }
        let choices: Zeroizing<Vec<ChoiceIndex>> =
            Zeroizing::new(envelopes.iter().map(|envelope| envelope.choice).collect());
        // The bytes so far, through the last envelope, are the associated data of the choices.
        let sealed = sealing.finish(&choices, &bytes)?;
        bytes.extend_from_slice(&sealed);
        let digest = Digest::compute(&bytes);
        let envelopes_digest = Digest::from_bytes(envelopes_hash.finalize().into());
        let message = signed_message(&bytes[signed_header], &envelopes_digest, &digest);
        let signature = node_key.0.sign(&message);
        bytes.extend_from_slice(&signature.to_bytes());
        let verified = OnceLock::from((node_key.public_key(), envelopes_digest));
        Ok(Self { header, count: envelopes.len(), digest, bytes, verified })
    }

    /// Parses a batch. [`Batch::verify`] checks its signature.
    ///
    /// # Errors
    /// [`BatchError`] with the first broken rule.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BatchError> {
        let (header, count) = read_header(&bytes)?;
        // `read_header` has checked the exact length, so this cannot underflow.
        let digest = Digest::compute(&bytes[..bytes.len() - SIGNATURE_LENGTH]);
        let batch = Self { header, count, digest, bytes, verified: OnceLock::new() };
        check_minutes(batch.envelopes().map(|envelope| envelope.received))?;
        Ok(batch)
    }

    /// Checks that the batch belongs to the election and is signed by the node. The result is
    /// cached for further calls with the same key.
    ///
    /// # Errors
    /// [`BatchError::Law`] for another election's batch, [`BatchError::Node`] for another node's
    /// key, [`BatchError::Signature`] for a bad signature.
    pub fn verify(
        self: &Arc<Self>,
        law_id: &ElectionId,
        key: &NodePublicKey,
    ) -> Result<VerifiedBatch, BatchError> {
        let number = self.header.number;
        if self.header.law_id != *law_id {
            let (expected, found) = (law_id.clone(), self.header.law_id.clone());
            return Err(BatchError::Law { number, expected, found });
        }
        if key.node_id() != number.node {
            return Err(BatchError::Node { number });
        }
        let envelopes_digest = match self.verified.get() {
            Some((verified, digest)) if verified == key => *digest,
            _ => self.check_signature(key)?,
        };
        Ok(VerifiedBatch { batch: Arc::clone(self), envelopes_digest })
    }

    fn check_signature(&self, key: &NodePublicKey) -> Result<Digest, BatchError> {
        let mut envelopes_hash = envelopes_hasher();
        for envelope in self.envelopes() {
            envelopes_hash.update(envelope.digest().as_bytes());
        }
        let envelopes_digest = Digest::from_bytes(envelopes_hash.finalize().into());
        let header = &self.bytes[MAGIC.len()..header_length(self.header.law_id.as_str().len())];
        let message = signed_message(header, &envelopes_digest, &self.digest);
        let verifier = key.verifier();
        if !verifier.is_some_and(|key| key.has_signed(&message, &self.signature())) {
            return Err(BatchError::Signature { number: self.header.number });
        }
        // Each node has only one key, so a concurrent call can only have set the same value.
        let _ = self.verified.set((*key, envelopes_digest));
        Ok(envelopes_digest)
    }

    /// The fields before the envelopes.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Identifies this batch within its election.
    #[must_use]
    pub fn number(&self) -> BatchNumber {
        self.header.number
    }

    /// The number of envelopes.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// SHA-256 of everything before the signature.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The node's signature, as the batch carries it.
    #[must_use]
    pub fn signature(&self) -> BatchSignature {
        BatchSignature::from_bytes(take(&self.bytes, self.bytes.len() - SIGNATURE_LENGTH))
    }

    /// The bytes of the batch.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The envelopes in order.
    pub fn envelopes(
        &self,
    ) -> impl ExactSizeIterator<Item = SealedEnvelope> + DoubleEndedIterator + '_ {
        let start = self.associated_end() - self.count * ENVELOPE_LENGTH;
        let (envelopes, _) =
            self.bytes[start..self.associated_end()].as_chunks::<ENVELOPE_LENGTH>();
        envelopes.iter().map(|bytes| SealedEnvelope {
            request: RequestId::from_bytes(take(bytes, 0)),
            hash: CredentialHash::from_bytes(take(bytes, RequestId::LENGTH)),
            received: UnixMinutes(
                u32::from_be_bytes(take(bytes, RequestId::LENGTH + CredentialHash::LENGTH)).into(),
            ),
        })
    }

    /// Decrypts the choices in the order of the envelopes; `None` for a spoiled vote.
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

    /// End of the envelopes. The bytes before it are the associated data of the sealed choices.
    fn associated_end(&self) -> usize {
        self.bytes.len() - SIGNATURE_LENGTH - SEAL_OVERHEAD_BYTES - self.count * CHOICE_LENGTH
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

impl VerifiedBatch {
    /// The batch itself.
    #[must_use]
    pub fn batch(&self) -> &Arc<Batch> {
        &self.batch
    }

    /// SHA-256 over c₁ … cₙ, covered by the signature.
    #[must_use]
    pub fn envelopes_digest(&self) -> Digest {
        self.envelopes_digest
    }
}

impl Deref for VerifiedBatch {
    type Target = Batch;

    fn deref(&self) -> &Batch {
        &self.batch
    }
}

impl fmt::Debug for VerifiedBatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Verified{:?}", self.batch)
    }
}

/// Starts the digest over c₁ … cₙ.
pub(crate) fn envelopes_hasher() -> Sha256 {
    Sha256::new().chain_update(b"votekit-envelopes/1\n")
}

/// The message that a node signs: the header from the law id to the count, the digest over c₁ … cₙ,
/// and the digest of the batch. A log contains all of it, so a verifier can check the signature
/// without the batch.
pub(crate) fn signed_message(header: &[u8], envelopes_digest: &Digest, digest: &Digest) -> Vec<u8> {
    let prefix = b"votekit-batch/1\n";
    [prefix, header, envelopes_digest.as_bytes().as_slice(), digest.as_bytes()].concat()
}

/// The part of a header that the signature covers.
pub(crate) fn signed_header(header: &BatchHeader, count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(header_length(header.law_id.as_str().len()));
    write_header(&mut bytes, header, count);
    bytes.split_off(MAGIC.len())
}

const fn header_length(law_length: usize) -> usize {
    8 + 1 + law_length + 8 + 4 + 8 + 8 + 1 + 4
}

const fn batch_length(law_length: usize, count: usize) -> usize {
    header_length(law_length)
        + 32
        + count * (ENVELOPE_LENGTH + CHOICE_LENGTH)
        + SEAL_OVERHEAD_BYTES
        + SIGNATURE_LENGTH
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
    let count = u32::try_from(count).expect("a batch has at most 65,536 envelopes");
    bytes.extend_from_slice(&count.to_be_bytes());
}

/// Checks the ranges of the numbers in a header.
pub(crate) fn check_header(header: &BatchHeader, count: usize) -> Result<(), BatchError> {
    let BatchNumber { epoch, sequence, .. } = header.number;
    let rules = [
        ("epoch", epoch.0 >= 1),
        ("sequence", (1..=Sequence::MAX.0).contains(&sequence.0)),
        ("confirmed-through", header.confirmed_through < sequence),
        ("count", count <= Batch::COUNT_MAX),
    ];
    match rules.into_iter().find(|(_, holds)| !holds) {
        Some((field, _)) => Err(BatchError::Field { field }),
        None => Ok(()),
    }
}

fn check_minutes(minutes: impl Iterator<Item = UnixMinutes>) -> Result<(), BatchError> {
    let mut earlier = UnixMinutes::MIN;
    for (envelope_index, minute) in minutes.enumerate() {
        if minute < earlier || !minute.is_in_range() {
            return Err(BatchError::Minute { envelope_index });
        }
        earlier = minute;
    }
    Ok(())
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
    if flags > FLAG_LAST {
        return Err(BatchError::Field { field: "flags" });
    }
    let number = BatchNumber { node, epoch, sequence };
    let header = BatchHeader { law_id, number, confirmed_through, last: flags == FLAG_LAST };
    check_header(&header, count)?;
    let expected = batch_length(usize::from(law_length), count);
    if bytes.len() != expected {
        return Err(BatchError::Length { expected, found: bytes.len() });
    }
    Ok((header, count))
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
