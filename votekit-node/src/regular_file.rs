//! Reads files with untrusted names: regular files only, up to an expected size. A FIFO would block
//! the thread that opens it, a device may never end, and a symbolic link is not the file that was
//! checked.

use std::fmt;
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// Why a file was not read.
#[derive(Debug)]
pub(crate) enum RegularFileError {
    Io(io::Error),
    NotRegular(FileKind),
    /// Larger than the limit.
    TooLarge,
}

/// The kind of a file that is not regular.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A symbolic link.
    Link,
    /// A folder.
    Folder,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A device.
    Device,
}

impl fmt::Display for FileKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Link => "a symbolic link",
            Self::Folder => "a folder",
            Self::Fifo => "a FIFO",
            Self::Socket => "a socket",
            Self::Device => "a device",
        })
    }
}

/// Reads a regular file of at most `bytes_max` bytes.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, RegularFileError> {
    let file = open(path)?;
    let metadata = file.metadata().map_err(RegularFileError::Io)?;
    if !metadata.is_file() {
        return Err(RegularFileError::NotRegular(kind(metadata.file_type())));
    }
    if metadata.len() > bytes_max {
        return Err(RegularFileError::TooLarge);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    // The file may be growing: read one byte past the limit to notice.
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(RegularFileError::Io)?;
    if bytes.len() as u64 > bytes_max { Err(RegularFileError::TooLarge) } else { Ok(bytes) }
}

fn open(path: &Path) -> Result<File, RegularFileError> {
    // Without NONBLOCK, opening a FIFO would wait for a writer.
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let flags = i32::try_from(flags.bits()).expect("flags of the system's own type");
    OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| {
        // Opening a symbolic link or a socket fails, and the system's error names neither.
        match fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() => RegularFileError::NotRegular(kind(found.file_type())),
            _ => RegularFileError::Io(error),
        }
    })
}

fn kind(found: FileType) -> FileKind {
    if found.is_symlink() {
        FileKind::Link
    } else if found.is_dir() {
        FileKind::Folder
    } else if found.is_fifo() {
        FileKind::Fifo
    } else if found.is_socket() {
        FileKind::Socket
    } else {
        FileKind::Device
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_a_regular_file_of_the_expected_size_is_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), b"12345").expect("written");
        assert_eq!(read(&path("file"), 5).expect("it fits"), b"12345");
        assert!(matches!(read(&path("file"), 4), Err(RegularFileError::TooLarge)));
        fs::write(path("empty"), b"").expect("written");
        assert_eq!(read(&path("empty"), 0).expect("it fits"), b"");
        symlink(path("file"), path("link")).expect("made");
        symlink("/dev/zero", path("zero")).expect("made");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .expect("made");
        let _listener = UnixListener::bind(path("socket")).expect("bound");
        for (path, expected) in [
            (path("link"), FileKind::Link),
            (path("zero"), FileKind::Link),
            (path("fifo"), FileKind::Fifo),
            (path("socket"), FileKind::Socket),
            (path(""), FileKind::Folder),
            ("/dev/zero".into(), FileKind::Device),
        ] {
            match read(&path, 5) {
                Err(RegularFileError::NotRegular(found)) => assert_eq!(found, expected),
                other => panic!("{}: {other:?}", path.display()),
            }
        }
        assert!(matches!(
            read(&path("nothing"), 5),
            Err(RegularFileError::Io(error)) if error.kind() == io::ErrorKind::NotFound
        ));
    }
}
