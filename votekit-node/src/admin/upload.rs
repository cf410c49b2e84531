//! Hashed rolls that officials upload file by file, until they are loaded or discarded.
//!
//! ```text
//! DATA/incoming/<law id>/   manifest.json, manifest.note, shards or change file
//!   .votekit-<number>       a file that is being uploaded
//! ```
//!
//! A file appears completely or not at all; uploading it again replaces it. No byte of a file that
//! is not hashed reaches the disk. The checks here are cheap and early: `roll_store` verifies the
//! whole roll when it is loaded.

mod error;
mod format;
mod file;

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;
use utoipa::ToSchema;
use votekit_core::election::State;
use votekit_core::election_log::Change;
use votekit_core::id::ElectionId;
use votekit_core::manifest::{FileRow, Manifest, ManifestError};
use votekit_files::sync_parent;

pub use self::error::{FileRule, UploadError};
pub use self::file::{FileUpload, UploadedFile};
use self::format::bytes_max;
use crate::admin::roll_loading::LoadReport;
use crate::data_folder::{DataFolder, FolderError};
use crate::error::AdminError;
use crate::node::Node;
use crate::regular_file::{self, RegularFileError};
use crate::roll_store::RollError;
use crate::upload_claims::UploadClaim;

/// Missing files that an error names.
const NAMED_MAX: usize = 3;

/// The files uploaded for an election.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UploadView {
    /// The law.
    pub law_id: String,
    /// SHA-256 of the uploaded manifest; null until it is uploaded.
    pub manifest: Option<String>,
    /// Every uploaded file, by name.
    pub files: Vec<KeptFile>,
    /// Files that the manifest lists and that are not uploaded.
    pub missing: Vec<String>,
    /// Uploaded files that the manifest does not list. They are not loaded.
    pub unlisted: Vec<String>,
    /// Whether the manifest and every file that it lists are uploaded.
    pub complete: bool,
}

/// An uploaded file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct KeptFile {
    /// Its name.
    pub file: String,
    /// Its length.
    pub bytes: u64,
}

impl Node {
    /// Begins the upload of one file of a hashed roll. `bytes` is its length, if it is announced.
    /// Nothing is written before the first bytes have shown that the file is hashed.
    ///
    /// # Errors
    /// [`UploadError`]: the name, an election that takes no roll, another upload of the file.
    pub fn begin_upload(
        &self,
        law_id: &ElectionId,
        file: &str,
        bytes: Option<u64>,
    ) -> Result<FileUpload, UploadError> {
        format::check_name(file)?;
        let election = self.election_handle(law_id)?;
        let state = election.committed().state();
        if state >= State::Closing {
            return Err(AdminError::State { state, wanted: Change::GiveRoll }.into());
        }
        let bytes_max = bytes_max(file);
        if bytes.is_some_and(|bytes| bytes > bytes_max) {
            return Err(UploadError::TooLarge { bytes_max });
        }
        let busy = || UploadError::Busy { law_id: law_id.clone() };
        let claim = self.context.uploads.file(law_id, file).ok_or_else(busy)?;
        let folder = self.context.folder.incoming_path(law_id);
        Ok(FileUpload::new(&folder, file, bytes.unwrap_or(0), claim))
    }

    /// The files uploaded for an election.
    ///
    /// # Errors
    /// [`UploadError`].
    pub async fn upload(&self, law_id: &ElectionId) -> Result<UploadView, UploadError> {
        self.check_known(law_id)?;
        let law_id = law_id.clone();
        self.on_files(move |folder| Ok(view(&folder.incoming_path(&law_id), &law_id))).await?
    }

    /// Discards the files uploaded for an election. Without an upload nothing changes.
    ///
    /// # Errors
    /// [`UploadError`].
    pub async fn discard_upload(&self, law_id: &ElectionId) -> Result<(), UploadError> {
        let _claim = self.claim_upload(law_id)?;
        self.remove_upload(law_id).await
    }

    /// Loads the uploaded roll or supplement, with the pepper that this node has, and removes the
    /// upload. With `replace` it replaces the present roll of a draft. After a refusal the upload
    /// is kept, so that files can be uploaded again.
    ///
    /// # Errors
    /// [`UploadError`].
    pub async fn load_upload(
        &self,
        law_id: &ElectionId,
        replace: bool,
    ) -> Result<LoadReport, UploadError> {
        let _claim = self.claim_upload(law_id)?;
        let path = self.context.folder.incoming_path(law_id);
        let (folder, law) = (path.clone(), law_id.clone());
        self.on_files(move |_| Ok(check_complete(&folder, &law))).await??;
        let loaded = match replace {
            false => self.load(&path, None).await,
            true => self.replace_roll(&path, None).await,
        };
        let report = loaded.map_err(|error| match error {
            AdminError::Roll(RollError::Manifest {
                source: ManifestError::PepperMissing { id },
                ..
            }) => UploadError::NoPepper { id },
            error => error.into(),
        })?;
        // The roll has taken effect: files that stay cost space and nothing else.
        if let Err(error) = self.remove_upload(law_id).await {
            tracing::warn!(
                event = "roll_upload_removal_failed",
                %law_id,
                %error,
                "files of a loaded roll not removed"
            );
        }
        Ok(report)
    }

    fn claim_upload(&self, law_id: &ElectionId) -> Result<UploadClaim, UploadError> {
        self.check_known(law_id)?;
        let busy = || UploadError::Busy { law_id: law_id.clone() };
        self.context.uploads.all(law_id).ok_or_else(busy)
    }

    fn check_known(&self, law_id: &ElectionId) -> Result<(), UploadError> {
        Ok(self.election_handle(law_id).map(drop)?)
    }

    async fn remove_upload(&self, law_id: &ElectionId) -> Result<(), UploadError> {
        let law_id = law_id.clone();
        Ok(self.on_files(move |folder| Ok(remove(folder, &law_id)?)).await?)
    }
}

fn remove(folder: &DataFolder, law_id: &ElectionId) -> Result<(), FolderError> {
    let path = folder.incoming_path(law_id);
    match fs::remove_dir_all(&path).and_then(|()| sync_parent(&path)) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(FolderError::Io { path, source })
        }
        _ => Ok(()),
    }
}

fn view(folder: &Path, law_id: &ElectionId) -> Result<UploadView, UploadError> {
    let files = kept_files(folder)?;
    let manifest = kept_manifest(folder)?;
    let is_kept = |name: &str| files.iter().any(|kept| kept.file == name);
    let listed: Vec<&str> = rows(manifest.as_ref()).map(|row| row.file.as_str()).collect();
    let missing: Vec<String> =
        listed.iter().filter(|name| !is_kept(name)).map(|name| (*name).to_owned()).collect();
    let is_listed = |name: &str| {
        [Manifest::FILE_NAME, Manifest::NOTE_FILE_NAME].contains(&name) || listed.contains(&name)
    };
    let unlisted: Vec<String> =
        files.iter().map(|kept| &kept.file).filter(|name| !is_listed(name)).cloned().collect();
    Ok(UploadView {
        law_id: law_id.to_string(),
        complete: manifest.is_some() && missing.is_empty(),
        manifest: manifest.as_ref().map(|manifest| manifest.digest().to_hex()),
        missing,
        unlisted,
        files,
    })
}

/// Refuses an upload that lacks files, or whose manifest is not only of this election. An operator
/// may have put files here as well.
fn check_complete(folder: &Path, law_id: &ElectionId) -> Result<(), UploadError> {
    let missing = |rule| UploadError::Refused { file: Manifest::FILE_NAME.to_owned(), rule };
    let manifest = kept_manifest(folder)?.ok_or_else(|| missing(FileRule::NotUploaded))?;
    check_laws(&manifest, law_id)?;
    let mut named = view(folder, law_id)?.missing;
    if named.is_empty() {
        return Ok(());
    }
    let more = named.len().saturating_sub(NAMED_MAX);
    named.truncate(NAMED_MAX);
    Err(missing(FileRule::Incomplete { named, more }))
}

/// Refuses a manifest that has rows of another law: an upload for one election must not change the
/// roll of another.
fn check_laws(manifest: &Manifest, law_id: &ElectionId) -> Result<(), UploadError> {
    let mut laws = manifest.body().laws.iter().map(|row| &row.law_id).peekable();
    if laws.peek().is_none() {
        let rule = FileRule::NoLaw;
        return Err(UploadError::Refused { file: Manifest::FILE_NAME.to_owned(), rule });
    }
    match laws.find(|law| *law != law_id) {
        None => Ok(()),
        Some(other) => Err(UploadError::OtherLaw { law_id: law_id.clone(), other: other.clone() }),
    }
}

/// The files that a manifest lists.
fn rows(manifest: Option<&Manifest>) -> impl Iterator<Item = &FileRow> {
    manifest
        .into_iter()
        .flat_map(|manifest| manifest.body().shards.iter().chain(&manifest.body().changes))
}

/// The uploaded files, by name. A file that is being uploaded has a name with a dot in front.
fn kept_files(folder: &Path) -> Result<Vec<KeptFile>, UploadError> {
    let failed = |source| FolderError::Io { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error).into()),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let Ok(file) = entry.file_name().into_string() else { continue };
        if file.starts_with('.') {
            continue;
        }
        match entry.metadata() {
            Ok(found) if found.is_file() => files.push(KeptFile { file, bytes: found.len() }),
            Ok(_) => {}
            // Discarded since the folder was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error).into()),
        }
    }
    files.sort_unstable_by(|one, other| one.file.cmp(&other.file));
    Ok(files)
}

/// The uploaded manifest, if there is one.
fn kept_manifest(folder: &Path) -> Result<Option<Manifest>, UploadError> {
    let file = Manifest::FILE_NAME;
    let path = folder.join(file);
    let refused = |rule| UploadError::Refused { file: file.to_owned(), rule };
    match regular_file::read(&path, bytes_max(file)) {
        Ok(bytes) => Manifest::parse(&bytes).map(Some).map_err(|error| refused(error.into())),
        Err(RegularFileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(RegularFileError::Io(source)) => Err(FolderError::Io { path, source }.into()),
        Err(RegularFileError::NotRegular(found)) => Err(refused(FileRule::NotRegular { found })),
        Err(RegularFileError::TooLarge) => {
            Err(UploadError::TooLarge { bytes_max: bytes_max(file) })
        }
    }
}
