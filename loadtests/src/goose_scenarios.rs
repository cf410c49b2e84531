//! Goose.
