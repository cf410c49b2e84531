//! The programs that tests call in addition to cargo's own: found, installed, or reported as
//! missing.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::packages;

/// Each with its Debian package.
const TOOLS: [(&str, &str); 3] = [("curl", "curl"), ("openssl", "openssl"), ("python3", "python3")];

/// Verifies that every tool exists. Installs missing tools where that needs no confirmation: on
/// Debian, as root.
pub(crate) fn check() -> Result<()> {
    let missing: Vec<&str> =
        TOOLS.iter().filter(|(tool, _)| !is_there(tool)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    packages::install(&missing)
}

fn is_there(tool: &str) -> bool {
    Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}
