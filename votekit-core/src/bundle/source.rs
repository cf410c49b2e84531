//! The source of a bundle's files: a folder, an archive, memory.

use std::collections::BTreeMap;
use std::io::{self, Read};

/// Files by name. Names are relative, with `/` between folder and file.
pub trait Source {
    /// The names of all regular files, in any order.
    ///
    /// # Errors
    /// When the files cannot be listed.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Objects that cannot belong to a bundle, by name, each with its kind: a link, a device, an
    /// empty folder. Most sources have none.
    ///
    /// # Errors
    /// When the files cannot be listed.
    fn irregular(&self) -> io::Result<Vec<(String, &'static str)>> {
        Ok(Vec::new())
    }

    /// Opens a file that [`Source::names`] has listed.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>>;
}

/// Files in memory.
pub type MemorySource = BTreeMap<String, Vec<u8>>;

impl Source for MemorySource {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        let bytes = self.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(bytes.as_slice()))
    }
}
