//! Results in the formats that people and programs read. Each exporter is pure:
//! [`Results`](crate::results::Results) in, bytes out, the same bytes each time, with a final line
//! break. The formats are section 12 of `docs/formats.md`.
//!
//! ```text
//! Results ─▶ json   everything, for programs; the official result is certified by the digest of these bytes
//!         ─▶ csv    one row a count, for spreadsheets
//!         ─▶ nist   NIST SP 1500-100 version 2, for election-night reporting systems
//! ```

pub mod csv;
pub mod json;
pub mod nist;

#[cfg(test)]
#[path = "export_test.rs"]
mod tests;
