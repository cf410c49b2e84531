//! The fuzzer: libFuzzer drives the target named by the variable `VOTEKIT_FUZZ_TARGET`.
//!
//! A single program for all targets needs to be linked only once. `cargo xtask fuzz` builds and
//! runs it.

#![no_main]

mod targets;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<targets::Target> = OnceLock::new();

fn chosen() -> targets::Target {
    let name = std::env::var("VOTEKIT_FUZZ_TARGET").expect("VOTEKIT_FUZZ_TARGET names a target");
    let (_, target) =
        targets::TARGETS.iter().find(|(known, _)| *known == name).expect("a known target");
    *target
}

fuzz_target!(|data: &[u8]| {
    TARGET.get_or_init(chosen)(data);
});
