//! Runs the real binary in a temporary folder.

// Each test file is a separate crate and uses only a part of this.
#![allow(dead_code)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

#[cfg(feature = "node")]
pub(crate) mod authenticator;
#[cfg(feature = "node")]
pub(crate) mod casting;
#[cfg(feature = "node")]
pub(crate) mod examples;
#[cfg(feature = "node")]
pub(crate) mod http;
#[cfg(feature = "node")]
pub(crate) mod node;
#[cfg(feature = "node")]
pub(crate) mod poll;
#[cfg(feature = "node")]
pub(crate) mod process_memory;
#[cfg(feature = "services")]
pub(crate) mod redis;
#[cfg(feature = "services")]
pub(crate) mod services;

/// Makes a file unreadable by other accounts, as a node requires of its keys.
pub(crate) fn private(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("set");
}

/// A folder that is removed after the test.
pub(crate) struct TestDir(TempDir);

/// Variables with the services of the person who runs the tests: removed, since a test names its
/// own.
pub(crate) const SERVICES: [&str; 3] = ["VOTEKIT_REGISTRY", "VOTEKIT_BALLOT_BOX", "VOTEKIT_LEDGER"];

/// Result of a run.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Asserts the exit code and that standard error contains each text.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        for text in texts {
            assert!(self.stderr.contains(text), "no {text:?} in: {}", self.stderr);
        }
    }

    /// Asserts exit code 0 and returns standard output.
    #[track_caller]
    pub(crate) fn succeeds(&self) -> &str {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        &self.stdout
    }

    /// Asserts exit code 0 and returns standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.succeeds()).expect("JSON on standard output")
    }
}

impl TestDir {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).expect("a writable temporary folder");
        path
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Names in the folder, including hidden ones, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        names_in(self.0.path())
    }

    /// Makes the key of an official, in a file of this name. Returns its public half.
    pub(crate) fn official_key(&self, name: &str) -> String {
        let official = format!("elections.example/{name}");
        let made = self.run(&["manifest", "keygen", "--name", &official, "-o", name]);
        made.succeeds().trim().to_owned()
    }

    /// Runs `votekit` in the folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with_input(arguments, b"")
    }

    /// Runs `votekit` in the folder with standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_votekit"));
        command.args(arguments);
        self.finish(command, input)
    }

    /// Runs `votekit` in the folder, on a disk that can fail.
    pub(crate) fn run_from(&self, disk: &faultdisk::FaultDisk, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_votekit"));
        disk.apply(command.args(arguments));
        self.finish(command, b"")
    }

    /// Runs a line of shell in the folder, where `"$VOTEKIT"` is the binary.
    pub(crate) fn shell(&self, line: &str) -> Outcome {
        let mut command = Command::new("sh");
        command.args(["-c", line]).env("VOTEKIT", env!("CARGO_BIN_EXE_votekit"));
        self.finish(command, b"")
    }

    fn finish(&self, mut command: Command, input: &[u8]) -> Outcome {
        for variable in SERVICES {
            command.env_remove(variable);
        }
        command
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = childguard::guard(&mut command).spawn().expect("the command starts");
        let mut stdin = child.stdin.take().expect("piped");
        // A command that fails early does not read its input.
        let _ = stdin.write_all(input);
        drop(stdin);
        let output = child.wait_with_output().expect("the command ends");
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Names in a folder, sorted.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    names
}

/// Path of a file in the project's `fixtures/`.
pub(crate) fn fixture(name: &str) -> String {
    format!("{}/../fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Permission bits of a file.
pub(crate) fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}
