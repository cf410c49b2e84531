//! The replaced functions. Each module handles calls on the disk in its own way and passes all
//! others to the real functions.

mod names;
mod opening;
mod reading;
mod refused;
mod syncing;
mod writing;
