//! One whole referendum of the given size, step by step, as officials, operators and voters would
//! run it: times, memory, disk, and the rows whose targets need a large log.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use wait4::Wait4;

use super::node::{self, LAW, Node};
use super::row::Row;
use super::wrk::{Load, Mix, Requests};
use super::{Workbench, verify};

/// 5% of the votes are duplicates, 1% have unknown credentials.
const MIX: Mix = Mix { duplicate_percent: 5, unknown_percent: 1 };

/// Connections of the generator.
const CONNECTIONS: u32 = 256;

/// Votes in one line of the growth table.
const STEP: u64 = 1_000_000;

pub(super) fn run(workbench: &Workbench) -> Result<Vec<Row>> {
    let folder = &workbench.folder;
    let path = |name: &str| folder.join(name);
    let (roll, hashes, data, bundle, policy) =
        (path("roll.csv"), path("hashes"), path("data"), path("bundle"), path("policy"));
    let votekit = || Command::new(&workbench.votekit);
    println!(
        "a referendum of {} electors and as many votes, {}% of them duplicates, {}% unknown",
        workbench.electors, MIX.duplicate_percent, MIX.unknown_percent
    );
    node::sample_roll(&workbench.votekit, workbench.electors, &roll)?;
    step("hashgen", votekit().arg("hashgen").arg(&roll).arg("--out").arg(&hashes))?;
    step(
        "load",
        votekit()
            .arg("load")
            .arg(&hashes)
            .args(["--log-base", "bench.example", "--data"])
            .arg(&data),
    )?;
    step(
        "create",
        votekit()
            .args([
                "election",
                "create",
                LAW,
                "--title-fr",
                "Essai",
                "--title-en",
                "Trial",
                "--data",
            ])
            .arg(&data),
    )?;
    step("open", votekit().args(["election", "open", LAW, "--yes", "--data"]).arg(&data))?;
    let requests = Requests::write(&roll, workbench.electors, MIX, folder)?;
    let node = Node::start(&workbench.votekit, &data)?;
    println!("{:<28} {:>9.2} s", "start of the empty node", node.ready_after.as_secs_f64());
    let growth = vote(&node, &requests)?;
    println!(
        "{:<28} {:>9.0} MiB of memory, {:.2} GB on disk",
        "node after the votes",
        mib(node.memory_bytes_max()?),
        gigabytes(node::bytes_in(&data)?)
    );
    node.kill()?;
    let mut rows = restarts(workbench, &data)?;
    let node = Node::start(&workbench.votekit, &data)?;
    step(
        "close",
        votekit()
            .args(["election", "close", LAW, "--yes", "--node", &node.admin_url, "--data"])
            .arg(&data),
    )?;
    println!("{:<28} {:>9.2} s", "orderly stop", node.stop()?.as_secs_f64());
    step("recount", votekit().args(["recount", "--election", LAW, "--data"]).arg(&data))?;
    step(
        "export bundle",
        votekit().args(["export", "bundle", "--election", LAW, "--data"]).arg(&data).arg(&bundle),
    )?;
    println!("{:<28} {:>9.2} GB", "bundle", gigabytes(node::bytes_in(&bundle)?));
    fs::copy(bundle.join("policy"), &policy)?;
    step(
        "verify bundle",
        votekit().args(["verify", "bundle"]).arg(&bundle).arg("--policy").arg(&policy),
    )?;
    rows.extend(growth);
    rows.extend(verify::compare(workbench, &bundle, &policy)?);
    Ok(rows)
}

/// Runs one command and prints its time and peak memory.
fn step(name: &str, command: &mut Command) -> Result<()> {
    let begun = Instant::now();
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    let mut child = child;
    let said = std::io::read_to_string(child.stderr.take().context("standard error")?)?;
    let used = child.wait4()?;
    ensure!(used.status.success(), "{name} failed: {}\n{said}", used.status);
    let processor = (used.rusage.utime + used.rusage.stime).as_secs_f64();
    println!(
        "{name:<28} {:>9.2} s, {processor:.2} s of processor, {:.0} MiB at the peak",
        begun.elapsed().as_secs_f64(),
        mib(used.rusage.maxrss)
    );
    Ok(())
}

/// Sends all votes, and prints the rate of each million.
fn vote(node: &Node, requests: &Requests) -> Result<Vec<Row>> {
    let begun = Instant::now();
    let load = Load::start(requests, &node.url, CONNECTIONS, 3600)?;
    let samples = sample(node, begun, requests.count)?;
    load.interrupt()?;
    let seen = load.finish()?;
    ensure!(seen.refused == 0, "{} votes were refused", seen.refused);
    let (seconds, decided) = *samples.last().context("a sample")?;
    println!(
        "{:<28} {seconds:>9.2} s, {decided} decided, {:.0}/s, p50 {:.1} ms and p99 {:.1} ms to 202",
        "votes",
        decided as f64 / seconds,
        seen.p50_ms,
        seen.p99_ms
    );
    let step = STEP.min(decided / 8).max(1);
    let mut rates = Vec::new();
    for end in (1..=decided / step).map(|count| count * step) {
        let took = time_of(&samples, end) - time_of(&samples, end - step);
        rates.push(step as f64 / took);
        println!("  votes {:>9} to {end:>9}   {:>9.0}/s", end - step, step as f64 / took);
    }
    let (first, last) =
        (rates.first().context("a first step")?, rates.last().context("a last step")?);
    Ok(vec![Row::at_least(
        "growth: last / first million",
        vec![last / first],
        0.9,
        format!("{first:.0}/s at first, {last:.0}/s at last"),
    )])
}

/// Polls the number of decided votes ten times a second, until all are decided.
fn sample(node: &Node, begun: Instant, count: u64) -> Result<Vec<(f64, u64)>> {
    let mut samples = vec![(0.0, 0)];
    let mut moved = Instant::now();
    loop {
        std::thread::sleep(Duration::from_millis(100));
        let decided = node.decided()?;
        let before = samples.last().map_or(0, |(_, decided)| *decided);
        samples.push((begun.elapsed().as_secs_f64(), decided));
        if decided >= count {
            return Ok(samples);
        }
        if decided > before {
            moved = Instant::now();
        }
        ensure!(
            moved.elapsed() < Duration::from_secs(60),
            "{decided} of {count} votes are decided, and no more for a minute"
        );
    }
}

/// The time at which `decided` votes were decided, interpolated between two samples.
fn time_of(samples: &[(f64, u64)], decided: u64) -> f64 {
    let after =
        samples.iter().position(|(_, count)| *count >= decided).unwrap_or(samples.len() - 1);
    let (end, end_count) = samples[after];
    let (start, start_count) = samples[after.saturating_sub(1)];
    if end_count == start_count {
        return end;
    }
    start + (end - start) * (decided - start_count) as f64 / (end_count - start_count) as f64
}

/// Times the start of a node that was killed and of one that was stopped, compared with reading its
/// snapshots.
fn restarts(workbench: &Workbench, data: &Path) -> Result<Vec<Row>> {
    let (mut killed, mut stopped) = (Vec::new(), Vec::new());
    let mut memory = 0;
    for _ in 0..workbench.runs {
        let node = Node::start(&workbench.votekit, data)?;
        killed.push(node.ready_after.as_secs_f64());
        memory = memory.max(node.memory_bytes_max()?);
        node.stop()?;
        let node = Node::start(&workbench.votekit, data)?;
        stopped.push(node.ready_after.as_secs_f64());
        node.kill()?;
    }
    let snapshots = data.join("snapshots");
    let begun = Instant::now();
    for file in crate::project::files_below(&snapshots)? {
        std::io::copy(&mut fs::File::open(snapshots.join(file))?, &mut std::io::sink())?;
    }
    let detail = format!(
        "reading its {:.0} MiB of snapshots takes {:.2} s; peak memory {:.0} MiB",
        mib(node::bytes_in(&snapshots)?),
        begun.elapsed().as_secs_f64(),
        mib(memory)
    );
    Ok(vec![
        Row::at_most("restart: killed to ready, s", killed, 5.0, detail),
        Row::at_most("restart: stopped to ready, s", stopped, 5.0, String::new()),
    ])
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_lie_between_samples() {
        let samples = [(0.0, 0), (1.0, 100), (2.0, 300)];
        assert!((time_of(&samples, 50) - 0.5).abs() < 1e-9);
        assert!((time_of(&samples, 200) - 1.5).abs() < 1e-9);
        assert!((time_of(&samples, 300) - 2.0).abs() < 1e-9);
    }
}
