//! Rules of the project that the compiler does not check.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::servers;
use crate::project;
use crate::services::TEST_VARIABLES;

/// A file longer than this gives the reason, in a line that begins with [`REASON`].
const LINES_MAX: usize = 600;
const REASON: &str = "//! Long because ";

/// A crate outside the workspace.
const FUZZ: &str = "tools/fuzz";

/// Test files of the command line that mirror no verb, each with its reason.
const OTHER_TESTS: [(&str, &str); 15] = [
    ("addresses", "gives every verb an address of a service that is none"),
    ("crash", "kills nodes, whatever verb they were serving"),
    ("data_folder", "gives every verb a folder that is not a data folder, and rolls that clash"),
    ("damage", "flips bits in data folders, whatever verb reads them"),
    ("hostile_node", "answers with text that drives terminals"),
    ("hashgen_supplement", "checks supplements against the rolls that they build on"),
    ("integration_doc", "runs the examples of docs/integration.md as they stand"),
    ("interruption", "interrupts verbs that make files"),
    ("memory", "searches the memory of running nodes"),
    ("power", "cuts the power under nodes, and gives them bad disks"),
    ("readme", "runs the examples of README.md and docs/http-api.md as they stand"),
    ("demo_authorities", "runs the demo with several authorities"),
    ("snapshots", "starts nodes from snapshots, whatever verb needs them"),
    ("steady", "gives nodes full disks, lost log readers, signals and bad files"),
    ("terminal", "types at the prompts of verbs on a real terminal"),
];

/// The prefix of test files of the command line that need servers, whatever verbs they use.
const SERVICES: &str = "services_";

/// Without it the officials' offline build, which has no services engine, would not compile.
const SERVICES_ONLY: &str = "#![cfg(feature = \"services\")]";

/// Fails for every long source file without a reason.
pub(crate) fn check_lengths(root: &Path) -> Result<()> {
    let mut read = 0;
    let mut long = Vec::new();
    for file in sources(root)? {
        let text = fs::read_to_string(root.join(&file))
            .with_context(|| format!("reading {}", file.display()))?;
        read += 1;
        let lines = text.lines().count();
        if lines > LINES_MAX && !text.lines().any(|line| line.starts_with(REASON)) {
            long.push(format!("{}: {lines} lines", file.display()));
        }
    }
    ensure!(
        long.is_empty(),
        "over {LINES_MAX} lines without a line `{REASON}…`:\n  {}",
        long.join("\n  ")
    );
    println!("{read} files, none over {LINES_MAX} lines without a reason");
    Ok(())
}

/// Fails for every file in `votekit-cli/tests` without a verb: a renamed verb must not leave its
/// tests behind. Files that need servers must also be excluded from the offline build.
pub(crate) fn check_test_files(root: &Path) -> Result<()> {
    let tests = root.join("votekit-cli/tests");
    let commands = root.join("votekit-cli/src/commands");
    let mut forgotten = Vec::new();
    let mut count = 0;
    for file in project::files_below(&tests)? {
        // Only files at the top are test programs; folders contain shared code.
        if file.components().count() > 1
            || file.extension().is_none_or(|extension| extension != "rs")
        {
            continue;
        }
        count += 1;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(SERVICES) {
            let text = fs::read_to_string(tests.join(&file))?;
            ensure!(
                text.contains(SERVICES_ONLY),
                "votekit-cli/tests/{name}.rs needs servers, and lacks the line {SERVICES_ONLY}"
            );
            continue;
        }
        let verb = commands.join(format!("{name}.rs")).exists()
            || commands.join(&name).join("mod.rs").exists();
        if !verb && !OTHER_TESTS.iter().any(|(other, _)| *other == name) {
            forgotten.push(format!("votekit-cli/tests/{name}.rs"));
        }
    }
    ensure!(
        forgotten.is_empty(),
        "these test files mirror no verb in votekit-cli/src/commands:\n  {}",
        forgotten.join("\n  ")
    );
    println!("{count} test files of the command line, each with its verb or its reason");
    Ok(())
}

/// Fails for every file beside the `main.rs` of a test program that no `mod` of it declares: its
/// cases would not run, and nothing else would report it.
pub(crate) fn check_declared(root: &Path) -> Result<()> {
    let mut forgotten = Vec::new();
    let mut count = 0;
    for member in project::crate_folders(root)? {
        let tests = Path::new(&member).join("tests");
        let files = project::files_below(&root.join(&tests))?;
        let is_main = |file: &&PathBuf| file.components().count() == 2 && file.ends_with("main.rs");
        for main in files.iter().filter(is_main) {
            let text = fs::read_to_string(root.join(&tests).join(main))?;
            let beside = files.iter().filter(|file| file.parent() == main.parent());
            for file in beside.filter(|file| *file != main) {
                let stem = file.file_stem().unwrap_or_default().to_string_lossy();
                if file.extension().is_none_or(|extension| extension != "rs") {
                    continue;
                }
                count += 1;
                if !text.lines().any(|line| line == format!("mod {stem};")) {
                    forgotten.push(tests.join(file).display().to_string());
                }
            }
        }
    }
    ensure!(
        forgotten.is_empty(),
        "the main.rs beside these files declares no module for them:\n  {}",
        forgotten.join("\n  ")
    );
    println!("{count} files of test programs, each declared in its main.rs");
    Ok(())
}

/// Fails for every test program that needs servers but lacks the prefix in its name: without
/// servers it would not be left out, and fail.
pub(crate) fn check_names_of_wanting(root: &Path) -> Result<()> {
    let mut misnamed = Vec::new();
    let mut count = 0;
    for (package, prefix) in servers::WANTING {
        let tests = root.join(package).join("tests");
        let mut texts = Vec::new();
        for file in project::files_below(&tests)? {
            if file.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(tests.join(&file))?;
                texts.push((file, text));
            }
        }
        let wants = |text: &str| TEST_VARIABLES.iter().any(|variable| text.contains(variable));
        // Shared modules that need servers, by the names used to import them: `mod redis;` and
        // `support::redis`.
        let shared: Vec<String> = texts
            .iter()
            .filter(|(file, text)| file.components().count() > 1 && wants(text))
            .filter_map(|(file, _)| shared_name(file))
            .collect();
        let uses = |text: &str| {
            shared.iter().any(|name| {
                let module = name.rsplit("::").next().unwrap_or(name);
                text.contains(&format!("mod {module};")) || text.contains(&format!("use {name}"))
            })
        };
        for (file, text) in texts.iter().filter(|(file, _)| file.components().count() == 1) {
            let name = file.to_string_lossy();
            if wants(text) || uses(text) {
                count += 1;
                if !name.starts_with(prefix) {
                    misnamed.push(format!(
                        "{package}/tests/{name}: its name should begin with {prefix}"
                    ));
                }
            }
        }
    }
    ensure!(
        misnamed.is_empty(),
        "these test files need servers, but their names do not show it:\n  {}",
        misnamed.join("\n  ")
    );
    println!("{count} test files need servers, and all their names show it");
    Ok(())
}

/// `support/redis.rs` is `support::redis`; `rabbitmq/server.rs` and `rabbitmq/mod.rs` are
/// `rabbitmq`.
fn shared_name(file: &Path) -> Option<String> {
    let folder = file.parent()?.to_str()?;
    let stem = file.file_stem()?.to_str()?;
    Some(if folder == "support" && stem != "mod" {
        format!("{folder}::{stem}")
    } else {
        folder.to_owned()
    })
}

/// Every Rust source of the project, without build output.
pub(super) fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in project::crate_folders(root)?.into_iter().chain([FUZZ.to_owned()]) {
        let files = project::files_below(&root.join(&folder))?;
        let rust = files
            .into_iter()
            .filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
        found.extend(
            rust.filter(|file| !file.starts_with("target"))
                .map(|file| Path::new(&folder).join(file)),
        );
    }
    // A crate may lie in the folder of another.
    found.sort();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) -> Result<()> {
        let path = root.join(file);
        fs::create_dir_all(path.parent().expect("a file has a folder"))?;
        Ok(fs::write(path, text)?)
    }

    #[test]
    fn a_long_file_needs_a_reason() -> Result<()> {
        let root = project::scratch("sources-test/long")?;
        fs::write(root.join("Cargo.toml"), "members = [\"votekit-core\"]")?;
        let long = "fn main() {}\n".repeat(LINES_MAX + 1);
        write(&root, "votekit-core/src/reasoned.rs", &format!("{REASON}it is one table.\n{long}"))?;
        write(&root, "tools/fuzz/target/made.rs", &long)?;
        check_lengths(&root)?;
        write(&root, "votekit-core/src/long.rs", &long)?;
        let error = check_lengths(&root).expect_err("too long").to_string();
        assert!(
            error.contains("votekit-core/src/long.rs: 601 lines") && !error.contains("reasoned"),
            "{error}"
        );
        Ok(())
    }

    #[test]
    fn test_files_that_need_servers_have_the_prefix() -> Result<()> {
        let root = project::scratch("sources-test/wanting")?;
        let asks = format!("std::env::var(\"{}\")", TEST_VARIABLES[0]);
        for (file, text) in [
            ("votekit-cli/tests/support/redis.rs", asks.as_str()),
            ("votekit-cli/tests/support/mod.rs", "mod redis;"),
            ("votekit-cli/tests/services_load.rs", "mod support;\nuse support::redis::registry;"),
            ("votekit-cli/tests/load.rs", "mod support;\nuse support::TestDir;"),
            ("votekit-store/tests/rabbitmq/mod.rs", asks.as_str()),
            ("votekit-store/tests/services_rabbitmq.rs", "mod rabbitmq;"),
            ("tools/xtask/tests/services.rs", asks.as_str()),
        ] {
            write(&root, file, text)?;
        }
        check_names_of_wanting(&root)?;
        write(
            &root,
            "votekit-cli/tests/registry.rs",
            "mod support;\nuse support::redis::registry;",
        )?;
        write(&root, "votekit-store/tests/queues.rs", "mod rabbitmq;")?;
        write(&root, "votekit-node/tests/direct.rs", &asks)?;
        let error = check_names_of_wanting(&root).expect_err("three say nothing").to_string();
        for (file, prefix) in [
            ("votekit-cli/tests/registry.rs", "services_"),
            ("votekit-store/tests/queues.rs", "services_"),
            ("votekit-node/tests/direct.rs", "services_"),
        ] {
            assert!(
                error.contains(&format!("{file}: its name should begin with {prefix}")),
                "{error}"
            );
        }
        assert!(!error.contains("load.rs"), "{error}");
        Ok(())
    }

    #[test]
    fn the_project_keeps_its_own_rules() -> Result<()> {
        check_lengths(project::root())?;
        check_test_files(project::root())?;
        check_declared(project::root())?;
        check_names_of_wanting(project::root())
    }

    #[test]
    fn a_file_of_a_test_program_is_declared() -> Result<()> {
        let root = project::scratch("sources-test/declared")?;
        write(&root, "Cargo.toml", "members = [\"votekit-http\"]")?;
        write(&root, "votekit-http/tests/suite/main.rs", "//! All.\n\nmod pages;\n")?;
        write(&root, "votekit-http/tests/suite/pages.rs", "")?;
        write(&root, "votekit-http/tests/suite/page.txt", "")?;
        write(&root, "votekit-http/tests/support/mod.rs", "")?;
        check_declared(&root)?;
        write(&root, "votekit-http/tests/suite/page.rs", "")?;
        let error = check_declared(&root).expect_err("forgotten").to_string();
        assert!(error.ends_with("  votekit-http/tests/suite/page.rs"), "{error}");
        Ok(())
    }

    #[test]
    fn a_test_file_needs_a_verb() -> Result<()> {
        let root = project::scratch("sources-test/verbs")?;
        for file in [
            "src/commands/load.rs",
            "src/commands/roll/mod.rs",
            "tests/load.rs",
            "tests/roll.rs",
            "tests/support/mod.rs",
        ] {
            write(&root, &format!("votekit-cli/{file}"), "")?;
        }
        write(&root, "votekit-cli/tests/services_load.rs", SERVICES_ONLY)?;
        check_test_files(&root)?;
        write(&root, "votekit-cli/tests/services_load.rs", "")?;
        let error =
            check_test_files(&root).expect_err("compiled into the offline build").to_string();
        assert!(error.contains("services_load.rs needs servers"), "{error}");
        fs::remove_file(root.join("votekit-cli/tests/services_load.rs"))?;
        write(&root, "votekit-cli/tests/unload.rs", "")?;
        let error = check_test_files(&root).expect_err("no such verb").to_string();
        assert!(error.ends_with("votekit-cli/tests/unload.rs"), "{error}");
        Ok(())
    }
}
