//! Both generators against a real HTTP server.

mod goose;
mod node;
mod open_loop;
