//! `cargo xtask chaos`: repeatedly kills nodes and cuts their power under load, and checks that no
//! answered vote is lost or doubled.
//!
//! ```text
//! run ─▶ episodes: one election each, from its opening to its check
//!          ├─ load       voters: record each vote before they send it, retry until it is answered
//!          ├─ node       the node under test, in some episodes on a disk that fails on order
//!          ├─ fault      ends each round
//!          └─ checker    compares journals with the bundle, sharing no code with votekit
//! ```
//!
//! On services: `services` has several nodes of one authority, `authorities` several authorities.
//! Both have a `fleet` of nodes and servers: a `member` is a node with a `link` to each server that
//! can be cut, and `alarms` reads what the nodes report.
//!
//! `--mutant` builds a votekit that breaks an invariant, and fails unless the checker detects it.

pub(crate) mod fault;
pub(crate) mod node;
pub(crate) mod load;
mod link;
pub(crate) mod member;
pub(crate) mod fleet;
pub(crate) mod alarms;
pub(crate) mod tally;
pub(crate) mod authorities;
mod episode;
mod mutants;
mod services;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use self::episode::{Outcome, Setup};
use self::mutants::Mutant;
use self::tally::Tally;
use crate::project;

/// Kill nodes and servers, cut power and connections under load, and check every answered vote.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The engine the nodes run on.
    #[arg(long, value_enum, default_value_t = Engine::Embedded)]
    engine: Engine,
    /// Several authorities, each with its own data folder, of which all but one are a quorum; on
    /// services.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(3..=4))]
    authorities: Option<u64>,
    /// Only this kind of fault, with several authorities; may be repeated for further kinds.
    #[arg(long = "fault", value_enum, value_name = "KIND", requires = "authorities")]
    kinds: Vec<authorities::Fault>,
    /// Keep the folder with all logs, on services, even if nothing fails.
    #[arg(long)]
    keep: bool,
    /// Total number of faults, on services.
    #[arg(long, default_value_t = 130, value_parser = clap::value_parser!(u64).range(1..))]
    faults: u64,
    /// How long PostgreSQL is down once, on services with one authority; 0: never.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(..=3600))]
    outage_seconds: u64,
    /// Votes a second, on services; fewer if the roll would become too large for a long run.
    #[arg(long, value_name = "N", default_value_t = 150, value_parser = clap::value_parser!(u64).range(20..))]
    rate: u64,
    /// Total number of rounds, on the embedded engine: in each the node dies once.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Rounds in one election [default: 10; 4 with --mutant].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    rounds_per_episode: Option<u64>,
    /// The seed of all random choices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run only this episode, for example after a failure; with --mutant start with it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    episode: Option<u64>,
    /// The build profile of the node [default: release; dev with --mutant].
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// Run this votekit instead of building one.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["profile", "mutant"])]
    votekit: Option<PathBuf>,
    /// Run a build that breaks an invariant, and fail unless it is detected: no-sync, early-answer.
    #[arg(long, value_name = "NAME")]
    mutant: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    Embedded,
    Services,
}

/// How the programs under test are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    Dev,
    Release,
}

impl Profile {
    /// The folder below the target folder.
    const fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }

    /// The cargo arguments that build votekit. In dev, features are resolved as for the tests, so
    /// that nothing compiles twice.
    fn build_arguments(self) -> &'static [&'static str] {
        match self {
            Self::Dev => &["build", "--quiet", "--workspace", "--bins", "--examples"],
            Self::Release => &["build", "--quiet", "--release", "--package", "votekit-cli"],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }
}

impl Arguments {
    /// The short run as part of all checks on services: most kinds of faults once.
    pub(crate) fn short_on_services() -> Self {
        Self { engine: Engine::Services, ..Self::short() }
    }

    /// The short run as part of all checks with several authorities: the first faults of a round.
    pub(crate) fn short_with_authorities() -> Self {
        Self { authorities: Some(3), faults: 6, ..Self::short_on_services() }
    }

    /// The short run as part of all checks: one episode with kills only, and one episode with power
    /// cuts.
    pub(crate) fn short() -> Self {
        Self {
            engine: Engine::Embedded,
            authorities: None,
            kinds: Vec::new(),
            keep: false,
            faults: 10,
            outage_seconds: 6,
            rate: 100,
            rounds: 8,
            rounds_per_episode: Some(4),
            seed: SHORT_SEED,
            episode: None,
            profile: Some(Profile::Dev),
            votekit: None,
            mutant: None,
        }
    }
}

/// The law of every chaos election.
pub(crate) const LAW: &str = "L2025-001";

/// The command that verifies a published bundle, with the policy exported before the first vote.
pub(crate) const VERIFY_PUBLICATION: [&str; 7] =
    ["verify", "bundle", "bundle", "--policy", "start/policy", "--shards", "hashes"];

/// Its first episode runs on a disk that fails on order, its second does not.
const SHORT_SEED: u64 = 1;

/// Failed episodes whose folders are kept; then the run ends, since a broken node stays broken.
const FAILURES_MAX: u64 = 3;

/// Runs episodes until there are enough rounds.
///
/// # Errors
/// When an invariant is violated, a node does not start, or anything else ends unexpectedly; with
/// `--mutant` when the checker detects nothing.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if let Some(authorities) = arguments.authorities {
        ensure!(
            matches!(arguments.engine, Engine::Services) && arguments.mutant.is_none(),
            "--authorities needs --engine services, and runs no mutant"
        );
        return run_authorities(arguments, authorities);
    }
    match (arguments.engine, &arguments.mutant) {
        (Engine::Services, None) => run_services(arguments),
        (Engine::Services, Some(_)) => {
            bail!("mutants run on the embedded engine: without --engine services")
        }
        (Engine::Embedded, Some(name)) => run_mutant(arguments, Mutant::named(name)?),
        (Engine::Embedded, None) => run_votekit(arguments),
    }
}

fn run_services(arguments: &Arguments) -> Result<()> {
    // First of all: the guard of the servers runs this program's file, which the build may replace.
    let rig = crate::services::start_for_a_run()?;
    let plan = services::Plan {
        votekit: program(
            arguments.votekit.as_deref(),
            arguments.profile.unwrap_or(Profile::Release),
        )?,
        faults: arguments.faults,
        seed: arguments.seed,
        votes_per_second: arguments.rate,
        outage: Duration::from_secs(arguments.outage_seconds),
        keeps_folder: arguments.keep,
    };
    services::run(&plan, rig)
}

fn run_authorities(arguments: &Arguments, authorities: u64) -> Result<()> {
    // First of all: the guard of the servers runs this program's file, which the build may replace.
    let rig = crate::services::start_for_a_run()?;
    let profile = arguments.profile.unwrap_or(Profile::Release);
    let (votekit, liar) = programs_with_liar(arguments.votekit.as_deref(), profile)?;
    let clock = clock_library();
    let plan = authorities::Plan {
        votekit,
        liar,
        clock,
        authorities,
        faults: arguments.faults,
        seed: arguments.seed,
        votes_per_second: arguments.rate,
        only: arguments.kinds.clone(),
        keeps_folder: arguments.keep,
    };
    authorities::run(&plan, rig)
}

/// The library that bends clocks. Without it no clock jumps, and the run says so.
fn clock_library() -> Option<PathBuf> {
    crate::services::clock_library()
        .inspect_err(|error| println!("SKIPPED: no clock jumps: {error:#}"))
        .ok()
}

/// The program under test and the authority that lies: built, unless a program is given, beside
/// which the liar may be missing.
pub(crate) fn programs_with_liar(
    given: Option<&Path>,
    profile: Profile,
) -> Result<(PathBuf, Option<PathBuf>)> {
    let votekit = program(given, profile)?;
    if given.is_none() && profile == Profile::Release {
        // The build of dev has it already.
        let build = ["build", "--quiet", "--release", "--package", "votekit-liar"];
        project::succeed(&mut project::cargo(build))?;
    }
    let liar = Some(votekit.with_file_name("votekit-liar")).filter(|liar| liar.is_file());
    Ok((votekit, liar))
}

/// The program under test. Unless a path is given, it is built.
fn program(given: Option<&Path>, profile: Profile) -> Result<PathBuf> {
    if let Some(votekit) = given {
        let found = std::path::absolute(votekit)?;
        ensure!(found.is_file(), "--votekit {}: no such file", found.display());
        return Ok(found);
    }
    project::succeed(&mut project::cargo(profile.build_arguments()))?;
    Ok(project::target_dir()?.join(profile.folder()).join("votekit"))
}

fn run_votekit(arguments: &Arguments) -> Result<()> {
    let profile = arguments.profile.unwrap_or(Profile::Release);
    let votekit = program(arguments.votekit.as_deref(), profile)?;
    let setup =
        Setup { votekit, preload: faultdisk::preload_library()?, seed: arguments.seed, only: None };
    let per_episode = arguments.rounds_per_episode.unwrap_or(10);
    let mut run = Run::new(setup, per_episode, profile)?;
    if let Some(episode) = arguments.episode {
        run.episode(episode, per_episode)?;
    } else {
        let mut episode = 0;
        while run.tally.rounds < arguments.rounds && run.tally.failures < FAILURES_MAX {
            episode += 1;
            run.episode(episode, per_episode.min(arguments.rounds - run.tally.rounds))?;
        }
    }
    println!("{}", run.tally);
    println!("chaos: seed {}, {} s", arguments.seed, run.started.elapsed().as_secs());
    ensure!(
        run.tally.failures == 0,
        "{} of {} episodes failed",
        run.tally.failures,
        run.tally.episodes
    );
    Ok(())
}

fn run_mutant(arguments: &Arguments, mutant: &Mutant) -> Result<()> {
    let profile = arguments.profile.unwrap_or(Profile::Dev);
    println!("mutant {}: {}", mutant.name, mutant.about);
    let votekit = mutant.build(profile)?;
    let preload = faultdisk::preload_library()?;
    let setup = Setup { votekit, preload, seed: arguments.seed, only: Some(mutant.fault) };
    let per_episode = arguments.rounds_per_episode.unwrap_or(4);
    let mut run = Run::new(setup, per_episode, profile)?;
    run.mutant = Some(mutant.name);
    let mut episode = arguments.episode.unwrap_or(1) - 1;
    // A node that does not start again ends its episode, and leaves nothing for the checker to
    // compare.
    while run.tally.rounds < arguments.rounds && run.tally.episodes < arguments.rounds {
        episode += 1;
        let outcome = run.episode(episode, per_episode.min(arguments.rounds - run.tally.rounds))?;
        if outcome.report.is_some_and(|report| !report.violations.is_empty()) {
            println!("{}", run.tally);
            let tally = &run.tally;
            println!(
                "chaos: mutant {} caught by the checker after {} rounds and {} answered votes, {} s",
                mutant.name,
                tally.rounds,
                tally.answered,
                run.started.elapsed().as_secs()
            );
            return Ok(());
        }
    }
    println!("{}", run.tally);
    bail!(
        "mutant {} was not caught in {} rounds and {} answered votes",
        mutant.name,
        run.tally.rounds,
        run.tally.answered
    )
}

/// A running chaos run.
struct Run {
    setup: Setup,
    per_episode: u64,
    profile: Profile,
    mutant: Option<&'static str>,
    folder: PathBuf,
    tally: Tally,
    started: Instant,
}

impl Run {
    fn new(setup: Setup, per_episode: u64, profile: Profile) -> Result<Self> {
        let folder = project::scratch("chaos")?;
        Ok(Self {
            setup,
            per_episode,
            profile,
            mutant: None,
            folder,
            tally: Tally::default(),
            started: Instant::now(),
        })
    }

    /// Runs one episode, prints a line about it, and keeps its folder if it failed.
    fn episode(&mut self, episode: u64, rounds: u64) -> Result<Outcome> {
        let folder = self.folder.join(format!("episode-{episode}"));
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let started = Instant::now();
        let outcome = episode::run(&self.setup, episode, rounds, &folder);
        self.tally.add(&outcome.tally);
        print_outcome(episode, &outcome, started.elapsed());
        if outcome.tally.failures == 0 {
            fs::remove_dir_all(&folder)?;
        } else {
            let (seed, per_episode, profile) =
                (self.setup.seed, self.per_episode, self.profile.name());
            let mutant = self.mutant.map_or_else(String::new, |name| format!("--mutant {name} "));
            println!("  kept in {}", folder.display());
            println!(
                "  again:  cargo xtask chaos --engine embedded {mutant}--profile {profile} --seed {seed} \
                 --rounds-per-episode {per_episode} --episode {episode}"
            );
        }
        Ok(outcome)
    }
}

fn print_outcome(episode: u64, outcome: &Outcome, took: Duration) {
    let tally = &outcome.tally;
    let faults: Vec<_> =
        tally.faults.iter().map(|(fault, count)| format!("{count} {fault}")).collect();
    println!(
        "episode {episode}{}: {} rounds ({}), {} votes answered of {}, {} decided, {:.1} s: {}",
        if outcome.on_disk { " on the disk" } else { "" },
        tally.rounds,
        faults.join(", "),
        tally.answered,
        tally.votes,
        tally.decided,
        took.as_secs_f64(),
        if tally.failures == 0 { "ok" } else { "FAILED" }
    );
    if let Some(failure) = &outcome.failure {
        println!("  {failure}");
    }
    let violations = outcome.report.iter().flat_map(|report| &report.violations);
    violations.clone().take(5).for_each(|violation| println!("  {violation}"));
    let more = violations.count().saturating_sub(5);
    if more > 0 {
        println!("  … and {more} more");
    }
}
