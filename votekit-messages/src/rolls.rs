//! The texts for faults of a roll, its files and their upload.

use votekit_node::{FileKind, FileRule, RollError, UnsignedReason, UploadError};

use crate::InWords;

impl InWords for RollError {
    fn in_words(&self) -> String {
        match self {
            Self::Read { path, source } => format!("{}: {source}", path.display()),
            Self::NotRegular { path, found } => {
                format!("{}: not a regular file but {}", path.display(), file_kind(*found))
            }
            Self::TooLarge { path, bytes_max } => {
                format!("{}: larger than the maximum of {bytes_max} bytes", path.display())
            }
            Self::GivenUp => "the load was aborted".to_owned(),
            Self::Manifest { path, source } => {
                format!("{}: {}", path.display(), source.in_words())
            }
            Self::Pepper { path, source } => format!("{}: {}", path.display(), source.in_words()),
            Self::Unsigned { path, reason } => format!(
                "{}: this node requires signed manifests, and this one has no valid signature by \
                 a known official ({})",
                path.display(),
                reason.in_words()
            ),
            Self::NoParent { parent } => {
                format!("the supplement is made for manifest {parent}, which has not been loaded")
            }
            Self::Folder(error) => error.in_words(),
        }
    }
}

impl InWords for UnsignedReason {
    fn in_words(&self) -> String {
        match self {
            Self::NoFile => "there is no such file".to_owned(),
            Self::Unreadable(error) => error.to_string(),
            Self::OtherManifest => "it signs another manifest".to_owned(),
            Self::Note(error) => error.in_words(),
        }
    }
}

fn file_kind(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Link => "a symbolic link",
        FileKind::Folder => "a folder",
        FileKind::Fifo => "a FIFO",
        FileKind::Socket => "a socket",
        FileKind::Device => "a device",
    }
}

/// Officials see the name and the rule of a file, never a byte of it.
impl InWords for UploadError {
    fn in_words(&self) -> String {
        let text = match self {
            Self::Name => {
                "has 1 to 100 of A-Z, a-z, 0-9, '.', '_' and '-', and does not begin with a dot: \
                 upload the files as votekit hashgen named them"
            }
            Self::NotHashed => {
                "this is a roll that is not hashed, and nothing of it was kept: hash it with \
                 votekit hashgen on an offline machine, and upload the manifest and the shards \
                 that it makes"
            }
            Self::Refused { file, rule } => return format!("{file} {}", rule.in_words()),
            Self::OtherLaw { law_id, other } => {
                return format!(
                    "the manifest names the law {other}, and this is the upload of {law_id}: hash \
                     only the rows of this law (votekit hashgen --law {law_id})"
                );
            }
            Self::TooLarge { bytes_max } => {
                return format!("this file is too large: at most {bytes_max} bytes are allowed");
            }
            Self::TooMuch { bytes_max, files_max } => {
                return format!(
                    "an upload has at most {files_max} files and {bytes_max} bytes in all"
                );
            }
            Self::NoRoom => {
                "the disk of the node has no room for this file: free space and upload it again"
            }
            Self::Busy { law_id } => {
                return format!(
                    "another call uploads this file, or loads or discards the roll of {law_id}, \
                     or too many files are being uploaded: try again later"
                );
            }
            Self::NoPepper { id } => {
                return format!(
                    "the roll is hashed under the pepper {id}, which this node does not have: an \
                     operator must load the uploaded folder once, with votekit load --pepper-file; \
                     the upload was kept"
                );
            }
            Self::Admin(error) => return error.in_words(),
        };
        text.to_owned()
    }
}

impl InWords for FileRule {
    fn in_words(&self) -> String {
        let text = match self {
            Self::Name => {
                "is not the name of a file of a hashed roll: manifest.json, manifest.note, or a \
                 file that the manifest lists"
            }
            Self::Beginning => {
                "does not begin like this file of a hashed roll: upload the file unchanged, as \
                 votekit hashgen made it"
            }
            Self::NotUploaded => "has not been uploaded",
            Self::Incomplete { named, more } => {
                let named = named.join(", ");
                return match more {
                    0 => format!("lists files that have not been uploaded: {named}"),
                    more => {
                        format!("lists files that have not been uploaded: {named} and {more} more")
                    }
                };
            }
            Self::NoLaw => "lists no law: the roll is empty",
            Self::Manifest(error) => return format!("is not valid: {}", error.in_words()),
            Self::Digest { found, stated } => {
                return format!(
                    "has the SHA-256 {found}, and the uploaded manifest states {stated}: upload \
                     the file again, or discard the upload and begin with the manifest"
                );
            }
            Self::NotRegular { found } => return format!("is {}", file_kind(*found)),
        };
        text.to_owned()
    }
}
