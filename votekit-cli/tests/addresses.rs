//! Every verb that takes the address of a service reports a fault of the address in one line, with
//! a hint, and exits with 4.
#![cfg(feature = "services")]

mod support;

use support::poll;

const REDIS: &str = "http://:geheim@127.0.0.1:6379";
const AMQP: &str = "http://votekit:geheim@127.0.0.1:5672";
const POSTGRES: &str = "mysql://votekit:geheim@127.0.0.1:5432/votekit";

#[test]
fn each_verb_names_the_fault_of_an_address() {
    let (dir, _) = poll::drafted(3, &[]);
    let good =
        ["redis://127.0.0.1:1", "amqp://127.0.0.1:1", "postgres://votekit@127.0.0.1:1/votekit"];
    let serve = |[registry, ballot_box, ledger]: [&'static str; 3]| {
        vec![
            "serve",
            "--data",
            "node",
            "--registry",
            registry,
            "--ballot-box",
            ballot_box,
            "--ledger",
            ledger,
        ]
    };
    let ledger =
        |words: &[&'static str]| [words, &["--data", "node", "--ledger", POSTGRES]].concat();
    let redis = "begins with http://, expected redis:// or rediss://";
    let amqp = "begins with http://, expected amqp:// or amqps://";
    let postgres = "begins with mysql://, expected postgres:// or postgresql://";
    for (words, expected) in [
        (serve([REDIS, good[1], good[2]]), redis),
        (serve([good[0], AMQP, good[2]]), amqp),
        (serve([good[0], good[1], POSTGRES]), postgres),
        (vec!["load", "hashes", "--registry", REDIS, "--pepper-file", "referendum.pepper"], redis),
        (vec!["registry", "check", "--registry", REDIS], redis),
        (vec!["registry", "rebuild", "--registry", REDIS, "--data", "node"], redis),
        (ledger(&["registry", "check", "--registry", good[0]]), postgres),
        (ledger(&["registry", "rebuild", "--registry", good[0]]), postgres),
        (vec!["dead-letters", "list", "--ballot-box", AMQP], amqp),
        (vec!["dead-letters", "requeue", "--ballot-box", AMQP], amqp),
        (ledger(&["export", "bundle", "bundle"]), postgres),
        (ledger(&["export", "results", "--format", "csv"]), postgres),
        (ledger(&["results"]), postgres),
        (ledger(&["recount"]), postgres),
        (ledger(&["batch", "show", "3f1c9a0b7e55d2c4/1/7"]), postgres),
        (ledger(&["review", "list"]), postgres),
    ] {
        let failed = dir.run(&words);
        failed.fails(4, &[expected, "\nhint: "]);
        // The log lines of a node are JSON, and come first.
        let said = failed.stderr.lines().filter(|line| !line.starts_with('{'));
        assert_eq!(said.count(), 2, "{words:?}: {}", failed.stderr);
        assert!(!failed.stderr.contains("geheim"), "{words:?}: {}", failed.stderr);
    }
}
