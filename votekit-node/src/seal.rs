//! From staging to the log: one node leads and seals, the others check and follow.

pub(crate) mod read_positions;
pub(crate) mod seal_queue;
pub(crate) mod made_block;
pub(crate) mod due_batch;
pub(crate) mod endorse;
pub(crate) mod round;
pub(crate) mod quorum;
pub(crate) mod endorser;
pub(crate) mod own_statements;
pub(crate) mod leader_lease;
pub(crate) mod leader_rotation;
pub(crate) mod proposals;
pub(crate) mod sealer;
pub(crate) mod acceptor;
pub(crate) mod staged_rows;
pub(crate) mod closing;
pub(crate) mod event_facts;
pub(crate) mod draft;
pub(crate) mod follower;
pub(crate) mod head_check;
pub(crate) mod leader_watch;
pub(crate) mod new_term;
pub(crate) mod row_feed;
pub(crate) mod row_removal;
pub(crate) mod staging_survey;
