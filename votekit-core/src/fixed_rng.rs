//! A deterministic generator: bytes come from hashing a seed with a counter, so that vectors and
//! tests are reproducible.

use sha2::{Digest, Sha256};

/// Reproducible bytes for tests and golden vectors. Never for real keys.
pub struct FixedRng {
    seed: [u8; 32],
    counter: u64,
}

impl FixedRng {
    /// A generator whose bytes depend on the seed alone.
    #[must_use]
    pub fn new(seed: u8) -> Self {
        Self::from_seed([seed; 32])
    }

    /// As [`FixedRng::new`], for callers with more than 256 generators.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { seed, counter: 0 }
    }
}

impl rand_core::TryRng for FixedRng {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        for chunk in out.chunks_mut(32) {
            let block = Sha256::new()
                .chain_update(self.seed)
                .chain_update(self.counter.to_be_bytes())
                .finalize();
            self.counter += 1;
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

impl rand_core::TryCryptoRng for FixedRng {}
