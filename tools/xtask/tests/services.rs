//! `cargo xtask services` as used by a person: servers start, break, recover, and leave nothing
//! behind.

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use support::{Program, votekit, working_in};

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// The folder of the servers, from the record.
fn folder(program: &Program) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let record: serde_json::Value = serde_json::from_slice(&fs::read(program.record())?)?;
    Ok(record["folder"].as_str().ok_or("no folder")?.into())
}

/// The folder of the servers that a chore started for its own use.
fn servers_of(chore: u32) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let begin = format!("votekit-services-{chore}-");
    for entry in fs::read_dir(std::env::temp_dir())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&begin) {
            return Ok(entry.path());
        }
    }
    Err(format!("no folder {begin}… among the temporary files").into())
}

/// Nine servers that answer, three masters with slots, each with its replica.
fn is_whole(status: &str) -> bool {
    let count = |what: &str| status.lines().filter(|line| line.contains(what)).count();
    count("  answers") == 9
        && count(": master of ") == 3
        && count(": replica of redis-") == 3
        && status.ends_with("the Redis Cluster is whole\n")
}

fn line<'text>(text: &'text str, begin: &str) -> &'text str {
    text.lines().find(|line| line.starts_with(begin)).unwrap_or("no such line")
}

#[test]
fn servers_start_fail_recover_and_leave_nothing() -> TestResult {
    let program = Program::new("services-playing")?;
    let up = program.succeed(&["up"])?;
    assert!(up.lines().all(|line| line.starts_with("export VOTEKIT_")), "{up}");
    let test_variables = [
        "VOTEKIT_TEST_REDIS='redis://",
        "VOTEKIT_TEST_AMQP='amqp://",
        "VOTEKIT_TEST_POSTGRES='postgres://",
    ];
    for expected in test_variables.iter().chain(&[
        "VOTEKIT_REGISTRY=",
        "VOTEKIT_BALLOT_BOX=",
        "VOTEKIT_LEDGER=",
    ]) {
        assert!(up.contains(expected), "{expected} is not in\n{up}");
    }
    let stored = folder(&program)?;

    let twice = program.run(&["up"])?;
    assert!(!twice.status.success());
    assert!(
        String::from_utf8_lossy(&twice.stderr).contains("servers are already running"),
        "{twice:?}"
    );

    program.wait_for_status("nine servers and a whole cluster", is_whole);

    for server in ["redis-1", "rabbitmq", "postgresql"] {
        program.succeed(&["pause", server])?;
        let paused = program.succeed(&["status"])?;
        assert!(line(&paused, server).ends_with("runs, and does not answer"), "{paused}");
        program.succeed(&["resume", server])?;
        program.wait_for_status(server, |now| line(now, server).ends_with("  answers"));
        program.succeed(&["kill", server])?;
        let killed = program.succeed(&["status"])?;
        assert!(line(&killed, server).ends_with("does not run"), "{killed}");
        program.succeed(&["restart", server])?;
    }
    program.wait_for_status("nine servers and a whole cluster again", is_whole);

    assert_eq!(program.succeed(&["down"])?, "9 servers stopped\n");
    assert!(!stored.exists() && !program.record().exists());
    assert!(working_in(&stored)?.is_empty(), "{:?} still run", working_in(&stored)?);
    assert_eq!(program.succeed(&["down"])?, "0 servers stopped\n");
    Ok(())
}

#[test]
fn servers_end_when_the_program_that_starts_them_is_killed() -> TestResult {
    let program = Program::new("services-killed")?;
    let mut child =
        program.services(&["up"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    program.wait("a server that is written down", || {
        fs::read_to_string(program.record()).is_ok_and(|text| text.contains("rabbitmq"))
    });
    let stored = folder(&program)?;
    child.kill()?;
    child.wait()?;
    program.wait("the folder to be removed", || !stored.exists() && !program.record().exists());
    assert!(working_in(&stored)?.is_empty(), "{:?} still run", working_in(&stored)?);
    Ok(())
}

#[test]
fn servers_and_nodes_end_when_chaos_on_services_is_killed() -> TestResult {
    let program = Program::new("services-chaos-killed")?;
    let mut chore = program.chore(&["chaos", "--engine", "services"]);
    chore.args(["--faults", "3", "--outage-seconds", "0", "--rate", "20", "--votekit"]);
    chore.arg(votekit()?);
    let mut run = chore.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let journal = program.target.join("xtask-files/chaos-services/journal.jsonl");
    program.wait("votes", || fs::metadata(&journal).is_ok_and(|journal| journal.len() > 0));
    let servers = servers_of(run.id())?;
    // Six Redis nodes, RabbitMQ, epmd and PostgreSQL, with their children.
    assert!(working_in(&servers)?.len() >= 9, "{:?}", working_in(&servers)?);
    assert!(working_in(&program.target)?.len() >= 6, "{:?}", working_in(&program.target)?);
    program.end(&mut run, "KILL")?;
    program.wait("the end of nodes and voters", || {
        working_in(&program.target).is_ok_and(|working| working.is_empty())
    });
    program.wait("the end of the servers", || {
        !servers.exists() && working_in(&servers).is_ok_and(|working| working.is_empty())
    });
    Ok(())
}

#[test]
fn an_unknown_server_and_a_full_folder_are_reported() -> TestResult {
    let program = Program::new("services-refused")?;
    let unknown = program.run(&["kill", "redis-7"])?;
    assert!(
        String::from_utf8_lossy(&unknown.stderr)
            .contains("there are: epmd, rabbitmq, postgresql, redis-1"),
        "{unknown:?}"
    );
    let nothing = program.run(&["status"])?;
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("no servers run"), "{nothing:?}");
    let full = program.run(&["up", "--folder", &program.target.to_string_lossy()])?;
    assert!(!full.status.success() && program.target.join("debug/xtask").exists());
    assert!(
        String::from_utf8_lossy(&full.stderr).contains("must be empty, or not there"),
        "{full:?}"
    );
    Ok(())
}
