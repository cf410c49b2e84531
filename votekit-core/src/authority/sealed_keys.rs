//! Seals the secret keys of an election to the transport key of an authority or of an ingest node.
//!
//! HPKE (RFC 9180) in base mode with the suite of the ballot key. The info text names the election,
//! so that a key of one election cannot be stored as that of another.

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::ballot::{BallotSecretKey, SealError};
use crate::id::ElectionId;

type Suite = X25519HkdfSha256;

/// Seals bytes to a transport key: 32 bytes of encapsulated key, then the ciphertext with its tag.
///
/// # Errors
/// [`SealError::Key`] when the transport key is a point of small order.
pub fn seal_keys(
    transport: &[u8; 32],
    law_id: &ElectionId,
    plain: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, SealError> {
    let key = <Suite as Kem>::PublicKey::from_bytes(transport).map_err(|_| SealError::Key)?;
    let (encapsulated, mut context) = hpke::setup_sender_with_rng::<
        ChaCha20Poly1305,
        HkdfSha256,
        Suite,
    >(&OpModeS::Base, &key, &info(law_id), rng)
    .map_err(|_| SealError::Key)?;
    let sealed = context.seal(plain, &[]).map_err(|_| SealError::Key)?;
    Ok([&encapsulated.to_bytes()[..], &sealed].concat())
}

/// Opens what [`seal_keys`] sealed. `None` if it is not for this key and this election, or was
/// changed.
#[must_use]
pub fn open_keys(
    transport: &BallotSecretKey,
    law_id: &ElectionId,
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (encapsulated, sealed) = sealed.split_first_chunk::<32>()?;
    let encapsulated = <Suite as Kem>::EncappedKey::from_bytes(encapsulated).ok()?;
    let key = <Suite as Kem>::PrivateKey::from_bytes(transport.expose_bytes()).ok()?;
    let mut context = hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, Suite>(
        &OpModeR::Base,
        &key,
        &encapsulated,
        &info(law_id),
    )
    .ok()?;
    context.open(sealed, &[]).ok().map(Zeroizing::new)
}

fn info(law_id: &ElectionId) -> Vec<u8> {
    format!("votekit-sealed-keys/1\n{law_id}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed_rng::FixedRng;

    #[test]
    fn sealed_keys_open_for_their_recipient_and_election_alone() {
        let recipient = BallotSecretKey::from_seed(&[1; 32]);
        let law = |text: &str| -> ElectionId { text.parse().expect("an id") };
        let transport = *recipient.public_key().as_bytes();
        let sealed = seal_keys(&transport, &law("L1"), b"secret", &mut FixedRng::new(3))
            .expect("a usable key");
        let opened = open_keys(&recipient, &law("L1"), &sealed).map(|plain| plain.to_vec());
        assert_eq!(opened.as_deref(), Some(&b"secret"[..]));
        assert!(open_keys(&recipient, &law("L2"), &sealed).is_none());
        assert!(open_keys(&BallotSecretKey::from_seed(&[2; 32]), &law("L1"), &sealed).is_none());
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(open_keys(&recipient, &law("L1"), &changed).is_none(), "byte {index}");
        }
        assert!(open_keys(&recipient, &law("L1"), &sealed[..20]).is_none());
    }
}
