//! Load limits that keep honest voters served: rates, shares by address prefix, the throttle on
//! wrong codes, and the admission that combines them. State only, no task.

pub mod address_prefix;
pub mod admission;
mod digest_table;
pub mod rate_limit;
pub mod throttle;
