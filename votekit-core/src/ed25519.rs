//! Decodes Ed25519 public keys by the rules of RFC 8032, section 5.1.3, without exception.
//!
//! The library reduces an encoded coordinate of the field's order or more, where the RFC refuses
//! it: one verifier would accept what another refuses.

use ed25519_dalek::VerifyingKey;

/// The key of these bytes, if they are the canonical encoding of a point that is not of small
/// order. Under a key of small order, one signature fits every message.
pub(crate) fn public_key(bytes: &[u8; 32]) -> Option<VerifyingKey> {
    let key = VerifyingKey::from_bytes(bytes).ok()?;
    let is_canonical = key.to_edwards().compress().as_bytes() == bytes;
    (is_canonical && !key.is_weak()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The coordinate y + p for each y below 19, with both signs: all encodings that are too large.
    #[test]
    fn no_encoding_but_the_canonical_one_is_a_key() {
        let mut points = 0;
        for low in 0xed..=0xff {
            for top in [0x7f, 0xff] {
                let mut bytes = [0xff; 32];
                (bytes[0], bytes[31]) = (low, top);
                points += u32::from(VerifyingKey::from_bytes(&bytes).is_ok());
                assert_eq!(public_key(&bytes), None, "{bytes:?}");
            }
        }
        assert!(points > 0, "the library accepts some of them");
    }

    #[test]
    fn a_key_of_small_order_is_none() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert!(VerifyingKey::from_bytes(&neutral).is_ok());
        assert_eq!(public_key(&neutral), None);
    }

    #[test]
    fn a_drawn_key_is_itself() {
        for seed in 0..32 {
            let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).verifying_key();
            assert_eq!(public_key(key.as_bytes()), Some(key));
        }
    }
}
