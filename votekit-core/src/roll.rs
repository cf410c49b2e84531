//! The electoral roll: a CSV of `nas,code,law_id`, read in large chunks, checked row by row and
//! hashed.
//!
//! ```text
//! reader ─▶ RollChunks ─▶ Chunk ─▶ RollHasher ─▶ HashedChunk ─▶ RollHashes ─▶ HashedRoll ─▶ LawKeys ─▶ shards
//!           (in order)            (any thread)               (any order)   duplicates,   ascending,
//!                                  keys in rough order                     conflicts     (any thread)
//! ```
//!
//! [`RollChunks`] cuts the file where records seem to end; the parser of a chunk finds out, and
//! [`RollHashes`] mends a wrong cut. So chunks are parsed on as many threads as there are, and no
//! byte is looked at for that alone. Parsing walks the bytes once and allocates nothing a row. A
//! fault has the line on which its record starts, the field and the rule, never the value.
//!
//! Keys are brought into the order of their leading bits while a chunk is in the cache, and into
//! their last order when they are handed out: they are moved twice, and never as a whole.
//!
//! [`read_table`] reads rolls, and votes to be cast ([`Table`]), row by row and by the same rules;
//! [`read_roll`] is for integrators with a small roll.

mod chunk;
mod code_lengths;
mod fault;
mod hash;
mod hashes;
mod header;
mod invisible;
mod law_keys;
mod plain_row;
mod prefix;
mod repetition;
mod row;
mod rows;
mod run;
mod supplement;
mod table;
mod warning;

pub use chunk::{Chunk, RollChunks};
pub use code_lengths::{CodeLengths, ShortCodes};
pub use fault::{
    BinaryKind, Field, HeaderCause, RollError, RowFault, RowRule, RuleCount, count_by_rule,
};
pub use hash::{HashScratch, HashedChunk, RollHasher, RollRules};
pub use hashes::{Conflict, GatheredRoll, HashedRoll, RollHashes};
pub use header::RollHeader;
pub use invisible::InvisibleCharacter;
pub use law_keys::{AscendingKeys, LawKeys};
pub use repetition::{Sequential, Threads};
pub use row::{RawRow, Rows, is_clean};
pub use rows::{RollRow, TableRow, read_roll, read_table};
pub use supplement::{
    ChangeFile, Contradiction, ContradictionRule, HashedSupplement, LiveCredentials, Readmission,
    RowPlace, hash_supplement,
};
pub use table::Table;
pub use warning::{RollWarning, short_codes};

#[cfg(test)]
mod model_test;
#[cfg(test)]
mod supplement_test;
#[cfg(test)]
#[path = "roll_test.rs"]
mod tests;
