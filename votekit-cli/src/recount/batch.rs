//! Parses and decrypts batches with the recount's own code (`docs/formats.md`, section 5).

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::BatchName;

const ENVELOPE_BYTES: usize = 16 + 32 + 4;
const SIGNATURE_BYTES: usize = 64;

/// A batch, split into its parts.
pub(super) struct EvidenceBatch<'a> {
    law_id: &'a [u8],
    node: &'a [u8],
    epoch: u32,
    sequence: u64,
    encapsulated: &'a [u8],
    envelopes: &'a [[u8; ENVELOPE_BYTES]],
    /// Associated data: from the first byte to the end of the envelopes.
    associated: &'a [u8],
    sealed: &'a [u8],
    digest: String,
}

impl<'a> EvidenceBatch<'a> {
    /// Splits the bytes of a batch.
    ///
    /// # Errors
    /// The fault, to be appended to "the evidence of this batch".
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        Self::cut(bytes).ok_or_else(|| "is not a batch, or is truncated".to_owned())
    }

    fn cut(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(b"VKBATCH1")?;
        let mut next = |length: usize| -> Option<&'a [u8]> {
            let (part, after) = rest.split_at_checked(length)?;
            rest = after;
            Some(part)
        };
        let law_length = next(1)?[0];
        let law_id = next(law_length.into())?;
        let node = next(8)?;
        let epoch = u32::from_be_bytes(next(4)?.try_into().ok()?);
        let sequence = u64::from_be_bytes(next(8)?.try_into().ok()?);
        let _confirmed_through_and_flags = next(9)?;
        let count = u32::from_be_bytes(next(4)?.try_into().ok()?) as usize;
        let encapsulated = next(32)?;
        let (envelopes, _) = next(count.checked_mul(ENVELOPE_BYTES)?)?.as_chunks();
        let sealed = next(2 * count + 16)?;
        let signed = bytes.len().checked_sub(SIGNATURE_BYTES)?;
        let whole = rest.len() == SIGNATURE_BYTES;
        let associated = &bytes[..signed.checked_sub(sealed.len())?];
        let digest = const_hex::encode(Sha256::digest(&bytes[..signed]));
        whole.then_some(Self {
            law_id,
            node,
            epoch,
            sequence,
            encapsulated,
            envelopes,
            associated,
            sealed,
            digest,
        })
    }

    /// Returns the batch if it is the batch that the log names.
    ///
    /// # Errors
    /// The difference, to be appended to "the evidence of this batch".
    pub(super) fn agrees(
        self,
        law_id: &str,
        name: &BatchName,
        digest: &str,
        count: u64,
    ) -> Result<Self, String> {
        let differs = if self.digest != digest {
            format!("has the digest {}, the log names {digest}", self.digest)
        } else if self.law_id != law_id.as_bytes() {
            "is of another election".to_owned()
        } else if (const_hex::encode(self.node), self.epoch, self.sequence)
            != (name.node.clone(), name.epoch, name.sequence)
        {
            "has another number".to_owned()
        } else if self.envelopes.len() as u64 != count {
            format!("holds {} envelopes, the log names {count}", self.envelopes.len())
        } else {
            return Ok(self);
        };
        Err(differs)
    }

    pub(super) fn count(&self) -> usize {
        self.envelopes.len()
    }

    pub(super) fn request(&self, index: usize) -> [u8; 16] {
        part(&self.envelopes[index], 0)
    }

    pub(super) fn hash(&self, index: usize) -> [u8; 32] {
        part(&self.envelopes[index], 16)
    }

    pub(super) fn minute(&self, index: usize) -> u64 {
        u32::from_be_bytes(part(&self.envelopes[index], 48)).into()
    }

    /// Computes cᵢ of an envelope.
    pub(super) fn envelope_digest(&self, index: usize) -> [u8; 32] {
        let envelope = &self.envelopes[index];
        let (request, hash, minute) = (&envelope[..16], &envelope[16..48], &envelope[48..]);
        Sha256::new()
            .chain_update(b"votekit-envelope/1\n")
            .chain_update(request)
            .chain_update(minute)
            .chain_update(hash)
            .finalize()
            .into()
    }

    /// Decrypts the choices, in envelope order. `None` if they do not decrypt: then all are
    /// spoiled.
    pub(super) fn decrypt(&self, ballot_key: &[u8; 32]) -> Option<Vec<u16>> {
        type Suite = X25519HkdfSha256;
        let key = <Suite as Kem>::PrivateKey::from_bytes(ballot_key).ok()?;
        let encapsulated = <Suite as Kem>::EncappedKey::from_bytes(self.encapsulated).ok()?;
        let info = [b"votekit-ballot/1\n", self.law_id].concat();
        let plain = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, Suite>(
            &OpModeR::Base,
            &key,
            &encapsulated,
            &info,
            self.sealed,
            self.associated,
        );
        let plain = Zeroizing::new(plain.ok()?);
        let (choices, rest) = plain.as_chunks();
        let whole = rest.is_empty() && choices.len() == self.envelopes.len();
        whole.then(|| choices.iter().map(|choice| u16::from_be_bytes(*choice)).collect())
    }
}

fn part<const N: usize>(envelope: &[u8; ENVELOPE_BYTES], start: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&envelope[start..start + N]);
    part
}
