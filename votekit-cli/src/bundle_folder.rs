//! A bundle, or a folder of shards, on disk, with a progress bar; and the files in it that the
//! operating system added.

use std::io::{self, Read};
use std::path::Path;

use indicatif::ProgressBar;
use votekit_core::bundle::{FolderSource, Source};

use crate::context::Context;
use crate::error::CommandError;
use crate::progress;

/// The files of a folder, with a progress bar for the bytes read.
#[derive(Debug)]
pub(crate) struct BundleFolder {
    folder: FolderSource,
    bar: ProgressBar,
}

impl BundleFolder {
    /// Lists a folder.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub(crate) fn open(root: &Path, label: &'static str) -> Result<Self, CommandError> {
        let folder =
            FolderSource::open(root).map_err(|error| CommandError::reading(root, &error))?;
        let bar = progress::bytes(label, Some(folder.size()));
        Ok(Self { folder, bar })
    }

    /// Files that the operating system created; they are not part of the folder.
    pub(crate) fn system_files(&self) -> &[String] {
        self.folder.system_files()
    }

    /// Removes the progress bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Source for BundleFolder {
    fn names(&self) -> io::Result<Vec<String>> {
        self.folder.names()
    }

    fn irregular(&self) -> io::Result<Vec<(String, &'static str)>> {
        self.folder.irregular()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.bar.wrap_read(Source::open(&self.folder, name)?)))
    }
}

/// Warns of files that operating systems add to the folders they show. They are not part of the
/// content and do not affect the result.
pub(crate) fn warn_of_system_files(context: &Context, names: &[String]) {
    for name in names {
        context
            .output
            .warning(format_args!("{name} was created by the operating system; delete it"));
    }
}
