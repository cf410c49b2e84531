//! Files of a data folder that only its owner may read: written atomically, read with the check of
//! their key, and overwritten before they are removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use votekit_core::key_file::{self, KeyFileError};
use votekit_files::{TemporaryFile, sync_parent};
use zeroize::Zeroizing;

use super::error::{FileDamage, FolderError};
use super::permissions::check_metadata;

/// The administrator's token. People copy it from its file, so the file contains nothing else.
pub(super) const TOKEN: &str = "admin-token";

/// A key, a space, its check.
pub(super) const KEY_LINE_BYTES: usize = 64 + 1 + 8;

/// Opens no symbolic link.
pub(super) const NO_FOLLOW: i32 = OFlags::NOFOLLOW.bits().cast_signed();

/// A new random key. An error names `path`.
pub(super) fn random(path: &Path) -> Result<Zeroizing<[u8; 32]>, FolderError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|error| FolderError::Io {
        path: path.to_owned(),
        source: io::Error::other(error.to_string()),
    })?;
    Ok(bytes)
}

/// Reads a key; `None` if it is not there.
pub(super) fn read_secret(path: &Path) -> Result<Option<Zeroizing<[u8; 32]>>, FolderError> {
    let mut text = Zeroizing::new(String::new());
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FolderError::io(path)(error)),
    };
    check_metadata(path, &file.metadata().map_err(FolderError::io(path))?)?;
    file.read_to_string(&mut text).map_err(FolderError::io(path))?;
    let damaged = |damage| FolderError::Damaged { path: path.to_owned(), damage };
    if has_check(path) {
        // At the start most exchanged keys would be noticed without the check, but not the node's
        // own key or a request key.
        return key_file::parse(&text).map(Some).map_err(|error| match error {
            KeyFileError::Check => damaged(FileDamage::KeyCheck),
            _ => damaged(FileDamage::KeyForm),
        });
    }
    let mut bytes = Zeroizing::new([0; 32]);
    const_hex::decode_to_slice(text.trim_end(), bytes.as_mut_slice())
        .map_err(|_| damaged(FileDamage::KeyForm))?;
    Ok(Some(bytes))
}

pub(super) fn write_secret(path: &Path, bytes: &[u8; 32]) -> Result<(), FolderError> {
    let text = match has_check(path) {
        true => key_file::to_text(bytes),
        false => Zeroizing::new(format!("{}\n", const_hex::encode(bytes))),
    };
    write_whole(path, text.as_bytes()).map_err(FolderError::io(path))
}

/// Whether a key file has a check: all except the token's.
fn has_check(path: &Path) -> bool {
    !path.ends_with(TOKEN)
}

/// Writes a file of mode 0600 atomically, and durably: it survives a power cut.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = TemporaryFile::create_anew(&temporary(path), 0o600)?;
    file.write_all(bytes)?;
    file.replace(path)
}

/// Removes keys whose writing or destruction was interrupted.
pub(super) fn clear_temporary(folder: &Path) -> Result<(), FolderError> {
    for entry in fs::read_dir(folder).map_err(FolderError::io(folder))? {
        let path = entry.map_err(FolderError::io(folder))?.path();
        if path.as_os_str().as_encoded_bytes().ends_with(b"~") {
            overwrite_and_remove(&path).map_err(FolderError::io(&path))?;
        }
    }
    Ok(())
}

/// Destroys a key, if it is there.
pub(super) fn destroy(path: &Path) -> Result<(), FolderError> {
    if !path.exists() {
        return Ok(());
    }
    // Renamed first: if the process is killed while overwriting, the next start finds no half key.
    let aside = temporary(path);
    let overwrite = || {
        fs::rename(path, &aside)?;
        sync_parent(path)?;
        overwrite_and_remove(&aside)
    };
    overwrite().map_err(FolderError::io(path))
}

/// The name under which a file is written, or moved aside before it is destroyed.
pub(super) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // No law id contains this character, so no key has the name of another key's unfinished copy.
    name.push("~");
    path.with_file_name(name)
}

fn overwrite_and_remove(path: &Path) -> io::Result<()> {
    let mut open = OpenOptions::new();
    match open.write(true).custom_flags(NO_FOLLOW).open(path) {
        Ok(mut file) => {
            file.write_all(&[b'0'; KEY_LINE_BYTES])?;
            file.sync_all()?;
        }
        // A symbolic link contains no key: the link is removed, and its target stays.
        Err(_) if fs::symlink_metadata(path)?.is_symlink() => {}
        Err(error) => return Err(error),
    }
    fs::remove_file(path)?;
    sync_parent(path)
}
