//! A program under the preloaded library: synced changes survive a power cut, unsynced ones may be
//! lost in any way.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use faultdisk::{CutReport, FaultDisk, Faults};
use tempfile::TempDir;

/// A disk in a temporary folder.
struct Bench {
    folder: TempDir,
    disk: FaultDisk,
}

/// A program on the disk, killed on drop.
struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let library = faultdisk::preload_library().expect("it builds");
        let disk =
            FaultDisk::new(&folder.path().join("root"), &folder.path().join("state"), &library)
                .expect("a disk");
        Self { folder, disk }
    }

    fn program(&self) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_faultdisk-script"));
        self.disk.apply(&mut command);
        command.current_dir(self.disk.root()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let (input, output) = (
            child.stdin.take().expect("piped"),
            BufReader::new(child.stdout.take().expect("piped")),
        );
        Program { child, input, output }
    }

    /// Runs commands that must all succeed, then kills the program.
    fn run(&self, lines: &[&str]) {
        let mut program = self.program();
        lines.iter().for_each(|line| program.ok(line));
    }

    fn lose(&self) -> CutReport {
        self.disk.lose_everything_unsynced().expect("cut")
    }

    /// Every file with its content run-length encoded (letters with their counts), sorted.
    fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(self.disk.root(), self.disk.root(), &mut found);
        found.sort();
        found
    }
}

impl Program {
    fn answer(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").expect("it reads");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("it answers");
        answer.trim_end().to_owned()
    }

    #[track_caller]
    fn ok(&mut self, line: &str) {
        assert_eq!(self.answer(line), "ok", "{line}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn list(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path())
    {
        let name = entry.strip_prefix(root).expect("below").display().to_string();
        if entry.is_dir() {
            found.push(format!("{name}/"));
            list(root, &entry, found);
        } else {
            found.push(format!("{name} {}", in_short(&fs::read(&entry).expect("a file"))));
        }
    }
}

fn in_short(bytes: &[u8]) -> String {
    let runs = bytes.chunk_by(|a, b| a == b);
    runs.map(|run| format!("{}{}", if run[0] == 0 { '0' } else { char::from(run[0]) }, run.len()))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn synced_writes_survive_a_cut_and_unsynced_ones_are_lost() {
    let bench = Bench::new();
    fs::write(bench.disk.root().join("old"), "oooooooooo").expect("written");
    bench.run(&[
        "write kept 0 a 1000",
        "sync kept",
        "write kept 500 b 1000",
        "write lost 0 c 10",
        "sync .",
        "write old 2 x 3",
        "append old y 20",
        "resize kept 100",
        "write late 0 d 5",
        "sync late",
    ]);
    assert_eq!(
        bench.files(),
        ["kept a100", "late d5", "lost c10", "old o2 x3 o5 y20"],
        "a kill alone loses nothing"
    );
    let report = bench.lose();
    // The bytes of `late` were synced, its name was not.
    assert_eq!(bench.files(), ["kept a1000", "lost ", "old o10"]);
    assert_eq!(
        (report.changes().dropped, report.changes().kept, report.names.dropped),
        (5, 0, 1),
        "{report}"
    );
    assert_eq!(bench.lose(), CutReport::default(), "what is there after a cut is durable");
}

#[test]
fn names_go_back_until_their_folder_is_synced() {
    let bench = Bench::new();
    bench.run(&[
        "mkdir folder",
        "write folder/a 0 a 1",
        "write folder/b 0 b 1",
        "sync folder/a",
        "sync folder/b",
    ]);
    bench.run(&["sync folder", "sync ."]);
    let durable = ["folder/", "folder/a a1", "folder/b b1"];
    bench.run(&["rename folder/a folder/b"]);
    assert_eq!(bench.files(), ["folder/", "folder/b a1"]);
    bench.lose();
    assert_eq!(bench.files(), durable, "the file that was replaced is back");
    bench.run(&[
        "remove folder/a",
        "remove folder/b",
        "rmdir folder",
        "mkdir folder",
        "write folder/c 0 c 1",
    ]);
    bench.lose();
    assert_eq!(bench.files(), durable);
    bench.run(&[
        "rename folder/a folder/c",
        "sync folder",
        "rename folder moved",
        "link moved/b moved/d",
        "remove moved/c",
    ]);
    bench.lose();
    assert_eq!(bench.files(), ["folder/", "folder/b b1", "folder/c a1"]);
    // A folder is lost with all its synced content when its own name was not synced.
    bench.run(&["mkdir new", "write new/e 0 e 1", "sync new/e", "sync new"]);
    bench.lose();
    assert_eq!(bench.files(), ["folder/", "folder/b b1", "folder/c a1"]);
    bench.run(&["mkdir new", "write new/e 0 e 1", "sync new/e", "sync new", "sync ."]);
    bench.lose();
    assert_eq!(bench.files(), ["folder/", "folder/b b1", "folder/c a1", "new/", "new/e e1"]);
}

#[test]
fn a_file_that_is_emptied_or_replaced_keeps_its_bytes_until_the_sync() {
    let bench = Bench::new();
    bench.run(&["write a 0 a 3000", "sync a", "sync ."]);
    bench.run(&["empty a", "write a 0 b 10"]);
    bench.lose();
    assert_eq!(bench.files(), ["a a3000"]);
    bench.run(&["empty a", "write a 0 b 10", "sync a", "empty a"]);
    bench.lose();
    assert_eq!(bench.files(), ["a b10"]);
    // A reused inode starts with an empty log.
    bench.run(&["remove a", "sync .", "write a 0 n 5", "sync a", "sync ."]);
    bench.lose();
    assert_eq!(bench.files(), ["a n5"]);
}

#[test]
fn a_kill_without_a_power_cut_leaves_the_unsynced_unsynced() {
    let bench = Bench::new();
    bench.run(&["write a 0 a 10", "sync ."]);
    bench.run(&["write a 5 b 10"]);
    assert_eq!(bench.files(), ["a a5 b10"]);
    bench.lose();
    assert_eq!(bench.files(), ["a "], "two lives wrote, none synced");
    bench.run(&["write a 0 a 10"]);
    bench.run(&["sync a"]);
    bench.lose();
    assert_eq!(bench.files(), ["a a10"], "the second life's sync is one of the first's writes too");
}

#[test]
fn chance_keeps_tears_and_drops_and_the_seed_decides() {
    let (mut outcomes, mut torn, mut unnamed) = (BTreeSet::new(), 0, 0);
    let bench = Bench::new();
    for seed in 0..40 {
        let run = || {
            bench.run(&["write a 0 a 2048", "sync a", "sync ."]);
            bench.run(&[
                "write a 0 b 1500",
                "write a 1500 c 3000",
                "write new 0 d 700",
                "sync new",
            ]);
            let report = bench.disk.cut_power(seed).expect("cut");
            let files = bench.files();
            bench.run(&["write new 0 x 1", "remove a", "remove new", "sync ."]);
            (report, files)
        };
        let (report, files) = run();
        assert_eq!((&report, &files), (&run().0, &run().1), "seed {seed}");
        assert!(files.iter().all(|file| file.starts_with("a ") || file == "new d700"), "{files:?}");
        torn += report.changes().torn;
        unnamed += report.names.dropped;
        outcomes.insert(files);
    }
    assert!(
        outcomes.len() > 10 && torn > 0 && unnamed > 0,
        "{} outcomes, {torn} torn, {unnamed} unnamed",
        outcomes.len()
    );
}

#[test]
fn a_failed_sync_loses_its_writes_permanently() {
    let bench = Bench::new();
    let mut program = bench.program();
    for line in ["write a 0 a 10", "sync a", "sync .", "write a 0 b 4"] {
        program.ok(line);
    }
    bench.disk.set_faults(&Faults { failing_sync: Some(2), ..Faults::default() }).expect("ordered");
    program.ok("sync .");
    assert_eq!(program.answer("sync a"), "error 5");
    program.ok("sync a");
    program.ok("write a 8 c 4");
    program.ok("sync a");
    assert_eq!(program.answer("read a"), "bbbbaaaacccc", "until the power goes it can be read");
    drop(program);
    let report = bench.disk.cut_power(1).expect("cut");
    assert_eq!(bench.files(), ["a a8 c4"]);
    assert_eq!((report.files[0].lost_before, report.changes().total()), (1, 0));
    assert_eq!(bench.disk.faults_met().expect("read"), ["EIO sync a"]);
}

/// Fails a sync of the file `a`, which takes back what was not synced.
fn fail_sync_and_take_back(bench: &Bench, program: &mut Program) {
    let faults =
        Faults { failing_sync: Some(1), failing_sync_takes_back: true, ..Faults::default() };
    bench.disk.set_faults(&faults).expect("ordered");
    assert_eq!(program.answer("sync a"), "error 5");
}

#[test]
fn a_failed_sync_may_take_back_at_once() {
    let bench = Bench::new();
    let mut program = bench.program();
    for line in
        ["write a 0 a 10", "sync a", "sync .", "write a 5 b 10", "resize a 3", "write a 2 c 9"]
    {
        program.ok(line);
    }
    fail_sync_and_take_back(&bench, &mut program);
    assert_eq!(program.answer("read a"), "aaaaaaaaaa");
    program.ok("write a 1 d 1");
    program.ok("sync a");
    drop(program);
    bench.disk.cut_power(1).expect("cut");
    assert_eq!(bench.files(), ["a a1 d1 a8"]);
}

#[test]
fn a_failed_sync_takes_back_what_a_descriptor_that_appends_has_changed() {
    let bench = Bench::new();
    bench.run(&["write a 0 a 10", "sync a", "sync ."]);
    let mut program = bench.program();
    for line in ["open-append a", "append a b 5", "resize a 3"] {
        program.ok(line);
    }
    fail_sync_and_take_back(&bench, &mut program);
    // Written at the given offset: a write through the descriptor itself would append.
    assert_eq!(program.answer("read a"), "aaaaaaaaaa");
}

#[test]
fn vectored_calls_with_flags_are_followed() {
    let bench = Bench::new();
    bench.run(&["write a 0 a 10", "sync a", "sync ."]);
    // Python calls preadv2 and pwritev2, and prints the number of an error.
    let python = |call: &str| {
        let code = format!(
            "import os\nfd = os.open('a', os.O_RDWR)\ntry: print(os.{call})\nexcept OSError as e: print('error', e.errno)"
        );
        let mut command = Command::new("python3");
        bench.disk.apply(&mut command);
        command.args(["-c", &code]).current_dir(bench.disk.root());
        let output = command.output().expect("it starts");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
    };
    assert_eq!(python("pwritev(fd, [b'bb', b'b'], 2)"), "3");
    assert_eq!(python("pwritev(fd, [b'c'], -1)"), "1");
    assert_eq!(bench.files(), ["a c1 a1 b3 a5"]);
    // One that would be durable cannot be recorded as such.
    assert_eq!(python("pwritev(fd, [b'd'], 0, os.RWF_DSYNC)"), "error 95");
    bench.lose();
    assert_eq!(bench.files(), ["a a10"]);
    let faults = Faults { failing_reads: true, file: "a".into(), ..Faults::default() };
    assert_eq!(python("preadv(fd, [bytearray(3)], 0)"), "3");
    bench.disk.set_faults(&faults).expect("ordered");
    assert_eq!(python("preadv(fd, [bytearray(3)], 0)"), "error 5");
}

#[test]
fn a_disk_fills_and_is_given_room() {
    let bench = Bench::new();
    let mut program = bench.program();
    program.ok("write a 0 a 10");
    bench.disk.set_faults(&Faults { space_bytes: Some(15), ..Faults::default() }).expect("ordered");
    program.ok("write a 10 b 10");
    // The bytes that fit are written: a short write, then the error.
    assert_eq!(program.answer("write a 20 c 10"), "error 28");
    assert_eq!(program.answer("write b 0 d 1"), "error 28");
    assert_eq!(bench.files(), ["a a10 b10 c5", "b "]);
    bench.disk.set_faults(&Faults::default()).expect("lifted");
    program.ok("write b 0 d 1");
    assert_eq!(bench.disk.faults_met().expect("read"), ["ENOSPC write a", "ENOSPC write b"]);
}

#[test]
fn reads_and_writes_of_one_file_fail() {
    let bench = Bench::new();
    let mut program = bench.program();
    for line in ["mkdir folder", "write folder/a 0 a 3", "write b 0 b 3"] {
        program.ok(line);
    }
    let faults = Faults { failing_reads: true, file: "folder/a".into(), ..Faults::default() };
    bench.disk.set_faults(&faults).expect("ordered");
    assert_eq!(program.answer("read folder/a"), "error 5");
    assert_eq!(program.answer("read b"), "bbb");
    program.ok("write folder/a 0 c 1");
    bench
        .disk
        .set_faults(&Faults { failing_reads: false, failing_writes: true, ..faults })
        .expect("ordered");
    assert_eq!(program.answer("read folder/a"), "caa");
    assert_eq!(program.answer("write folder/a 0 d 1"), "error 5");
    assert_eq!(bench.files(), ["b b3", "folder/", "folder/a c1 a2"]);
}

#[test]
fn unsupported_calls_end_the_program() {
    let bench = Bench::new();
    let mut command = Command::new("ln");
    bench.disk.apply(&mut command);
    let output = command
        .args(["-s", "x", "link"])
        .current_dir(bench.disk.root())
        .output()
        .expect("it starts");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("faultdisk: link is to be a symbolic link"), "{said}");
}

#[test]
fn off_the_disk_nothing_changes() {
    let bench = Bench::new();
    let elsewhere = bench.folder.path().join("elsewhere");
    bench.run(&[&format!("write {} 0 a 3", elsewhere.display())]);
    bench.disk.set_faults(&Faults { space_bytes: Some(0), ..Faults::default() }).expect("ordered");
    bench.run(&[&format!("append {} b 3", elsewhere.display())]);
    assert_eq!(bench.lose(), CutReport::default());
    assert_eq!(fs::read(elsewhere).expect("there"), b"aaabbb");
}
