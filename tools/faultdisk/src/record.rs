//! The journal's records, as bytes. The preloaded library writes them, a power cut reads them.
//!
//! Every log is a sequence of records: the length of the body (8 bytes; all numbers are
//! little-endian), then the body. A record is written before the change it describes, so an
//! incomplete last record describes a change that was not made.
//!
//! ```text
//! file log   1  write    offset, length, file length before, overwritten bytes
//!            2  resize   new length, file length before, bytes cut off
//!            3  synced
//!            4  lost     a sync failed: changes not covered by an earlier sync are lost
//! name log   1  made     number, inode, folder, name
//!            2  removed  number, inode, folder, mode of a folder or 0, name
//!            3  renamed  number, inode, folder, new folder, 1 if a file was replaced,
//!                        length of name, name, new name
//!            4  synced   folder
//!            5  undone   number: the call failed
//! ```
//!
//! A removed or replaced file is kept under the number of its record.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A change of one file's bytes. `before` holds replaced bytes; the new bytes are in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileRecord {
    /// Bytes are written, possibly beyond the end.
    Write {
        /// Offset of the write.
        offset: u64,
        /// Number of bytes written.
        length: u64,
        /// The file's length before.
        file_length: u64,
        /// The overwritten bytes, as far as the file reached.
        before: Vec<u8>,
    },
    /// The length is set.
    Resize {
        /// The new length.
        length: u64,
        /// The old length.
        file_length: u64,
        /// The bytes beyond the new length.
        before: Vec<u8>,
    },
    /// A sync succeeded.
    Synced,
    /// A sync failed.
    Lost,
}

/// A change of a name. Folders are identified by inode: they may be renamed themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameRecord {
    /// A file or folder was created, or got another name.
    Made {
        /// The number of the change.
        number: u64,
        /// The inode the name refers to.
        inode: u64,
        /// The inode of its folder.
        folder: u64,
        /// The name.
        name: OsString,
    },
    /// A name is removed.
    Removed {
        /// The number of the change. A removed file is kept under it.
        number: u64,
        /// The inode the name refers to.
        inode: u64,
        /// The inode of its folder.
        folder: u64,
        /// The mode of a folder; 0 for a file.
        folder_mode: u32,
        /// The name.
        name: OsString,
    },
    /// A name is changed.
    Renamed {
        /// The number of the change. A replaced file is kept under it.
        number: u64,
        /// The inode the name refers to.
        inode: u64,
        /// The inode of the old folder.
        folder: u64,
        /// The inode of the new folder.
        new_folder: u64,
        /// Whether a file is replaced.
        replaces: bool,
        /// The name.
        name: OsString,
        /// The new name.
        new_name: OsString,
    },
    /// A folder was synced.
    Synced {
        /// The inode of the folder.
        folder: u64,
    },
    /// A change failed.
    Undone {
        /// The number of the change.
        number: u64,
    },
}

impl FileRecord {
    /// The start of a write record; the `before` overwritten bytes follow it.
    #[must_use]
    pub fn write_head(offset: u64, length: u64, file_length: u64, before: u64) -> Vec<u8> {
        head(1, &[offset, length, file_length], before)
    }

    /// The start of a resize record; the `before` bytes cut off follow it.
    #[must_use]
    pub fn resize_head(length: u64, file_length: u64, before: u64) -> Vec<u8> {
        head(2, &[length, file_length], before)
    }

    /// A whole record without numbers and bytes: synced or lost.
    #[must_use]
    pub fn mark(&self) -> Vec<u8> {
        head(if matches!(self, Self::Lost) { 4 } else { 3 }, &[], 0)
    }

    /// Parses a log up to its last complete record; also returns the length of that part.
    ///
    /// # Errors
    /// The position of an invalid record.
    pub fn parse_log(log: &[u8]) -> Result<(Vec<Self>, usize), String> {
        parse(log, |kind, body| {
            Some(match kind {
                1 => Self::Write {
                    offset: body.number()?,
                    length: body.number()?,
                    file_length: body.number()?,
                    before: body.rest().to_vec(),
                },
                2 => Self::Resize {
                    length: body.number()?,
                    file_length: body.number()?,
                    before: body.rest().to_vec(),
                },
                3 => Self::Synced,
                4 => Self::Lost,
                _ => return None,
            })
        })
    }
}

impl NameRecord {
    /// Encodes the record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let with_names = |kind, numbers: &[u64], names: &[&OsString]| {
            let bytes: Vec<u8> = names.iter().flat_map(|name| name.as_bytes()).copied().collect();
            let mut record = head(kind, numbers, bytes.len() as u64);
            record.extend(bytes);
            record
        };
        match self {
            Self::Made { number, inode, folder, name } => {
                with_names(1, &[*number, *inode, *folder], &[name])
            }
            Self::Removed { number, inode, folder, folder_mode, name } => {
                with_names(2, &[*number, *inode, *folder, u64::from(*folder_mode)], &[name])
            }
            Self::Renamed { number, inode, folder, new_folder, replaces, name, new_name } => {
                let numbers = [
                    *number,
                    *inode,
                    *folder,
                    *new_folder,
                    u64::from(*replaces),
                    name.len() as u64,
                ];
                with_names(3, &numbers, &[name, new_name])
            }
            Self::Synced { folder } => head(4, &[*folder], 0),
            Self::Undone { number } => head(5, &[*number], 0),
        }
    }

    /// Parses a log up to its last complete record; also returns the length of that part.
    ///
    /// # Errors
    /// The position of an invalid record.
    pub fn parse_log(log: &[u8]) -> Result<(Vec<Self>, usize), String> {
        parse(log, |kind, body| {
            Some(match kind {
                1 => Self::Made {
                    number: body.number()?,
                    inode: body.number()?,
                    folder: body.number()?,
                    name: body.name(),
                },
                2 => Self::Removed {
                    number: body.number()?,
                    inode: body.number()?,
                    folder: body.number()?,
                    folder_mode: u32::try_from(body.number()?).ok()?,
                    name: body.name(),
                },
                3 => {
                    let [number, inode, folder, new_folder] =
                        [body.number()?, body.number()?, body.number()?, body.number()?];
                    let replaces = body.number()? == 1;
                    let length = usize::try_from(body.number()?).ok()?;
                    let name = OsString::from_vec(body.take(length)?.to_vec());
                    Self::Renamed {
                        number,
                        inode,
                        folder,
                        new_folder,
                        replaces,
                        name,
                        new_name: body.name(),
                    }
                }
                4 => Self::Synced { folder: body.number()? },
                5 => Self::Undone { number: body.number()? },
                _ => return None,
            })
        })
    }

    /// The changes that are not durable: those that succeeded and were not synced, in order.
    ///
    /// Syncing its folder makes a creation or removal durable; for a renaming, the new folder
    /// counts.
    #[must_use]
    pub fn pending(records: Vec<Self>) -> Vec<Self> {
        let mut pending: Vec<Self> = Vec::new();
        for record in records {
            match record {
                Self::Synced { folder } => pending.retain(|change| change.decided_by() != folder),
                Self::Undone { number } => pending.retain(|change| change.number() != number),
                change => pending.push(change),
            }
        }
        pending
    }

    /// The folder whose sync makes the change durable.
    #[must_use]
    pub fn decided_by(&self) -> u64 {
        match self {
            Self::Renamed { new_folder, .. } => *new_folder,
            Self::Made { folder, .. } | Self::Removed { folder, .. } | Self::Synced { folder } => {
                *folder
            }
            Self::Undone { .. } => 0,
        }
    }

    /// The number of the change; 0 for a record that is not a change.
    #[must_use]
    pub fn number(&self) -> u64 {
        match self {
            Self::Made { number, .. }
            | Self::Removed { number, .. }
            | Self::Renamed { number, .. } => *number,
            Self::Synced { .. } | Self::Undone { .. } => 0,
        }
    }
}

/// Encodes length, kind and numbers of a record; `more` bytes of its body follow.
fn head(kind: u8, numbers: &[u64], more: u64) -> Vec<u8> {
    let length = 1 + 8 * numbers.len() as u64 + more;
    let mut record = Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 8);
    record.extend(length.to_le_bytes());
    record.push(kind);
    numbers.iter().for_each(|number| record.extend(number.to_le_bytes()));
    record
}

struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        self.take(8).map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn name(&mut self) -> OsString {
        OsString::from_vec(self.rest().to_vec())
    }
}

fn parse<T>(
    log: &[u8],
    mut one: impl FnMut(u8, &mut Body<'_>) -> Option<T>,
) -> Result<(Vec<T>, usize), String> {
    let mut records = Vec::new();
    let mut rest = Body(log);
    loop {
        let index = log.len() - rest.0.len();
        let Some(length) = rest.number() else { return Ok((records, index)) };
        let wrong = || format!("no record at byte {index}");
        let Some(body) = rest.take(usize::try_from(length).map_err(|_| wrong())?) else {
            return Ok((records, index));
        };
        let mut body = Body(body);
        let kind = body.take(1).ok_or_else(wrong)?[0];
        records.push(one(kind, &mut body).filter(|_| body.0.is_empty()).ok_or_else(wrong)?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_log_reads_back_as_far_as_it_is_whole() {
        let mut log = FileRecord::write_head(5, 9, 7, 2);
        log.extend(b"ab");
        log.extend(FileRecord::Synced.mark());
        log.extend(FileRecord::resize_head(3, 14, 0));
        log.extend(FileRecord::Lost.mark());
        let whole = log.len();
        log.extend(&FileRecord::write_head(0, 4, 4, 4)[..20]);
        let (records, length) = FileRecord::parse_log(&log).expect("a log");
        let write =
            FileRecord::Write { offset: 5, length: 9, file_length: 7, before: b"ab".to_vec() };
        let resize = FileRecord::Resize { length: 3, file_length: 14, before: Vec::new() };
        assert_eq!(
            (records, length),
            (vec![write, FileRecord::Synced, resize, FileRecord::Lost], whole)
        );
        assert!(FileRecord::parse_log(&head(9, &[], 0)).is_err());
    }

    #[test]
    fn a_names_log_reads_back_with_its_pending_operations() {
        let made = |number, folder| NameRecord::Made { number, inode: 1, folder, name: "a".into() };
        let removed = NameRecord::Removed {
            number: 3,
            inode: 9,
            folder: 2,
            folder_mode: 0o40700,
            name: "gone".into(),
        };
        let renamed = NameRecord::Renamed {
            number: 4,
            inode: 5,
            folder: 2,
            new_folder: 7,
            replaces: true,
            name: "new~".into(),
            new_name: "new".into(),
        };
        let records = vec![
            made(1, 2),
            made(2, 7),
            NameRecord::Synced { folder: 7 },
            removed.clone(),
            renamed.clone(),
            made(5, 2),
            NameRecord::Undone { number: 5 },
        ];
        let log: Vec<u8> = records.iter().flat_map(NameRecord::encode).collect();
        assert_eq!(NameRecord::parse_log(&log), Ok((records.clone(), log.len())));
        assert_eq!(NameRecord::pending(records), [made(1, 2), removed, renamed]);
    }
}
