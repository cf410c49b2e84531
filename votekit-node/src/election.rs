//! One election on a node: its state, its keys, and the channels to its tasks. Tasks depend on it;
//! it depends on no task.

mod commands;
mod committed;
mod handle;
mod lease;
mod secrets;
mod signer;
pub(crate) mod snapshots;
mod view;
mod write_gate;

pub(crate) use commands::{IntakeError, SealerCommand, Stored, Submission, Voter};
pub(crate) use committed::Committed;
pub(crate) use handle::{ElectionHandle, ElectionHandleParts, Position};
pub(crate) use lease::{LENGTH as LEASE_LENGTH, Lease};
pub(crate) use secrets::ElectionSecrets;
pub(crate) use signer::CheckpointSigner;
pub(crate) use snapshots::Snapshots;
pub(crate) use view::ElectionStatus;
pub use view::{BilingualView, ChoiceView, ElectionView, EpochView, NodeView};
pub(crate) use write_gate::WriteGate;
