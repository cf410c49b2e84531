//! `cargo xtask bench`: two commands side by side, run in pairs, told as a ratio.
//!
//! A ratio of two programs on the same input, on the same machine, in the same minute, says more than a time alone.

mod hashgen;
mod paired;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use self::paired::{Line, Pair};
use crate::project;

/// Compare votekit's own speed and memory with another command's.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The benchmarks to run, all of them by default.
    names: Vec<String>,
    /// The command to run beside votekit, split at spaces, without a shell. `{input}` stands for the benchmark's input and
    /// `{output}` for a path of its own that does not exist yet.
    #[arg(long, value_name = "COMMAND")]
    beside: Option<String>,
    /// How many pairs to run, after one that is not counted.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// The size of the made-up roll.
    #[arg(long, default_value_t = 1_000_000)]
    electors: u64,
    /// A Python that has DuckDB, which hashgen is run beside.
    #[arg(long, value_name = "PATH", env = "VOTEKIT_BENCH_PYTHON")]
    python: Option<PathBuf>,
}

/// One benchmark: what it is called, and how to get its two commands ready.
struct Bench {
    name: &'static str,
    about: &'static str,
    prepare: fn(&Workbench) -> Result<Pair>,
}

const BENCHES: [Bench; 2] = [
    Bench { name: "hashgen", about: "hash a roll into shards, beside DuckDB or --beside", prepare: hashgen },
    Bench { name: "verify", about: "verify a bundle, beside --beside or sha256sum of its leaves", prepare: verify },
];

/// What a benchmark's preparation has at hand.
struct Workbench {
    votekit: PathBuf,
    /// An empty folder of the benchmark's own.
    folder: PathBuf,
    electors: u64,
    beside: Option<String>,
}

/// Runs the chosen benchmarks and prints one line each.
///
/// # Errors
/// When a name is unknown or any command fails: a failed run has no time.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    for name in &arguments.names {
        if !BENCHES.iter().any(|bench| bench.name == name) {
            let known: Vec<_> = BENCHES.iter().map(|bench| format!("{} ({})", bench.name, bench.about)).collect();
            bail!("no benchmark '{name}'; there are: {}", known.join(", "));
        }
    }
    project::succeed(&mut project::cargo(["build", "--release", "--package", "votekit-cli"]))?;
    println!("{}", paired::header());
    for bench in
        BENCHES.iter().filter(|bench| arguments.names.is_empty() || arguments.names.iter().any(|name| bench.name == name))
    {
        let workbench = Workbench {
            votekit: project::target_dir()?.join("release/votekit"),
            folder: project::scratch(&format!("bench/{}", bench.name))?,
            electors: arguments.electors,
            beside: arguments.beside.clone(),
        };
        if let ("hashgen", None) = (bench.name, &workbench.beside) {
            let (votekit, folder, python) = (&workbench.votekit, &workbench.folder, arguments.python.clone());
            hashgen::run(&hashgen::Setup { votekit, folder, electors: arguments.electors, runs: arguments.runs, python })?;
            fs::remove_dir_all(&workbench.folder)?;
            continue;
        }
        let pair = (bench.prepare)(&workbench).with_context(|| format!("preparing {}", bench.name))?;
        let comparison = paired::measure(&pair, arguments.runs, &workbench.folder)?;
        println!("{}", comparison.line(bench.name));
        fs::remove_dir_all(&workbench.folder)?;
    }
    Ok(())
}

fn hashgen(workbench: &Workbench) -> Result<Pair> {
    let roll = workbench.folder.join("roll.csv");
    let mut sample = Command::new(&workbench.votekit);
    sample.args(["roll", "sample", "--law", "L2025-001", "--seed", "1", "--electors", &workbench.electors.to_string(), "-o"]);
    project::succeed(sample.arg(&roll))?;
    let ours = Line::new(&workbench.votekit).words(["hashgen", "{input}", "--out", "{output}"]);
    let beside = workbench.beside.as_deref().context("hashgen is run beside DuckDB unless --beside COMMAND is given")?;
    Ok(Pair { input: roll, ours, beside: Line::parse(beside)? })
}

fn verify(workbench: &Workbench) -> Result<Pair> {
    let folder = workbench.folder.join("demo");
    let mut demo = Command::new(&workbench.votekit);
    demo.args(["demo", "--electors", &workbench.electors.to_string(), "--dir"]).arg(&folder);
    project::succeed(&mut demo)?;
    let bundle = folder.join("bundle");
    let policy = folder.join("policy");
    let ours = Line::new(&workbench.votekit).words(["verify", "bundle", "{input}", "--policy"]).word(&policy);
    let beside = match &workbench.beside {
        Some(command) => Line::parse(command)?,
        None => leaves(&bundle)?.iter().fold(Line::new("sha256sum"), |line, file| line.word(file)),
    };
    Ok(Pair { input: bundle, ours, beside })
}

/// The files of a bundle that hold its leaves: what nobody can verify without reading.
fn leaves(bundle: &Path) -> Result<Vec<PathBuf>> {
    let files = project::files_below(bundle)?.into_iter();
    let leaves: Vec<_> =
        files.filter(|file| file.to_string_lossy().starts_with("leaves")).map(|file| bundle.join(file)).collect();
    ensure!(!leaves.is_empty(), "{} holds no leaves", bundle.display());
    Ok(leaves)
}
