//! Debian packages: installed where that needs no confirmation, on Debian as root.

use std::env;
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// While this file exits with 101, Debian's packages start no service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// The file of a program.
pub(crate) fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Installs packages.
///
/// # Errors
/// When this is not Debian, or not root; the message names what to install.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let packages_text = packages.join(" ");
    ensure!(
        rustix::process::geteuid().is_root() && in_path("apt-get").is_some(),
        "no {packages_text}: on Debian, apt-get install --no-install-recommends {packages_text}"
    );
    println!("installing {packages_text}");
    let _policy = Policy::hold()?;
    // A stale package list may still do.
    let _ = apt(&["update"]);
    let installed = apt(&[&["install", "--yes", "--no-install-recommends"], packages].concat())?;
    ensure!(
        installed,
        "{packages_text} could not be installed: apt-get install --no-install-recommends \
         {packages_text} says why"
    );
    Ok(())
}

fn apt(arguments: &[&str]) -> Result<bool> {
    let mut command = Command::new("apt-get");
    // Killed in the middle, it would leave a broken package.
    childguard::unmark(&mut command);
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    Ok(command.status().context("starting apt-get")?.success())
}

/// Keeps packages from starting their services while it lives. Leaves an existing policy as it is.
struct Policy {
    ours: bool,
}

impl Policy {
    fn hold() -> Result<Self> {
        use std::io::Write as _;
        match fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(POLICY) {
            Ok(mut file) => {
                file.write_all(b"#!/bin/sh\nexit 101\n")?;
                Ok(Self { ours: true })
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Ok(Self { ours: false })
            }
            Err(error) => Err(error).context(POLICY),
        }
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if self.ours {
            // A file left behind would keep services from starting; its content shows what it does.
            let _ = fs::remove_file(POLICY);
        }
    }
}
