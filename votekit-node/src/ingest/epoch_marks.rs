//! The epochs of this node in one election, the last confirmed batch of each, and the height of the
//! log as the node has read it, in a file of the node itself.
//!
//! A batch number must never be signed for two batches. The ledger contains the allocated epochs
//! and their staged batches, but after it was restored from an older copy it lacks some of them,
//! until the authorities have restored them. The file is the node's own lower bound: a later run
//! begins no epoch that is in the file, and ends none below its last batch in the file. Nor does a
//! later run take votes, or end an epoch, before it has read the log up to the height in the file:
//! a ledger that was restored from an older copy can show a closing poll as open, and grant leases
//! for it.
//!
//! ```text
//! DATA/epochs/<law id>      a line an epoch: its number (10 digits), space, the last confirmed
//!                           sequence (20 digits), LF; the line of epoch 0, which no node has,
//!                           states the height of the log instead
//! ```
//!
//! The line of an epoch is written durably before the epoch is used. Numbers are overwritten
//! without a sync: that survives the death of the process, and costs no more than the call. After a
//! power cut they may be lower than they were, as with no file at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use votekit_core::id::{Epoch, Sequence};
use votekit_files::sync_parent;

use crate::election::ElectionHandle;

/// The length of a line, with its LF.
const LINE_BYTES: usize = 10 + 1 + 20 + 1;

/// The epoch whose line states the height of the log.
const LOG: Epoch = Epoch(0);

/// What the file holds, and the file as soon as this run has written to it.
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
                "record of this node's epochs is damaged, its intact lines are used"
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

    /// The highest epoch of this node in which a batch is known to be confirmed; 0 if none is.
    pub(crate) fn last_confirmed(&self) -> Epoch {
        let state = self.state.lock();
        let confirmed = state.marks.iter().filter(|(_, sequence)| *sequence > Sequence(0));
        let epochs = confirmed.map(|(epoch, _)| *epoch);
        epochs.max().unwrap_or(Epoch(0))
    }

    /// The epochs that the file names.
    pub(crate) fn epochs(&self) -> Vec<Epoch> {
        let state = self.state.lock();
        state.marks.iter().map(|(epoch, _)| *epoch).filter(|epoch| *epoch != LOG).collect()
    }

    /// The last batch that is known to be confirmed in an epoch; 0 if none is.
    pub(crate) fn confirmed(&self, epoch: Epoch) -> Sequence {
        let state = self.state.lock();
        let of_epoch = state.marks.iter().filter(|(known, _)| *known == epoch);
        of_epoch.map(|(_, sequence)| *sequence).max().unwrap_or(Sequence(0))
    }

    /// Whether this node has read the log further than to a height.
    pub(crate) fn has_read_beyond(&self, height: u64) -> bool {
        self.confirmed(LOG).0 > height
    }

    /// Records durably that an epoch belongs to this run. Blocks the thread during the sync.
    ///
    /// # Errors
    /// When the file cannot be written: the epoch must not be used.
    pub(crate) fn begin(&self, epoch: Epoch) -> io::Result<()> {
        let mut state = self.state.lock();
        self.raise(&mut state, (epoch, Sequence(0)))?.sync_all()?;
        sync_parent(&self.path)
    }

    /// Records that the batches of an epoch up to a sequence are confirmed.
    pub(crate) fn confirm(&self, epoch: Epoch, sequence: Sequence) {
        // The batch is durable elsewhere: a lower mark only weakens this protection.
        if let Err(error) = self.raise(&mut self.state.lock(), (epoch, sequence)) {
            tracing::debug!(event = "epoch_mark_not_written", %error, "epoch mark not written");
        }
    }

    /// Records the height up to which this node has read the log.
    fn note_height(&self, height: u64) {
        self.confirm(LOG, Sequence(height));
    }

    /// Raises the number in the line of an epoch, or adds the line. Returns the file.
    fn raise<'a>(
        &self,
        state: &'a mut State,
        (epoch, sequence): (Epoch, Sequence),
    ) -> io::Result<&'a File> {
        let State { marks, file } = state;
        if file.is_none() {
            *file = Some(self.open_to_write(marks.len())?);
        }
        let file = file.as_ref().expect("it was opened above");
        let known = marks.iter().position(|(known, _)| *known == epoch);
        let index = known.unwrap_or(marks.len());
        let before = marks.get(index).map_or(Sequence(0), |(_, before)| *before);
        let mark = (epoch, before.max(sequence));
        file.write_all_at(&line(mark), (index * LINE_BYTES) as u64)?;
        match marks.get_mut(index) {
            Some(known) => *known = mark,
            None => marks.push(mark),
        }
        Ok(file)
    }

    fn open_to_write(&self, lines: usize) -> io::Result<File> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&self.path)?;
        // The end of a line that a power cut has left, or a damaged one.
        file.set_len((lines * LINE_BYTES) as u64)?;
        Ok(file)
    }
}

/// Records each height up to which the log is read, as long as the node runs.
pub(crate) async fn note_heights(election: Arc<ElectionHandle>, marks: Arc<EpochMarks>) {
    let mut committed = election.watch_committed();
    loop {
        let height = committed.borrow_and_update().height;
        let own = Arc::clone(&marks);
        // A write that panics has nothing to undo.
        let _ = tokio::task::spawn_blocking(move || own.note_height(height)).await;
        if committed.changed().await.is_err() {
            return;
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
        first.begin(Epoch(1)).expect("stored");
        first.confirm(Epoch(1), Sequence(7));
        first.confirm(Epoch(1), Sequence(6));
        first.begin(Epoch(3)).expect("stored");
        first.confirm(Epoch(3), Sequence(u64::MAX));
        // The process was killed: nothing was closed.
        let second = open(&path);
        assert_eq!(second.last(), Epoch(3));
        second.note_height(9);
        assert_eq!(second.last_confirmed(), Epoch(3), "the height is that of no epoch");
        let confirmed = [1, 2, 3].map(|epoch| second.confirmed(Epoch(epoch)).0);
        assert_eq!(confirmed, [7, 0, u64::MAX]);
        second.begin(Epoch(u32::MAX)).expect("stored");
        assert_eq!(open(&path).last(), Epoch(u32::MAX));
        assert_eq!(open(&path).last_confirmed(), Epoch(3), "nothing was published in the last");
        let text = fs::read_to_string(&path).expect("it can be read");
        assert!(text.starts_with("0000000001 00000000000000000007\n0000000003 "), "{text}");
    }

    #[test]
    fn the_end_of_an_earlier_epoch_and_the_height_of_the_log_are_known_later() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("L1");
        let first = open(&path);
        assert!(!first.has_read_beyond(0));
        first.note_height(4);
        first.begin(Epoch(2)).expect("stored");
        first.begin(Epoch(3)).expect("stored");
        first.note_height(9);
        // A run that has no epoch of its own ends an earlier one.
        let second = open(&path);
        assert_eq!((second.last(), second.epochs()), (Epoch(3), vec![Epoch(2), Epoch(3)]));
        second.confirm(Epoch(2), Sequence(5));
        let third = open(&path);
        assert_eq!(
            (third.confirmed(Epoch(2)), third.confirmed(Epoch(3))),
            (Sequence(5), Sequence(0))
        );
        assert!(third.has_read_beyond(8) && !third.has_read_beyond(9));
        third.note_height(3);
        assert!(open(&path).has_read_beyond(8), "it never falls");
    }

    #[test]
    fn lines_torn_by_a_power_cut_are_skipped() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("L1");
        let marks = open(&path);
        marks.begin(Epoch(1)).expect("stored");
        marks.confirm(Epoch(1), Sequence(5));
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
