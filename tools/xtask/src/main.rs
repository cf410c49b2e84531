//! The project's chores, run as `cargo xtask <verb>`: all checks, pages in a browser, requests made
//! from the OpenAPI document, man pages, fuzzing, benchmarks, chaos, lies of authorities, the model
//! and the simulation of the rounds, checkpoints verified in Go, and servers for experiments.
//!
//! In addition to a Rust toolchain and a C compiler, tests need curl, openssl, Chromium with its
//! driver and Python with pip and venv, benchmarks wrk and a Python with DuckDB, fuzzing a C++
//! compiler, `go-note` Go.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore speaks to the person who runs it"
)]

mod project;
mod packages;
mod services;
mod bench;
mod python;
mod api_fuzz;
mod browser;
mod chaos;
mod byzantine;
mod fuzz;
mod go_note;
mod man;
mod model;
mod modules;
mod simulate;
mod test;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

/// The project's chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Chores {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Test(test::Arguments),
    Browser(browser::Arguments),
    ApiFuzz(api_fuzz::Arguments),
    /// Regenerate the pages in man/.
    Man,
    Modules(modules::Arguments),
    Model(model::Arguments),
    Simulate(simulate::Arguments),
    GoNote(go_note::Arguments),
    Fuzz(fuzz::Arguments),
    Bench(bench::Arguments),
    Chaos(chaos::Arguments),
    Byzantine(byzantine::Arguments),
    Services(services::Arguments),
}

fn main() -> ExitCode {
    let chores = Chores::parse();
    if let Verb::Services(arguments) = &chores.verb
        && arguments.is_guard()
    {
        // It outlives the chore that started it, and starts no processes.
        return exit_code(services::run(arguments));
    }
    match childguard::guard_this_process() {
        Ok(guard) => {
            let code = run(chores.verb);
            guard.dismiss();
            code
        }
        Err(error) => exit_code(Err(error).context("starting the guard of this chore's children")),
    }
}

fn run(verb: Verb) -> ExitCode {
    exit_code(match verb {
        Verb::Test(arguments) => return test::run(&arguments),
        Verb::Browser(arguments) => browser::run(&arguments),
        Verb::ApiFuzz(arguments) => api_fuzz::run(&arguments),
        Verb::Man => man::run(),
        Verb::Modules(arguments) => modules::run(&arguments),
        Verb::Model(arguments) => model::run(&arguments),
        Verb::Simulate(arguments) => simulate::run(&arguments),
        Verb::GoNote(arguments) => go_note::run(&arguments),
        Verb::Fuzz(arguments) => fuzz::run(&arguments),
        Verb::Bench(arguments) => bench::run(&arguments),
        Verb::Chaos(arguments) => chaos::run(&arguments),
        Verb::Byzantine(arguments) => byzantine::run(&arguments),
        Verb::Services(arguments) => services::run(&arguments),
    })
}

fn exit_code(done: Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
