//! The proposals of a leader.

use std::sync::Arc;

use votekit_core::authority::{BlockProposal, LogPoint, TermLeader};
use votekit_core::batch::VerifiedBatch;
use votekit_core::decision::{Decision, InvalidReason};
use votekit_core::election::State;
use votekit_core::election_log::{
    Block, BlockContent, BlockMaker, ElectionLog, LogEvent, Proposal, leaves_of_block,
};
use votekit_core::envelope::EnvelopeDigest;
use votekit_core::instant::{UnixMinutes, UnixSeconds};
use votekit_core::log::leaf::Leaf;
use votekit_core::log::merkle::leaf_hash;
use votekit_core::log::tile;

use super::statements::shown;
use super::{Authority, Making, Process};
use crate::leader_election::Event;
use crate::round::{Choice, choose};
use crate::simulation::election::{CLOSES, EPOCH, Election, OPENS};
use crate::simulation::environment::Environment;
use crate::simulation::row::{Leaves, ProposedBlock, point_of};
use crate::simulation::scenario::Mutation;

/// The maximum number of batches in a block: small, so that a run has several blocks.
const BATCHES_MAX: usize = 2;

/// How long a leader that cannot propose keeps its lease, in milliseconds.
const STUCK_MAX: u64 = 1000;

/// Milliseconds of a run that count as one minute of the poll.
const MINUTE: u64 = 2000;

/// The content of a new block.
enum Content {
    Event(LogEvent),
    Batches(Vec<VerifiedBatch>),
    Close,
}

impl Process {
    /// The content that is due: the opening, staged batches, the closing, or the close.
    fn content(&self, election: &Election, is_healed: bool) -> Option<Content> {
        let log = &self.log;
        match log.state() {
            State::Draft => {
                Some(Content::Event(LogEvent::Open { opens: OPENS, waivers: Vec::new() }))
            }
            State::Open | State::Closing => {
                let batches = self.next_batches();
                let epochs = log.decisions().epochs();
                let has_ended = |node| epochs.progress(node, EPOCH).ended;
                if !batches.is_empty() {
                    Some(Content::Batches(batches))
                } else if log.state() == State::Open {
                    let closing = LogEvent::Closing { closes: CLOSES, reason: None };
                    is_healed.then_some(Content::Event(closing))
                } else {
                    election.nodes().all(has_ended).then_some(Content::Close)
                }
            }
            _ => None,
        }
    }

    /// Staged batches that are the next of their epochs.
    fn next_batches(&self) -> Vec<VerifiedBatch> {
        let epochs = self.log.decisions().epochs();
        let mut taken = Vec::new();
        for (number, batch) in &self.staged {
            let through = epochs.progress(number.node, number.epoch).through.0;
            let before =
                taken.iter().filter(|one: &&VerifiedBatch| one.number().node == number.node);
            let is_next = through + before.count() as u64 + 1 == number.sequence.0;
            if is_next && taken.len() < BATCHES_MAX {
                taken.extend(self.log.verify_batch(batch).ok());
            }
        }
        taken
    }
}

impl Authority {
    /// Proposes a block, or steps down.
    pub(super) fn lead(&mut self, head: LogPoint, env: &mut Environment) -> bool {
        let now = self.clock(env);
        let Some(process) = &mut self.process else { return false };
        let promise = process.memory.round.promise.as_ref();
        if let (Some(term), Some(promise)) = (process.election.candidate_term(), promise)
            && (promise.term > term || (promise.term == term && promise.leader != self.name))
        {
            return self.step_down("a later term is promised", env);
        }
        let Some(term) = process.election.term(now) else { return false };
        let leadership = TermLeader { term, leader: self.name.clone() };
        if promise != Some(&leadership) || head != process.memory.certified(&env.election.law_id) {
            return false;
        }
        let next = head.height + 1;
        let quorum = env.scenario.quorum;
        if let Some(block) = process.proposed.get(&(term, next)).cloned() {
            return process.propose_once(block);
        }
        let votes = process.readings.votes(&leadership);
        let choice = match env.has(Mutation::LeaderFree) {
            true => Choice::Free,
            false => {
                let view = process.readings.view(next);
                choose(quorum, &votes, &env.election.law_id, &head, &view, &[])
            }
        };
        match choice {
            Choice::Free => self.propose_new(leadership, head, env),
            Choice::Again(accepted) => self.propose_again(leadership, accepted.point, env),
            Choice::Behind { .. } => self.wait_to_propose("the ledger lacks a block", env),
            Choice::StepDown => self.wait_to_propose("the votes leave a block open", env),
        }
    }

    fn propose_again(
        &mut self,
        leadership: TermLeader,
        point: LogPoint,
        env: &mut Environment,
    ) -> bool {
        let Some(process) = &mut self.process else { return false };
        let Some(known) = process.block_at(&point) else {
            return self.wait_to_propose("the leaves of an accepted block are missing", env);
        };
        match process.make_unless_mutated(&known, env) {
            Making::Made(made) if made == point => {}
            Making::Waiting => return self.wait_to_propose("a batch is missing", env),
            _ => return self.step_down("it refuses the accepted block", env),
        }
        let proposal = BlockProposal { leadership, ..known.proposal.clone() };
        env.proposed_again += 1;
        let leaves = Arc::clone(&known.leaves);
        self.propose(ProposedBlock { proposal, leaves }, "again", env)
    }

    fn propose_new(
        &mut self,
        leadership: TermLeader,
        head: LogPoint,
        env: &mut Environment,
    ) -> bool {
        let own_now = self.own_now(env);
        let Some(process) = &mut self.process else { return false };
        process.stuck_since = None;
        let Some(content) = process.content(&env.election, env.is_healed) else { return false };
        let clock = OPENS.0 + own_now / MINUTE;
        let at = match &content {
            Content::Event(LogEvent::Closing { .. }) | Content::Close => clock.max(CLOSES.0),
            _ => clock,
        };
        let leader = self.name.as_str().to_owned();
        let maker = BlockMaker { term: leadership.term, leader, at: UnixMinutes(at) };
        let ballot_key = &env.election.ballot_key;
        let block_content = match &content {
            Content::Event(event) => BlockContent::Events(std::slice::from_ref(event)),
            Content::Batches(batches) => BlockContent::Batches { batches, ballot_key },
            Content::Close => BlockContent::Close,
        };
        let Ok(Proposal { block, effect, .. }) = process.log.propose(&block_content, &maker) else {
            return false;
        };
        let point = point_of(&block);
        let leaves = Leaves::new(block.leaves.clone());
        let lie = (env.false_blocks > 0 && env.random.happens(1, 3))
            .then(|| falsified(&process.log, &block))
            .flatten();
        let is_false = lie.is_some();
        let (leaves, point) = lie.unwrap_or((leaves, point));
        if is_false {
            env.false_blocks -= 1;
        } else if env.has(Mutation::ApplyEarly) {
            process.log.apply(effect);
            env.checks.applied(&self.name, &point);
        } else {
            process.made.insert(leaves.digest, (point, effect));
        }
        let proposal = BlockProposal {
            law_id: env.election.law_id.clone(),
            leadership,
            first_leaf: head.size,
            leaf_count: block.leaf_count,
            point,
            digest: leaves.digest,
            takes_votes: process.log.state() == State::Open,
            proposed_at: UnixSeconds(60 * at),
        };
        let block = ProposedBlock { proposal, leaves: Arc::new(leaves) };
        self.propose(block, if is_false { "falsely" } else { "newly" }, env)
    }

    fn propose(&mut self, block: ProposedBlock, how: &str, env: &mut Environment) -> bool {
        let Some(process) = &mut self.process else { return false };
        let BlockProposal { leadership, point, .. } = &block.proposal;
        let key = (leadership.term, point.height);
        env.note(format_args!(
            "{} proposes {} in term {} {how}",
            self.name,
            shown(point),
            leadership.term
        ));
        process.stuck_since = None;
        let block = Arc::new(block);
        process.proposed.insert(key, Arc::clone(&block));
        process.propose_once(block)
    }

    /// Steps down if the leader could not propose for a while, so that another authority can lead.
    fn wait_to_propose(&mut self, why: &str, env: &mut Environment) -> bool {
        let own_now = self.own_now(env);
        let Some(process) = &mut self.process else { return false };
        let since = *process.stuck_since.get_or_insert(own_now);
        if own_now <= since + STUCK_MAX {
            return false;
        }
        self.step_down(why, env)
    }

    fn step_down(&mut self, why: &str, env: &mut Environment) -> bool {
        env.note(format_args!("{} steps down: {why}", self.name));
        if let Some(process) = &mut self.process {
            process.stuck_since = None;
        }
        self.elect(Event::StepDown, env);
        true
    }
}

/// The block, falsified: its first accepted vote is decided as unknown. `None` if it has no
/// accepted vote.
fn falsified(log: &ElectionLog, block: &Block) -> Option<(Leaves, LogPoint)> {
    let mut tree = log.tree().clone();
    let (mut bytes, mut is_false) = (Vec::new(), false);
    for leaf in leaves_of_block(&block.leaves) {
        let mut leaf = Leaf::parse(leaf?).ok()?;
        if let Leaf::Entry(entry) = &mut leaf
            && let Decision::Accepted { hash } = entry.decision
            && !is_false
        {
            let envelope = EnvelopeDigest::new(&entry.request, entry.minute, &hash);
            entry.decision = Decision::Invalid { reason: InvalidReason::Unknown, envelope };
            is_false = true;
        }
        let leaf = leaf.to_bytes();
        tile::push_entry(&mut bytes, &leaf).ok()?;
        tree.append(leaf_hash(&leaf), &mut Vec::new());
    }
    let point = LogPoint { height: block.height, size: tree.size(), root: tree.root() };
    is_false.then(|| (Leaves::new(bytes), point))
}
