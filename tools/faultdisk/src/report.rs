//! The report of a power cut.

use std::fmt;
use std::ops::AddAssign;

/// Unsynced changes, counted by their fate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Survived completely.
    pub kept: u64,
    /// Survived in part.
    pub torn: u64,
    /// Lost.
    pub dropped: u64,
}

impl Count {
    /// The sum of all three.
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

/// The effect of a power cut on one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCut {
    /// Its path below the root at the time of the cut.
    pub path: String,
    /// Its unsynced writes and length changes.
    pub changes: Count,
    /// Changes that an earlier failed sync had lost.
    pub lost_before: u64,
}

/// The effect of a power cut. Empty without unsynced changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CutReport {
    /// Files with changes that were not durable, in the order of their paths.
    pub files: Vec<FileCut>,
    /// Created, renamed or removed names.
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
