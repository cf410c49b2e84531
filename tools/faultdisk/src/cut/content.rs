//! The bytes of one file after a power cut.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::chance::Chance;
use crate::error::DiskError;
use crate::record::FileRecord;
use crate::report::{Count, FileCut};

/// Bytes a disk writes atomically.
const SECTOR: u64 = 512;

/// A change with its new bytes, so that it can be redone.
#[derive(Debug)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Resize { length: u64 },
}

/// Whether a change is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durability {
    Durable,
    Lost,
    Pending,
}

/// Sets a file back. `None` when all its changes were durable. Without `chance` every change that
/// is not durable is lost.
pub(super) fn set_back(
    path: &Path,
    shown: &str,
    records: Vec<FileRecord>,
    chance: Option<&mut Chance>,
) -> Result<Option<FileCut>, DiskError> {
    let changes = durabilities(records);
    if changes.iter().all(|(_, durability)| *durability == Durability::Durable) {
        return Ok(None);
    }
    let unsynced =
        changes.iter().filter(|(_, durability)| *durability == Durability::Pending).count();
    let mut cut = FileCut { path: shown.to_owned(), changes: Count::default(), lost_before: 0 };
    let mut fates = fates(unsynced, chance).into_iter();
    let set_back = || -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        // Undo all changes, last one first, so that each is undone on the content it produced; then
        // redo in order.
        let mut again = Vec::new();
        for (record, durability) in changes.into_iter().rev() {
            again.push((undo(&file, record)?, durability));
        }
        for (change, durability) in again.into_iter().rev() {
            let fate = match durability {
                Durability::Durable => Fate::Keep,
                Durability::Lost => Fate::Drop,
                Durability::Pending => fates.next().unwrap_or(Fate::Drop),
            };
            let kept = redo(&file, &change, fate)?;
            match durability {
                Durability::Durable => {}
                Durability::Lost => cut.lost_before += 1,
                Durability::Pending => cut.changes += kept,
            }
        }
        file.sync_all()
    };
    set_back().map_err(DiskError::io(path))?;
    Ok(Some(cut))
}

/// The changes in order, each with its durability after the syncs that follow it.
fn durabilities(records: Vec<FileRecord>) -> Vec<(FileRecord, Durability)> {
    let mut changes: Vec<(FileRecord, Durability)> = Vec::new();
    for record in records {
        let verdict = match record {
            FileRecord::Synced => Durability::Durable,
            FileRecord::Lost => Durability::Lost,
            change => {
                changes.push((change, Durability::Pending));
                continue;
            }
        };
        changes
            .iter_mut()
            .filter(|(_, durability)| *durability == Durability::Pending)
            .for_each(|(_, durability)| *durability = verdict);
    }
    changes
}

/// Undoes the last change of the file, and returns it in redoable form.
fn undo(file: &File, record: FileRecord) -> io::Result<Change> {
    let length = file.metadata()?.len();
    match record {
        FileRecord::Write { offset, length: written, file_length, before } => {
            // A process killed before or during its write wrote fewer bytes.
            let there = written.min(length.saturating_sub(offset));
            let mut bytes = vec![0; usize::try_from(there).map_err(io::Error::other)?];
            file.read_exact_at(&mut bytes, offset)?;
            file.write_all_at(&before, offset)?;
            file.set_len(file_length)?;
            Ok(Change::Write { offset, bytes })
        }
        FileRecord::Resize { length, file_length, before } => {
            file.set_len(file_length)?;
            file.write_all_at(&before, length)?;
            Ok(Change::Resize { length })
        }
        FileRecord::Synced | FileRecord::Lost => unreachable!("marks are no changes"),
    }
}

/// The fate of one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Keep,
    Drop,
    /// The file grows, but the new bytes are zeros.
    Grow,
    /// Only the sectors before a random sector are written.
    Start {
        draw: u64,
    },
    /// Each sector is written or not.
    Scatter {
        draw: u64,
    },
}

/// Draws the fate of each unsynced change of a file.
fn fates(changes: usize, chance: Option<&mut Chance>) -> Vec<Fate> {
    let Some(chance) = chance else { return vec![Fate::Drop; changes] };
    if changes == 0 {
        return Vec::new();
    }
    let last = changes - 1;
    match chance.below(8) {
        0 => vec![Fate::Drop; changes],
        1 => vec![Fate::Keep; changes],
        // The power failed while the disk wrote in order.
        2 | 3 => {
            let reached = usize::try_from(chance.below(changes as u64)).expect("below a length");
            let fate = |index: usize, chance: &mut Chance| match index.cmp(&reached) {
                std::cmp::Ordering::Less => Fate::Keep,
                std::cmp::Ordering::Equal => Fate::Start { draw: chance.number() },
                std::cmp::Ordering::Greater => Fate::Drop,
            };
            (0..changes).map(|index| fate(index, chance)).collect()
        }
        // The disk reordered the writes.
        _ => (0..changes)
            .map(|index| match chance.below(8) {
                0..=2 => Fate::Keep,
                3 | 4 if index == last => Fate::Start { draw: chance.number() },
                3 => Fate::Scatter { draw: chance.number() },
                4 => Fate::Grow,
                _ => Fate::Drop,
            })
            .collect(),
    }
}

/// Redoes a change, as far as its fate allows.
fn redo(file: &File, change: &Change, fate: Fate) -> io::Result<Count> {
    let (kept, torn, dropped) = (
        Count { kept: 1, ..Count::default() },
        Count { torn: 1, ..Count::default() },
        Count { dropped: 1, ..Count::default() },
    );
    let (offset, bytes) = match change {
        // A length is one field: it is set or not, never torn.
        Change::Resize { length }
            if matches!(fate, Fate::Keep | Fate::Grow | Fate::Start { .. }) =>
        {
            file.set_len(*length)?;
            return Ok(kept);
        }
        Change::Resize { .. } => return Ok(dropped),
        Change::Write { offset, bytes } => (*offset, bytes),
    };
    let grow = |end: u64| if file.metadata()?.len() < end { file.set_len(end) } else { Ok(()) };
    let end = offset + bytes.len() as u64;
    let write = |from: u64, to: u64| {
        let index = |at: u64| usize::try_from(at - offset).map_err(io::Error::other);
        file.write_all_at(&bytes[index(from)?..index(to)?], from)
    };
    let pieces: Vec<(u64, u64)> = sectors(offset, end);
    match fate {
        Fate::Drop => return Ok(dropped),
        Fate::Keep => write(offset, end)?,
        Fate::Grow => {
            let before = file.metadata()?.len();
            grow(end)?;
            return Ok(if before < end { torn } else { dropped });
        }
        Fate::Start { draw } => {
            let reached =
                usize::try_from(draw % pieces.len().max(1) as u64).expect("below a length");
            let Some((to, _)) = pieces.get(reached).filter(|_| reached > 0) else {
                return Ok(dropped);
            };
            write(offset, *to)?;
            return Ok(torn);
        }
        Fate::Scatter { draw } => {
            let mut chance = Chance::new(draw);
            let there: Vec<bool> = pieces.iter().map(|_| chance.one_in(2)).collect();
            for ((from, to), _) in pieces.iter().zip(&there).filter(|(_, there)| **there) {
                write(*from, *to)?;
            }
            return Ok(match there.iter().filter(|there| **there).count() {
                0 => dropped,
                written if written == pieces.len() => kept,
                _ => torn,
            });
        }
    }
    Ok(kept)
}

/// Splits a byte range at sector boundaries.
fn sectors(offset: u64, end: u64) -> Vec<(u64, u64)> {
    let mut pieces = Vec::new();
    let mut from = offset;
    while from < end {
        let to = ((from / SECTOR + 1) * SECTOR).min(end);
        pieces.push((from, to));
        from = to;
    }
    pieces
}

#[cfg(test)]
#[path = "content_test.rs"]
mod tests;
