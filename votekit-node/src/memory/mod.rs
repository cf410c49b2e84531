//! Keeps NAS, code, choice and destroyed keys out of memory once they are no longer needed.
//!
//! ```text
//! heap           the binary's allocator zeroes what it frees
//! read buffers   reused without a free: overwritten before a connection waits (`stream`)
//! stack          overwritten after each step of a task that has used it for secrets (`stack`)
//! the process    no core dump, no reader but root, no swap where the system allows it (`process`)
//! ```
//!
//! docs/threats.md lists the threats that this does not cover.

mod process;
mod stack;
mod stream;

pub use self::process::{Lock, Protection, protect};
pub use self::stack::overwriting_stack;
pub use self::stack::{stack_used, with_overwritten_stack};
pub use self::stream::OverwritingStream;
