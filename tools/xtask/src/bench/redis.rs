//! `cargo xtask bench redis`: loads a roll into one Redis, compared with `redis-cli --pipe` of one
//! SADD a hash, and measures the memory an elector takes, loaded and voted.
//!
//! Our time covers the whole command: reading and checking the shards, the settings, loading,
//! counting. The other side gets its protocol text ready-made.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::paired::median;
use super::row::Row;
use super::{Workbench, node};
use crate::project;

/// Maximum ratio of the loading times.
const RATIO_MAX: f64 = 0.35;
/// Maximum bytes an elector, once loaded, and once all have voted.
const LOADED_BYTES_MAX: f64 = 50.0;
const VOTED_BYTES_MAX: f64 = 75.0;
const PORT: &str = "7290";

/// Runs the pairs, then marks every elector as voted.
///
/// # Errors
/// When Redis is not installed, or a run fails.
pub(super) fn run(setup: &Workbench) -> Result<Vec<Row>> {
    project::succeed(&mut project::cargo([
        "build",
        "--release",
        "--package",
        "votekit-node",
        "--features",
        "services",
        "--example",
        "mark_all",
    ]))?;
    let redis = Redis::start(&setup.folder)?;
    let (roll, hashes) = (setup.folder.join("roll.csv"), setup.folder.join("hashes"));
    node::sample_roll(&setup.votekit, setup.electors, &roll)?;
    project::succeed(
        Command::new(&setup.votekit)
            .arg("hashgen")
            .arg(&roll)
            .args(["--format", "bin", "--out"])
            .arg(&hashes)
            .stdout(Stdio::null()),
    )?;
    let protocol = setup.folder.join("sadd.txt");
    write_protocol(&hashes, &protocol)?;
    let url = format!("redis://127.0.0.1:{PORT}");
    let (mut ratios, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let (mut loaded, mut beside) = (0.0, 0.0);
    let per_elector = |bytes: u64| bytes as f64 / setup.electors as f64;
    for _ in 0..setup.runs {
        let empty = redis.emptied()?;
        let begun = Instant::now();
        project::succeed(
            Command::new("redis-cli")
                .args(["-p", PORT, "--pipe"])
                .stdin(File::open(&protocol)?)
                .stdout(Stdio::null()),
        )?;
        let their = begun.elapsed().as_secs_f64();
        beside = per_elector(redis.memory()? - empty);
        let empty = redis.emptied()?;
        let begun = Instant::now();
        let mut load = Command::new(&setup.votekit);
        project::succeed(
            load.arg("load")
                .arg(&hashes)
                .args(["--registry", &url])
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )?;
        let our = begun.elapsed().as_secs_f64();
        loaded = per_elector(redis.memory()? - empty);
        ratios.push(our / their);
        ours.push(our);
        theirs.push(their);
    }
    let before = redis.memory()?;
    let mark = project::target_dir()?.join("release/examples/mark_all");
    let marked = Command::new(mark).arg(&url).arg(&hashes).output().context("marking everybody")?;
    ensure!(
        marked.status.success(),
        "mark_all failed: {}",
        String::from_utf8_lossy(&marked.stderr)
    );
    let voted = loaded + per_elector(redis.memory()? - before);
    let seconds = number(&String::from_utf8_lossy(&marked.stdout), "\"seconds\":")?;
    let times = format!(
        "{:.2} s; redis-cli --pipe of one SADD a hash {:.2} s",
        median(ours),
        median(theirs)
    );
    Ok(vec![
        Row::at_most("redis: load / SADD", ratios, RATIO_MAX, times),
        Row::at_most(
            "redis: B an elector loaded",
            vec![loaded],
            LOADED_BYTES_MAX,
            format!("a set of hex hashes takes {beside:.1}"),
        ),
        Row::at_most(
            "redis: B an elector voted",
            vec![voted],
            VOTED_BYTES_MAX,
            format!("with a second set {:.1}", 2.0 * beside),
        ),
        Row::reported(
            "redis: marks a second",
            vec![setup.electors as f64 / seconds],
            "one server, 500 a batch, 2 batches at a time".to_owned(),
        ),
    ])
}

/// The benchmark's own server; killed on drop.
struct Redis(Child);

impl Redis {
    fn start(folder: &Path) -> Result<Self> {
        let mut command = Command::new("redis-server");
        command
            .args([
                "--port",
                PORT,
                "--bind",
                "127.0.0.1",
                "--maxmemory",
                "2gb",
                "--save",
                "",
                "--dir",
            ])
            .arg(folder);
        let server = command
            .stdout(Stdio::null())
            .spawn()
            .context("redis-server does not start: install Debian's redis-server")?;
        let server = Self(server);
        for _ in 0..100 {
            if server.query(&["ping"]).is_ok_and(|answer| answer.trim() == "PONG") {
                return Ok(server);
            }
            thread::sleep(Duration::from_millis(50));
        }
        bail!("redis-server on port {PORT} does not answer")
    }

    fn query(&self, words: &[&str]) -> Result<String> {
        let output = Command::new("redis-cli")
            .args(["-p", PORT])
            .args(words)
            .output()
            .context("redis-cli")?;
        ensure!(output.status.success(), "redis-cli: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Deletes all data; returns the memory used after that.
    fn emptied(&self) -> Result<u64> {
        self.query(&["flushall", "sync"])?;
        self.memory()
    }

    /// Memory used, in bytes.
    fn memory(&self) -> Result<u64> {
        Ok(number(&self.query(&["info", "memory"])?, "used_memory:")? as u64)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It belongs to this benchmark only, and its data is not kept.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Writes one SADD a hash, in the protocol of Redis, from binary shards: a head of 21 bytes whose
/// last byte is the length of the law id, the law id, then keys of 32 bytes.
fn write_protocol(hashes: &Path, to: &Path) -> Result<()> {
    let mut out = BufWriter::new(File::create(to)?);
    let mut shards: Vec<PathBuf> =
        fs::read_dir(hashes)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    shards.retain(|path| path.extension().is_some_and(|extension| extension == "bin"));
    shards.sort();
    for shard in shards {
        let bytes = fs::read(&shard)?;
        let head = 21 + bytes.get(20).map_or(0, |length| usize::from(*length));
        for key in bytes.get(head..).context("a shard is cut short")?.chunks_exact(32) {
            let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
            write!(out, "*3\r\n$4\r\nSADD\r\n$12\r\nvalid_hashes\r\n$64\r\n{hex}\r\n")?;
        }
    }
    Ok(out.flush()?)
}

/// The number that follows a name.
fn number(text: &str, name: &str) -> Result<f64> {
    let (_, rest) = text.split_once(name).with_context(|| format!("no {name} in: {text}"))?;
    let end = rest.find(|byte: char| !matches!(byte, '0'..='9' | '.')).unwrap_or(rest.len());
    rest[..end].parse().with_context(|| format!("{name} is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_behind_its_name() {
        assert_eq!(
            number("# Memory\r\nused_memory:121386440\r\nused_memory_human:1M", "used_memory:")
                .expect("found"),
            121_386_440.0
        );
        assert!(number("", "used_memory:").is_err());
    }
}
