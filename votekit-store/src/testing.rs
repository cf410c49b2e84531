//! Support for tests of engines in this and other crates: the conformance suite, and faults at
//! random.

pub mod seeded_faults;
pub mod conformance;
