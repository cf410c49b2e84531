//! From the ballot box to staging: batches are verified, marked in the registry and staged. Batches
//! that cannot be processed yet are held.

pub(crate) mod validation;

pub(crate) mod staging;

pub(crate) mod step_loop;

mod held_deliveries;
