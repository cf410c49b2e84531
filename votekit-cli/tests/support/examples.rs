//! Runs the examples of a document unchanged, in order, and compares their output with the answers
//! shown.
//!
//! The words after a block's fence state its kind:
//!
//! | block | what happens |
//! | --- | --- |
//! | `sh run` | is run; one shell runs them all, so that variables persist |
//! | `sh node`, `sh set` | starts a node, or sets variables: each test has its own |
//! | `text answer`, `json answer` | expected output of the block before; `…` matches anything |
//!
//! Any other block is not run.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::TestDir;

/// Marks the end of a block's output.
const END_OF_BLOCK: &str = "--- end of the block ---";

/// The text of a document of the project.
pub(crate) fn document(name: &str) -> String {
    let path = format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A fenced block of a document.
pub(crate) struct Block<'a> {
    document: &'a str,
    pub(crate) info: &'a str,
    /// Line of its fence, from 1.
    line: usize,
    pub(crate) text: String,
}

impl Block<'_> {
    pub(crate) fn place(&self) -> String {
        format!("{}, line {}", self.document, self.line)
    }

    /// The names of the variables that a block sets, one a line.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.text.lines().map(move |line| {
            let (name, _) = line
                .split_once('=')
                .unwrap_or_else(|| panic!("{}: '{line}' sets nothing", self.place()));
            name
        })
    }
}

/// The blocks of a document of this name.
pub(crate) fn blocks<'a>(document: &'a str, text: &'a str) -> Vec<Block<'a>> {
    let mut blocks = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for (index, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => {
                open = Some(Block { document, info, line: index + 1, text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "the last block of {document} is not closed");
    blocks
}

/// The examples of one document.
pub(crate) struct Examples<'a> {
    shell: Shell<'a>,
    printed: String,
    run: u32,
    compared: u32,
}

impl<'a> Examples<'a> {
    pub(crate) fn start(folder: &'a ExampleFolder) -> Self {
        let curl = Command::new("curl").arg("--version").output();
        assert!(
            curl.is_ok_and(|output| output.status.success()),
            "curl is not on this machine, and the examples are made with it: install the package \
             'curl'"
        );
        Self { shell: Shell::start(folder), printed: String::new(), run: 0, compared: 0 }
    }

    /// Runs a block, or compares it with the output of the block before.
    pub(crate) fn follow(&mut self, block: &Block<'_>) {
        let printed = &self.printed;
        match block.info {
            "sh run" => {
                self.printed = self.shell.run(&block.place(), &block.text);
                self.run += 1;
            }
            "text answer" => {
                assert!(
                    fits(block.text.trim(), printed.trim()),
                    "{} shows\n{}\nprinted:\n{printed}",
                    block.place(),
                    block.text
                );
                self.compared += 1;
            }
            "json answer" => {
                let read = |text: &str| -> Value {
                    serde_json::from_str(text)
                        .unwrap_or_else(|error| panic!("{}: {error} in\n{text}", block.place()))
                };
                if let Some(difference) =
                    difference(&read(&block.text), &read(printed), "the answer")
                {
                    panic!("{}: {difference}\nprinted:\n{printed}", block.place());
                }
                self.compared += 1;
            }
            _ => {}
        }
    }

    /// Runs a script of the test itself.
    pub(crate) fn evaluate(&mut self, script: &str) -> String {
        self.shell.run("a script of the test", script)
    }

    /// Asserts the minimum numbers of blocks run and of answers compared: a block whose fence lost
    /// its words would be skipped.
    #[track_caller]
    pub(crate) fn assert_counts(&self, run: u32, compared: u32) {
        assert!(
            self.run >= run && self.compared >= compared,
            "{} blocks run, {} answers compared: do the fences still state the kinds?",
            self.run,
            self.compared
        );
    }
}

/// Whether a text matches the one shown, where `…` stands for anything, including line breaks.
pub(crate) fn fits(shown: &str, found: &str) -> bool {
    let mut pieces = shown.split('…');
    let Some(mut rest) = pieces.next().and_then(|first| found.strip_prefix(first)) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

/// Returns the first difference between a JSON value shown and the one found. Text is matched by
/// [`fits`], the text `…` matches any value, and a member named `…` allows further members.
pub(crate) fn difference(shown: &Value, found: &Value, place: &str) -> Option<String> {
    match (shown, found) {
        (Value::String(shown), _) if shown == "…" => None,
        (Value::String(shown), Value::String(found)) if fits(shown, found) => None,
        (Value::Array(shown), Value::Array(found)) if shown.len() == found.len() => {
            let pairs = shown.iter().zip(found).enumerate();
            pairs.into_iter().find_map(|(index, (shown, found))| {
                difference(shown, found, &format!("{place}[{index}]"))
            })
        }
        (Value::Object(shown), Value::Object(found)) => {
            let unshown =
                found.keys().find(|key| !shown.contains_key(*key) && !shown.contains_key("…"));
            if let Some(key) = unshown {
                return Some(format!("{place}.{key} is not shown"));
            }
            shown.iter().filter(|(key, _)| *key != "…").find_map(|(key, value)| {
                let place = format!("{place}.{key}");
                found.get(key).map_or_else(
                    || Some(format!("{place} is missing")),
                    |found| difference(value, found, &place),
                )
            })
        }
        _ if shown == found => None,
        _ => Some(format!("{place} is {found}, the document shows {shown}")),
    }
}

/// The folder of the examples, and a separate one for the test's own files.
pub(crate) struct ExampleFolder {
    pub(crate) dir: TestDir,
    test_files: TempDir,
}

impl ExampleFolder {
    /// Runs the examples in a folder that may contain files already.
    pub(crate) fn new(dir: TestDir) -> Self {
        let test_files = TempDir::new().expect("a temporary folder");
        // curl reports errors, and no call can hang forever.
        fs::write(test_files.path().join(".curlrc"), "show-error\nmax-time = 60\n")
            .expect("a writable folder");
        Self { dir, test_files }
    }

    /// A file of the test itself.
    pub(crate) fn test_file(&self, name: &str) -> PathBuf {
        self.test_files.path().join(name)
    }

    /// A POSIX shell in the folder, with `votekit` on its path.
    pub(crate) fn command(&self) -> Command {
        let built =
            Path::new(env!("CARGO_BIN_EXE_votekit")).parent().expect("a binary lies in a folder");
        let mut path = OsString::from(built);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command
            .current_dir(self.dir.path(""))
            .env("PATH", path)
            .env("CURL_HOME", self.test_files.path());
        // The node is local: no proxy of this machine applies.
        command.env("NO_PROXY", "*").env("no_proxy", "*");
        command
    }
}

/// One shell for all examples.
struct Shell<'a> {
    folder: &'a ExampleFolder,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl<'a> Shell<'a> {
    fn start(folder: &'a ExampleFolder) -> Self {
        let stderr = File::create(folder.test_file("stderr")).expect("a writable folder");
        let mut command = folder.command();
        command.arg("-eu").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = childguard::guard(&mut command).spawn().expect("a shell starts");
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Self { folder, child, stdin, stdout }
    }

    /// Runs a script to its end and returns its standard output. A failing command fails the test.
    fn run(&mut self, place: &str, text: &str) -> String {
        let script = self.folder.test_file("block.sh");
        fs::write(&script, text).expect("a writable folder");
        // Read from a file, so that no command in it consumes the shell's own input.
        writeln!(
            self.stdin,
            "{{ . '{}'; }} </dev/null\nprintf '\\n%s\\n' '{END_OF_BLOCK}'",
            script.display()
        )
        .expect("the shell reads its input");
        let mut printed = String::new();
        loop {
            let before = printed.len();
            let read = self.stdout.read_line(&mut printed).expect("the examples print text");
            if printed[before..].trim_end() == END_OF_BLOCK {
                printed.truncate(before);
                return printed.strip_suffix('\n').unwrap_or(&printed).to_owned();
            }
            if read == 0 {
                let stderr =
                    fs::read_to_string(self.folder.test_file("stderr")).unwrap_or_default();
                panic!("{place} failed:\n{text}\nprinted:\n{printed}\nerrors:\n{stderr}");
            }
        }
    }
}

impl Drop for Shell<'_> {
    fn drop(&mut self) {
        // An error means that the shell has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
