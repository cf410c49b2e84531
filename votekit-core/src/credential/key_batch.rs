//! Hashes registry keys in batches: one SHA-256 block per message, padded in place.
//!
//! An incremental hasher spends more time on its buffer than on a short message. Here each message
//! is written into its own block, and the blocks of a batch are compressed one after another. They
//! are independent, so a processor can work on two at a time.

use sha2::block_api::compress256;
use zeroize::Zeroizing;

use super::{CredentialHasher, RegistryKey};
use crate::id::ElectionId;

/// The initial state of SHA-256 (FIPS 180-4, 5.3.3).
const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];
/// Messages up to this many bytes fit one block with their padding.
const MESSAGE_LENGTH_MAX: usize = 55;
/// Messages hashed together: their blocks fit the first-level cache.
const BATCH_LENGTH: usize = 64;

type State = [u32; 8];
type Block = [u8; 64];

/// The inner and outer states of HMAC-SHA-256 after the key block.
#[derive(Clone)]
pub(super) struct KeyedStates(Zeroizing<[State; 2]>);

impl KeyedStates {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let mut states = Zeroizing::new([INITIAL; 2]);
        for (state, pad) in states.iter_mut().zip([0x36, 0x5c]) {
            let mut block = Zeroizing::new([pad; 64]);
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            compress256(state, &[*block]);
        }
        Self(states)
    }
}

/// Hashes checked fields to registry keys, in the order in which they are pushed.
///
/// Fields are copied in pieces of fixed length, which is faster than copying only the bytes needed:
/// each piece overwrites the excess of the previous one.
pub(crate) struct KeyBatch<'h> {
    hasher: &'h CredentialHasher,
    /// The bytes after the code: a bar, the law id, the start of the padding.
    ending: Block,
    ending_length: usize,
    /// Messages with their padding, and one more block for the excess of the last. Wiped on drop:
    /// they hold NAS and codes.
    blocks: Zeroizing<Vec<u8>>,
    count: usize,
}

impl<'h> KeyBatch<'h> {
    pub(crate) fn new(hasher: &'h CredentialHasher) -> Self {
        let blocks = Zeroizing::new(vec![0; 64 * (BATCH_LENGTH + 1)]);
        Self { hasher, ending: [0; 64], ending_length: 0, blocks, count: 0 }
    }

    /// Sets the law of the following pushes.
    pub(crate) fn set_law(&mut self, law_id: &ElectionId) {
        let law = law_id.as_str().as_bytes();
        self.ending = [0; 64];
        self.ending[0] = b'|';
        self.ending[1..=law.len()].copy_from_slice(law);
        self.ending[1 + law.len()] = 0x80;
        self.ending_length = 1 + law.len();
    }

    /// Adds a NAS and the first `code_length` bytes of a code, both canonical. Returns false, and
    /// adds nothing, if the message is too long for one block.
    #[inline]
    #[must_use]
    pub(crate) fn push(&mut self, nas: &[u8; 9], code: &[u8; 32], code_length: usize) -> bool {
        let length = nas.len() + 1 + code_length + self.ending_length;
        if length > MESSAGE_LENGTH_MAX {
            return false;
        }
        let Some(message) = self.blocks[64 * self.count..].first_chunk_mut::<128>() else {
            return false;
        };
        message[..9].copy_from_slice(nas);
        message[9] = b'|';
        message[10..42].copy_from_slice(code);
        message[10 + code_length..][..64].copy_from_slice(&self.ending);
        // With a pepper the key block has been hashed before, which counts towards the length.
        let hashed_before = if self.hasher.keyed_states.is_some() { 64 } else { 0 };
        message[62..64].copy_from_slice(&bits(hashed_before + length));
        self.count += 1;
        true
    }

    /// Whether the batch must be flushed before the next push.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.count == BATCH_LENGTH
    }

    /// Appends the keys of all pushed messages, and empties the batch.
    pub(crate) fn flush(&mut self, keys: &mut Vec<RegistryKey>) {
        let blocks = &mut self.blocks.as_chunks_mut::<64>().0[..self.count];
        match &self.hasher.keyed_states {
            None => keys
                .extend(blocks.iter().map(|block| RegistryKey::from_bytes(hashed(INITIAL, block)))),
            Some(KeyedStates(states)) => {
                let [inner, outer] = **states;
                // H = outer(inner(message)), T = SHA-256(H): each step for the whole batch.
                for (from, length_before) in [(inner, 64), (outer, 0)] {
                    for block in blocks.iter_mut() {
                        *block = digest_block(&hashed(from, block), length_before);
                    }
                }
                keys.extend(
                    blocks.iter().map(|block| RegistryKey::from_bytes(hashed(INITIAL, block))),
                );
            }
        }
        self.count = 0;
    }
}

/// A padded block whose message is a digest, hashed after `length_before` bytes.
fn digest_block(digest: &[u8; 32], length_before: usize) -> Block {
    let mut block = [0; 64];
    block[..32].copy_from_slice(digest);
    block[32] = 0x80;
    block[62..].copy_from_slice(&bits(length_before + digest.len()));
    block
}

/// A length in bits, as the last two bytes of a short padded message.
const fn bits(length: usize) -> [u8; 2] {
    ((length * 8) as u16).to_be_bytes()
}

#[inline]
fn hashed(mut state: State, block: &Block) -> [u8; 32] {
    compress256(&mut state, std::slice::from_ref(block));
    let mut digest = [0; 32];
    for (index, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *index = word.to_be_bytes();
    }
    digest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::credential::{AccessCode, Nas, Pepper};

    proptest! {
        #[test]
        fn gives_what_the_general_hasher_gives(
            rows in prop::collection::vec(
                ("[0-9]{9}", "[A-Za-z0-9]{4,32}", "[A-Za-z0-9._-]{2,50}"),
                0..200,
            ),
        ) {
            let peppered = CredentialHasher::peppered(&Pepper::from_bytes([7; 32]));
            for hasher in [CredentialHasher::plain(), peppered] {
                let mut batch = KeyBatch::new(&hasher);
                let (mut expected, mut found) = (Vec::new(), Vec::new());
                for (nas, code, law) in &rows {
                    let Ok(law_id) = law.parse::<ElectionId>() else { continue };
                    let nas_bytes = nas.as_bytes().try_into().expect("9 digits");
                    let nas = Nas::parse(nas.as_bytes()).expect("9 digits");
                    let code = AccessCode::parse(code.as_bytes()).expect("letters and digits");
                    batch.set_law(&law_id);
                    let (code_bytes, code_length) = code.padded();
                    if batch.push(nas_bytes, code_bytes, code_length) {
                        expected.push(hasher.registry_key(&nas, &code, &law_id));
                    } else {
                        prop_assert!(9 + code_length + law.len() + 2 > 55);
                    }
                    if batch.is_full() {
                        batch.flush(&mut found);
                    }
                }
                batch.flush(&mut found);
                prop_assert_eq!(found, expected);
            }
        }
    }
}
