//! From the request to the ballot box: checks, batches, durability, the answer.

pub(crate) mod submit;
pub(crate) mod sign_in;
pub(crate) mod epoch_marks;
mod last_batch;
pub(crate) mod epoch_end;
pub(crate) mod lease_renewal;
pub(crate) mod intake;
pub(crate) mod direct_staging;
