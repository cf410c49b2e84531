//! What keeps honest voters served: rates, shares of addresses, the throttle on wrong codes, and
//! admission over all of them. State only, no task.

pub mod address_prefix;
pub mod admission;
mod digest_table;
pub mod rate_limit;
pub mod throttle;
