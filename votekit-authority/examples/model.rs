//! The model of the rounds in all scopes, with what it finds when a guard is left out.
//!
//! `cargo run -p votekit-authority --example model -- [WORD]`: only the scopes and mutants whose
//! name contains the word. `cargo xtask model` runs it.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::process::ExitCode;
use std::time::Instant;

#[path = "../tests/model/rounds/mod.rs"]
mod rounds;

use rounds::{MUTANTS, Mutant, Outcome, SCOPES, Scope, explore};

/// The memory of a run: about 400 bytes a state.
const STATES_MAX: usize = 20_000_000;

fn main() -> ExitCode {
    let word = std::env::args().nth(1).unwrap_or_default();
    let mut wrong = 0;
    for scope in SCOPES.iter().filter(|scope| scope.name.contains(&word)) {
        wrong += u32::from(!run_scope(scope));
    }
    for mutant in MUTANTS.iter().filter(|mutant| mutant.name.contains(&word)) {
        wrong += u32::from(!run_mutant(mutant));
    }
    if wrong == 0 {
        println!("all as expected");
        return ExitCode::SUCCESS;
    }
    println!("{wrong} not as expected");
    ExitCode::FAILURE
}

fn run_scope(scope: &Scope) -> bool {
    let size = if scope.is_large { " (large)" } else { "" };
    let began = Instant::now();
    let outcome = explore(scope, Default::default(), STATES_MAX);
    print(&format!("{}{size}", scope.name), &outcome, began);
    outcome.is_clean()
}

fn run_mutant(mutant: &Mutant) -> bool {
    let (name, scope) = (mutant.name, &mutant.scope);
    let began = Instant::now();
    let outcome = explore(scope, mutant.mutations, STATES_MAX);
    let lies = if scope.ledger_lies() { ", the ledger lies" } else { "" };
    print(&format!("without: {name}{lies}"), &outcome, began);
    let began = Instant::now();
    let others = explore(scope, mutant.others, STATES_MAX);
    print(&format!("without what backs: {name}"), &others, began);
    outcome.is_caught() && others.is_clean()
}

fn print(name: &str, outcome: &Outcome, began: Instant) {
    println!("{name}: {outcome}, {:.1} s", began.elapsed().as_secs_f64());
}
