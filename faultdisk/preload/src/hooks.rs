//! The functions that are replaced. Each that may touch the disk says what it does differently; the
//! rest call what they hide.

mod names;
mod opening;
mod reading;
mod refused;
mod syncing;
mod writing;
