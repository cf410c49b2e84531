//! A real node, prepared and run as by an operator.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::project;

/// The law of every benchmark.
pub(crate) const LAW: &str = "L1";

/// The base name of the logs.
const BASE: &str = "bench.example";

/// Free ports; all other settings keep their defaults.
const ADDRESSES: &str =
    "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\nmetrics_listen = \"127.0.0.1:0\"\n";

/// No limits: the benchmark measures the node's speed, not its rate limits.
const NO_LIMITS: &str = "rate_limit_per_second = 0\nread_limit_per_address_per_second = 0\n\
    connection_requests_max = 0\nconnection_seconds_max = 0\n[throttle]\nenabled = false\n";

/// Upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Waits until a condition is true.
pub(super) fn wait_until(what: &str, holds: impl Fn() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !holds() {
        ensure!(begun.elapsed() < WAIT_TIMEOUT, "waited {} s until {what}", WAIT_TIMEOUT.as_secs());
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Generates a roll of `electors` electors.
pub(crate) fn sample_roll(votekit: &Path, electors: u64, roll: &Path) -> Result<()> {
    let mut sample = Command::new(votekit);
    sample.args([
        "roll",
        "sample",
        "--law",
        LAW,
        "--seed",
        "1",
        "--electors",
        &electors.to_string(),
        "-o",
    ]);
    project::succeed(sample.arg(roll).stdout(Stdio::null()).stderr(Stdio::null()))
}

/// Generates a roll of `electors` electors in a folder and hashes it; returns the paths of both.
pub(crate) fn hashed_roll(
    votekit: &Path,
    electors: u64,
    folder: &Path,
) -> Result<(PathBuf, PathBuf)> {
    let (roll, hashes) = (folder.join("roll.csv"), folder.join("hashes"));
    sample_roll(votekit, electors, &roll)?;
    let mut hashgen = Command::new(votekit);
    project::succeed(
        hashgen
            .arg("hashgen")
            .arg(&roll)
            .arg("--out")
            .arg(&hashes)
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    )?;
    Ok((roll, hashes))
}

/// Creates a data folder with an open election over a roll.
pub(crate) fn open_election(votekit: &Path, hashes: &Path, data: &Path) -> Result<()> {
    load(votekit, hashes, data, None)?;
    create_and_open(votekit, data, None)
}

/// Loads a roll into a folder, or into the node that serves it.
pub(crate) fn load(
    votekit: &Path,
    hashes: &Path,
    data: &Path,
    running: Option<&Node>,
) -> Result<()> {
    let hashes = hashes.to_string_lossy();
    let base: &[&str] = if running.is_some() { &[] } else { &["--log-base", BASE] };
    run(votekit, &[&["load", &hashes], base].concat(), data, running)
}

/// Creates an election of this id on a running node.
pub(crate) fn create(votekit: &Path, law_id: &str, data: &Path, running: &Node) -> Result<()> {
    let titles = ["--title-fr", "Essai", "--title-en", "Trial"];
    run(votekit, &[&["election", "create", law_id], &titles[..]].concat(), data, Some(running))
}

/// Creates the election and opens it, in a folder or on the node that serves it.
pub(crate) fn create_and_open(votekit: &Path, data: &Path, running: Option<&Node>) -> Result<()> {
    run(
        votekit,
        &["election", "create", LAW, "--title-fr", "Essai", "--title-en", "Trial"],
        data,
        running,
    )?;
    run(votekit, &["election", "open", LAW, "--yes"], data, running)
}

fn run(votekit: &Path, arguments: &[&str], data: &Path, running: Option<&Node>) -> Result<()> {
    let mut command = Command::new(votekit);
    command.args(arguments).arg("--data").arg(data);
    if let Some(node) = running {
        command.arg("--node").arg(&node.admin_url);
    }
    let output = command.output().context("starting votekit")?;
    ensure!(
        output.status.success(),
        "{}: {}",
        project::words(&command),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// An option of `serve` and its value.
pub(crate) type ServeOption = (&'static str, String);

/// A running node; killed on drop.
pub(crate) struct Node {
    child: Child,
    /// The URL of the public listener.
    pub(crate) url: String,
    /// The URL of the administrative listener.
    pub(crate) admin_url: String,
    pub(crate) metrics_url: String,
    pub(crate) log: PathBuf,
    /// Time from the start of the process to its first answer.
    pub(crate) ready_after: Duration,
}

impl Node {
    /// Starts a node over a data folder and waits until it answers.
    pub(crate) fn start(votekit: &Path, data: &Path) -> Result<Self> {
        Self::launch(votekit, data, "node", &[ADDRESSES, NO_LIMITS], &[], false)
    }

    /// Like [`Node::start`], with the default limits.
    pub(crate) fn start_with_limits(votekit: &Path, data: &Path) -> Result<Self> {
        Self::launch(votekit, data, "node", &[ADDRESSES], &[], false)
    }

    /// Starts a node of a new installation on servers, with these options in addition to those of
    /// every node.
    pub(crate) fn start_on(
        votekit: &Path,
        data: &Path,
        name: &'static str,
        options: &[ServeOption],
    ) -> Result<Self> {
        let named = [("--name", name.to_owned()), ("--log-base", BASE.to_owned())];
        let options = [options, &named].concat();
        Self::launch(votekit, data, name, &[ADDRESSES, NO_LIMITS], &options, true)
    }

    /// Starts a further node of an installation on servers.
    pub(crate) fn join_on(
        votekit: &Path,
        data: &Path,
        name: &'static str,
        options: &[ServeOption],
    ) -> Result<Self> {
        let options = [options, &[("--name", name.to_owned())]].concat();
        Self::launch(votekit, data, name, &[ADDRESSES, NO_LIMITS], &options, false)
    }

    /// Starts a node on servers whose data folder is its own, and has no name in it. It is created
    /// if it does not exist.
    pub(crate) fn start_in(votekit: &Path, data: &Path, options: &[ServeOption]) -> Result<Self> {
        Self::launch(votekit, data, "node", &[ADDRESSES, NO_LIMITS], options, true)
    }

    fn launch(
        votekit: &Path,
        data: &Path,
        name: &str,
        settings_text: &[&str],
        options: &[ServeOption],
        is_new: bool,
    ) -> Result<Self> {
        let (settings, log_file) =
            (data.with_extension("toml"), data.with_extension(format!("{name}.log")));
        fs::write(&settings, settings_text.concat())?;
        let log = fs::File::create(&log_file)?;
        let mut command = Command::new(votekit);
        command.args(["serve", "--data"]).arg(data).arg("--config").arg(&settings);
        if is_new {
            command.arg("--init");
        }
        for (option, value) in options {
            command.arg(option).arg(value);
        }
        let begun = Instant::now();
        let mut child =
            command.stdout(Stdio::piped()).stderr(log).spawn().context("starting the node")?;
        let lines = BufReader::new(child.stdout.take().context("the node's output")?).lines();
        let mut node = Self {
            child,
            url: String::new(),
            admin_url: String::new(),
            metrics_url: String::new(),
            log: log_file,
            ready_after: Duration::ZERO,
        };
        for line in lines {
            let line = line?;
            let url = line.split_whitespace().last().unwrap_or_default().to_owned();
            if line.starts_with("votes and results") {
                node.url = url;
            } else if line.starts_with("administration") {
                node.admin_url = url;
            } else if line.starts_with("metrics") {
                node.metrics_url = url;
            } else if line.starts_with("data") {
                break;
            }
        }
        ensure!(!node.url.is_empty(), "the node did not start: {}", fs::read_to_string(&node.log)?);
        node.get("/api/v1/health")?;
        node.ready_after = begun.elapsed();
        Ok(node)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The body of the answer to a GET.
    pub(crate) fn get(&self, path: &str) -> Result<String> {
        get(self.url.trim_start_matches("http://"), path)
    }

    /// A metric without labels.
    pub(crate) fn metric(&self, name: &str) -> Result<f64> {
        let url = self.metrics_url.trim_start_matches("http://");
        let address = url.strip_suffix("/metrics").unwrap_or(url);
        let text = get(address, "/metrics")?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("no metric {name}"))?.trim().parse()?)
    }

    /// Votes decided so far.
    pub(crate) fn decided(&self) -> Result<u64> {
        number_after(&self.get(&format!("/api/v1/results/{LAW}"))?, "\"received\":")
    }

    /// Waits until no vote is pending.
    pub(crate) fn wait_until_drained(&self) -> Result<()> {
        let begun = Instant::now();
        while number_after(&self.get("/api/v1/health")?, "\"votes_pending\":")? > 0 {
            ensure!(
                begun.elapsed() < Duration::from_secs(300),
                "votes are still pending after five minutes"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Processor time used so far, in seconds.
    pub(crate) fn processor_seconds(&self) -> Result<f64> {
        processor_seconds(self.pid())
    }

    /// Peak resident memory so far, in bytes.
    pub(crate) fn memory_bytes_max(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        Ok(number_after(&status, "VmHWM:")? << 10)
    }

    /// Kills the node immediately, like a power cut for the process.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Stops the node in order and waits; returns the time it took.
    pub(crate) fn stop(mut self) -> Result<Duration> {
        let begun = Instant::now();
        project::succeed(Command::new("kill").arg(self.pid().to_string()))?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the node ended with {status}");
        Ok(begun.elapsed())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The body of the answer of a listener to a GET.
fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) =
        answer.split_once("\r\n\r\n").context("an answer without an end of its head")?;
    Ok(body.to_owned())
}

/// The number that follows a label.
pub(crate) fn number_after(text: &str, label: &str) -> Result<u64> {
    let rest =
        text.split_once(label).with_context(|| format!("no {label} in {text}"))?.1.trim_start();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().with_context(|| format!("no number after {label}"))
}

/// Copies a folder.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for file in project::files_below(from)? {
        let target = to.join(&file);
        let folder = target.parent().context("a file has a folder")?;
        // A node accepts keys only from a private folder.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        fs::copy(from.join(&file), target)?;
    }
    project::succeed(Command::new("sync").arg("-f").arg(to))
}

/// Processor time that a running process has used so far, in seconds.
pub(super) fn processor_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // utime and stime, in hundredths of a second: proc(5).
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

/// Total size of a folder's files, in bytes.
pub(crate) fn bytes_in(folder: &Path) -> Result<u64> {
    let files = project::files_below(folder)?;
    files.iter().map(|file: &PathBuf| Ok(fs::metadata(folder.join(file))?.len())).sum()
}
