//! The servers that tests use.

/// The address of a server, from the environment variable that names it.
pub(crate) fn address(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "{variable} is not set: `cargo xtask test` starts the servers, or `cargo xtask \
             services up`"
        )
    })
}

/// The options that name all servers.
pub(crate) fn options() -> [String; 6] {
    [
        "--registry".to_owned(),
        address("VOTEKIT_TEST_REDIS"),
        "--ballot-box".to_owned(),
        address("VOTEKIT_TEST_AMQP"),
        "--ledger".to_owned(),
        address("VOTEKIT_TEST_POSTGRES"),
    ]
}
