//! Builds the preloaded library, for tests that need it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::error::DiskError;

/// The preloaded library; cargo builds it if it is out of date. A process builds it once.
///
/// # Errors
/// [`DiskError::Preload`] when cargo fails.
pub fn preload_library() -> Result<PathBuf, DiskError> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(build).clone().map_err(|reason| DiskError::Preload { reason })
}

fn build() -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--quiet",
        "--package",
        "faultdisk-preload",
        "--message-format",
        "json-render-diagnostics",
    ]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    // Cargo sets variables about the test's own package; build scripts that watch them would rerun.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    let output = command.output().map_err(|error| format!("cargo does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo build failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let messages = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok());
    messages
        .filter_map(|message| library_of(&message))
        .next_back()
        .ok_or_else(|| "cargo built no library".to_owned())
}

/// The path in cargo's message about the library; `None` for any other message.
fn library_of(message: &serde_json::Value) -> Option<PathBuf> {
    if message["reason"] != "compiler-artifact" || message["target"]["name"] != "faultdisk_preload"
    {
        return None;
    }
    message["filenames"]
        .as_array()?
        .iter()
        .filter_map(|name| name.as_str())
        .find(|name| name.ends_with(".so"))
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn message(reason: &str, target: &str, files: &[&str]) -> Value {
        json!({"reason": reason, "target": {"name": target}, "filenames": files})
    }

    #[test]
    fn only_the_message_about_the_library_names_its_path() {
        let files = ["/target/libfaultdisk_preload.rlib", "/target/libfaultdisk_preload.so"];
        let found = library_of(&message("compiler-artifact", "faultdisk_preload", &files));
        assert_eq!(found, Some(PathBuf::from(files[1])));
        for other in [
            message("build-finished", "faultdisk_preload", &files),
            message("compiler-artifact", "faultdisk", &files),
            message("compiler-artifact", "faultdisk_preload", &files[..1]),
            json!({"reason": "build-finished", "success": true}),
        ] {
            assert_eq!(library_of(&other), None, "{other}");
        }
    }
}
