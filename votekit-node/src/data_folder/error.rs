//! The errors of a data folder. Their `Display` is for logs; the edges make the sentences.

use std::io;
use std::path::{Path, PathBuf};

use votekit_core::authority::AuthoritySetError;
use votekit_core::electorate::ElectorateError;
use votekit_core::log::note::{KeyError, KeyName};

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
// Exhaustive: the edges have a sentence for each variant.
pub enum FolderError {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The folder is not a data folder.
    #[error("{path}: not a data folder", path = path.display())]
    NotOne {
        /// The folder.
        path: PathBuf,
    },
    /// The folder was to become a data folder, but has other content.
    #[error("{path}: not a data folder, contains '{found}'", path = path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// The first foreign name in it.
        found: String,
    },
    /// Another account owns a key or can reach it.
    #[error("{path}: {exposure}", path = path.display())]
    Exposed {
        /// The file or folder.
        path: PathBuf,
        /// Who owns or reaches it.
        exposure: Exposure,
    },
    /// Another process uses the folder.
    #[error("{path}: in use by another process", path = path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A newer program wrote the folder.
    #[error("{path}: format {found}, newer than {known}", path = path.display())]
    Newer {
        /// The folder.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The format known.
        known: u32,
    },
    /// The folder was created under another base name.
    #[error("logs named under '{found}', not '{wanted}'")]
    OtherBase {
        /// The name in the folder.
        found: String,
        /// The name asked for.
        wanted: String,
    },
    /// The folder belongs to another ledger than the one given.
    #[error("{path}: {mismatch}", path = path.display())]
    OtherLedger {
        /// The folder.
        path: PathBuf,
        /// The difference.
        mismatch: LedgerMismatch,
    },
    /// The folder was to become that of an authority, and is a data folder already.
    #[error("{path}: already a data folder", path = path.display())]
    Present {
        /// The folder.
        path: PathBuf,
    },
    /// The folder does not belong to one of several authorities.
    #[error("{path}: no statement key", path = path.display())]
    NotAuthority {
        /// The folder.
        path: PathBuf,
    },
    /// The file of the authorities is of others.
    #[error("{path}: {mismatch}", path = path.display())]
    OtherAuthorities {
        /// The file.
        path: PathBuf,
        /// The difference.
        mismatch: AuthorityMismatch,
    },
    /// A file of the folder is damaged.
    #[error("{path}: {damage}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The damage.
        damage: FileDamage,
    },
}

/// How another account owns a file or a folder, or reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exposure {
    /// Neither this account nor root owns it.
    #[error("owned by user id {owner}, this process runs as {user}")]
    Owner {
        /// The user id of the owner.
        owner: u32,
        /// The user id of this process.
        user: u32,
    },
    /// Others reach a key, or a group that root gave no access.
    #[error("key accessible to other accounts (mode {mode:04o})")]
    Key {
        /// The mode of the file.
        mode: u32,
    },
    /// Others reach the folder.
    #[error("folder accessible to other accounts (mode {mode:04o})")]
    Folder {
        /// The mode of the folder.
        mode: u32,
    },
}

/// How the ledger of a folder differs from the one given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerMismatch {
    /// The folder belongs to a ledger on services.
    #[error("ledger on services, none given")]
    OnServices,
    /// The folder contains a ledger.
    #[error("ledger in the folder, services given")]
    InFolder,
    /// The folder belongs to another ledger on services.
    #[error("ledger in another database or schema")]
    OtherServices,
}

/// How the file of the authorities differs from the folder that it is in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityMismatch {
    /// It names another base.
    #[error("base {listed}, the folder has {own}")]
    Base {
        /// The base in the file.
        listed: KeyName,
        /// The base of the folder.
        own: KeyName,
    },
    /// It has another key of this authority.
    #[error("{key} key of {name} differs from that of the folder")]
    Key {
        /// The name of this authority.
        name: KeyName,
        /// Which key: its name among the keys of the folder.
        key: &'static str,
    },
}

/// The damage of a file of a data folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileDamage {
    /// A required key is not there.
    #[error("key missing")]
    KeyMissing,
    /// The administrator's token is not there.
    #[error("administrator token missing")]
    TokenMissing,
    /// A key file has another form.
    #[error("not a key file")]
    KeyForm,
    /// A key was changed.
    #[error("key does not match its check")]
    KeyCheck,
    /// The name of the logs or of the authority is not usable.
    #[error("{0}")]
    Name(KeyError),
    /// A line of the officials' keys is not a verifier key.
    #[error("not a verifier key: {0}")]
    NotVerifierKeys(KeyError),
    /// The file of the authorities breaks a rule.
    #[error("{0}")]
    Authorities(AuthoritySetError),
    /// A line is not a digest.
    #[error("line is not a digest")]
    NotDigest,
    /// The keys of a roll do not form one.
    #[error(transparent)]
    Roll(#[from] ElectorateError),
    /// The settings of the folder cannot be read or written.
    #[error("{reason}")]
    Settings {
        /// The message of the parser.
        reason: String,
    },
}

impl FolderError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
