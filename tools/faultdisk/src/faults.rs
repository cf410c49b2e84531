//! The faults that a harness orders, and the control page that passes them to a running program.
//!
//! ```text
//! offset  bytes
//!      0      8  generation, little-endian; 0 while the page is being written
//!      8      8  bytes that may still be written; all ones: no limit
//!     16      8  the sync that fails, counted from the next one as 1; 0: none
//!     24      8  bit 0: reads fail, bit 1: writes fail, of the file named below;
//!                bit 2: a failed sync undoes its writes
//!     32      8  microseconds that a sync takes
//!     40      2  length of the name, little-endian
//!     42         the name: a path below the root
//! ```

use std::io;

/// The length of the page.
pub const CONTROL_BYTES: usize = 4096;

const NAME_AT: usize = 42;
const NO_LIMIT: u64 = u64::MAX;

/// The ordered faults. The default is a disk without faults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// After this many more bytes every write fails with ENOSPC, until other faults are ordered. A
    /// write that crosses the limit is cut short.
    pub space_bytes: Option<u64>,
    /// The sync that fails with EIO, counted from the next one as 1: a sync of [`Faults::file`], or
    /// any sync when it is empty, folders included. The changes it covered are permanently lost,
    /// and later syncs succeed.
    pub failing_sync: Option<u64>,
    /// Whether a failed sync undoes its changes immediately, as on Btrfs. Otherwise they can be
    /// read until the power cut, as on ext4 and XFS.
    pub failing_sync_takes_back: bool,
    /// Extra microseconds each sync of a file takes: a slow disk, and a wider window for a power
    /// cut.
    pub sync_micros: u64,
    /// Reads of [`Faults::file`] fail with EIO.
    pub failing_reads: bool,
    /// Writes to [`Faults::file`] fail with EIO.
    pub failing_writes: bool,
    /// The file whose reads, writes or syncs fail: its path below the root, such as
    /// `ledger.sqlite`. The file need not exist yet.
    pub file: String,
}

impl Faults {
    /// Encodes the page for a generation, which must not be 0.
    ///
    /// # Errors
    /// When the name is too long for the page.
    pub fn encode(&self, generation: u64) -> io::Result<[u8; CONTROL_BYTES]> {
        let mut page = [0; CONTROL_BYTES];
        if self.file.len() > CONTROL_BYTES - NAME_AT {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the file's name is too long"));
        }
        page[..8].copy_from_slice(&generation.to_le_bytes());
        page[8..16].copy_from_slice(&self.space_bytes.unwrap_or(NO_LIMIT).to_le_bytes());
        page[16..24].copy_from_slice(&self.failing_sync.unwrap_or(0).to_le_bytes());
        page[24..32].copy_from_slice(&self.bits().to_le_bytes());
        let length = u16::try_from(self.file.len()).expect("shorter than the page");
        page[32..40].copy_from_slice(&self.sync_micros.to_le_bytes());
        page[40..42].copy_from_slice(&length.to_le_bytes());
        page[NAME_AT..NAME_AT + self.file.len()].copy_from_slice(self.file.as_bytes());
        Ok(page)
    }

    /// Decodes a page. A name out of range is taken as empty.
    #[must_use]
    pub fn decode(page: &[u8; CONTROL_BYTES]) -> Self {
        let space = number(page, 8);
        let sync = number(page, 16);
        let bits = number(page, 24);
        let length = usize::from(u16::from_le_bytes([page[40], page[41]]));
        let name = page.get(NAME_AT..NAME_AT + length).unwrap_or_default();
        Self {
            space_bytes: (space != NO_LIMIT).then_some(space),
            failing_sync: (sync != 0).then_some(sync),
            failing_reads: bits & 1 != 0,
            failing_writes: bits & 2 != 0,
            failing_sync_takes_back: bits & 4 != 0,
            sync_micros: number(page, 32),
            file: String::from_utf8_lossy(name).into_owned(),
        }
    }

    fn bits(&self) -> u64 {
        let bits = [self.failing_reads, self.failing_writes, self.failing_sync_takes_back];
        bits.iter().enumerate().map(|(index, set)| u64::from(*set) << index).sum()
    }

    /// The generation of a page.
    #[must_use]
    pub fn generation(page: &[u8; CONTROL_BYTES]) -> u64 {
        number(page, 0)
    }
}

fn number(page: &[u8; CONTROL_BYTES], at: usize) -> u64 {
    let bytes: [u8; 8] = page[at..at + 8].try_into().expect("eight bytes");
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_back() {
        let faults = Faults {
            space_bytes: Some(7),
            failing_sync: Some(2),
            failing_reads: false,
            failing_writes: true,
            failing_sync_takes_back: true,
            sync_micros: 1500,
            file: "keys/node".into(),
        };
        for faults in [faults, Faults::default()] {
            let page = faults.encode(9).expect("a short name");
            assert_eq!(Faults::decode(&page), faults);
            assert_eq!(Faults::generation(&page), 9);
        }
        assert!(Faults { file: "x".repeat(CONTROL_BYTES), ..Faults::default() }.encode(1).is_err());
    }
}
