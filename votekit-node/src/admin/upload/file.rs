//! One file on its way to the folder of its upload.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;
use votekit_core::id::{Digest, ElectionId};
use votekit_core::manifest::Manifest;
use votekit_files::{TemporaryFile, parent_of};
use zeroize::Zeroizing;

use super::format::{HEAD_BYTES, bytes_max, check_head};
use super::{FileRule, UploadError, check_laws, kept_files, kept_manifest, rows};
use crate::data_folder::{FolderError, make_private_folder};
use crate::error::AdminError;
use crate::upload_claims::UploadClaim;
use crate::watch::space_at;

/// Bytes that are collected before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// Bytes that are written between two syncs: one long sync would delay those of the ledger, which
/// may be on the same disk.
const SYNC_BYTES: u64 = 16 << 20;

/// The largest upload of one election.
const UPLOAD_BYTES_MAX: u64 = 4 << 30;

/// The most files of one upload: the shards of a law, their manifest, its signatures.
const UPLOAD_FILES_MAX: usize = 10_001;

/// Bytes that an upload leaves free on the disk, for the ledger.
const FREE_BYTES_MIN: u64 = 256 << 20;

/// A file that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UploadedFile {
    /// Its name.
    #[schema(example = "L2025-001.0001.json")]
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Whether it replaced a file of this name.
    pub replaced: bool,
}

/// A file that is being uploaded. Dropped before [`FileUpload::finish`], it leaves nothing.
pub struct FileUpload {
    file: String,
    target: PathBuf,
    bytes_max: u64,
    /// The length that the sender announced; 0 if it announced none.
    announced: u64,
    received: u64,
    /// Whether the first bytes were checked. Before that nothing is written.
    is_checked: bool,
    /// Zeroed when dropped: until the check it may contain rows of a roll. Never reallocated.
    buffer: Zeroizing<Vec<u8>>,
    sink: Option<Sink>,
    claim: UploadClaim,
}

impl fmt::Debug for FileUpload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FileUpload({}, redacted)", self.file)
    }
}

impl FileUpload {
    pub(super) fn new(folder: &Path, file: &str, announced: u64, claim: UploadClaim) -> Self {
        Self {
            file: file.to_owned(),
            target: folder.join(file),
            bytes_max: bytes_max(file),
            announced,
            received: 0,
            is_checked: false,
            buffer: Zeroizing::new(Vec::with_capacity(BUFFER_BYTES)),
            sink: None,
            claim,
        }
    }

    /// Takes the next bytes of the file.
    ///
    /// # Errors
    /// [`UploadError`]; nothing of the file is kept then.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), UploadError> {
        self.received = self.received.saturating_add(bytes.len() as u64);
        if self.received > self.bytes_max {
            return Err(UploadError::TooLarge { bytes_max: self.bytes_max });
        }
        while !bytes.is_empty() {
            let room = BUFFER_BYTES - self.buffer.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() >= HEAD_BYTES {
                self.check()?;
            }
            if self.buffer.len() == BUFFER_BYTES {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Renames the complete file to its name, durably. A manifest must be of this election only,
    /// and a file that the uploaded manifest lists must have the stated digest.
    ///
    /// # Errors
    /// [`UploadError`]; nothing of the file is kept then.
    pub async fn finish(mut self) -> Result<UploadedFile, UploadError> {
        self.check()?;
        self.flush().await?;
        let Some(sink) = self.sink.take() else { return Err(AdminError::OutcomeUnknown.into()) };
        let (file, target) = (self.file.clone(), self.target.clone());
        let law_id = self.claim.law_id().clone();
        blocking(move || sink.place(file, &target, &law_id)).await
    }

    fn check(&mut self) -> Result<(), UploadError> {
        if !self.is_checked {
            check_head(&self.file, &self.buffer[..self.buffer.len().min(HEAD_BYTES)])?;
            self.is_checked = true;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), UploadError> {
        let (target, announced) = (self.target.clone(), self.announced);
        let (mut buffer, sink) = (std::mem::take(&mut self.buffer), self.sink.take());
        let written = blocking(move || {
            let mut sink = match sink {
                Some(sink) => sink,
                None => Sink::open(&target, announced)?,
            };
            sink.append(&buffer)?;
            buffer.clear();
            Ok((buffer, sink))
        });
        let (buffer, sink) = written.await?;
        (self.buffer, self.sink) = (buffer, Some(sink));
        Ok(())
    }
}

/// The temporary file, which is removed when it is dropped, and the state of the write.
struct Sink {
    temporary: TemporaryFile,
    digest: Sha256,
    bytes: u64,
    unsynced: u64,
}

impl Sink {
    fn open(target: &Path, announced: u64) -> Result<Self, UploadError> {
        let folder = parent_of(target);
        make_private_folder(folder)?;
        check_room(folder, announced)?;
        check_total(target, announced)?;
        let failed = |error| write_failed(target, error);
        let temporary = TemporaryFile::create_beside(target, 0o600).map_err(failed)?;
        Ok(Self { temporary, digest: Sha256::new(), bytes: 0, unsynced: 0 })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        self.temporary.write_all(bytes).map_err(|error| self.failed(error))?;
        self.digest.update(bytes);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        self.unsynced = self.unsynced.saturating_add(bytes.len() as u64);
        if self.unsynced >= SYNC_BYTES {
            self.temporary.sync().map_err(|error| self.failed(error))?;
            self.unsynced = 0;
            check_room(parent_of(self.temporary.path()), 0)?;
        }
        Ok(())
    }

    fn place(
        self,
        file: String,
        target: &Path,
        law_id: &ElectionId,
    ) -> Result<UploadedFile, UploadError> {
        let Self { temporary, digest, bytes, .. } = self;
        let digest = Digest::from_bytes(digest.finalize().into());
        let folder = parent_of(target);
        let refused = |rule| UploadError::Refused { file: file.clone(), rule };
        if file == Manifest::FILE_NAME {
            let text = fs::read(temporary.path())
                .map_err(|error| write_failed(temporary.path(), error))?;
            let manifest = Manifest::parse(&text).map_err(|error| refused(error.into()))?;
            check_laws(&manifest, law_id)?;
        } else if let Some(row) = rows(kept_manifest(folder)?.as_ref()).find(|row| row.file == file)
            && row.sha256 != digest
        {
            return Err(refused(FileRule::Digest { found: digest, stated: row.sha256 }));
        }
        check_total(target, bytes)?;
        let replaced = target.exists();
        temporary.replace(target).map_err(|error| write_failed(target, error))?;
        Ok(UploadedFile { file, bytes, sha256: digest.to_hex(), replaced })
    }

    fn failed(&self, error: io::Error) -> UploadError {
        write_failed(self.temporary.path(), error)
    }
}

/// Refuses a file that would make its upload too large or too many files.
fn check_total(target: &Path, bytes: u64) -> Result<(), UploadError> {
    let mut kept = kept_files(parent_of(target))?;
    kept.retain(|other| target.file_name().is_none_or(|name| name != other.file.as_str()));
    let total = kept.iter().fold(bytes, |total, file| total.saturating_add(file.bytes));
    if total > UPLOAD_BYTES_MAX || kept.len() >= UPLOAD_FILES_MAX {
        let (bytes_max, files_max) = (UPLOAD_BYTES_MAX, UPLOAD_FILES_MAX);
        return Err(UploadError::TooMuch { bytes_max, files_max });
    }
    Ok(())
}

/// Refuses a file that would leave too little space for the ledger.
fn check_room(folder: &Path, bytes: u64) -> Result<(), UploadError> {
    // A file system that does not answer is noticed by the write itself.
    match space_at(folder) {
        Some(space) if space.free < bytes.saturating_add(FREE_BYTES_MIN) => {
            Err(UploadError::NoRoom)
        }
        _ => Ok(()),
    }
}

fn write_failed(path: &Path, source: io::Error) -> UploadError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => UploadError::NoRoom,
        _ => FolderError::Io { path: path.to_owned(), source }.into(),
    }
}

/// Runs work on files on a blocking thread: the other threads serve voters.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UploadError> + Send + 'static,
) -> Result<T, UploadError> {
    let done = tokio::task::spawn_blocking(work).await;
    // The work panicked; its progress is unknown.
    done.unwrap_or(Err(UploadError::Admin(AdminError::OutcomeUnknown)))
}
