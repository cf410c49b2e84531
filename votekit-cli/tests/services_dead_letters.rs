//! `votekit dead-letters`, over a real RabbitMQ.
#![cfg(feature = "services")]

mod support;

use support::Desk;

fn broker() -> String {
    std::env::var("VOTEKIT_TEST_AMQP")
        .expect("VOTEKIT_TEST_AMQP is not set: `cargo xtask test` starts the servers, or `cargo xtask services up`")
}

#[test]
fn an_empty_box_has_none() {
    let desk = Desk::new();
    let address = format!("{}?prefix=test-dead-letters-cli&queues=1", broker());
    for verb in ["list", "drive"] {
        let report = desk.run(&["dead-letters", verb, "--ballot-box", &address, "--json"]).json();
        assert_eq!((&report["driven"], &report["dead_letters"]), (&(verb == "drive").into(), &serde_json::json!([])));
    }
    assert_eq!(desk.run(&["dead-letters", "list", "--ballot-box", &address]).succeeds(), "0 dead letters\n");
}

#[test]
fn each_bad_address_is_told_with_a_hint() {
    let desk = Desk::new();
    for (address, told) in [
        ("redis://localhost", "begins with redis:// and not with amqp://"),
        ("amqp://guest:secret-no@127.0.0.1:1", "nobody answers"),
        ("amqp://guest:secret-no@127.0.0.1:1?queue=4", "there is no parameter queue"),
    ] {
        let outcome = desk.run(&["dead-letters", "list", "--ballot-box", address]);
        outcome.fails(4, &[told, "hint: "]);
        assert!(!outcome.stderr.contains("secret"), "{}", outcome.stderr);
    }
    desk.run(&["dead-letters", "drive", "--ballot-box", "amqp://127.0.0.1:1"]).fails(4, &["hint: check host and port"]);
}
