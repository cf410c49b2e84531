//! The ballot key of an election, and the encryption of choices with it.
//!
//! Choices are encrypted at ingest with HPKE (RFC 9180): base mode, DHKEM(X25519, HKDF-SHA256),
//! HKDF-SHA256, ChaCha20Poly1305, one encapsulation per batch. The public key alone cannot decrypt
//! a choice, not even a choice that was just sealed with it.

use std::fmt;
use std::sync::Arc;

use curve25519_dalek::MontgomeryPoint;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::{DefaultIsZeroes, Zeroizing};

use crate::id::{ElectionId, hex_bytes};

type Suite = X25519HkdfSha256;

hex_bytes! {
    /// The public half of a ballot key: an X25519 public key. Anyone may seal choices to it.
    BallotPublicKey, 32
}

impl BallotPublicKey {
    /// Whether choices can be encrypted to this key. A point of small order is unusable: its shared
    /// secret is known to everyone.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        // Multiplying a point of small order by eight gives the neutral element, whose u-coordinate
        // is 0. Every clamped scalar is a multiple of eight.
        let point = MontgomeryPoint(*self.as_bytes()).mul_clamped([0; 32]);
        point.to_bytes() != [0; 32]
    }
}

/// Index of a choice in the election's list, from 0, as stored in a sealed batch.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ChoiceIndex(pub u16);

impl DefaultIsZeroes for ChoiceIndex {}

/// Number of bytes that sealing adds to the choices: the Poly1305 tag.
pub const SEAL_OVERHEAD_BYTES: usize = 16;

/// Length in bytes of one choice in the plaintext. Fixed, so that the length of a sealed batch
/// reveals no choice.
pub const CHOICE_LENGTH: usize = 2;

/// Why sealing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The ballot public key is not a usable X25519 point.
    #[error("the election's ballot key cannot be used for encryption")]
    Key,
}

/// The secret half of a ballot key. Prints as redacted. Clones share one allocation, which is
/// zeroed when the last clone is dropped.
///
/// ```
/// use votekit_core::ballot::{BallotSecretKey, ChoiceIndex, Sealing};
/// # struct Rng(u8);
/// # impl votekit_core::rand_core::TryRng for Rng {
/// #     type Error = core::convert::Infallible;
/// #     fn try_next_u32(&mut self) -> Result<u32, Self::Error> { Ok(7) }
/// #     fn try_next_u64(&mut self) -> Result<u64, Self::Error> { Ok(7) }
/// #     fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
/// #         out.fill(self.0);
/// #         Ok(())
/// #     }
/// # }
/// # impl votekit_core::rand_core::TryCryptoRng for Rng {}
/// # let mut rng = Rng(9);
/// let secret = BallotSecretKey::from_seed(&[1; 32]);
/// let law = "L2025-001".parse()?;
/// let sealing = Sealing::start(&secret.public_key(), &law, &mut rng)?;
/// let encapsulated = sealing.encapsulated_key();
/// let sealed = sealing.finish(&[ChoiceIndex(1), ChoiceIndex(0)], b"associated data")?;
/// let opened = secret.open(&law, &encapsulated, b"associated data", &sealed);
/// assert_eq!(opened, Some(vec![ChoiceIndex(1), ChoiceIndex(0)]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct BallotSecretKey {
    bytes: Arc<Zeroizing<[u8; 32]>>,
}

impl BallotSecretKey {
    /// Derives a key from 32 random bytes (RFC 9180 `DeriveKeyPair`).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let (secret, _) = Suite::derive_keypair(seed);
        Self::from_bytes(secret.to_bytes().into())
    }

    /// Wraps a stored secret key.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self { bytes: Arc::new(Zeroizing::new(bytes)) }
    }

    /// The secret bytes, for a key file and for deriving blindings.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> BallotPublicKey {
        BallotPublicKey::from_bytes(Suite::sk_to_pk(&self.hpke_key()).to_bytes().into())
    }

    /// Decrypts the sealed choices of one batch. `None` if decryption fails: then every choice of
    /// the batch is spoiled.
    #[must_use]
    pub fn open(
        &self,
        law_id: &ElectionId,
        encapsulated: &[u8; 32],
        associated: &[u8],
        sealed: &[u8],
    ) -> Option<Vec<ChoiceIndex>> {
        let encapsulated = <Suite as Kem>::EncappedKey::from_bytes(encapsulated).ok()?;
        let mut context = hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, Suite>(
            &OpModeR::Base,
            &self.hpke_key(),
            &encapsulated,
            &info(law_id),
        )
        .ok()?;
        let plain = Zeroizing::new(context.open(sealed, associated).ok()?);
        let (choices, rest) = plain.as_chunks::<CHOICE_LENGTH>();
        rest.is_empty()
            .then(|| choices.iter().map(|bytes| ChoiceIndex(u16::from_be_bytes(*bytes))).collect())
    }

    /// Decrypts the output of [`BallotPublicKey::seal_sums`]. `None` if decryption fails.
    #[must_use]
    pub(crate) fn open_sums(
        &self,
        law_id: &ElectionId,
        associated: &[u8],
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (encapsulated, sealed) = sealed.split_first_chunk::<32>()?;
        let encapsulated = <Suite as Kem>::EncappedKey::from_bytes(encapsulated).ok()?;
        let mut context = hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, Suite>(
            &OpModeR::Base,
            &self.hpke_key(),
            &encapsulated,
            &info_of_sums(law_id),
        )
        .ok()?;
        context.open(sealed, associated).ok().map(Zeroizing::new)
    }

    fn hpke_key(&self) -> <Suite as Kem>::PrivateKey {
        <Suite as Kem>::PrivateKey::from_bytes(self.bytes.as_slice())
            .expect("any 32 bytes are an X25519 private key")
    }
}

impl BallotPublicKey {
    /// Seals sums of counts that are still secret. Returns the encapsulated key, then the
    /// ciphertext.
    ///
    /// # Errors
    /// [`SealError::Key`] when the public key is a point of small order.
    pub(crate) fn seal_sums(
        &self,
        law_id: &ElectionId,
        associated: &[u8],
        plain: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, SealError> {
        let key =
            <Suite as Kem>::PublicKey::from_bytes(self.as_bytes()).map_err(|_| SealError::Key)?;
        let (encapsulated, mut context) = hpke::setup_sender_with_rng::<
            ChaCha20Poly1305,
            HkdfSha256,
            Suite,
        >(
            &OpModeS::Base, &key, &info_of_sums(law_id), rng
        )
        .map_err(|_| SealError::Key)?;
        let sealed = context.seal(plain, associated).map_err(|_| SealError::Key)?;
        Ok([&encapsulated.to_bytes()[..], &sealed].concat())
    }
}

impl fmt::Debug for BallotSecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "BallotSecretKey(of {}, redacted)", self.public_key())
    }
}

/// The sealing of one batch in progress: first the encapsulated key, which the associated data must
/// contain, then the choices.
pub struct Sealing {
    encapsulated: [u8; 32],
    context: hpke::aead::AeadCtxS<ChaCha20Poly1305, HkdfSha256, Suite>,
}

impl Sealing {
    /// Encapsulates a fresh key to the election's ballot key.
    ///
    /// # Errors
    /// [`SealError::Key`] when the public key is a point of small order.
    pub fn start(
        key: &BallotPublicKey,
        law_id: &ElectionId,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, SealError> {
        let key =
            <Suite as Kem>::PublicKey::from_bytes(key.as_bytes()).map_err(|_| SealError::Key)?;
        let (encapsulated, context) = hpke::setup_sender_with_rng::<
            ChaCha20Poly1305,
            HkdfSha256,
            Suite,
        >(&OpModeS::Base, &key, &info(law_id), rng)
        .map_err(|_| SealError::Key)?;
        Ok(Self { encapsulated: encapsulated.to_bytes().into(), context })
    }

    /// The encapsulated key, for the batch.
    #[must_use]
    pub fn encapsulated_key(&self) -> [u8; 32] {
        self.encapsulated
    }

    /// Encrypts the choices and binds them to the associated data.
    ///
    /// # Errors
    /// [`SealError::Key`] if the cipher fails, which cannot happen for one message of a batch's
    /// length.
    pub fn finish(
        mut self,
        choices: &[ChoiceIndex],
        associated: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let plain: Zeroizing<Vec<u8>> =
            Zeroizing::new(choices.iter().flat_map(|choice| choice.0.to_be_bytes()).collect());
        self.context.seal(&plain, associated).map_err(|_| SealError::Key)
    }
}

impl fmt::Debug for Sealing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sealing(redacted)")
    }
}

fn info(law_id: &ElectionId) -> Vec<u8> {
    [b"votekit-ballot/1\n", law_id.as_str().as_bytes()].concat()
}

fn info_of_sums(law_id: &ElectionId) -> Vec<u8> {
    [b"votekit-snapshot-sums/1\n", law_id.as_str().as_bytes()].concat()
}
