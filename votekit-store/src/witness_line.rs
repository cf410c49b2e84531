//! The cosignature of an outside witness over a head of a log.
//!
//! The ledger does not verify it: its reader does, by the signature in the line.

use std::fmt;

use votekit_core::log::merkle::TreeHash;

use crate::error::NUMBER_RULE;

/// A cosignature line, and the head that it is over.
#[derive(Clone, PartialEq, Eq)]
pub struct WitnessLine {
    /// The name of the witness, as the file of the authorities has it: 1 to 255 bytes.
    pub witness: String,
    /// The height of the last block of the log that was cosigned.
    pub height: u64,
    /// Its number of leaves.
    pub size: u64,
    /// Its root.
    pub root: TreeHash,
    /// The signature line, without its line feed.
    pub line: Vec<u8>,
}

impl WitnessLine {
    /// The number of lines of a witness that are kept when a line is stored: that line and those
    /// over the next smaller trees. A poll of several weeks has tens of thousands of cosigned
    /// heads, and a later head covers all earlier heads. Lines over larger trees are kept and do
    /// not count: another program may have invented them.
    pub const KEPT_PER_WITNESS: usize = 64;

    /// The maximum length of a line, in bytes.
    pub const LINE_BYTES_MAX: usize = 1024;

    /// The rule that the line breaks, if any. Every ledger then refuses it as
    /// [`Conflict::Malformed`](crate::Conflict::Malformed).
    #[must_use]
    pub fn broken_rule(&self) -> Option<&'static str> {
        if self.witness.is_empty() || self.witness.len() > 255 || self.witness.contains('\0') {
            return Some("a witness has a name of 1 to 255 bytes of text");
        }
        if self.line.len() > Self::LINE_BYTES_MAX {
            return Some("a line of a witness has at most 1024 bytes");
        }
        let is_too_large = |number: u64| i64::try_from(number).is_err();
        (is_too_large(self.height) || is_too_large(self.size)).then_some(NUMBER_RULE)
    }
}

impl fmt::Debug for WitnessLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { witness, height, size, root, line } = self;
        write!(formatter, "WitnessLine({witness}, height {height}, size {size}, ")?;
        write!(formatter, "root {root}, {} bytes)", line.len())
    }
}
