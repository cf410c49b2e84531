//! Simulates several authorities under faults: many seeds, one seed again, or runs that lack a
//! guard.
//!
//! `cargo run --release -p votekit-authority --example simulate -- --seeds 10000`
//! `… --from 500 --seeds 100`: the seeds 500 to 599
//! `… --seed 42 [--mutation leader-free]`: one run, with its schedule
//! `… --holder idle`: in each run an authority takes the lease, and is not elected
//! `… --mutations 400`: the first of 400 seeds that notices each missing guard
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use votekit_authority::simulation::{Mutation, Run, find_violation, run, run_with_idle_holder};

/// The seeds of a whole simulation.
const SEEDS: u64 = 10_000;

#[derive(Default)]
struct Arguments {
    from: Option<u64>,
    seeds: Option<u64>,
    seed: Option<u64>,
    mutation: Option<Mutation>,
    mutations: Option<u64>,
    has_idle_holder: bool,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut parsed = Self::default();
        while let Some(option) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{option} takes a value"))?;
            match option.as_str() {
                "--from" => parsed.from = Some(u64::from_str(&value)?),
                "--seeds" => parsed.seeds = Some(u64::from_str(&value)?),
                "--seed" => parsed.seed = Some(u64::from_str(&value)?),
                "--mutation" => parsed.mutation = Some(Mutation::from_str(&value)?),
                "--mutations" => parsed.mutations = Some(u64::from_str(&value)?),
                "--holder" if value == "idle" => parsed.has_idle_holder = true,
                _ => return Err(format!("unknown option {option}").into()),
            }
        }
        Ok(parsed)
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let from = arguments.from.unwrap_or(0);
    let run_seed = if arguments.has_idle_holder { run_with_idle_holder } else { run };
    let is_clean = if let Some(seed) = arguments.seed {
        let run = run_seed(seed, arguments.mutation);
        println!("{run}");
        run.violation.is_none()
    } else if let Some(seeds) = arguments.mutations {
        report_mutations(from, seeds)
    } else {
        let seeds = arguments.seeds.unwrap_or(SEEDS);
        simulate(from, seeds, |seed| run_seed(seed, arguments.mutation))
    };
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs seeds on all processors; each run has one thread. Returns whether every rule was kept.
fn simulate(from: u64, seeds: u64, run_seed: impl Fn(u64) -> Run + Sync) -> bool {
    let next = AtomicU64::new(from);
    let runs: Mutex<Vec<Run>> = Mutex::new(Vec::new());
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= from + seeds {
            break;
        }
        let mut run = run_seed(seed);
        if run.violation.is_some() {
            println!("{run}\n");
        }
        // Thousands of schedules would fill the memory.
        run.schedule = Vec::new();
        runs.lock().expect("no run panics with the lock").push(run);
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let runs = runs.into_inner().expect("no run panicked");
    let sum = |count: &dyn Fn(&Run) -> u64| runs.iter().map(count).sum::<u64>();
    println!(
        "{} runs: {} steps, {} blocks, {} terms, {} crashes, {} partitions, ledger rolled back in {}, \
         {} blocks proposed again, {} false blocks, {} suspicions",
        runs.len(),
        sum(&|run| run.steps),
        sum(&|run| run.height),
        sum(&|run| run.terms),
        sum(&|run| run.crashes),
        sum(&|run| run.cuts),
        sum(&|run| run.rollbacks),
        sum(&|run| run.proposed_again),
        sum(&|run| u64::from(run.false_blocks)),
        sum(&|run| run.suspicions),
    );
    let mut broken: Vec<&Run> = runs.iter().filter(|run| run.violation.is_some()).collect();
    broken.sort_by_key(|run| run.seed);
    for run in &broken {
        let rule = run.violation.as_ref().map_or("", |violation| violation.rule.as_str());
        println!("seed {} breaks {rule}: {}", run.seed, run.repeat_command());
    }
    broken.is_empty()
}

/// Reports which seed notices each mutation. Returns whether all were noticed.
fn report_mutations(from: u64, seeds: u64) -> bool {
    let mut all_noticed = true;
    for mutation in Mutation::ALL {
        match find_violation(mutation, from..from + seeds) {
            Some(Run { seed, violation: Some(violation), .. }) => {
                println!("{mutation}: seed {seed}, {violation}");
            }
            _ => {
                println!("{mutation}: not noticed within {seeds} seeds");
                all_noticed = false;
            }
        }
    }
    all_noticed
}
