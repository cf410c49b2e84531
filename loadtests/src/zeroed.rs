//! Buffers for secrets: zeroed on drop, never printed.

use std::fmt;
use std::ops::{Deref, DerefMut};

use zeroize::Zeroize;

/// A growing buffer of bytes that may contain a NAS or an access code.
///
/// Growing frees the old allocation without zeroing it: give a sufficient capacity where the size
/// is known.
#[derive(Default)]
pub(crate) struct SecretBuffer(Vec<u8>);

impl SecretBuffer {
    /// An empty buffer with room for `capacity` bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }
}

impl Deref for SecretBuffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for SecretBuffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for SecretBuffer {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SecretBuffer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SecretBuffer({} bytes, redacted)", self.0.len())
    }
}
