//! The electoral roll: a CSV of `nas,code,law_id`, read in large chunks, checked row by row and
//! hashed.
//!
//! ```text
//! reader ─▶ RollChunks ─▶ Chunk ─▶ RollHasher ─▶ HashedChunk ─▶ RollHashes ─▶ HashedRoll ─▶ LawKeys ─▶ shards
//!           (in order)            (any thread)               (any order)   duplicates,   ascending,
//!                                  keys in rough order                     conflicts     (any thread)
//! ```
//!
//! [`RollChunks`] cuts the file where records seem to end; whoever parses a chunk finds out, and
//! [`RollHashes`] mends a wrong cut. So chunks are parsed on as many threads as there are, and no
//! byte is looked at for that alone. Parsing walks the bytes once and allocates nothing a row. A
//! fault tells the line on which its record starts, the field and the rule, never the value.
//!
//! Keys are brought into the order of their leading bits while a chunk is in the cache, and into
//! their last order when they are handed out: they are moved twice, and never as a whole.
//!
//! Integrators with a small roll read it row by row with [`read_roll`].

mod chunk;
mod fault;
mod hash;
mod hashes;
mod header;
mod law_keys;
mod plain_row;
mod prefix;
mod repetition;
mod row;
mod rows;
mod run;
mod supplement;

pub use chunk::{Chunk, RollChunks};
pub use fault::{Field, RollError, RowFault, RowRule};
pub use hash::{HashScratch, HashedChunk, RollHasher, RollRules};
pub use hashes::{Conflict, GatheredRoll, HashedRoll, RollHashes};
pub use header::RollHeader;
pub use law_keys::{AscendingKeys, LawKeys};
pub use repetition::{Sequential, Threads};
pub use row::{RawRow, Rows};
pub use rows::{RollRow, read_roll};
pub use supplement::{HashedSupplement, hash_supplement};

#[cfg(test)]
mod model_test;
#[cfg(test)]
#[path = "roll_test.rs"]
mod tests;
