//! From the ballot box to staging: batches are verified, marked in the registry and staged. Batches
//! that cannot be processed yet are held.

mod held_deliveries;
pub(crate) mod step_loop;
pub(crate) mod validation;
pub(crate) mod staging;
