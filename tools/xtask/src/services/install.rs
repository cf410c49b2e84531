//! The programs of the servers: found, installed, or reported as missing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::packages::{self, in_path};

/// The paths of the servers' programs.
pub(crate) struct Programs {
    pub(crate) redis_server: PathBuf,
    pub(crate) redis_cli: PathBuf,
    /// The program itself, not Debian's wrapper, which requires its own folders.
    pub(crate) rabbitmq_server: PathBuf,
    pub(crate) epmd: PathBuf,
    /// The folder of initdb and postgres, which Debian does not put into PATH.
    pub(crate) postgresql: PathBuf,
}

const RABBITMQ: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const POSTGRESQL: &str = "/usr/lib/postgresql";

impl Programs {
    /// Finds them.
    ///
    /// # Errors
    /// When a program is missing; the message names the packages to install.
    pub(crate) fn find() -> Result<Self> {
        Self::find_or_missing().map_err(|missing| {
            anyhow::anyhow!(
                "no {0}: on Debian, apt-get install --no-install-recommends {0}",
                missing.join(" ")
            )
        })
    }

    /// Finds them. Installs missing programs where that needs no confirmation: on Debian, as root.
    pub(crate) fn find_or_install() -> Result<Self> {
        if let Err(missing) = Self::find_or_missing() {
            packages::install(&missing)?;
        }
        Self::find()
    }

    /// The programs, or the packages that are missing.
    fn find_or_missing() -> Result<Self, Vec<&'static str>> {
        let rabbitmq = Some(PathBuf::from(RABBITMQ)).filter(|program| program.exists());
        let found = (
            in_path("redis-server"),
            in_path("redis-cli"),
            rabbitmq,
            in_path("epmd"),
            newest(Path::new(POSTGRESQL)),
        );
        if let (
            Some(redis_server),
            Some(redis_cli),
            Some(rabbitmq_server),
            Some(epmd),
            Some(postgresql),
        ) = found
        {
            return Ok(Self { redis_server, redis_cli, rabbitmq_server, epmd, postgresql });
        }
        let (redis_server, redis_cli, rabbitmq, epmd, postgresql) = found;
        let packages = [
            (redis_server.is_some() && redis_cli.is_some(), "redis-server"),
            (rabbitmq.is_some() && epmd.is_some(), "rabbitmq-server"),
            (postgresql.is_some(), "postgresql"),
        ];
        Err(packages.iter().filter(|(there, _)| !there).map(|(_, package)| *package).collect())
    }
}

/// The library that bends the clock of a process that it is loaded into. Installed if it is missing
/// and that needs no confirmation: on Debian, as root.
///
/// # Errors
/// When it is missing and cannot be installed; the message names what to install.
pub(crate) fn clock_library() -> Result<PathBuf> {
    let libraries = Path::new("/usr/lib");
    if clock_library_in(libraries).is_none() {
        packages::install(&["libfaketime"])?;
    }
    clock_library_in(libraries).context("the package libfaketime has no libfaketimeMT.so.1")
}

/// Debian puts it into the folder of the machine's architecture.
fn clock_library_in(libraries: &Path) -> Option<PathBuf> {
    let folders = fs::read_dir(libraries).ok()?;
    let files = folders.filter_map(|entry| {
        Some(entry.ok()?.path().join("faketime/libfaketimeMT.so.1")).filter(|file| file.is_file())
    });
    files.min()
}

/// The program folder of the highest version.
fn newest(folder: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(folder).ok()?.filter_map(|entry| {
        let entry = entry.ok()?;
        Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin")))
    });
    versions
        .filter(|(_, programs)| programs.join("initdb").is_file())
        .max()
        .map(|(_, programs)| programs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project;

    #[test]
    fn the_clock_library_is_found_whatever_the_architecture() -> Result<()> {
        let folder = project::scratch("clock-library-test")?;
        assert_eq!(clock_library_in(&folder), None);
        fs::create_dir_all(folder.join("python3"))?;
        let library = folder.join("riscv64-linux-gnu/faketime/libfaketimeMT.so.1");
        fs::create_dir_all(library.parent().expect("in a folder"))?;
        fs::write(&library, "")?;
        assert_eq!(clock_library_in(&folder), Some(library));
        Ok(())
    }

    #[test]
    fn the_newest_version_is_taken_by_its_number() -> Result<()> {
        let folder = project::scratch("install-test")?;
        assert_eq!(newest(&folder), None);
        for version in ["9", "15", "16", "common"] {
            fs::create_dir_all(folder.join(version).join("bin"))?;
        }
        // 16 lacks its server.
        for version in ["9", "15"] {
            fs::write(folder.join(version).join("bin/initdb"), "")?;
        }
        assert_eq!(newest(&folder), Some(folder.join("15/bin")));
        Ok(())
    }
}
