//! Several authorities under faults, 500 seeds; and each guard shows that it is needed.
//!
//! More seeds, and one seed again: the example `simulate`.

use std::ops::Range;

use votekit_authority::simulation::{Mutation, Run, find_violation, run, run_with_idle_holder};

/// The seeds within which each mutation must be noticed. Most take a few, the rarest some dozens.
const MUTATION_SEEDS: u64 = 400;

/// Runs seeds without a mutation. Panics with the schedule of the first that breaks a rule.
fn run_clean(seeds: Range<u64>) {
    let runs: Vec<Run> = seeds
        .map(|seed| {
            let run = run(seed, None);
            assert!(run.violation.is_none(), "{run}");
            run
        })
        .collect();
    // The faults must have happened, or the runs are no evidence.
    let sum = |count: &dyn Fn(&Run) -> u64| runs.iter().map(count).sum::<u64>();
    let seeds = runs.len() as u64;
    assert!(sum(&|run| run.crashes) >= seeds, "few crashes");
    assert!(sum(&|run| run.cuts) >= seeds, "few partitions");
    assert!(sum(&|run| run.terms) >= 3 * seeds, "few terms");
    assert!(sum(&|run| run.height) >= 6 * seeds, "few blocks");
    assert!(10 * sum(&|run| run.rollbacks) >= seeds, "few ledgers were rolled back");
    assert!(10 * sum(&|run| run.proposed_again) >= seeds, "few blocks were proposed again");
    assert!(50 * sum(&|run| u64::from(run.false_blocks)) >= seeds, "few false blocks");
}

// Four tests, so that they share the processors.

#[test]
fn honest_authorities_keep_every_rule_first_quarter() {
    run_clean(0..125);
}

#[test]
fn honest_authorities_keep_every_rule_second_quarter() {
    run_clean(125..250);
}

#[test]
fn honest_authorities_keep_every_rule_third_quarter() {
    run_clean(250..375);
}

#[test]
fn honest_authorities_keep_every_rule_last_quarter() {
    run_clean(375..500);
}

#[test]
fn a_holder_of_the_lease_that_is_not_elected_holds_no_poll_up() {
    let mut suspicions = 0;
    for seed in 0..30 {
        let run = run_with_idle_holder(seed, None);
        assert!(run.violation.is_none(), "{run}");
        suspicions += run.suspicions;
    }
    assert!(suspicions >= 60, "{suspicions} suspicions are few");
}

#[test]
fn a_seed_repeats_its_run() {
    let (first, second) = (run(7, None), run(7, None));
    assert_eq!(first.schedule, second.schedule);
    assert_eq!(first.steps, second.steps);
}

#[test]
fn each_missing_guard_is_noticed() {
    let unnoticed: Vec<Mutation> = Mutation::ALL
        .into_iter()
        .filter(|mutation| find_violation(*mutation, 0..MUTATION_SEEDS).is_none())
        .collect();
    assert!(unnoticed.is_empty(), "not noticed within {MUTATION_SEEDS} seeds: {unnoticed:?}");
}
