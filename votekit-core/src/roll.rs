//! The electoral roll: a CSV of `nas,code,law_id`, read in large chunks, checked row by row and
//! hashed.
//!
//! ```text
//! reader ─▶ RollChunks ─▶ Chunk ─▶ RollHasher ─▶ HashedChunk ─▶ RollHashes ─▶ HashedRoll
//!           (in order)            (any thread)               (any order)   duplicates,
//!                                  keys in rough order                     conflicts
//!
//! HashedRoll ─▶ LawKeys ─▶ shards
//!               ascending
//!               (any thread)
//! ```
//!
//! [`RollChunks`] guesses where records end and cuts there. The parser of a chunk detects a wrong
//! cut, and [`RollHashes`] repairs it. So chunks are parsed on any number of threads, without a
//! separate pass over the bytes to find record ends. Parsing reads the bytes once and allocates
//! nothing per row. A fault gives the line on which its record starts, the field and the rule,
//! never the value.
//!
//! Keys are ordered by their leading bits while a chunk is in the cache, and fully sorted when they
//! are handed out: they are moved twice, and never all in one step.
//!
//! With the feature `parallel`, `parallel::hash_roll` goes from a reader to shards and manifest in
//! one call, on several threads.
//!
//! `chunk`, `repetition` and `parallel` use the locks of the standard library: the core takes no
//! further crate for a few locks that are taken once a chunk or a part. They ignore poisoning: the
//! panic of another thread ends the whole call, and no result is read after it.
//!
//! [`read_table`] reads rolls and votes to be cast ([`Table`]) row by row, by the same rules;
//! [`read_roll`] is for integrators with a small roll. [`read_members`] reads the list of an
//! association's members, who get their credentials from `votekit roll members`.

mod invisible;
mod table;
mod fault;
mod record;
mod header;
mod chunk;
mod code_lengths;
mod plain_row;
mod row;
mod prefix;
mod sorted_chunk;
mod hash;
mod law_keys;
mod repetition;
mod hashes;
mod members;
mod rows;
mod shards;
mod supplement;
mod warning;
#[cfg(feature = "parallel")]
pub mod parallel;

pub use chunk::{Chunk, RollChunks};
pub use code_lengths::{CodeLengths, ShortCodes};
pub use fault::{BinaryKind, HeaderCause, RollError, RowFault, RowRule, RuleCount, count_by_rule};
pub use hash::{HashScratch, HashedChunk, RollHasher, RollRules};
pub use hashes::{Conflict, GatheredRoll, HashedRoll, RollHashes};
pub use header::RollHeader;
pub use invisible::InvisibleCharacter;
pub use law_keys::{AscendingKeys, LawKeys};
pub use members::{MemberList, MemberRow, read_members};
pub use record::{Rows, Separator};
pub use repetition::{Sequential, Threads};
pub use row::{RawRow, is_clean};
pub use rows::{RollRow, TableRow, read_roll, read_table};
pub use shards::{PlannedShard, ShardPlanError, law_rows, plan_shards};
pub use supplement::{
    ChangeFile, Contradiction, ContradictionRule, HashedSupplement, LiveCredentials, Readmission,
    RowLocation, hash_supplement,
};
pub use table::{Field, Table};
pub use warning::{RollWarning, short_codes};

#[cfg(test)]
mod model_test;
#[cfg(test)]
mod supplement_test;
#[cfg(test)]
#[path = "roll_test.rs"]
mod tests;
