//! A ZIP archive of stored files (PKWARE APPNOTE 6.3.10): its headers, for files whose length and
//! checksum are known before the first byte is sent, so that the length of the archive is known
//! too.
//!
//! Our own, because little is needed, and the crates either write to a file or state the lengths
//! after the content, where many programs do not find them if a file is not compressed.

use time::OffsetDateTime;

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ZipFile {
    /// Its name: plain ASCII, with `/` between folder and file.
    pub(crate) name: String,
    /// Its length in bytes.
    pub(crate) bytes: u64,
    /// Its CRC-32.
    pub(crate) crc: u32,
}

/// The parts between the contents of the files of an archive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ZipParts {
    /// The header before each file.
    pub(crate) heads: Vec<Vec<u8>>,
    /// The directory after the last file.
    pub(crate) tail: Vec<u8>,
    /// The length of the whole archive in bytes.
    pub(crate) bytes: u64,
}

/// The version of the format that a file needs: 2.0 for folders, 4.5 for 64-bit lengths.
const PLAIN: u16 = 20;
const ZIP64: u16 = 45;

/// Made on Unix, so that the permissions below are understood.
const MADE_BY: u16 = (3 << 8) | ZIP64;

/// A regular file that its owner may write and everyone may read.
const PERMISSIONS: u32 = 0o100_644 << 16;

impl ZipParts {
    /// The parts of an archive whose files were changed last at this time, in UTC.
    pub(crate) fn new(files: &[ZipFile], modified: OffsetDateTime) -> Self {
        let (mut heads, mut directory) = (Vec::with_capacity(files.len()), Vec::new());
        let mut offset = 0_u64;
        for file in files {
            let stamp = stamp(file, modified);
            let head = local_header(file, stamp);
            directory.extend(directory_entry(file, stamp, offset));
            offset += head.len() as u64 + file.bytes;
            heads.push(head);
        }
        let mut tail = directory;
        let directory_bytes = tail.len() as u64;
        tail.extend(end(files.len() as u64, directory_bytes, offset));
        let bytes = offset + tail.len() as u64;
        Self { heads, tail, bytes }
    }
}

/// The common fields of the header and the directory entry of a file.
#[derive(Clone, Copy)]
struct Stamp {
    time: u16,
    date: u16,
    crc: u32,
}

/// The time as MS-DOS writes it, in steps of two seconds from 1980 to 2107.
fn stamp(file: &ZipFile, modified: OffsetDateTime) -> Stamp {
    let years = u16::try_from(modified.year() - 1980).unwrap_or(0).min(127);
    let [month, day] = [u8::from(modified.month()), modified.day()].map(u16::from);
    let [hour, minute, second] =
        [modified.hour(), modified.minute(), modified.second()].map(u16::from);
    Stamp {
        time: (hour << 11) | (minute << 5) | (second / 2),
        date: (years << 9) | (month << 5) | day,
        crc: file.crc,
    }
}

/// Whether a number does not fit into a 32-bit field. The highest value of the field means that the
/// number follows in 64 bits.
fn is_long(number: u64) -> bool {
    number >= u64::from(u32::MAX)
}

/// A number for a field of 32 bits.
fn short(number: u64) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}

/// The fields from the version that is needed to the length of the name.
fn common(out: &mut Vec<u8>, file: &ZipFile, stamp: Stamp, needed: u16) {
    out.extend(needed.to_le_bytes());
    // No flags; stored.
    out.extend([0; 4]);
    out.extend(stamp.time.to_le_bytes());
    out.extend(stamp.date.to_le_bytes());
    out.extend(stamp.crc.to_le_bytes());
    out.extend(short(file.bytes));
    out.extend(short(file.bytes));
    out.extend(length(&file.name));
}

/// The length of a short text.
fn length(text: &str) -> [u8; 2] {
    u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes()
}

/// The extra field with 64-bit numbers; empty without any.
fn extra(numbers: &[u64]) -> Vec<u8> {
    if numbers.is_empty() {
        return Vec::new();
    }
    let bytes = u16::try_from(8 * numbers.len()).unwrap_or(u16::MAX);
    let mut field = Vec::from(1_u16.to_le_bytes());
    field.extend(bytes.to_le_bytes());
    field.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    field
}

fn local_header(file: &ZipFile, stamp: Stamp) -> Vec<u8> {
    let is_long = is_long(file.bytes);
    // Here either both lengths have 64 bits, or neither.
    let extra = extra(&vec![file.bytes; if is_long { 2 } else { 0 }]);
    let mut header = Vec::from(*b"PK\x03\x04");
    common(&mut header, file, stamp, if is_long { ZIP64 } else { PLAIN });
    header.extend((extra.len() as u16).to_le_bytes());
    header.extend(file.name.as_bytes());
    header.extend(extra);
    header
}

fn directory_entry(file: &ZipFile, stamp: Stamp, offset: u64) -> Vec<u8> {
    let lengths = [file.bytes; 2].into_iter().filter(|bytes| is_long(*bytes));
    let numbers: Vec<u64> = lengths.chain(Some(offset).filter(|at| is_long(*at))).collect();
    let extra = extra(&numbers);
    let mut entry = Vec::from(*b"PK\x01\x02");
    entry.extend(MADE_BY.to_le_bytes());
    common(&mut entry, file, stamp, if numbers.is_empty() { PLAIN } else { ZIP64 });
    entry.extend((extra.len() as u16).to_le_bytes());
    // No comment; the first disk; no attributes of MS-DOS.
    entry.extend([0; 6]);
    entry.extend(PERMISSIONS.to_le_bytes());
    entry.extend(short(offset));
    entry.extend(file.name.as_bytes());
    entry.extend(extra);
    entry
}

/// The end of the directory, which begins at `offset`; preceded by its form with 64-bit numbers if
/// a number needs it.
fn end(files: u64, directory_bytes: u64, offset: u64) -> Vec<u8> {
    let mut end = Vec::new();
    let count = u16::try_from(files).unwrap_or(u16::MAX);
    if count == u16::MAX || is_long(directory_bytes) || is_long(offset) {
        end.extend(*b"PK\x06\x06");
        // The length of the rest of this record.
        end.extend(44_u64.to_le_bytes());
        end.extend(MADE_BY.to_le_bytes());
        end.extend(ZIP64.to_le_bytes());
        // One disk.
        end.extend([0; 8]);
        for number in [files, files, directory_bytes, offset] {
            end.extend(number.to_le_bytes());
        }
        end.extend(*b"PK\x06\x07");
        end.extend([0; 4]);
        end.extend((offset + directory_bytes).to_le_bytes());
        end.extend(1_u32.to_le_bytes());
    }
    end.extend(*b"PK\x05\x06");
    end.extend([0; 4]);
    end.extend(count.to_le_bytes());
    end.extend(count.to_le_bytes());
    end.extend(short(directory_bytes));
    end.extend(short(offset));
    end.extend([0; 2]);
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: u64) -> ZipFile {
        ZipFile { name: name.to_owned(), bytes, crc: 0x1234_5678 }
    }

    fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
        bytes[at..at + length].iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
    }

    /// The names of a directory, with the lengths and the offsets that it states.
    fn directory(parts: &ZipParts) -> Vec<(String, u64, u64)> {
        let (tail, mut at, mut files) = (&parts.tail, 0, Vec::new());
        while tail[at..].starts_with(b"PK\x01\x02") {
            let (name, extra) = (number(tail, at + 28, 2) as usize, number(tail, at + 30, 2));
            let (mut bytes, mut offset) = (number(tail, at + 24, 4), number(tail, at + 42, 4));
            let text = String::from_utf8(tail[at + 46..at + 46 + name].to_vec()).expect("ASCII");
            let mut next = at + 46 + name + 4;
            if bytes == 0xffff_ffff {
                bytes = number(tail, next, 8);
                assert_eq!(number(tail, next + 8, 8), bytes, "stored");
                next += 16;
            }
            if offset == 0xffff_ffff {
                offset = number(tail, next, 8);
            }
            files.push((text, bytes, offset));
            at += 46 + name + extra as usize;
        }
        files
    }

    /// 2036-11-20 20:05:00 UTC.
    fn time() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(2_110_824_300).expect("a time")
    }

    #[test]
    fn the_header_of_a_file_is_that_of_the_format() {
        let parts = ZipParts::new(&[file("a/b", 5)], time());
        let head = concat!(
            "504b0304", "1400", "0000", "0000", "a0a0", "7471", "78563412", "05000000", "05000000",
            "0300", "0000", "612f62",
        );
        assert_eq!(const_hex::encode(&parts.heads[0]), head);
        assert_eq!(directory(&parts), [("a/b".to_owned(), 5, 0)]);
        assert_eq!(parts.tail.len(), 46 + 3 + 22);
        assert_eq!(parts.bytes, 33 + 5 + 46 + 3 + 22);
        let end = &parts.tail[49..];
        assert_eq!((number(end, 10, 2), number(end, 12, 4), number(end, 16, 4)), (1, 49, 38));
    }

    #[test]
    fn lengths_and_offsets_beyond_four_gigabytes_are_stated() {
        let large = 5 << 30;
        let parts = ZipParts::new(&[file("large", large), file("small", 1)], time());
        let second = 30 + 5 + 20 + large;
        let expected = [("large".to_owned(), large, 0), ("small".to_owned(), 1, second)];
        assert_eq!(directory(&parts), expected);
        assert_eq!(number(&parts.heads[0], 4, 2), 45);
        assert_eq!(number(&parts.heads[0], 30 + 5 + 4, 8), large);
        assert_eq!(number(&parts.heads[1], 4, 2), 20);
        // The 64-bit end, its locator and the plain end.
        let end = parts.tail.len() - 22 - 20 - 56;
        assert!(parts.tail[end..].starts_with(b"PK\x06\x06"));
        assert_eq!(number(&parts.tail, end + 48, 8), second + 35 + 1);
        assert_eq!(number(&parts.tail, end + 56 + 8, 8), second + 35 + 1 + end as u64);
        assert_eq!(parts.bytes, second + 35 + 1 + parts.tail.len() as u64);
    }

    #[test]
    fn a_length_that_is_the_mark_of_a_longer_one_is_stated_in_64_bits() {
        let edge = u64::from(u32::MAX);
        let parts = ZipParts::new(&[file("x", edge)], time());
        assert_eq!(directory(&parts), [("x".to_owned(), edge, 0)]);
        let below = ZipParts::new(&[file("x", edge - 1)], time());
        assert_eq!(number(&below.heads[0], 4, 2), 20);
    }
}
