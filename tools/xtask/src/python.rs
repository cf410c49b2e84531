//! Python: it runs tools of the tests, and is part of no binary.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::packages;

/// A Python command without input.
pub(crate) fn python(arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Installs Debian packages unless Python can import a module that comes with them.
///
/// # Errors
/// When they cannot be installed.
pub(crate) fn require_module(module: &str, debian: &[&str]) -> Result<()> {
    let imported = python(&["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
    if imported.is_ok_and(|ended| ended.success()) {
        return Ok(());
    }
    packages::install(debian)
}
