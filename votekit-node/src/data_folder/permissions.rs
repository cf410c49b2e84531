//! The owner of a folder or a key, and the accounts that may read it.
//!
//! The rule is that of ssh for private keys: a key belongs to the account that uses it, or to root,
//! and others have no access. A group may read files owned by root, so that a service can get a key
//! that it cannot change.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use votekit_files::sync_parent;

use super::error::{Exposure, FolderError};

/// The permission bits of others, and of the group.
const OTHERS: u32 = 0o007;
const GROUP: u32 = 0o070;
const GROUP_WRITE: u32 = 0o020;

/// Refuses a key, or a folder of keys, that another account owns or can reach. Symbolic links are
/// followed: their targets count.
///
/// # Errors
/// [`FolderError::Exposed`] with the remedy.
pub fn check_private(path: &Path) -> Result<(), FolderError> {
    let found = fs::metadata(path).map_err(FolderError::io(path))?;
    check_metadata(path, &found)
}

/// [`check_private`] for an open file.
pub(super) fn check_metadata(path: &Path, found: &Metadata) -> Result<(), FolderError> {
    match exposure(found.uid(), found.mode(), current_user()) {
        None => Ok(()),
        Some(exposure) => Err(FolderError::Exposed { path: path.to_owned(), exposure }),
    }
}

fn exposure(owner: u32, mode: u32, user: u32) -> Option<Exposure> {
    if owner != user && owner != 0 {
        return Some(Exposure::Owner { owner, user });
    }
    // A group may read files owned by root, but never write them.
    let forbidden = if owner == 0 { OTHERS | GROUP_WRITE } else { OTHERS | GROUP };
    (mode & forbidden != 0).then_some(Exposure::Key { mode: mode & 0o7777 })
}

fn current_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Creates a folder and its missing parents, for the owner only, durably: they survive a power cut.
/// The permissions of existing folders stay.
pub(crate) fn make_private_folder(path: &Path) -> Result<(), FolderError> {
    let make = || -> io::Result<()> {
        let leading: Vec<&Path> =
            path.ancestors().filter(|folder| !folder.as_os_str().is_empty()).collect();
        for folder in leading.into_iter().rev() {
            match DirBuilder::new().mode(0o700).create(folder) {
                Ok(()) => sync_parent(folder)?,
                Err(_) if folder.is_dir() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    };
    make().map_err(FolderError::io(path))
}

/// Removes the access of others to a data folder, which contains the ledger and the rolls. A folder
/// owned by root may be shared with a group, which then has write access.
///
/// # Errors
/// [`FolderError::Exposed`] if another account owns the folder.
pub(super) fn tighten(path: &Path) -> Result<(), FolderError> {
    let found = fs::metadata(path).map_err(FolderError::io(path))?;
    let user = current_user();
    if found.uid() == user {
        if found.mode() & (OTHERS | GROUP) != 0 {
            fs::set_permissions(path, Permissions::from_mode(0o700))
                .map_err(FolderError::io(path))?;
        }
        return Ok(());
    }
    let exposed = |exposure| Err(FolderError::Exposed { path: path.to_owned(), exposure });
    if found.uid() != 0 {
        return exposed(Exposure::Owner { owner: found.uid(), user });
    }
    if found.mode() & OTHERS != 0 {
        return exposed(Exposure::Folder { mode: found.mode() & 0o7777 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_private_to_its_owner_or_to_root_and_a_group() {
        let (user, other) = (1000, 1001);
        let shared = |mode| Some(Exposure::Key { mode });
        let foreign = Some(Exposure::Owner { owner: other, user });
        for (owner, mode, wanted) in [
            (user, 0o600, None),
            (user, 0o400, None),
            (user, 0o700, None),
            (user, 0o640, shared(0o640)),
            (user, 0o604, shared(0o604)),
            (user, 0o601, shared(0o601)),
            (user, 0o666, shared(0o666)),
            (0, 0o600, None),
            (0, 0o640, None),
            (0, 0o750, None),
            (0, 0o660, shared(0o660)),
            (0, 0o644, shared(0o644)),
            (other, 0o600, foreign),
            (other, 0o777, foreign),
        ] {
            assert_eq!(exposure(owner, mode, user), wanted, "owner {owner}, mode {mode:o}");
        }
        // Root does not use another account's key either: the owner could exchange it.
        assert_eq!(exposure(user, 0o600, 0), Some(Exposure::Owner { owner: user, user: 0 }));
    }
}
