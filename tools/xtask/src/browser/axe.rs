//! axe-core, which finds faults of accessibility in a page. It comes in a Python package, and is
//! part of no binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::project;
use crate::python::{python, require_module};

const PACKAGE: &str = "axe-playwright-python==0.1.8";

/// Its path in the package.
const FILE: &str = "axe_playwright_python/axe.min.js";

/// Its digest: axe-core 4.12.1 as its own project publishes it, and a line feed.
const SHA256: &str = "84494fec757e4710dc751c8d7a636e457f4532f08f85c86dc9070133fbff53bc";

/// The file of an earlier run; if there is none, downloads it.
///
/// # Errors
/// When it cannot be downloaded, or differs from the expected file.
pub(super) fn find_or_download() -> Result<PathBuf> {
    let kept = project::target_dir()?.join("xtask-files/axe").join(FILE);
    if kept.exists() && digest(&kept)? == SHA256 {
        return Ok(kept);
    }
    let folder = project::scratch("axe")?;
    download(&folder)?;
    let file = folder.join(FILE);
    let digest = digest(&file)?;
    ensure!(digest == SHA256, "{PACKAGE} has another {FILE}: {digest}");
    Ok(file)
}

/// Downloads the package, runs nothing of it, and unpacks it.
fn download(folder: &Path) -> Result<()> {
    require_module("pip", &["python3", "python3-pip"])?;
    let mut download = python(&["-m", "pip", "download", "--quiet", "--disable-pip-version-check"]);
    download.args(["--no-input", "--no-deps", "--only-binary", ":all:", "--dest"]);
    project::succeed(download.arg(folder).arg(PACKAGE))?;
    let mut unpack = python(&["-m", "zipfile", "--extract"]);
    project::succeed(unpack.arg(wheel(folder)?).arg(folder))
}

/// The one file that pip has downloaded.
fn wheel(folder: &Path) -> Result<PathBuf> {
    let entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    let [entry] = &entries[..] else {
        anyhow::bail!("pip has downloaded {} files, not one", entries.len())
    };
    Ok(entry.path())
}

/// The SHA-256 of a file, in hexadecimal digits.
fn digest(file: &Path) -> Result<String> {
    let mut command = Command::new("sha256sum");
    let output = command.arg(file).output().context("starting sha256sum")?;
    ensure!(output.status.success(), "{} failed: {}", project::words(&command), output.status);
    let line = String::from_utf8(output.stdout)?;
    let digest = line.split_whitespace().next().context("sha256sum printed nothing")?;
    Ok(digest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_the_content() -> Result<()> {
        let folder = project::scratch("axe-test")?;
        let file = folder.join("empty");
        fs::write(&file, "")?;
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest(&file)?, empty);
        assert!(digest(&folder.join("none")).is_err());
        assert_eq!(wheel(&folder)?, file);
        fs::write(folder.join("second"), "")?;
        assert!(wheel(&folder).is_err());
        Ok(())
    }
}
