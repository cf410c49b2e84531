//! Files that operating systems add to the folders they show; they are not part of the content.

use crate::context::Context;

/// Whether macOS or Windows creates files of this name.
pub(crate) fn is_one(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.starts_with("._")
        || [".DS_Store", "Thumbs.db", "desktop.ini"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
}

/// Warns of these files. They do not affect the result.
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
