//! A chaos run that is ended from outside takes all its processes with it.

mod support;

use std::fs;
use std::process::Stdio;

use support::{Program, votekit, working_in};

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Runs chaos until votes are being sent, ends it with a signal, and waits until none of its
/// processes run.
fn end_chaos_by(signal: &str) -> TestResult {
    let program = Program::new(&format!("chaos-ended-by-{signal}"))?;
    // Its second episode is not on a faulty disk: the node starts at once.
    let words = ["chaos", "--rounds-per-episode", "4", "--episode", "2", "--votekit"];
    let mut chore = program.chore(&words);
    chore.arg(votekit()?);
    let mut run = chore.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let journal = program.target.join("xtask-files/chaos/episode-2/journal.jsonl");
    program.wait("votes", || fs::metadata(&journal).is_ok_and(|journal| journal.len() > 0));
    // The node may be down for a moment: the run kills it repeatedly.
    program.wait("a node and its voters", || {
        working_in(&program.target).is_ok_and(|working| working.len() >= 2)
    });
    program.end(&mut run, signal)?;
    program.wait("the end of nodes and voters", || {
        working_in(&program.target).is_ok_and(|working| working.is_empty())
    });
    Ok(())
}

#[test]
fn nodes_and_voters_end_with_a_run_that_is_terminated() -> TestResult {
    end_chaos_by("TERM")
}

#[test]
fn nodes_and_voters_end_with_a_run_that_is_killed() -> TestResult {
    end_chaos_by("KILL")
}
