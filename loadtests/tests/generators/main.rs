//! Both generators against a real HTTP server.

mod goose;
mod hostile;
mod node;
mod open_loop;
