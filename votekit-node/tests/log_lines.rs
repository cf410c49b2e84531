//! docs/operations.md lists every log line of level `INFO` and above, and none that is never
//! written.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn the_manual_lists_the_log_lines_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut written = BTreeSet::new();
    messages(&root.join("src"), &mut written);
    messages(&root.join("../votekit-store/src"), &mut written);
    messages(&root.join("../votekit-http/src"), &mut written);
    messages(&root.join("../votekit-cli/src"), &mut written);
    assert!(written.len() > 40, "{written:?}");
    let manual = fs::read_to_string(root.join("../docs/operations.md")).expect("the manual");
    let (_, table) = manual.split_once("**Log lines.**").expect("the chapter");
    let (table, _) = table.split_once("No line holds").expect("its end");
    let rows = table.lines().filter(|line| {
        line.starts_with("| ") && !line.starts_with("| line") && !line.starts_with("| ---")
    });
    let listed: BTreeSet<&str> = rows
        .filter_map(|row| row[2..].split(" | ").next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    for message in &written {
        assert!(
            listed.iter().any(|line| message.starts_with(line)),
            "not in the manual: {message}"
        );
    }
    for line in listed {
        assert!(written.iter().any(|message| message.starts_with(line)), "never written: {line}");
    }
}

/// Collects the messages of every source file below a folder.
fn messages(folder: &Path, written: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            messages(&path, written);
        } else {
            let text = fs::read_to_string(&path).expect("a source file");
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("\" )", "\")");
            for level in ["tracing::info!(", "tracing::warn!(", "tracing::error!("] {
                // The message is the last argument of a call.
                let calls = text.split(level).skip(1).filter_map(|rest| rest.split("\")").next());
                let literals = calls.filter_map(|call| call.rsplit('"').next());
                written.extend(
                    literals.filter(|message| !message.starts_with('{')).map(str::to_owned),
                );
            }
            let waits =
                text.split("until_definite(\"").skip(1).filter_map(|rest| rest.split('"').next());
            written.extend(waits.map(|what| format!("{what} waits")));
        }
    }
}
