//! The system's random numbers, for the core, which is handed randomness.

use rand_core::{TryCryptoRng, TryRng};

/// The operating system's generator. A node without randomness cannot encrypt, and stops rather than go on.
pub(crate) struct SystemRandom;

impl TryRng for SystemRandom {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_ne_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_ne_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        getrandom::fill(out).expect("the system gives random numbers");
        Ok(())
    }
}

impl TryCryptoRng for SystemRandom {}
