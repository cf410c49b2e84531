//! From staging to the log: one node leads and seals, the others check and follow.

pub(crate) mod seal_queue;

pub(crate) mod endorse;
pub(crate) mod leader_lease;

pub(crate) mod sealer;

pub(crate) mod closing;
pub(crate) mod follower;
