//! The disk, as a harness controls it.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cut::{self, Loss};
use crate::error::DiskError;
use crate::faults::{CONTROL_BYTES, Faults};
use crate::journal::Journal;
use crate::report::CutReport;

/// Environment variables that the preloaded library reads.
pub mod environment {
    /// Files below this folder are on the disk.
    pub const ROOT: &str = "FAULTDISK_ROOT";
    /// The folder of the journal.
    pub const JOURNAL: &str = "FAULTDISK_JOURNAL";
    /// The file of the ordered faults.
    pub const CONTROL: &str = "FAULTDISK_CONTROL";
    /// `0`: a sync is recorded but not executed. The page cache outlives a killed process, so only
    /// real power cuts need real syncs.
    pub const REAL_SYNC: &str = "FAULTDISK_REAL_SYNC";
}

/// A folder whose files are on a disk that can fail. Only one process at a time may write to it.
///
/// ```no_run
/// # use std::{path::Path, process::Command};
/// # use faultdisk::{FaultDisk, Faults};
/// let disk = FaultDisk::new(Path::new("/tmp/t/data"), Path::new("/tmp/t/disk"), &faultdisk::preload_library()?)?;
/// let mut command = Command::new("votekit");
/// disk.apply(&mut command);
/// let mut child = command.args(["serve", "--data", "/tmp/t/data"]).spawn().expect("it starts");
/// disk.set_faults(&Faults { space_bytes: Some(1 << 20), ..Faults::default() })?;
/// child.kill().and_then(|()| child.wait()).expect("it is killed");
/// println!("{}", disk.cut_power(7)?);
/// # Ok::<(), faultdisk::DiskError>(())
/// ```
#[derive(Debug, Clone)]
pub struct FaultDisk {
    root: PathBuf,
    state: PathBuf,
    library: PathBuf,
    real_sync: bool,
}

impl FaultDisk {
    /// Puts the folder `root` on such a disk; creates it if it is missing. Its present content is
    /// durable. `state` is the disk's own folder: on the same file system, not below `root`. No
    /// faults are ordered. An existing state folder is reused, with its journal.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn new(root: &Path, state: &Path, preload_library: &Path) -> Result<Self, DiskError> {
        let whole = |path: &Path| fs::canonicalize(path).map_err(DiskError::io(path));
        for folder in [root, state] {
            fs::create_dir_all(folder).map_err(DiskError::io(folder))?;
        }
        let (root, state, library) = (whole(root)?, whole(state)?, whole(preload_library)?);
        if state.starts_with(&root) {
            return Err(DiskError::State {
                path: state,
                rule: "the disk's own folder must not lie on the disk",
            });
        }
        let device = |path: &Path| {
            fs::metadata(path).map(|metadata| metadata.dev()).map_err(DiskError::io(path))
        };
        if device(&root)? != device(&state)? {
            return Err(DiskError::State {
                path: state,
                rule: "it must be on the same file system as what it serves",
            });
        }
        let disk = Self { root, state, library, real_sync: false };
        Journal::create(&disk.journal_path()).map_err(DiskError::io(&disk.journal_path()))?;
        disk.set_faults(&Faults::default())?;
        Ok(disk)
    }

    /// Sets whether a sync is also executed. By default it is not: only the journal counts here,
    /// and tests are faster.
    #[must_use]
    pub fn with_real_sync(mut self, real_sync: bool) -> Self {
        self.real_sync = real_sync;
        self
    }

    /// Makes a command run on the disk.
    pub fn apply(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library);
        command.env(environment::ROOT, &self.root);
        command.env(environment::JOURNAL, self.journal_path());
        command.env(environment::CONTROL, self.control_path());
        command.env(environment::REAL_SYNC, if self.real_sync { "1" } else { "0" });
    }

    /// The folder that is on the disk.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Orders faults. They replace those ordered before, and counts restart. A running program
    /// meets them at its next call.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn set_faults(&self, faults: &Faults) -> Result<(), DiskError> {
        let path = self.control_path();
        let write = || {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(&path)?;
            let mut page = [0; CONTROL_BYTES];
            let mut generation = 0;
            if file.read_exact_at(&mut page, 0).is_ok() {
                generation = Faults::generation(&page);
            }
            // Generation 0 shows a reader that the page is being written: it keeps its earlier
            // orders.
            file.write_all_at(&0_u64.to_le_bytes(), 0)?;
            let page = faults.encode(generation + 1)?;
            file.write_all_at(&page[8..], 8)?;
            file.write_all_at(&page[..8], 0)
        };
        write().map_err(DiskError::io(&path))
    }

    /// The faults the program has met since the disk was set up, one a line, such as `ENOSPC write
    /// ledger.sqlite-wal`.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn faults_met(&self) -> Result<Vec<String>, DiskError> {
        let path = Journal::faults_met(&self.journal_path());
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(DiskError::Io { path, source }),
        }
    }

    /// Cuts the power after the program was killed: rewrites the files to a state that the disk
    /// could contain. The seed decides which unsynced changes survive. The result is durable, and
    /// the journal is empty.
    ///
    /// # Errors
    /// [`DiskError`]. The state of the files is then undefined.
    pub fn cut_power(&self, seed: u64) -> Result<CutReport, DiskError> {
        cut::cut_power(&self.root, &self.journal_path(), Loss::Some { seed })
    }

    /// Cuts the power with the greatest loss: no unsynced change survives.
    ///
    /// # Errors
    /// As [`FaultDisk::cut_power`].
    pub fn lose_everything_unsynced(&self) -> Result<CutReport, DiskError> {
        cut::cut_power(&self.root, &self.journal_path(), Loss::Everything)
    }

    fn journal_path(&self) -> PathBuf {
        self.state.join("journal")
    }

    fn control_path(&self) -> PathBuf {
        self.state.join("control")
    }
}
