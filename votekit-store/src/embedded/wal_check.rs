//! Checks the write-ahead log for damage before SQLite reads it.
//!
//! SQLite replays the log up to the first frame with a wrong checksum, and silently ignores the
//! rest. After a power cut that is right, because a torn write was never synced. Damage in the
//! middle of the log looks the same to SQLite, and every later frame, answered votes included,
//! would be lost. But this ledger syncs at every commit before it writes further frames. So if the
//! checksum of a frame continues that of a commit frame, everything up to that commit was synced
//! and must be intact. A frame of the current round that follows a commit frame without continuing
//! its checksum proves nothing: it may be the rest of a rolled-back transaction whose beginning a
//! shorter one overwrote. Damage to the last transaction, or to the commit mark before it, cannot
//! be distinguished from a torn write. Each run of a node starts with an empty log, so the frames
//! after a torn write never come from an earlier run.
//!
//! ```text
//! header  32 bytes: magic, version, page size, sequence, salt (8), checksum (8) of the above
//! frame   24 bytes: page number, database size in pages if this commits or 0, salt (8),
//!         cumulative checksum (8); then the page
//! ```
//!
//! Numbers are big-endian. The last bit of the magic gives the byte order of the words that the
//! checksum adds up.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::fault::{corrupt, unavailable};
use crate::EngineError;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
const MAGIC: u32 = 0x377f_0682;
const PAGE_BYTES_MAX: u32 = 65536;

/// Refuses a log that was damaged after it was synced. A missing log is accepted.
///
/// # Errors
/// [`EngineError::Corrupt`] with the position.
pub(super) fn check(path: &Path) -> Result<(), EngineError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let log = match File::open(path) {
        Ok(log) => log,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unavailable(format!("{name}: {error}"))),
    };
    match damage(BufReader::with_capacity(1 << 20, log)) {
        Ok(None) => Ok(()),
        Ok(Some(what)) => Err(corrupt(format!("{name}: {what}; later writes would be lost"))),
        Err(error) => Err(unavailable(format!("{name}: {error}"))),
    }
}

/// Describes the damage of a log that a power cut cannot explain, if there is any.
fn damage(mut log: impl Read) -> io::Result<Option<String>> {
    let mut header = [0; HEADER_BYTES];
    let mut first_frame = [0; FRAME_HEADER_BYTES];
    // SQLite syncs the header before it writes the first frame, so a short log holds no commit.
    if !fill(&mut log, &mut header)? || !fill(&mut log, &mut first_frame)? {
        return Ok(None);
    }
    let (magic, page_bytes) = (word(&header, 0), word(&header, 8));
    let mut sum = Checksum { little_endian: magic & 1 == 0, words: (0, 0) };
    sum.add(&header[..24]);
    let is_page_size = page_bytes.is_power_of_two() && (512..=PAGE_BYTES_MAX).contains(&page_bytes);
    if magic & !1 != MAGIC || !is_page_size || sum.words != (word(&header, 24), word(&header, 28)) {
        return Ok(Some("its header is damaged".to_owned()));
    }
    let salt = &header[16..24];
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes as usize];
    frame[..FRAME_HEADER_BYTES].copy_from_slice(&first_frame);
    let mut filled = FRAME_HEADER_BYTES;
    let (mut number, mut broken_at) = (0_u64, None);
    // If the last frame was a commit: the checksums that a frame written after it may continue.
    let mut after_commit: Option<[(u32, u32); 2]> = None;
    while fill(&mut log, &mut frame[filled..])? {
        filled = 0;
        number += 1;
        // Frames of an earlier round, already in the database, have another salt.
        let of_this_round = &frame[8..16] == salt;
        let (commits, stored) = (word(&frame, 4) != 0, (word(&frame, 16), word(&frame, 20)));
        let goes_on = |words: &(u32, u32)| {
            Checksum { words: *words, ..sum }.with_frame(&frame).words == stored
        };
        if let Some(broken) = broken_at
            && of_this_round
            && after_commit.is_some_and(|sums| sums.iter().any(goes_on))
        {
            return Ok(Some(format!(
                "frame {broken} is damaged, and frames up to {number} were synced after it"
            )));
        }
        if broken_at.is_none() {
            sum = sum.with_frame(&frame);
            let holds = sum.words == stored;
            if of_this_round && holds {
                continue;
            }
            broken_at = Some(number);
            // The checksum does not cover the salt: if it is valid, the frame is of this round and
            // only its salt is damaged. The damage may also be in the stored checksum, so try the
            // computed checksum too.
            after_commit = ((of_this_round || holds) && commits).then_some([stored, sum.words]);
            continue;
        }
        after_commit = (of_this_round && commits).then_some([stored; 2]);
    }
    Ok(None)
}

/// The cumulative checksum of SQLite: over the first 8 bytes of each frame header and the page.
#[derive(Clone, Copy)]
struct Checksum {
    little_endian: bool,
    words: (u32, u32),
}

impl Checksum {
    fn with_frame(mut self, frame: &[u8]) -> Self {
        self.add(&frame[..8]);
        self.add(&frame[FRAME_HEADER_BYTES..]);
        self
    }

    fn add(&mut self, bytes: &[u8]) {
        let (mut first, mut second) = self.words;
        for pair in bytes.chunks_exact(8) {
            let word = |at: usize| {
                let bytes = pair[at..at + 4].try_into().expect("four bytes");
                if self.little_endian {
                    u32::from_le_bytes(bytes)
                } else {
                    u32::from_be_bytes(bytes)
                }
            };
            first = first.wrapping_add(word(0)).wrapping_add(second);
            second = second.wrapping_add(word(4)).wrapping_add(first);
        }
        self.words = (first, second);
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Fills the buffer. Returns whether there were enough bytes.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    /// The log of a database after these numbers of transactions. Each round overwrites the log of
    /// the round before.
    fn log(rounds: &[usize]) -> Vec<u8> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("db");
        let connection = Connection::open(&path).expect("opened");
        let run = |sql: &str| connection.execute_batch(sql).expect("it runs");
        run(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (bytes BLOB)",
        );
        for (round, transactions) in rounds.iter().enumerate() {
            if round > 0 {
                run("PRAGMA wal_checkpoint(RESTART)");
            }
            for _ in 0..*transactions {
                run("INSERT INTO t VALUES (randomblob(6000))");
            }
        }
        std::fs::read(folder.path().join("db-wal")).expect("a log")
    }

    fn frame_bytes() -> usize {
        FRAME_HEADER_BYTES + 4096
    }

    fn damage_of(log: &[u8]) -> Option<String> {
        damage(log).expect("it reads")
    }

    #[test]
    fn a_whole_log_and_one_of_several_rounds_hold() {
        assert_eq!(damage_of(&[]), None);
        for rounds in [&[1][..], &[9], &[9, 2], &[9, 2, 1]] {
            assert_eq!(damage_of(&log(rounds)), None, "{rounds:?}");
        }
    }

    #[test]
    fn every_damaged_bit_but_those_of_the_last_transaction_is_found() {
        let whole = log(&[6]);
        let frames = (whole.len() - HEADER_BYTES) / frame_bytes();
        let commits: Vec<usize> = (0..frames)
            .filter(|frame| word(&whole, HEADER_BYTES + frame * frame_bytes() + 4) != 0)
            .collect();
        let synced = HEADER_BYTES + (commits[commits.len() - 2] + 1) * frame_bytes();
        for at in (0..synced).step_by(7).chain(0..HEADER_BYTES + FRAME_HEADER_BYTES) {
            let mut log = whole.clone();
            log[at] ^= 1 << (at % 8);
            assert!(damage_of(&log).is_some(), "byte {at} of {}", whole.len());
        }
    }

    /// A frame whose checksum continues that of `before`, as SQLite would write it.
    fn frame_after(log: &[u8], before: &[u8], filling: u8, commits: bool) -> Vec<u8> {
        let mut frame = vec![filling; frame_bytes()];
        frame[..4].copy_from_slice(&2_u32.to_be_bytes());
        frame[4..8].copy_from_slice(&(9 * u32::from(commits)).to_be_bytes());
        frame[8..16].copy_from_slice(&log[16..24]);
        let before = Checksum {
            little_endian: word(log, 0) & 1 == 0,
            words: (word(before, 16), word(before, 20)),
        };
        let words = before.with_frame(&frame).words;
        frame[16..20].copy_from_slice(&words.0.to_be_bytes());
        frame[20..24].copy_from_slice(&words.1.to_be_bytes());
        frame
    }

    #[test]
    fn overwritten_rolled_back_frames_are_not_damage() {
        let whole = log(&[5]);
        let last = &whole[whole.len() - frame_bytes()..];
        let next = |before: &[u8], filling, commits| frame_after(&whole, before, filling, commits);
        // A large transaction that spilled to the log and was rolled back, then a small transaction
        // that overwrote its beginning.
        let mut rolled_back = vec![next(last, 1, false)];
        for filling in 2..6 {
            rolled_back.push(next(&rolled_back[rolled_back.len() - 1], filling, false));
        }
        let small = [next(last, 11, false), next(&next(last, 11, false), 12, true)];
        for [first_lost, second_lost] in
            [[false, false], [true, false], [false, true], [true, true]]
        {
            let mut frames = rolled_back.clone();
            for (index, lost) in [first_lost, second_lost].into_iter().enumerate() {
                if !lost {
                    frames[index].clone_from(&small[index]);
                }
            }
            assert_eq!(
                damage_of(&[whole.clone(), frames.concat()].concat()),
                None,
                "{first_lost} {second_lost}"
            );
        }
        // A frame that continues the small transaction proves that it was synced.
        let mut damaged = small[0].clone();
        damaged[100] ^= 1;
        let after = next(&small[1], 13, false);
        let synced = [&whole[..], &damaged, &small[1], &after, &rolled_back[3]].concat();
        let said = damage_of(&synced).expect("it is found");
        assert!(said.ends_with("were synced after it"), "{said}");
    }

    #[test]
    fn a_torn_tail_after_power_loss_is_not_damage() {
        let whole = log(&[5]);
        for end in (0..whole.len()).step_by(512) {
            assert_eq!(damage_of(&whole[..end]), None, "cut at {end}");
        }
        // Each frame of the last transaction, with its first 512 bytes zero.
        let frames = (whole.len() - HEADER_BYTES) / frame_bytes();
        for frame in frames - 2..frames {
            let mut log = whole.clone();
            log[HEADER_BYTES + frame * frame_bytes()..][..512].fill(0);
            assert_eq!(damage_of(&log), None, "frame {frame} of {frames}");
        }
    }
}
