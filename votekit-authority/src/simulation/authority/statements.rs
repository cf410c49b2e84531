//! The statements of an authority: votes, accepts, refusals, cosignatures.

use std::sync::Arc;

use votekit_core::authority::{
    Accept, AcceptedBlock, BlockProposal, LogPoint, Refuse, StatementBody, Suspect, SuspectReason,
    TermLeader,
};
use votekit_core::batch::Batch;
use votekit_core::election_log::{Refusal, batches_of_block};
use votekit_core::id::{BatchNumber, Digest};
use votekit_core::log::note::KeyName;

use super::{Authority, Making, Process, Step};
use crate::leader_election::Event;
use crate::round::{RoundMemory, RoundView};
use crate::simulation::election::Election;
use crate::simulation::environment::Environment;
use crate::simulation::memory::Write;
use crate::simulation::row::{Leaves, ProposedBlock, Row, RowBody};
use crate::simulation::scenario::{Mutation, Scenario};

impl Process {
    /// The block of a height with this end, from the proposals read or from the own memory.
    pub(super) fn block_at(&self, point: &LogPoint) -> Option<Arc<ProposedBlock>> {
        let own = self.memory.accepted.as_ref().map(|(block, _)| block);
        let mut known = self.readings.proposals(point.height).iter().chain(own);
        known.find(|block| block.proposal.point == *point).cloned()
    }

    /// Recomputes a block. With the mutation that removes this guard, trusts the proposal instead.
    pub(super) fn make_unless_mutated(
        &mut self,
        block: &ProposedBlock,
        env: &Environment,
    ) -> Making {
        if env.has(Mutation::DecideByReplay) {
            return Making::Made(block.proposal.point);
        }
        self.make(&block.leaves, &env.election)
    }

    /// The batches of a block that this process has made.
    pub(super) fn batches_of(&self, leaves: &Leaves) -> Vec<Arc<Batch>> {
        let held = |number: BatchNumber| {
            self.staged.get(&number).or_else(|| self.memory.batches.get(&number)).cloned()
        };
        batches_of_block(&leaves.bytes).filter_map(held).collect()
    }

    /// Sends a row unless the ledger has answered it before.
    fn put_once(&mut self, row: Row, as_leader: bool) -> bool {
        if self.sent.contains(&row.key()) {
            return false;
        }
        self.steps.push_back(Step::Put { row: Arc::new(row), as_leader });
        true
    }

    /// Sends an own proposal unless the ledger has answered it before.
    pub(super) fn propose_once(&mut self, block: Arc<ProposedBlock>) -> bool {
        self.put_once(Row::proposal(block), true)
    }

    /// Queues the statements of an earlier step that the ledger may lack, one at a time.
    fn send_again(&mut self, name: &KeyName, election: &Election) -> bool {
        let own = self.memory.election(&election.law_id);
        let next = own.certified.height + 1;
        let promise = self.memory.round.promise.clone();
        if let Some(promise) = promise.filter(|promise| self.leadership.as_ref() == Some(promise)) {
            if let Some(vote) = self.memory.vote.clone()
                && self.put_once(Row::statement(vote), false)
            {
                return true;
            }
            if let Some((block, accept)) = self.memory.accepted.clone() {
                // The leader must find the block that the vote reports.
                let is_earlier = block.proposal.leadership.term < promise.term;
                let row = if is_earlier { Row::proposal(block) } else { Row::statement(accept) };
                if self.put_once(row, false) {
                    return true;
                }
            }
            let refusal = self.memory.refusals.get(&(next, promise.term)).cloned();
            if let Some(refusal) = refusal
                && self.put_once(Row::statement(refusal), false)
            {
                return true;
            }
        }
        let cosigned = own.cosigned.filter(|point| point.height == next);
        cosigned.is_some_and(|point| {
            let row = Row { authority: name.clone(), body: RowBody::Cosign(point) };
            self.put_once(row, false)
        })
    }
}

impl Authority {
    /// Votes for a leadership that is above the promise.
    pub(super) fn vote(&mut self, env: &mut Environment) -> bool {
        let Some(process) = &self.process else { return false };
        let Some(leadership) = process.leadership.clone() else { return false };
        if env.scenario.is_idle_holder(&leadership.leader) {
            return false;
        }
        let is_configured = env.scenario.names.contains(&leadership.leader);
        let Ok(vote) = process.memory.round.vote(&leadership, is_configured) else {
            return false;
        };
        env.note(format_args!(
            "{} votes for {} in term {}, {}",
            self.name,
            leadership.leader,
            leadership.term,
            carried(vote.elections.first().and_then(|election| election.accepted)),
        ));
        let statement = self.statement(StatementBody::Vote(vote));
        let write =
            || Write::Vote { leadership: leadership.clone(), statement: Arc::clone(&statement) };
        let row = Arc::new(Row::statement(Arc::clone(&statement)));
        let put = Step::Put { row, as_leader: false };
        let steps = match env.scenario.mutation {
            Some(Mutation::VoteForgotten | Mutation::AcceptBeforePromise) => {
                vec![Step::Volatile(write()), put]
            }
            Some(Mutation::VoteBeforeDurable) => {
                vec![Step::Volatile(write()), put, Step::Durable(write())]
            }
            _ => vec![Step::Durable(write()), put],
        };
        self.queue(steps)
    }

    /// Passes the holder of the lease to the leader election, after the votes for it.
    pub(super) fn watch(&mut self, leadership: &TermLeader, env: &mut Environment) {
        let Some(process) = &self.process else { return };
        let TermLeader { term, leader } = leadership.clone();
        let voted = |authority| Event::Voted { authority, leadership: leadership.clone() };
        let votes = process.readings.votes(leadership);
        let mut events: Vec<Event> = votes.into_keys().map(voted).collect();
        events.push(Event::HeldBy { term, holder: Some(leader) });
        let suspecting = process.readings.suspecting(term).into_iter();
        events.extend(suspecting.map(|authority| Event::SuspectedBy { authority, term }));
        for event in events {
            self.elect(event, env);
        }
    }

    /// Suspects a holder of the lease that is not elected. A repeated suspicion is sent again
    /// unchanged.
    pub(super) fn suspect(&mut self, leadership: &TermLeader, env: &mut Environment) {
        if env.has(Mutation::NeverSuspect) {
            return;
        }
        env.suspicions += 1;
        env.note(format_args!(
            "{} suspects {} in term {}",
            self.name, leadership.leader, leadership.term
        ));
        let known = self.durable.suspicion.clone();
        let known = known.filter(|own| own.body.leadership() == leadership);
        let statement = known.unwrap_or_else(|| {
            let (leadership, reason) = (leadership.clone(), SuspectReason::Idle);
            self.statement(StatementBody::Suspect(Suspect { leadership, reason }))
        });
        let row = Arc::new(Row::statement(Arc::clone(&statement)));
        self.queue(vec![
            Step::Durable(Write::Suspected(statement)),
            Step::Put { row, as_leader: false },
        ]);
    }

    pub(super) fn send_again(&mut self, env: &Environment) -> bool {
        let Some(process) = &mut self.process else { return false };
        process.send_again(&self.name, &env.election)
    }

    /// Accepts or refuses a block of the promised leadership.
    pub(super) fn accept(&mut self, env: &mut Environment) -> bool {
        let Some(process) = &self.process else { return false };
        let next = process.memory.certified(&env.election.law_id).height + 1;
        let promise = process.memory.round.promise.as_ref();
        let is_due = |block: &&Arc<ProposedBlock>| {
            promise == Some(&block.proposal.leadership) || env.has(Mutation::AcceptUnpromised)
        };
        let due: Vec<Arc<ProposedBlock>> =
            process.readings.proposals(next).iter().filter(is_due).cloned().collect();
        due.into_iter().any(|block| self.consider(&block, env))
    }

    fn consider(&mut self, block: &Arc<ProposedBlock>, env: &mut Environment) -> bool {
        let Some(process) = &mut self.process else { return false };
        let BlockProposal { leadership, point, .. } = &block.proposal;
        let (height, term) = (point.height, leadership.term);
        let own = process.memory.election(&env.election.law_id);
        // One answer to each proposal; a later accept replaces an earlier accept.
        let is_answered = own.accepted.is_some_and(|accepted| accepted.term >= term)
            || process.memory.refusals.contains_key(&(height, term));
        if is_answered {
            return false;
        }
        match process.make_unless_mutated(block, env) {
            Making::Waiting => false,
            Making::Refused(refusal) => self.refuse(block, &refusal, env),
            Making::Made(made) => self.accept_made(block, &made, env),
        }
    }

    fn accept_made(
        &mut self,
        block: &Arc<ProposedBlock>,
        made: &LogPoint,
        env: &mut Environment,
    ) -> bool {
        let Some(process) = &self.process else { return false };
        let BlockProposal { leadership, point, .. } = &block.proposal;
        let round = mutated_round(&process.memory.round, leadership, env);
        let accepted = if env.scenario.has_accept_guard {
            let view = process.readings.view(point.height);
            round.accept(&block.proposal, made, &view, env.scenario.quorum)
        } else {
            let unread = RoundView::new(point.height);
            round.accept(&block.proposal, made, &unread, env.scenario.quorum)
        };
        let Ok(accepted) = accepted else { return false };
        let batches = process.batches_of(&block.leaves);
        let vote = process.memory.vote.clone();
        env.note(format_args!(
            "{} accepts {} in term {}",
            self.name,
            shown(&accepted.point),
            accepted.term
        ));
        let statement = self.statement(StatementBody::Accept(Accept {
            law_id: env.election.law_id.clone(),
            leadership: leadership.clone(),
            point: accepted.point,
        }));
        let row = Arc::new(Row::statement(Arc::clone(&statement)));
        let mut steps = vec![
            Step::Durable(Write::Batches(batches)),
            Step::Durable(Write::Accepted { accepted, block: Arc::clone(block), statement }),
            Step::Put { row, as_leader: false },
        ];
        if let Some(statement) = vote.filter(|_| env.has(Mutation::AcceptBeforePromise)) {
            let leadership = leadership.clone();
            steps.push(Step::Belated(Write::Vote { leadership, statement }));
        }
        self.queue(steps)
    }

    fn refuse(&mut self, block: &ProposedBlock, refusal: &Refusal, env: &mut Environment) -> bool {
        let BlockProposal { leadership, point, .. } = &block.proposal;
        let (height, term) = (point.height, leadership.term);
        env.note(format_args!("{} refuses {} of term {term}: {refusal}", self.name, shown(point)));
        let digest = |leaf: &Option<Vec<u8>>| leaf.as_deref().map(Digest::compute);
        let statement = self.statement(StatementBody::Refuse(Refuse {
            law_id: env.election.law_id.clone(),
            leadership: leadership.clone(),
            height,
            digest: block.leaves.digest,
            leaf: refusal.leaf,
            rule: refusal.rule.as_str().to_owned(),
            own: digest(&refusal.own),
            theirs: digest(&refusal.theirs),
        }));
        let row = Arc::new(Row::statement(Arc::clone(&statement)));
        self.queue(vec![
            Step::Durable(Write::Refused { height, term, statement }),
            Step::Put { row, as_leader: false },
        ])
    }

    /// Cosigns the next block once a quorum has accepted it.
    pub(super) fn cosign(&mut self, env: &mut Environment) -> bool {
        let Some(process) = &mut self.process else { return false };
        let quorum = env.scenario.quorum;
        let own = process.memory.election(&env.election.law_id);
        let next = own.certified.height + 1;
        let without_accepts =
            env.has(Mutation::CosignWithoutAccepts) || env.has(Mutation::TwoRoots);
        let agreed = if without_accepts {
            own.accepted.map(|accepted| accepted.point)
        } else {
            process.readings.view(next).accepted_by_quorum(quorum).map(|accepted| accepted.point)
        };
        let Some(point) = agreed.filter(|point| own.cosigned != Some(*point)) else {
            return false;
        };
        let Some(block) = process.block_at(&point) else { return false };
        let is_made = matches!(
            process.make_unless_mutated(&block, env),
            Making::Made(made) if made == point
        );
        if !is_made {
            return false;
        }
        let leadership = &block.proposal.leadership;
        let round = mutated_round(&process.memory.round, leadership, env);
        let view = if without_accepts {
            invented_accepts(&point, leadership, env)
        } else {
            process.readings.view(next).into_owned()
        };
        if round.cosign(&env.election.law_id, &point, &view, quorum).is_err() {
            return false;
        }
        env.note(format_args!("{} cosigns {}", self.name, shown(&point)));
        let row = Row { authority: self.name.clone(), body: RowBody::Cosign(point) };
        self.queue(vec![
            Step::Durable(Write::Cosigned(point)),
            Step::Put { row: Arc::new(row), as_leader: false },
        ])
    }

    pub(super) fn queue(&mut self, steps: Vec<Step>) -> bool {
        let Some(process) = &mut self.process else { return false };
        process.steps.extend(steps);
        true
    }
}

/// The memory that the guards see, without the parts that a mutation ignores.
fn mutated_round(round: &RoundMemory, leadership: &TermLeader, env: &Environment) -> RoundMemory {
    let mut round = round.clone();
    match env.scenario.mutation {
        Some(Mutation::AcceptUnpromised) => round.promise = Some(leadership.clone()),
        Some(Mutation::TwoRoots) => {
            round.elections.values_mut().for_each(|election| election.cosigned = None);
        }
        _ => {}
    }
    round
}

/// For a mutation: a view in which all authorities have accepted the block.
fn invented_accepts(point: &LogPoint, leadership: &TermLeader, env: &Environment) -> RoundView {
    let Scenario { names, .. } = &env.scenario;
    let accept = Accept {
        law_id: env.election.law_id.clone(),
        leadership: leadership.clone(),
        point: *point,
    };
    let mut view = RoundView::new(point.height);
    names.iter().for_each(|name| view.add_accept(name.clone(), &accept));
    view
}

/// A block in the schedule: its height and the beginning of its root.
pub(super) fn shown(point: &LogPoint) -> String {
    let root = point.root.to_hex();
    format!("{}:{}", point.height, &root[..8])
}

fn carried(accepted: Option<AcceptedBlock>) -> String {
    match accepted {
        Some(AcceptedBlock { term, point }) => {
            format!("having accepted {} in term {term}", shown(&point))
        }
        None => "having accepted nothing".to_owned(),
    }
}
