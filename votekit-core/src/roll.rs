//! The electoral roll: a CSV of `nas,code,law_id`, read in large chunks, checked row by row and hashed.
//!
//! ```text
//! reader ─▶ RollChunks ─▶ Chunk ─▶ hash_chunk ─▶ HashedChunk ─▶ RollHashes ─▶ HashedRoll ─▶ shards
//!           (in order)            (any thread)               (any order)   duplicates, conflicts
//! ```
//!
//! [`RollChunks`] cuts the file at ends of records, right even where a quoted field holds a line break, so that chunks can be
//! parsed on as many threads as there are. Parsing walks the bytes once and allocates nothing a row. A fault tells the line
//! on which its record starts, the field and the rule, never the value.
//!
//! Integrators with a small roll read it row by row with [`read_roll`].

mod chunk;
mod fault;
mod hash;
mod header;
mod row;
mod rows;
mod supplement;

pub use chunk::{Chunk, RollChunks};
pub use fault::{Field, RollError, RowFault, RowRule};
pub use hash::{Conflict, HashedChunk, HashedRoll, LawKeys, RollHashes, RollRules, Sequential, Sorter, hash_chunk};
pub use header::RollHeader;
pub use row::{RawRow, Rows};
pub use rows::{RollRow, read_roll};
pub use supplement::{HashedSupplement, hash_supplement};

#[cfg(test)]
#[path = "roll_test.rs"]
mod tests;
