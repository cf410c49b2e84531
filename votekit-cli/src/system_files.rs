//! Files that operating systems put into folders they show: no part of what a folder holds.

use crate::context::Context;

/// Whether macOS or Windows makes files of this name by itself.
pub(crate) fn is_one(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.starts_with("._")
        || [".DS_Store", "Thumbs.db", "desktop.ini"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
}

/// Says what these files are. They change no verdict.
pub(crate) fn warn(context: &Context, names: &[String]) {
    for name in names {
        context
            .output
            .warning(format_args!("{name} was put there by the operating system; delete it"));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn files_of_macos_and_windows_are_known_by_name() {
        for name in
            [".DS_Store", "manifests/.DS_Store", "._L1.0001.json", "Thumbs.db", "Desktop.ini"]
        {
            assert!(super::is_one(name), "{name}");
        }
        for name in ["DS_Store", "a._b", "leaves.jsonl", ".hidden", "Thumbs.db.json"] {
            assert!(!super::is_one(name), "{name}");
        }
    }
}
