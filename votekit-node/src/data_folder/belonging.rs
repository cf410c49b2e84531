//! The ledger that a data folder belongs to: the keys and rolls of one installation must not be
//! used with the log of another.

use std::fs;
use std::io::{ErrorKind, Write as _};

use votekit_files::TemporaryFile;

use super::error::LedgerMismatch;
use super::{DataFolder, FolderError};

/// The file that names the ledger on services.
const FILE: &str = "services";

/// The file of the ledger of an embedded installation.
const EMBEDDED: &str = "ledger.sqlite";

/// The location of a folder's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belonging {
    /// In the folder itself.
    Itself,
    /// On services.
    Services {
        /// Identifies that ledger among all others.
        installation: String,
    },
}

impl DataFolder {
    /// Binds a folder to the first ledger that it is used with, and refuses any other later.
    ///
    /// # Errors
    /// [`FolderError::OtherLedger`]; nothing is then written into the folder.
    pub fn belong_to(&self, belonging: &Belonging) -> Result<(), FolderError> {
        let known = self.check_belonging(belonging)?;
        let Belonging::Services { installation } = belonging else { return Ok(()) };
        if known {
            return Ok(());
        }
        let path = self.path().join(FILE);
        // Nodes that start at the same time write the same content, each to its own temporary file.
        let aside = self.path().join(format!(".{FILE}.{}", std::process::id()));
        let write = || {
            let mut file = TemporaryFile::create_anew(&aside, 0o600)?;
            file.write_all(format!("{installation}\n").as_bytes())?;
            file.replace(&path)
        };
        write().map_err(FolderError::io(&path))
    }

    /// Whether the folder is already bound to this ledger. Writes nothing.
    ///
    /// # Errors
    /// [`FolderError::OtherLedger`] if it is bound to another ledger.
    pub fn check_belonging(&self, belonging: &Belonging) -> Result<bool, FolderError> {
        let path = self.path().join(FILE);
        let written = match fs::read_to_string(&path) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(FolderError::io(&path)(error)),
        };
        let other =
            |mismatch| Err(FolderError::OtherLedger { path: self.path().to_owned(), mismatch });
        match (belonging, written) {
            (Belonging::Itself, None) => Ok(true),
            (Belonging::Itself, Some(_)) => other(LedgerMismatch::OnServices),
            (Belonging::Services { .. }, None) if self.path().join(EMBEDDED).exists() => {
                other(LedgerMismatch::InFolder)
            }
            (Belonging::Services { .. }, None) => Ok(false),
            (Belonging::Services { installation }, Some(written)) if written == *installation => {
                Ok(true)
            }
            (Belonging::Services { .. }, Some(_)) => other(LedgerMismatch::OtherServices),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services(installation: &str) -> Belonging {
        Belonging::Services { installation: installation.to_owned() }
    }

    #[test]
    fn a_folder_is_held_to_its_first_ledger() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = DataFolder::open(&place.path().join("data"), None).expect("opened");
        folder.belong_to(&services("a")).expect("the first");
        folder.belong_to(&services("a")).expect("the same");
        let refusal = folder.belong_to(&services("b")).expect_err("another").to_string();
        assert!(refusal.contains("another database or schema"), "{refusal}");
        let refusal = folder.belong_to(&Belonging::Itself).expect_err("none").to_string();
        assert!(refusal.contains("ledger on services, none given"), "{refusal}");
    }

    #[test]
    fn a_folder_with_a_ledger_of_its_own_is_not_taken_for_one_on_services() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = DataFolder::open(&place.path().join("data"), None).expect("opened");
        folder.belong_to(&Belonging::Itself).expect("nothing says otherwise");
        fs::write(folder.path().join(EMBEDDED), "").expect("written");
        folder.belong_to(&Belonging::Itself).expect("its own");
        let refusal = folder.belong_to(&services("a")).expect_err("another").to_string();
        assert!(refusal.contains("ledger in the folder, services given"), "{refusal}");
    }
}
