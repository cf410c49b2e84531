//! From the ballot box to staging: batches are verified, marked in the registry and staged.

pub(crate) mod validation;

pub(crate) mod staging;
