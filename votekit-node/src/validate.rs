//! From the ballot box to staging: batches are verified, marked in the registry and staged. What
//! cannot be processed now is held.

pub(crate) mod validation;

pub(crate) mod staging;

mod held_deliveries;
