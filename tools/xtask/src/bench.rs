//! `cargo xtask bench`: compares each figure with a reference as a ratio, the median of several
//! runs.
//!
//! The ratio of two programs on the same input, on the same machine, in the same minute, says more
//! than a time alone. One file a row.

pub(crate) mod node;
mod paired;
mod row;
mod wrk;
mod services;
mod installation;
mod authorities;
mod bare_handler;
mod failover;
mod hashgen;
mod hostile;
mod http1;
mod latency;
mod memory;
mod profile;
mod readers;
mod redis;
mod verify;
mod referendum;
mod rest;
mod restart;
mod services_parts;
mod vote;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

pub(crate) use self::paired::median;
use self::row::Row;
use crate::project;

/// Compare votekit's own speed and memory with another command's.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The benchmarks to run: hashgen, vote, latency, hostile, http1, readers, verify, referendum,
    /// redis, restart; on services vote, latency, parts, rest, memory; failover and authorities,
    /// always on services. By default those of the engine that are short.
    names: Vec<String>,
    /// The engine of votekit; `services` starts a Redis Cluster, RabbitMQ and PostgreSQL for it.
    #[arg(long, value_enum, default_value_t = Engine::Embedded)]
    engine: Engine,
    /// The command to compare with votekit, split at spaces, without a shell. `{input}` stands for
    /// the benchmark's input and `{output}` for its own path that does not exist yet.
    #[arg(long, value_name = "COMMAND")]
    beside: Option<String>,
    /// Number of runs, or pairs of runs, for the median.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Number of authorities in the row `failover`; all but one are a quorum.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(3..=4))]
    authorities: u32,
    /// Number of electors in the generated roll.
    #[arg(long, default_value_t = 1_000_000)]
    electors: u64,
    /// Also profile the node with perf, and print how its processor time divides (rows `vote` and
    /// `parts`).
    #[arg(long)]
    profile: bool,
    /// A Python with DuckDB, which hashgen is compared with.
    #[arg(long, value_name = "PATH", env = "VOTEKIT_BENCH_PYTHON")]
    python: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    Embedded,
    Services,
}

impl Engine {
    fn benches(self) -> impl Iterator<Item = &'static Bench> + Clone {
        let own: &'static [Bench] = match self {
            Self::Embedded => &BENCHES,
            Self::Services => &SERVICES_BENCHES,
        };
        own.iter().chain(&AUTHORITIES_BENCHES)
    }
}

struct Bench {
    name: &'static str,
    about: &'static str,
    /// Whether it runs when no name is given.
    by_default: bool,
    run: fn(&Workbench) -> Result<Vec<Row>>,
}

const BENCHES: [Bench; 10] = [
    Bench {
        name: "hashgen",
        about: "hash a roll into shards, beside DuckDB",
        by_default: false,
        run: hashgen::run,
    },
    Bench {
        name: "vote",
        about: "votes decided a second, beside a bare handler",
        by_default: true,
        run: vote::run,
    },
    Bench {
        name: "latency",
        about: "time to 202 and to the decision at 1,000 votes/s",
        by_default: true,
        run: latency::run,
    },
    Bench {
        name: "hostile",
        about: "time to 202 at 800 votes/s beside busy connections, replays and readers",
        by_default: false,
        run: hostile::run,
    },
    Bench {
        name: "http1",
        about: "the load generator's HTTP/1.1 client, beside hyper's",
        by_default: false,
        run: http1::run,
    },
    Bench {
        name: "readers",
        about: "time to 202 at 1,000 votes/s beside 5,000 readers of live results",
        by_default: false,
        run: readers::run,
    },
    Bench {
        name: "verify",
        about: "verify a bundle, beside --beside or sha256sum of its leaves",
        by_default: true,
        run: verify::run,
    },
    Bench {
        name: "referendum",
        about: "a whole referendum, from roll to verified bundle: growth, restart, verify",
        by_default: false,
        run: referendum::run,
    },
    Bench {
        name: "redis",
        about: "load a roll into one Redis beside one SADD a hash; memory an elector",
        by_default: false,
        run: redis::run,
    },
    Bench {
        name: "restart",
        about: "open and leave a data folder in which all have voted, beside --beside or cat of its snapshot",
        by_default: false,
        run: restart::run,
    },
];

const SERVICES_BENCHES: [Bench; 5] = [
    Bench {
        name: "rest",
        about: "transactions a second on PostgreSQL with six nodes and twenty elections at rest",
        by_default: false,
        run: rest::run,
    },
    Bench {
        name: "vote",
        about: "votes decided a second over servers, beside --beside, which prints `peer: … N votes/s end to end`",
        by_default: true,
        run: services::run,
    },
    Bench {
        name: "latency",
        about: "time to 202 and to the decision at 1,000 votes/s",
        by_default: true,
        run: latency::run_on_services,
    },
    Bench {
        name: "parts",
        about: "where the processor time of a vote goes: a node a role, and each server",
        by_default: false,
        run: services_parts::run,
    },
    Bench {
        name: "memory",
        about: "peak memory of a node of each role beside a loaded election",
        by_default: false,
        run: memory::run,
    },
];

/// Those of several authorities, which start servers under either engine.
const AUTHORITIES_BENCHES: [Bench; 2] = [
    Bench {
        name: "failover",
        about: "time from the death of the leading authority until a vote cast after it is decided",
        by_default: false,
        run: failover::run,
    },
    Bench {
        name: "authorities",
        about: "the same load with one, three and four authorities",
        by_default: false,
        run: authorities::run,
    },
];

/// The resources of a benchmark.
struct Workbench {
    votekit: PathBuf,
    /// An empty folder for this benchmark.
    folder: PathBuf,
    electors: u64,
    runs: u32,
    /// Number of authorities.
    authorities: u32,
    beside: Option<String>,
    profile: bool,
    python: Option<PathBuf>,
}

/// Runs the chosen benchmarks and prints their rows.
///
/// # Errors
/// When a name is unknown or anything fails: a failed run has no figure.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let benches = arguments.engine.benches();
    for name in &arguments.names {
        if !benches.clone().any(|bench| bench.name == name) {
            let known: Vec<_> =
                benches.map(|bench| format!("{} ({})", bench.name, bench.about)).collect();
            bail!("no benchmark '{name}'; there are: {}", known.join(", "));
        }
    }
    project::succeed(&mut project::cargo(["build", "--release", "--package", "votekit-cli"]))?;
    let chosen = |bench: &&Bench| {
        if arguments.names.is_empty() {
            bench.by_default
        } else {
            arguments.names.iter().any(|name| name == bench.name)
        }
    };
    let mut rows = Vec::new();
    for bench in benches.filter(chosen) {
        let workbench = Workbench {
            votekit: project::target_dir()?.join("release/votekit"),
            folder: project::scratch(&format!("bench/{}", bench.name))?,
            electors: arguments.electors,
            runs: arguments.runs,
            authorities: arguments.authorities,
            beside: arguments.beside.clone(),
            profile: arguments.profile,
            python: arguments.python.clone(),
        };
        rows.extend((bench.run)(&workbench).with_context(|| format!("benchmark {}", bench.name))?);
        // The folder of a profile is kept, to be examined afterwards.
        if !arguments.profile {
            fs::remove_dir_all(&workbench.folder)?;
        }
    }
    println!("{}", row::header());
    for row in rows {
        println!("{row}");
    }
    Ok(())
}
