//! The rounds in every order of steps, within scopes that are small enough for a test. The large
//! ones are run by `cargo xtask model`.

mod rounds;

use rounds::{MUTANTS, Mutant, Outcome, SCOPES, Scope, explore};

/// More states than any small scope has.
const STATES_MAX: usize = 500_000;

fn check_scopes(is_chosen: impl Fn(usize) -> bool) {
    let small: Vec<&Scope> = SCOPES.iter().filter(|scope| !scope.is_large).collect();
    let mut count = 0;
    for (_, scope) in small.iter().enumerate().filter(|(place, _)| is_chosen(*place)) {
        let outcome = explore(scope, Default::default(), STATES_MAX);
        assert!(outcome.is_clean(), "{}: {outcome}", scope.name);
        assert!(outcome.states > 1000, "{}: only {outcome}", scope.name);
        count += 1;
    }
    assert!(count > 3, "scopes are missing");
}

// In halves, which run at the same time.

#[test]
fn with_all_guards_every_state_is_right_and_can_end_first_half() {
    check_scopes(|place| place % 2 == 0);
}

#[test]
fn with_all_guards_every_state_is_right_and_can_end_second_half() {
    check_scopes(|place| place % 2 == 1);
}

fn check_mutants(is_chosen: impl Fn(&Mutant) -> bool) {
    let mut count = 0;
    for mutant in MUTANTS.iter().filter(|mutant| is_chosen(mutant)) {
        let outcome: Outcome = explore(&mutant.scope, mutant.mutations, STATES_MAX);
        assert!(outcome.is_caught(), "{}: {outcome}", mutant.name);
        count += 1;
    }
    assert!(count > 3, "mutants are missing");
}

#[test]
fn each_guard_left_out_with_a_ledger_that_lies_breaks_an_invariant() {
    check_mutants(|mutant| mutant.scope.ledger_lies());
}

#[test]
fn each_guard_left_out_with_an_honest_ledger_breaks_an_invariant() {
    check_mutants(|mutant| !mutant.scope.ledger_lies());
}

/// Some guards back one another: the mutant leaves out both, and only the one that it names makes
/// the difference.
#[test]
fn the_guards_left_out_beside_the_named_one_break_nothing_alone() {
    for mutant in MUTANTS.iter().filter(|mutant| !mutant.scope.ledger_lies()) {
        let outcome = explore(&mutant.scope, mutant.others, STATES_MAX);
        assert!(outcome.is_clean(), "{} without its own: {outcome}", mutant.name);
    }
}
