//! `votekit dead-letters`, with a real RabbitMQ.
#![cfg(feature = "services")]

mod support;

use support::{TestDir, services};

fn broker() -> String {
    services::address("VOTEKIT_TEST_AMQP")
}

#[test]
fn missing_ballot_box_is_not_created() {
    let dir = TestDir::new();
    let address =
        format!("{}?prefix=test-dead-letters-cli-{}&queues=1", broker(), std::process::id());
    for verb in ["list", "requeue", "list"] {
        dir.run(&["dead-letters", verb, "--ballot-box", &address]).fails(
            4,
            &["no ballot box with this prefix", "hint: give the same address as the nodes"],
        );
    }
}

#[test]
fn each_bad_address_is_reported_with_a_hint() {
    let dir = TestDir::new();
    for (address, expected) in [
        ("redis://localhost", "begins with redis://, expected amqp://"),
        ("amqp://guest:secret-no@127.0.0.1:1", "cannot connect"),
        ("amqp://guest:secret-no@127.0.0.1:1?queue=4", "unknown parameter queue"),
    ] {
        let outcome = dir.run(&["dead-letters", "list", "--ballot-box", address]);
        outcome.fails(4, &[expected, "hint: "]);
        assert!(!outcome.stderr.contains("secret"), "{}", outcome.stderr);
    }
    dir.run(&["dead-letters", "requeue", "--ballot-box", "amqp://127.0.0.1:1"])
        .fails(4, &["hint: check host and port"]);
}
