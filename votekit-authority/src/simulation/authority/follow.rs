//! How an authority catches up with the ledger, and appends blocks that the ledger lacks.

use std::collections::BTreeSet;
use std::sync::Arc;

use votekit_core::authority::LogPoint;
use votekit_core::election_log::batches_of_block;
use votekit_core::log::note::KeyName;

use super::statements::shown;
use super::{Authority, Making, Purpose, Step};
use crate::simulation::environment::Environment;
use crate::simulation::ledger::Request;
use crate::simulation::memory::Write;
use crate::simulation::row::{CertifiedBlock, Leaves};

/// How long an authority that does not lead waits for the leader to append a block, in
/// milliseconds.
const APPEND_DELAY: u64 = 60;

impl Authority {
    /// Applies the next block of the ledger.
    pub(super) fn follow(&mut self, env: &mut Environment) -> bool {
        let quorum = env.scenario.quorum.quorum;
        let Some(process) = &mut self.process else { return false };
        let own = process.memory.election(&env.election.law_id);
        let next = own.certified.height + 1;
        let Some(block) = process.blocks.get(&next).cloned() else { return false };
        if block.cosigners.len() < quorum || block.first_leaf != own.certified.size {
            self.halt(env, "the head does not verify");
            return true;
        }
        if own.cosigned.is_some_and(|cosigned| cosigned != block.point) {
            self.halt(env, &format!("a fork: {} is not what it cosigned", shown(&block.point)));
            return true;
        }
        match process.make(&block.leaves, &env.election) {
            Making::Waiting => return false,
            Making::Made(point) if point == block.point => {}
            Making::Made(_) => {
                self.halt(env, "it makes another root of a certified block");
                return true;
            }
            Making::Refused(refusal) => {
                self.halt(env, &format!("it refuses a certified block: {refusal}"));
                return true;
            }
        }
        env.note(format_args!("{} certifies {}", self.name, shown(&block.point)));
        let digest = block.leaves.digest;
        let batches = process.batches_of(&block.leaves);
        self.queue(vec![
            Step::Durable(Write::Batches(batches)),
            Step::Durable(Write::Certified(block)),
            Step::Apply(digest),
        ])
    }

    /// Appends the next block of the own memory to a ledger that was restored from an older copy.
    pub(super) fn restore(&mut self, head: LogPoint, env: &mut Environment) -> bool {
        let Some(process) = &self.process else { return false };
        if head.height >= process.memory.certified(&env.election.law_id).height {
            return false;
        }
        let blocks = &process.memory.blocks;
        let is_prefix = blocks.get(&head.height).is_some_and(|block| block.point == head);
        let Some(block) = blocks.get(&(head.height + 1)).filter(|_| is_prefix).cloned() else {
            self.halt(env, "the ledger does not hold a beginning of its log");
            return true;
        };
        let missing = batches_of_block(&block.leaves.bytes)
            .find(|number| !process.staged.contains_key(number))
            .and_then(|number| process.memory.batches.get(&number).cloned());
        let request = match missing {
            Some(batch) => {
                env.note(format_args!("{} stages {} again", self.name, batch.number()));
                Request::Stage(batch)
            }
            None => {
                env.note(format_args!("{} restores {}", self.name, shown(&block.point)));
                Request::Append(block)
            }
        };
        self.call(request, Purpose::Change, env);
        true
    }

    /// Appends a block that a quorum has cosigned.
    pub(super) fn append(&mut self, head: LogPoint, env: &mut Environment) -> bool {
        let own_now = self.own_now(env);
        let now = self.clock(env);
        let Some(process) = &mut self.process else { return false };
        let next = process.memory.certified(&env.election.law_id).height + 1;
        if head.height + 1 != next {
            return false;
        }
        let quorum = env.scenario.quorum.quorum;
        let Some((point, cosigners)) = process.readings.cosigned_by(quorum, next) else {
            return false;
        };
        let since = *process.appendable_since.get_or_insert(own_now);
        if process.election.term(now).is_none() && own_now < since + APPEND_DELAY {
            return false;
        }
        let Some(block) = process.block_at(&point) else { return false };
        let block = certified(head.size, point, cosigners, &block.leaves);
        env.note(format_args!("{} appends {}", self.name, shown(&point)));
        self.call(Request::Append(block), Purpose::Change, env);
        true
    }
}

fn certified(
    first_leaf: u64,
    point: LogPoint,
    cosigners: BTreeSet<KeyName>,
    leaves: &Arc<Leaves>,
) -> Arc<CertifiedBlock> {
    Arc::new(CertifiedBlock { first_leaf, point, leaves: Arc::clone(leaves), cosigners })
}
