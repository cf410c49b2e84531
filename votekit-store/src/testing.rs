//! Support for tests of engines in this and other crates: the conformance suite, and failing
//! engines.

pub mod conformance;
pub mod unreliable;
