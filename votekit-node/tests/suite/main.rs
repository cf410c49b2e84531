//! A node without HTTP. One program, because each would link the node anew; files that load the
//! machine, or need servers, are programs of their own.

#[path = "../support/mod.rs"]
mod support;

mod installation;

mod accounts;
mod authorities;
mod authorities_intruder;
mod authorities_recovery;
mod authorities_status;
mod damaged_election;
mod lifecycle;
mod members;
mod registry_trouble;
mod sign_in;
mod snapshots;
mod witness;
