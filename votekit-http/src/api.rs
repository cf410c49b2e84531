//! The resources, one in each file.

pub(crate) mod vote;

pub(crate) mod receipt;
pub(crate) mod status;

pub(crate) mod elections;
pub(crate) mod live_events;
pub(crate) mod live_socket;
pub(crate) mod results;

pub(crate) mod log_tiles;

pub(crate) mod admin;

pub(crate) mod exposition;
pub(crate) mod health;
pub(crate) mod openapi;
