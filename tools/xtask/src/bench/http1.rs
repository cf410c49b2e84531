//! The load generator's own HTTP/1.1 client compared with hyper's: both post the same votes to the
//! bare handler over the same number of connections. The result is the processor time of the
//! client, because the generator shares a machine with the node that it measures.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use wait4::Wait4 as _;

use super::Workbench;
use super::bare_handler::{BareHandler, build_example};
use super::paired::median;
use super::row::Row;

/// The example program that has both clients.
const CLIENTS: &str = "http1_clients";

/// Requests a run: a few seconds on two cores.
const REQUESTS: u64 = 400_000;

/// A client of our own must spare at least a twentieth of the processor time of hyper's.
const PROCESSOR_RATIO_MAX: f64 = 0.95;

/// The figures of one run of one client.
#[derive(Clone, Copy)]
struct Run {
    processor_us: f64,
    per_second: f64,
}

pub(super) fn run(workbench: &Workbench) -> Result<Vec<Row>> {
    BareHandler::build()?;
    build_example(CLIENTS)?;
    let (mut own, mut hyper) = (Vec::new(), Vec::new());
    for number in 0..workbench.runs {
        // They alternate in going first.
        if number % 2 == 0 {
            own.push(client_run(workbench, "own")?);
            hyper.push(client_run(workbench, "hyper")?);
        } else {
            hyper.push(client_run(workbench, "hyper")?);
            own.push(client_run(workbench, "own")?);
        }
    }
    Ok(rows(&own, &hyper))
}

fn rows(own: &[Run], hyper: &[Run]) -> Vec<Row> {
    let of = |runs: &[Run], value: fn(&Run) -> f64| median(runs.iter().map(value).collect());
    let ratios = |value: fn(&Run) -> f64| -> Vec<f64> {
        own.iter().zip(hyper).map(|(own, hyper)| value(own) / value(hyper)).collect()
    };
    let processor = format!(
        "processor time a request: own client {:.2} µs, hyper's {:.2} µs",
        of(own, |run| run.processor_us),
        of(hyper, |run| run.processor_us),
    );
    let rate = format!(
        "{:.0}/s beside {:.0}/s, with the server on the same machine",
        of(own, |run| run.per_second),
        of(hyper, |run| run.per_second),
    );
    vec![
        Row::at_most(
            "http1: processor",
            ratios(|run| run.processor_us),
            PROCESSOR_RATIO_MAX,
            processor,
        ),
        Row::reported("http1: rate", ratios(|run| run.per_second), rate),
    ]
}

/// Runs one client to its end, against a handler of its own.
fn client_run(workbench: &Workbench, client: &str) -> Result<Run> {
    let handler = BareHandler::start(&workbench.votekit)?;
    let mut command = Command::new(workbench.votekit.with_file_name("examples").join(CLIENTS));
    command.args([client, &handler.address, &REQUESTS.to_string()]).stdin(Stdio::null());
    let begun = Instant::now();
    let child = command.spawn().context("starting the clients")?;
    let used = child.wait4()?;
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(used.status.success(), "the client '{client}' failed: {}", used.status);
    let processor_seconds = (used.rusage.utime + used.rusage.stime).as_secs_f64();
    let requests = REQUESTS as f64;
    Ok(Run { processor_us: processor_seconds * 1e6 / requests, per_second: requests / seconds })
}
