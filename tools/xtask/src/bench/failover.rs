//! The time from the death of the leading authority until a vote that was cast after it is decided.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::Workbench;
use super::installation::Installation;
use super::node;
use super::row::Row;
use crate::services;

/// Background votes per second, in addition to the measured votes.
const RATE: u64 = 200;

/// Seconds a run usually takes, and those before the first: the load lasts for all.
const RUN_SECONDS: u64 = 15;
const START_SECONDS: u64 = 60;

/// How long the installation is whole between two runs.
const SETTLING_TIME: Duration = Duration::from_secs(2);

/// Upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// The row: each run kills the leader once.
pub(super) fn run(workbench: &Workbench) -> Result<Vec<Row>> {
    let folder = &workbench.folder;
    let seconds = u64::from(workbench.runs) * RUN_SECONDS + START_SECONDS;
    let (roll, hashes) = node::hashed_roll(&workbench.votekit, RATE * seconds + 1, folder)?;
    // The votes that are measured may repeat votes of the load: a duplicate is decided too.
    let rows: Vec<String> = fs::read_to_string(&roll)?.lines().skip(1).map(str::to_owned).collect();
    let rig = services::start_for_a_run()?;
    let count = usize::try_from(workbench.authorities)?;
    let mut installation = Installation::start(&workbench.votekit, folder, rig.site(), count)?;
    installation.open_poll(&hashes)?;
    let mut load = Load::start(workbench, &installation.intake.url, &roll, seconds)?;
    std::thread::sleep(SETTLING_TIME);
    let mut values = Vec::new();
    for (number, row) in rows.iter().rev().take(workbench.runs as usize).enumerate() {
        ensure!(load.0.try_wait()?.is_none(), "the load ended before run {}", number + 1);
        let leader = installation.leader()?;
        installation.kill(leader)?;
        let killed = Instant::now();
        cast(&installation.intake.url, row)?;
        let took = killed.elapsed().as_secs_f64();
        println!(
            "run {}: decided {took:.2} s after the death of authority {}",
            number + 1,
            leader + 1
        );
        values.push(took);
        installation.restart(leader)?;
        std::thread::sleep(SETTLING_TIME);
    }
    drop(load);
    installation.stop()?;
    rig.end()?;
    let name = format!("failover of {count}: decided after, s");
    let detail = format!("a vote cast after the leader was killed, beside {RATE} votes/s");
    Ok(vec![Row::reported(name, values, detail)])
}

/// Casts a vote, and waits until it is decided. A vote that the node does not accept is cast again.
fn cast(url: &str, row: &str) -> Result<()> {
    let fields: Vec<&str> = row.trim_end().split(',').collect();
    let [nas, code, law] = fields[..] else { bail!("a row of a roll is nas,code,law_id: {row}") };
    let body = format!(r#"{{"nas":"{nas}","code":"{code}","law_id":"{law}","vote":"oui"}}"#);
    let address = url.trim_start_matches("http://");
    let begun = Instant::now();
    loop {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(WAIT_TIMEOUT))?;
        write!(
            stream,
            "POST /api/v1/vote HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Prefer: wait=30\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split_whitespace().nth(1).unwrap_or_default();
        match status {
            "200" => return Ok(()),
            "202" => bail!("a vote was not decided within 30 s"),
            _ => ensure!(begun.elapsed() < WAIT_TIMEOUT, "a vote is not taken: {answer}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The background votes; killed on drop.
struct Load(Child);

impl Load {
    fn start(workbench: &Workbench, url: &str, roll: &Path, seconds: u64) -> Result<Self> {
        let mut command = Command::new(&workbench.votekit);
        command.args(["loadtest", "--node", url, "--rate", &RATE.to_string()]);
        command.args(["--duration", &format!("{seconds}s"), "--idempotency-keys", "--retry"]);
        command.arg("--roll").arg(roll);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn().context("starting the load")?))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
