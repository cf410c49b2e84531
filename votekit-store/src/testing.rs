//! For tests of engines, here and elsewhere: the conformance suite, and engines that fail.

pub mod conformance;
pub mod unreliable;
