//! Support for tests of engines in this and other crates: the conformance suite, and faults at
//! random.

pub mod conformance;
pub mod seeded_faults;
