//! One authority of an installation, with its real keys, that does one false thing.
//!
//! ```text
//! folder ─▶ history ─▶ honest next block ─▶ lie ─▶ proposal ─▶ round ─▶ JSON
//!  keys      log, batches,                  edits    signed       rows of the
//!  rolls     replayed                       leaves                others
//!   │
//!   └──▶ intruder: a batch of a node that is not admitted ─▶ staging
//! ```
//!
//! It is built on the public formats (docs/formats.md), the rules of votekit-core and the ledger of
//! votekit-store alone, and writes nothing into the data folder. The authority's own node must be
//! stopped, and the leader too, or asked to step down: a liar takes the leadership like any other,
//! when the lease is free.
//!
//! The program `votekit-liar` has every lie, for tests. `votekit demo --authorities` has one, in an
//! installation that it has made itself.

mod folder;

mod history;

mod lie;

mod proposal;
mod round;

mod attempt;

mod intruder;

pub use attempt::{Attempt, Outcome};
pub use folder::AuthorityFolder;
pub use intruder::stage_rogue_batch;
pub use lie::Lie;
pub use round::Leader;
