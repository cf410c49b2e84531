//! This node as one of several authorities: its statements, its own memory, and the statements of
//! the others that it has read.
//!
//! Every statement is durable in the own memory before it is published ([`AuthorityContext`]), and
//! every statement of another authority is verified before anything depends on it ([`Board`]). The
//! crate votekit-authority makes the decisions from these statements; the blocks are made in
//! [`crate::seal`].

mod block_room;
mod row_room;
mod board;
mod rows_progress;
mod context;
mod draft_tasks;
mod ledger_log;

pub(crate) use board::{Board, HeightRows, ProposalRow};
pub(crate) use context::AuthorityContext;
pub(crate) use draft_tasks::DraftTasks;
pub(crate) use ledger_log::{LedgerLog, election_event};
