//! Ctrl-C while files are being written.

mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use support::TestDir;

/// Starts `votekit` in a test folder with default signal handling, as from a terminal: a test run
/// in the background would have the signal ignored.
fn start(dir: &TestDir, arguments: &[&str]) -> Child {
    let mut command = Command::new("env");
    command.args(["--default-signal=INT,TERM", env!("CARGO_BIN_EXE_votekit")]).args(arguments);
    command
        .current_dir(dir.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    childguard::guard(&mut command).spawn().expect("the command starts")
}

fn send(child: &Child, signal: Signal) {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(id, signal).expect("not waited for, so it is there");
}

/// Stops a process once its folder contains the hidden files of an output, then interrupts it.
/// `None` if the process was faster.
fn interrupted(
    dir: &TestDir,
    mut child: Child,
    signal: Signal,
    hidden: &[&str],
) -> Option<ExitStatus> {
    let in_the_making =
        || hidden.iter().all(|prefix| dir.names().iter().any(|name| name.starts_with(prefix)));
    while !in_the_making() {
        if child.try_wait().expect("it can be asked").is_some() {
            return None;
        }
        thread::sleep(Duration::from_millis(1));
    }
    send(&child, Signal::STOP);
    // It may continue until the signal reaches it, but not longer than this.
    thread::sleep(Duration::from_millis(20));
    let caught = in_the_making();
    send(&child, signal);
    send(&child, Signal::CONT);
    let ended = child.wait().expect("it ends");
    caught.then_some(ended)
}

#[test]
fn an_interrupted_hashgen_leaves_nothing_behind() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut electors = 4000;
        let dir = loop {
            let dir = TestDir::new();
            let roll = format!("{electors}");
            dir.run(&["roll", "sample", "--electors", &roll, "--law", "L1", "-o", "roll.csv"])
                .succeeds();
            let mut roll = fs::read(dir.path("roll.csv")).expect("just made");
            roll.extend_from_slice(b"1,ABCD1234,L1\n");
            dir.write("roll.csv", roll);
            // Small shards take long to write, which leaves time to interrupt.
            let arguments = [
                "hashgen",
                "roll.csv",
                "--out",
                "hashes",
                "--shard-size",
                "2",
                "--on-error",
                "skip",
            ];
            let child = start(&dir, &arguments);
            if let Some(ended) = interrupted(&dir, child, signal, &[".hashes.partial", ".votekit-"])
            {
                assert_eq!(ended.signal(), Some(signal.as_raw()), "{ended}");
                break dir;
            }
            electors *= 2;
            assert!(electors < 20_000, "it was always faster than this test");
        };
        assert_eq!(dir.names(), ["roll.csv"]);
        // The next run is not affected.
        dir.run(&[
            "hashgen",
            "roll.csv",
            "--out",
            "hashes",
            "--shard-size",
            "1000",
            "--on-error",
            "skip",
        ])
        .succeeds();
        assert_eq!(dir.names(), ["hashes", "hashes-rejects.csv", "roll.csv"]);
    }
}

#[test]
fn a_hashgen_that_waits_for_its_roll_can_be_interrupted() {
    let dir = TestDir::new();
    let mut child = start(&dir, &["hashgen", "-", "--out", "hashes"]);
    // It has started once it reads: before, the signal would end it anyway.
    let mut roll = child.stdin.take().expect("piped");
    std::io::Write::write_all(&mut roll, &vec![b'\n'; 1 << 20]).expect("it reads");
    send(&child, Signal::INT);
    assert_eq!(child.wait().expect("it ends").signal(), Some(Signal::INT.as_raw()));
    // Held open so far: closing it would complete the roll.
    drop(roll);
    assert!(dir.names().is_empty());
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let dir = TestDir::new();
    // As with nohup. The roll continues after the signal. A shell gives background processes no
    // input unless it is named.
    let line = "trap '' HUP; { echo nas,code,law_id; sleep 0.5; echo 123456789,ABCD1234,L1; } | \
        { exec 3<&0; \"$VOTEKIT\" hashgen - --out hashes <&3 & id=$!; sleep 0.2; kill -HUP $id; wait $id; }";
    dir.shell(line).succeeds();
    assert!(dir.exists("hashes"));
}
