//! From the ballot box to staging: batches are verified, marked in the registry and staged. Batches
//! that cannot be processed yet are held.

pub(crate) mod validation;

pub(crate) mod staging;

mod held_deliveries;
