//! Exports results to several formats. Each exporter is pure: [`Results`](crate::results::Results)
//! in, bytes out, the same bytes each time, with a final line break. The formats are specified in
//! section 12 of `docs/formats.md`.
//!
//! ```text
//! Results ─▶ json   all fields, for programs; their digest certifies the official result
//!         ─▶ csv    one row per count, for spreadsheets
//!         ─▶ nist   NIST SP 1500-100 version 2, for election-night reporting systems
//! ```

pub mod csv;
pub mod json;
pub mod nist;

#[cfg(test)]
#[path = "export_test.rs"]
mod tests;
