//! This node as one of several authorities: its statements, its own memory, and what it has read of
//! the statements of the others.
//!
//! Every statement is durable in the own memory before it leaves ([`AuthorityContext`]), and every
//! statement of another authority is verified before anything depends on it ([`Board`]). What is
//! decided from them is decided by votekit-authority; the blocks are made in [`crate::seal`].

mod block_room;
mod board;
mod context;
mod draft_tasks;
mod ledger_log;
mod row_room;
mod rows_progress;

pub(crate) use board::{Board, HeightRows, ProposalRow};
pub(crate) use context::AuthorityContext;
pub(crate) use draft_tasks::DraftTasks;
pub(crate) use ledger_log::{LedgerLog, election_event};
