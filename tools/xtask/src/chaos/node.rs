//! The node under test, in its own process.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use faultdisk::FaultDisk;
use rustix::process::{Pid, Signal, kill_process};

/// Timeout of anything that usually takes a second: an upper bound, not a target.
pub(crate) const PROCESS_TIMEOUT: Duration = Duration::from_secs(90);

/// The file of the settings that nodes share.
pub(crate) const CONFIG: &str = "node.toml";

/// The listen addresses of an episode's nodes. They stay the same across restarts, so that voters
/// find the node again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses(Ipv4Addr);

impl Addresses {
    /// An address of the loopback network that no other run on this machine uses.
    pub(crate) fn for_episode(episode: u64) -> Self {
        let process = std::process::id();
        Self(Ipv4Addr::new(
            127,
            32 + (process % 200) as u8,
            (process / 200 % 250) as u8,
            1 + (episode % 250) as u8,
        ))
    }

    pub(crate) fn public(self) -> SocketAddr {
        (IpAddr::V4(self.0), 18_080).into()
    }

    pub(crate) fn admin(self) -> SocketAddr {
        (IpAddr::V4(self.0), 18_081).into()
    }

    pub(crate) fn metrics(self) -> SocketAddr {
        (IpAddr::V4(self.0), 18_090).into()
    }
}

/// A running node; killed on drop.
#[derive(Debug)]
pub(crate) struct Node {
    child: Child,
    ready: mpsc::Receiver<String>,
    started: Instant,
}

impl Node {
    /// Starts a node on `folder/node`, on the faulty disk if there is one. Appends its log to
    /// `folder/node.log`.
    pub(crate) fn start(
        votekit: &Path,
        folder: &Path,
        addresses: Addresses,
        disk: Option<&FaultDisk>,
    ) -> Result<Self> {
        let mut command = Command::new(votekit);
        command.args(["serve", "--data", "node"]);
        if let Some(disk) = disk {
            disk.apply(&mut command);
        }
        Self::launch(command, folder, addresses, CONFIG, "node.log")
    }

    /// Completes and starts a command: a `votekit serve` with its data folder. Appends its log to a
    /// file in `folder`, where the file of its settings is.
    pub(crate) fn launch(
        mut command: Command,
        folder: &Path,
        addresses: Addresses,
        config: &str,
        log: &str,
    ) -> Result<Self> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join(log))
            .with_context(|| format!("opening {log}"))?;
        command.args(["--config", config, "--rate-limit", "0", "--json"]);
        let listeners = [addresses.public(), addresses.admin(), addresses.metrics()];
        for (option, address) in
            ["--listen", "--admin-listen", "--metrics-listen"].iter().zip(listeners)
        {
            command.arg(option).arg(address.to_string());
        }
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let started = Instant::now();
        let mut child = command.spawn().context("starting the node")?;
        let stdout = child.stdout.take().context("asked for a pipe")?;
        let (sender, ready) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            // An empty line means that the node ended without printing one.
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = sender.send(line);
        });
        Ok(Self { child, ready, started })
    }

    /// Waits until the node accepts votes.
    ///
    /// # Errors
    /// When it ends, is not ready in time, or has halted an election.
    pub(crate) fn wait_ready(&mut self) -> Result<Duration> {
        match self.ready.recv_timeout(PROCESS_TIMEOUT) {
            Ok(line) if line.contains(r#""halted":[""#) => bail!("an election is halted: {line}"),
            Ok(line) if !line.is_empty() => Ok(self.started.elapsed()),
            Ok(_) => bail!("the node did not come up: it ended with {}", self.wait_end()?),
            Err(_) => bail!("the node did not come up in {} s", PROCESS_TIMEOUT.as_secs()),
        }
    }

    /// Kills the process. It must have been running.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill().context("killing the node")?;
        let ended = self.child.wait().context("waiting for the node")?;
        ensure!(ended.signal() == Some(9), "the node had ended with {ended} before it was killed");
        Ok(())
    }

    /// Kills the process if it still runs: for a node that may have failed by itself.
    pub(crate) fn put_down(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal, such as STOP or CONT.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        send(&self.child, signal)
    }

    /// Waits until the node has ended by itself.
    pub(crate) fn wait_end(&mut self) -> Result<ExitStatus> {
        wait(&mut self.child, PROCESS_TIMEOUT)?
            .with_context(|| format!("the node did not end in {} s", PROCESS_TIMEOUT.as_secs()))
    }

    /// Stops the node like an operator; it must exit successfully.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let ended = self.wait_end()?;
        ensure!(ended.success(), "the node was asked to stop and ended with {ended}");
        Ok(())
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a child process.
pub(crate) fn send(child: &Child, signal: Signal) -> Result<()> {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process id")?;
    kill_process(id, signal).with_context(|| format!("sending {signal:?}"))
}

/// Waits for a process; `None` when it still runs at the timeout.
pub(crate) fn wait(child: &mut Child, timeout: Duration) -> Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Some(status)),
            None if started.elapsed() > timeout => return Ok(None),
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// Saves the answer to a GET in a file. A missing answer is not an error: the node may be failing
/// on purpose.
pub(crate) fn keep_answer(address: SocketAddr, path: &str, file: &Path) -> Option<()> {
    let body = answer(address, path)?;
    File::create(file).ok()?.write_all(body.as_bytes()).ok()
}

/// The body of the answer to a GET, if it is 200 and complete.
pub(crate) fn answer(address: SocketAddr, path: &str) -> Option<String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let (status, body) = exchange(address, &request)?;
    (status == 200).then_some(body)
}

/// The status and the body of the answer to a POST of JSON, if it is complete.
pub(crate) fn post(address: SocketAddr, path: &str, body: &str) -> Option<(u16, String)> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    exchange(address, &format!("{head}{body}"))
}

fn exchange(address: SocketAddr, request: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    // Complete or nothing: a dying node may have sent a part.
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    if length != Some(body.len()) {
        return None;
    }
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, body.to_owned()))
}
