//! What a power cut did.

use std::fmt;
use std::ops::AddAssign;

/// Unsynced changes, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// As if they had been synced.
    pub kept: u64,
    /// There in part.
    pub torn: u64,
    /// Not there.
    pub dropped: u64,
}

impl Count {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.kept + self.torn + self.dropped
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.kept += other.kept;
        self.torn += other.torn;
        self.dropped += other.dropped;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} kept, {} torn, {} dropped", self.kept, self.torn, self.dropped)
    }
}

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCut {
    /// Its path below the root at the moment of the cut.
    pub path: String,
    /// Its unsynced writes and changes of length.
    pub changes: Count,
    /// Changes that a failed sync had lost before.
    pub lost_before: u64,
}

/// What a power cut did. Without unsynced changes it did nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CutReport {
    /// Files with changes that were not durable, in the order of their paths.
    pub files: Vec<FileCut>,
    /// Names that were made, moved or removed.
    pub names: Count,
}

impl CutReport {
    /// The changes of all files together.
    #[must_use]
    pub fn changes(&self) -> Count {
        let mut all = Count::default();
        self.files.iter().for_each(|file| all += file.changes);
        all
    }
}

impl fmt::Display for CutReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "writes: {}; names: {}", self.changes(), self.names)?;
        for file in &self.files {
            write!(formatter, "; {}: {}", file.path, file.changes)?;
            if file.lost_before > 0 {
                write!(formatter, ", {} lost by a failed sync", file.lost_before)?;
            }
        }
        Ok(())
    }
}
