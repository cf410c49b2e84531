use super::*;
use crate::bundle::sample::{Sample, authority_keys};
use crate::bundle::{MemorySource, Rule, file};

fn pinned() -> Options<'static> {
    Options { pin: Some(Pin::Policy(authority_keys(11).policy().as_bytes().to_vec())), ..Options::default() }
}

fn check(bundle: &MemorySource) -> Verification {
    verify(bundle, &pinned()).expect("memory reads")
}

#[test]
fn the_sample_is_proven() {
    let sample = Sample::certified();
    let verification = check(&sample.bundle());
    assert_eq!(verification.failures.list(), []);
    assert!(verification.is_proven());
}
