//! The disk space of a run: enough at its beginning, and how much each check adds.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::project;

/// The disk space that a run in a clean checkout needs, with a margin: the build output of the last
/// measured run, and the temporary files, including those of the servers. The last row of a run's
/// table shows the measurement.
const NEEDED: u64 = 10 * GIB;

/// The part that must be free whatever the target folder contains: an old build does not spare the
/// new one its links.
const FREE_MIN: u64 = 2 * GIB;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// Prints the free space, and fails if a run would fill the disk.
pub(crate) fn check() -> Result<()> {
    let target = project::target_dir()?;
    let disk = rustix::fs::statvfs(&target)
        .with_context(|| format!("measuring the disk of {}", target.display()))?;
    let (free, used) = (disk.f_bavail * disk.f_frsize, used(&target));
    println!("{} has {} MiB; {} MiB are free on its disk", target.display(), mib(used), mib(free));
    if free.saturating_add(used) < NEEDED {
        println!(
            "a run in a clean checkout needs about {} MiB: this one may run out of space; old \
             builds are removed by cargo clean",
            mib(NEEDED)
        );
    }
    ensure!(
        is_enough(free),
        "too little disk space for all checks: {} MiB are free, at least {} MiB must be. Make \
         room, or remove old builds: cargo clean",
        mib(free),
        mib(FREE_MIN)
    );
    Ok(())
}

fn is_enough(free: u64) -> bool {
    free >= FREE_MIN
}

/// The bytes that the files below a folder occupy. Cargo makes hard links to its outputs, so each
/// file counts once. Files that are removed during the count do not count.
pub(crate) fn used(folder: &Path) -> u64 {
    let mut seen = BTreeSet::new();
    let mut bytes = 0;
    let mut pending = vec![folder.to_owned()];
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() {
                pending.push(entry.path());
            } else if found.nlink() == 1 || seen.insert((found.dev(), found.ino())) {
                bytes += found.blocks() * 512;
            }
        }
    }
    bytes
}

/// A number of bytes in MiB, rounded up.
pub(crate) const fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_space_must_be_free() {
        assert!(is_enough(FREE_MIN));
        assert!(!is_enough(FREE_MIN - 1));
    }

    #[test]
    fn a_file_with_two_names_counts_once() -> Result<()> {
        let folder = project::scratch("disk-test")?;
        fs::create_dir(folder.join("inner"))?;
        fs::write(folder.join("inner/one"), vec![1; 3 << 20])?;
        let once = used(&folder);
        assert!(once >= 3 << 20, "{once}");
        fs::hard_link(folder.join("inner/one"), folder.join("two"))?;
        assert_eq!(used(&folder), once);
        assert_eq!(used(&folder.join("missing")), 0);
        Ok(())
    }
}
