//! The epochs of this node in one election, and the last confirmed batch of each, in a file of the
//! node itself.
//!
//! A number that was given to a batch must never be signed for another one. The ledger says which
//! epochs were given and what is staged in them, but a ledger that was put back says too little
//! until the authorities have restored it, and a run that ended cannot be asked. The file is the
//! node's own lower bound: a later run begins no epoch that it names, and ends none below the last
//! batch that it names.
//!
//! ```text
//! DATA/epochs/<law id>      a line an epoch: its number (10 digits), space, the last confirmed
//!                           sequence (20 digits), LF
//! ```
//!
//! A line is written durably before the epoch is used. Its sequence is overwritten without a sync:
//! that survives the death of the process, and costs no more than the call. After a power cut it
//! may be lower than it was, as with no file at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use votekit_core::id::{Epoch, Sequence};
use votekit_files::sync_parent;

/// The length of a line, with its LF.
const LINE_BYTES: usize = 10 + 1 + 20 + 1;

/// What the file holds, and the file as soon as this run has an epoch.
#[derive(Debug)]
pub(crate) struct EpochMarks {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    marks: Vec<(Epoch, Sequence)>,
    file: Option<File>,
}

impl EpochMarks {
    /// Reads the file; none is an empty one. What follows a damaged line is left out.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let marks: Vec<_> = bytes.chunks(LINE_BYTES).map_while(parse).collect();
        if marks.len() * LINE_BYTES != bytes.len() {
            tracing::error!(
                event = "epoch_marks_damaged",
                alarm = true,
                path = %path.display(),
                intact = marks.len(),
                "record of this node's epochs is damaged, its intact lines count"
            );
        }
        let state = Mutex::new(State { marks, file: None });
        Ok(Self { path: path.to_owned(), state })
    }

    /// The highest epoch of this node that the file names; 0 if it names none.
    pub(crate) fn last(&self) -> Epoch {
        let state = self.state.lock();
        state.marks.iter().map(|(epoch, _)| *epoch).max().unwrap_or(Epoch(0))
    }

    /// The last batch that is known to be confirmed in an epoch; 0 if none is.
    pub(crate) fn confirmed(&self, epoch: Epoch) -> Sequence {
        let state = self.state.lock();
        let of_epoch = state.marks.iter().filter(|(known, _)| *known == epoch);
        of_epoch.map(|(_, sequence)| *sequence).max().unwrap_or(Sequence(0))
    }

    /// Records durably that an epoch is this run's. Blocks.
    ///
    /// # Errors
    /// When the file cannot be written: the epoch must not be used.
    pub(crate) fn begin(&self, epoch: Epoch) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.file.is_none() {
            if let Some(folder) = self.path.parent() {
                fs::create_dir_all(folder)?;
            }
            let open = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o600)
                .open(&self.path)?;
            // The end of a line that a power cut has left, or a damaged one.
            open.set_len((state.marks.len() * LINE_BYTES) as u64)?;
            state.file = Some(open);
        }
        let mark = (epoch, Sequence(0));
        let at = (state.marks.len() * LINE_BYTES) as u64;
        let file = state.file.as_ref().expect("it was opened above");
        file.write_all_at(&line(mark), at)?;
        file.sync_all()?;
        sync_parent(&self.path)?;
        state.marks.push(mark);
        Ok(())
    }

    /// Records that the batches of this run's epoch up to a sequence are confirmed.
    pub(crate) fn confirm(&self, sequence: Sequence) {
        let mut state = self.state.lock();
        let State { marks, file: Some(file) } = &mut *state else { return };
        let at = (marks.len().saturating_sub(1) * LINE_BYTES) as u64;
        let Some(mark) = marks.last_mut() else { return };
        mark.1 = mark.1.max(sequence);
        // The batch is durable elsewhere: a lower mark costs a part of this protection alone.
        if let Err(error) = file.write_all_at(&line(*mark), at) {
            tracing::debug!(event = "epoch_mark_not_written", %error, "epoch mark not written");
        }
    }
}

fn line((epoch, sequence): (Epoch, Sequence)) -> [u8; LINE_BYTES] {
    let mut line = [0; LINE_BYTES];
    writeln!(line.as_mut_slice(), "{:010} {:020}", epoch.0, sequence.0)
        .expect("an epoch has up to 10 digits, a sequence up to 20");
    line
}

fn parse(bytes: &[u8]) -> Option<(Epoch, Sequence)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (epoch, sequence) = text.strip_suffix('\n')?.split_once(' ')?;
    let mark = (Epoch(epoch.parse().ok()?), Sequence(sequence.parse().ok()?));
    (line(mark) == bytes).then_some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> EpochMarks {
        EpochMarks::open(path).expect("it can be read")
    }

    #[test]
    fn a_later_run_knows_the_epochs_and_their_last_batches() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("epochs").join("L1");
        let first = open(&path);
        assert_eq!((first.last(), first.confirmed(Epoch(1))), (Epoch(0), Sequence(0)));
        first.confirm(Sequence(9));
        first.begin(Epoch(1)).expect("stored");
        first.confirm(Sequence(7));
        first.confirm(Sequence(6));
        first.begin(Epoch(3)).expect("stored");
        first.confirm(Sequence(u64::MAX));
        // The process was killed: nothing was closed.
        let second = open(&path);
        assert_eq!(second.last(), Epoch(3));
        let confirmed = [1, 2, 3].map(|epoch| second.confirmed(Epoch(epoch)).0);
        assert_eq!(confirmed, [7, 0, u64::MAX]);
        second.begin(Epoch(u32::MAX)).expect("stored");
        assert_eq!(open(&path).last(), Epoch(u32::MAX));
        let text = fs::read_to_string(&path).expect("it can be read");
        assert!(text.starts_with("0000000001 00000000000000000007\n0000000003 "), "{text}");
    }

    #[test]
    fn what_a_power_cut_left_of_a_line_is_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("L1");
        let marks = open(&path);
        marks.begin(Epoch(1)).expect("stored");
        marks.confirm(Sequence(5));
        let whole = fs::read(&path).expect("it can be read");
        for cut in [&whole[..20], b"0000000002 0000000000000000000x\n", &[0; LINE_BYTES]] {
            fs::write(&path, [&whole, cut].concat()).expect("written");
            let marks = open(&path);
            assert_eq!((marks.last(), marks.confirmed(Epoch(1))), (Epoch(1), Sequence(5)));
            marks.begin(Epoch(2)).expect("stored");
            let again = open(&path);
            assert_eq!((again.last(), again.confirmed(Epoch(1))), (Epoch(2), Sequence(5)));
        }
    }
}
