//! The errors of a data folder.

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
    #[error("{path} is not the data folder of a node: it has no votekit.toml", path = path.display())]
    NotOne {
        /// The folder.
        path: PathBuf,
    },
    /// The folder was to become a data folder, but holds something else.
    #[error("{path} is not a data folder, and is not empty: it holds '{found}'", path = path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// The first foreign name in it.
        found: String,
    },
    /// Another account owns a key or can reach it.
    #[error("{path}: {exposure}", path = path.display(), exposure = exposure.described(path))]
    Exposed {
        /// The file or folder.
        path: PathBuf,
        /// Who owns or reaches it.
        exposure: Exposure,
    },
    /// Another process holds the folder.
    #[error("{path} is in use by another votekit process", path = path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A newer program wrote the folder.
    #[error("{path} was written by a newer votekit (format {found}, this one knows {known})", path = path.display())]
    Newer {
        /// The folder.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The format known.
        known: u32,
    },
    /// The folder was created under another base name.
    #[error(
        "the logs in this folder are named under '{found}', not '{wanted}': the name cannot change"
    )]
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
    #[error("{path} is a data folder already", path = path.display())]
    Present {
        /// The folder.
        path: PathBuf,
    },
    /// The folder is not that of one of several authorities.
    #[error(
        "{path} is not the folder of an authority: it has no key for statements",
        path = path.display()
    )]
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
        /// What is wrong with it.
        damage: FileDamage,
    },
}

/// How another account owns a file or a folder, or reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// Neither this account nor root owns it.
    Owner {
        /// The user id of the owner.
        owner: u32,
        /// The user id of this process.
        user: u32,
    },
    /// Others reach a key, or a group that root gave no access.
    Key {
        /// The mode of the file.
        mode: u32,
    },
    /// Others reach the folder.
    Folder {
        /// The mode of the folder.
        mode: u32,
    },
}

impl Exposure {
    fn described(self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Owner { owner, user } => format!(
                "it belongs to the user id {owner}, and this process runs as user id {user}: run \
                 the command as the owner, or change the owner with chown"
            ),
            Self::Key { mode } => format!(
                "other accounts have access to it (mode {mode:04o}); a key must be private: run \
                 'chmod go= {path}'"
            ),
            Self::Folder { mode } => {
                format!("other accounts have access to it (mode {mode:04o}): run 'chmod o= {path}'")
            }
        }
    }
}

/// How the ledger of a folder differs from the one given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerMismatch {
    /// The folder belongs to a ledger on services.
    #[error("its ledger is on services, and no services were given")]
    OnServices,
    /// The folder has a ledger of its own.
    #[error("its ledger is in the folder itself, and services were given")]
    InFolder,
    /// The folder belongs to another ledger on services.
    #[error("its ledger is in another database or schema than the one given")]
    OtherServices,
}

/// How the file of the authorities differs from the folder that it is in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityMismatch {
    /// It names another base.
    #[error("it is for the base {listed}, but the logs of this folder are named under {own}")]
    Base {
        /// The base in the file.
        listed: KeyName,
        /// The base of the folder.
        own: KeyName,
    },
    /// It has another key of this authority.
    #[error("the {key} key of {name} in it does not belong to the secret key in this folder")]
    Key {
        /// The name of this authority.
        name: KeyName,
        /// Which key: its name among the keys of the folder.
        key: &'static str,
    },
}

/// What is wrong with a file of a data folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileDamage {
    /// A required key is not there.
    #[error("this key is missing: restore it from a backup of the folder")]
    KeyMissing,
    /// The administrator's token is not there.
    #[error("the administrator's token is missing: is this the data folder of a node?")]
    TokenMissing,
    /// A key file has another form.
    #[error("a key file is one line that begins with 64 hexadecimal digits")]
    KeyForm,
    /// A key was changed.
    #[error("the key does not match its check: restore it from a backup of the folder")]
    KeyCheck,
    /// The name of the logs or of the authority is not usable.
    #[error("{0}")]
    Name(KeyError),
    /// A line of the officials' keys is not a verifier key.
    #[error("expected one verifier key per line: {0}")]
    NotVerifierKeys(KeyError),
    /// The file of the authorities breaks a rule.
    #[error("{0}")]
    Authorities(AuthoritySetError),
    /// A line is not a digest.
    #[error("a line that is not a digest")]
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
