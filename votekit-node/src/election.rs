//! One election on a node: its state, its keys, and the channels to its tasks. Tasks depend on it;
//! it depends on no task.

mod committed;
mod damaged;
pub(crate) mod snapshots;
mod handle;
mod keys;
mod lease;
mod unsealed_batches;
mod view;
mod witnessed;
mod write_gate;

pub(crate) use committed::Committed;
pub(crate) use damaged::DamagedElection;
pub(crate) use handle::{
    ElectionHandle, ElectionHandleParts, IntakeError, Position, SealerCommand, Stored, Submission,
    Voter,
};
pub(crate) use keys::{CheckpointSigner, ElectionSecrets};
pub(crate) use lease::{LEASE_LENGTH, Lease};
pub(crate) use snapshots::Snapshots;
pub(crate) use unsealed_batches::UnsealedBatches;
pub(crate) use view::ElectionStatus;
pub use view::{BilingualView, ChoiceView, ElectionView, EpochView, NodeView};
pub(crate) use witnessed::{
    WitnessedHead, cosigned_size, read_cosigned, read_witnessed, witness_names,
};
pub(crate) use write_gate::WriteGate;
