//! The writes. Each makes all its checks before it changes anything.

mod commit;
mod epoch;
mod manifest;
mod probe;
mod purge;
mod review_note;
mod stage;

pub(super) use commit::Commit;
pub(super) use epoch::AllocateEpoch;
pub(super) use manifest::PutManifest;
pub(super) use probe::Probe;
pub(super) use purge::PurgePart;
pub(super) use review_note::AddReviewNote;
pub(super) use stage::Stage;
